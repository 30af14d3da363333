"""Maps of a result: what is coloured, what is masked, and what the line below says."""

import re
from dataclasses import replace

import numpy as np
import pytest
from kit.results.made_up import N_LAYERS, made_up_result

from braindash.encoding.several.comparison import Group, compare
from braindash.encoding.several.tested import TargetDifference
from braindash.errors import InputError
from braindash.viewer.blobs import map_blob
from braindash.viewer.packing import unpack
from braindash.views.maps import (
    KINDS,
    MapChoice,
    available_kinds,
    make_map,
    missing_kinds,
    preferred_mask,
)
from braindash.views.targets import target_note

N_SCORED = 20484 - 25


@pytest.fixture(scope="module")
def result():
    return made_up_result()


@pytest.fixture(scope="module")
def other():
    return made_up_result(model="tuned", seed=1)


@pytest.fixture(scope="module")
def bare():
    return made_up_result(ceiling=False, resampled=False)


def test_every_kind_fits_the_viewer(result, other):
    pair = compare(Group.of([result]), Group.of([other]))
    kinds = available_kinds(result, compared=True)
    assert kinds == list(KINDS)
    labels = set()
    for kind in kinds:
        shown = make_map(MapChoice(kind), result, pair, made_up_tests(pair))
        header, _ = unpack(map_blob(shown.maps))
        assert len(header["names"]) in (1, N_LAYERS) and shown.maps.simulated and shown.note
        labels.add(shown.maps.label)
    # The viewer keeps its scale while the label stays: another kind needs another one.
    assert len(labels) == len(kinds)


def made_up_tests(pair):
    """Test a difference by the draw of a number; half of the signs are those of r."""
    rng = np.random.default_rng(4)
    gap = pair.a.first.r - pair.b.first.r
    p = np.where(np.isnan(gap), np.nan, rng.uniform(size=gap.shape) ** 4)
    z = rng.standard_normal(gap.shape)
    return TargetDifference(gap, z, p, np.minimum(1, 2 * p), block_rows=10)


def test_a_tested_difference_is_masked_by_its_own_q_and_by_its_sign(result, other):
    pair = compare(Group.of([result]), Group.of([other]))
    tests = made_up_tests(pair)
    choice = MapChoice("tested-difference", level=0.01)
    shown = make_map(choice, result, pair, tests)
    gap = result.r - other.r
    kept = (tests.q <= 0.01) & (np.sign(gap) == np.sign(tests.z))
    np.testing.assert_array_equal(np.isfinite(shown.maps.values), kept)
    np.testing.assert_allclose(shown.maps.values[kept], gap[kept])
    assert 0 < kept.sum() < (tests.q <= 0.01).sum()
    assert "q > 0.01, paired test of each target's difference" in shown.note
    assert "n = 1 subject" in shown.note and f"{kept.sum(axis=1).max():,} (layer" in shown.note
    plain = make_map(replace(choice, kind="difference"), result, pair, tests)
    np.testing.assert_allclose(plain.maps.values, gap)
    assert "is not tested here" in plain.note


def test_the_best_of_layers_masks_preferred_layers_and_is_told(result):
    """Beside q of each layer: the mask takes the q that counts the choice of the layer."""
    rng = np.random.default_rng(5)
    p_best = rng.uniform(size=result.n_targets)
    arrays = {"p_best": ("target", p_best), "q_best": ("target", np.sqrt(p_best))}
    settings = result.spec["statistics"] | {"scheme": "prewhitened", "n_permutations": 1}
    spec = result.spec | {"statistics": settings | {"best_of_layers": True}}
    best = replace(result, dataset=result.dataset.assign(arrays), spec=spec)
    choice = MapChoice("preferred", level=0.05)
    kept, reasons = preferred_mask(choice, best)
    passed = np.sqrt(p_best.astype(np.float32)) <= 0.05
    above = np.nan_to_num(best.ceiling) > 0.4
    np.testing.assert_array_equal(kept, best.valid & above & passed)
    told = " ".join(reasons)
    assert f"best of {N_LAYERS} layers tested as such" in told and "not of r itself" in told
    assert "by itself, not as the best of several" in " ".join(preferred_mask(choice, result)[1])
    target = int(np.flatnonzero(best.valid)[0])
    assert f"p = {p_best[target]:.2g}" in target_note(best, target, 0.05)
    assert "significant more often than its q says" in target_note(result, target, 0.05)
    none = replace(best, dataset=best.dataset.assign(q=best.dataset["q"] * 0 + 1))
    note = make_map(MapChoice("significant"), none).note
    assert f"none of {N_SCORED:,} targets." in note and "smallest possible" not in note


def test_a_result_offers_what_it_holds(bare):
    assert available_kinds(bare, compared=False) == ["score", "preferred"]
    reasons = " ".join(missing_kinds(bare))
    assert "without permutations" in reasons and "without bootstraps" in reasons
    assert "no noise ceiling" in reasons


def test_a_full_result_misses_nothing(result):
    assert missing_kinds(result) == []


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("ceiling", ["repeats", "inter-subject"])
def test_scores_are_the_results(result, normalised, ceiling):
    shown = make_map(MapChoice(normalised=normalised, ceiling=ceiling), result)
    np.testing.assert_array_equal(shown.maps.values, result.scores(normalised, ceiling))
    assert shown.maps.label == ("r / ceiling" if normalised else "Pearson r")
    assert (ceiling in shown.note) == normalised


@pytest.mark.parametrize("level", [0.05, 0.001])
def test_insignificant_targets_are_masked_layer_by_layer(result, level):
    shown = make_map(MapChoice("significant", level=level), result)
    rng = np.random.default_rng(0)
    for target in rng.choice(result.n_targets, 200, replace=False):
        for layer in range(N_LAYERS):
            q, value = result.q[layer, target], shown.maps.values[layer, target]
            if q <= level:
                assert value == result.r[layer, target]
            else:
                assert np.isnan(value)
    counts = (result.q <= level).sum(axis=1)
    assert f"{counts.max():,} (layer {counts.argmax()}) of {N_SCORED:,}" in shown.note
    assert f"q > {level:g}, 40 permutations of blocks of at least 10 rows" in shown.note


def test_a_map_without_any_significant_target_says_what_it_would_take(result):
    none = replace(result, dataset=result.dataset.assign(q=result.dataset["q"] * 0 + 1))
    shown = make_map(MapChoice("significant"), none)
    assert np.isnan(shown.maps.values).all()
    # 40 permutations: p >= 1/41, so that q <= 0.05 needs 20/41 of the targets.
    assert f"none of {N_SCORED:,}" in shown.note and "49% of the targets" in shown.note


def test_preferred_layers_are_masked_for_the_reasons_given(result):
    choice = MapChoice("preferred", ceiling="repeats", level=0.01, least_share=0.6)
    low = result.dataset.copy(deep=True)
    low["ceiling"].values[0, ::7] = 0.3
    changed = replace(result, dataset=low)
    kept, reasons = preferred_mask(choice, changed)
    expected = np.zeros(result.n_targets, dtype=bool)
    counts = [0, 0, 0]
    for target in range(result.n_targets):
        best = changed.preferred_layer[target]
        if best < 0:
            continue
        failed = [
            not changed.ceilings["repeats"][target] > 0.4,
            not changed.q[best, target] <= 0.01,
            not changed.preferred_share[target] >= 0.6,
        ]
        expected[target] = not any(failed)
        if any(failed):
            counts[failed.index(True)] += 1
    np.testing.assert_array_equal(kept, expected)
    assert list(reasons.values()) == counts and min(counts) > 0
    assert kept.sum() + sum(counts) == N_SCORED
    shown = make_map(choice, changed)
    np.testing.assert_array_equal(np.isfinite(shown.maps.values[0]), kept)
    np.testing.assert_array_equal(shown.maps.values[0, kept], changed.preferred_layer[kept])
    for number in (int(kept.sum()), *counts):
        assert f"{number:,}" in shown.note
    assert (
        "without ceiling (repeats) above 0.4" in shown.note
        and "less than 60% sure (share of" in shown.note
    )


def test_preferred_layers_can_be_relative(result):
    layers = make_map(MapChoice("preferred"), result).maps
    depths = make_map(MapChoice("preferred", relative=True), result).maps
    np.testing.assert_allclose(depths.values * (N_LAYERS - 1), layers.values, rtol=1e-6)
    assert (layers.vmax, depths.vmax) == (N_LAYERS - 1, 1)
    assert layers.threshold == 0, "layer 0 has to be coloured"


def test_without_tests_a_preferred_layer_is_masked_by_nothing(bare):
    kept, reasons = preferred_mask(MapChoice("preferred", least_share=0.9), bare)
    np.testing.assert_array_equal(kept, bare.valid)
    assert "neither" in " ".join(reasons) and set(reasons.values()) == {0}


def test_confidence_is_compared_with_what_noise_gives(result):
    shown = make_map(MapChoice("confidence"), result)
    np.testing.assert_array_equal(shown.maps.values[0], result.preferred_share)
    best = np.maximum(result.preferred_layer, 0)
    passed = np.take_along_axis(result.q, best[None].astype(int), axis=0)[0] <= 0.05
    known = np.isfinite(result.preferred_share)
    medians = [np.median(result.preferred_share[known & side]) for side in (passed, ~passed)]
    assert re.search(f"median {medians[0]:.0%} where .* {medians[1]:.0%} elsewhere", shown.note)
    rows = f"units: {result.n_scored_rows} test rows, {result.blocks_line()}"
    assert f"not shrunken; {rows}; it is too sure" in shown.note
    settings = result.spec["statistics"] | {"confidence": "shrunken"}
    calibrated = replace(result, spec=result.spec | {"statistics": settings})
    shown = make_map(MapChoice("confidence"), calibrated)
    assert f"shrunken block bootstrap; {rows}; median" in shown.note
    assert shown.maps.label == "chance that the layer is the best"


def test_the_ceiling_is_the_chosen_one(result):
    shown = make_map(MapChoice("ceiling", ceiling="inter-subject"), result)
    np.testing.assert_array_equal(shown.maps.values[0], result.ceilings["inter-subject"])
    assert shown.maps.label == "noise ceiling (inter-subject)"
    assert "inter-subject on story with 1 other subject" in shown.note
    with pytest.raises(InputError, match="split"):
        make_map(MapChoice("ceiling", ceiling="split"), result)


def test_a_difference_is_a_minus_b_on_a_symmetric_scale(result, other):
    pair = compare(Group.of([result]), Group.of([other]))
    shown = make_map(MapChoice("difference"), result, pair)
    np.testing.assert_array_equal(shown.maps.values, result.r - other.r)
    assert shown.maps.vmin == -shown.maps.vmax and shown.maps.colours == "RdBu_r"
    assert "toy-model minus tuned" in shown.note
    swapped = compare(Group.of([other]), Group.of([result]))
    np.testing.assert_array_equal(
        make_map(MapChoice("difference"), other, swapped).maps.values, -shown.maps.values
    )


def test_differences_that_make_no_sense_are_refused(result, other):
    with pytest.raises(InputError, match="second model"):
        make_map(MapChoice("difference"), result)
    shallow = replace(other, dataset=other.dataset.isel(layer=slice(0, 2)))
    pair = compare(Group.of([result]), Group.of([shallow]))
    with pytest.raises(InputError, match="4 layers and tuned 2"):
        make_map(MapChoice("difference"), result, pair)
    with pytest.raises(InputError, match="'cubic'"):
        make_map(MapChoice("cubic"), result)


def test_a_model_of_one_layer_prefers_none(result):
    flat = replace(result, dataset=result.dataset.isel(layer=[0]))
    assert available_kinds(flat, compared=False) == ["score", "significant", "ceiling"]
    assert any("one layer" in reason for reason in missing_kinds(flat))


def test_a_map_without_values_still_has_a_scale(result):
    empty = replace(result, dataset=result.dataset.assign(r=result.dataset["r"] * np.nan))
    shown = make_map(MapChoice(), empty)
    assert shown.maps.vmax > shown.maps.vmin == 0
