"""Layouts whose responses are HDF5: denizenslab, LeBel et al., Algonauts."""

import json
from pathlib import Path

import h5py
import numpy as np

from kit.layouts.common import Made, tiny_words, write_text, write_textgrid
from kit.spaces.files import VOXELS, own_meshes, put_freesurfer, put_pycortex

N_VOXELS = 14
NAN_VOXEL = 9
STORY_SECONDS = 70.0
DENIZENSLAB_TR = 2.0045
LEBEL_STORIES = ("alternateithicatom", "avatar", "souls", "wheretheressmoke")


def denizenslab(
    folder: Path,
    *,
    kinds: tuple[str, ...] = ("listening",),
    subjects: tuple[str, ...] = ("01", "02"),
) -> Made:
    """Responses, mappers and, apart, sounds named after the stories."""
    made = Made(folder / "data", folder / "sounds")
    stories = ["story_01", "story_02", "story_03", "story_11"]
    for story in stories:
        made.sound(made.audio / f"{story}.wav", STORY_SECONDS)
    n_rows = int((STORY_SECONDS + 10) / DENIZENSLAB_TR) - 10
    times = (np.arange(n_rows) + 5) * DENIZENSLAB_TR - 10.0
    (made.folder / "responses").mkdir(parents=True)
    (made.folder / "mappers").mkdir()
    for subject in subjects:
        for kind in kinds:
            stem = f"responses/subject{subject}_{kind}_fmri_data"
            with h5py.File(made.folder / f"{stem}_trn.hdf", "w") as file:
                for number, story in enumerate(stories[:-1]):
                    rows = made.responses(story, times, N_VOXELS, seed=number)
                    rows[:, NAN_VOXEL] = np.nan
                    file[story] = rows[None] if story == "story_02" else rows
            with h5py.File(made.folder / f"{stem}_val.hdf", "w") as file:
                runs = [made.responses("story_11", times, N_VOXELS, seed=10 + k) for k in (0, 1)]
                both = np.stack(runs)
                both[:, :, NAN_VOXEL] = np.nan
                file["story_11"] = both
        _mappers(made.folder / f"mappers/subject{subject}_mappers.hdf")
    return made


def _mappers(path: Path) -> None:
    n_vertices, rng = 327684, np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        voxel = rng.integers(0, N_VOXELS, n_vertices).astype(np.int32)
        file["voxel_to_fsaverage_data"] = np.ones(n_vertices, dtype=np.float32)
        file["voxel_to_fsaverage_indices"] = voxel
        file["voxel_to_fsaverage_indptr"] = np.arange(n_vertices + 1, dtype=np.int32)
        file["voxel_to_fsaverage_shape"] = np.array([n_vertices, N_VOXELS])
        for name, size in (("AC", 6), ("Broca", 3)):
            mask = np.zeros(N_VOXELS, dtype=np.float32)
            mask[:size] = 1
            file[name] = mask


def lebel(folder: Path, *, subjects: tuple[str, ...] = ("UTS01", "UTS09")) -> Made:
    """Preprocessed data, sounds of several rates, TextGrids, sidecars, a published ceiling."""
    made = Made(folder / "ds003020")
    root, seconds = made.folder, 90.0
    for number, story in enumerate(LEBEL_STORIES):
        kind = {"rate": 44100, "channels": 2} if number == 0 else {}
        made.sound(root / f"stimuli/{story}.wav", seconds, **kind)
        grid = root / f"derivative/TextGrids/{story}.TextGrid"
        write_textgrid(grid, tiny_words(seconds), seconds)
        write_text(root / f"task-{story}_bold.json", json.dumps({"RepetitionTime": 2.0}))
    made.sound(root / "stimuli/auditory_localizer.wav", 20.0)
    meshes = own_meshes()
    n_scan = int(np.ceil((seconds + 18.0) / 2.0))
    times = (np.arange(n_scan - 20) + 10) * 2.0 - 10.0
    for subject in subjects:
        for number, story in enumerate(LEBEL_STORIES):
            path = root / f"derivative/preprocessed_data/{subject}/{story}.hf5"
            path.parent.mkdir(parents=True, exist_ok=True)
            n_repeats = 3 if story == "wheretheressmoke" else 1
            runs = np.stack(
                [
                    made.responses(story, times, N_VOXELS, seed=9 * number + k)
                    for k in range(n_repeats)
                ]
            ).astype(np.float64)
            runs = (runs - runs.mean(axis=1, keepdims=True)) / runs.std(axis=1, keepdims=True)
            runs[:, :, NAN_VOXEL] = np.nan
            with h5py.File(path, "w") as file:
                file["data"] = runs.mean(axis=0)
                if n_repeats > 1:
                    file["individual_repeats"] = runs
        mask = np.zeros(VOXELS, dtype=bool)
        mask.flat[:N_VOXELS] = True
        place = put_pycortex(root / f"derivative/pycortex-db/{subject}", meshes, mask)
        (place / "transforms/S1_auto").rename(place / f"transforms/{subject}_auto")
        if subject != "UTS09":
            put_freesurfer(root / f"derivative/freesurfer_subjdir/{subject}", meshes)
    (root / "subject_NCs").mkdir()
    np.save(root / f"subject_NCs/{subjects[0]}.npy", np.linspace(0, 0.9, N_VOXELS))
    return made


def algonauts(folder: Path, *, n_parcels: int = 1000) -> Made:
    """One file of Friends for each subject, and sounds cut from the films, apart."""
    made = Made(folder / "fmri", folder / "sounds")
    episodes = ("s01e01a", "s01e01b", "s01e02a", "s01e02b")
    for episode in episodes:
        made.sound(made.audio / f"friends_{episode}.wav", 60.0)
    times = np.arange(40) * 1.49
    for number, subject in enumerate(("sub-01", "sub-02")):
        place = made.folder / subject / "func"
        place.mkdir(parents=True)
        name = (
            f"{subject}_task-friends_space-MNI152NLin2009cAsym_atlas-Schaefer18_"
            "parcel-1000Par7Net_desc-s123456_bold.h5"
        )
        with h5py.File(place / name, "w") as file:
            for place_in, episode in enumerate(episodes):
                key = f"ses-{1 + number + place_in:03d}_task-{episode}"
                rows = made.responses(f"friends_{episode}", times, n_parcels, seed=place_in)
                file[key] = rows
    return made
