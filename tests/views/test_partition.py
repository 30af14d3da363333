"""What low-level features explain, as inks that mix."""

from dataclasses import replace

import numpy as np
import pytest
from kit.made_up import N_LAYERS, N_TARGETS, made_up_result

from braindash.errors import InputError
from braindash.views.partition import has_parts, part_maps, parts_note

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


def test_a_result_without_parts_says_how_to_get_them():
    result = made_up_result(resampled=False)
    assert not has_parts(result) and has_parts(weighed("banded"))
    with pytest.raises(InputError, match="were not weighed") as told:
        part_maps(result)
    assert "--low-level" in told.value.hint
