"""LeBel et al. 2023 (ds003020): one HDF5 file for each subject and story, in the subject's voxels.

``derivative/preprocessed_data/UTS01/STORY.hf5`` holds ``data`` (n_rows, n_voxels), the test story
``individual_repeats`` as well; sounds are ``stimuli/STORY.wav``. Ten volumes are cut off each end
of a scan, in which ten seconds of silence come before the sound.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from braindash.errors import InputError
from braindash.io.dataset.arrays import available_keys, opened_array
from braindash.io.layouts.bids_files import read_json, repetition_time
from braindash.io.layouts.building import (
    alignment_folder,
    choose_tests,
    not_fetched,
    sound_tables,
    without_sound,
)
from braindash.io.layouts.finding import Draft, Finding, Layout, Template, Told
from braindash.io.layouts.tree import File, Tree, natural, several, stem

_DATA = "preprocessed_data"
_TEST = "wheretheressmoke"
_TR = 2.0
# Columns that tell whether runs are standardised, and by how much they may miss it.
_LOOKED_AT = 64
_NEAR = 0.1
_HEADERS, _DIMENSIONS, _MANY_SIZES = 5, 2, 3
_CEILING = re.compile(r"(?i)ceiling|(^|[^a-z])ncs?([^a-z]|$)")
_TIMING = (
    "Ten volumes are cut off each end of a scan; ten seconds of silence come before the sound, so\n"
    "row i was acquired at (i + 10) * TR - 10 s of it."
)


def recognise(tree: Tree) -> Finding | None:
    """Recognise the layout by its folder of preprocessed data."""
    responses: dict[str, dict[str, File]] = {}
    data: Path | None = None
    root = tree.root.absolute()
    for file in tree.files:
        if not file.name.lower().endswith((".hf5", ".h5", ".hdf5")):
            continue
        # The folder itself may be what was given, or a subject's.
        folder = (root / file.place).parent if file.folders else root.parent
        if folder.name == _DATA:
            data = folder
            subject = file.folders[-1] if file.folders else root.name
            responses.setdefault(subject, {})[stem(file.name)] = file
    if data is None:
        return None
    problems: list[str] = []
    every = {story for files in responses.values() for story in files}
    sounds = {s: f for s in every if (f := tree.sound(s)) is not None}
    usable = {
        name: tuple(
            sorted(s for s, f in files.items() if f.exists() and s in sounds and sounds[s].exists())
        )
        for name, files in sorted(responses.items())
    }
    usable = {name: stories for name, stories in usable.items() if stories}
    absent = [file for files in responses.values() for file in files.values()]
    missing = [
        not_fetched([*absent, *sounds.values()]),
        without_sound(every - set(sounds), "They are in stimuli/, as STORY.wav."),
    ]
    tr, told = _tr(tree, problems)
    notes = [told]
    draft = None
    if usable:
        draft, more = _draft(
            tree, data, responses, usable, {s: sounds[s] for s in every & set(sounds)}, tr
        )
        notes += more
    incomplete = [name for name, stories in usable.items() if _TEST not in stories]
    if incomplete:
        missing.append(f"the repeated story {_TEST} of {several(incomplete)}")
    return LAYOUT.found(
        tree.root,
        subjects=usable,
        missing=[*missing, *problems],
        notes=tuple(notes),
        draft=draft,
    )


def _tr(tree: Tree, problems: list[str]) -> tuple[float, str]:
    """Read the TR from a sidecar: 2.0 in all of them, and not the 2.0045 of older code."""
    for file, _ in tree.named(r"(sub-.*_)?task-.*_bold\.json"):
        found = repetition_time(read_json(file, problems))
        if found is not None:
            return found, f"TR = {found:g} s, from {file.name}"
    return _TR, (
        "TR = 2.0 s, as every sidecar of the published data says (2.0045 in older code is of "
        "another data set, and drifts by up to 2.4 s)"
    )


def _draft(
    tree: Tree,
    data: Path,
    responses: Mapping[str, Mapping[str, File]],
    usable: Mapping[str, tuple[str, ...]],
    sounds: Mapping[str, File],
    tr: float,
) -> tuple[Draft, list[str]]:
    kept = {story for stories in usable.values() for story in stories}
    dataset, rows = sound_tables(tree, {s: f for s, f in sounds.items() if s in kept})
    grids = data.parent / "TextGrids"
    folder = alignment_folder(tree, kept) or (grids if grids.is_dir() else None)
    splits, own, notes = choose_tests(usable, [_TEST])
    ending = next(iter(next(iter(responses.values())).values())).name.rpartition(".")[2]
    draft = Draft(
        dataset={"name": LAYOUT.title, **dataset, "alignment_dir": folder},
        timing={"tr": tr, "first_volume": Told(10, _TIMING), "audio_onset": 10.0},
        responses={
            "path": Template(data, f"{{subject}}/{{story}}.{ending}"),
            "key": "data",
            "repeats_key": "individual_repeats",
            "zscored": _standardised(next(iter(responses.values())), notes),
            "space": "native-volume",
        },
        subjects=[
            _subject(tree, data.parent, name, responses[name], own.get(name, {}), notes)
            for name in usable
        ],
        splits=splits,
        runs=rows,
        comments=(
            "The papers drop the first 40 rows of the test story: `--preset` of their protocols, "
            "or score_from_row = 40 in [[runs]].",
            "To read fewer voxels, save numpy.save('columns.npy', ceiling > 0.4) and name it as "
            "columns of the subject.",
        ),
    )
    return draft, notes


def _subject(
    tree: Tree,
    base: Path,
    name: str,
    files: Mapping[str, File],
    own: Mapping[str, Any],
    notes: list[str],
) -> dict[str, Any]:
    units = _units(files, notes)
    fields: dict[str, Any] = {"id": name, "units": units, **own}
    fields["noise_ceiling"] = _ceiling(tree, name, units, notes)
    pycortex = base / "pycortex-db" / name
    transform = f"{name}_auto"
    matrices = pycortex / "transforms" / transform / "matrices.xfm"
    if matrices.is_file():
        fields |= {"pycortex": pycortex, "transform": transform}
    else:
        notes.append(
            f"{name} has no map of the cortex: {matrices} is not here (`datalad get` of "
            f"{pycortex}/surfaces and of its transforms)"
        )
    freesurfer = base / "freesurfer_subjdir" / name
    if (freesurfer / "surf/lh.sphere.reg").is_file():
        fields["freesurfer"] = freesurfer
    elif "pycortex" in fields:
        notes.append(
            f"{name} has no FreeSurfer folder with sphere.reg: its maps are on its own surface, "
            "not on fsaverage"
        )
    return fields


def _standardised(files: Mapping[str, File], notes: list[str]) -> Told:
    """Say whether runs are z-scored, as those that were published are: a few columns tell."""
    for story in sorted(files, key=natural):
        if story == _TEST or not files[story].exists():
            continue  # the mean of repeats varies less than one run
        try:
            with opened_array(files[story].path, "data") as array:
                first = max(0, array.shape[1] // 2 - _LOOKED_AT // 2)
                some = np.asarray(array[:, first : first + _LOOKED_AT], dtype=np.float64)
        except (InputError, OSError, IndexError) as error:
            notes.append(f"{files[story].path} cannot be read: {error}")
            continue
        known = some[:, np.isfinite(some).all(axis=0)]
        near = known.size and bool(
            (np.abs(known.mean(axis=0)) < _NEAR).all()
            and (np.abs(known.std(axis=0) - 1) < _NEAR).all()
        )
        if near:
            return Told("run", "Every run and voxel is standardised already, as published.")
        return Told("none", f"{story} is not standardised, so stories are when they are used.")
    return Told("none", "Nothing could be read: stories are standardised when they are used.")


def _units(files: Mapping[str, File], notes: list[str]) -> int | None:
    """Read the number of voxels from headers: what most of a few files have."""
    shapes: list[tuple[int, ...]] = []
    for story in sorted(files, key=natural):
        if len(shapes) == _HEADERS or not files[story].exists():
            continue
        try:
            shape = available_keys(files[story].path).get("data", ())
        except InputError as error:
            notes.append(f"{error.message}. {error.hint}")
            continue
        if len(shape) == _DIMENSIONS:
            shapes.append(shape)
    if not shapes:
        return None
    rows, columns = (Counter(shape[axis] for shape in shapes) for axis in (0, 1))
    usual, n_alike = columns.most_common(1)[0]
    # Stories differ in their rows; where they differ in their columns alone, they are turned.
    turned = len(rows) == 1 < len(shapes) and (len(columns) >= _MANY_SIZES or n_alike == 1)
    return next(iter(rows)) if turned else usual


def _ceiling(tree: Tree, name: str, units: int | None, notes: list[str]) -> Any:
    """Find a published noise ceiling: a .npy that is named after the subject, one value a voxel."""
    for file in _ceiling_files(tree, name):
        try:
            found = np.load(file.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            notes.append(f"{file.path} is no array of numbers, and is not used as noise ceiling")
            continue
        if found.shape == (units,) and found.dtype.kind == "f":
            return Told(
                file.path, "The published ceiling; without it, it is computed from repeats."
            )
        notes.append(
            f"{file.path} has the shape {found.shape} of {found.dtype}, not ({units},) of "
            "correlations: not used as noise ceiling"
        )
    return None


def _ceiling_files(tree: Tree, name: str) -> list[File]:
    """List files that may hold a subject's ceiling: UTS01.npy, or UTS01_NC.npy and the like."""
    named = re.compile(rf"(.*[^A-Za-z0-9])?{re.escape(name)}([^A-Za-z0-9].*)?\.npy")
    found = [file for file, _ in tree.named(named)]
    exact = [file for file in found if stem(file.name) == name]
    told = [file for file in found if _CEILING.search(f"{file.place}/{file.name}")]
    return list(dict.fromkeys((*exact, *told)))


LAYOUT = Layout(
    name="lebel",
    title="Natural language fMRI (LeBel et al. 2023, ds003020)",
    recognise=recognise,
    licence="CC0 1.0",
    citation="LeBel, Wagner, Jain, Adhikari-Desai, Gupta, Morgenthal, Tang, Xu, Huth (2023). A "
    "natural language fMRI dataset for voxelwise encoding models. Sci Data 10:555. "
    "doi:10.1038/s41597-023-02437-z",
    source="https://openneuro.org/datasets/ds003020",
    smallest="one subject with six stories and the test story, about 4 GB, and their sounds",
)
