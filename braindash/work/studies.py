"""Studies carried out: what is missing of one is computed here, or queued for the worker."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from braindash.core.statistics.words import counted
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, TuningError
from braindash.files import digest_json
from braindash.io.entries import read_object
from braindash.io.regions.masks import Hemisphere
from braindash.io.store import Store, as_store
from braindash.jobs.queue import Job, JobQueue
from braindash.names import given_path
from braindash.probing.plan import ProbingPlan
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress, said_once, shared, spoken_duration
from braindash.studies.record import RECORD, RESULTS, StudyRecord, note_study, take_record
from braindash.studies.results import StudyResults, read_result
from braindash.studies.study import AnyPlan, Planned, Study, StudyPlan
from braindash.work.kinds import KINDS, STUDY, carried_out
from braindash.work.regions import seen_in
from braindash.work.submit import submit

logger = logging.getLogger(__name__)

# About how long planning takes beside computing, and beside tuning models first.
_COSTS = (0.02, 0.98)
_TUNED_COSTS = (0.6, 0.01, 0.39)
Device = Literal["auto", "cpu", "cuda"]


def run_study(
    study: Study | Path | str,
    *,
    store: Store | Path | str | None = None,
    device: Device = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> StudyResults:
    """Compute what is missing of a study, and open all of it.

    Models that the study tunes come first, then what needs them. Results that are stored, by this
    study or by anything else, are not computed again; features and other parts that several
    results share are made once. After an interruption it goes on with the part that was under way.
    A model that cannot be tuned is named in the notes, and its results stay missing.

    Parameters
    ----------
    study : Study, Path or str
        The study, or its TOML file.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Changes how long it takes, never a key.
    threads : int, optional
        Processor cores to take, for parts side by side; by default all.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    StudyResults
        ``.scores()`` and ``.probes()`` are its long-form tables.

    Raises
    ------
    InputError, ModelError, StoreError
        With a hint that says what to do next; every problem of the file is listed.
    """
    asked = study if isinstance(study, Study) else Study.load(study)
    kept = as_store(store)
    planning, computing = shared(progress or NoProgress(), _COSTS)
    with said_once():
        plan = asked.plan(kept, planning)
        record = note_study(plan, kept)
        notes: list[str] = []
        if plan.untuned:
            tuning, planning, computing = shared(computing, _TUNED_COSTS)
            notes = _tune(plan, kept, tuning, device=device, threads=threads)
            plan = asked.plan(kept, planning)
            record = note_study(plan, kept)
        compute_missing(plan, kept, computing, device=device, threads=threads)
    found = study_results(record, kept)
    return replace(found, notes=(*notes, *found.notes))


def _tune(
    plan: StudyPlan, store: Store, progress: Progress, *, device: Device, threads: int | None
) -> list[str]:
    """Tune what is missing, one after the other; says which models cannot be, and why."""
    notes = []
    costs = [KINDS["tune"].needs(one.plan, store).seconds for one in plan.untuned]
    for one, own in zip(plan.untuned, shared(progress, costs), strict=True):
        try:
            carried_out([_set(one, device, threads)], store, own)
        except (InputError, TuningError) as error:
            notes.append(f"{one.wanted.told()} is left out: {error.message}. {error.hint}".strip())
            logger.warning("%s", notes[-1])
    return notes


def compute_missing(
    plan: StudyPlan,
    store: Store,
    progress: Progress,
    *,
    device: Device = "auto",
    threads: int | None = None,
) -> None:
    """Compute what is missing of a study, but for models to tune, parts side by side."""
    missing = [_set(one, device, threads) for one in plan.missing if one not in plan.untuned]
    if not missing:
        progress.advance(1, 1, "already computed")
        return
    carried_out(missing, store, progress)


def _set(one: Planned, device: Device, threads: int | None) -> Any:
    request = one.plan.request.model_copy(update={"device": device, "threads": threads})
    changed: Any = one.plan
    return replace(changed, request=request)


def queue_study(plan: StudyPlan, store: Store) -> list[Job]:
    """Queue every missing result of a study as a job of its own; one that is queued stays.

    Models to tune come first. What waits for them is one job behind all of these, which carries
    out what is missing of the study then.
    """
    jobs = [submit(one.plan.request, store) for one in plan.missing]
    if plan.waiting:
        study = plan.study
        document = {"file": str(study.path)}
        key = digest_json({"study": str(study.path), "text": study.text})
        title = f"Study: {study.tables.title}"
        jobs.append(JobQueue(store.root).submit(STUDY, key, document, title))
    return jobs


def run_queued_study(document: dict[str, Any], root: Path, progress: Progress) -> dict[str, Any]:
    """Do what :func:`queue_study` left for the end; gives the keys of the study's encodings.

    Raises
    ------
    TuningError
        Models could not be tuned: the rest is computed then.
    """
    found = run_study(str(document["file"]), store=root, progress=progress)
    if found.missing:
        raise TuningError(
            f"{counted(len(found.missing), 'result')} of the study are missing",
            hint=" ".join(found.notes) or "Run the study again.",
        )
    keys = [one.key for group in found.groups.values() for one in group.results]
    return {"kind": "encoding", "keys": keys}


def study_results(
    record: StudyRecord,
    store: Store,
    *,
    regions: str | None = None,
    hemisphere: Hemisphere | None = None,
    data: Path | str | None = None,
) -> StudyResults:
    """Open what is stored of a study, looked at in a region set; what that lacks is computed.

    Parameters
    ----------
    record : StudyRecord
        The study.
    store : Store
        Holds its results.
    regions : str, optional
        The set; the one that the study's file names, else the usual one.
    hemisphere : {"both", "left", "right"}, optional
        The side; the one that the file names.
    data : Path or str, optional
        The manifest, for its own regions.

    Raises
    ------
    InputError
        When the region set cannot be used.
    """
    figures = record.tables.figures
    name, side = regions or figures.regions, hemisphere or figures.hemisphere

    def read(kind: str, key: str) -> EncodingResult | ProbingResult:
        found = read_result(store, kind, key)
        if isinstance(found, EncodingResult):
            return seen_in(found, name, side, store, data=data)
        return found

    return StudyResults.open(record, store, read)


# ---- what it costs --------------------------------------------------------------------------


@dataclass(frozen=True)
class StudyNeeds:
    """What the missing results of a study would take.

    Attributes
    ----------
    n_missing : int
    seconds : float
        At most: as if one followed the other.
    memory, disk : float
        Bytes, of the largest part and of all results.
    warnings : tuple of str
        What the checks of the data found, each once.
    n_waiting : int
        Results of models that are not tuned yet, which are not estimated.
    """

    n_missing: int
    seconds: float
    memory: float
    disk: float
    warnings: tuple[str, ...]
    n_waiting: int = 0

    def lines(self) -> list[str]:
        """Say it in words; empty where nothing is missing."""
        if not self.n_missing:
            return []
        told = (
            f"the missing ones take at most about {spoken_duration(self.seconds)}, "
            f"{self.memory / 1e9:.1f} GB of memory and {self.disk / 1e9:.2f} GB of disk"
        )
        if self.n_waiting:
            of = counted(self.n_waiting, "result")
            told += f"; {of} of models that are tuned first are not in it"
        return [told, *self.warnings]


class _Foreseen(Store):
    """A store as it will be when what was counted before is made: it says that it has that."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._made: set[tuple[str, str]] = set()

    def has(self, kind: str, key: str) -> bool:
        """Say whether a result is there, or will be."""
        return (kind, key) in self._made or super().has(kind, key)

    def foresee(self, plan: AnyPlan) -> None:
        """Count what the run of a plan leaves to others: features, frames, predictions."""
        if isinstance(plan, EncodingPlan):
            nulls = () if plan.nulls is None else plan.nulls.stories
            for story in (*plan.stories, *nulls):
                self._made.add(("features", story.extraction.key()))
                if story.frames is not None:
                    self._made.add((story.frames.kind, story.frames.key()))
            self._made.add(("predictions", plan.spec.fit.key()))
        elif isinstance(plan, ProbingPlan):
            self._made |= {("unit-features", one.key) for one in plan.extractions}


def study_needs(plan: StudyPlan, store: Store) -> StudyNeeds:
    """Estimate what the missing results of a study take, from headers only.

    What several of them share (features, predictions) is counted once.
    """
    foreseen, found = _Foreseen(store.root), []
    for one in plan.missing:
        found.append(KINDS[one.plan.request.command].needs(one.plan, foreseen))
        foreseen.foresee(one.plan)
    return StudyNeeds(
        n_missing=len(found),
        seconds=sum(one.seconds for one in found),
        memory=max((one.memory_needed for one in found), default=0.0),
        disk=sum(one.disk_needed for one in found),
        warnings=tuple(dict.fromkeys(text for one in found for text in one.warnings)),
        n_waiting=len(plan.waiting),
    )


# ---- shared studies -------------------------------------------------------------------------


def require_some(record: StudyRecord, found: StudyResults) -> None:
    """Refuse to draw a study of which nothing is stored."""
    if found.groups or found.probings:
        return
    raise InputError(
        f"nothing is stored of the study {record.name!r}: {len(found.missing)} results are missing",
        hint=f"Compute them: `braindash study run {record.file}`.",
    )


def exported_results(record: StudyRecord, store: Store, folder: Path) -> list[Path]:
    """Write every stored result of a study as a file that ``braindash import`` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    keys: Iterable[str] = (
        key
        for wanted, key in record.keys.items()
        if wanted.kind != "tuning" and store.has(wanted.kind, key)
    )
    return [store.export(key, folder) for key in dict.fromkeys(keys)]


def import_study(folder: Path | str, store: Store) -> tuple[StudyRecord, int]:
    """Take over what ``braindash study export --with-results`` wrote.

    Parameters
    ----------
    folder : path
        With ``study.json`` and ``results/``.
    store : Store
        Gets the results and the record; results that are there already stay.

    Returns
    -------
    StudyRecord, int
        The study, and how many results came with it.

    Raises
    ------
    InputError
        The folder holds no study, or a file of it is damaged: what was read before stays.
    """
    place = given_path(folder)
    try:
        document = read_object(place / RECORD)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{place} holds no shared study: {error}",
            hint="Give the folder that `braindash study export --with-results` wrote.",
        ) from error
    files = sorted((place / RESULTS).glob("*.zip"))
    for one in files:
        store.import_(one)
    return take_record(document, store), len(files)
