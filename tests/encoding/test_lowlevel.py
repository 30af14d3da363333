"""How much low-level features explain: from a request to the table of shares."""

import shutil

import numpy as np
import pytest
import xarray as xr
from kit.data.toy_lab import CONSTANT_TARGET, NAN_TARGET, make_lab
from kit.results.stored import parts_of
from scipy import stats
from sklearn.linear_model import Ridge

from braindash.core.scores import zscore
from braindash.core.timing import delayed
from braindash.encoding.plan import plan_encoding
from braindash.encoding.responses import StoryResponses
from braindash.encoding.run import run_encoding
from braindash.encoding.shares import low_level_line, low_level_shares, variance_parts
from braindash.errors import BraindashError, Cancelled
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request

ALPHA = 50.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory, quick_model):
    return make_lab(tmp_path_factory.mktemp("lowlevel"), quick_model)


@pytest.fixture(scope="module")
def filled(lab, tmp_path_factory):
    """A store with a result that did not ask for low-level features."""
    store = Store(tmp_path_factory.mktemp("filled"))
    return store, run_encoding(request_for(lab, low_level=None), store)


@pytest.fixture
def store(filled, tmp_path):
    shutil.copytree(filled[0].root, tmp_path / "store")
    return Store(tmp_path / "store")


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "strategy": "chunk"}
    settings = {"alphas": (ALPHA,), "low_level": "residual", "n_permutations": 20}
    return build_request(EncodeRequest, **(fields | settings | {"n_bootstraps": 50} | changes))


def features_of(store, stories, layer):
    """Features of each story as they are in the store, z-scored."""
    found = []
    for story in stories:
        with store.get("features", story.extraction.key()).open() as dataset:
            found.append(zscore(dataset["features"].values[layer]))
    return found


def test_residual_scores_equal_a_literal_recomputation(lab, store):
    result = run_encoding(request_for(lab), store)
    plan = plan_encoding(request_for(lab))
    n_train = len(plan.train)
    low = features_of(store, plan.low_level.stories, 0)
    groups = np.repeat(np.arange(n_train), [len(part) for part in low[:n_train]])
    trained, tested = (
        StoryResponses(stories, standardise=plan.spec.standardise_responses)
        for stories in (plan.train, plan.test)
    )
    measured, responses = tested.mean()[tested.scored], trained.train()
    for layer in range(result.n_layers):
        own = features_of(store, plan.stories, layer)
        known = Ridge(alpha=ALPHA).fit(np.concatenate(low[:n_train]), np.concatenate(own[:n_train]))
        left = [zscore(a - known.predict(b)) for a, b in zip(own, low, strict=True)]
        design = delayed(np.concatenate(left[:n_train]), groups=groups)
        test = delayed(np.concatenate(left[n_train:]))[tested.scored]
        for target in range(NAN_TARGET):
            fit = Ridge(alpha=ALPHA).fit(design, responses[:, target])
            expected = stats.pearsonr(fit.predict(test), measured[:, target])[0]
            found = float(result.dataset["residual_r"][layer, target])
            assert found == pytest.approx(expected, abs=2e-4)
    assert np.isnan(result.dataset["residual_r"][:, [NAN_TARGET, CONSTANT_TARGET]]).all()


def test_the_table_is_the_share_of_region_means(lab, store):
    result = run_encoding(request_for(lab), store)
    table = low_level_shares(result).set_index("layer")
    for layer in range(result.n_layers):
        r = np.nanmean(result.r[layer])
        left = np.nanmean(result.dataset["residual_r"][layer])
        assert table["share"][layer] == pytest.approx(1 - left / r, abs=1e-6)
        assert table["low"][layer] < table["high"][layer]
    assert set(table["method"]) == {"residual"} and set(table["space"]) == {"acoustic:lowlevel"}
    assert "ridge" in low_level_line(result) and "bootstrap" in low_level_line(result)


def test_banded_shares_add_up(lab, store):
    result = run_encoding(request_for(lab, low_level="banded"), store)
    data = result.dataset
    np.testing.assert_allclose(data["model_r2"] + data["low_r2"], data["joint_r2"], atol=1e-5)
    np.testing.assert_allclose(
        data["model_unique_r2"] + data["low_unique_r2"] + data["shared_r2"],
        data["joint_r2"],
        atol=1e-5,
    )
    table = low_level_shares(result)
    expected = table["low_r2"] / table["joint_r2"]
    np.testing.assert_allclose(table["share"], expected, atol=1e-6)
    assert table[["low", "high"]].isna().all(axis=None)
    assert "banded" in low_level_line(result)


def test_several_spaces_are_taken_out_together(lab, store):
    """As one space that has the columns of both: here of the space that is made of its parts."""
    parts = "acoustic:logmel + acoustic:energy+acoustic:pitch"
    whole = run_encoding(request_for(lab), store)
    found = run_encoding(request_for(lab, low_level_space=parts), store)
    assert found.key != whole.key
    assert found.spec["low_level"]["space"] == parts.replace(" ", "")
    np.testing.assert_allclose(found.dataset["residual_r"], whole.dataset["residual_r"], atol=1e-5)


def test_variance_is_divided_among_three_spaces(lab, store):
    spaces = "acoustic:logmel+acoustic:energy"
    result = run_encoding(request_for(lab, low_level="banded", low_level_space=spaces), store)
    parts = variance_parts(result)
    low = ("acoustic:logmel", "acoustic:energy")
    assert len(parts) == 7 and (result.model, *low) in parts
    joint = result.dataset["joint_r2"].values
    np.testing.assert_allclose(sum(parts.values()), joint, atol=1e-5)
    np.testing.assert_allclose(
        parts[result.model,], result.dataset["model_unique_r2"].values, atol=1e-6
    )
    # The model alone is its own ridge: so much is not of the low-level spaces only.
    plan = plan_encoding(request_for(lab, low_level="banded", low_level_space=spaces))
    n_train = len(plan.train)
    own = features_of(store, plan.stories, 1)
    groups = np.repeat(np.arange(n_train), [len(part) for part in own[:n_train]])
    low_own = [features_of(store, stories, 0) for _, stories in plan.low_level.spaces]
    sizes = [
        float((delayed(np.concatenate(one[:n_train]), groups=groups) ** 2).sum())
        for one in (own, *low_own)
    ]
    trained, tested = (
        StoryResponses(stories, standardise=plan.spec.standardise_responses)
        for stories in (plan.train, plan.test)
    )
    measured, responses = tested.mean()[tested.scored], trained.train()
    design = delayed(np.concatenate(own[:n_train]), groups=groups)
    test = delayed(np.concatenate(own[n_train:]))[tested.scored]
    target = 2
    fit = Ridge(alpha=ALPHA * sizes[0] / sum(sizes)).fit(design, responses[:, target])
    y = measured[:, target] - measured[:, target].mean()
    p = fit.predict(test)
    alone = 1 - ((y - (p - p.mean())) ** 2).sum() / (y**2).sum()
    assert float(result.dataset["alone_r2"][1, 0, target]) == pytest.approx(alone, abs=1e-3)
    of_low = sum(values for which, values in parts.items() if result.model not in which)
    assert of_low[1, target] == pytest.approx(joint[1, target] - alone, abs=1e-3)
    np.testing.assert_allclose(of_low, result.dataset["low_unique_r2"].values, atol=1e-5)


def test_two_spaces_have_three_parts(lab, store):
    result = run_encoding(request_for(lab, low_level="banded"), store)
    parts = variance_parts(result)
    assert list(parts) == [
        (result.model,),
        ("acoustic:lowlevel",),
        (result.model, "acoustic:lowlevel"),
    ]
    np.testing.assert_allclose(
        parts[result.model, "acoustic:lowlevel"], result.dataset["shared_r2"].values, atol=1e-5
    )
    assert variance_parts(run_encoding(request_for(lab), store)) is None


def test_what_is_low_level_itself_has_nothing_left(lab, store):
    request = request_for(
        lab, model="acoustic:energy", alphas=(1e-3, 1.0, ALPHA), low_level_space="acoustic:lowlevel"
    )
    table = low_level_shares(run_encoding(request, store))
    assert (table["r"] > 0.2).all()  # the toy responses follow the envelope
    assert (table["share"] > 0.5).all()


def test_the_predictions_are_not_fitted_again(lab, store, filled):
    result = run_encoding(request_for(lab), store)
    assert result.key != filled[1].key
    assert result.provenance["predictions"] == filled[1].provenance["predictions"]
    np.testing.assert_array_equal(result.r, filled[1].r)
    assert low_level_shares(filled[1]) is None


class StopAt:
    def __init__(self, words):
        self.words = words

    def advance(self, done, total, message):
        if self.words in message:
            raise Cancelled


def test_a_stopped_run_goes_on_at_the_next_layer(lab, store, monkeypatch):
    with pytest.raises(Cancelled):
        run_encoding(request_for(lab), store, StopAt("layer 1 of 2 and low-level features"))
    key = plan_encoding(request_for(lab)).spec.key()
    assert list(parts_of(store, "encoding", key)) == ["layer-000"]
    before = parts_of(store, "encoding", key)["layer-000"]
    resumed = run_encoding(request_for(lab), store)
    np.testing.assert_array_equal(resumed.dataset["residual_r"][0], before["residual_r"])
    fresh = run_encoding(request_for(lab), Store(store.root.parent / "fresh"))
    xr.testing.assert_allclose(resumed.dataset, fresh.dataset, atol=1e-6)
    assert not list((store.root / "parts").rglob("*.nc"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"low_level": "magic"}, "low_level"),
        ({"low_level_space": "acoustic:nothing"}, "nothing"),
        ({"model": "acoustic:lowlevel"}, "cannot be taken out"),
        ({"low_level_space": "acoustic:mfcc+acoustic:nothing"}, "nothing"),
        ({"low_level_space": "acoustic:mfcc+"}, "no space beside"),
    ],
)
def test_what_cannot_be_taken_out_is_refused(lab, fields, words):
    with pytest.raises(BraindashError, match=words) as caught:
        plan_encoding(request_for(lab, **fields))
    assert caught.value.hint


def test_a_model_cannot_be_low_level(lab):
    with pytest.raises(BraindashError, match="cannot be taken out"):
        plan_encoding(request_for(lab, low_level_space=str(lab.model)))
