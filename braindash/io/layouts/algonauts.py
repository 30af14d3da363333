"""CNeuroMod Friends, as of the Algonauts 2025 challenge: parcels of a Schaefer atlas.

One HDF5 file for each subject holds ``ses-NNN_task-s01e02a`` as (n_rows, n_parcels). Sounds have to
be cut from the films by whoever may: any file of sound whose name holds the episode is taken.
"""

import re
from collections.abc import Mapping

from braindash.errors import InputError
from braindash.io.dataset.arrays import available_keys
from braindash.io.layouts.building import choose_tests, not_fetched, sound_tables, without_sound
from braindash.io.layouts.finding import Draft, Finding, Layout, Told
from braindash.io.layouts.tree import File, Tree, natural, stem

_RESPONSES = re.compile(
    r"(?P<sub>sub-[A-Za-z0-9]+)_task-(?P<task>[A-Za-z0-9]+)_.*parcel-(?P<parcels>\w+?)_.*\.h5"
)
_KEY = re.compile(r"(?P<session>ses-[^_]+)_task-(?P<story>[^_/]+)(?P<more>_.+)?")
_TR = 1.49


def recognise(tree: Tree) -> Finding | None:
    """Recognise the layout by the names of its files, and their parcels by their arrays."""
    files = [(file, match) for file, match in tree.named(_RESPONSES)]
    if not files:
        return None
    problems: list[str] = []
    excluded: list[str] = []
    keys: dict[str, dict[str, tuple[File, str, int]]] = {}
    for file, match in files:
        if file.exists():
            _read(file, keys.setdefault(match["sub"], {}), problems, excluded)
    every = sorted({story for known in keys.values() for story in known}, key=natural)
    sounds = {story: sound for story in every if (sound := _sound(tree, story)) is not None}
    usable = {
        name: tuple(
            story
            for story in every
            if story in known and story in sounds and sounds[story].exists()
        )
        for name, known in sorted(keys.items())
    }
    usable = {name: stories for name, stories in usable.items() if stories}
    missing = [
        *problems,
        not_fetched([*(file for file, _ in files), *sounds.values()]),
        without_sound(
            set(every) - set(sounds),
            "Cut the sound from the films; any audio file whose name holds the episode is taken, "
            "such as friends_s01e02a.wav, in the folder or in `--audio DIR`.",
        ),
    ]
    notes = [
        "row 0 is taken to be the first moment of an episode; `braindash data check` looks at it",
    ]
    labels = _annotations(tree, files[0][1]["parcels"])
    if len(labels) < 2:
        missing.append(
            "the Schaefer label files of the parcels (lh. and rh. "
            "...Parcels_7Networks_order.annot, CBIG): without them there is no map of the cortex"
        )
    draft = None
    if usable:
        draft = _draft(tree, keys, usable, sounds, labels, notes)
    return LAYOUT.found(
        tree.root,
        subjects=usable,
        missing=missing,
        excluded=tuple(excluded),
        notes=tuple(notes),
        draft=draft,
    )


def _read(
    file: File,
    known: dict[str, tuple[File, str, int]],
    problems: list[str],
    excluded: list[str],
) -> None:
    """Note which episodes a file holds; of one that is there again the first is kept."""
    try:
        arrays = available_keys(file.path)
    except InputError as error:
        problems.append(f"{error.message}. {error.hint}")
        return
    for key in sorted(arrays, key=natural):
        match, shape = _KEY.fullmatch(key), arrays[key]
        if match is None or len(shape) != 2:
            excluded.append(f"{key} in {file.name}: no episode, its shape is {shape}")
        elif match["story"] in known:
            first = known[match["story"]][1]
            excluded.append(f"{key} in {file.name}: {match['story']} was shown again after {first}")
        else:
            known[match["story"]] = (file, key, int(shape[1]))


def _sound(tree: Tree, story: str) -> File | None:
    """Find a sound named after an episode, or with its name as a part of its own."""
    found = tree.sound(story, f"friends_{story}")
    if found is not None:
        return found
    part = re.compile(rf"(?i)(.*[^A-Za-z0-9])?{re.escape(story)}([^A-Za-z0-9].*)?")
    return next((file for file in tree.sounds if part.fullmatch(stem(file.name))), None)


def _annotations(tree: Tree, parcels: str) -> list[File]:
    """Find the two label files of the parcellation: 1000Par7Net is 1000Parcels_7Networks."""
    numbers = re.fullmatch(r"(\d+)Par(\d+)Net", parcels)
    if numbers is None:
        return []
    name = rf"{{}}\.Schaefer2018_{numbers[1]}Parcels_{numbers[2]}Networks_order\.annot"
    sides = (
        next((file for file, _ in tree.named(name.format(side)) if file.exists()), None)
        for side in ("lh", "rh")
    )
    return [file for file in sides if file is not None]


def _draft(
    tree: Tree,
    keys: Mapping[str, Mapping[str, tuple[File, str, int]]],
    usable: Mapping[str, tuple[str, ...]],
    sounds: Mapping[str, File],
    labels: list[File],
    notes: list[str],
) -> Draft:
    kept = {story for stories in usable.values() for story in stories}
    dataset, rows = sound_tables(tree, {story: sounds[story] for story in kept})
    splits, own, more = choose_tests(usable, [])
    notes += more
    runs = [
        {
            "subject": name,
            "story": story,
            "response": keys[name][story][0].path,
            "key": keys[name][story][1],
        }
        for name, stories in usable.items()
        for story in stories
    ]
    units = {name: {keys[name][story][2] for story in stories} for name, stories in usable.items()}
    return Draft(
        dataset={"name": LAYOUT.title, **dataset},
        timing={
            "tr": _TR,
            "audio_onset": Told(0.0, "Row 0 is the first moment of the episode."),
        },
        responses={
            "space": Told("roi", "Columns are parcels of a Schaefer atlas."),
            "parcels": [file.path for file in labels] if len(labels) == 2 else None,
        },
        subjects=[
            {
                "id": name,
                "units": next(iter(units[name])) if len(units[name]) == 1 else None,
                **own.get(name, {}),
            }
            for name in usable
        ],
        splits=splits,
        runs=[*rows, *runs],
        comments=()
        if len(labels) == 2
        else (
            'parcels = ["lh.Schaefer2018_1000Parcels_7Networks_order.annot", "rh.(the same)"] '
            "would paint the parcels on fsaverage.",
        ),
    )


LAYOUT = Layout(
    name="algonauts",
    title="CNeuroMod Friends (Algonauts 2025), parcels",
    recognise=recognise,
    licence="CNeuroMod data-use agreement; films are not part of the data",
    citation="Boyle et al. (2023), the Courtois project on neuronal modelling (CNeuroMod); Gifford "
    "et al. (2024), the Algonauts Project 2025 challenge, arXiv:2501.00504",
    source="https://github.com/courtois-neuromod/algonauts_2025.competitors",
    smallest="one subject's file of Friends, about 1 GB, and the sound of a few episodes",
)
