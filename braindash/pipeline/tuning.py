"""Brain-tuning runs: from the stories to a model folder that opens like any other."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from braindash.environment import is_first_process
from braindash.errors import StoreError
from braindash.io.store import Entry, Store
from braindash.pipeline.encoding import PLANNING
from braindash.pipeline.provenance import common_provenance
from braindash.plan.tuning import TuningPlan, plan_tuning
from braindash.progress import NoProgress, Progress, Span
from braindash.requests import TuneRequest
from braindash.results.tuning import PROGRESS_FILE, model_folder, progress_document
from braindash.speech.copying import check_free, copy_model
from braindash.speech.folders import TUNING_RECORD
from braindash.steps.tuning import TuningData, load_tuning_data

if TYPE_CHECKING:
    from braindash.speech.tuning.checkpoint import TrainingState
    from braindash.speech.tuning.run import Tuned

log = logging.getLogger(__name__)

_DATA_SHARE = 0.02


@dataclass(frozen=True)
class TuningResult:
    """A tuned model of the store.

    Attributes
    ----------
    key : str
        Of the result.
    folder : Path
        The model's folder: give it wherever a model is asked for.
    record : dict
        Content of its record.
    """

    key: str
    folder: Path
    record: dict[str, Any]

    @classmethod
    def load(cls, entry: Entry, store: Store) -> "TuningResult":
        """Open a stored result.

        Raises
        ------
        StoreError
            When the model's folder is gone or cannot be read.
        """
        folder = store.root / entry.provenance["model_folder"]
        try:
            record = json.loads((folder / TUNING_RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            raise StoreError(
                f"the tuned model {entry.key} is not in {folder}: {problem}",
                hint="Ask for it again and it is tuned anew, or copy its folder back.",
            ) from problem
        return cls(entry.key, folder, record)

    def line(self) -> str:
        """Say in one line what came out."""
        history = self.record["history"]
        kept = self.record["kept_epoch"]

        def mean_r(epoch: int) -> float:
            return float(np.mean(list(history[epoch]["validation_r"].values())))

        stopped = f"; {self.record['stopped']}" if self.record["stopped"] else ""
        return (
            f"epoch {kept} of {history[-1]['epoch']} kept, validation r {mean_r(kept):.4f} "
            f"({mean_r(0):.4f} before tuning){stopped}"
        )


def run_tuning(
    request: TuneRequest,
    store: Store,
    progress: Progress | None = None,
    *,
    out: Path | str | None = None,
) -> TuningResult:
    """Tune a model, or open the result of the same request.

    Parameters
    ----------
    request : TuneRequest
        Base model, data, subjects and settings.
    store : Store
        Looked up first; every epoch is kept in it, so that an interrupted run goes on after the
        last one.
    progress : Progress, optional
        Receives reports and may stop the run between two batches.
    out : Path or str, optional
        Folder to copy the model to; checked before anything is computed.

    Returns
    -------
    TuningResult
        The model lies in the store, and in the menus of the dashboard.
    """
    report = progress or NoProgress()
    report.advance(0, 1, PLANNING)
    place = None if out is None else Path(out).expanduser()
    if place is not None:
        check_free(place)
    result = run_tuning_plan(plan_tuning(request), store, report)
    if place is None:
        return result
    if is_first_process():
        copy_model(result.folder, place)
    return replace(result, folder=place)


def run_tuning_plan(plan: TuningPlan, store: Store, report: Progress) -> TuningResult:
    """Do as :func:`run_tuning` for a request that is planned already."""
    key = plan.spec.key()
    cached = store.get_or_none("tuning", key)
    if cached is not None:
        try:
            result = TuningResult.load(cached, store)
        except StoreError as problem:
            log.warning("%s", problem.message)
        else:
            report.advance(1, 1, "already tuned")
            return result
    # torch and transformers are needed from here on.
    from braindash.core.devices import limited_threads
    from braindash.speech.tuning.run import tune_model

    started = time.monotonic()
    data = load_tuning_data(plan, Span(report, 0.0, _DATA_SHARE))
    with limited_threads(plan.request.threads):
        tuned = tune_model(
            plan.model,
            data.train,
            data.validation,
            plan.spec.settings,
            folder=store.parts_folder("tuning", key),
            identity=key,
            device=plan.request.device,
            n_at_once=plan.request.n_at_once,
            progress=Span(report, _DATA_SHARE, 0.99),
            on_epoch=_told(plan, store),
        )
    if tuned.team.is_first:
        _publish(plan, data, tuned, store, time.monotonic() - started)
    tuned.team.wait()
    report.advance(1, 1, "done")
    return TuningResult.load(store.get("tuning", key), store)


def _told(plan: TuningPlan, store: Store) -> "Callable[[TrainingState], None]":
    """Write the epochs down as they come, for whoever watches."""
    from braindash.speech.tuning.checkpoint import replace_json

    folder = store.parts_folder("tuning", plan.spec.key())

    def told(state: "TrainingState") -> None:
        epochs = [record.as_dict() for record in state.history]
        document = progress_document(
            plan.spec.settings.epochs, epochs, simulated=plan.dataset.simulated
        )
        replace_json(folder / PROGRESS_FILE, document)

    return told


def _publish(
    plan: TuningPlan, data: TuningData, tuned: "Tuned", store: Store, seconds: float
) -> None:
    """Write the model's folder, then the entry that tells of it."""
    key = plan.spec.key()
    folder = model_folder(store, plan.model.name, plan.spec)
    provenance = _provenance(plan, seconds) | {"model_folder": str(folder.relative_to(store.root))}
    if not (folder / TUNING_RECORD).is_file():
        record = {"key": key, "spec": plan.spec.canonical(), **_seen(plan, data), **provenance}
        tuned.save(folder, record)
    history = tuned.state.history
    subjects = list(plan.spec.subjects)
    dataset = xr.Dataset(
        {
            "loss": ("epoch", [np.nan if one.loss is None else one.loss for one in history]),
            "validation_r": (
                ("epoch", "subject"),
                [[one.validation_r[subject] for subject in subjects] for one in history],
            ),
        },
        coords={"epoch": [one.epoch for one in history], "subject": subjects},
        attrs={"kept_epoch": tuned.kept_epoch},
    )
    spec = plan.spec.canonical()
    store.put("tuning", key, spec=spec, provenance=provenance, dataset=dataset)


def _seen(plan: TuningPlan, data: TuningData) -> dict[str, Any]:
    """Say what the training saw, and what chose it."""
    targets = {}
    for subject, settings in zip(plan.spec.subjects, plan.spec.targets, strict=True):
        mask = data.masks.get(subject)
        targets[subject] = {
            "rule": settings.rule,
            "threshold": settings.threshold,
            "regions": list(settings.regions),
            "n_targets": data.train[0].responses[subject].shape[1]
            if mask is None
            else int(mask.sum()),
            "n_of": None if mask is None else len(mask),
        }
    return {
        "base": {
            "name": plan.model.name,
            "source": plan.model.source,
            "revision": plan.model.revision,
            "fingerprint": plan.model.fingerprint,
        },
        "targets": targets,
        "stories": {
            "train": {story.name: len(story.times) for story in data.train},
            "validation": {story.name: len(story.times) for story in data.validation},
            "never_trained_on": list(plan.test),
        },
        "test_story_chose_targets": any(
            settings.rule == "test-repeats" for settings in plan.spec.targets
        ),
        "warnings": list(plan.warnings),
    }


def _provenance(plan: TuningPlan, seconds: float) -> dict[str, Any]:
    data = plan.dataset
    return common_provenance(plan.model, None, data.name, data.simulated, seconds) | {
        "subjects": list(plan.spec.subjects),
        "control": plan.spec.control,
        "warnings": list(plan.warnings),
    }
