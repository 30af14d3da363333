"""Narratives (Nastase et al. 2021, ds002345): 345 subjects, most of whom heard one story.

Responses are surfaces of the DataLad copy, ``derivatives/afni-nosmooth``; sounds and events are
those of the OpenNeuro tree. Several rows of events that name one wav are one playback.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from braindash.io.layouts.bids_files import (
    BidsFiles,
    BidsName,
    first_onsets,
    parse_name,
    read_json,
    repetition_time,
)
from braindash.io.layouts.building import (
    alignment_folder,
    choose_tests,
    sound_tables,
)
from braindash.io.layouts.finding import Draft, Finding, Layout, Told
from braindash.io.layouts.recordings import (
    HeardSounds,
    Recording,
    grouped,
    repeated_stories,
    run_rows,
)
from braindash.io.layouts.tree import File, Tree, several, stem

TASKS = frozenset(
    "21styear black bronx forgot lucy merlin milkyway notthefallintact notthefalllongscram "
    "notthefallshortscram pieman piemanpni prettymouth schema shapesphysical shapessocial sherlock "
    "slumlordreach tunnel".split()
)
_SUFFIX = "_audio"
_BEST = "afni-nosmooth"
# Pipelines whose surfaces can be used, the best one first, with what is told of the others.
_PIPELINES = {
    _BEST: "",
    "afni-smooth": "they are smoothed by 6 mm, which mixes neighbouring vertices",
    "fmriprep": "they are not denoised: motion and slow drifts are in them",
}
_TR = 1.5
# Seconds from volume 0 to the wav's first sample, for trees without events.
_ONSETS = {
    **dict.fromkeys(("pieman", "prettymouth", "milkyway", "21styear"), 0.0),
    **dict.fromkeys(("tunnel", "lucy"), 3.0),
    **dict.fromkeys(
        "slumlordreach notthefallintact notthefalllongscram notthefallshortscram merlin sherlock "
        "shapesphysical shapessocial".split(),
        4.5,
    ),
    **dict.fromkeys(("piemanpni", "bronx", "black", "forgot"), 12.0),
}
# Of these the story row of the events was shifted, but not the music before it.
_SHIFTED = {(sub, task) for sub in ("038", "105") for task in ("prettymouth", "milkyway")}


def recognise(tree: Tree) -> Finding | None:
    """Recognise the layout by its tasks and the names of its sounds."""
    sounds = {
        stem(file.name).removesuffix(_SUFFIX)
        for file in tree.sounds
        if stem(file.name).endswith(_SUFFIX)
    }
    scans = [
        (file, name)
        for file in tree.files
        if file.name.startswith("sub-") and (name := parse_name(file.name)) is not None
        if name.entities.get("task") in TASKS
    ]
    surfaces: dict[str, list[tuple[File, BidsName]]] = {}
    for one in scans:
        surfaces.setdefault(_made_by(*one), []).append(one)
    at_home = any(_BEST in file.folders for file, _ in surfaces.get(_BEST, ()))
    known_sounds = len(sounds & TASKS) > 0 and bool(scans)
    if not (at_home or known_sounds):
        return None
    made = [one for one in _PIPELINES if one in surfaces]
    if not made:
        return _without_responses(tree, scans)
    here = [one for one in made if any(file.exists() for file, _ in surfaces[one])]
    pipeline = (here or made)[0]
    return _Reader(tree, surfaces[pipeline], pipeline).finding()


def _made_by(file: File, name: BidsName) -> str:
    """Say which pipeline made surfaces of a scan; nothing for other files."""
    if not name.extension.endswith((".gii", ".gii.gz")) or "hemi" not in name.entities:
        return ""
    if name.suffix not in ("", "bold"):
        return ""
    desc = name.entities.get("desc", "")
    if desc == "clean":
        return "afni-smooth" if "afni-smooth" in file.folders else _BEST
    return "fmriprep" if desc in ("", "preproc") else ""


def _without_responses(tree: Tree, scans: list[tuple[File, BidsName]]) -> Finding | None:
    if len({name.entities["task"] for _, name in scans} & TASKS) == 0:
        return None
    subjects = {name.entities["sub"] for _, name in scans if "sub" in name.entities}
    return LAYOUT.found(
        tree.root,
        missing=(
            f"responses: this tree has the scans of {len(subjects)} subjects as they were "
            "measured, but no derivatives. Get derivatives/afni-nosmooth (surfaces, denoised) of "
            "the DataLad copy: `datalad install -s ///labs/hasson/narratives`, then `datalad get "
            "derivatives/afni-nosmooth/sub-*/func/*space-fsaverage6*desc-clean*`",
        ),
    )


class _Reader:
    """Puts scans, events, sounds and exclusions together."""

    def __init__(self, tree: Tree, scans: list[tuple[File, BidsName]], pipeline: str) -> None:
        self._tree = tree
        self._pipeline = pipeline
        self._bids = BidsFiles(tree)
        self._scans = scans
        self._excluded: list[str] = []
        self._missing: list[str] = []
        self._guessed: set[str] = set()
        self._sounds = HeardSounds()
        self._marked = self._marked_scans()

    def _marked_scans(self) -> dict[tuple[tuple[str, str], ...], str]:
        """Read which scans their authors exclude, by their entities."""
        files = self._tree.by_name.get("scan_exclude.json", ())
        found: dict[tuple[tuple[str, str], ...], str] = {}
        if not files:
            self._missing.append(
                "code/scan_exclude.json, in which the authors list 27 scans that are not to be "
                "used: of these only sub-038 and sub-105 of prettymouth and milkyway are known here"
            )
        for file in files[:1]:
            tasks = read_json(file, self._missing)
            for text in _stems(tasks):
                name = parse_name(text)
                if name is not None:
                    found[name.scan] = "the authors exclude it (code/scan_exclude.json)"
        return found

    def finding(self) -> Finding:
        """Return what was found."""
        subjects = grouped(self._recordings(), self._excluded)
        usable = {
            subject: tuple(sorted(stories)) for subject, stories in subjects.items() if stories
        }
        draft, notes = self._draft(subjects, usable) if usable else (None, [])
        if self._guessed:
            notes.append(
                f"no events of {several(sorted(self._guessed))}: the moment when the sound begins "
                "is that of the published events"
            )
        told = _PIPELINES[self._pipeline]
        if told:
            notes.append(f"responses are those of {self._pipeline}: {told}")
            self._missing.append(
                f"derivatives/{_BEST}, which is denoised and not smoothed: `datalad get "
                f"derivatives/{_BEST}/sub-*/func/*space-fsaverage6*desc-clean*`"
            )
        missing = [
            *self._missing,
            *self._sounds.missing("They are in stimuli/, as STORY_audio.wav."),
            *self._bids.problems,
        ]
        return LAYOUT.found(
            self._tree.root,
            subjects=usable,
            missing=missing,
            excluded=tuple(self._excluded),
            notes=tuple(notes),
            draft=draft,
        )

    def _recordings(self) -> Iterator[Recording]:
        # One variant: two spaces of one scan would be two presentations.
        spaces = {name.entities.get("space", "") for _, name in self._scans}
        space = min(spaces, key=lambda one: (one != "fsaverage6", one))
        for file, name in self._scans:
            entities = name.entities
            left = entities["hemi"] == "L" and "sub" in entities
            if left and entities.get("space", "") == space:
                yield from self._of_scan(file, name)

    def _of_scan(self, left: File, name: BidsName) -> Iterator[Recording]:
        subject, task = name.entities["sub"], name.entities["task"]
        scan = "_".join(f"{key}-{value}" for key, value in name.scan)
        reason = self._exclusion(name) or (
            "its events were shifted, but not the sound" if (subject, task) in _SHIFTED else ""
        )
        if reason:
            self._excluded.append(f"{scan}: {reason}")
            return
        right = self._beside(left)
        if right is None:
            self._excluded.append(f"{scan}: there is no right hemisphere beside {left.name}")
            return
        files = (left, right)
        if not self._sounds.are_here(files):
            return
        onsets = self._onsets(dict(name.scan), task)
        sidecar = self._bids.sidecar(dict(name.scan))
        tr = repetition_time(sidecar) or _TR
        for stimulus, onset in onsets.items():
            story = self._story(stimulus)
            if story is not None:
                yield Recording(
                    f"sub-{subject}", story, files, onset, tr, 0.0, scan, shared=len(onsets) > 1
                )

    def _exclusion(self, name: BidsName) -> str:
        """Say why a scan is excluded: a stem without a run means all runs of its task."""
        named = set(name.scan)
        return next((why for scan, why in self._marked.items() if named.issuperset(scan)), "")

    def _beside(self, left: File) -> File | None:
        wanted = left.name.replace("hemi-L", "hemi-R")
        files = self._tree.by_name.get(wanted, ())
        return next((file for file in files if file.place == left.place), None)

    def _onsets(self, entities: Mapping[str, str], task: str) -> dict[str, float]:
        """Say which wavs were played from when on."""
        events = self._bids.events(entities)
        found = first_onsets(events or ())
        if found:
            return found
        if task in _ONSETS:
            self._guessed.add(task)
            return {f"{task}{_SUFFIX}.wav": _ONSETS[task]}
        self._missing.append(
            f"events of {'_'.join(f'{k}-{v}' for k, v in entities.items())}: nobody knows when its "
            "sounds begin"
        )
        return {}

    def _story(self, stimulus: str) -> str | None:
        name = stem(stimulus.rpartition("/")[2])
        story = name.removesuffix(_SUFFIX)
        return self._sounds.story(story, stimulus, self._tree.sound(name, story))

    def _draft(
        self,
        subjects: Mapping[str, Mapping[str, list[Recording]]],
        usable: Mapping[str, tuple[str, ...]],
    ) -> tuple[Draft, list[str]]:
        sounds = self._sounds.files
        named = all(stem(file.name) == f"{s}{_SUFFIX}" for s, file in sounds.items())
        dataset, rows = sound_tables(self._tree, sounds, _SUFFIX if named else "")
        splits, own, notes = choose_tests(usable, repeated_stories(subjects))
        draft = Draft(
            dataset={
                "name": LAYOUT.title,
                **dataset,
                "alignment_dir": alignment_folder(self._tree, sounds),
            },
            timing={
                "tr": Told(_TR, "Scans with another TR say so below (1.52 s in 17 of milkyway)."),
                "audio_onset": Told(
                    0.0, "Onset of the first row of events that names the wav; music comes first."
                ),
            },
            responses={
                "space": "fsaverage6",
                "zscored": Told("none", "Whole scans; the medial wall is NaN."),
            },
            subjects=[{"id": name, **own.get(name, {})} for name in usable],
            splits=splits,
            runs=[*rows, *run_rows({name: subjects[name] for name in usable}, _TR, 0.0, 0.0)],
        )
        return draft, notes


def _stems(content: Any) -> Iterator[str]:
    """Give the texts at the ends of {task: {subject: [stems]}}."""
    if isinstance(content, Mapping):
        for value in content.values():
            yield from _stems(value)
    elif isinstance(content, list):
        for value in content:
            yield from _stems(value)
    elif isinstance(content, str):
        yield content


LAYOUT = Layout(
    name="narratives",
    title="Narratives (Nastase et al. 2021, ds002345)",
    recognise=recognise,
    licence="CC0 1.0 for the data; the sounds for research (stimuli/README)",
    citation="Nastase et al. (2021). The Narratives fMRI dataset for evaluating models of "
    "naturalistic language comprehension. Sci Data 8:250. doi:10.1038/s41597-021-01033-3",
    source="https://datasets.datalad.org/?dir=/labs/hasson/narratives",
    smallest="afni-nosmooth of ten subjects of one story, about 1 GB, and its wav",
)
