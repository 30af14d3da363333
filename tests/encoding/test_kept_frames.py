"""One run of a model for all who heard the same sound, whenever their rows were acquired."""

import h5py
import numpy as np
import pytest
import soundfile
from kit.data.toy_lab import make_lab

from braindash.encoding import features as making
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun, run_encoding
from braindash.errors import Cancelled, StoreError
from braindash.io.frames import opened_frames
from braindash.io.store import Store
from braindash.progress import NoProgress
from braindash.requests import EncodeRequest, build_request
from braindash.specs import FramesSpec
from braindash.speech import windows
from braindash.work import needs

STORIES = 4
LATER = '\n[[runs]]\nsubject = "B"\nstory = "*"\naudio_onset = -0.43\n'
QUICK = {"alphas": (1.0, 100.0, 1e4), "n_permutations": 0, "n_bootstraps": 0, "threads": 1}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model)


@pytest.fixture
def late(lab):
    """The lab, where the second subject's scanner started 0.43 s into the sound."""
    lab.manifest.write_text(lab.manifest.read_text() + LATER)
    return lab


@pytest.fixture
def passes(monkeypatch):
    """Recordings that were given to a model, and models that were opened for them."""
    from braindash.speech import models

    found: dict[str, list[str]] = {"heard": [], "opened": []}
    load, open_model = making.load_audio, models.open_model

    def loaded(path):
        found["heard"].append(path.stem)
        return load(path)

    def opened(files, **options):
        found["opened"].append(files.name)
        return open_model(files, **options)

    monkeypatch.setattr(making, "load_audio", loaded)
    monkeypatch.setattr(models, "open_model", opened)
    return found


def request_for(lab, subject="A", **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": subject} | QUICK
    return build_request(EncodeRequest, **(fields | {"strategy": "chunk"} | changes))


def features(request, store, progress=None, stories=None):
    """Make the features of a run and no more; by story."""
    plan = plan_encoding(request)
    wanted = [story for story in plan.stories if stories is None or story.name in stories]
    for part in EncodingRun(plan, store).parts():
        own = any(f"of {story.name} with" in part.label for story in wanted)
        if own and not part.done():
            part.make(progress or NoProgress())
    return {story.name: store.get("features", story.extraction.key()) for story in wanted}


def test_two_subjects_with_other_onsets_cost_one_run_of_the_model(late, store, passes):
    alone = Store(store.root.parent / "alone")
    requests = [request_for(late, one) for one in ("A", "B")]
    results = [run_encoding(request, store) for request in requests]
    assert len(passes["opened"]) == 1
    assert len(passes["heard"]) == len(set(passes["heard"])) == STORIES
    assert len(store.entries("features")) == 2 * STORIES
    assert len(store.entries("frames")) == STORIES
    direct = requests[1].model_copy(update={"keep_frames": False})
    again = run_encoding(direct, alone)
    assert again.key == results[1].key, "how rows were come by is no part of the key"
    np.testing.assert_allclose(results[1].r, again.r, atol=2e-4)
    ways = features(requests[1], store), features(direct, alone)
    for own, other in zip(*(way.values() for way in ways), strict=True):
        mine, theirs = own.read("features"), other.read("features")
        assert (np.abs(mine - theirs).max(axis=1) / theirs.std(axis=1)).max() < 3e-4
    assert not alone.entries("frames") and len(passes["heard"]) == 2 * STORIES


def test_causal_rows_are_the_very_same(late, store, monkeypatch):
    monkeypatch.setattr(windows, "_WINDOW", 17600)  # 1.1 s instead of 16.1 s
    alone = Store(store.root.parent / "alone")
    for subject in ("A", "B"):
        request = request_for(late, subject, strategy="exact")
        direct = request.model_copy(update={"keep_frames": False})
        kept = features(request, store, stories=["crow"])["crow"]
        other = features(direct, alone, stories=["crow"])["crow"]
        np.testing.assert_array_equal(kept.read("features"), other.read("features"))
        assert "frames" in kept.provenance and "frames" not in other.provenance
    assert len(store.entries("frames")) == 1 and not alone.entries("frames")


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ("", False),
        (LATER, True),
        ('\n[[runs]]\nsubject = "B"\nstory = "*"\ntr = 1.1\n', True),
        ('\n[[runs]]\nsubject = "B"\nstory = "*"\nscore_from_row = 3\n', False),
        ('\n[[runs]]\nsubject = "*"\nstory = "*"\naudio_onset = -0.43\n', False),
        (LATER.replace('"*"', '"fox"'), "fox"),
    ],
)
def test_frames_are_kept_where_somebody_has_other_times(lab, more, kept):
    lab.manifest.write_text(lab.manifest.read_text() + more)
    for subject in ("A", "B"):
        stories = plan_encoding(request_for(lab, subject)).stories
        wanted = {one.name for one in stories} if kept is True else {kept} - {False}
        assert {one.name for one in stories if one.frames is not None} == wanted


def test_somebody_who_heard_another_recording_or_nothing_is_no_reason(lab):
    samples, rate = soundfile.read(lab.folder / "audio/fox.wav")
    soundfile.write(lab.folder / "other.wav", samples[::-1], rate)
    own = LATER.replace('"*"', '"fox"') + 'audio = "other.wav"\n'
    lab.manifest.write_text(lab.manifest.read_text() + own)
    plan = plan_encoding(request_for(lab))
    assert all(story.frames is None for story in plan.stories)
    lab.manifest.write_text(lab.manifest.read_text().replace('audio = "other.wav"\n', ""))
    assert any(story.frames for story in plan_encoding(request_for(lab)).stories)
    (lab.folder / "responses/B/fox.hf5").unlink()
    assert all(story.frames is None for story in plan_encoding(request_for(lab)).stories)


def test_a_user_keeps_frames_for_what_comes_later(lab, store, passes):
    features(request_for(lab, keep_frames=True), store, stories=["fox"])
    lab.edit("tr = 1.0", "tr = 1.03")
    made = features(request_for(lab), store, stories=["fox"])  # used though nobody asked for them
    assert passes["heard"] == ["fox"] and "frames" in made["fox"].provenance
    lab.edit("tr = 1.03", "tr = 1.06")
    made = features(request_for(lab, keep_frames=False), store, stories=["fox"])
    assert passes["heard"] == ["fox", "fox"] and "frames" not in made["fox"].provenance


def test_rows_close_together_and_sound_alone_keep_no_frames(lab):
    stories = plan_encoding(request_for(lab, model="acoustic:energy", keep_frames=True)).stories
    assert all(story.frames is None for story in stories)
    lab.edit("tr = 1.0", "tr = 0.9")
    for strategy, kept in (("chunk", False), ("exact", True)):
        stories = plan_encoding(request_for(lab, strategy=strategy, keep_frames=True)).stories
        assert all((story.frames is not None) is kept for story in stories)


def test_a_run_stopped_in_a_recording_goes_on_with_it(late, store, passes):
    class Stop(NoProgress):
        def advance(self, done, total, message):
            if message.startswith("window 5 of"):
                raise Cancelled

    request = request_for(late)
    features(request, store, stories=["fox"])
    with pytest.raises(Cancelled):
        features(request, store, Stop(), stories=["fox", "crow"])
    assert passes["heard"] == ["fox", "crow"]
    assert len(store.entries("frames")) == 1 and not list((store.root / "tmp").iterdir())
    features(request, store, stories=["fox", "crow"])
    assert passes["heard"] == ["fox", "crow", "crow"]


def test_damaged_frames_are_made_again(late, store, passes):
    features(request_for(late), store, stories=["fox"])
    (entry,) = store.entries("frames")
    entry.result_file.write_bytes(entry.result_file.read_bytes()[:-8])
    features(request_for(late, "B"), store, stories=["fox"])
    assert passes["heard"] == ["fox", "fox"]
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_the_preflight_counts_frames_once(late, store, monkeypatch):
    monkeypatch.setattr(needs, "_product_rate", lambda: 1e10)
    request = request_for(late)
    before = needs.encoding_needs(plan_encoding(request), store)
    without = needs.encoding_needs(plan_encoding(request_for(late, keep_frames=False)), store)
    made = features(request, store, stories=["fox"])
    after = needs.encoding_needs(plan_encoding(request), store)
    assert before.disk_needed > after.disk_needed > without.disk_needed
    story = next(one for one in plan_encoding(request).stories if one.name == "fox")
    entry = store.get("frames", story.frames.key())
    less = before.disk_needed - after.disk_needed
    size = entry.read("frames").nbytes + made["fox"].read("features").nbytes
    assert less == pytest.approx(size, rel=0.05)
    assert after.seconds < before.seconds


def test_kept_frames_say_what_they_are(late, store):
    request = request_for(late)
    made = features(request, store, stories=["fox"])["fox"]
    story = next(one for one in plan_encoding(request).stories if one.name == "fox")
    entry = store.get("frames", story.frames.key())
    assert FramesSpec.from_canonical(entry.spec) == story.frames
    assert entry.provenance["seconds"] > 0 and entry.provenance["device"] == "cpu"
    with opened_frames(entry) as kept, entry.open() as dataset:
        assert dict(dataset.sizes) == {"time": len(kept.times), "layer": 3, "feature": 24}
        np.testing.assert_allclose(np.diff(kept.times), 0.1)
        np.testing.assert_array_equal(kept.read(3, 5), dataset["frames"].values[3:5])
    assert made.provenance["frames"] == entry.key and made.provenance["device"] == "cpu"
    with pytest.raises(StoreError, match="belong to the features"):
        store.find(entry.key[:8])


def test_the_key_of_frames():
    given = {"model": "a" * 32, "audio": "b" * 32, "counted": None, "strategy": "exact"}
    spec = FramesSpec(**given, context_seconds=16.1, step_seconds=0.1, grid_seconds=None)
    assert spec.key() == "ebba48d23fa05881d76f8df29cde95e1"


def test_frames_are_kept_where_somebody_has_fewer_rows(lab):
    path = lab.folder / "responses/B/fox.hf5"
    with h5py.File(path, "r+") as file:
        rows = file["data"][:-3]
        del file["data"]
        file["data"] = rows
    for subject in ("A", "B"):
        stories = plan_encoding(request_for(lab, subject)).stories
        assert {one.name for one in stories if one.frames is not None} == {"fox"}
    path.write_bytes(b"torn")
    assert all(story.frames is None for story in plan_encoding(request_for(lab)).stories)


def test_controls_of_the_null_panel_keep_frames_where_the_model_does(late):
    plan = plan_encoding(request_for(late, null_panel=True))
    kept = {story.frames.key() for _, stories in plan.extractions for story in stories}
    assert len(kept) == 3 * STORIES, "of the model, shuffled and with random weights"
    plan = plan_encoding(request_for(late, null_panel=True, keep_frames=False))
    assert all(story.frames is None for _, stories in plan.extractions for story in stories)
