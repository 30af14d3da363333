"""One run of a model for all who heard the same sound, whenever their rows were acquired."""

import numpy as np
import pytest
import soundfile
from kit.toy_lab import make_lab

from braindash.encoding import features as making
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import EncodingRun, run_encoding
from braindash.errors import Cancelled
from braindash.io.frames import opened_frames
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.progress import NoProgress
from braindash.requests import EncodeRequest, build_request
from braindash.specs import FramesSpec
from braindash.work.needs import encoding_needs

STORIES = 4
LATER = '\n[[runs]]\nsubject = "B"\nstory = "*"\naudio_onset = -0.43\n'
QUICK = {"alphas": (1.0, 100.0, 1e4), "n_permutations": 0, "n_bootstraps": 0, "threads": 1}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


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


def late(lab):
    """The lab, where the second subject's scanner started 0.43 s into the sound."""
    lab.manifest.write_text(lab.manifest.read_text() + LATER)
    return lab


def features_of(store, request):
    plan = plan_encoding(request)
    return [store.get("features", one.extraction.key()).read("features") for one in plan.stories]


def test_two_subjects_with_other_onsets_cost_one_run_of_the_model(lab, store, passes):
    requests = [request_for(late(lab), one) for one in ("A", "B")]
    results = [run_encoding(request, store) for request in requests]
    assert (
        len(passes["opened"]) == 1 and len(passes["heard"]) == len(set(passes["heard"])) == STORIES
    )
    assert len(store.entries("features")) == 2 * STORIES and len(store.entries("frames")) == STORIES
    alone = Store(store.root.parent / "alone")
    direct = [request.model_copy(update={"keep_frames": False}) for request in requests]
    for request, without, result in zip(requests, direct, results, strict=True):
        again = run_encoding(without, alone)
        assert again.key == result.key, "how rows were come by is no part of the key"
        for own, theirs in zip(
            features_of(store, request), features_of(alone, without), strict=True
        ):
            assert (np.abs(own - theirs).max(axis=1) / theirs.std(axis=1)).max() < 2e-4
        np.testing.assert_allclose(result.r, again.r, atol=2e-4)
    assert not alone.entries("frames") and len(passes["heard"]) == 3 * STORIES


def test_causal_rows_are_the_very_same(tmp_path, quick_model, store):
    lab = late(make_lab(tmp_path / "quick", quick_model))
    alone = Store(tmp_path / "alone")
    for subject in ("A", "B"):
        found = []
        for where, keep in ((store, None), (alone, False)):
            plan = plan_encoding(request_for(lab, subject, strategy="exact", keep_frames=keep))
            (story,) = (one for one in plan.stories if one.name == "crow")
            for part in EncodingRun(plan, where).parts():
                if "of crow with" in part.label and not part.done():
                    part.make(NoProgress())
            found.append(where.get("features", story.extraction.key()))
        kept, direct = found
        np.testing.assert_array_equal(kept.read("features"), direct.read("features"))
        assert "frames" in kept.provenance and "frames" not in direct.provenance
    assert len(store.entries("frames")) == 1 and not alone.entries("frames")


def test_nothing_is_kept_where_all_rows_are_at_the_same_times(lab, store, passes):
    for subject in ("A", "B"):
        run_encoding(request_for(lab, subject), store)
    assert len(passes["heard"]) == STORIES and not store.entries("frames")


@pytest.mark.parametrize(
    ("more", "kept"),
    [
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
    run_encoding(request_for(lab, keep_frames=True), store)
    lab.manifest.write_text(lab.manifest.read_text().replace("tr = 1.0", "tr = 1.03"))
    run_encoding(request_for(lab), store)  # used though nobody asked for them
    assert len(passes["heard"]) == STORIES and len(passes["opened"]) == 1
    run_encoding(request_for(lab, "B", keep_frames=False), store)
    assert len(passes["heard"]) == STORIES, "the features are there"


def test_rows_close_together_and_sound_alone_keep_no_frames(lab):
    stories = plan_encoding(request_for(lab, model="acoustic:energy", keep_frames=True)).stories
    assert all(story.frames is None for story in stories)
    lab.edit("tr = 1.0", "tr = 0.9")
    for strategy, kept in (("chunk", False), ("exact", True)):
        stories = plan_encoding(request_for(lab, strategy=strategy, keep_frames=True)).stories
        assert all((story.frames is not None) is kept for story in stories)


def test_a_run_stopped_between_frames_goes_on_after_them(lab, store, passes):
    class Stop(NoProgress):
        def advance(self, done, total, message):
            if "frames of stone" in message:
                raise Cancelled

    request = request_for(late(lab))
    with pytest.raises(Cancelled):
        run_encoding(request, store, Stop())
    before = [entry.key for entry in store.entries("frames")]
    assert 0 < len(before) < STORIES and not list((store.root / "tmp").iterdir())
    run_encoding(request, store)
    assert sum(passes["heard"].count(one) for one in set(passes["heard"])) <= STORIES + 1


def test_frames_of_another_command_that_were_lost_are_made_again(lab, store):
    run_encoding(request_for(late(lab)), store)
    for entry in store.entries("frames"):
        entry.result_file.write_bytes(entry.result_file.read_bytes()[:-8])
    run = EncodingRun(plan_encoding(request_for(lab, "B")), store)
    carry_out([run], NoProgress(), cores=1)
    assert run.result().r.shape == (3, 12)
    assert len(list((store.root / "quarantine").iterdir())) == STORIES


def test_the_preflight_counts_frames_once(lab, store):
    request = request_for(late(lab))
    before = encoding_needs(plan_encoding(request), store)
    without = encoding_needs(plan_encoding(request_for(lab, keep_frames=False)), store)
    assert before.disk_needed > 1.5 * without.disk_needed
    run_encoding(request, store)
    frames = store.entries("frames")
    size = sum(entry.result_file.stat().st_size for entry in frames)
    assert before.disk_needed - without.disk_needed == pytest.approx(size, rel=0.05)
    after = encoding_needs(plan_encoding(request_for(lab, "B")), store)
    assert after.features_cached == 0 and after.seconds < before.seconds


def test_kept_frames_say_what_they_are(lab, store):
    run_encoding(request_for(late(lab)), store)
    story = plan_encoding(request_for(lab)).stories[0]
    entry = store.get("frames", story.frames.key())
    assert FramesSpec.from_canonical(entry.spec) == story.frames
    assert entry.provenance["seconds"] > 0 and entry.provenance["device"] == "cpu"
    with opened_frames(entry) as kept, entry.open() as dataset:
        assert dict(dataset.sizes) == {"time": len(kept.times), "layer": 3, "feature": 24}
        np.testing.assert_allclose(np.diff(kept.times), 0.1)
        np.testing.assert_array_equal(kept.read(3, 5), dataset["frames"].values[3:5])
    made = store.get("features", story.extraction.key()).provenance
    assert made["frames"] == entry.key and made["device"] == "cpu"
    with pytest.raises(Exception, match="belong to the features"):
        store.find(entry.key[:8])


def test_the_key_of_frames():
    given = {"model": "a" * 32, "audio": "b" * 32, "counted": None, "strategy": "exact"}
    spec = FramesSpec(**given, context_seconds=16.1, step_seconds=0.1, grid_seconds=None)
    assert spec.key() == "ebba48d23fa05881d76f8df29cde95e1"
