"""The embedded demo: every result of it, in one run."""

from pathlib import Path
from typing import NamedTuple

from braindash.io.demo import DEMO_MODELS, prepare_demo
from braindash.io.demo_words import UNHEARD_STORIES, demo_categories
from braindash.io.store import Store
from braindash.pipeline.encoding import run_encoding
from braindash.pipeline.probing import run_probing
from braindash.progress import NoProgress, Progress, Span
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.results.encoding import EncodingResult
from braindash.results.probing import ProbingResult

# Shares of the demo's time after which data are there, and encodings.
_PREPARED, _ENCODED = 0.2, 0.75


def demo_requests(manifest: Path, subjects: tuple[str, ...]) -> list[EncodeRequest]:
    """Give the encoding runs of the embedded demo: every shipped model, every subject."""
    return [
        EncodeRequest(
            data=manifest,
            model=str(folder),
            subject=subject,
            strategy="chunk",
            low_level="residual",
        )
        for folder in DEMO_MODELS.values()
        for subject in subjects
    ]


def demo_probe_requests(manifest: Path) -> list[ProbeRequest]:
    """Give the probing runs of the embedded demo: every shipped model, and the controls.

    The recordings are those that no model of the demo was trained or tuned on. Controls are a
    model of the same form with random weights, and the log-mel spectrum.
    """
    folders = [str(folder) for folder in DEMO_MODELS.values()]
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
        One per shipped model and simulated subject.
    probings : list of ProbingResult
        One per shipped model and control.
    """

    encodings: list[EncodingResult]
    probings: list[ProbingResult]


def run_demo(store: Store, progress: Progress | None = None) -> DemoResults:
    """Prepare the embedded demo and compute all its results, or load them.

    Returns
    -------
    DemoResults
    """
    from braindash.io.manifest import load_manifest

    report = progress or NoProgress()
    manifest = prepare_demo(store.demo_folder, Span(report, 0.0, _PREPARED, "demo data: "))
    requests = demo_requests(manifest, load_manifest(manifest).subjects)
    encodings = []
    for index, request in enumerate(requests):
        # The first run extracts the features that the others share.
        start, stop = _encoded_share(index, len(requests)), _encoded_share(index + 1, len(requests))
        encodings.append(run_encoding(request, store, Span(report, start, stop)))
    probes = demo_probe_requests(manifest)
    probings = []
    for index, probe in enumerate(probes):
        start, stop = (_ENCODED + (1 - _ENCODED) * n / len(probes) for n in (index, index + 1))
        probings.append(run_probing(probe, store, Span(report, start, stop, "probing: ")))
    return DemoResults(encodings, probings)


def _encoded_share(index: int, count: int) -> float:
    part = 0.0 if index == 0 else 0.6 + 0.4 * (index - 1) / max(1, count - 1)
    return _PREPARED + (_ENCODED - _PREPARED) * part
