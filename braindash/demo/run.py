"""The embedded demo: every result of it, in one run."""

from pathlib import Path
from typing import NamedTuple

from braindash.demo.dataset import SCORED_MODELS, UNHEARD_STORIES, demo_categories, prepare_demo
from braindash.encoding.result import EncodingResult
from braindash.encoding.run import run_encoding
from braindash.io.dataset.manifest import load_manifest
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.probing.run import run_probing
from braindash.progress import NoProgress, Progress, shared
from braindash.requests import EncodeRequest, ProbeRequest

# About how long preparing the data, the encodings and the probes take beside each other.
_COSTS = (0.08, 0.62, 0.3)
# Cost of a model's first run, which extracts the features that its other runs share; theirs is 1.
_FIRST_RUN = 2.0


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
    preparing, encoding, probing = shared(progress or NoProgress(), _COSTS, ("demo data: ", "", ""))
    manifest = prepare_demo(store.demo_folder, preparing)
    requests = demo_requests(manifest, load_manifest(manifest).subjects)
    spans = shared(encoding, _encoding_costs(requests))
    encodings = [
        run_encoding(request, store, span) for request, span in zip(requests, spans, strict=True)
    ]
    probes = demo_probe_requests(manifest)
    spans = shared(probing, [1.0] * len(probes), "probing: ")
    probings = [
        run_probing(request, store, span) for request, span in zip(probes, spans, strict=True)
    ]
    return DemoResults(encodings, probings)


def _encoding_costs(requests: list[EncodeRequest]) -> list[float]:
    """Return about how long each encoding run takes beside the others."""
    models = [one.model for one in requests]
    return [1.0 if model in models[:index] else _FIRST_RUN for index, model in enumerate(models)]
