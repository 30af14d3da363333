"""The null panel, rows without full history and shared penalties: from a request to the tables."""

import numpy as np
import pytest
from kit.data.toy_lab import CONSTANT_TARGET, NAN_TARGET, make_lab
from kit.results.made_up import made_up_result
from scipy import stats
from sklearn.linear_model import Ridge

from braindash.core.scores import zscore
from braindash.core.timing import delayed, rows_without_history
from braindash.encoding.nulls.panel import NULLS, null_line, null_panel, null_warnings
from braindash.encoding.plan import penalty_pools, plan_encoding
from braindash.encoding.responses import StoryResponses
from braindash.encoding.run import run_encoding
from braindash.encoding.several.comparison import compare
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.specs import EncodingSpec, NullPanelSettings

ALPHA = 50.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory, quick_model):
    return make_lab(tmp_path_factory.mktemp("nulls"), quick_model)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "strategy": "chunk"}
    settings = {"alphas": (ALPHA,), "n_permutations": 0, "n_bootstraps": 20}
    return build_request(EncodeRequest, **(fields | settings | changes))


@pytest.fixture(scope="module")
def panel(lab, store):
    return run_encoding(request_for(lab, null_panel=True), store)


def literal_r(plan, make, target):
    """Fit and score a null by scikit-learn."""
    trained, tested = (
        StoryResponses(stories, standardise=plan.spec.standardise_responses)
        for stories in (plan.train, plan.test)
    )
    train = np.concatenate([zscore(make(story)) for story in plan.train])
    test = np.concatenate([zscore(make(story)) for story in plan.test])
    fit = Ridge(alpha=ALPHA).fit(
        delayed(train, groups=trained.story_index)[trained.kept], trained.train()[:, target]
    )
    scored = tested.scored
    predicted = fit.predict(delayed(test, groups=tested.story_index)[scored])
    return stats.pearsonr(predicted, tested.mean()[scored, target])[0]


def test_every_null_is_scored_as_a_layer_is(lab, store, panel):
    names = [str(name) for name in panel.dataset["null"].values]
    assert names == list(NULLS)
    plan, layer = plan_encoding(request_for(lab, null_panel=True)), int(panel.dataset["null_layer"])
    assert layer == np.nanmedian(panel.r[:, :10], axis=1).argmax()
    found = {name: panel.dataset["null_r"].sel(null=name).values for name in names}
    assert np.isnan(found["constant"]).all(), "it does not vary"
    assert all(np.isnan(one[[NAN_TARGET, CONSTANT_TARGET]]).all() for one in found.values())

    def features(story):
        return store.get("features", story.extraction.key()).read("features", layer)

    def shifted(story):  # stories are shorter than twice the shift
        return np.roll(features(story), len(features(story)) // 2, axis=0)

    for target in (0, 5):
        ramp = literal_r(plan, lambda story: story.times[:, None].astype(np.float32), target)
        assert found["ramp"][target] == pytest.approx(ramp, abs=2e-4)
        moved = literal_r(plan, shifted, target)
        assert found["time-shifted"][target] == pytest.approx(moved, abs=2e-4)
    by_name = {name: stories for name, _, stories in plan.nulls.controls}
    for name in ("layer-shuffled", "untrained"):
        stories = {story.name: story for story in by_name[name]}
        expected = literal_r(plan, lambda story, at=stories: features(at[story.name]), 0)
        assert found[name][0] == pytest.approx(expected, abs=2e-4)
    assert (found["layer-shuffled"] != found["untrained"])[:10].all()


def test_the_panel_changes_no_other_number_and_is_named(lab, store, panel):
    plain = run_encoding(request_for(lab), store)
    assert plain.key != panel.key and null_panel(plain) is None and null_warnings(plain) == []
    np.testing.assert_array_equal(plain.r, panel.r)
    assert plain.provenance["predictions"] == panel.provenance["predictions"], "one fit"
    table = null_panel(panel)
    assert list(table["null"].unique()) == list(NULLS) and set(table["region"]) == {"all targets"}
    row = table.set_index("null").loc["ramp"]
    r = panel.dataset["null_r"].sel(null="ramp").values
    assert row["null_r"] == pytest.approx(np.nanmean(r), abs=1e-6)
    assert row["null_median"] == pytest.approx(np.nanmedian(r), abs=1e-6)
    assert row["share"] == pytest.approx(row["null_r"] / row["model_r"])
    assert not table.set_index("null").loc["constant", "scored"]
    line = null_line(panel)
    assert "constant: no score" in line and "shifted by 180 s in a circle" in line
    assert f"ramp {np.nanmedian(r):+.3f}" in line


def test_an_acoustic_space_has_no_other_weights(lab, store):
    result = run_encoding(request_for(lab, model="acoustic:energy", null_panel=True), store)
    assert list(result.dataset["null"].values) == ["constant", "ramp", "onset", "time-shifted"]


def with_nulls(r, **nulls):
    """A made-up result with a panel; every target of a null has one r."""
    made = made_up_result(space="roi", null_panel=NullPanelSettings())
    names = list(nulls)
    values = np.array([np.full(made.n_targets, nulls[name]) for name in names])
    dataset = made.dataset.assign(null_r=(("null", "target"), values), null_layer=1)
    dataset["r"][1, 25:] = r
    return made.__class__(
        made.key, made.folder, made.spec, made.provenance, dataset.assign_coords(null=names)
    )


def test_time_alone_is_warned_of_where_it_reaches_a_share():
    told = null_warnings(with_nulls(0.2, ramp=0.03, onset=0.1, untrained=0.19))
    assert len(told) == 1, "an untrained model hears sound, and may score"
    assert "onset alone reaches r = 0.100, 50% of toy-model's 0.200 at layer 1" in told[0]
    assert "history 'full'" in told[0]
    assert not null_warnings(with_nulls(0.2, ramp=0.01, onset=0.03))
    assert "drift" in null_warnings(with_nulls(0.2, ramp=0.15))[0]


# ---- rows without full history ------------------------------------------------------------------


def test_rows_whose_delays_reach_before_the_story():
    assert rows_without_history((1, 2, 3, 4)) == 4 and rows_without_history((0,)) == 0


def test_rows_without_full_history_are_in_no_fit_and_no_score(lab, store):
    request = request_for(lab, history="full", delays=(1, 4))
    result, plan = run_encoding(request, store), plan_encoding(request)
    stories = {one.name: one for one in plan.train}
    for story in plan.stories:
        assert not story.kept[:4].any() and story.kept[4:].all()
    tested = StoryResponses(plan.test, standardise=plan.spec.standardise_responses)
    trained = StoryResponses(plan.train, standardise=plan.spec.standardise_responses)
    design, test = (
        delayed(
            np.concatenate(
                [zscore(store.get("features", one.extraction.key()).read("features", 1))
                 for one in part]
            ),
            delays=(1, 4),
            groups=responses.story_index,
        )
        for part, responses in ((plan.train, trained), (plan.test, tested))
    )  # fmt: skip
    fit = Ridge(alpha=ALPHA).fit(design[trained.kept], trained.train()[:, 0])
    expected = stats.pearsonr(fit.predict(test[tested.scored]), tested.mean()[tested.scored, 0])[0]
    assert result.r[1, 0] == pytest.approx(expected, abs=2e-4)
    assert result.n_scored_rows == tested.scored.sum()
    n_train = sum(int(one.kept.sum()) for one in stories.values())
    assert f"({n_train} rows)" in result.provenance_line()
    assert "rows without full delay history left out" in result.provenance_line()
    padded = run_encoding(request_for(lab, delays=(1, 4)), store)
    with pytest.raises(InputError, match="rows without full history"):
        compare([result], [padded])


# ---- penalties ----------------------------------------------------------------------------------


def test_a_shared_penalty_is_named_and_one_for_all(lab, store):
    alphas = (1.0, 100.0, 10000.0)
    shared = run_encoding(request_for(lab, alphas=alphas, penalty="shared"), store)
    for layer in shared.dataset["alpha"].values:
        assert len(set(layer[np.isfinite(layer)])) == 1
    assert "one alpha for all targets" in shared.provenance_line()
    each = run_encoding(request_for(lab, alphas=alphas), store)
    assert "one alpha" not in each.provenance_line()
    assert "penalty" in compare([shared], [each]).settings
    with pytest.raises(InputError, match="no regions are known"):
        plan_encoding(request_for(lab, penalty="region"))
    with pytest.raises(InputError, match="banded"):
        plan_encoding(request_for(lab, penalty="shared", low_level="banded"))


def test_regions_are_pools_and_other_targets_choose_for_themselves():
    pools = penalty_pools("region", "fsaverage5", 20484)
    assert pools.min() == -1 and pools.max() >= 3 and (pools == -1).any()
    assert penalty_pools("target", "roi", 5) is None
    np.testing.assert_array_equal(penalty_pools("shared", "roi", 5), np.zeros(5))


def test_older_specifications_keep_their_keys(panel):
    spec = EncodingSpec.from_canonical(panel.spec)
    usual = spec.model_copy(update={"null_panel": None}).canonical()
    assert not {"null_panel", "penalty", "pools", "history"} & set(usual)
    for change in ({"penalty": "shared"}, {"history": "full"}, {"null_panel": NullPanelSettings()}):
        other = spec.model_copy(update={"null_panel": None} | change)
        assert other.key() != spec.model_copy(update={"null_panel": None}).key()
    shared = spec.model_copy(update={"penalty": "shared"})
    assert shared.fit.key() != spec.fit.key() and spec.fit.key() == panel.provenance["predictions"]
