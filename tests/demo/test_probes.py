"""What the embedded demo probes, and how its job reports both kinds of results."""

import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from kit.results.made_up import put_result
from kit.results.made_up_probing import put_probing

from braindash.demo import (
    ANNOTATION_FOLDER,
    AUDIO_FOLDER,
    TEST_STORIES,
    TRAIN_STORIES,
    VALID_STORIES,
    load_lexicon,
    results,
)
from braindash.demo import run as demo
from braindash.demo.requests import (
    SCORED_MODELS,
    SUBJECTS,
    UNHEARD_STORIES,
    demo_categories,
    demo_identity,
    demo_probe_requests,
)
from braindash.files import replace_json
from braindash.io.labels.words import read_word_categories
from braindash.io.store import Store
from braindash.parts import Order, Part
from braindash.probing.plan import plan_probing
from braindash.probing.result import questions_digest
from braindash.progress import NoProgress
from braindash.work import kinds as tasks

MANIFEST = f"""
[dataset]
name = "demo"
format = 1
simulated = true
audio_dir = "{AUDIO_FOLDER}"
alignment_dir = "{ANNOTATION_FOLDER}"

[timing]
tr = 2.0

[responses]
path = "{{subject}}-{{story}}.h5"
key = "data"
space = "roi"
zscored = "run"

[[subjects]]
id = "S1"

[splits]
test = ["demo_test_01"]
train = ["demo_train_01"]
"""


@pytest.fixture
def manifest(tmp_path):
    """The shipped stories, with responses that nobody needs here."""
    for story in (*TEST_STORIES, "demo_train_01"):
        with h5py.File(tmp_path / f"S1-{story}.h5", "w") as file:
            file["data"] = np.zeros((100, 2))
    path = tmp_path / "manifest.toml"
    path.write_text(MANIFEST)
    return path


def test_probes_hear_only_stories_that_no_model_was_trained_on():
    assert not set(UNHEARD_STORIES) & {*TRAIN_STORIES, *VALID_STORIES}
    assert len(UNHEARD_STORIES) == 5


def test_both_models_and_both_controls_are_asked_the_same(manifest):
    demo_categories(manifest.parent)
    requests = demo_probe_requests(manifest)
    assert len(requests) == len(SCORED_MODELS) + 2
    plans = [plan_probing(request) for request in requests]
    assert len({questions_digest(plan.spec.canonical()) for plan in plans}) == 1
    assert len({plan.spec.key() for plan in plans}) == len(plans)
    assert all(plan.simulated for plan in plans)
    names = [question.info.name for question in plans[0].questions]
    assert {"mfcc", "phone", "word", "category"} <= set(names)
    category = plans[0].questions[names.index("category")]
    lexicon = load_lexicon()
    assert set(category.answers[category.keep]) == set(lexicon.noun_categories)
    assert category.keep.sum() > 500


def test_the_categories_are_those_of_the_nouns_and_written_once(tmp_path):
    path = demo_categories(tmp_path)
    written = path.stat().st_mtime_ns
    lexicon = load_lexicon()
    found = read_word_categories(path)
    assert set(found.values()) == set(lexicon.noun_categories)
    assert all(lexicon.category_of[word] == name for word, name in found.items())
    assert demo_categories(tmp_path) == path and path.stat().st_mtime_ns == written
    path.write_text("damaged")
    assert read_word_categories(demo_categories(tmp_path)) == found


def test_the_demo_gives_encodings_and_probes_and_its_progress_only_grows(
    manifest, tmp_path, monkeypatch
):
    shares, written = [], []

    class Reports:
        def advance(self, done, total, message):
            shares.append(done / total)

    def pretend(kind):
        class Pretended:
            def __init__(self, plan, store):
                self._key = f"{kind} {plan}"

            def order(self):
                return Order("none:none", {})

            def parts(self):
                return [Part(self._key, kind, lambda progress: None, lambda: False, 0.1)]

            def result(self):
                return SimpleNamespace(key=self._key)

        return Pretended

    monkeypatch.setattr(demo, "prepare_demo", lambda folder, progress: manifest)
    for kind, run in (("encoding", "EncodingRun"), ("probing", "ProbingRun")):
        monkeypatch.setattr(demo, run, pretend(kind))
        monkeypatch.setattr(
            demo, f"plan_{kind}", lambda request, like=None: request.model_dump_json()
        )
    monkeypatch.setattr(results, "replace_json", lambda path, document: written.append(document))
    made = demo.run_demo(Store(tmp_path), Reports())
    assert len(made.encodings) == len(SUBJECTS) * len(SCORED_MODELS)
    assert len(made.probings) == len(SCORED_MODELS) + 2
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert written[0]["identity"] == demo_identity()
    assert [written[0][kind] for kind in ("encoding", "probing")] == [
        [one.key for one in kind] for kind in made
    ]
    told = tasks.run_job("demo", {}, tmp_path, NoProgress())
    assert told["kind"] == "encoding" and len(told["keys"]) == len(made.encodings)
    assert told["also"]["kind"] == "probing" and len(told["also"]["keys"]) == len(made.probings)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A store in which the demo came to its end, with two made-up results."""
    store = Store(tmp_path / "store")
    keys = {"encoding": [put_result(store, space="roi")], "probing": [put_probing(store).key]}
    replace_json(store.demo_folder / "results.json", {"identity": demo_identity()} | keys)

    def prepare(folder, progress):
        raise RuntimeError("the data would be prepared")

    monkeypatch.setattr(demo, "prepare_demo", prepare)
    return store, keys


def test_a_finished_demo_is_opened_without_reading_its_files(finished):
    store, keys = finished
    found = demo.run_demo(store)
    assert {"encoding": [found.encodings[0].key], "probing": [found.probings[0].key]} == keys


@pytest.mark.parametrize("change", ["identity", "result", "file", "no JSON"])
def test_a_demo_that_lacks_something_is_computed(finished, change):
    store, keys = finished
    noted = store.demo_folder / "results.json"
    if change == "identity":
        replace_json(noted, {"identity": "of another version"} | keys)
    elif change == "result":
        shutil.rmtree(store.root / "probing")
    elif change == "file":
        noted.unlink()
    else:
        noted.write_text("[1]")
    with pytest.raises(RuntimeError, match="would be prepared"):
        demo.run_demo(store)
