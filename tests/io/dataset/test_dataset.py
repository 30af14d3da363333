import shutil

import numpy as np
import pytest

from braindash.core.timing import Timing
from braindash.errors import InputError
from braindash.io.dataset.dataset import placeholders
from braindash.io.dataset.responses import load_repeats, load_responses


def test_train_star_means_all_other_stories_of_that_subject(lab):
    dataset = lab.load()

    assert dataset.split("S1").train == ("alpha", "beta", "gamma")
    assert dataset.split("S2").train == ("alpha", "beta")
    assert dataset.stories("S2") == ("alpha", "beta", "smoke", "tree")


def test_stories_without_responses_are_no_stories_of_the_subject(lab):
    shutil.copy(lab.audio("alpha"), lab.folder / "stimuli/extra.flac")
    dataset = lab.load()
    assert "extra" in dataset.known_stories
    assert "extra" not in dataset.stories("S1")


def test_listed_training_stories_keep_their_order_and_one_name_needs_no_list(lab):
    dataset = lab.load(
        ('test = ["smoke"]', 'test = "smoke"\ntrain = ["gamma", "alpha"]'), ('["tree"]', "[]")
    )
    split = dataset.split("S1")
    assert split.train == ("gamma", "alpha")
    assert split.valid == ()
    assert split.test == ("smoke",)


def test_every_audio_format_is_found_and_other_files_are_not(lab):
    folder = lab.folder / "stimuli"
    for name in ("one.wav", "two.FLAC", "three.ogg", "four.opus", "five.mp3"):
        (folder / name).touch()
    for name in ("notes.txt", ".hidden.wav", "picture.png"):
        (folder / name).touch()
    (folder / "folder.wav").mkdir()

    found = set(lab.load().known_stories) - {"alpha", "beta", "gamma", "smoke", "tree"}

    assert found == {"one", "two", "three", "four", "five"}


@pytest.mark.parametrize("suffix", ["_audio.flac", "_audio"])
def test_audio_suffix(lab, suffix):
    for path in (lab.folder / "stimuli").iterdir():
        path.rename(path.with_name(path.stem + "_audio.flac"))
    (lab.folder / "stimuli/intro.flac").touch()

    dataset = lab.load(("[timing]", f'audio_suffix = "{suffix}"\n[timing]'))

    assert dataset.known_stories == ("alpha", "beta", "gamma", "smoke", "tree")
    assert dataset.audio_path("beta").name == "beta_audio.flac"


def test_runs_override_from_general_to_specific(lab):
    rows = """
[[runs]]
subject = "S1"
story = "alpha"
tr = 1.52
slice_time = 0.5

[[runs]]
story = "alpha"
tr = 1.5
first_volume = 3

[[runs]]
audio_onset = 12.0
tolerance = 90.0

[[runs]]
subject = "S1"
tr = 1.0
"""
    dataset = lab.load(more=rows)

    assert dataset.timing("S1", "alpha") == Timing(1.52, 3, 12.0, 0.5)
    assert dataset.timing("S2", "alpha") == Timing(1.5, 3, 12.0, 0.0)
    assert dataset.timing("S1", "beta") == Timing(1.0, 0, 12.0, 0.0)
    assert dataset.timing("S2", "beta") == Timing(2.0, 0, 12.0, 0.0)
    assert dataset.tolerance("S2", "beta") == 90.0


def test_an_override_with_zero_counts(lab):
    changes = ("tr = 2.0", "tr = 2.0\nfirst_volume = 10\naudio_onset = 10.0")
    rows = '[[runs]]\nstory = "alpha"\nfirst_volume = 0\naudio_onset = 0.0\n'
    assert lab.load(changes, more=rows).timing("S1", "alpha") == Timing(2.0, 0, 0.0, 0.0)


def test_audio_and_response_paths_of_single_runs(lab):
    shutil.copy(lab.audio("alpha"), lab.folder / "other.flac")
    rows = """
[[runs]]
story = "alpha"
audio = "other.flac"

[[runs]]
subject = "S2"
story = "alpha"
response = "elsewhere/{subject}_{story}.npy"
"""
    dataset = lab.load(more=rows)

    assert dataset.audio_path("alpha") == lab.folder / "other.flac"
    assert dataset.responses("S2", "alpha").paths == (lab.folder / "elsewhere/S2_alpha.npy",)
    assert dataset.responses("S1", "alpha").paths == (lab.responses("S1", "alpha"),)
    assert dataset.stories("S2") == ("beta", "smoke", "tree")


def test_audio_of_single_subjects_must_be_asked_for_by_subject(lab):
    shutil.copy(lab.audio("alpha"), lab.folder / "slow.flac")
    rows = '[[runs]]\nsubject = "S2"\nstory = "alpha"\naudio = "slow.flac"\n'
    dataset = lab.load(more=rows)

    assert dataset.audio_path("alpha", "S2") == lab.folder / "slow.flac"
    assert dataset.audio_path("alpha", "S1") == lab.audio("alpha")
    assert dataset.audio_path("beta") == lab.audio("beta")
    with pytest.raises(InputError, match="depends on the subject"):
        dataset.audio_path("alpha")


def test_a_story_may_be_known_from_its_run_alone(lab):
    (lab.folder / "stimuli/gamma.flac").rename(lab.folder / "elsewhere.flac")
    rows = '[[runs]]\nsubject = "S1"\nstory = "gamma"\naudio = "elsewhere.flac"\n'
    dataset = lab.load(more=rows)
    assert "gamma" in dataset.stories("S1")
    assert dataset.audio_path("gamma", "S1") == lab.folder / "elsewhere.flac"


def test_hemispheres_and_runs_fill_the_template(lab, rng):
    values = rng.standard_normal((2, 4, 5)).astype(np.float32)
    for hemi, part in zip("LR", values, strict=True):
        np.save(lab.folder / f"S1_smoke_run-2_{hemi}.npy", part)
    dataset = lab.load(
        ("responses/{subject}/{story}.hf5", "{subject}_{story}_run-{run}_{hemi}.npy"),
        ("units = 6", "units = 10"),
        ('["tree"]', "[]"),
        more='[[runs]]\nsubject = "S1"\nstory = "smoke"\nrun = 2\n',
    )

    source = dataset.responses("S1", "smoke")

    assert [path.name for path in source.paths] == ["S1_smoke_run-2_L.npy", "S1_smoke_run-2_R.npy"]
    np.testing.assert_array_equal(load_responses(source), np.concatenate(list(values), axis=1))
    assert dataset.stories("S1") == ("smoke",)
    with pytest.raises(InputError, match=r"no run is given for subject 'S2'") as caught:
        dataset.responses("S2", "smoke")
    assert 'run = "1"' in caught.value.hint


def test_repeats_in_files_of_their_own(lab, rng):
    repeats = rng.standard_normal((3, 4, 5)).astype(np.float32)
    (lab.folder / "r").mkdir()
    np.save(lab.folder / "r/S1_smoke.npy", repeats.mean(axis=0))
    np.save(lab.folder / "r/S1_smoke_all.npy", repeats)
    changes = (
        'path = "responses/{subject}/{story}.hf5"',
        'path = "r/{subject}_{story}.npy"\nrepeats_path = "r/{subject}_{story}_all.npy"',
    )
    source = lab.load(changes, ("units = 6", "units = 5")).responses("S1", "smoke")
    np.testing.assert_array_equal(load_repeats(source), repeats)


def test_simulated_data_say_so(lab):
    assert lab.load(("[timing]", "simulated = true\n[timing]")).simulated


def test_unknown_subjects_and_stories_name_the_near_ones(lab):
    dataset = lab.load()
    with pytest.raises(InputError, match="no subject 'S11'") as caught:
        dataset.split("S11")
    assert "Did you mean 'S1'?" in caught.value.hint
    with pytest.raises(InputError, match="no audio for the story 'alfa'") as caught:
        dataset.audio_path("alfa")
    assert "Did you mean 'alpha'?" in caught.value.hint


def test_missing_response_file_of_a_named_story(lab):
    lab.responses("S2", "smoke").unlink()
    dataset = lab.load()

    assert dataset.split("S1").test == ("smoke",)
    with pytest.raises(InputError, match=r"subject 'S2' to story 'smoke'.*S2/smoke\.hf5") as caught:
        dataset.split("S2")
    assert "alpha, beta, tree" in caught.value.hint


def test_placeholders():
    assert placeholders("{subject}/a{{b}}/{story}_{story:>3}") == ("subject", "story", "story:>3")
