"""The embedded demo: every result of it, in one run."""

from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from braindash.demo.dataset import SCORED_MODELS, UNHEARD_STORIES, demo_categories, prepare_demo
from braindash.encoding.result import EncodingResult
from braindash.encoding.run import run_encoding
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.probing.run import run_probing
from braindash.progress import NoProgress, Progress, Span
from braindash.requests import EncodeRequest, ProbeRequest

# Shares of the demo's time after which data are there, and encodings.
_PREPARED, _ENCODED = 0.08, 0.7
# Cost of a model's first run, which extracts the features that its other runs share; theirs is 1.
_FIRST_RUN = 2.0


def demo_requests(manifest: Path, subjects: tuple[str, ...]) -> list[EncodeRequest]:
    """Give the encoding runs of the embedded demo: every subject, before and after tuning."""
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
    """Give the probing runs of the embedded demo: before and after tuning, and the controls.

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
    from braindash.io.dataset.manifest import load_manifest

    report = progress or NoProgress()
    manifest = prepare_demo(store.demo_folder, Span(report, 0.0, _PREPARED, "demo data: "))
    requests = demo_requests(manifest, load_manifest(manifest).subjects)
    shares = _encoded_shares(requests)
    encodings = [
        run_encoding(request, store, Span(report, start, stop))
        for request, start, stop in zip(requests, shares, shares[1:], strict=False)
    ]
    probes = demo_probe_requests(manifest)
    probings = []
    for index, probe in enumerate(probes):
        start, stop = (_ENCODED + (1 - _ENCODED) * n / len(probes) for n in (index, index + 1))
        probings.append(run_probing(probe, store, Span(report, start, stop, "probing: ")))
    return DemoResults(encodings, probings)


def _encoded_shares(requests: list[EncodeRequest]) -> list[float]:
    """Give the share of the demo's time before each encoding run, and after the last."""
    models = [one.model for one in requests]
    costs = [1.0 if model in models[:index] else _FIRST_RUN for index, model in enumerate(models)]
    total = sum(costs)
    return [
        _PREPARED + (_ENCODED - _PREPARED) * cost / total for cost in accumulate(costs, initial=0)
    ]
