"""Weights beside a result: which layer, from what is stored, and the predictions that it has."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.stored import CountedStore

from braindash.core.ridge.weights import RidgeWeights
from braindash.core.scores import zscore
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.encoding.sounds import keep
from braindash.encoding.sounds.kept import (
    best_layer,
    find_weights,
    kept_layers,
    require_keepable,
)
from braindash.encoding.sounds.predict import Predictor, respond
from braindash.errors import InputError, ModelError, StoreError
from braindash.io.dataset.audio import load_audio
from braindash.io.entries import predictions_key_of
from braindash.io.store import Store
from braindash.progress import NoProgress
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import preflight, run_job
from braindash.work.submit import job_key

QUICK = {"alphas": (1.0, 100.0, 10000.0), "n_permutations": 0, "n_bootstraps": 0}


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "strategy": "chunk"}
    return build_request(EncodeRequest, **(fields | QUICK | changes))


@pytest.fixture(scope="module")
def computed(tmp_path_factory, quick_model):
    """A lab and a store with a result without weights, to be looked at only."""
    folder = tmp_path_factory.mktemp("keeping")
    lab = make_lab(folder / "lab", quick_model, seconds=SHORT_STORIES)
    store = Store(folder / "store")
    return lab, store, run_encoding(request_for(lab), store)


@pytest.fixture
def store(computed, tmp_path):
    shutil.copytree(computed[1].root, tmp_path / "store")
    return CountedStore(tmp_path / "store")


def stored_prediction(store, result, layer):
    entry = store.get("predictions", predictions_key_of(result))
    with h5py.File(entry.result_file) as file:
        return file["prediction"][layer] * file["prediction_scale"][layer]


# ---- which layer ---------------------------------------------------------------------------------


def test_the_best_layer_has_the_highest_mean_of_targets_that_all_layers_score():
    nan = np.nan
    assert best_layer([[0.1, 0.3, nan], [0.2, 0.3, 0.9], [0.1, 0.1, 0.9]]) == 1
    assert best_layer([[0.2, nan], [0.2, 5.0], [0.1, 0.1]]) == 0  # a tie: the first
    assert best_layer([[nan, nan], [0.1, 0.2], [0.2, 0.2]]) == 2  # no score at all: left out
    with pytest.raises(InputError, match="no target has a cross-validation score"):
        best_layer([[nan, 0.2], [0.1, nan]])


def test_best_is_chosen_in_training_never_by_the_test_story(computed, store):
    lab, _, result = computed
    run_encoding(request_for(lab, keep_weights="best"), store)
    (layer,) = kept_layers(result, store)
    scores = result.dataset["cv_score"].transpose("layer", "target").values
    usable = np.isfinite(scores).all(axis=0)
    assert layer == scores[:, usable].mean(axis=1).argmax()
    weights = find_weights(result, store)
    assert weights.told["chosen_by"] == "cross-validation in training"


# ---- beside the result ---------------------------------------------------------------------------


def test_weights_change_no_key_and_a_stored_result_gets_them_alone(computed, store):
    lab, _, result = computed
    before = {path.name for path in store.root.iterdir()}
    plain, asked = (plan_encoding(request_for(lab, keep_weights=one)) for one in (None, 1))
    assert plain.spec.key() == asked.spec.key() == result.key
    again = run_encoding(request_for(lab, keep_weights="1"), store)
    assert again.key == result.key
    np.testing.assert_array_equal(again.r, result.r)
    assert {path.name for path in store.root.iterdir()} - before <= {"weights", "tmp", "parts"}
    assert not list((store.root / "parts").rglob("*.nc"))  # no layer was fitted for scores
    assert kept_layers(result, store) == (1,)
    written = store.folder("weights", find_weights(result, store).key).stat().st_mtime_ns
    run_encoding(request_for(lab, keep_weights=1), store)  # there already
    assert store.folder("weights", find_weights(result, store).key).stat().st_mtime_ns == written


def test_a_run_that_is_killed_goes_on_behind_the_targets_it_finished(
    computed, store, tmp_path, monkeypatch
):
    lab, made, result = computed
    monkeypatch.setattr(keep, "READ_COLUMNS", 5)
    fitted, seen = RidgeWeights.blocks, []

    def stopped(self, Y, alpha, within):
        seen.append(within)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return fitted(self, Y, alpha, within)

    monkeypatch.setattr(RidgeWeights, "blocks", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_encoding(request_for(lab, keep_weights=1), store)
    assert len(list((store.root / "parts" / "weights").rglob("*.nc"))) == 1
    run_encoding(request_for(lab, keep_weights=1), store)
    assert [one.start for one in seen] == [0, 5, 5, 10]
    assert not list((store.root / "parts").rglob("*.nc"))
    shutil.copytree(made.root, tmp_path / "other")
    monkeypatch.undo()
    whole = Store(tmp_path / "other")
    run_encoding(request_for(lab, keep_weights=1), whole)
    one, other = (find_weights(result, place).entry for place in (store, whole))
    for name in ("weights", "scale", "offset", "feature_mean"):
        np.testing.assert_allclose(one.read(name), other.read(name), rtol=1e-3, atol=1e-6)
    assert one.provenance["float16"] == pytest.approx(other.provenance["float16"], rel=0.2)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "model": "acoustic:logmel",
            "subject": "mean",
            "high_pass": 20.0,
            "history": "full",
            "intercept": False,
            "penalty": "shared",
            "delays": (0, 2, 3),
        },
    ],
)
def test_they_predict_what_the_result_predicted_for_its_test_story(computed, store, changes):
    """From the story's own recording, through the project's reader and the opened model."""
    lab = computed[0]
    layer = 0 if "model" in changes else 2
    result = run_encoding(request_for(lab, keep_weights=layer, **changes), store)
    weights = find_weights(result, store)
    (story,) = plan_encoding(request_for(lab, **changes)).test
    features = Predictor(weights).features(load_audio(story.audio), story.times)
    found, n_heard = respond(weights, zscore(features))
    expected = stored_prediction(store, result, layer)
    spread = expected.std(axis=0)
    usable = np.isfinite(spread)
    assert usable.sum() == 10 and np.isnan(found[:, ~usable]).all()
    share = np.sqrt(np.square(found - expected).mean(axis=0)) / spread
    told = weights.told["float16"]
    # What is stored of the predictions is rounded to 16 bits as well.
    assert share[usable].max() < told["share_largest"] + 1e-3
    assert 0 < told["share_median"] <= told["share_largest"] < 2e-3
    assert weights.told["stored"]["share_largest"] < 1e-3
    assert n_heard.tolist()[:1] == [int(0 in weights.delays)]


def test_the_statistics_are_those_of_the_training_stories(computed, store):
    lab, _, result = computed
    run_encoding(request_for(lab, keep_weights=1), store)
    stories = [
        store.get("features", one.extraction.key()).read("features", 1).astype(float)
        for one in plan_encoding(request_for(lab)).train
    ]
    weights = find_weights(result, store)
    mean, spread = weights.statistics
    np.testing.assert_allclose(mean, np.concatenate(stories).mean(axis=0), rtol=1e-6)
    centred = np.concatenate([one - one.mean(axis=0) for one in stories])
    np.testing.assert_allclose(spread, centred.std(axis=0), rtol=1e-6)
    told = {"name": "silence", "start": 0.0, "stop": 3.0, "altered": {"how": "as-is"}}
    made = Predictor(weights).predict(np.zeros(3 * 16000), told)
    assert np.isfinite(made.values).all(axis=0).sum() == 10
    # Another layer beside it, of which the best in training is taken.
    run_encoding(request_for(lab, keep_weights=2), store)
    assert kept_layers(result, store) == (1, 2)
    scores = result.dataset["cv_score"].transpose("layer", "target").values
    assert find_weights(result, store).layer == 1 + best_layer(scores[1:])
    assert find_weights(result, store, 1).layer == 1
    with pytest.raises(InputError, match="has no layer 7"):
        find_weights(result, store, 7)


# ---- what it takes, and by the worker ------------------------------------------------------------


def test_the_check_before_says_what_weights_take_and_a_job_keeps_them(computed, store):
    lab, _, result = computed
    plain, asked = request_for(lab), request_for(lab, keep_weights="best")
    (told, beside) = preflight(asked, store).lines()
    layer = best_layer(result.dataset["cv_score"].transpose("layer", "target").values)
    assert "Already computed" in told and f"Weights of layer {layer} are kept beside" in beside
    new = preflight(request_for(lab, keep_weights="best", high_pass=9.0), store)
    assert not new.cached and any("Weights of the best layer" in line for line in new.lines())
    # A job that keeps weights is none that is done without.
    assert job_key(result.key, plain) == result.key != job_key(result.key, asked)
    document = asked.model_dump(mode="json") | {"promised": plan_encoding(asked).spec.canonical()}
    made = run_job("encode", document, store.root, NoProgress())
    assert made["keys"] == [result.key]
    assert made["also"] == {"kind": "weights", "keys": [find_weights(result, store).key]}
    assert len(preflight(asked, store).lines()) == 1


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [True, -1, "-1", "last", 1.5])
def test_only_a_layer_or_the_best_can_be_asked_for(given):
    with pytest.raises(InputError, match="keep_weights"):
        build_request(EncodeRequest, data="m.toml", model="m", subject="A", keep_weights=given)


def test_a_layer_that_the_model_has_not_is_refused_before_any_work(computed):
    with pytest.raises(InputError, match="layer 3 are asked for, but the model has layers 0 to 2"):
        plan_encoding(request_for(computed[0], keep_weights=3))


def test_a_story_scored_within_itself_has_no_weights(computed, store):
    with pytest.raises(InputError, match="as many fits as blocks"):
        require_keepable("best", 3, within=True)
    inner = {"kind": "within-story", "n_blocks": 5, "gap_rows": 10}
    result = replace(computed[2], spec=computed[2].spec | {"within": inner})
    with pytest.raises(InputError, match="was scored within one story"):
        find_weights(result, store)


def test_missing_weights_name_the_command_that_makes_them(computed, store):
    lab, _, result = computed
    with pytest.raises(InputError, match="no weights of the result") as caught:
        find_weights(result, store)
    assert "--keep-weights best" in caught.value.hint and str(lab.manifest) in caught.value.hint
    run_encoding(request_for(lab, keep_weights=1), store)
    with pytest.raises(InputError, match="no weights of layer 2") as caught:
        find_weights(result, store, 2)
    assert "--keep-weights 2" in caught.value.hint


def test_damaged_weights_are_set_aside_and_made_again(computed, store):
    lab, _, result = computed
    run_encoding(request_for(lab, keep_weights=1), store)
    file = store.get("weights", find_weights(result, store).key).result_file
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    with pytest.raises(StoreError, match="damaged") as caught:
        find_weights(result, store)
    assert "--keep-weights 1" in caught.value.hint
    run_encoding(request_for(lab, keep_weights=1), store)
    assert find_weights(result, store).layer == 1


def test_weights_of_another_version_say_which(computed, store):
    lab, _, result = computed
    run_encoding(request_for(lab, keep_weights=1), store)
    folder = store.folder("weights", find_weights(result, store).key)
    spec = json.loads((folder / "spec.json").read_text()) | {"version": 2}
    (folder / "spec.json").write_text(json.dumps(spec))
    folder.rename(folder.with_name("0" * 32))
    with pytest.raises(InputError, match="are of version 2; this braindash reads version 1"):
        find_weights(result, store)


def test_a_model_that_is_gone_or_another_is_told(computed, store, tmp_path):
    lab, _, result = computed
    model = tmp_path / "model"
    shutil.copytree(lab.model, model)
    run_encoding(request_for(lab, keep_weights=1, model=str(model)), store)
    weights = find_weights(result, store)
    assert weights.told["model"]["source"] == str(model.resolve())
    model.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match="not there any more") as caught:
        _ = Predictor(weights).files
    assert "--model" in caught.value.hint
    assert Predictor(weights, str(tmp_path / "moved")).files.n_layers == 3
    with pytest.raises(ModelError, match="what lies there now is another model"):
        _ = Predictor(weights, f"untrained:{tmp_path / 'moved'}").files
