"""Layouts as other labs have them: other names, units, meshes, pipelines, and parts of trees."""

import gzip
import json
import shutil

import h5py
import nibabel
import numpy as np
import pytest
from kit.layouts.arrays import N_VOXELS, denizenslab, lebel
from kit.layouts.common import Made, write_gifti, write_text
from kit.layouts.surfaces import EVENTS, annexed, narratives
from nibabel.gifti import GiftiMetaData

from braindash.errors import InputError
from braindash.io.dataset.check import check_stories
from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import load_responses, shape
from braindash.io.images.surfaces import gifti_shape, gifti_values
from braindash.io.labels.tiers import story_tier
from braindash.io.layouts.index import index_folder, write_manifest
from braindash.io.regions.own import own_regions

# ---- LeBel --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["subject_NCs/UTS01_NC.npy", "ceilings/noise_UTS01.npy"])
def test_published_ceilings_of_other_names_are_found(tmp_path, place):
    made = lebel(tmp_path, subjects=("UTS01",))
    (made.folder / "subject_NCs/UTS01.npy").rename(made.folder / "kept.npy")
    (made.folder / place).parent.mkdir(exist_ok=True)
    shutil.move(made.folder / "kept.npy", made.folder / place)
    np.save(made.folder / "UTS01_columns.npy", np.zeros(N_VOXELS))  # named after nothing
    assert load_manifest(made.folder).subject("UTS01").noise_ceiling.endswith(place)
    np.save(made.folder / place, np.ones(7))
    assert load_manifest(made.folder).subject("UTS01").noise_ceiling is None
    assert any("shape (7,)" in one for one in index_folder(made.folder).notes)


def test_the_folder_of_responses_alone_is_enough(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01",))
    data = made.folder / "derivative/preprocessed_data"
    for folder in (made.folder / "derivative", data, data / "UTS01"):
        write_manifest(index_folder(folder, made.folder / "stimuli"), tmp_path / "m.toml")
        dataset = load_manifest(tmp_path / "m.toml")
        assert len(dataset.stories("UTS01")) == 4
        one = dataset.subject("UTS01")
        assert one.transform == "UTS01_auto" and one.freesurfer and dataset.is_annotated
        (tmp_path / "m.toml").unlink()


def test_the_voxels_are_those_of_most_files(tmp_path):
    made = lebel(tmp_path, subjects=("UTS01",))
    data = made.folder / "derivative/preprocessed_data/UTS01"
    first = min(data.iterdir())
    kept = first.read_bytes()
    with h5py.File(first, "w") as file:
        file["data"] = np.zeros((44, 9))
    dataset = load_manifest(made.folder)
    assert dataset.subject("UTS01").units == N_VOXELS
    _, problems = check_stories(dataset, "UTS01", dataset.split("UTS01"))
    assert [(one.about, one.story) for one in problems] == [("targets", first.stem)]
    first.write_bytes(kept)
    for number, path in enumerate(sorted(data.iterdir())):  # stories of other lengths, all turned
        with h5py.File(path, "w") as file:
            file["data"] = np.zeros((N_VOXELS, 40 + number))
    assert load_manifest(made.folder).subject("UTS01").units == N_VOXELS


# ---- denizenslab --------------------------------------------------------------------------------


def test_regions_are_those_of_the_person_who_listened_and_read(tmp_path):
    made = denizenslab(tmp_path, kinds=("listening", "reading"), subjects=("01",))
    write_manifest(index_folder(made.folder, made.audio), tmp_path / "m.toml")
    dataset = load_manifest(tmp_path / "m.toml")
    for subject in ("subject01", "subject01_reading"):
        assert own_regions(dataset, subject, N_VOXELS).masks["AC"].sum() == 6
    with h5py.File(made.folder / "mappers/subject01_mappers.hdf", "r+") as file:
        del file["AC"]
        file["AC"] = np.ones(N_VOXELS + 3)
    found = index_folder(made.folder, made.audio)
    assert any("AC have not one value for each of 14 voxels" in one for one in found.notes)
    assert list(found.draft.regions["masks"].value) == ["Broca"]


# ---- Narratives ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tales(tmp_path_factory):
    return narratives(tmp_path_factory.mktemp("narratives")).folder


def test_other_pipelines_are_used_and_told_where_the_best_is_not_here(tmp_path, tales):
    root = tmp_path / "copy"
    shutil.copytree(tales, root, symlinks=True)
    (root / "derivatives/afni-nosmooth").rename(root / "derivatives/afni-smooth")
    found = index_folder(root)
    assert found.subjects["sub-001"] and any("smoothed by 6 mm" in one for one in found.notes)
    assert any("derivatives/afni-nosmooth" in one for one in found.missing)
    for path in root.glob("derivatives/afni-smooth/*/func/*"):
        plain = path.parent / path.name.replace("_desc-clean", "")
        path.rename(plain)
    (root / "derivatives/afni-smooth").rename(root / "derivatives/fmriprep")
    found = index_folder(root)
    assert found.subjects["sub-001"] and any("not denoised" in one for one in found.notes)
    # Links to what was never fetched do not hide what is here.
    name = "sub-001_task-pieman_run-1_space-fsaverage6_hemi-L_desc-clean.func.gii"
    annexed(root / "derivatives/afni-nosmooth/sub-001/func" / name)
    assert index_folder(root).subjects == found.subjects


def test_tables_of_gentle_give_words_and_count_those_without_times(tmp_path, tales, caplog):
    root = tmp_path / "copy"
    shutil.copytree(tales, root, symlinks=True)
    place = root / "stimuli/gentle/pieman"
    (place / "align.json").unlink()
    annexed(place / "align.json")
    table = 'Hi,hi,1.5,1.9\n"well, so",<unk>,2.0,2.5\nlost,,,\nyes,yes,3,3.25\n'
    write_text(place / "align.csv", table)
    tier = story_tier(load_manifest(root), "pieman", "word")
    assert tier.path == place / "align.csv"
    assert [(one.start, one.end, one.label) for one in tier.intervals()] == [
        (1.5, 1.9, "Hi"),
        (2.0, 2.5, "well, so"),
        (3.0, 3.25, "yes"),
    ]
    assert "1 words that gentle did not find" in caplog.text
    with pytest.raises(InputError, match="no tier of phones"):
        story_tier(load_manifest(root), "pieman", "phone")
    for text, says in (("a,b,c\n", "3 columns"), ("a,a,x,2\n", "line 1"), ("\n", "no row")):
        write_text(place / "align.csv", text)
        with pytest.raises(InputError, match=f"no alignment of gentle: .*{says}"):
            story_tier(load_manifest(root), "pieman", "word").intervals()


# ---- BIDS ---------------------------------------------------------------------------------------


def study(folder, *, space="fsaverage5", n_vertices=10242, ending=".func.gii", tr=2.0):
    """Two runs of one subject, named by their events, with two rows each."""
    made = Made(folder / "study")
    for run, tale in enumerate(("fox", "owl"), 1):
        made.sound(made.folder / f"stimuli/{tale}.wav", 20.0)
        scan = f"sub-1_task-hear_run-{run}"
        events = EVENTS + f"4.5\t9\tstory\t{tale}.wav\n"
        write_text(made.folder / f"sub-1/func/{scan}_events.tsv", events)
        for hemi in "LR":
            name = f"{scan}_hemi-{hemi}_space-{space}_bold.func.gii"
            path = made.folder / "derivatives/fmriprep/sub-1/func" / name
            write_gifti(path, np.zeros((2, n_vertices), np.float32))
            if ending != ".func.gii":
                path.with_name(path.name.replace(".func.gii", ending)).write_bytes(
                    gzip.compress(path.read_bytes())
                )
                path.unlink()
    write_text(made.folder / "task-hear_bold.json", json.dumps({"RepetitionTime": tr}))
    return made


def edit_events(made, text):
    for path in made.folder.glob("sub-1/func/*_events.tsv"):
        number = path.name.partition("_run-")[2][0]
        write_text(path, text.format(tale=("fox", "owl")[int(number) - 1]))


def test_a_tr_in_milliseconds_is_told_and_read_as_such(tmp_path):
    made = study(tmp_path, tr=2000)
    assert load_manifest(made.folder).timing("sub-1", "fox").tr == 2.0
    assert any("milliseconds" in one for one in index_folder(made.folder).notes)


def test_a_tr_is_read_from_the_surface_where_no_sidecar_has_it(tmp_path):
    made = study(tmp_path)
    (made.folder / "task-hear_bold.json").unlink()
    assert any("the TR of" in one for one in index_folder(made.folder).missing)
    for path in made.folder.rglob("*.func.gii"):
        image = nibabel.load(path)
        image.meta = GiftiMetaData({"TimeStep": "1500.000000"})
        nibabel.save(image, path)
    assert load_manifest(made.folder).timing("sub-1", "fox").tr == 1.5


@pytest.mark.parametrize(
    ("space", "n_vertices", "found"),
    [("fsaverage", 10242, "fsaverage5"), ("fsaverage5", 500, "native-surface")],
)
def test_a_mesh_is_known_by_its_vertices(tmp_path, space, n_vertices, found):
    assert load_manifest(study(tmp_path, space=space, n_vertices=n_vertices).folder).space == found


def test_compressed_surfaces_are_read(tmp_path):
    dataset = load_manifest(study(tmp_path, ending=".func.gii.gz").folder)
    assert load_responses(dataset.responses("sub-1", "fox")).shape == (2, 20484)


def test_events_name_sounds_by_other_columns(tmp_path):
    made = study(tmp_path)
    edit_events(made, "onset\tduration\ttrial_type\n1.0\t2\tcue\n6.5\t9\t{tale}\n")
    assert load_manifest(made.folder).timing("sub-1", "owl").audio_onset == 6.5
    edit_events(made, "onset\tduration\tstim_id\ttrial_type\n6.5\t9\t{tale}\tfox\n")
    assert load_manifest(made.folder).stories("sub-1") == ("fox", "owl")


def test_events_that_name_no_sound_say_when_that_of_the_run_begins(tmp_path):
    made = study(tmp_path)
    edit_events(made, "onset\tduration\ttrial_type\n-1.5\t2\tspeech\n6.5\t9\tspeech\n")
    for number, tale in enumerate(("fox", "owl"), 1):
        place = made.folder / "stimuli"
        (place / f"{tale}.wav").rename(place / f"hear_run-{number:02d}.wav")
    found = index_folder(made.folder)
    assert found.subjects == {"sub-1": ("hear_run-01", "hear_run-02")}
    assert any("begin with their first row" in one for one in found.notes)
    assert load_manifest(made.folder).timing("sub-1", "hear_run-02").audio_onset == -1.5


def test_what_is_here_comes_before_links_to_what_is_not(tmp_path):
    made = study(tmp_path, space="fsaverage6", n_vertices=40962)
    for path in list(made.folder.rglob("*.func.gii")):
        annexed(path.with_name(path.name.replace("fsaverage6", "fsaverage5")))
    assert load_manifest(made.folder).space == "fsaverage6"


def test_native_surfaces_find_the_freesurfer_folder(tmp_path):
    made = study(tmp_path, space="fsnative", n_vertices=500)
    (made.folder / "derivatives/fmriprep/sourcedata/freesurfer/sub-1/surf").mkdir(parents=True)
    one = load_manifest(made.folder).subject("sub-1")
    assert one.freesurfer == "derivatives/fmriprep/sourcedata/freesurfer/sub-1"


# ---- sizes by headers ---------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ASCII", "B64BIN", "B64GZ"])
@pytest.mark.parametrize("one", [False, True])
@pytest.mark.parametrize("n_vertices", [642, 50])
def test_the_size_of_a_surface_needs_no_values(tmp_path, encoding, one, n_vertices):
    path = tmp_path / "a.func.gii"
    write_gifti(path, np.zeros((3, n_vertices), np.float32), encoding, one=one)
    assert gifti_shape(path) == gifti_values(path).shape


def test_a_surface_that_is_cut_is_found_by_its_size_already(tmp_path):
    made = study(tmp_path)
    source = load_manifest(made.folder).responses("sub-1", "fox")
    path = source.paths[1]
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="damaged"):
        shape(source)
