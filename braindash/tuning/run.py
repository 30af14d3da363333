"""Brain-tuning runs: from the stories to a model folder that opens like any other."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from braindash.errors import StoreError, TuningError
from braindash.files import replace_json
from braindash.io.asked import asked
from braindash.io.entries import common_provenance
from braindash.io.recordings import plan_checked
from braindash.io.store import Entry, Store
from braindash.names import given_path
from braindash.parts import Part, StoredRun, carry_out, require_same
from braindash.process import is_first_process
from braindash.progress import NoProgress, Progress, shared
from braindash.requests import TuneRequest
from braindash.speech.checkpoints.copying import check_free
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.speech.checkpoints.listing import licence_of
from braindash.speech.checkpoints.locate import ModelFiles, absolute_source, pinned_revision
from braindash.speech.checkpoints.merging import strength_words
from braindash.tuning.card import card_text, controls_beside
from braindash.tuning.controls import OF_HIDDEN_FRAMES
from braindash.tuning.data import TuningData, load_tuning_data
from braindash.tuning.plan import TuningPlan, plan_tuning
from braindash.tuning.result import (
    PROGRESS_FILE,
    UNLEARNED,
    TuningResult,
    model_folder,
    progress_document,
)

if TYPE_CHECKING:
    from braindash.speech.training.epochs import TrainingState
    from braindash.speech.training.run import Tuned

logger = logging.getLogger(__name__)

# Of work that has one part nobody compares its time.
_SECONDS = 1.0


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

    Raises
    ------
    TuningError
        When the loss is not finite in the first epoch, or nothing was learned: then there is no
        model, and the record of the run lies beside its epochs.
    """
    report = progress or NoProgress()
    report.advance(0, 1, "reading the manifest and the model's files")
    place = None if out is None else given_path(out, exact=True)
    if place is not None:
        check_free(place)
    run = TuningRun(plan_checked(plan_tuning, request, store.root), store)
    carry_out([run], report)
    result = run.result()
    return result.copied(place) if place is not None and is_first_process() else result


def remake_run(request: Mapping[str, Any], key: str, root: str) -> "TuningRun":
    """Plan a run again, in another process."""
    store = Store(root)
    plan = plan_checked(plan_tuning, TuneRequest.model_validate(request), store.root)
    run = TuningRun(plan, store)
    require_same(run.key, key)
    return run


class TuningRun(StoredRun[Entry]):
    """One tuning run: a single part, which keeps every epoch.

    Parameters
    ----------
    plan : TuningPlan
        What to compute.
    store : Store
        Keeps every epoch.
    """

    maker = "braindash.tuning.run:remake_run"

    def __init__(self, plan: TuningPlan, store: Store) -> None:
        super().__init__(plan, store)
        self._plan, self._store = plan, store

    def parts(self) -> list[Part]:
        """List what is to be made: the tuned model."""
        last = self.last_part(self._tune, label="tuning", seconds=_SECONDS)
        return [replace(last, done=lambda: self._tuned() is not None)]

    def result(self) -> TuningResult:
        """Open the result."""
        return self._tuned() or TuningResult.load(self.get(self.kind, self.key), self._store)

    def _tuned(self) -> TuningResult | None:
        """Open the result, or None where its record or its model is gone."""
        entry = self.find(self.kind, self.key)
        try:
            return None if entry is None else TuningResult.load(entry, self._store)
        except StoreError as error:
            logger.warning("%s", error.message)
            return None

    def _tune(self, progress: Progress) -> None:
        # torch and transformers are needed from here on.
        from braindash.core.devices import limited_threads
        from braindash.speech.training.run import tune_model

        plan, started = self._plan, time.monotonic()
        reading, training, _ = shared(progress, (2, 97, 1))
        data = load_tuning_data(plan, reading)
        with limited_threads(plan.request.threads):
            tuned = tune_model(
                plan.model,
                data.train,
                data.validation,
                plan.spec.settings,
                folder=self._store.parts_folder("tuning", self.key),
                identity=self.key,
                device=plan.request.device,
                n_at_once=plan.request.n_at_once,
                progress=training,
                on_epoch=_told(plan, self._store),
                stimulus=plan.request.control in OF_HIDDEN_FRAMES,
            )
        if not tuned.learned():
            raise _nothing_learned(plan, data, tuned, self._store, time.monotonic() - started)
        if tuned.team.is_first:
            _publish(plan, data, tuned, self._store, time.monotonic() - started)
        tuned.team.wait()


def _told(plan: TuningPlan, store: Store) -> "Callable[[TrainingState], None]":
    """Write the epochs down as they come, for whoever watches."""
    folder = store.parts_folder("tuning", plan.spec.key())

    def told(state: "TrainingState") -> None:
        epochs = [record.as_dict() for record in state.history]
        n_epochs = state.facts.get("n_epochs", plan.spec.settings.epochs)
        document = progress_document(n_epochs, epochs, simulated=plan.dataset.simulated)
        replace_json(folder / PROGRESS_FILE, document)

    return told


def _publish(
    plan: TuningPlan, data: TuningData, tuned: "Tuned", store: Store, seconds: float
) -> None:
    """Write the model's folder, then the entry that tells of it."""
    key = plan.spec.key()
    folder = model_folder(store, plan.model.name, plan.spec)
    place = {"model_folder": str(folder.relative_to(store.root))}
    if not (folder / TUNING_RECORD).is_file():
        tuned.save(
            folder,
            _record(plan, data, seconds) | place,
            lambda record: card_text(record, controls=controls_beside(folder, record)),
        )
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
    # Not in the model's own record, which leaves with its folder: the request names places here.
    told = asked(
        plan.request,
        model=absolute_source(plan.request.model, plan.model),
        revision=pinned_revision(plan.model),
        manifest=plan.dataset.text,
    )
    provenance = _provenance(plan, seconds) | place | told
    store.put("tuning", key, spec=spec, provenance=provenance, dataset=dataset)


def _nothing_learned(
    plan: TuningPlan, data: TuningData, tuned: "Tuned", store: Store, seconds: float
) -> TuningError:
    """Keep the record beside the epochs: a model that is the base is none of its own."""
    path = store.parts_folder("tuning", plan.spec.key()) / UNLEARNED
    if tuned.team.is_first:
        replace_json(path, _record(plan, data, seconds) | tuned.outcome())
    settings, last = plan.spec.settings, tuned.state.epoch
    strengths = tuned.strengths()
    told = f" ({strength_words(strengths)})" if strengths else ""
    return TuningError(
        f"nothing was learned: the weights of epoch {tuned.kept_epoch} of {last} compute what "
        f"{plan.model.name} computes{told}, so there is no tuned model",
        hint=f"Give a higher encoder_rate (it was {settings.encoder_rate:g}) or more epochs, and "
        f"check that the responses vary. Settings, losses and validation r are kept in {path}, "
        "with the epochs: the same command says this again without training.",
    )


def _record(plan: TuningPlan, data: TuningData, seconds: float) -> dict[str, Any]:
    """Say what was asked for, what the training saw and how it was made."""
    spec = plan.spec
    seen = _seen(plan, data)
    return {"key": spec.key(), "spec": spec.canonical(), **seen, **_provenance(plan, seconds)}


def _seen(plan: TuningPlan, data: TuningData) -> dict[str, Any]:
    """Say what the training saw, and what chose it."""
    from braindash.speech.training.stimulus import N_CLUSTERS as n_clusters

    targets = {}
    for subject, settings in zip(plan.spec.subjects, plan.spec.targets, strict=True):
        mask = data.masks.get(subject)
        rows = data.train[0].responses.get(subject)
        targets[subject] = {
            "rule": settings.rule,
            "threshold": settings.threshold,
            "regions": list(settings.regions),
            "region_set": settings.region_set,
            # Where nothing but the sound is learnt, clusters of it are the targets.
            "n_targets": n_clusters if rows is None else rows.shape[1],
            "n_of": None if mask is None else len(mask),
        }
    return {
        "base": {
            "name": plan.model.name,
            "source": plan.model.source,
            "revision": plan.model.revision,
            "fingerprint": plan.model.fingerprint,
            "licence": _licence(plan.model),
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


def _licence(model: ModelFiles) -> str:
    """Return the licence that the base's card names; empty where it names none."""
    return licence_of(model.folder) or ("" if model.base is None else licence_of(model.base.folder))


def _provenance(plan: TuningPlan, seconds: float) -> dict[str, Any]:
    data = plan.dataset
    return common_provenance(plan.model, None, data.name, data.simulated, seconds) | {
        "subjects": list(plan.spec.subjects),
        "control": plan.spec.control,
        "warnings": list(plan.warnings),
        "left_out": dict(plan.request.left_out),
    }
