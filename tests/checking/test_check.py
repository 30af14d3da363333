"""A check names what is wrong with a data set, and nothing else."""

import json
from dataclasses import fields

import numpy as np
import pytest
import soundfile
from kit.data.planted import loudness, planted_responses, wandering_sound
from kit.data.planted_lab import STORIES, PlantedLab

import braindash
from braindash.checking.report import CHECKS, DataReport, StoryReport
from braindash.checking.run import check_data, lines
from braindash.errors import Cancelled, InputError


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    lab = PlantedLab(tmp_path_factory.mktemp("good"), n_repeats=3)
    lab.write()
    return lab


@pytest.fixture(scope="module")
def report(good):
    return check_data(good.folder)


def checked(tmp_path, **changes):
    """The report of one subject of a lab, and its faults as (check, story)."""
    lab = PlantedLab(tmp_path / "lab", **changes)
    lab.write()
    (one,) = check_data(lab.manifest).subjects
    return one, [(found.check, found.story) for found in one.faults()]


# ---- a good one ---------------------------------------------------------------------------------


def test_a_good_lab_is_ok(report):
    (one,) = report.subjects
    assert report.verdict == "ok", [f for f in one.findings if f.verdict != "ok"]
    assert one.lag_seconds == pytest.approx(5.0, abs=0.15) and one.lag_clear
    assert "reliable" in one.lag_targets and one.lag_n_targets == 20
    assert one.fitting_tr is None
    for story in one.stories:
        assert story.lag_seconds == pytest.approx(5.0, abs=0.25) and story.lag_clear
        assert story.audio_seconds == pytest.approx(STORIES[story.story], abs=0.1)
        assert story.rows == int((STORIES[story.story] + 3) / 1.5) and story.targets == 40
    *others, test = one.stories
    assert test.story == "larch" and test.split == "test" and test.repeats == 3
    # 30 of 40 follow with as much signal as noise: three repeats say sqrt(3 / 4) of them.
    assert test.ceiling == pytest.approx(np.sqrt(0.75), abs=0.05)
    assert one.ceiling == test.ceiling and one.ceiling_source == "repeats"
    assert not any(story.repeats or story.ceiling for story in others)
    assert one.ceilings.shape == (40,)


def test_the_report_is_json_and_comes_back_from_it(report):
    document = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    (subject,) = document["subjects"]
    for story in subject["stories"]:
        wanted = {"story", "rows", "audio_seconds", "repeats", "ceiling", "lag_seconds"}
        assert wanted <= set(story) and set(story) == {f.name for f in fields(StoryReport)}
    assert {one["check"] for one in subject["findings"]} <= set(CHECKS)
    scan = subject["lag_scan"]
    assert len(scan["lags"]) == len(scan["pooled"]) and set(scan["stories"]) == set(STORIES)
    assert DataReport.from_dict(document).as_dict() == document


def test_the_words_name_subject_story_and_verdict(report):
    text = "\n".join(lines(report))
    assert "S1: ok" in text and "larch" in text and "5.0" in text


def test_the_python_name_is_public(good):
    assert braindash.check_data is check_data
    assert isinstance(braindash.check_data(good.manifest, "S1"), braindash.DataReport)


@pytest.mark.parametrize("lag", [2.5, 6.5])
def test_other_usual_lags_are_ok(tmp_path, lag):
    one, faults = checked(tmp_path, lag=lag)
    assert one.lag_seconds == pytest.approx(lag, abs=0.15) and not faults
    assert one.verdict == "ok"


# ---- times --------------------------------------------------------------------------------------


def test_a_tr_that_is_a_little_off_is_named(tmp_path):
    stories = {"a": 500.0, "b": 480.0, "c": 460.0, "d": 400.0}
    one, faults = checked(tmp_path, stories=stories, tr=2.0, true_tr=2.004)
    assert faults == [("tr", None)]
    assert one.fitting_tr == pytest.approx(2.004, abs=6e-4)
    assert "2.004" in one.faults()[0].message


def test_a_tr_that_is_far_off_is_named(tmp_path):
    one, faults = checked(tmp_path, tr=2.0, true_tr=1.5)
    assert ("tr", None) in faults and ("durations", "alder") in faults
    assert one.fitting_tr == pytest.approx(1.5, abs=0.01)
    assert {check for check, _ in faults} == {"tr", "durations"}


def test_one_story_with_another_tr_is_named(tmp_path):
    lab = PlantedLab(tmp_path / "lab")
    lab.write()
    other = PlantedLab(tmp_path / "other", true_tr=1.52)
    other.write()
    lab.save("S1", "birch", other.load("S1", "birch"))
    (one,) = check_data(lab.manifest).subjects
    assert [(f.check, f.story) for f in one.faults()] == [("tr", "birch")]
    assert "1.52" in one.faults()[0].message and one.fitting_tr is None


@pytest.mark.parametrize("trs", [1, -1])
def test_a_story_shifted_by_one_tr_is_named(tmp_path, trs):
    one, faults = checked(tmp_path, shifts={"birch": 1.5 * trs})
    assert faults == [("onset", "birch")]
    assert "shifted" in one.faults()[0].message and f"{1.5 * trs:+.1f} s" in one.faults()[0].message
    assert one.lag_seconds == pytest.approx(5.0, abs=0.5)


@pytest.mark.parametrize("seconds", [10.0, -10.0])
def test_a_shift_of_all_stories_is_named(tmp_path, seconds):
    one, faults = checked(tmp_path, shifts=dict.fromkeys(STORIES, seconds))
    assert faults == [("onset", None)]
    assert one.lag_seconds == pytest.approx(5 + seconds, abs=0.2)
    assert "shifted" in one.faults()[0].message
    word = "larger" if seconds > 0 else "smaller"
    assert f"audio_onset {word} by 10" in one.faults()[0].hint


def test_an_unusual_lag_is_a_warning(tmp_path):
    one, faults = checked(tmp_path, lag=10.0)
    assert not faults and one.verdict == "warning"
    assert any(f.check == "lag" and "unusual" in f.message for f in one.findings)


# ---- stories and axes ---------------------------------------------------------------------------


def test_swapped_stories_are_named(tmp_path):
    one, faults = checked(tmp_path, heard={"alder": "cedar", "cedar": "alder"})
    assert faults == [("stories", "alder"), ("stories", "cedar")]
    assert all("swapped" in found.message for found in one.faults())
    assert one.lag_seconds == pytest.approx(5.0, abs=0.2)


def test_two_stories_that_are_swapped_are_named(tmp_path):
    stories = {"a": 150.0, "b": 155.0}
    _, faults = checked(tmp_path, stories=stories, heard={"a": "b", "b": "a"})
    assert faults == [("stories", "a"), ("stories", "b")]


def test_responses_to_nothing_here_are_a_warning(tmp_path):
    lab = PlantedLab(tmp_path / "lab")
    lab.write()
    noise = np.random.default_rng(0).standard_normal(lab.load("S1", "birch").shape)
    lab.save("S1", "birch", noise.astype(np.float32))
    (one,) = check_data(lab.manifest).subjects
    told = [f for f in one.findings if f.check == "stories"]
    assert [f.story for f in told] == ["birch"] and told[0].verdict == "warning"
    assert not one.faults()


@pytest.mark.parametrize("turned", [("birch",), tuple(STORIES)])
@pytest.mark.parametrize("n_targets", [40, 110])
def test_transposed_arrays_are_named(tmp_path, turned, n_targets):
    one, faults = checked(tmp_path, turned=turned, n_targets=n_targets)
    assert faults == [("orientation", story) for story in turned]
    assert all("transposed" in found.message for found in one.faults())
    kept = [story for story in one.stories if story.story not in turned]
    assert all(story.lag_seconds == pytest.approx(5.0, abs=0.3) for story in kept)


def test_a_transposed_array_of_a_subject_with_units_is_named(tmp_path):
    lab = PlantedLab(tmp_path / "lab", turned=("cedar",))
    text = lab.write().read_text().replace('id = "S1"', 'id = "S1"\nunits = 40')
    lab.manifest.write_text(text)
    (one,) = check_data(lab.manifest).subjects
    assert [(f.check, f.story) for f in one.faults()] == [("orientation", "cedar")]


def test_a_transposed_array_that_shapes_do_not_tell_is_named_by_the_sound(tmp_path):
    """One story, as many rows as targets but two: the durations fit either way."""
    lab = PlantedLab(tmp_path / "lab", stories={"a": 150.0, "b": 150.0}, n_targets=100)
    lab.write()
    for story in ("a", "b"):
        lab.save("S1", story, lab.load("S1", story).T)
    (one,) = check_data(lab.manifest).subjects
    assert {(f.check, f.story) for f in one.faults()} == {("orientation", s) for s in "ab"}


# ---- targets and numbers ------------------------------------------------------------------------


def test_best_fitting_targets_are_found_without_repeats(tmp_path):
    one, faults = checked(tmp_path, n_targets=3000, followers=slice(1000, 1030), noise=2.0)
    assert not faults and "1.0%" in one.lag_targets and "best fitting" in one.lag_targets
    assert one.lag_n_targets == 30 and one.lag_seconds == pytest.approx(5.0, abs=0.3)


def test_choosing_targets_invents_no_lag(tmp_path):
    one, faults = checked(tmp_path, n_targets=3000, followers=slice(0, 0))
    assert not faults and not one.lag_clear
    assert any(f.check == "lag" and f.verdict == "warning" for f in one.findings)


def test_the_auditory_region_comes_first(tmp_path):
    lab = PlantedLab(tmp_path / "lab", n_repeats=3)
    lab.more = '[regions]\nmasks.AC = "ac.npy"\n'
    mask = np.zeros(40, dtype=bool)
    mask[4:9] = True
    lab.write()
    np.save(lab.folder / "ac.npy", mask)
    (one,) = check_data(lab.manifest).subjects
    assert one.lag_targets.startswith("the auditory region (AC") and one.lag_n_targets == 5
    mask[:] = False
    mask[32:38] = True  # these hear nothing
    np.save(lab.folder / "ac.npy", mask)
    (one,) = check_data(lab.manifest).subjects
    assert "reliable" in one.lag_targets and one.lag_seconds == pytest.approx(5.0, abs=0.2)


def test_numbers_that_lack_are_told(tmp_path):
    lab = PlantedLab(tmp_path / "lab")
    lab.write()
    values = lab.load("S1", "alder")
    values[:, :3] = np.nan
    values[:, 3] = 7.0
    values[10, 4] = np.nan
    values[20] = np.nan
    lab.save("S1", "alder", values)
    lab.save("S1", "birch", np.full_like(lab.load("S1", "birch"), np.nan))
    marked = lab.load("S1", "cedar")
    marked[15] = -9999
    lab.save("S1", "cedar", marked)
    (one,) = check_data(lab.manifest).subjects
    alder, birch = one.stories[:2]
    assert alder.nan_share == pytest.approx(4 / 40) and alder.constant_share == 1 / 40
    assert alder.censored_rows == 1 and alder.lag_seconds == pytest.approx(5.0, abs=0.3)
    faults = [(f.check, f.story) for f in one.faults()]
    assert ("values", "birch") in faults and {story for _, story in faults} == {"birch", "cedar"}
    assert any("1 row is -9999 in every target (15)" in f.message for f in one.faults())
    assert birch.lag_seconds is None
    assert any(f.check == "values" and f.story == "alder" for f in one.findings)


@pytest.mark.parametrize(("really", "said", "verdict"), [
    ("run", "run", "ok"), ("run", "none", "ok"), ("none", "none", "ok"), ("none", "run", "warning"),
])  # fmt: skip
def test_standardisation_is_what_the_manifest_says(tmp_path, really, said, verdict):
    lab = PlantedLab(tmp_path / "lab", zscored=really)
    text = lab.write().read_text().replace(f'zscored = "{really}"', f'zscored = "{said}"')
    lab.manifest.write_text(text)
    if really == "none":
        for story in STORIES:  # raw intensities
            lab.save("S1", story, 1000 + 5 * lab.load("S1", story))
    (one,) = check_data(lab.manifest).subjects
    (found,) = [f for f in one.findings if f.check == "standardisation"]
    assert found.verdict == verdict
    if really == "run":
        assert one.stories[0].sd == pytest.approx(1, abs=0.01)


def test_a_repeat_unlike_the_others_is_told(tmp_path):
    lab = PlantedLab(tmp_path / "lab", n_repeats=5)
    lab.write()
    place = lab.folder / "responses/S1/larch_repeats.npy"
    runs = np.load(place)
    runs[2] = np.random.default_rng(0).standard_normal(runs[2].shape)
    np.save(place, runs)
    (one,) = check_data(lab.manifest).subjects
    (found,) = [f for f in one.findings if f.check == "repeats" and f.verdict == "warning"]
    assert "repeat 3 of 'larch'" in found.message


def test_one_sound_in_two_splits_is_a_fault(tmp_path):
    import soundfile

    lab = PlantedLab(tmp_path / "lab")
    lab.write()
    audio = lab.folder / "audio"
    (audio / "alder.flac").write_bytes((audio / "larch.flac").read_bytes())
    (one,) = check_data(lab.manifest).subjects
    assert any(f.check == "split" and "same audio file" in f.message for f in one.faults())
    samples, rate = soundfile.read(audio / "larch.flac")
    soundfile.write(audio / "alder.flac", 0.5 * samples, rate)
    (one,) = check_data(lab.manifest).subjects
    assert any(f.check == "split" and "two files" in f.message for f in one.faults())


def test_a_subject_unlike_the_others_is_told(tmp_path):
    lab = PlantedLab(tmp_path / "lab", subjects=tuple("ABCDE"), stories={"a": 150.0, "b": 160.0})
    lab.write()
    lab.save("C", "a", lab.load("C", "a")[::-1])
    found = {one.subject: one for one in check_data(lab.manifest).subjects}
    told = {s: [f.story for f in one.findings if f.check == "runs"] for s, one in found.items()}
    assert told == {"A": [], "B": [], "C": ["a"], "D": [], "E": []}


# ---- between subjects ---------------------------------------------------------------------------


def test_without_repeats_the_ceiling_is_that_between_subjects(tmp_path):
    subjects = tuple("ABCDE")
    lab = PlantedLab(tmp_path / "lab", subjects=subjects, stories={"a": 150.0, "b": 300.0})
    lab.write()
    report = check_data(lab.manifest)
    # Signal and noise of variance 1, and four others: 1 / sqrt((1 + 1) (1 + 1 / 4)).
    for one in report.subjects:
        assert one.ceiling_source == "inter-subject"
        assert one.ceiling == pytest.approx(1 / np.sqrt(2.5), abs=0.08)
        assert [story.ceiling is not None for story in one.stories] == [True, True]
        assert any("with the mean of 4 others" in f.message for f in one.findings)
    assert DataReport.from_dict(report.as_dict()).subjects[0].ceiling_source == "inter-subject"
    (alone,) = check_data(lab.manifest, "C").subjects
    assert alone.ceiling is None and alone.ceiling_source is None
    assert any("nobody else who was checked" in f.message for f in alone.findings)
    text = lab.manifest.read_text().replace('space = "roi"', 'space = "native-volume"')
    lab.manifest.write_text(text)
    assert [one.ceiling for one in check_data(lab.manifest).subjects] == [None] * 5


def test_those_who_heard_at_other_times_are_no_ceiling(tmp_path):
    lab = PlantedLab(tmp_path / "lab", subjects=("A", "B", "C"), stories={"a": 150.0, "b": 160.0})
    lab.more = '[[runs]]\nsubject = "C"\nstory = "b"\naudio_onset = 3.7\n'
    lab.write()
    found = {one.subject: one for one in check_data(lab.manifest).subjects}
    assert any("with the mean of 1 others" in f.message for f in found["A"].findings)
    ceilings = {story.story: story.ceiling for story in found["C"].stories}
    assert ceilings["a"] is not None and ceilings["b"] is None


# ---- going on -----------------------------------------------------------------------------------


def test_bad_files_of_one_subject_leave_the_rest_standing(tmp_path):
    lab = PlantedLab(tmp_path / "lab", subjects=("S1", "S2", "S3"))
    lab.write()
    (lab.folder / "responses/S1/larch.npy").unlink()  # the test story
    (lab.folder / "responses/S1/alder.npy").write_bytes(b"\x93NUMPY no more")
    (lab.folder / "responses/S1/walnut.npy").write_bytes(b"")
    for story in STORIES:
        (lab.folder / f"responses/S2/{story}.npy").write_bytes(b"torn")
    report = check_data(lab.manifest)
    first, second, third = report.subjects
    assert {("files", "larch"), ("files", "alder")} <= {(f.check, f.story) for f in first.faults()}
    assert any("walnut" in f.message and f.verdict == "warning" for f in first.findings)
    assert first.lag_seconds == pytest.approx(5.0, abs=0.3)
    assert second.verdict == "fault" and second.lag_seconds is None
    assert third.verdict == "ok"
    json.dumps(report.as_dict(), allow_nan=False)


def test_a_silent_recording_is_a_fault_of_its_story(tmp_path):
    import soundfile

    lab = PlantedLab(tmp_path / "lab")
    lab.write()
    soundfile.write(lab.folder / "audio/birch.flac", np.zeros(180 * 8000), 8000)
    (one,) = check_data(lab.manifest).subjects
    assert [(f.check, f.story) for f in one.faults()] == [("files", "birch")]
    assert [s.lag_seconds is None for s in one.stories] == [False, True, False, False]


def test_an_unknown_subject_is_refused(good):
    with pytest.raises(InputError, match="no subject 'S9'"):
        check_data(good.manifest, "S9")


def test_the_check_stops_when_it_is_asked_to(good):
    class Stop:
        def advance(self, done, total, message):
            if done:
                raise Cancelled

    with pytest.raises(Cancelled):
        check_data(good.manifest, progress=Stop())


# ---- several stories in one scan ----------------------------------------------------------------


def test_each_of_several_stories_in_one_scan_has_its_own_lag_and_ceiling(tmp_path):
    starts, seconds, tr, n_targets = {"fir": 6.0, "oak": 98.0, "yew": 186.0}, 76.0, 2.0, 40
    n_rows = round((186.0 + seconds + 10) / tr)
    scans = np.random.default_rng(0).standard_normal((2, n_rows, n_targets))
    runs = ""
    (tmp_path / "audio").mkdir()
    for number, (name, start) in enumerate(starts.items()):
        course = loudness(seconds, number)
        soundfile.write(tmp_path / f"audio/{name}.wav", wandering_sound(course, number, 8000), 8000)
        times = np.arange(n_rows) * tr - start
        inside = (times >= 0) & (times < seconds + 8)
        for run in range(2):
            made = planted_responses(course, times[inside], 5.0, n_targets, noise=0.7, seed=run)
            scans[run, inside] = made
        runs += f'[[runs]]\nstory = "{name}"\naudio_onset = {start}\ntolerance = 1e6\n'
        runs += 'response = ["scan0.npy", "scan1.npy"]\n'
    for run in range(2):
        np.save(tmp_path / f"scan{run}.npy", scans[run])
    (tmp_path / "manifest.toml").write_text(
        f'[dataset]\nname = "clips"\naudio_dir = "audio"\n[timing]\ntr = {tr}\n[responses]\n'
        f'path = "{{story}}.npy"\nspace = "roi"\n[[subjects]]\nid = "S"\n[splits]\ntest = ["yew"]\n'
        f"{runs}"
    )
    (one,) = check_data(tmp_path).subjects
    assert not one.faults() and one.lag_seconds == pytest.approx(5.0, abs=0.3)
    for story in one.stories:
        assert story.lag_seconds == pytest.approx(5.0, abs=0.5) and story.lag_clear
        assert story.repeats == 2 and story.ceiling > 0.8
