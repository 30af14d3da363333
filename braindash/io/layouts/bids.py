"""Any derivative in BIDS form, such as fMRIPrep's: surfaces, grayordinates or volumes.

A story is a sound of the events (``stim_file``); without any, it is the task. Entities may stand in
any order; sessions, runs and confounds may be there or not.
"""

import gzip
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from braindash.errors import InputError
from braindash.files import is_number
from braindash.io.dataset.audio import AUDIO_EXTENSIONS
from braindash.io.images.loading import load_image
from braindash.io.images.surfaces import gifti_shape
from braindash.io.layouts.bids_files import (
    BidsFiles,
    BidsName,
    Event,
    first_onsets,
    parse_name,
    positive,
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

# Spaces of surfaces as BIDS names them -> as a manifest does; the first one that is there is used.
_SURFACES = {
    "fsaverage5": "fsaverage5",
    "fsaverage6": "fsaverage6",
    "fsaverage": "fsaverage",
    "fsaverage7": "fsaverage",
    "fsLR": "fsLR32k",
    "fsnative": "native-surface",
}
_MESHES = {10242: "fsaverage5", 40962: "fsaverage6", 163842: "fsaverage", 32492: "fsLR32k"}
_DTSERIES = ".dtseries.nii"
_GIFTI = (".func.gii", ".gii", ".func.gii.gz", ".gii.gz")
_VOLUMES = (".nii.gz", ".nii")
_ENDINGS = (".gii", ".gii.gz", *_VOLUMES)
# Denoised data first, then what fMRIPrep writes, then anything else.
_DESCRIPTIONS = ("clean", "denoised", "", "preproc")
# Of the scans that most variants have, a better one may lack so many.
_ENOUGH_SCANS = 0.8
# Where a subject's FreeSurfer folder lies beside derivatives.
_FREESURFER = (
    "derivatives/freesurfer",
    "derivatives/fmriprep/sourcedata/freesurfer",
    "sourcedata/freesurfer",
    "freesurfer",
)

_TIME_STEP = re.compile(
    rb"<Name>\s*(?:<!\[CDATA\[)?TimeStep(?:\]\]>)?\s*</Name>\s*"
    rb"<Value>\s*(?:<!\[CDATA\[)?\s*(\d+\.?\d*)"
)

Variant = tuple[str, str, str, str]
"""What was made of a scan: kind of file, space, desc, resolution or density."""


def recognise(tree: Tree) -> Finding | None:
    """Recognise responses by their names: a space, or a description of what was done."""
    scans: list[tuple[File, BidsName]] = []
    n_raw = 0
    for file in tree.files:
        name = parse_name(file.name) if file.name.endswith(_ENDINGS) else None
        if name is None or "sub" not in name.entities or "task" not in name.entities:
            continue
        if _variant(name) is not None:
            scans.append((file, name))
        elif name.suffix == "bold" and name.extension in _VOLUMES:
            n_raw += 1
    if not scans:
        return _raw_only(tree, n_raw) if n_raw else None
    return _Reader(tree, scans).finding()


def _variant(name: BidsName) -> Variant | None:
    """Say what was made of a scan; None for files that hold no responses."""
    entities, extension = name.entities, name.extension
    if name.suffix not in ("bold", "") and name.suffix != "timeseries":
        return None
    told = (
        entities.get("space", ""),
        entities.get("desc", ""),
        entities.get("res", "") or entities.get("den", ""),
    )
    if extension == _DTSERIES:
        return ("grayordinates", *told)
    if extension in _GIFTI and "hemi" in entities:
        return ("surface", *told)
    if extension in _VOLUMES and name.suffix == "bold" and ("space" in entities or told[1]):
        return ("volume", *told)
    return None


def _raw_only(tree: Tree, n_raw: int) -> Finding:
    return LAYOUT.found(
        tree.root,
        missing=(
            f"responses: {n_raw} scans are here as they were measured. Run fMRIPrep "
            "(--output-spaces fsaverage6), or index a folder that holds "
            "its derivatives and this one",
        ),
    )


def _rank(variant: Variant, is_whole: bool) -> tuple[Any, ...]:
    kind, space, desc, resolution = variant
    surfaces = list(_SURFACES)
    described = _DESCRIPTIONS.index(desc) if desc in _DESCRIPTIONS else len(_DESCRIPTIONS)
    place = {
        "surface": surfaces.index(space) if space in surfaces else len(surfaces),
        "grayordinates": surfaces.index("fsLR"),
        "volume": len(surfaces) + 1 + (not space.startswith("MNI152")),
    }[kind]
    return (not is_whole, place, described, desc, resolution, space)


def _best_variant(by_variant: Mapping[Variant, Mapping[Any, list[File]]]) -> Variant:
    """Choose the variant that most scans are here of, surfaces before volumes."""
    here = {
        one: sum(any(file.exists() for file in files) for files in scans.values())
        for one, scans in by_variant.items()
    }
    most = max(here.values())
    counts = here if most else {one: len(scans) for one, scans in by_variant.items()}
    enough = _ENOUGH_SCANS * max(counts.values())
    return min(by_variant, key=lambda one: (_rank(one, counts[one] >= enough), -counts[one]))


class _Reader:
    """Puts scans, events, sidecars and sounds together."""

    def __init__(self, tree: Tree, scans: list[tuple[File, BidsName]]) -> None:
        self._tree = tree
        self._bids = BidsFiles(tree)
        self._excluded: list[str] = []
        self._missing: list[str] = []
        self._sounds = HeardSounds()
        self._untimed: set[str] = set()
        self._by_first_row: set[str] = set()
        self._in_ms: set[str] = set()
        self._unsliced: set[str] = set()
        by_variant: dict[Variant, dict[tuple[tuple[str, str], ...], list[File]]] = {}
        for file, name in scans:
            variant = _variant(name)
            if variant is not None:
                by_variant.setdefault(variant, {}).setdefault(name.scan, []).append(file)
        self.variant = _best_variant(by_variant)
        self._scans = by_variant[self.variant]
        self._others = [one for one in by_variant if one != self.variant]

    def finding(self) -> Finding:
        """Return what was found."""
        subjects = grouped(self._recordings(), self._excluded)
        usable = {name: tuple(sorted(stories)) for name, stories in subjects.items() if stories}
        notes = self._notes()
        draft = self._draft(subjects, usable, notes) if usable else None
        missing = [
            *self._missing,
            *self._sounds.missing(
                "They are looked for in stimuli/, in the folder and in `--audio DIR`."
            ),
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

    def _notes(self) -> list[str]:
        kind, space, desc, _ = self.variant
        made = f"{kind} of {space or 'the scanner'}{f', desc-{desc}' if desc else ''}"
        notes = [f"responses are {made}"]
        if self._others:
            others = sorted(
                {f"{one[1]} {one[0]}{f' ({one[2]})' if one[2] else ''}" for one in self._others}
            )
            notes.append(f"not used, but there: {several(others)}")
        if self._untimed:
            notes.append(
                f"no events for {several(sorted(self._untimed))}: the sound is taken to begin with "
                "the first volume (audio_onset = 0 s). Events of the raw data are found where the "
                "indexed folder holds these too"
            )
        if self._by_first_row:
            notes.append(
                f"the events of {several(sorted(self._by_first_row))} name no sound: it is taken "
                "to begin with their first row"
            )
        if self._in_ms:
            notes.append(
                f"RepetitionTime of {several(sorted(self._in_ms))} is taken for milliseconds; BIDS "
                "wants seconds"
            )
        if self._unsliced:
            notes.append(
                f"no StartTime in the sidecars of {len(self._unsliced)} scans: slice_time = 0 s. "
                "fMRIPrep brings slices to the middle of the TR, which StartTime says"
            )
        return notes

    # ---- scans ----------------------------------------------------------------------------

    def _recordings(self) -> Iterator[Recording]:
        for scan, files in self._scans.items():
            entities = dict(scan)
            named = "_".join(f"{key}-{value}" for key, value in scan)
            sides = self._sides(files, named)
            if sides is None:
                continue
            if not self._sounds.are_here(sides):
                continue
            timing = self._timing(entities, sides[0], named)
            if timing is None:
                continue
            onsets = self._onsets(entities)
            for stimulus, onset in onsets.items():
                story = self._story(stimulus)
                if story is not None:
                    shared = len(onsets) > 1
                    subject = f"sub-{entities['sub']}"
                    yield Recording(subject, story, sides, onset, *timing, named, shared)

    def _sides(self, files: list[File], scan: str) -> tuple[File, ...] | None:
        """Return one file, or left and right; what is not so is told."""
        if self.variant[0] != "surface":
            if len(files) > 1:
                self._excluded.append(
                    f"{scan}: {files[1].path} is there as well as {files[0].path}"
                )
            return (files[0],)
        sides: dict[str, File] = {}
        for file in files:
            name = parse_name(file.name)
            side = name.entities["hemi"] if name is not None else ""
            if side in sides:
                self._excluded.append(f"{scan}: {file.path} is there as well as {sides[side].path}")
            sides.setdefault(side, file)
        if "L" not in sides or "R" not in sides:
            lacking = "left" if "L" not in sides else "right"
            self._excluded.append(f"{scan}: its {lacking} hemisphere is not there")
            return None
        return (sides["L"], sides["R"])

    def _timing(
        self, entities: Mapping[str, str], file: File, scan: str
    ) -> tuple[float, float] | None:
        """Return TR and slice time; None, which is told, where no TR is known."""
        name = parse_name(file.name)
        own = dict(name.entities) if name is not None else {}
        raw = self._bids.sidecar(entities)
        # Derivatives name one sidecar for both sides, or one for each.
        derived = {
            **self._bids.sidecar({k: v for k, v in own.items() if k != "hemi"}, "bold", ""),
            **self._bids.sidecar(own, "bold", ""),
        }
        fields = derived if positive(derived.get("RepetitionTime")) else raw
        tr = repetition_time(fields)
        if tr is not None and tr != fields["RepetitionTime"]:
            self._in_ms.add(scan)
        tr = tr or _stored_tr(file)
        if tr is None:
            self._missing.append(
                f"the TR of {scan}: no sidecar has RepetitionTime. Give the folder of the raw "
                "data, or write RepetitionTime into a task-..._bold.json"
            )
            return None
        start = derived.get("StartTime")
        is_time = is_number(start)
        if not is_time:
            self._unsliced.add(scan)
        return tr, float(start) if is_time and start is not None else 0.0

    def _onsets(self, entities: Mapping[str, str]) -> dict[str, float]:
        events = self._bids.events(entities)
        onsets = {
            stimulus: onset
            for stimulus, onset in first_onsets(events or ()).items()
            if stimulus.lower().endswith(AUDIO_EXTENSIONS) or self._sound(stimulus) is not None
        }
        if onsets:
            return onsets
        named = self._named_onsets(events or ())
        if named:
            return named
        task, run = entities["task"], entities.get("run")
        told = [event.onset for event in events or () if not math.isnan(event.onset)]
        (self._by_first_row if told else self._untimed).add(task)
        return {f"{self._of_run(task, run)}.": min(told, default=0.0)}

    def _named_onsets(self, events: Iterable[Event]) -> dict[str, float]:
        """Return when sounds begin that other columns than stim_file name."""
        found: dict[str, float] = {}
        for event in events:
            name = next((one for one in event.names if self._tree.sound(one, stem(one))), None)
            if name is not None and not math.isnan(event.onset):
                stimulus = name if name.lower().endswith(AUDIO_EXTENSIONS) else f"{name}."
                found[stimulus] = min(event.onset, found.get(stimulus, math.inf))
        return found

    def _of_run(self, task: str, run: str | None) -> str:
        """Name the sound of a task, or of one of its runs where that has its own."""
        for number in () if run is None else (run, run.zfill(2)):
            for name in (f"{task}_run-{number}", f"{task}_{number}", f"{task}{number}"):
                if self._sound(f"{name}.") is not None:
                    return name
        return task

    def _sound(self, stimulus: str) -> File | None:
        """Find a sound by the name that events give; the ending may be another."""
        name = stem(stimulus.rpartition("/")[2])
        wanted = f"/stimuli/{stimulus}".casefold()
        for file in self._tree.sounds:
            if file.path.as_posix().casefold().endswith(wanted):
                return file
        return self._tree.sound(name, f"task-{name}")

    def _story(self, stimulus: str) -> str | None:
        name = stem(stimulus.rpartition("/")[2])
        return self._sounds.story(name, stimulus, self._sound(stimulus))

    # ---- the manifest ---------------------------------------------------------------------

    def _draft(
        self,
        subjects: Mapping[str, Mapping[str, list[Recording]]],
        usable: Mapping[str, tuple[str, ...]],
        notes: list[str],
    ) -> Draft:
        every = [one for known in subjects.values() for heard in known.values() for one in heard]
        tr, onset, slice_time = (
            Counter(getattr(one, name) for one in every).most_common(1)[0][0]
            for name in ("tr", "onset", "slice_time")
        )
        dataset, rows = sound_tables(self._tree, self._sounds.files)
        folder = alignment_folder(self._tree, self._sounds.files)
        splits, own, more = choose_tests(usable, repeated_stories(subjects))
        notes += more
        return Draft(
            dataset={"name": self._name(), **dataset, "alignment_dir": folder},
            timing={
                "tr": Told(tr, "RepetitionTime of the sidecars."),
                "audio_onset": Told(
                    onset, "Onset of the first row of events that names the sound; may be negative."
                ),
                "slice_time": Told(
                    slice_time, "StartTime of the derivative's sidecar: fMRIPrep's is mid-TR."
                ),
            },
            responses=self._responses(),
            subjects=[{"id": name, **own.get(name, {}), **self._own(name)} for name in usable],
            splits=splits,
            runs=[*rows, *run_rows({n: subjects[n] for n in usable}, tr, onset, slice_time)],
            comments=self._comments(),
        )

    def _name(self) -> str:
        problems: list[str] = []
        for place in ("", "rawdata", "bids"):
            for file in self._tree.by_name.get("dataset_description.json", ()):
                if file.place == place:
                    name = read_json(file, problems).get("Name")
                    if isinstance(name, str) and name.strip():
                        return name.strip()
        return self._tree.root.resolve().name or "BIDS"

    def _responses(self) -> dict[str, Any]:
        kind, space, _, _ = self.variant
        if kind == "volume":
            return {
                "space": Told("native-volume", f"Volumes in {space or 'the scanner'}'s space."),
                "volume_space": space if space.startswith("MNI") else None,
            }
        if kind == "grayordinates":
            return {"space": Told("fsLR32k", "The cortex of both hemispheres, by its own index.")}
        return {"space": self._mesh(_SURFACES.get(space, "native-surface"))}

    def _mesh(self, named: str) -> Any:
        """Name the mesh by its vertices, where these are not what the name of the space says."""
        for file in (file for files in self._scans.values() for file in files if file.exists()):
            try:
                n_vertices = gifti_shape(file.path)[1]
            except InputError:
                continue
            found = _MESHES.get(n_vertices, "native-surface")
            if found == named or named == "native-surface":
                return named
            return Told(found, f"By the {n_vertices} vertices a side; the names say {named}.")
        return named

    def _own(self, subject: str) -> dict[str, Any]:
        """Give a subject its own surfaces, or the mask of its first scan for all of them."""
        if self.variant[1] == "fsnative":
            places = (self._tree.root / one / subject for one in _FREESURFER)
            found = (one for one in places if (one / "surf").is_dir())
            return {"freesurfer": next(found, None)}
        if self.variant[0] != "volume":
            return {}
        for file in self._tree.files:
            name = parse_name(file.name) if "_mask.nii" in file.name else None
            if name is None or name.suffix != "mask" or file.folders[-1:] == ("anat",):
                continue
            entities = name.entities
            fits = f"sub-{entities.get('sub')}" == subject and entities.get("desc") == "brain"
            if fits and entities.get("space", "") == self.variant[1] and file.exists():
                return {"mask": Told(file.path, "The brain mask of one scan, for all of them.")}
        return {}

    def _comments(self) -> tuple[str, ...]:
        if self.variant[0] == "grayordinates":
            return (
                'surfaces = ["S1200.{hemi}.inflated_MSMAll.32k_fs_LR.surf.gii"] would give maps '
                "their surface.",
            )
        return ()


def _stored_tr(file: File) -> float | None:
    """Read the TR from the header of a scan."""
    if file.name.endswith(_GIFTI):
        return _gifti_tr(file)
    if not file.name.endswith((".nii", ".nii.gz")):
        return None
    try:
        image: Any = load_image(file.path)
        if file.name.endswith(_DTSERIES):
            return positive(float(image.header.get_axis(0).step))
        units = image.header.get_xyzt_units()[1]
        zooms = image.header.get_zooms()
    except Exception:  # noqa: BLE001 - nibabel lets errors of many kinds through; there is no TR then
        return None
    scale = {"msec": 1e-3, "usec": 1e-6}.get(units, 1.0)
    return positive(float(zooms[3]) * scale) if len(zooms) > 3 else None


def _gifti_tr(file: File) -> float | None:
    """Read TimeStep, which FreeSurfer writes in milliseconds."""
    try:
        opened = gzip.open if file.name.endswith(".gz") else open
        with opened(file.path, "rb") as stream:
            start = stream.read(1 << 14)
    except (OSError, EOFError, zlib.error):
        return None
    match = _TIME_STEP.search(start)
    return None if match is None else repetition_time({"RepetitionTime": float(match[1])})


LAYOUT = Layout(
    name="bids",
    title="BIDS derivative, such as fMRIPrep's",
    recognise=recognise,
    smallest="surfaces (space-fsaverage5 or 6) of one subject, the events, and the sounds",
)
