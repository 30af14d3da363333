"""Studies carried out: what is missing of one is computed here, or queued for the worker."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from braindash.encoding.result import EncodingResult
from braindash.errors import InputError
from braindash.io.entries import read_object
from braindash.io.regions.masks import Hemisphere
from braindash.io.store import Store, as_store
from braindash.jobs.queue import Job
from braindash.names import given_path
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress, said_once, shared, spoken_duration
from braindash.studies.record import RECORD, RESULTS, StudyRecord, note_study, take_record
from braindash.studies.results import StudyResults, read_result
from braindash.studies.study import Planned, Study, StudyPlan
from braindash.work.kinds import KINDS, carried_out
from braindash.work.regions import seen_in
from braindash.work.submit import submit

# About how long planning takes beside computing.
_COSTS = (0.02, 0.98)
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

    Results that are stored, by this study or by anything else, are not computed again; features
    and other parts that several results share are made once. After an interruption it goes on with
    the part that was under way.

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
        compute_missing(plan, kept, computing, device=device, threads=threads)
    return study_results(record, kept)


def compute_missing(
    plan: StudyPlan,
    store: Store,
    progress: Progress,
    *,
    device: Device = "auto",
    threads: int | None = None,
) -> None:
    """Compute what is missing of a study, all kinds together, independent parts side by side."""
    missing = [_set(one, device, threads) for one in plan.missing]
    if not missing:
        progress.advance(1, 1, "already computed")
        return
    carried_out(missing, store, progress)


def _set(one: Planned, device: Device, threads: int | None) -> Any:
    request = one.plan.request.model_copy(update={"device": device, "threads": threads})
    changed: Any = one.plan
    return replace(changed, request=request)


def queue_study(plan: StudyPlan, store: Store) -> list[Job]:
    """Queue every missing result of a study as a job of its own; one that is queued stays."""
    return [submit(one.plan.request, store) for one in plan.missing]


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
        At most: features that several results share are counted for each.
    memory, disk : float
        Bytes, of the largest part and of all results.
    warnings : tuple of str
        What the checks of the data found, each once.
    """

    n_missing: int
    seconds: float
    memory: float
    disk: float
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """Say it in words; empty where nothing is missing."""
        if not self.n_missing:
            return []
        told = (
            f"the missing ones take at most about {spoken_duration(self.seconds)}, "
            f"{self.memory / 1e9:.1f} GB of memory and {self.disk / 1e9:.2f} GB of disk"
        )
        return [told, *self.warnings]


def study_needs(plan: StudyPlan, store: Store) -> StudyNeeds:
    """Estimate what the missing results of a study take, from headers only."""
    found = [KINDS[one.plan.request.command].needs(one.plan, store) for one in plan.missing]
    return StudyNeeds(
        n_missing=len(found),
        seconds=sum(one.seconds for one in found),
        memory=max((one.memory_needed for one in found), default=0.0),
        disk=sum(one.disk_needed for one in found),
        warnings=tuple(dict.fromkeys(text for one in found for text in one.warnings)),
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
        key for wanted, key in record.keys.items() if store.has(wanted.kind, key)
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
