"""The embedded demo: every result of it, in one run."""

from pathlib import Path
from typing import NamedTuple

from braindash.demo.dataset import SCORED_MODELS, UNHEARD_STORIES, demo_categories, prepare_demo
from braindash.encoding.plan import plan_encoding
from braindash.encoding.result import EncodingResult
from braindash.encoding.run import EncodingRun
from braindash.io.dataset.manifest import load_manifest
from braindash.io.store import Store
from braindash.parts import carry_out
from braindash.probing.plan import ProbingPlan, plan_probing
from braindash.probing.result import ProbingResult
from braindash.probing.run import ProbingRun
from braindash.progress import NoProgress, Progress, said_once, shared
from braindash.requests import EncodeRequest, ProbeRequest

# About how long preparing the data and the analyses take beside each other.
_COSTS = (0.05, 0.95)


def demo_requests(manifest: Path, subjects: tuple[str, ...]) -> list[EncodeRequest]:
    """Return the encoding runs of the embedded demo: every subject, before and after tuning."""
    return [
        EncodeRequest(
            data=manifest,
            model=str(folder),
            subject=subject,
            strategy="chunk",
            low_level="residual",
        )
        for subject in subjects  # one after the other: the first can be compared early
        for folder in SCORED_MODELS
    ]


def demo_probe_requests(manifest: Path) -> list[ProbeRequest]:
    """Return the probing runs of the embedded demo: before and after tuning, and the controls.

    The recordings are those that no model of the demo was trained or tuned on. Controls are a
    model of the same form with random weights, and the log-mel spectrum.
    """
    folders = [str(folder) for folder in SCORED_MODELS]
    models = [*folders, f"untrained:{folders[0]}", "acoustic:logmel"]
    categories = demo_categories(manifest.parent)
    return [
        ProbeRequest(
            data=manifest,
            model=model,
            recordings=UNHEARD_STORIES,
            categories=categories,
            strategy="chunk",
        )
        for model in models
    ]


class DemoResults(NamedTuple):
    """All results of the embedded demo.

    Attributes
    ----------
    encodings : list of EncodingResult
        One per model of :data:`braindash.demo.dataset.SCORED_MODELS` and simulated subject.
    probings : list of ProbingResult
        One per model and control.
    """

    encodings: list[EncodingResult]
    probings: list[ProbingResult]


def run_demo(store: Store, progress: Progress | None = None) -> DemoResults:
    """Prepare the embedded demo and compute all its results, or load them.

    Returns
    -------
    DemoResults
    """
    preparing, computing = shared(progress or NoProgress(), _COSTS, ("demo data: ", ""))
    manifest = prepare_demo(store.demo_folder, preparing)
    subjects = load_manifest(manifest).subjects
    with said_once():
        encodings = [
            EncodingRun(plan_encoding(one), store) for one in demo_requests(manifest, subjects)
        ]
        plan: ProbingPlan | None = None
        probings = []
        for request in demo_probe_requests(manifest):
            plan = plan_probing(request, plan)
            probings.append(ProbingRun(plan, store))
        carry_out([*encodings, *probings], computing)
    return DemoResults([run.result() for run in encodings], [run.result() for run in probings])
