"""What each recogniser finds, leaves out and says; the traps of the real data."""

import json
import shutil

import h5py
import numpy as np
import pytest
from kit.layouts.arrays import N_VOXELS, NAN_VOXEL, denizenslab, lebel
from kit.layouts.common import write_text
from kit.layouts.surfaces import EVENTS, annexed, fmriprep, narratives, petit_prince

from braindash.errors import InputError
from braindash.io.dataset.check import check_subject
from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import load_repeats, load_responses
from braindash.io.labels.tiers import story_tier
from braindash.io.layouts.find import LAYOUTS, recognise
from braindash.io.layouts.finding import written_path
from braindash.io.layouts.index import index_folder, write_manifest
from braindash.io.spaces.find import surface_for


def test_every_layout_is_recognised_and_says_what_it_is(made, request):
    name = request.node.callspec.params["made"]
    found = index_folder(made.folder, made.audio)
    layout = LAYOUTS[found.layout]
    assert name.startswith(found.layout)
    assert found.subjects and found.draft
    assert found.licence == layout.licence and found.citation == layout.citation
    text = found.manifest_text(made.folder)
    assert f'layout = "{found.layout}"' in text
    assert str(made.folder) not in text, "paths are relative to the manifest"


def test_the_check_of_every_layout_is_clean(made, tmp_path):
    path = tmp_path / "m.toml"
    write_manifest(index_folder(made.folder, made.audio), path)
    dataset = load_manifest(path)
    for subject in dataset.subjects:
        check = check_subject(dataset, subject)
        assert {story.story for story in check.stories} == set(dataset.stories(subject))


def test_a_folder_stands_for_its_manifest(layouts, tmp_path):
    made = layouts("lebel")
    write_manifest(index_folder(made.folder), tmp_path / "m.toml")
    from_file, from_folder = load_manifest(tmp_path / "m.toml"), load_manifest(made.folder)
    assert from_folder.subjects == from_file.subjects
    for subject in from_file.subjects:
        assert from_folder.split(subject) == from_file.split(subject)
        assert from_folder.timing(subject, "souls") == from_file.timing(subject, "souls")


def test_a_folder_with_a_manifest_is_used_as_it_is(tmp_path, layouts):
    made = layouts("lebel")
    copy = tmp_path / "lab"
    shutil.copytree(made.folder, copy)
    write_manifest(index_folder(copy), copy / "our_own.toml")
    text = (copy / "our_own.toml").read_text()
    (copy / "our_own.toml").write_text(text.replace("Natural language fMRI", "Mine"))
    found = index_folder(copy)
    assert found.own == copy / "our_own.toml" and found.subjects["UTS01"]
    assert load_manifest(copy).name.startswith("Mine")
    shutil.copy(copy / "our_own.toml", copy / "another.toml")
    with pytest.raises(InputError, match="several manifests"):
        load_manifest(copy)


def test_an_unknown_folder_names_what_is_known(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match="in no layout") as caught:
        recognise(tmp_path)
    assert "LeBel" in caught.value.hint


# ---- LeBel --------------------------------------------------------------------------------------


def test_lebel_has_a_tr_of_2_ten_volumes_and_ten_seconds(layouts):
    made = layouts("lebel")
    dataset = load_manifest(made.folder)
    timing = dataset.timing("UTS01", "souls")
    assert (timing.tr, timing.first_volume, timing.audio_onset) == (2.0, 10, 10.0)
    assert timing.times(1)[0] == 10.0
    one, nine = dataset.subject("UTS01"), dataset.subject("UTS09")
    assert one.units == N_VOXELS and one.transform == "UTS01_auto"
    assert one.noise_ceiling.endswith("subject_NCs/UTS01.npy")
    assert nine.pycortex and nine.freesurfer is None and nine.noise_ceiling is None
    assert dataset.split("UTS01").test == ("wheretheressmoke",)
    assert "auditory_localizer" not in dataset.stories("UTS01")
    assert story_tier(dataset, "souls", "word").intervals()[1].label == "word1"


def test_lebel_looks_whether_runs_are_standardised(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01",))
    assert load_manifest(made.folder).zscored == "run"
    for path in made.folder.rglob("*.hf5"):
        with h5py.File(path, "r+") as file:
            file["data"][...] = file["data"][...] * 3 + 1
    assert load_manifest(made.folder).zscored == "none"


def test_lebel_takes_the_tr_of_its_sidecars(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01",))
    for path in made.folder.glob("task-*_bold.json"):
        path.unlink()
    assert load_manifest(made.folder).timing("UTS01", "souls").tr == 2.0
    write_text(made.folder / "task-souls_bold.json", json.dumps({"RepetitionTime": 1.5}))
    assert load_manifest(made.folder).timing("UTS01", "souls").tr == 1.5


def test_lebel_says_what_was_never_fetched_and_what_has_no_sound(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01",))
    file = made.folder / "derivative/preprocessed_data/UTS01/avatar.hf5"
    file.unlink()
    annexed(file)
    (made.folder / "stimuli/souls.wav").unlink()
    found = index_folder(made.folder)
    assert found.subjects == {"UTS01": ("alternateithicatom", "wheretheressmoke")}
    told = "\n".join(found.missing)
    assert "datalad get" in told and "avatar.hf5" in told and "no sound" in told and "souls" in told


def test_lebel_without_its_repeated_story_keeps_another_for_the_score(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01", "UTS02"))
    (made.folder / "derivative/preprocessed_data/UTS02/wheretheressmoke.hf5").unlink()
    found = index_folder(made.folder)
    dataset = load_manifest(made.folder)
    assert any("wheretheressmoke of UTS02" in one for one in found.missing)
    assert dataset.split("UTS01").test == ("wheretheressmoke",)
    assert dataset.split("UTS02").test == ("souls",)
    assert "souls" in dataset.split("UTS01").train


def test_chosen_voxels_keep_their_place_on_the_surface(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01",))
    whole = surface_for(load_manifest(made.folder), "UTS01", N_VOXELS)
    chosen = [0, 3, 5, 11]
    np.save(made.folder / "columns.npy", np.isin(np.arange(N_VOXELS), chosen))
    path = made.folder / "m.toml"
    write_manifest(index_folder(made.folder), path)
    path.write_text(
        path.read_text().replace('id = "UTS01"', 'id = "UTS01"\ncolumns = "columns.npy"')
    )
    dataset = load_manifest(path)
    assert check_subject(dataset, "UTS01").n_targets == len(chosen)
    found = surface_for(dataset, "UTS01", len(chosen))
    np.testing.assert_array_equal(found.matrix.toarray(), whole.matrix.toarray()[:, chosen])


# ---- denizenslab --------------------------------------------------------------------------------


def test_denizenslab_folds_the_needless_axis_and_keeps_both_repeats(layouts, tmp_path):
    made = layouts("denizenslab")
    write_manifest(index_folder(made.folder, made.audio), tmp_path / "m.toml")
    dataset = load_manifest(tmp_path / "m.toml")
    timing = dataset.timing("subject01", "story_02")
    assert timing.times(1)[0] == pytest.approx(5 * 2.0045 - 10.0)
    with h5py.File(made.folder / "responses/subject01_listening_fmri_data_trn.hdf") as file:
        assert file["story_02"].shape[0] == 1
        expected = file["story_02"][0]
    rows = load_responses(dataset.responses("subject01", "story_02"))
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    source = dataset.responses("subject01", "story_11")
    assert load_repeats(source).shape == (2, *load_responses(source).shape)
    assert np.isnan(load_responses(source)[:, NAN_VOXEL]).all()
    assert load_repeats(dataset.responses("subject01", "story_02")) is None
    assert dataset.split("subject01").test == ("story_11",)


def test_denizenslab_without_sound_says_what_is_taken(layouts):
    made = layouts("denizenslab")
    found = index_folder(made.folder)
    assert found.draft is None and any("story_01.wav" in one for one in found.missing)
    with pytest.raises(InputError, match=r"nothing in it can be used yet.*no sound"):
        load_manifest(made.folder)


def test_denizenslab_listening_and_reading_stand_side_by_side(tmp_path):
    made = denizenslab(tmp_path, kinds=("listening", "reading"), subjects=("01",))
    found = index_folder(made.folder, made.audio)
    assert set(found.subjects) == {"subject01", "subject01_reading"}
    write_manifest(found, tmp_path / "m.toml")
    dataset = load_manifest(tmp_path / "m.toml")
    (path,) = dataset.responses("subject01_reading", "story_11").paths
    assert path.name == "subject01_reading_fmri_data_val.hdf"


# ---- Narratives ---------------------------------------------------------------------------------


def test_narratives_events_are_one_playback_and_exclusions_are_parsed(layouts):
    made = layouts("narratives")
    found = index_folder(made.folder)
    dataset = load_manifest(made.folder)
    assert dataset.timing("sub-002", "slumlordreach").audio_onset == 4.5
    assert dataset.timing("sub-001", "pieman").audio_onset == 0.0
    assert dataset.timing("sub-115", "milkywaysynonyms").tr == 1.52
    # run-1 is excluded, run-2 of the same subject is not.
    assert len(dataset.responses("sub-003", "pieman").files) == 2
    assert "run-2" in dataset.responses("sub-003", "pieman").files[0].name
    assert len(dataset.responses("sub-001", "pieman").files) == 4
    assert "sub-038" not in found.subjects
    told = "\n".join(found.excluded)
    assert "sub-003_task-pieman_run-1: the authors exclude it" in told
    # A stem without a run is all runs of its task, and no other task that begins alike.
    assert "sub-006_task-pieman_run-2: the authors exclude it" in told
    assert found.subjects["sub-006"] == ("piemanpni",)
    assert "sub-038_task-prettymouth: its events were shifted" in told
    rows = load_responses(dataset.responses("sub-001", "tunnel"))
    assert np.isnan(rows[:, :10]).all() and not np.isnan(rows[:, 10:40000]).any()


def test_subjects_of_one_story_are_scored_within_it(layouts):
    dataset = load_manifest(layouts("narratives").folder)
    assert dataset.scheme("sub-004") == "within-story"
    assert dataset.split("sub-004").train == dataset.split("sub-004").test == ("pieman",)
    assert dataset.scheme("sub-001") == "across-stories"
    assert dataset.split("sub-115").test == ("tunnel",)


def test_narratives_reads_the_alignments_of_gentle(layouts):
    dataset = load_manifest(layouts("narratives").folder)
    words = story_tier(dataset, "pieman", "word").intervals()
    phones = story_tier(dataset, "pieman", "phone").intervals()
    assert [one.label for one in words] == ["I", "it"]  # what gentle did not find has no time
    assert [(one.label, one.start) for one in phones][1:] == [("ih", 16.0), ("t", 16.2)]


def test_the_openneuro_tree_alone_says_what_is_missing(tmp_path):
    made = narratives(tmp_path, derivatives=False)
    found = index_folder(made.folder)
    assert found.layout == "narratives" and found.draft is None
    assert "afni-nosmooth" in found.missing[0] and "datalad get" in found.missing[0]


# ---- Le Petit Prince ----------------------------------------------------------------------------


def test_the_runs_of_the_prince_are_sorted_by_number(layouts):
    made = layouts("petit-prince")
    dataset = load_manifest(made.folder)
    (first,) = dataset.responses("sub-FR057", "task-lppFR_section_1").paths
    (second,) = dataset.responses("sub-FR057", "task-lppFR_section_2").paths
    assert "run-09" in first.name and "run-10" in second.name
    assert dataset.timing("sub-EN057", "task-lppEN_section-3").times(5)[4] == 0.0
    assert dataset.split("sub-EN057").test == ("task-lppEN_section-9",)
    assert all("lppEN" in story for story in dataset.stories("sub-EN057"))
    assert "Colin27" in index_folder(made.folder).notes[1]


def test_missing_runs_of_the_prince_are_told_and_known_from_the_scans(tmp_path):
    made = petit_prince(tmp_path, languages=("EN",))
    folder = made.folder / "derivatives/sub-EN057/func"
    for path in sorted(folder.iterdir())[:-1]:
        path.unlink()  # all but run 23, which is section 9
    assert any("taken for the first sections" in one for one in index_folder(made.folder).excluded)
    for run in range(15, 24):
        annexed(made.folder / f"sub-EN057/func/sub-EN057_task-lppEN_run-{run}_echo-1_bold.nii.gz")
    found = index_folder(made.folder)
    assert found.subjects == {"sub-EN057": ("task-lppEN_section-9",)}
    assert not found.excluded


# ---- Algonauts ----------------------------------------------------------------------------------


def test_episodes_of_friends_are_keys_in_one_file(layouts, tmp_path):
    made = layouts("algonauts")
    write_manifest(index_folder(made.folder, made.audio), tmp_path / "m.toml")
    dataset = load_manifest(tmp_path / "m.toml")
    assert dataset.stories("sub-02") == ("s01e01a", "s01e01b", "s01e02a", "s01e02b")
    assert dataset.responses("sub-01", "s01e02a").key == "ses-003_task-s01e02a"
    assert dataset.responses("sub-02", "s01e02a").key == "ses-004_task-s01e02a"
    assert dataset.audio_path("s01e02a").name == "friends_s01e02a.wav"
    assert dataset.timing("sub-01", "s01e01a").times(2)[1] == 1.49


# ---- BIDS ---------------------------------------------------------------------------------------


def test_onsets_may_be_negative_and_slices_are_in_the_middle(layouts):
    dataset = load_manifest(layouts("bids-fsaverage5").folder)
    boat = dataset.timing("sub-01", "boat")
    assert (boat.audio_onset, boat.slice_time, boat.tr) == (-3.0, 0.984, 2.0)
    assert dataset.name == "Tales" and dataset.space == "fsaverage5"
    assert [path.parent.parent.name for path in dataset.responses("sub-01", "lake").files] == [
        "ses-1",
        "ses-1",
        "ses-2",
        "ses-2",
    ]


def test_scans_without_events_tr_or_a_side_are_told(tmp_path):
    made = fmriprep(tmp_path, subjects=("01",))
    func = made.folder / "derivatives/fmriprep/sub-01/ses-1/func"
    next(func.glob("*run-1_hemi-R*.func.gii")).unlink()
    # The tree's sound is played twice in session 2, at another time: no presentation of the first.
    events = made.folder / "sub-01/ses-2/func/sub-01_ses-2_task-tales_run-01_events.tsv"
    write_text(events, EVENTS + "9.0\t10\tstory\ttales/lake.wav\n")
    found = index_folder(made.folder)
    told = "\n".join(found.excluded)
    assert "right hemisphere is not there" in told and "another moment" in told
    assert found.subjects == {"sub-01": ("house", "lake", "tree")}
    (made.folder / "task-tales_bold.json").unlink()
    for sidecar in made.folder.rglob("*run-2*hemi*.json"):
        write_text(sidecar, json.dumps({"StartTime": 1.0}))
    found = index_folder(made.folder)
    assert any("the TR of" in one for one in found.missing)
    assert "house" not in found.subjects["sub-01"]


def test_a_task_without_stimuli_is_the_story_itself(tmp_path):
    made = fmriprep(tmp_path, subjects=("01",))
    for path in made.folder.rglob("*_events.tsv"):
        path.unlink()
    made.sound(tmp_path / "sounds/tales_run-2.wav", 40.0)
    found = index_folder(made.folder, tmp_path / "sounds")
    assert found.subjects == {"sub-01": ("tales_run-2",)}
    assert any("audio_onset = 0 s" in one for one in found.notes)
    assert any("no sound" in one for one in found.missing)


def test_raw_data_alone_ask_for_preprocessing(tmp_path):
    annexed(tmp_path / "sub-01/func/sub-01_task-rest_bold.nii.gz")
    found = index_folder(tmp_path)
    assert found.layout == "bids" and found.draft is None and "fMRIPrep" in found.missing[0]


# ---- known and not read -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "layout", "says"),
    [
        ("assembly_lebel_uts03.pkl", "litcoder", "first_volume = 10"),
        ("sub-01/ieeg/sub-01_task-podcast_desc-highgamma_ieeg.fif", "podcast-ecog", "ECoG"),
        ("sub-01/func/sub-01_task-RDR_run-1_bold.nii.gz", "smn4lang", "not read yet"),
    ],
)
def test_known_data_that_are_not_read_say_so(tmp_path, file, layout, says):
    write_text(tmp_path / file, "x")
    found = index_folder(tmp_path)
    assert found.layout == layout and found.draft is None and says in found.missing[0]
    with pytest.raises(InputError, match="no manifest can be written"):
        write_manifest(found, tmp_path / "m.toml")


# ---- the written manifest -----------------------------------------------------------------------


def test_paths_are_relative_where_there_is_a_common_home(tmp_path):
    assert written_path(tmp_path / "a/b", tmp_path) == "a/b"
    assert written_path(tmp_path / "a", tmp_path / "b") == "../a"
    assert written_path(tmp_path, tmp_path) == "."


def test_a_manifest_moves_with_its_data(tmp_path):
    made = lebel(tmp_path / "here", subjects=("UTS01",))
    write_manifest(index_folder(made.folder), tmp_path / "here/m.toml")
    (tmp_path / "here").rename(tmp_path / "there {1}")
    dataset = load_manifest(tmp_path / "there {1}/m.toml")
    assert load_responses(dataset.responses("UTS01", "souls")).shape[1] == N_VOXELS


def test_names_with_braces_quotes_and_line_ends_are_written(tmp_path):
    made = fmriprep(tmp_path / 'a {b} "c"\\d', subjects=("01",))
    text = json.dumps({"Name": 'Tales "of"\nus'})
    write_text(made.folder / "dataset_description.json", text)
    write_manifest(index_folder(made.folder), tmp_path / "m.toml")
    dataset = load_manifest(tmp_path / "m.toml")
    assert dataset.name == 'Tales "of"\nus'
    assert dataset.stories("sub-01") == ("boat", "house", "lake", "tree")


def test_no_file_is_written_over(tmp_path, layouts):
    found = index_folder(layouts("lebel").folder)
    (tmp_path / "m.toml").write_text("mine")
    with pytest.raises(InputError, match="is there already"):
        write_manifest(found, tmp_path / "m.toml")
    assert (tmp_path / "m.toml").read_text() == "mine"


def test_hundreds_of_subjects_are_indexed_with_few_openings(tmp_path, monkeypatch):
    """Of each scan its events and sidecar are read, and no response is opened."""
    made = narratives(tmp_path)
    source = made.folder / "derivatives/afni-nosmooth/sub-002/func"
    for number in range(200, 260):
        for place in (f"sub-{number}/func", f"derivatives/afni-nosmooth/sub-{number}/func"):
            (made.folder / place).mkdir(parents=True)
        name = f"sub-{number}_task-tunnel"
        write_text(
            made.folder / f"sub-{number}/func/{name}_events.tsv",
            EVENTS + "3\t1\tstory\ttunnel_audio.wav\n",
        )
        write_text(made.folder / f"sub-{number}/func/{name}_bold.json", '{"RepetitionTime": 1.5}')
        for hemi in "LR":
            ending = f"space-fsaverage6_hemi-{hemi}_desc-clean.func.gii"
            target = made.folder / f"derivatives/afni-nosmooth/sub-{number}/func/{name}_{ending}"
            target.symlink_to(source / f"sub-002_task-pieman_{ending}")
    opened = []
    import builtins
    import pathlib

    real, real_bytes = builtins.open, pathlib.Path.read_bytes

    def counted(file, *args, **kwargs):
        opened.append(str(file))
        return real(file, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", counted)
    monkeypatch.setattr(
        pathlib.Path, "read_bytes", lambda path: (opened.append(str(path)), real_bytes(path))[1]
    )
    found = index_folder(made.folder)
    assert len(found.subjects) == 66
    assert not [name for name in opened if name.endswith(".gii")]
    assert len(opened) <= 3 * 74 + 20
