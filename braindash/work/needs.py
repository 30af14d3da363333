"""Will it run here? What a run would need, and what this machine has."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from braindash.encoding.costs import (
    keeping_bytes,
    keeping_operations,
    regression_bytes,
    regression_operations,
    statistics_bytes,
    statistics_operations,
    weights_size,
)
from braindash.encoding.plan import EncodingPlan
from braindash.encoding.sounds.kept import BEST, asked_weights
from braindash.io.dataset.audio import audio_seconds
from braindash.io.dataset.responses import shape as response_shape
from braindash.io.store import Store
from braindash.parts import PROCESS_BYTES
from braindash.probing.plan import ProbingPlan, extraction_bytes, layer_bytes, layer_operations
from braindash.process import expected_device, usable_memory
from braindash.progress import spoken_duration
from braindash.specs import Spec
from braindash.speech.checkpoints.locate import ModelFiles, require_precision
from braindash.speech.geometry import CPU_FRAMES
from braindash.speech.windows import (
    extraction_products,
    frame_rate_hz,
    frames_bytes,
    n_parameters,
)
from braindash.stories import StoryPlan
from braindash.tuning.plan import TuningPlan
from braindash.tuning.result import read_progress

# Measured on CPUs: an encoder reaches about this share of the rate of one large matrix product.
_ENCODER_EFFICIENCY = 0.35
# Products per second of an encoder in float32 on an ordinary GPU; its own cannot be measured
# without torch.
_CUDA_RATE = 5e12
# Numbers per frame, feature and block that the backward pass needs, with a feed-forward part four
# times as wide; counted, attention's products left out.
_ACTIVATIONS = 34


@dataclass(frozen=True)
class Preflight:
    """What a run would need.

    Attributes
    ----------
    key : str
        Key of the result.
    cached : bool
        Whether the result is there already.
    features_cached, n_stories : int
        How many of the stories' features, or of groups of short recordings, are there already.
    memory_needed, memory_free, disk_needed, disk_free : float
        In bytes; the needs are estimates.
    seconds : float
        Rough estimate of the time the run takes.
    device : str
        "cpu" or "cuda".
    warnings : tuple of str
        What the check of the data found, and what may not fit.
    kept : str
        What of an interrupted run is there already, in place of a count of features.
    beside : str
        What else is made, where the result may be there already; a sentence.
    """

    key: str
    cached: bool
    features_cached: int
    n_stories: int
    memory_needed: float
    memory_free: float
    disk_needed: float
    disk_free: float
    seconds: float
    device: str
    warnings: tuple[str, ...]
    kept: str = ""
    beside: str = ""

    @property
    def fits(self) -> bool:
        """Whether memory and disk are enough."""
        return self.memory_needed <= self.memory_free and self.disk_needed <= self.disk_free

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self) | {"fits": self.fits, "warnings": list(self.warnings)}

    def lines(self) -> list[str]:
        """Describe the findings, one line each."""
        if self.cached:
            told = f"Already computed: key {self.key[:8]}; opening it takes no time."
            return [told, *self.notes()]
        return [
            f"Result {self.key[:8]}: not computed yet.",
            self.kept
            or f"Features: {self.features_cached} of {self.n_stories} recordings are cached.",
            f"Memory: about {self.memory_needed / 1e9:.1f} GB of {self.memory_free / 1e9:.1f} GB "
            "available.",
            f"Disk: about {self.disk_needed / 1e9:.2f} GB of {self.disk_free / 1e9:.1f} GB free.",
            f"Time: roughly {spoken_duration(self.seconds)} on {self.device} (the job page shows a "
            "measured estimate as soon as it runs).",
            *self.notes(),
        ]

    def row(self) -> dict[str, str]:
        """Describe the findings in a row of a table, with the names of its columns."""
        needs = {
            f"time on {self.device}": f"roughly {spoken_duration(self.seconds)}",
            "memory": f"{self.memory_needed / 1e9:.1f} GB",
            "disk": f"{self.disk_needed / 1e9:.2f} GB",
            "features cached": self.kept or f"{self.features_cached} of {self.n_stories}",
        }
        told = dict.fromkeys(needs, "") if self.cached else needs
        return {"computed": "yes" if self.cached else "not yet"} | told | {"result": self.key[:8]}

    def notes(self) -> list[str]:
        """Describe what is no number: what is made beside it, and warnings."""
        return [*([self.beside] if self.beside else []), *(() if self.cached else self.warnings)]


def encoding_needs(plan: EncodingPlan, store: Store) -> Preflight:
    """Estimate what an encoding run needs, from headers only."""
    device = expected_device(plan.request.device)
    require_precision(plan.model, device)
    # The null panel's controls are as large and as slow as the model itself.
    wanted = [*plan.stories, *(() if plan.nulls is None else plan.nulls.stories)]
    missing = [s for s in wanted if not store.has("features", s.extraction.key())]
    kept, heard = _listened(missing, store)
    predicted = store.has("predictions", plan.spec.fit.key())
    memory_needed, disk_needed = _sizes(plan, len(missing), predicted)
    beside = _keeping_line(plan, store)
    if beside:
        memory_needed = max(memory_needed, PROCESS_BYTES + keeping_bytes(plan))
        disk_needed += 2 * weights_size(plan)  # in parts, until they are whole
    disk_needed += sum(frames_bytes(plan.model, seconds, plan.strategy) for seconds in kept)
    return _compared(
        plan.spec,
        store,
        features_cached=len(wanted) - len(missing),
        n_stories=len(wanted),
        memory_needed=memory_needed,
        disk_needed=disk_needed,
        seconds=_seconds(plan, sum(kept) + heard, device, is_fitted=predicted),
        device=device,
        warnings=plan.warnings,
        beside=beside,
    )


def _keeping_line(plan: EncodingPlan, store: Store) -> str:
    """Say what keeping weights takes, where they are asked for and not there; else nothing."""
    asked = plan.request.keep_weights
    if asked is None:
        return ""
    what = "the best layer" if asked == BEST else f"layer {asked}"
    result = store.get_or_none(plan.spec.kind, plan.spec.key())
    if result is not None:
        spec = asked_weights(asked, result)
        if store.has(spec.kind, spec.key()):
            return ""
        what = f"layer {spec.layer}"
    seconds = keeping_operations(plan) / (_product_rate() * 0.5)
    return (
        f"Weights of {what} are kept beside it: about {weights_size(plan) / 1e6:.0f} MB of disk, "
        f"{keeping_bytes(plan) / 1e9:.1f} GB of memory at a time, {spoken_duration(seconds)}."
    )


def _listened(missing: Sequence[StoryPlan], store: Store) -> tuple[list[float], float]:
    """Return what the model hears, in seconds: each recording whose frames are kept, the others."""
    kept = {
        story.frames.key(): audio_seconds(story.audio)
        for story in missing
        if story.frames is not None and not store.has(story.frames.kind, story.frames.key())
    }
    others = sum(float(story.times[-1]) for story in missing if story.frames is None)
    return list(kept.values()), others


def probing_needs(plan: ProbingPlan, store: Store) -> Preflight:
    """Estimate what a probing run needs, from headers and labels only."""
    device = expected_device(plan.request.device)
    require_precision(plan.model, device)
    missing = [one for one in plan.extractions if not store.has("unit-features", one.key)]
    own = [one for one in plan.extractions if one.model.fingerprint == plan.model.fingerprint]
    lacking = {one.group.names for one in missing} & {one.group.names for one in own}
    memory = PROCESS_BYTES + max([layer_bytes(plan), *map(extraction_bytes, plan.passes)])
    disk = sum(
        4.0 * len(one.units.of(one.group)) * one.model.n_layers * one.model.n_features
        for one in missing
    )
    return _compared(
        plan.spec,
        store,
        features_cached=len(plan.groups) - len(lacking),
        n_stories=len(plan.groups),
        memory_needed=memory,
        disk_needed=disk,
        seconds=_probing_seconds(plan, lacking, device),
        device=device,
        warnings=plan.warnings,
    )


def _probing_seconds(plan: ProbingPlan, lacking: set[tuple[str, ...]], device: str) -> float:
    """Estimate the time of the model's passes over recordings, and of the probes."""
    rate = _product_rate()
    strategy = plan.features(plan.model, plan.units[0])[0].spec.strategy
    seconds = sum(group.seconds for group in plan.groups if group.names in lacking)
    extraction = 2.0 * extraction_products(plan.model, seconds, strategy)
    probing = plan.model.n_layers * layer_operations(plan)
    return float(extraction / _encoder_rate(device, rate) + probing / (rate * 0.2))


def tuning_needs(plan: TuningPlan, store: Store) -> Preflight:
    """Estimate what a tuning run needs, from headers only."""
    device = expected_device(plan.request.device)
    known = read_progress(store, plan.spec.key())
    n_done = len(known["history"]) - 1 if known else 0
    n_epochs = _tuning_epochs(plan)
    memory, disk = _tuning_sizes(plan)
    return _compared(
        plan.spec,
        store,
        features_cached=0,
        n_stories=len(plan.recordings),
        memory_needed=memory,
        disk_needed=disk,
        seconds=_tuning_seconds(plan, device) * (n_epochs - n_done) / n_epochs,
        device=device,
        warnings=plan.warnings,
        kept=f"Epochs: {n_done} of at most {n_epochs} are kept from an earlier run.",
    )


def _tuning_sizes(plan: TuningPlan) -> tuple[float, float]:
    """Estimate bytes of memory and disk: weights with their moments, activations, responses."""
    settings, model = plan.spec.settings, plan.model
    weights = 4.0 * n_parameters(model)
    trained = weights if settings.adapter is None else 0.02 * weights
    rows = sum(s.n_rows for one in plan.subjects for s in (*one.train, *one.validation))
    _, n_targets = response_shape(plan.subjects[0].train[0].responses)
    limit = plan.request.limit or n_targets
    heads = 4.0 * min(limit, n_targets) * model.n_features * len(plan.subjects)
    frames = max(CPU_FRAMES, settings.segment_trs * _tr(plan) * frame_rate_hz(model))
    activations = 4.0 * _ACTIVATIONS * model.n_features * model.n_layers * frames
    responses = 4.0 * rows * min(limit, n_targets) + 8.0 * n_targets * rows / len(plan.recordings)
    memory = PROCESS_BYTES + weights + 3 * (trained + heads) + activations + responses
    seconds = sum(s.times[-1] for one in plan.subjects for s in (*one.train, *one.validation))
    channels = (model.config.get("conv_dim") or [model.n_features])[-1]
    front = 4.0 * channels * frame_rate_hz(model) * float(seconds)
    return memory, front + 3 * 3 * (trained + heads) + weights


def _tuning_seconds(plan: TuningPlan, device: str) -> float:
    """Estimate the time: forward and backward over all segments of all epochs."""
    settings = plan.spec.settings
    segments = plan.n_rows / settings.rows_per_segment
    frames = segments * settings.segment_trs * _tr(plan) * frame_rate_hz(plan.model)
    operations = 3 * 2 * n_parameters(plan.model) * frames
    return float(_tuning_epochs(plan) * operations / _encoder_rate(device, _product_rate()))


def _tuning_epochs(plan: TuningPlan) -> int:
    """Say how many epochs there are at most; of steps about as many."""
    settings = plan.spec.settings
    if settings.steps is None:
        return settings.epochs
    segments = plan.n_rows / settings.rows_per_segment
    per_step = max(1, settings.batch_rows // settings.rows_per_segment)
    return max(1, math.ceil(settings.steps / math.ceil(segments / per_step)))


def _tr(plan: TuningPlan) -> float:
    return plan.spec.train[0].times.tr


def _compared(
    spec: Spec,
    store: Store,
    *,
    memory_needed: float,
    disk_needed: float,
    warnings: tuple[str, ...],
    **needs: Any,
) -> Preflight:
    """Compare needs with what this machine has."""
    memory_free = usable_memory()
    disk_free = float(shutil.disk_usage(_existing(store.root)).free)
    told = list(warnings)
    if memory_needed > memory_free:
        told.append("This may not fit into memory: close other programs or use a larger machine.")
    if disk_needed > disk_free:
        told.append("This does not fit on the disk: free some space or choose another store.")
    return Preflight(
        key=spec.key(),
        cached=store.has(spec.kind, spec.key()),
        memory_needed=memory_needed,
        memory_free=memory_free,
        disk_needed=disk_needed,
        disk_free=disk_free,
        warnings=tuple(told),
        **needs,
    )


def _sizes(plan: EncodingPlan, n_missing: int, has_predictions: bool) -> tuple[float, float]:
    """Estimate bytes of memory and disk."""
    (n_train, n_test), n_targets = plan.n_rows, plan.n_targets
    memory = PROCESS_BYTES + 4.0 * n_parameters(plan.model)
    memory += regression_bytes(plan) + statistics_bytes(plan)
    n_layers = plan.model.n_layers
    per_story = 4.0 * n_layers * plan.model.n_features * (n_train + n_test) / len(plan.stories)
    # Predictions: the stored ones, and until they are written one part per layer.
    predictions = 0.0 if has_predictions else 2 * 2.0 * n_layers * n_test * n_targets
    disk = per_story * n_missing + predictions + 2 * 20.0 * n_layers * n_targets
    return memory, disk


def _seconds(plan: EncodingPlan, heard: float, device: str, *, is_fitted: bool) -> float:
    """Estimate the time from counted products and the measured rate of one product."""
    rate = _product_rate()
    extraction = 2.0 * extraction_products(plan.model, heard, plan.strategy)
    fitting = 0.0 if is_fitted else regression_operations(plan)
    encoding = plan.model.n_layers * (fitting + statistics_operations(plan))
    return float(extraction / _encoder_rate(device, rate) + encoding / (rate * 0.5))


def heard_seconds(files: ModelFiles, audio_seconds: float, strategy: str, device: str) -> float:
    """Estimate how long a model takes to hear a sound, from the measured rate of one product."""
    products = 2.0 * extraction_products(files, audio_seconds, strategy)
    return float(products / _encoder_rate(device, _product_rate()))


def _encoder_rate(device: str, product_rate: float) -> float:
    return _CUDA_RATE if device == "cuda" else product_rate * _ENCODER_EFFICIENCY


@cache
def _product_rate(size: int = 768, tries: int = 8) -> float:
    """Measure floating-point operations per second of one float32 matrix product.

    The best of some tries, once in a process: what else the machine does in these milliseconds
    would make the same work seem three times as long for one subject as for the next.
    """
    matrix = np.ones((size, size), dtype=np.float32)
    took = []
    for _ in range(tries + 1):
        started = time.perf_counter()
        matrix @ matrix
        took.append(time.perf_counter() - started)
    return 2 * size**3 / max(min(took[1:]), 1e-6)


def _existing(path: Path) -> Path:
    """Return the nearest folder above ``path`` that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
