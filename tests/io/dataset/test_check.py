import h5py
import numpy as np
import pytest
import soundfile
from kit.data.lab_files import (
    MANIFEST,
    N_ROWS,
    N_TARGETS,
    STORY_SECONDS,
    write_audio,
    write_responses,
)

from braindash.core.timing import covered_rows
from braindash.errors import InputError
from braindash.io.dataset.check import check_subject
from braindash.io.dataset.manifest import load_manifest
from braindash.io.recordings import BadRecordings


def refused(dataset, subject="S1"):
    with pytest.raises(InputError) as caught:
        check_subject(dataset, subject)
    return caught.value


def test_sizes_times_and_kept_rows(lab):
    check = check_subject(lab.load(), "S1")

    assert check.n_targets == N_TARGETS
    assert [(s.story, s.split) for s in check.stories] == [
        ("alpha", "train"),
        ("beta", "train"),
        ("gamma", "train"),
        ("tree", "valid"),
        ("smoke", "test"),
    ]
    smoke = check.stories[-1]
    assert (smoke.n_rows, smoke.n_targets, smoke.n_repeats) == (N_ROWS, N_TARGETS, 3)
    assert smoke.audio_seconds == STORY_SECONDS
    assert (smoke.first_seconds, smoke.last_seconds) == (0.0, 24.0)
    assert smoke.overlap_seconds == 24.0
    # Row 0 lies at 0 s: no audio precedes it. Row 12 lies at the very end of the audio.
    assert (smoke.first_row, smoke.stop_row, smoke.n_rows_kept) == (1, 13, 12)
    assert check.n_rows == 5 * N_ROWS
    assert check.n_rows_kept == 5 * 12
    assert check.audio_seconds == check.overlap_seconds == 5 * STORY_SECONDS
    assert len(check.warnings) == 1
    assert "5 of 65 rows are left out" in check.warnings[0]


def test_published_timing_keeps_every_row(tmp_path):
    """44.1 kHz stereo wav; ten volumes cut at each end; audio begins 10 s into the scan."""
    seconds, tr = 61.0, 2.0
    n_rows = round((seconds + 19) / tr) - 20
    for number, story in enumerate(("one", "two", "three", "four")):
        path = tmp_path / f"stimuli/{story}.wav"
        path.parent.mkdir(exist_ok=True)
        noise = np.random.default_rng(number).uniform(-0.1, 0.1, (round(seconds * 44100), 2))
        soundfile.write(path, noise, 44100)
        n_repeats = 10 if story == "one" else 0
        write_responses(tmp_path / f"responses/U1/{story}.hf5", n_rows, 50, n_repeats)
    text = MANIFEST.replace('"smoke"', '"one"').replace('["tree"]', "[]").replace('"S1"', '"U1"')
    text = text.replace("tr = 2.0", "tr = 2.0\nfirst_volume = 10\naudio_onset = 10.0")
    text = text.replace("units = 6", "units = 50")
    (tmp_path / "manifest.toml").write_text(text)

    check = check_subject(load_manifest(tmp_path / "manifest.toml"), "U1")

    assert check.warnings == ()
    for story in check.stories:
        times = np.arange(n_rows) * tr + 10.0
        assert story.first_seconds == times[0] == 10.0
        assert story.last_seconds == times[-1]
        assert 10 < story.audio_seconds - story.last_seconds < 16
        assert slice(story.first_row, story.stop_row) == covered_rows(times, seconds, tr)
        assert story.n_rows_kept == n_rows


# Times ------------------------------------------------------------------------------------------


def test_wrong_tr_is_refused_with_the_numbers(lab):
    write_responses(lab.responses("S1", "beta"), 26, N_TARGETS)
    error = refused(lab.load(("tr = 2.0", "tr = 2.5")))

    assert "story 'beta': the rows go on 38.5 s after its end" in error.message
    assert "26 rows reach from 0.0 to 62.5 s, the audio from 0 to 24.0 s" in error.message
    assert "tr (now 2.5 s)" in error.hint
    assert "with tr = 0.96 the rows would end with the audio" in error.hint
    assert "timing.tolerance" in error.hint


def test_tolerance_is_in_seconds_and_may_be_changed(lab):
    write_responses(lab.responses("S1", "beta"), 26, N_TARGETS)
    change = ("tr = 2.0", "tr = 2.5\ntolerance = 38.6")
    check = check_subject(lab.load(change), "S1")
    beta = check.stories[1]
    assert (beta.first_row, beta.stop_row) == (1, 10)
    assert beta.overlap_seconds == STORY_SECONDS


@pytest.mark.parametrize(
    ("timing", "message"),
    [
        ("audio_onset = 50.0", "the rows begin 50.0 s before the audio"),
        ("first_volume = 40", "the rows go on 80.0 s after its end"),
        ("audio_onset = -31.0", "the audio begins 31.0 s before the first row"),
    ],
)
def test_wrong_onset_is_refused(lab, timing, message):
    error = refused(lab.load(("tr = 2.0", f"tr = 2.0\n{timing}")))
    assert error.message.count(message) == 5
    assert "5 problems" in error.message


def test_audio_that_goes_on_long_after_the_last_row(lab):
    write_audio(lab.audio("beta"), 70.0, seed=1)
    error = refused(lab.load())
    assert "story 'beta': the audio goes on 46.0 s after the last row" in error.message
    assert "more than the 30 s allowed" in error.message


def test_no_covered_row_is_refused_whatever_the_tolerance(lab):
    change = ("tr = 2.0", "tr = 2.0\naudio_onset = 26.0")
    error = refused(lab.load(change))
    assert "the audio covers none of its 13 rows (-26.0 to -2.0 s" in error.message


def test_rows_without_audio_within_the_tolerance_are_left_out_and_said(lab):
    check = check_subject(lab.load(("tr = 2.0", "tr = 2.0\naudio_onset = 9.0")), "S1")
    assert {(s.first_row, s.stop_row) for s in check.stories} == {(6, 13)}
    assert "30 of 65 rows are left out" in check.warnings[0]
    assert "alpha 6" in check.warnings[0]


@pytest.mark.parametrize(("row", "allowed"), [(11, True), (12, False), (200, False)])
def test_score_from_row_must_leave_rows(lab, row, allowed):
    dataset = lab.load(more=f'[[runs]]\nstory = "smoke"\nscore_from_row = {row}\n')
    if allowed:
        assert check_subject(dataset, "S1").stories[-1].score_from_row == row
    else:
        assert f"score_from_row = {row} leaves fewer than two" in refused(dataset).message


# Arrays -----------------------------------------------------------------------------------------


def test_different_numbers_of_targets(lab):
    write_responses(lab.responses("S2", "beta"), N_ROWS, N_TARGETS + 1)
    error = refused(lab.load(), "S2")
    assert "6 in 3 (alpha, tree, smoke); 7 in 1 (beta)" in error.message
    assert "units" in error.hint


def test_units_find_the_file_that_differs(lab):
    write_responses(lab.responses("S1", "beta"), N_ROWS, N_TARGETS + 1)
    error = refused(lab.load())
    assert "beta.hf5 holds 7 targets, but the manifest says units = 6" in error.message


def test_transposed_responses_are_recognised_from_units(lab):
    with h5py.File(lab.responses("S1", "beta"), "w") as file:
        file["data"] = np.zeros((N_TARGETS, N_ROWS))
    assert "beta.hf5 looks transposed" in refused(lab.load()).message


def test_transposed_responses_are_recognised_from_the_times(lab):
    for story in ("alpha", "beta", "smoke", "tree"):
        write_responses(lab.responses("S2", story), 40, N_ROWS)
    error = refused(lab.load(), "S2")
    assert "The array (40, 13) looks transposed" in str(error)


def test_space_fixes_the_number_of_targets(lab):
    error = refused(lab.load(('space = "roi"', 'space = "fsaverage5"')))
    assert "'fsaverage5' has 20484 targets, but the responses have 6" in error.message
    assert "'native-surface'" in error.hint


def test_absent_key_and_damaged_files_are_reported_together(lab):
    with h5py.File(lab.responses("S1", "alpha"), "w") as file:
        file["bold"] = np.zeros((N_ROWS, N_TARGETS))
    content = lab.responses("S1", "beta").read_bytes()
    lab.responses("S1", "beta").write_bytes(content[:900])
    error = refused(lab.load())

    assert "2 problems" in error.message
    assert "the key 'data' does not exist" in error.message
    assert "bold (13, 6)" in error.message
    assert "beta.hf5 (900 bytes) cannot be read" in error.message


def test_every_recording_that_cannot_be_used_is_named_at_once(lab):
    lab.audio("gamma").write_bytes(b"")
    lab.audio("tree").write_bytes(b"not audio")
    with pytest.raises(BadRecordings, match="2 recordings cannot be used") as caught:
        check_subject(lab.load(), "S1")
    assert [one.name for one in caught.value.faults] == ["gamma", "tree"]
    assert "gamma.flac is empty: it has no bytes" in caught.value.message
    assert "tree.flac (9 bytes) cannot be read as audio" in caught.value.message
    assert "--leave-out-bad" in caught.value.hint
    kept = check_subject(lab.load().without(["gamma", "tree"]), "S1")
    assert "gamma" not in {one.story for one in kept.stories}


def test_missing_test_responses(lab):
    lab.responses("S1", "smoke").unlink()
    assert "'smoke' are missing" in refused(lab.load()).message


def test_noise_ceiling_of_the_manifest_must_fit(lab):
    change = ("units = 6", 'units = 6\nnoise_ceiling = "ceiling.npy"')
    assert "noise_ceiling: " in refused(lab.load(change)).message
    np.save(lab.folder / "ceiling.npy", np.zeros(7))
    assert "has 7 values, but there are 6 targets" in refused(lab.load(change)).message
    np.save(lab.folder / "ceiling.npy", np.zeros(6))
    assert check_subject(lab.load(change), "S1").n_targets == 6


# Splits and warnings ----------------------------------------------------------------------------


def test_no_training_story(lab):
    for story in ("alpha", "beta"):
        lab.responses("S2", story).unlink()
    error = refused(lab.load(), "S2")
    assert "no training story" in error.message


def test_one_training_story_is_a_warning(lab):
    lab.responses("S2", "alpha").unlink()
    warnings = check_subject(lab.load(), "S2").warnings
    assert any("fewer than three training stories ('beta')" in warning for warning in warnings)


def test_test_story_without_repeats_is_a_warning(lab):
    write_responses(lab.responses("S1", "smoke"), N_ROWS, N_TARGETS)
    warning = check_subject(lab.load(), "S1").warnings[-1]
    assert "'smoke' has no repeats, so there is no noise ceiling from repeats" in warning
    assert "repeats_key = 'individual_repeats' is not in" in warning


def test_a_key_of_one_repeat_behind_a_link_is_not_called_absent(lab):
    write_responses(lab.responses("S1", "smoke"), N_ROWS, N_TARGETS)
    with h5py.File(lab.responses("S1", "smoke"), "a") as file:
        file["one"] = file["data"][()][None]
        file["individual_repeats"] = h5py.SoftLink("/one")
    warning = check_subject(lab.load(), "S1").warnings[-1]
    assert "'smoke' has no repeats" in warning and "is not in" not in warning


def test_a_misspelt_repeats_key_names_the_near_one(lab):
    warning = check_subject(lab.load(("individual_repeats", "individual_repeat")), "S1").warnings[
        -1
    ]
    assert "Did you mean 'individual_repeats'?" in warning


def test_a_known_ceiling_needs_no_repeats(lab):
    write_responses(lab.responses("S1", "smoke"), N_ROWS, N_TARGETS)
    np.save(lab.folder / "ceiling.npy", np.zeros(6))
    change = ("units = 6", 'units = 6\nnoise_ceiling = "ceiling.npy"')
    warnings = check_subject(lab.load(change), "S1").warnings
    assert not any("repeats" in warning for warning in warnings)


def test_the_same_recording_in_test_and_train_is_a_warning(lab):
    lab.audio("alpha").write_bytes(lab.audio("smoke").read_bytes())
    warnings = check_subject(lab.load(), "S1").warnings
    assert any("'smoke' and 'alpha' have the same audio" in warning for warning in warnings)


def test_audio_of_a_single_subject_is_the_one_that_is_checked(lab):
    write_audio(lab.folder / "long.flac", 80.0, seed=9)
    dataset = lab.load(more='[[runs]]\nsubject = "S2"\nstory = "alpha"\naudio = "long.flac"\n')
    assert check_subject(dataset, "S1").stories[0].audio_seconds == STORY_SECONDS
    assert "the audio goes on 56.0 s after the last row" in refused(dataset, "S2").message


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([0.1, 1.2, 0.3, 0.4, 0.5, 0.6], "holds 1.2"),
        ([0.1, -0.2, 0.3, 0.4, 0.5, 0.6], "holds -0.2"),
        ([0.1, np.inf, 0.3, 0.4, 0.5, 0.6], "holds inf"),
    ],
)
def test_a_given_ceiling_is_a_correlation(lab, values, told):
    np.save(lab.folder / "ceiling.npy", np.array(values))
    problem = refused(lab.load(("units = 6", 'units = 6\nnoise_ceiling = "ceiling.npy"')))
    assert told in problem.message and "square root" in problem.hint


def evict(path):
    path.rename(path.with_name(f".{path.name}.icloud")).write_bytes(b"bplist00")


def detach(path):
    path.unlink()
    path.symlink_to("../.git/annex/objects/x")


@pytest.mark.parametrize(
    ("take", "what", "hint"),
    [(evict, "a stub of iCloud", "brctl download"), (detach, "a link to nothing", "datalad get")],
)
def test_stories_of_all_whose_files_are_not_here_are_told(lab, take, what, hint):
    every = ('valid = ["tree"]', 'valid = ["tree"]\ntrain = "*"')
    (lab.folder / "stimuli/.alpha.flac.icloud").touch()
    assert not any("not here" in text for text in check_subject(lab.load(every), "S1").warnings)
    (lab.folder / "stimuli/.alpha.flac.icloud").unlink()
    take(lab.audio("alpha"))
    take(lab.responses("S1", "beta"))
    check = check_subject(lab.load(every), "S1")
    [warning] = [text for text in check.warnings if "not here" in text]
    assert [s.story for s in check.stories] == ["gamma", "tree", "smoke"]
    assert "2 files are not here" in warning and "(alpha.flac, beta.hf5)" in warning
    assert what in warning and hint in warning


def test_few_training_stories_are_told(lab):
    two = lab.load(('valid = ["tree"]', 'valid = ["tree"]\ntrain = ["alpha", "beta"]'))
    assert any("fewer than three" in text for text in check_subject(two, "S1").warnings)
