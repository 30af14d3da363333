"""Linked maps: one scale, the difference's statistics, and the layers that panels show."""

from dataclasses import replace

import numpy as np
import pytest
from kit.results.made_up import N_LAYERS, N_TARGETS, made_up_result

from braindash.encoding.several.comparison import Group, compare
from braindash.encoding.several.group_maps import maps_over_subjects
from braindash.errors import InputError
from braindash.viewer.blobs import MapSet, map_blob
from braindash.viewer.packing import unpack
from braindash.views.linked import (
    LinkedMaps,
    Mix,
    difference_maps,
    layer_at,
    link_maps,
    linked_note,
    read_held,
    shown_layers,
    statistics_blob,
)
from braindash.views.pictures import linked_figure, picture_png

NAMES = ("A: toy", "B: tuned")


@pytest.fixture(scope="module")
def pair():
    groups = [
        [made_up_result(model=model, subject=name, seed=seed + place)
         for place, name in enumerate(("S1", "S2"))]
        for seed, model in ((0, "toy"), (5, "tuned"))
    ]  # fmt: skip
    return compare(*groups)


@pytest.fixture(scope="module")
def linked(pair):
    return link_maps(
        (pair.a, pair.b), NAMES, normalised=False, ceilings=("repeats", "repeats"), pair=pair
    )


def constant_maps(value, n_layers=2, **options):
    values = np.full((n_layers, N_TARGETS), value, dtype=np.float32)
    names = [f"layer {layer}" for layer in range(n_layers)]
    settings = {"label": "Pearson r", "vmin": 0.0, "vmax": 0.5, "threshold": 0.1} | options
    return MapSet(values, names, **settings)


def test_all_models_share_one_scale_that_fits_the_highest(linked, pair):
    scales = {(maps.vmin, maps.vmax, maps.threshold) for maps in linked.maps}
    assert len(scales) == 1
    [(low, high, threshold)] = scales
    tops = [np.nanquantile(group.scores(), 0.999) for group in (pair.a, pair.b)]
    assert low == 0 < threshold < high == pytest.approx(max(tops), abs=0.006)
    assert linked.maps[0].simulated and linked.last_layers == (N_LAYERS - 1, N_LAYERS - 1)


def test_maps_and_region_means_are_those_of_the_subjects(linked, pair):
    for maps, group in zip(linked.maps, (pair.a, pair.b), strict=True):
        expected = np.nanmean([result.r for result in group.results], axis=0)
        np.testing.assert_allclose(maps.values, expected, atol=1e-6)
        header, _ = unpack(map_blob(maps))
        table = group.regions()
        for row, name in zip(header["regions"], maps.regions, strict=True):
            own = table[table["region"] == name].sort_values("layer")
            np.testing.assert_allclose(row["means"], own["r"], atol=1e-6)


def test_normalised_means_are_those_of_the_layers_page(pair):
    made = link_maps(
        (pair.a, pair.b), NAMES, normalised=True, ceilings=("repeats", "repeats"), pair=pair
    )
    table = pair.a.regions(normalised=True)
    own = table[table["region"] == "late_language"].sort_values("layer")
    np.testing.assert_allclose(made.maps[0].means["late_language"], own["r_over_ceiling"])
    assert made.maps[0].label == "r / ceiling"
    assert "Only targets with a ceiling (repeats)" in linked_note(made, (pair.a,), "repeats")


def test_the_differences_scale_is_centred_at_zero_and_fits_equal_layers(linked, pair):
    gaps = np.abs(pair.a.scores() - pair.b.scores())
    assert linked.end == pytest.approx(np.nanquantile(gaps, 0.999), abs=0.006)


def test_statistics_travel_in_the_order_of_the_maps_regions(linked, pair):
    _, arrays = unpack(statistics_blob(linked))
    regions = list(linked.maps[0].regions)
    assert arrays["difference"].shape == (N_LAYERS, N_LAYERS, len(regions))
    table = pair.regions()
    for name in ("difference", "low", "high"):
        for place, region in enumerate(regions):
            own = table[(table["region"] == region) & (table["layer"] == 2)]
            np.testing.assert_allclose(arrays[name][2, 2, place], own[name].item(), atol=1e-6)
    assert np.isnan(arrays["p"]).all()  # two subjects have no sign-flip test


def test_models_without_a_pair_have_no_difference(pair):
    alone = link_maps((pair.a, pair.b), NAMES, normalised=False, ceilings=(None, None))
    assert alone.end is None and alone.statistics is None
    with pytest.raises(InputError, match="no statistics"):
        statistics_blob(alone)
    assert "A minus B" not in linked_note(alone, (pair.a, pair.b), None)


def test_unfit_panels_are_refused():
    maps = constant_maps(0.2)
    with pytest.raises(InputError, match="1 names and 2 panels"):
        LinkedMaps(("A",), (maps, maps))
    with pytest.raises(InputError, match="5 panels"):
        LinkedMaps(("A",) * 4, (maps,) * 4, end=0.2)
    with pytest.raises(InputError, match="needs two models"):
        LinkedMaps(("A",), (maps,), end=0.2)
    finer = replace(maps, values=np.zeros((2, 2 * 40962), dtype=np.float32), space="fsaverage6")
    with pytest.raises(InputError, match="fsaverage5 and fsaverage6 cannot be shown"):
        LinkedMaps(("A", "B"), (maps, finer))


def test_the_static_difference_is_grey_where_neither_model_reaches_the_threshold():
    a, b = constant_maps(0.05), constant_maps(0.05)
    a.values[1, :100] = 0.3
    b.values[1, 50:200] = 0.2
    a.values[1, 150:] = np.nan
    maps = difference_maps(LinkedMaps(("A", "B"), (a, b), end=0.4), (1, 1))
    shown = maps.values[0]
    np.testing.assert_allclose(shown[:50], 0.25, atol=1e-6)
    np.testing.assert_allclose(shown[50:100], 0.1, atol=1e-6)
    np.testing.assert_allclose(shown[100:150], -0.15, atol=1e-6)
    assert np.isnan(shown[150:]).all(), "a difference needs both"
    assert (maps.vmin, maps.vmax) == (-0.4, 0.4) and maps.colours == "RdBu_r"


def test_the_static_picture_has_a_row_per_panel_and_is_stamped():
    maps = constant_maps(0.3, simulated=True)
    figure = linked_figure([(maps, 0), (maps, 1)], ["A: toy", "B: tuned"])
    titles = [row.get_suptitle() for row in figure.subfigs]
    assert titles == ["A: toy · layer 0 · Pearson r", "B: tuned · layer 1 · Pearson r"]
    assert figure.get_suptitle() == "SIMULATED"
    assert picture_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("last", [1, 6, 12, 24])
def test_models_of_other_depth_follow_by_relative_depth(last):
    places = [layer_at(place, 24, last) for place in range(25)]
    assert places[0] == 0 and places[-1] == last
    assert set(places) == set(range(last + 1))
    assert (np.diff(places) >= 0).all()
    assert layer_at(3, 0, 0) == 0


def test_held_panels_keep_their_layer():
    held = read_held("B3", 2)
    assert held == [None, 3]
    assert shown_layers(11, held, (12, 12)) == (11, 3)
    assert shown_layers(99, [None, 40], (12, 6)) == (12, 6)
    assert read_held("", 3) == [None] * 3
    assert read_held("D1 nonsense A0C12", 3) == [0, None, 12]


# ---- maps of several subjects ---------------------------------------------------------------


@pytest.fixture(scope="module")
def seven():
    made = [made_up_result(model="toy", subject=f"S{seed}", seed=seed) for seed in range(7)]
    return Group.of(made)


def test_a_groups_map_can_be_masked_by_its_test(seven):
    found = link_maps((seven,), NAMES[:1], normalised=False, ceilings=("repeats",), shown="tested")
    test = maps_over_subjects(seven)
    mean, (maps,) = seven.scores(), found.maps
    kept = test.p <= 0.05
    np.testing.assert_allclose(maps.values[kept], mean[kept], atol=1e-6)
    assert np.isnan(maps.values[~kept]).all() and kept.any() and not kept.all()
    note = linked_note(found, (seven,), "repeats")
    assert "Grey also where p > 0.05. p: sign flips (128 patterns, all)" in note
    few = Group(seven.results[:3])
    bare = link_maps((few,), NAMES[:1], normalised=False, ceilings=("repeats",), shown="tested")
    assert "With 3 subjects no p is below 0.12: all is grey." in bare.note


def test_a_groups_map_can_show_in_how_many_subjects(seven):
    found = link_maps(
        (seven,), NAMES[:1], normalised=False, ceilings=("repeats",), shown="prevalence"
    )
    (maps,) = found.maps
    expected = np.mean([result.significant(0.05) for result in seven.results], axis=0)
    np.testing.assert_allclose(maps.values[:, 25:], expected[:, 25:], atol=1e-6)
    assert np.isnan(maps.values[:, :25]).all() and (maps.vmin, maps.vmax) == (0, 1)
    note = linked_note(found, (seven,), "repeats")
    assert note.startswith("share of subjects with q ≤ 0.05 at the shown layer; 95 % intervals")


def test_two_or_three_maps_mix_and_the_note_says_how(linked, pair):
    mixed = replace(linked, mix=Mix("mixed"))
    assert "the two maps are inks" in linked_note(mixed, (pair.a, pair.b), None)
    three = LinkedMaps(("A", "B", "C"), (constant_maps(0.3),) * 3, mix=Mix("mixed"))
    assert "the three maps are inks" in linked_note(three, (pair.a,), None)
    for count in (1, 4):
        maps = (constant_maps(0.3),) * count
        with pytest.raises(InputError, match="cannot be mixed"):
            LinkedMaps(tuple("ABCD"[:count]), maps, mix=Mix("mixed"))
