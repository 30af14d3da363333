"""Probing runs: features of units, then every task asked of every layer, as parts of work."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import xarray as xr

from braindash.errors import InputError
from braindash.io.asked import asked
from braindash.io.netcdf import load_netcdf
from braindash.io.recordings import plan_checked
from braindash.io.store import Entry, Store
from braindash.parts import Part, StoredRun, carry_out, require_same, seconds_of
from braindash.probing.features import UNIT_FEATURES, UnitExtraction, probing_provenance
from braindash.probing.plan import (
    ProbingPlan,
    UnitFeatures,
    extraction_bytes,
    layer_bytes,
    layer_operations,
    plan_probing,
)
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress
from braindash.requests import ProbeRequest
from braindash.speech.checkpoints.locate import absolute_source, pinned_revision
from braindash.speech.windows import extraction_seconds

if TYPE_CHECKING:
    from braindash.probing.ask import Sitting

# Operations per second of one ordinary core in probes.
_CORE_RATE = 5e9


def run_probing(
    request: ProbeRequest, store: Store, progress: Progress | None = None
) -> ProbingResult:
    """Compute, or load, the probing scores of every layer of one model.

    Parameters
    ----------
    request : ProbeRequest
        Model, labels, tasks and settings.
    store : Store
        Looked up first; every finished group of recordings and every layer is kept in it, so that
        an interrupted run goes on where it was.
    progress : Progress, optional
        Receives reports and may stop the run between two parts.

    Returns
    -------
    ProbingResult
        The stored result.
    """
    report = progress or NoProgress()
    report.advance(0, 1, "reading the labels and the model's files")
    run = ProbingRun(plan_checked(plan_probing, request, store.root), store)
    carry_out([run], report, cores=request.threads, device=request.device)
    return run.result()


def remake_run(request: Mapping[str, Any], key: str, root: str) -> "ProbingRun":
    """Plan a run again, in another process."""
    store = Store(root)
    plan = plan_checked(plan_probing, ProbeRequest.model_validate(request), store.root)
    run = ProbingRun(plan, store)
    require_same(run.key, key)
    return run


class ProbingRun(StoredRun[Entry]):
    """The parts of one probing run, and what they share in one process.

    Parameters
    ----------
    plan : ProbingPlan
        What to compute.
    store : Store
        Keeps every finished group of recordings and layer.
    """

    maker = "braindash.probing.run:remake_run"

    def __init__(self, plan: ProbingPlan, store: Store) -> None:
        super().__init__(plan, store)
        self._plan, self._store = plan, store
        self._extraction = UnitExtraction(plan, store)
        self._told: list[str] = []

    def result(self) -> ProbingResult:
        """Open the result; refuse one of a run that left out a task which is named here."""
        result = ProbingResult.load(self.get(self.kind, self.key))
        lacking = [name for name in self._plan.request.tasks or () if name not in result.tasks]
        if lacking:
            told = [text for text in result.provenance["warnings"] if f": {lacking[0]}: " in text]
            raise InputError(
                f"the task {lacking[0]!r} cannot be asked of these recordings: {'; '.join(told)}",
                hint="Leave the task out, or give other recordings.",
            )
        return result

    def parts(self) -> list[Part]:
        """List what is to be made: features of units, layers, the result."""
        passes = self._plan.passes
        features = [
            self._feature_part(members, f"{place}/{len(passes)}")
            for place, members in enumerate(passes, start=1)
        ]
        needed = tuple(part.name for part in features)
        layers = [self._layer_part(layer, needed) for layer in range(self._plan.model.n_layers)]
        last = self.last_part(
            self._finish,
            label=f"probing {self._plan.model.name}",
            seconds=1.0,
            after=tuple(part.name for part in layers),
            n_bytes=layer_bytes(self._plan),
        )
        return [*features, *layers, last]

    # ---- features -------------------------------------------------------------------------

    def _feature_part(self, members: Sequence[UnitFeatures], place: str) -> Part:
        first = members[0]
        return Part(
            name=" ".join([UNIT_FEATURES, *(one.key for one in members)]),
            label=f"{first.model.name}, {first.group.title} ({place})",
            make=partial(self._extract, members),
            done=lambda: not self._lacking(members),
            seconds=extraction_seconds(first.model, first.group.seconds, first.spec.strategy),
            n_bytes=extraction_bytes(members),
        )

    def _extract(self, members: Sequence[UnitFeatures], progress: Progress) -> None:
        # All units of the pass, those that are stored too: which windows are computed together
        # hangs on all of them, and a resumed run has the bits of one that was not stopped.
        for entry in self._extraction.put(members, progress):
            self.know(entry)

    def _lacking(self, members: Sequence[UnitFeatures]) -> list[UnitFeatures]:
        return [one for one in members if self.lacked(UNIT_FEATURES, one.key)]

    # ---- layers ---------------------------------------------------------------------------

    def _layer_part(self, layer: int, features: Sequence[str]) -> Part:
        plan = self._plan

        def make(progress: Progress) -> xr.Dataset:
            # torch is needed from here on, so planning and cached runs stay light.
            from braindash.probing.ask import ask_layer

            self._extraction.close()
            return ask_layer(plan, self._sittings, self._features, layer, progress)

        return self.layer_part(
            self.kind,
            self.key,
            layer,
            make,
            label=f"probing {plan.model.name}: layer {layer}",
            seconds=layer_operations(plan) / _CORE_RATE,
            after=features,
            n_bytes=layer_bytes(plan),
        )

    @cached_property
    def _features(self) -> dict[str, Entry]:
        keys = [one.key for one in self._plan.extractions]
        return {key: self.get(UNIT_FEATURES, key) for key in keys}

    @cached_property
    def _sittings(self) -> "list[Sitting]":
        from braindash.probing.ask import plan_sittings

        return plan_sittings(self._plan, self._features, self._told)

    # ---- the result -----------------------------------------------------------------------

    def _finish(self, progress: Progress) -> None:
        """Put the layers together."""
        from braindash.probing.ask import as_dataset, gather, task_facts

        progress.advance(0, 1, "writing")
        plan, sittings = self._plan, self._sittings
        files = self.all_layers(self.kind, self.key, plan.model.n_layers)
        layers = [load_netcdf(path) for path in files]
        results = gather(plan, sittings, layers)
        told = {name: texts for sitting in sittings for name, texts in sitting.warnings.items()}
        facts = {name: task_facts(one, told[name]) for name, one in results.items()}
        made = self._provenance(facts, seconds_of(files))
        spec, dataset = plan.spec.canonical(), as_dataset(results)
        self.know(self._store.put(self.kind, self.key, spec=spec, provenance=made, dataset=dataset))

    def _provenance(self, facts: dict[str, Any], seconds: float) -> dict[str, Any]:
        plan = self._plan
        told = asked(
            plan.request,
            model=absolute_source(plan.request.model, plan.model),
            revision=pinned_revision(plan.model),
            manifest=plan.manifest_text,
        )
        return (
            probing_provenance(plan, plan.model, seconds)
            | told
            | {
                "preset": plan.request.preset,
                "parents": sorted(one.key for one in plan.extractions),
                "tasks": facts,
                "recordings": len(plan.labels.recordings),
                "labels": plan.labels.source,
                "warnings": [*plan.warnings, *self._told],
            }
        )
