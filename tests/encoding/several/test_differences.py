"""Tests of every target's difference: computed from stored predictions, kept, queued, refused."""

from dataclasses import replace

import numpy as np
import pytest
from kit.results.made_up import made_up_result
from kit.results.region_results import N_LAYERS, put_predicted

import braindash
from braindash.core.statistics.permutation import benjamini_hochberg
from braindash.core.statistics.prewhitened import prewhitened_difference
from braindash.encoding.several.comparison import compare
from braindash.encoding.several.tested import TargetDifference, difference_spec, stored_difference
from braindash.errors import InputError
from braindash.io.predictions import PredictionReader
from braindash.io.store import Store
from braindash.progress import NoProgress
from braindash.work.differences import queue_difference, run_queued_difference


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    return store, put_predicted(store), put_predicted(store, model="other", seed=1)


@pytest.fixture(scope="module")
def tested(made):
    _, a, b = made
    return braindash.target_difference(a, b)


def columns_of(result, columns):
    store = Store(result.folder.parents[1])
    with store.get("predictions", result.provenance["predictions"]).open() as opened:
        return PredictionReader(opened).read(columns)


def test_every_target_is_tested_from_the_stored_predictions(made, tested):
    _, a, b = made
    columns = slice(1000, 1060)
    (first, response), (second, _) = (columns_of(one, columns) for one in (a, b))
    expected = prewhitened_difference(first, second, response)
    np.testing.assert_allclose(tested.z[:, columns], expected.z, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(tested.p[:, columns], expected.p, rtol=1e-4)
    np.testing.assert_allclose(tested.q, benjamini_hochberg(tested.p), rtol=1e-5)
    np.testing.assert_allclose(tested.difference, a.r - b.r)
    assert np.isnan(tested.p[:, :40]).all() and np.isfinite(tested.p[:, 40:]).all()
    kept = tested.significant(0.01)
    assert kept.shape == (N_LAYERS, a.n_targets)
    assert (np.sign(tested.z[kept]) == np.sign(tested.difference[kept])).all()
    assert not kept[tested.q > 0.01].any()


def test_tests_are_kept_and_say_what_they_are_of(made, tested):
    store, a, b = made
    pair = compare([a], [b])
    entry = store.get("difference", difference_spec(pair).key())
    assert entry.provenance["parents"][:2] == [a.key, b.key]
    assert entry.provenance["minus"]["name"] == "other"
    again = stored_difference(pair, store)
    np.testing.assert_array_equal(again.p, tested.p)
    assert queue_difference(pair, store) is None, "nothing is computed twice"
    assert "at equal layers, AR(3)-prewhitened" in tested.line()


def test_the_worker_does_what_a_page_asked_for(made):
    store, a, b = made
    pair = compare([b], [a])
    assert stored_difference(pair, store) is None
    job = queue_difference(pair, store)
    assert job.command == "difference" and queue_difference(pair, store).key == job.key
    done = run_queued_difference(job.request, store, NoProgress())
    assert done == {"kind": "difference", "keys": [job.key]}
    found = stored_difference(pair, store)
    assert isinstance(found, TargetDifference)
    # The response of the one that is named first is tested: here each has its own.
    assert found.z.shape == b.r.shape


def test_what_cannot_be_tested_says_why(made, tmp_path):
    _, a, _ = made
    shallow = replace(a, key="0" * 32, dataset=a.dataset.isel(layer=slice(0, 1)))
    with pytest.raises(InputError, match="different numbers of layers"):
        braindash.target_difference(a, shallow)
    lone = [made_up_result(model=name, seed=seed) for seed, name in enumerate(("one", "two"))]
    with pytest.raises(InputError, match="are not both in"):
        braindash.target_difference(*lone, store=tmp_path)
    assert queue_difference(compare([lone[0]], [lone[1]]), Store(tmp_path)) is None
