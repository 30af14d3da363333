"""Le Petit Prince (Li et al. 2022, ds003643): an audiobook in nine sections, in three languages.

A file's run number is not its section: the runs of a subject, sorted, are the sections in order.
The sound begins eight seconds after the first volume. Volumes are in the space of Colin27.
"""

import re
from collections.abc import Mapping

from braindash.io.layouts.bids_files import BidsFiles, BidsName, parse_name, repetition_time
from braindash.io.layouts.building import choose_tests, not_fetched, sound_tables, without_sound
from braindash.io.layouts.finding import Draft, Finding, Layout, Told
from braindash.io.layouts.recordings import Recording, run_rows
from braindash.io.layouts.tree import File, Tree, natural, stem

_TASK = re.compile(r"lpp(?P<language>[A-Z]{2})")
_SECTION = re.compile(r"(?i).*lpp(?P<language>[A-Z]{2}).*?section[-_]?0*(?P<number>\d+).*")
_SECTIONS = 9
_TR = 2.0
_LEAD_SECONDS = 8.0


def recognise(tree: Tree) -> Finding | None:
    """Recognise the layout by its tasks, lppEN, lppFR and lppCN."""
    scans: dict[tuple[str, str], list[tuple[File, BidsName]]] = {}
    runs: dict[tuple[str, str], set[str]] = {}
    for file in tree.files:
        name = parse_name(file.name) if file.name.startswith("sub-") else None
        match = _TASK.fullmatch(name.entities.get("task", "")) if name is not None else None
        if name is None or match is None or name.extension not in (".nii", ".nii.gz"):
            continue
        place = (name.entities["sub"], match["language"])
        if "space" in name.entities and name.suffix == "bold":
            scans.setdefault(place, []).append((file, name))
        elif name.suffix == "bold" and "run" in name.entities:
            # The scans as measured tell which runs there are, also where only some were got.
            runs.setdefault(place, set()).add(name.entities["run"])
    return _finding(tree, scans, runs) if scans or runs else None


def _finding(
    tree: Tree,
    scans: Mapping[tuple[str, str], list[tuple[File, BidsName]]],
    runs: Mapping[tuple[str, str], set[str]],
) -> Finding:
    sounds, grids = (
        _sections(tree.sounds),
        _sections([f for f, _ in tree.named(r"(?i).*\.TextGrid")]),
    )
    bids = BidsFiles(tree)
    subjects: dict[str, dict[str, list[Recording]]] = {}
    stories: dict[str, File] = {}
    excluded: list[str] = []
    absent: list[File] = []
    silent: set[str] = set()
    alignments: dict[str, File] = {}
    for (subject, language), files in sorted(scans.items()):
        for number, (file, name) in _numbered(
            files, runs.get((subject, language), set()), subject, excluded
        ):
            sound = sounds.get((language, number))
            if sound is None:
                silent.add(f"lpp{language} section {number}")
            if not file.exists() or (sound is not None and not sound.exists()):
                absent += [one for one in (file, sound) if one is not None]
            elif sound is not None:
                story = stem(sound.name)
                stories[story] = sound
                if (language, number) in grids:
                    alignments[story] = grids[language, number]
                tr = repetition_time(bids.sidecar(name.entities)) or _TR
                scan = file.name.partition("_space-")[0]
                recording = Recording(
                    f"sub-{subject}", story, (file,), _LEAD_SECONDS, tr, 0.0, scan
                )
                subjects.setdefault(recording.subject, {})[story] = [recording]
    usable = {name: tuple(sorted(known, key=natural)) for name, known in subjects.items()}
    missing = [
        "responses: derivatives/sub-*/func/*_space-MNIColin27_desc-preproc_bold.nii.gz"
        if not scans
        else "",
        not_fetched(absent),
        without_sound(silent, "They are task-lppEN_section-1.wav or task-lppFR_section_1.wav."),
    ]
    notes = [
        "the runs of a subject, sorted, are the sections in order; a run's number is no section",
        "volumes are in the space of Colin27, not of MNI152: maps on fsaverage are approximate",
    ]
    draft = _draft(tree, subjects, usable, stories, alignments, notes) if usable else None
    return LAYOUT.found(
        tree.root,
        subjects=usable,
        missing=missing,
        excluded=tuple(excluded),
        notes=tuple(notes),
        draft=draft,
    )


def _sections(files: "list[File] | tuple[File, ...]") -> dict[tuple[str, int], File]:
    """Find the file of each language and section by its name."""
    found: dict[tuple[str, int], File] = {}
    for file in files:
        match = _SECTION.fullmatch(stem(file.name))
        if match is not None:
            found.setdefault((match["language"].upper(), int(match["number"])), file)
    return found


def _numbered(
    files: list[tuple[File, BidsName]], runs: set[str], subject: str, excluded: list[str]
) -> list[tuple[int, tuple[File, BidsName]]]:
    """Say which section each run of a subject is; what cannot be placed is told."""
    by_run: dict[str, tuple[File, BidsName]] = {}
    for file, name in sorted(files, key=lambda one: one[0].name):
        run = name.entities.get("run", "")
        if run in by_run:
            excluded.append(f"{file.name}: run {run} of sub-{subject} is there twice")
            continue
        by_run[run] = (file, name)
    ordered = sorted({*by_run, *runs}, key=natural)
    if len(ordered) < _SECTIONS:
        excluded.append(
            f"sub-{subject}: {len(ordered)} of {_SECTIONS} runs are here ({', '.join(ordered)}): "
            "they are taken for the first sections. Get all nine, or correct the stories in the "
            "manifest"
        )
    sections = {run: number for number, run in enumerate(ordered, 1) if number <= _SECTIONS}
    return [(sections[run], by_run[run]) for run in ordered if run in by_run and run in sections]


def _draft(
    tree: Tree,
    subjects: Mapping[str, Mapping[str, list[Recording]]],
    usable: Mapping[str, tuple[str, ...]],
    stories: Mapping[str, File],
    alignments: Mapping[str, File],
    notes: list[str],
) -> Draft:
    dataset, rows = sound_tables(tree, stories)
    by_story = {row["story"]: row for row in rows}
    for story, file in alignments.items():
        by_story.setdefault(story, {"story": story})["alignment"] = file.path
    # The last section of each language, so that all of a language are tested on the same.
    splits, own, more = choose_tests(usable, [])
    notes += more
    masks = {
        match["sub"]: file
        for file, match in tree.named(r"sub-(?P<sub>[^_]+)_.*brain_mask\.nii(\.gz)?")
    }
    listed = [
        {
            "id": name,
            **own.get(name, {}),
            "mask": masks[name.removeprefix("sub-")].path
            if name.removeprefix("sub-") in masks
            else None,
        }
        for name in usable
    ]
    return Draft(
        dataset={"name": LAYOUT.title, **dataset},
        timing={
            "tr": _TR,
            "audio_onset": Told(_LEAD_SECONDS, "The sound begins 8 s (4 volumes) after volume 0."),
        },
        responses={
            "space": Told(
                "native-volume", "Volumes in the space of Colin27 (not MNI152): columns are voxels."
            ),
            "volume_space": "MNIColin27",
        },
        subjects=listed,
        splits=splits,
        runs=[*by_story.values(), *run_rows(subjects, _TR, _LEAD_SECONDS, 0.0)],
        comments=(
            'mask = "MASK.nii.gz" would choose voxels; without one every voxel of a volume is a '
            "column, and those outside the brain get no score.",
        ),
    )


LAYOUT = Layout(
    name="petit-prince",
    title="Le Petit Prince (Li et al. 2022, ds003643)",
    recognise=recognise,
    licence="CC0 1.0",
    citation="Li, Bhattasali, Zhang, Franzluebbers, Luh, Spreng, Brennan, Yang, Pallier, Hale "
    "(2022). Le Petit Prince multilingual naturalistic fMRI corpus. Sci Data 9:530. "
    "doi:10.1038/s41597-022-01625-7",
    source="https://openneuro.org/datasets/ds003643",
    smallest="nine runs of one subject, about 0.7 GB, and their sounds",
)
