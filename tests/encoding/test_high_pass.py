"""The high-pass filter of features and responses: by hand, told, and part of the key."""

import h5py
import numpy as np
import pytest
from kit.data.toy_lab import make_lab
from nilearn.glm.first_level.design_matrix import create_cosine_drift
from scipy import stats
from sklearn.linear_model import Ridge

from braindash.core.timing import delayed
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.encoding.several.comparison import compare
from braindash.encoding.several.tested import untestable
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request

ALPHA, PERIOD, USABLE = 100.0, 20.0, 9


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model)


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": "acoustic:energy", "subject": "A", "alphas": (ALPHA,)}
    settings = {"n_permutations": 0, "n_bootstraps": 0, "high_pass": PERIOD}
    return build_request(EncodeRequest, **(fields | settings | changes))


def filtered(values):
    """Subtract the cosines and the mean, and standardise; rows are 1 s apart."""
    drift = create_cosine_drift(1 / PERIOD, np.arange(len(values)))
    left = values - drift @ np.linalg.lstsq(drift, values, rcond=None)[0]
    return left / left.std(axis=0)


def test_scores_and_ceilings_are_those_of_filtered_series(lab, tmp_path):
    store, plan = Store(tmp_path / "store"), plan_encoding(request_for(lab))
    result = run_encoding(request_for(lab), store)

    def design(story):
        found = store.get("features", story.extraction.key()).read("features", 0)
        return delayed(filtered(found.astype(float)), plan.spec.delays)

    def read(name, key, rows):
        with h5py.File(lab.folder / "responses" / "A" / f"{name}.hf5") as file:
            return file[key][..., rows, :USABLE].astype(float)

    X = np.concatenate([design(story) for story in plan.train])
    Y = np.concatenate([filtered(read(one.name, "data", one.rows)) for one in plan.train])
    (test,) = plan.test
    runs = np.stack([filtered(run) for run in read(test.name, "individual_repeats", test.rows)])
    predicted = Ridge(ALPHA).fit(X, Y).predict(design(test))
    usable = np.flatnonzero(np.isfinite(Y).all(axis=0))
    r = [stats.pearsonr(predicted[:, t], runs.mean(axis=0)[:, t])[0] for t in usable]
    np.testing.assert_allclose(result.r[0, usable], r, atol=2e-4)
    total, n = runs.var(1).mean(0), len(runs)
    signal = (n * runs.mean(0).var(0) - total) / (n - 1)
    ceiling = 1 / np.sqrt(1 + (total[signal > 0] / signal[signal > 0] - 1) / n)
    found = result.ceilings["repeats"][:USABLE][signal > 0]
    np.testing.assert_allclose(found, ceiling, rtol=1e-3)

    plain = run_encoding(request_for(lab, high_pass=None), store)
    assert plain.key != result.key and not np.allclose(plain.r[0, usable], r, atol=0.01)
    assert "high-pass filter 20 s" in result.provenance_line()
    assert "high-pass" not in plain.provenance_line()
    assert "high_pass" not in plan_encoding(request_for(lab, high_pass=None)).spec.canonical()
    pair = compare([result], [plain])
    assert pair.settings == ("high-pass filter",) and "filtered" in untestable(pair)


def test_a_filter_that_leaves_nothing_is_refused_before_any_work(lab):
    with pytest.raises(InputError, match="leaves little of rows every 1 s"):
        plan_encoding(request_for(lab, high_pass=4.0))
