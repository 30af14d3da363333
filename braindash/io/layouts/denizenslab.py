"""Denizenslab listening and reading (Deniz et al. 2019): one HDF5 file of training stories each.

``responses/subject01_listening_fmri_data_trn.hdf`` holds ``story_01`` to ``story_10`` as (n_rows,
n_voxels), ``..._val.hdf`` holds ``story_11`` as (2, n_rows, n_voxels), and
``mappers/subject01_mappers.hdf`` brings voxels to fsaverage and holds masks of regions.
"""

import re
from collections.abc import Mapping
from typing import Any

from braindash.errors import InputError
from braindash.io.dataset.arrays import available_keys
from braindash.io.layouts.building import (
    choose_tests,
    common_folder,
    not_fetched,
    sound_tables,
    without_sound,
)
from braindash.io.layouts.finding import Draft, Finding, Layout, Template, Told
from braindash.io.layouts.tree import File, Tree, natural, several

_RESPONSES = re.compile(
    r"(?P<id>[A-Za-z0-9-]+)_(?P<kind>listening|reading)_fmri_data_(?P<part>trn|val)\.hdf5?"
)
_MAPPERS = re.compile(r"(?P<id>[A-Za-z0-9-]+)_mappers\.hdf5?")
_MATRIX = re.compile(r".*_(data|indices|indptr|shape)")
_TIMING = (
    "An assumption that the files do not state: 10 s of silence before the story, and five rows\n"
    "cut at each end, so that row 0 was acquired at 5 TR - 10 s of sound. `braindash data check`\n"
    "looks for the lag at which the sound fits best, which confirms or contradicts it."
)


class _Subject:
    """Files of one subject and one way of taking the stories in."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.files: dict[str, File] = {}
        # Story -> part of the data that holds it, and its shape.
        self.stories: dict[str, tuple[str, tuple[int, ...]]] = {}

    def read_keys(self, problems: list[str]) -> None:
        for part, file in sorted(self.files.items()):
            if not file.exists():
                continue
            try:
                for key, shape in available_keys(file.path).items():
                    if len(shape) >= 2 and "/" not in key:
                        self.stories[key] = (part, shape)
            except InputError as error:
                problems.append(f"{error.message}. {error.hint}")

    @property
    def units(self) -> int | None:
        sizes = {shape[-1] for _, shape in self.stories.values()}
        return sizes.pop() if len(sizes) == 1 else None


def recognise(tree: Tree) -> Finding | None:
    """Recognise the layout by the names of its response files."""
    subjects: dict[tuple[str, str], _Subject] = {}
    for file, match in tree.named(_RESPONSES):
        place = (match["id"], match["kind"])
        subjects.setdefault(place, _Subject(*place)).files[match["part"]] = file
    if not subjects:
        return None
    problems: list[str] = []
    for subject in subjects.values():
        subject.read_keys(problems)
    listened = {name for name, kind in subjects if kind == "listening"}
    named = {
        name if kind == "listening" or name not in listened else f"{name}_reading": subject
        for (name, kind), subject in sorted(subjects.items())
    }
    return _finding(tree, named, problems)


def _finding(tree: Tree, subjects: Mapping[str, _Subject], problems: list[str]) -> Finding:
    every = sorted({key for one in subjects.values() for key in one.stories}, key=natural)
    sounds = {story: file for story in every if (file := tree.sound(story)) and file.exists()}
    usable = {
        name: tuple(story for story in every if story in one.stories and story in sounds)
        for name, one in subjects.items()
    }
    usable = {name: stories for name, stories in usable.items() if stories}
    files = [file for one in subjects.values() for file in one.files.values()]
    missing = [
        *problems,
        not_fetched([*files, *(f for s in every if (f := tree.sound(s)) is not None)]),
        without_sound(
            set(every) - set(sounds),
            "Any audio file whose name is the array's, such as story_01.wav, in the folder or in "
            "`--audio DIR`.",
        ),
        *(
            f"{one.name}: no {part} file of {one.kind} ({'test' if part == 'val' else 'training'} "
            "stories)"
            for one in subjects.values()
            for part in ("trn", "val")
            if part not in one.files
        ),
    ]
    mappers = {match["id"]: file for file, match in tree.named(_MAPPERS)}
    lacking = [one.name for one in subjects.values() if one.name not in mappers]
    if lacking:
        missing.append(f"no mappers of {', '.join(sorted(set(lacking)))}: no map of the cortex")
    notes = [
        "the sound is taken to begin 5 TR - 10 s before row 0; `braindash data check` looks at it",
        "arrays with a needless leading axis are read without it; the two repeats of the test "
        "story give its noise ceiling, and their mean is its response",
    ]
    draft = None
    if usable:
        draft, more = _draft(tree, {name: subjects[name] for name in usable}, usable, mappers)
        notes += more
    return LAYOUT.found(
        tree.root,
        subjects=usable,
        missing=missing,
        notes=tuple(notes),
        draft=draft,
    )


def _draft(
    tree: Tree,
    subjects: Mapping[str, _Subject],
    usable: Mapping[str, tuple[str, ...]],
    mappers: Mapping[str, File],
) -> tuple[Draft, list[str]]:
    stories = sorted({story for known in usable.values() for story in known}, key=natural)
    dataset, audio_rows = sound_tables(tree, {s: f for s in stories if (f := tree.sound(s))})
    repeated = [
        s
        for s in stories
        if any(one.stories.get(s, ("",))[0] == "val" for one in subjects.values())
    ]
    splits, own, notes = choose_tests(usable, repeated)
    listed = []
    masks: set[str] | None = None
    for name, one in subjects.items():
        person = None if name == one.name else one.name
        fields: dict[str, Any] = {
            "id": name,
            "person": person,
            "units": one.units,
            **own.get(name, {}),
        }
        mapper = mappers.get(one.name)
        if mapper is not None and mapper.exists():
            fields["mapper"] = mapper.path
            found = _masks(mapper, one.units, notes)
            masks = found if masks is None else masks & found
        listed.append(fields)
    rows = [
        {
            "subject": name,
            "story": story,
            "response": one.files[one.stories[story][0]].path,
        }
        for name, one in subjects.items()
        for story in usable[name]
    ]
    draft = Draft(
        dataset={"name": LAYOUT.title, **dataset},
        timing={
            "tr": 2.0045,
            "first_volume": Told(5, _TIMING),
            "audio_onset": 10.0,
        },
        responses={
            "key": Told("{story}", "One file holds several stories, each an array of its name."),
            "repeats_key": Told(
                "{story}", "The same: an array (2, n_rows, n_voxels) is two repeats, read as such."
            ),
            "space": "native-volume",
        },
        subjects=listed,
        splits=splits,
        runs=[*audio_rows, *rows],
        regions=_regions(subjects, mappers, masks or set()),
    )
    return draft, list(dict.fromkeys(notes))  # listening and reading have one mapper


def _masks(mapper: File, units: int | None, notes: list[str]) -> set[str]:
    """Name the masks of regions in a file of mappers: one value for each voxel."""
    try:
        keys = available_keys(mapper.path)
    except InputError as error:
        notes.append(f"{error.message}. {error.hint}")
        return set()
    masks = {key: shape for key, shape in keys.items() if not _MATRIX.fullmatch(key)}
    unfit = [key for key, shape in masks.items() if len(shape) == 1 and shape != (units,)]
    if unfit:
        notes.append(
            f"{mapper.name}: {several(unfit)} have not one value for each of {units} voxels, and "
            "are not used as regions"
        )
    return {key for key, shape in masks.items() if shape == (units,)}


def _regions(
    subjects: Mapping[str, _Subject], mappers: Mapping[str, File], masks: set[str]
) -> dict[str, Any]:
    """Name the masks that every subject has: the regions of this data set."""
    folder = common_folder([mappers[one.name] for one in subjects.values() if one.name in mappers])
    if folder is None or not masks:
        return {}
    ending = next(iter(mappers.values())).name.rpartition(".")[2]
    return {
        "masks": Told(
            {
                key.removeprefix("roi_mask_"): Template(
                    folder, f"{{subject}}_mappers.{ending}#{key}"
                )
                for key in sorted(masks)
            },
            "Localiser masks in each subject's own voxels.",
        )
    }


LAYOUT = Layout(
    name="denizenslab",
    title="Listening and reading (Deniz et al. 2019)",
    recognise=recognise,
    licence="CC0 1.0",
    citation="Deniz, Nunez-Elizalde, Huth, Gallant (2019). The representation of semantic "
    "information across human cerebral cortex during listening versus reading is invariant to "
    "stimulus modality. J Neurosci 39:7722. doi:10.1523/JNEUROSCI.0675-19.2019",
    source="https://gin.g-node.org/denizenslab/narratives_reading_listening_fmri",
    smallest="one subject's two response files and mappers, about 2 to 3 GB",
)
