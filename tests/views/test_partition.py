"""What low-level features explain, as inks that mix."""

from dataclasses import replace

import numpy as np
import pytest
from kit.results.made_up import N_LAYERS, N_TARGETS, made_up_result
from matplotlib import pyplot as plt

from braindash.errors import InputError
from braindash.views.partition import has_parts, part_maps, parts_note
from braindash.views.pictures import ink_numbers, mixed_figure

BANDED = ("low_unique_r2", "shared_r2", "model_unique_r2")


def weighed(method):
    """A result that says that low-level features were weighed, with arrays for it."""
    made = made_up_result(resampled=False)
    rng = np.random.default_rng(1)
    names = ("residual_r",) if method == "residual" else ("joint_r2", "model_r2", "low_r2", *BANDED)
    arrays = {
        name: (("layer", "target"), rng.uniform(0, 0.3, (N_LAYERS, N_TARGETS)).astype(np.float32))
        for name in names
    }
    spec = made.spec | {"low_level": {"method": method, "space": "acoustic:lowlevel"}}
    return replace(made, spec=spec, dataset=made.dataset.assign(arrays))


def test_what_is_explained_and_what_is_left_add_up_to_the_score():
    result = weighed("residual")
    linked = part_maps(result)
    assert linked.names == ("explained by acoustic:lowlevel", "left without it")
    assert linked.mix is not None and linked.mix.alone
    np.testing.assert_allclose(sum(one.values for one in linked.maps), result.r, atol=1e-6)
    assert len({(one.vmin, one.vmax, one.threshold) for one in linked.maps}) == 1
    note = parts_note(linked, result)
    assert note.startswith("Pearson r of the shown layer: explained by acoustic:lowlevel, left")
    assert "inks add up" in note and "share = 1 - r without / r" in note


def test_three_parts_of_banded_ridge_are_those_that_are_stored():
    result = weighed("banded")
    linked = part_maps(result)
    assert linked.names == ("acoustic:lowlevel alone", "shared", "toy-model alone")
    for maps, name in zip(linked.maps, BANDED, strict=True):
        np.testing.assert_array_equal(maps.values, result.dataset[name].values)
        assert maps.label == "R²" and maps.simulated
    assert "banded ridge" in parts_note(linked, result)


def test_inks_of_several_spaces_are_what_each_explains_alone():
    made = weighed("banded")
    rng = np.random.default_rng(2)
    names = ["model", "acoustic:logmel", "acoustic:articulation"]
    draws = {
        name: (("space", "layer", "target"), rng.uniform(0, 0.2, (3, N_LAYERS, N_TARGETS)))
        for name in ("alone_r2", "without_r2")
    }
    dataset = made.dataset.assign(draws).assign_coords(space=names)
    spec = made.spec | {"low_level": {"method": "banded", "space": "+".join(names[1:])}}
    linked = part_maps(replace(made, spec=spec, dataset=dataset))
    assert linked.names == tuple(f"{one} alone" for one in ("toy-model", *names[1:]))
    for place, maps in enumerate(linked.maps):
        expected = dataset["joint_r2"] - dataset["without_r2"].isel(space=place)
        np.testing.assert_allclose(maps.values, expected.values, atol=1e-6)


def test_a_result_without_parts_says_how_to_get_them():
    result = made_up_result(resampled=False)
    assert not has_parts(result) and has_parts(weighed("banded"))
    with pytest.raises(InputError, match="were not weighed") as told:
        part_maps(result)
    assert "--low-level" in told.value.hint


def test_numbered_inks_have_the_colours_that_the_viewer_mixes():
    """The viewer adds the inks by their shares, at most 1; here in steps of a seventh."""
    rng = np.random.default_rng(0)
    inks = np.array([[0.93, 0.2, 0.47], [0.8, 0.67, 0.2], [0.07, 0.13, 1.0]])
    for count in (2, 3):
        shares = rng.integers(0, 8, (count, 50)) / 7
        numbers, palette = ink_numbers(shares, inks[:count])
        assert numbers.min() >= 1 and len(palette) == 8**count
        wanted = np.minimum((shares[:, :, None] * inks[:count, None]).sum(axis=0), 1)
        np.testing.assert_allclose(palette[numbers - 1], wanted, atol=1e-12)


def test_inks_are_drawn_where_the_maps_are():
    result = weighed("banded")
    figure = mixed_figure(part_maps(result), [0, 0, 0])
    assert len(figure.axes) == 4
    [legend] = figure.legends
    assert [one.get_text() for one in legend.get_texts()] == list(part_maps(result).names)
    plt.close(figure)
