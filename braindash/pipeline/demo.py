"""The embedded demo: every result of it, in one run."""

from pathlib import Path

from braindash.io.demo import DEMO_MODELS, prepare_demo
from braindash.io.store import Store
from braindash.pipeline.encoding import run_encoding
from braindash.progress import NoProgress, Progress, Span
from braindash.requests import EncodeRequest
from braindash.results import EncodingResult


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


def run_demo(store: Store, progress: Progress | None = None) -> list[EncodingResult]:
    """Prepare the embedded demo and compute all its results, or load them.

    Returns
    -------
    list of EncodingResult
        One per shipped model and simulated subject.
    """
    from braindash.io.manifest import load_manifest

    report = progress or NoProgress()
    manifest = prepare_demo(store.demo_folder, Span(report, 0.0, 0.25, "demo data: "))
    requests = demo_requests(manifest, load_manifest(manifest).subjects)
    results = []
    for index, request in enumerate(requests):
        # The first run extracts the features that the others share.
        start, stop = _demo_share(index, len(requests)), _demo_share(index + 1, len(requests))
        results.append(run_encoding(request, store, Span(report, start, stop)))
    return results


def _demo_share(index: int, count: int) -> float:
    return 0.25 + 0.75 * (0.0 if index == 0 else 0.6 + 0.4 * (index - 1) / max(1, count - 1))
