"""Censored rows: left out of fit, ceiling and score, told, and part of the key."""

import h5py
import numpy as np
import pytest
from kit.data.toy_lab import N_TARGETS, NAN_TARGET, make_lab
from scipy import stats
from sklearn.linear_model import Ridge

from braindash.core.timing import delayed
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.encoding.several.groups import Group
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request

ALPHAS = (1.0, 100.0, 10000.0)
TRAIN = {"fox": [5, 6, 20], "stone": [30]}
# Rows of the test story's repeats: 12 is gone in all of them, 20 and 25 in one.
TEST = {0: [12, 20], 1: [12], 2: [12, 25], 3: [12]}
USABLE = 9


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": "acoustic:energy", "subject": "A", "alphas": ALPHAS}
    settings = {"n_permutations": 49, "n_bootstraps": 20, "block_rows": 5}
    return build_request(EncodeRequest, **(fields | settings | changes))


def write_nan(lab, subject="A", train=TRAIN, test=TEST):
    """Scrub: NaN in every target, as motion censoring leaves it."""
    for story, rows in train.items():
        with h5py.File(lab.folder / "responses" / subject / f"{story}.hf5", "a") as file:
            for row in rows:
                file["data"][row] = np.nan
    with h5py.File(lab.folder / "responses" / subject / "well.hf5", "a") as file:
        for repeat, rows in test.items():
            for row in rows:
                file["individual_repeats"][repeat, row] = np.nan


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def zscored(values):
    """Z-score each column over the rows that have numbers."""
    return (values - np.nanmean(values, 0)) / np.nanstd(values, 0)


def by_hand(lab, plan, store):
    """Scores from scikit-learn: rows that are NaN are removed from designs and responses."""

    def features(story):
        found = store.get("features", story.extraction.key()).read("features", 0)
        return (found - found.mean(0)) / found.std(0)

    designs, responses = [], []
    for story in plan.train:
        with h5py.File(lab.folder / "responses" / "A" / f"{story.name}.hf5") as file:
            values = file["data"][story.rows][:, :USABLE].astype(float)
        there = np.isfinite(values[:, 0])
        designs.append(delayed(features(story), plan.spec.delays)[there])
        responses.append(zscored(values)[there])
    (test,) = plan.test
    with h5py.File(lab.folder / "responses" / "A" / "well.hf5") as file:
        runs = file["individual_repeats"][:, test.rows, :USABLE].astype(float)
    runs = np.stack([zscored(run) for run in runs])
    there = np.isfinite(runs[:, :, 0]).any(0)
    measured = np.nanmean(runs[:, there], axis=0)
    scores = np.zeros((len(ALPHAS), USABLE))
    for number, alpha in enumerate(ALPHAS):
        for out in range(len(designs)):
            others = [at for at in range(len(designs)) if at != out]
            fit = Ridge(alpha).fit(*(np.concatenate([p[at] for at in others])
                                     for p in (designs, responses)))  # fmt: skip
            left = responses[out]
            power = ((left - left.mean(0)) ** 2).sum(0)
            scores[number] += 1 - ((left - fit.predict(designs[out])) ** 2).sum(0) / power
    X, Y = np.concatenate(designs), np.concatenate(responses)
    design = delayed(features(test), plan.spec.delays)[there]
    best = scores.argmax(0)
    predicted = [Ridge(ALPHAS[a]).fit(X, Y[:, t]).predict(design) for t, a in enumerate(best)]
    r = [stats.pearsonr(p, measured[:, t])[0] for t, p in enumerate(predicted)]
    return np.array(r), np.array(ALPHAS)[best], runs


def test_scores_are_those_of_data_without_these_rows(lab, store):
    write_nan(lab)
    plan = plan_encoding(request_for(lab))
    result = run_encoding(request_for(lab), store)
    r, alpha, runs = by_hand(lab, plan, store)
    np.testing.assert_allclose(result.r[0, :USABLE], r, atol=2e-4)
    np.testing.assert_array_equal(result.dataset["alpha"].values[0, :USABLE], alpha)
    # Schoppe's ceiling, from the rows that every repeat has.
    whole = runs[:, np.isfinite(runs[:, :, 0]).all(0)]
    total, n = whole.var(1).mean(0), len(whole)
    signal = (n * whole.mean(0).var(0) - total) / (n - 1)
    ceiling = 1 / np.sqrt(1 + (total / signal - 1) / n)
    np.testing.assert_allclose(result.ceilings["repeats"][:USABLE], ceiling, rtol=1e-4)


def test_what_is_left_out_is_told_and_enters_the_key(lab, store):
    before = plan_encoding(request_for(lab))
    write_nan(lab)
    plan = plan_encoding(request_for(lab))
    result = run_encoding(request_for(lab), store)
    told = result.provenance["warnings"]
    (rows,) = [text for text in told if "censored rows" in text]
    assert "(NaN in every target) are left out" in rows and "fox 3, stone 1, well 6" in rows
    # 44 rows, less one without audio before it, less one that no repeat has.
    assert result.n_scored_rows == 42
    (thin,) = [text for text in told if "noise ceiling is computed from the" in text]
    assert "40 of 42 scored rows" in thin
    stories = {one["name"]: one for one in result.spec["train"] + result.spec["test"]}
    assert stories["fox"]["censored"] == [TRAIN["fox"]] and stories["crow"]["censored"] == []
    assert stories["well"]["censored"] == [TEST[at] for at in range(4)]
    canonical = plan.spec.canonical()
    assert ["censored" in one for one in canonical["train"]] == [False, True, True]
    assert not any("censored" in one for one in before.spec.canonical()["train"])
    same = [one.model_copy(update={"censored": ()}) for one in plan.spec.train]
    assert plan.spec.model_copy(update={"train": tuple(same)}).key() != plan.spec.key()


def test_blocks_of_rows_stay_within_stretches(lab, store):
    write_nan(lab)
    result = run_encoding(request_for(lab), store)
    entry = store.get("predictions", result.provenance["predictions"])
    with entry.open() as found:
        scored, segment = found["scored"].values, found["segment"].values
        first = plan_encoding(request_for(lab)).test[0].rows.start
        assert np.flatnonzero(~scored).tolist() == [12 - first]
        assert segment[scored].tolist() == [0] * (12 - first) + [1] * (43 - 12)
        assert np.isfinite(found["response_scale"].values[:USABLE]).all()
    assert np.isfinite(result.dataset["p"].values[0, :USABLE]).all()


def test_one_censored_row_leaves_other_scores_nearly_as_they_were(lab, store):
    whole = run_encoding(request_for(lab), store)
    write_nan(lab, train={"fox": [20]}, test={})
    one = run_encoding(request_for(lab), store)
    assert one.key != whole.key
    assert np.isfinite(one.r[:, :USABLE]).all()
    np.testing.assert_allclose(one.r[0, :USABLE], whole.r[0, :USABLE], atol=0.06)


def test_low_level_features_are_weighed_without_censored_rows(lab, store):
    write_nan(lab)
    for method in ("residual", "banded"):
        changes = {"model": "acoustic:mfcc", "low_level": method,
                   "low_level_space": "acoustic:energy"}  # fmt: skip
        result = run_encoding(request_for(lab, **changes), store)
        name = {"residual": "residual_r", "banded": "joint_r2"}[method]
        assert np.isfinite(result.dataset[name].values[0, :USABLE]).all()


# ---- several subjects --------------------------------------------------------------------------


def test_the_mean_of_subjects_takes_who_has_data(lab, store):
    write_nan(lab, "A", train={"fox": [20], "crow": [7]}, test={at: [12] for at in range(4)})
    write_nan(lab, "B", train={"crow": [7]}, test={0: [30]})
    result = run_encoding(request_for(lab, subject="mean"), store)
    assert np.isfinite(result.r[:, :USABLE]).all()
    rows = {one["name"]: one["censored"] for one in result.spec["train"] + result.spec["test"]}
    assert rows["fox"] == [[20], []] and rows["crow"] == [[7], [7]]
    # Row 20 of fox is that of B alone, row 7 of crow is left out, row 12 of well is B's alone.
    plan = plan_encoding(request_for(lab, subject="mean"))
    assert [int(story.kept.sum()) for story in plan.train] == [40, 45, 49]
    assert result.n_scored_rows == 43
    assert np.isfinite(result.ceilings["split-half"][:USABLE]).all()


def test_other_subjects_censored_rows_enter_the_ceiling_between_subjects(lab, store):
    whole = run_encoding(request_for(lab), store)
    write_nan(lab, "B", train={}, test={at: [12, 13] for at in range(4)})
    result = run_encoding(request_for(lab), store)
    assert (
        result.key != whole.key
        and result.provenance["predictions"] == whole.provenance["predictions"]
    )
    np.testing.assert_array_equal(result.r, whole.r)
    means = []
    for subject in ("A", "B"):
        with h5py.File(lab.folder / "responses" / subject / "well.hf5") as file:
            runs = file["individual_repeats"][:, 1:, :USABLE].astype(float)
        means.append(np.mean([zscored(run) for run in runs], axis=0))
    there = np.isfinite(means[1][:, 0])
    expected = [np.corrcoef(means[0][there, t], means[1][there, t])[0, 1] for t in range(USABLE)]
    np.testing.assert_allclose(result.ceilings["inter-subject"][:USABLE], expected, atol=1e-4)


def test_subjects_of_a_group_may_lack_different_rows(lab, store):
    write_nan(lab, "A", train={}, test={at: [12] for at in range(4)})
    results = [run_encoding(request_for(lab, subject=name), store) for name in ("A", "B")]
    assert Group.of(results).n_subjects == 2


# ---- what cannot be scored ---------------------------------------------------------------------


def fill(lab, story, value, rows=slice(None), key="data"):
    with h5py.File(lab.folder / "responses" / "A" / f"{story}.hf5", "a") as file:
        file[key][rows] = value


def test_a_story_without_any_number_is_refused(lab):
    fill(lab, "fox", np.nan)
    with pytest.raises(InputError, match=r"fox.hf5 holds NaN in every used row \(1 to 45\)"):
        plan_encoding(request_for(lab))


def test_nothing_to_score_is_an_error_before_features_are_computed(lab, store):
    for target in range(N_TARGETS):
        with h5py.File(lab.folder / "responses" / "A" / "fox.hf5", "a") as file:
            file["data"][10 + target, target] = np.nan if target % 2 else np.inf
    with pytest.raises(
        InputError, match=r"no target could get a score: of 12, 0 are NaN"
    ) as caught:
        run_encoding(request_for(lab), store)
    assert "censored row must be NaN in every target" in caught.value.hint
    assert not (store.root / "features").exists()


def test_responses_that_do_not_vary_are_no_success(lab, store):
    for story in ("fox", "crow", "stone", "well"):
        fill(lab, story, 1.0)
    fill(lab, "well", 1.0, key="individual_repeats")
    with pytest.raises(InputError, match="no target could get a score"):
        run_encoding(request_for(lab), store)


def test_a_constant_model_gives_no_empty_result(lab, store, monkeypatch):
    """Predictions that do not vary correlate with nothing: nothing is stored as a result."""
    from braindash.encoding import run

    def constant(stories, features, layer, high_pass):
        return np.zeros((sum(story.n_rows for story in stories), 1), np.float32)

    monkeypatch.setattr(run, "layer_features", constant)
    with pytest.raises(InputError, match=r"no layer of acoustic:energy has a score"):
        run_encoding(request_for(lab), store)
    assert not list(store.root.glob("encoding/*/spec.json"))
    assert not list(store.root.glob("predictions/*/spec.json"))


def test_targets_with_gaps_of_their_own_are_counted(lab, store):
    fill(lab, "crow", np.inf, (4, 2))
    result = run_encoding(request_for(lab), store)
    (told,) = [text for text in result.provenance["warnings"] if "get no score" in text]
    # The lab's own gap is in every story.
    assert told.startswith("2 of 12 targets get no score") and "crow 2, fox 1" in told
    assert np.isnan(result.r[:, [2, NAN_TARGET]]).all() and np.isfinite(result.r[:, 3]).all()


def test_rows_of_zeros_are_told(lab):
    fill(lab, "fox", 0.0, slice(10, 13))
    told = plan_encoding(request_for(lab)).warnings
    assert any(
        text.startswith("3 rows are 0 in every target and count as data (fox 3)") for text in told
    )


def test_a_story_in_which_nothing_varies_is_told(lab):
    fill(lab, "fox", 3.0)
    told = plan_encoding(request_for(lab)).warnings
    assert any(text.startswith("no target varies in the stories fox, which count") for text in told)


def test_marks_of_other_programs_are_refused_before_a_run(lab, store):
    fill(lab, "fox", -9999.0, slice(7, 10, 2))
    with pytest.raises(InputError, match=r"fox\.hf5: 2 rows are -9999 in every target \(7, 9\)"):
        run_encoding(request_for(lab), store)
    fill(lab, "fox", np.nan, slice(7, 10, 2))
    fill(lab, "well", 1e20, (2, 12), key="individual_repeats")
    with pytest.raises(InputError, match=r"well\.hf5, repeat 2: 1 row is 1e\+20"):
        run_encoding(request_for(lab), store)


def test_a_test_story_needs_rows_to_score(lab):
    with h5py.File(lab.folder / "responses" / "A" / "well.hf5", "a") as file:
        file["individual_repeats"][:, :43] = np.nan
    with pytest.raises(InputError, match=r"the test story 'well' has 1 rows to score"):
        plan_encoding(request_for(lab))


def test_a_constant_test_story_and_few_rows_are_told_before_the_run(lab):
    with h5py.File(lab.folder / "responses" / "A" / "well.hf5", "a") as file:
        file["individual_repeats"][:, :33] = np.nan
    told = plan_encoding(request_for(lab)).warnings
    assert any("scores are of 11 test rows only" in text for text in told)
    fill(lab, "well", 2.0)
    with h5py.File(lab.folder / "responses" / "A" / "well.hf5", "a") as file:
        file["individual_repeats"][:] = 2.0
    with pytest.raises(InputError, match=r"the test stories \('well'\) do not vary"):
        plan_encoding(request_for(lab))


def test_an_empty_repeat_is_left_out_of_the_ceiling(lab, store):
    with h5py.File(lab.folder / "responses" / "A" / "well.hf5", "a") as file:
        file["individual_repeats"][2] = np.nan
    result = run_encoding(request_for(lab), store)
    assert np.isfinite(result.r[:, 0]).all() and result.n_scored_rows == 43
    assert 0 < result.ceilings["repeats"][0] <= 1
