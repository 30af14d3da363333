"""Tasks of the job worker: each takes a queued request and says what it made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from braindash.io.store import Store
from braindash.pipeline.demo import run_demo
from braindash.pipeline.encoding import PLANNING, run_encoding_plan
from braindash.pipeline.probing import run_probing_plan
from braindash.pipeline.tuning import run_tuning_plan
from braindash.plan.changes import PROMISED, require_unchanged
from braindash.plan.encoding import plan_encoding
from braindash.plan.probing import plan_probing
from braindash.plan.tuning import plan_tuning
from braindash.progress import Progress
from braindash.requests import EncodeRequest, ProbeRequest, Request, TuneRequest

Task = Callable[[dict[str, Any], Path, Progress], dict[str, Any]]


def _planned(kind: type[Request], plan: Callable[[Any], Any], run: Callable[..., Any]) -> Task:
    """Make the task of one kind of request: plan it, compare it with what was queued, run it."""

    def task(request: dict[str, Any], root: Path, progress: Progress) -> dict[str, Any]:
        progress.advance(0, 1, PLANNING)
        asked = {name: value for name, value in request.items() if name != PROMISED}
        planned = plan(kind.model_validate(asked))
        require_unchanged(planned.spec, request[PROMISED])
        result = run(planned, Store(root), progress)
        return {"kind": planned.spec.kind, "keys": [result.key]}

    return task


def _demo_task(request: dict[str, Any], root: Path, progress: Progress) -> dict[str, Any]:
    made = run_demo(Store(root), progress)
    probed = {"kind": "probing", "keys": [result.key for result in made.probings]}
    return {
        "kind": "encoding",
        "keys": [result.key for result in made.encodings],
        "also": probed,
    }


TASKS: Mapping[str, Task] = {
    EncodeRequest.task: _planned(EncodeRequest, plan_encoding, run_encoding_plan),
    ProbeRequest.task: _planned(ProbeRequest, plan_probing, run_probing_plan),
    TuneRequest.task: _planned(TuneRequest, plan_tuning, run_tuning_plan),
    "demo": _demo_task,
}
