"""A store that version 0.1.0 wrote opens unchanged; results of older versions say what they are."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from kit.results.made_up import made_up_result, put_old_result

import braindash
from braindash.encoding.several.comparison import Group, compare
from braindash.files import digest_json
from braindash.io.store import Store
from braindash.specs import VERSIONED
from braindash.tuning.result import TuningResult, tuned_models

WRITTEN = Path(__file__).parents[1] / "kit" / "store-0.1.0.zip"
ENCODING = "6badf3ff20cb2ab3dfeabaf95da0848d"
PROBING = "68ad04bf349ec1d42ae1d3323db24ac2"
TUNING = "5c81195625b2fa5c474d6272ee228b28"
SCORES = [0.36630, 0.36643, 0.36689]  # as 0.1.0 printed them: mean r of each layer


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Store:
    root = tmp_path_factory.mktemp("old")
    zipfile.ZipFile(WRITTEN).extractall(root)
    return Store(root)


def test_the_fixture_is_small():
    assert WRITTEN.stat().st_size < 100_000


def test_every_kind_of_result_is_there_and_has_its_key(old):
    kinds = {kind: old.entries(kind) for kind in VERSIONED}
    for kind in ("regions", "frames", "difference", "weights", "sounds"):
        assert not kinds.pop(kind), "younger than this store; their key is pinned elsewhere"
    assert all(kinds.values()), "one of every kind"
    for kind, entries in kinds.items():
        for entry in entries:
            assert digest_json(entry.spec) == entry.key, "the key is that of the content"
            again = VERSIONED[kind].from_canonical(entry.spec)
            assert again.key() == entry.key, "today's specification gives the same key"
            assert old.get(kind, entry.key).key == entry.key


def test_results_show_what_they_showed(old):
    result = braindash.open_result(ENCODING, store=old)
    np.testing.assert_allclose(np.nanmean(result.r, axis=1), SCORES, atol=1e-5)
    assert result.older == "" and "version" not in result.provenance_line()
    assert result.has_significance and result.has_intervals
    assert len(result.region_intervals()) == 3 * len(result.masks)
    probes = braindash.open_result(PROBING[:8], store=old)
    np.testing.assert_allclose(probes.score("phone"), 0.8839, atol=1e-4)
    assert probes.older == "" and "SIMULATED" in probes.provenance_line()
    tuned = TuningResult.load(old.get("tuning", TUNING), old)
    assert "kept" in tuned.line() and [one.name for one in tuned_models(old)] == [tuned.folder.name]


# ---- older versions of the computation --------------------------------------------------------


def test_a_result_of_version_1_opens_and_says_so(tmp_path):
    store = Store(tmp_path)
    key = put_old_result(store)
    result, made = braindash.open_result(key, store=store), made_up_result(space="roi")
    np.testing.assert_array_equal(result.r, made.r)
    np.testing.assert_array_equal(result.ceiling, made.ceilings["repeats"])
    assert result.ceiling_name == "repeats" and not result.has_significance
    assert not result.has_intervals and result.members == ()
    assert "version 1 of 3: one noise ceiling" in result.provenance_line()
    assert "no intervals" in result.interval_line()
    best = np.where(result.valid, np.nan_to_num(result.r, nan=-9).argmax(axis=0), -1)
    np.testing.assert_array_equal(result.preferred_layer, best)
    assert len(result.regions()) == len(result.r) * len(result.masks)
    assert len(Group.of([result]).stages())


def test_an_older_result_beside_a_newer_one_says_that_they_were_computed_otherwise(tmp_path):
    store = Store(tmp_path)
    old = braindash.open_result(put_old_result(store), store=store)
    new = made_up_result(space="roi", seed=1, resampled=False)
    assert "version of the computation" in compare([new], [old]).settings
