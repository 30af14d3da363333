"""Asks every task of every layer, as a run of probing does, without a store."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from braindash.core.probes.labels import ProbeTask
from braindash.core.probes.model import Probes
from braindash.core.probes.result import ProbeResult
from braindash.core.probes.split import Split
from braindash.progress import NoProgress, Progress, shared


def probe_layers(
    features: Sequence[ArrayLike],
    tasks: Sequence[ProbeTask],
    split: Split,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> tuple[ProbeResult, ...]:
    """Ask every task of every layer; ``features`` are one array (n_units, n_features) a layer.

    ``progress`` is told between any two tasks and layers; ``options`` are those of Probes.
    """
    plan, report = Probes(tasks, split, **options), progress or NoProgress()
    found, n_layers = [], len(features)
    named = [f"layer {layer}" for layer in range(n_layers)]
    spans = shared(report, [1.0] * n_layers, [f"{where}: " for where in named])
    for layer, (where, part) in enumerate(zip(named, spans, strict=True)):
        found.append(plan.fit_layer(features[layer], where=where, progress=part))
    report.advance(1.0, 1.0, "all layers are probed")
    return plan.results(found)
