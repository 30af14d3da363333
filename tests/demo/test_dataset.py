"""The demo as an ordinary data set: one subject of it is made for real, the rest faked."""

import json
import shutil
import tomllib

import h5py
import numpy as np
import pytest
import soundfile
from praatio import textgrid
from threadpoolctl import threadpool_limits

from braindash.core.ceilings import repeats_ceiling
from braindash.core.scores import pearson_r
from braindash.demo import SHIPPED_STORIES, STORIES_WITH_RESPONSES, TEST_STORIES, TRAIN_STORIES
from braindash.demo import dataset as demo
from braindash.errors import Cancelled, ResourceError
from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import load_repeats, load_responses
from braindash.io.regions.discs import disc_masks

N_TARGETS = 20484
ROWS = {"train": 120, "valid": 120, "test": 180}


class Recorder:
    """Notes every report, and cancels the work after some of them."""

    def __init__(self, cancel_after=None):
        self.messages, self.cancel_after = [], cancel_after

    def advance(self, done, total, message):
        self.messages.append((done, total, message))
        if self.cancel_after is not None and done >= self.cancel_after:
            raise Cancelled()


@pytest.fixture(scope="module")
def components():
    return demo.demo_components()


@pytest.fixture(scope="module")
def one_subject(components):
    """Make one subject only, and compute the stories' features once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "SUBJECTS", ("S1",))
        patch.setattr(demo, "demo_components", lambda world: components)
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory, one_subject):
    """Make the demo with one subject; gives its folder and the reports."""
    recorder = Recorder()
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    assert demo.prepare_demo(folder, recorder) == folder / "manifest.toml"
    return folder, recorder.messages


@pytest.fixture(scope="module")
def dataset(world):
    return load_manifest(world[0] / "manifest.toml")


@pytest.fixture
def copy(world, tmp_path):
    return shutil.copytree(world[0], tmp_path / "copy")


def n_files(folder):
    return sum(path.is_file() for path in folder.rglob("*"))


def test_the_manifest_says_simulated_and_how_to_read(dataset):
    assert dataset.simulated is True
    assert (dataset.space, dataset.zscored) == ("fsaverage5", "run")
    assert dataset.subjects == ("S1",)
    assert set(dataset.stories("S1")) == set(STORIES_WITH_RESPONSES)
    split = dataset.split("S1")
    assert (split.train, split.test) == (TRAIN_STORIES, TEST_STORIES)
    for story in SHIPPED_STORIES:  # the probing stories too, though they have no responses
        assert dataset.audio_path(story).is_file()
        assert dataset.annotation_path(story).is_file()


def test_row_times_end_with_the_audio(dataset):
    times = dataset.timing("S1", "demo_train_01").times(ROWS["train"])
    assert times[0] == 2.0
    assert times[-1] == 240.0


@pytest.mark.parametrize("story", ["demo_train_03", "demo_valid_01", "demo_test_01"])
def test_responses_are_zscored_with_a_missing_medial_wall(dataset, story):
    responses = load_responses(dataset.responses("S1", story))
    assert responses.shape == (ROWS[story.split("_")[1]], N_TARGETS)
    missing = np.isnan(responses)
    np.testing.assert_array_equal(missing.any(axis=0), missing.all(axis=0))
    assert 0.04 < missing[0].mean() < 0.12
    valid = responses[:, ~missing[0]].astype(np.float64)
    np.testing.assert_allclose(valid.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(valid.std(axis=0), 1, atol=1e-3)


@pytest.mark.parametrize(
    ("story", "shape"), [("demo_test_01", (5, 180)), ("demo_train_01", (3, 120))]
)
def test_data_are_the_mean_of_the_repeats(dataset, story, shape):
    source = dataset.responses("S1", story)
    repeats = load_repeats(source)
    assert repeats.shape == (*shape, N_TARGETS)
    assert load_repeats(dataset.responses("S1", "demo_train_02")) is None
    mean, data = repeats.mean(axis=0), load_responses(source)
    valid = ~np.isnan(data[0])
    assert pearson_r(mean[:, valid], data[:, valid]).min() > 0.9999


def test_ceilings_are_high_in_the_language_regions_and_low_in_the_control(dataset):
    ceiling = repeats_ceiling(load_repeats(dataset.responses("S1", "demo_test_01")))
    masks = disc_masks("fsaverage5")
    mean = {name: np.nanmean(ceiling[mask]) for name, mask in masks.items()}
    assert mean.pop("early_visual") < 0.3
    assert 0.6 < min(mean.values()) <= max(mean.values()) < 0.95


def test_regions_follow_their_families_in_the_validation_story(dataset, components):
    """A plain ridge from the true components, fitted on training stories."""
    masks = disc_masks("fsaverage5")
    columns = {name: np.flatnonzero(masks[name])[::4] for name in masks}

    def stacked(family, stories):
        return np.concatenate([components[story][family] for story in stories])

    def responses(stories):
        parts = [load_responses(dataset.responses("S1", story)) for story in stories]
        return np.concatenate(parts)

    seen, held_out = responses(TRAIN_STORIES), responses(["demo_valid_01"])
    score = {}
    for family in ("acoustic", "phonetic", "semantic"):
        x = stacked(family, TRAIN_STORIES)
        solver = np.linalg.solve(x.T @ x + 30 * np.eye(x.shape[1]), x.T)
        for region, members in columns.items():
            index = members[~np.isnan(seen[0, members])]
            prediction = stacked(family, ["demo_valid_01"]) @ (solver @ seen[:, index])
            score[family, region] = pearson_r(prediction, held_out[:, index]).mean()
    assert score["acoustic", "primary_auditory"] > score["semantic", "primary_auditory"] + 0.1
    assert score["semantic", "late_language"] > score["acoustic", "late_language"] + 0.2
    assert score["phonetic", "superior_temporal"] > score["semantic", "superior_temporal"] + 0.05
    assert score["semantic", "late_language"] > 0.3
    assert all(abs(score[family, "early_visual"]) < 0.1 for family in ("acoustic", "semantic"))


def test_files_are_float16_and_small(world):
    folder, _ = world
    path = folder / "responses" / "S1" / "demo_test_01.h5"
    with h5py.File(path) as file:
        assert file["data"].dtype == file["individual_repeats"].dtype == np.float16
        assert bool(file.attrs["simulated"])
    assert sum(p.stat().st_size for p in path.parent.iterdir()) < 90_000_000


def test_progress_tells_of_every_subject_and_story(world):
    messages = [message for _, _, message in world[1]]
    # Side by side: whichever is finished first.
    assert {f"simulated S1, {story}" for story in STORIES_WITH_RESPONSES} == {*messages[1:]}
    assert [done for done, _, _ in world[1]] == list(range(8))
    assert {total for _, total, _ in world[1]} == {7}


def test_a_finished_demo_is_not_touched_again(world):
    folder, _ = world
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    recorder = Recorder()
    assert demo.prepare_demo(folder, recorder) == folder / "manifest.toml"
    assert recorder.messages == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_deleted_file_is_made_again_with_the_same_bits_and_no_other(copy, one_subject):
    path = copy / "responses" / "S1" / "demo_valid_01.h5"
    with h5py.File(path) as file:
        before = file["data"][:]
    path.unlink()
    others = {p: p.stat().st_mtime_ns for p in path.parent.iterdir()}
    demo.prepare_demo(copy)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["data"][:], before)
    assert {p: p.stat().st_mtime_ns for p in path.parent.iterdir() if p != path} == others


def test_a_cancelled_preparation_goes_on_where_it_stopped(world, copy, one_subject, monkeypatch):
    monkeypatch.setattr(demo, "usable_cores", lambda: 1)
    for path in (copy / "responses" / "S1").iterdir():
        if path.stem in ("demo_train_04", "demo_train_05", "demo_valid_01"):
            path.unlink()
    with pytest.raises(Cancelled):  # told of the first of three: the second may be under way
        demo.prepare_demo(copy, Recorder(cancel_after=4))
    assert (copy / "responses" / "S1" / "demo_train_04.h5").is_file()
    assert not (copy / "responses" / "S1" / "demo_valid_01.h5").is_file()
    assert json.loads((copy / "demo.json").read_text())["complete"] is False
    demo.prepare_demo(copy)
    assert n_files(copy) == n_files(world[0])  # and no temporary file is left


def test_a_missing_recording_is_copied_again(copy, one_subject):
    (copy / "audio" / "demo_probe_02.opus").unlink()
    demo.prepare_demo(copy)
    assert (copy / "audio" / "demo_probe_02.opus").is_file()


def made_anew(monkeypatch):
    """Give the list of the stories that will have been made, without making them."""
    made = []

    def make(parts, world, progress):
        made.extend(part.story for part in parts if not part.path.is_file())

    monkeypatch.setattr(demo, "_make_responses", make)
    return made


def test_another_version_of_the_generator_makes_the_responses_anew(copy, one_subject, monkeypatch):
    monkeypatch.setattr(demo, "GENERATOR_VERSION", demo.GENERATOR_VERSION + 1)
    made = made_anew(monkeypatch)
    demo.prepare_demo(copy)
    assert made == list(STORIES_WITH_RESPONSES)


def test_the_number_of_threads_does_not_change_a_bit(tmp_path, one_subject):
    world = demo.World(train=TRAIN_STORIES[:1], valid=(), test=())
    made = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            folder = demo.prepare_demo(tmp_path / str(threads), world=world).parent
        made.append((folder / "responses" / "S1" / f"{TRAIN_STORIES[0]}.h5").read_bytes())
    assert made[0] == made[1]


def test_another_seed_makes_the_responses_anew(copy, one_subject, monkeypatch):
    made = made_anew(monkeypatch)
    demo.prepare_demo(copy, world=demo.World(seed=1))
    assert made == list(STORIES_WITH_RESPONSES)
    assert json.loads((copy / "demo.json").read_text())["seed"] == 1


def test_a_world_takes_stories_that_do_not_ship_from_their_folder(
    tmp_path, one_subject, monkeypatch
):
    extra = tmp_path / "extra"
    extra.mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    for story in ("demo_train_06", "demo_pretrain_01"):
        soundfile.write(extra / f"{story}.flac", noise, 16_000)
        write_textgrid(extra / f"{story}.TextGrid")
    world = demo.World(
        train=("demo_train_01", "demo_train_06"),
        extra=extra,
        name="Larger world",
        without_responses=("demo_pretrain_01",),
    )
    made = made_anew(monkeypatch)
    manifest = tomllib.loads(demo.prepare_demo(tmp_path / "world", world=world).read_text())
    assert made == ["demo_train_01", "demo_train_06", "demo_valid_01", "demo_test_01"]
    assert manifest["dataset"]["name"] == "Larger world"
    assert manifest["dataset"]["simulated"] is True
    assert manifest["splits"]["train"] == ["demo_train_01", "demo_train_06"]
    audio = {path.name for path in (tmp_path / "world" / "audio").iterdir()}
    assert {"demo_train_06.flac", "demo_train_01.opus", "demo_pretrain_01.flac"} <= audio
    assert (tmp_path / "world" / "textgrids" / "demo_train_06.TextGrid").is_file()


def test_a_story_codes_alike_in_every_world(components):
    small = demo.demo_components(demo.World(train=(TRAIN_STORIES[0],), test=()))
    for family, expected in components["demo_valid_01"].items():
        np.testing.assert_allclose(small["demo_valid_01"][family], expected, rtol=1e-9)


def write_textgrid(path):
    grid = textgrid.Textgrid()
    for name in ("phone", "word"):
        grid.addTier(textgrid.IntervalTier(name, [(0.1, 0.5, "a")], 0, 1.0))
    grid.save(str(path), format="short_textgrid", includeBlankSpaces=True)


def test_a_damaged_marker_counts_as_unfinished(copy, one_subject, monkeypatch):
    (copy / "demo.json").write_text("{half")
    made = made_anew(monkeypatch)
    demo.prepare_demo(copy)
    assert made == list(STORIES_WITH_RESPONSES)


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be prepared"):
        demo.prepare_demo(tmp_path / "file")


def test_a_full_disk_is_refused_before_anything_is_made(tmp_path, monkeypatch, one_subject):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000_000))
    with pytest.raises(ResourceError, match="needs 88 MB"):
        demo.prepare_demo(tmp_path)
    assert not (tmp_path / "responses").exists()
