"""Predictions for any sound: what they take, computed and kept in the store, and as files."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.altered import noise_vocoded, time_reversed
from braindash.encoding.result import EncodingResult
from braindash.encoding.sounds.kept import KeptWeights, find_weights
from braindash.encoding.sounds.predict import Predictor, sound_rows
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import InputError
from braindash.files import digest_bytes
from braindash.io.dataset.audio import SAMPLE_RATE_HZ, find_recording, load_audio
from braindash.io.entries import made_here
from braindash.io.spaces.vertices import has_vertices
from braindash.io.store import Entry, Store
from braindash.io.time_series import TimeSeries, check_form
from braindash.names import given_path
from braindash.parts import PROCESS_BYTES
from braindash.process import expected_device, usable_memory
from braindash.progress import NoProgress, Progress, shared, spoken_duration
from braindash.requests import SoundRequest
from braindash.specs import SoundSpec
from braindash.speech.windows import n_parameters
from braindash.work.needs import heard_seconds

SOUNDS = SoundSpec.kind
"""Name of the work, and kind of what it makes."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Cut:
    """Where in a recording a sound is.

    Attributes
    ----------
    path : Path
        The recording.
    start, stop : float
        Seconds.
    """

    path: Path
    start: float
    stop: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.stop - self.start


@dataclass(frozen=True)
class SoundNeeds:
    """What a prediction takes, told before anything is computed.

    Attributes
    ----------
    sound_seconds : float
        How long the sound lasts.
    n_rows, n_targets : int
        Of the prediction.
    memory_needed, memory_free : float
        Bytes; the need is an estimate.
    seconds : float
        Rough estimate of the time, without loading the model.
    device : str
        "cpu" or "cuda".
    """

    sound_seconds: float
    n_rows: int
    n_targets: int
    memory_needed: float
    memory_free: float
    seconds: float
    device: str

    @property
    def fits(self) -> bool:
        """Whether memory is enough."""
        return self.memory_needed <= self.memory_free

    def as_dict(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return asdict(self) | {"fits": self.fits}

    def lines(self) -> list[str]:
        """Describe it, one line each."""
        told = [
            f"Sound: {self.sound_seconds:.1f} s, {self.n_rows} rows of {self.n_targets} targets.",
            f"Memory: about {self.memory_needed / 1e9:.1f} GB of {self.memory_free / 1e9:.1f} GB "
            "available.",
            f"Time: roughly {spoken_duration(self.seconds)} on {self.device}.",
        ]
        if not self.fits:
            told.append("This may not fit into memory: cut the sound with start and stop.")
        return told


# ---- the sound -----------------------------------------------------------------------------------


# A window of the strategy "exact"; no model has a frame of less than some hundredths of a second.
LEAST_SECONDS = 0.1


def find_cut(request: SoundRequest) -> Cut:
    """Find the part of a recording that is meant, without decoding it.

    Raises
    ------
    InputError
        When the file is no sound that can be read, the part lies outside of it, or it is longer
        than the request allows.
    """
    path = given_path(request.audio)
    seconds = find_recording(path).seconds
    start = request.start or 0.0
    stop = seconds if request.stop is None else request.stop
    if not start < stop or stop > seconds + 1e-3:
        raise InputError(
            f"the part from {start:g} to {stop:g} s is not in {path}, which lasts {seconds:.2f} s",
            hint="Give a start before the stop, both within the recording.",
        )
    if min(stop, seconds) - start < LEAST_SECONDS:
        raise InputError(
            f"the part from {start:g} to {stop:g} s of {path} is shorter than {LEAST_SECONDS:g} s",
            hint="Give a longer one: no model hears anything in it.",
        )
    return Cut(path, start, min(stop, seconds))


def sound_samples(request: SoundRequest) -> Samples:
    """Read the sound that is meant: cut, then altered, as the model hears it.

    Parameters
    ----------
    request : SoundRequest
        Says which.

    Returns
    -------
    array of float32, shape (n_samples,)
        Mono, 16 kHz; full scale is 1, which noise-vocoded sounds may exceed.

    Raises
    ------
    InputError
        As of :func:`find_cut` and :func:`braindash.load_audio`.
    """
    cut = find_cut(request)
    first, last = (round(one * SAMPLE_RATE_HZ) for one in (cut.start, cut.stop))
    samples = load_audio(cut.path)[first:last]
    return altered_samples(samples, request)


def altered_samples(samples: Samples, request: SoundRequest) -> Samples:
    """Alter samples at 16 kHz as a request asks."""
    if request.altered == "reversed":
        return time_reversed(samples)
    if request.altered == "noise-vocoded":
        return noise_vocoded(
            samples,
            SAMPLE_RATE_HZ,
            n_bands=request.n_bands,
            envelope_hz=request.envelope_hz,
            seed=request.seed,
        )
    return samples


def told_sound(request: SoundRequest, cut: Cut) -> dict[str, Any]:
    """Describe a sound as JSON values; never by its path, which is the user's own."""
    altered: dict[str, Any] = {"how": request.altered}
    if request.altered == "noise-vocoded":
        names = ("n_bands", "envelope_hz", "seed")
        altered |= {name: getattr(request, name) for name in names}
    return {
        "name": cut.path.name,
        "start": round(cut.start, 4),
        "stop": round(cut.stop, 4),
        "altered": altered,
    }


# ---- what is asked for ---------------------------------------------------------------------------


def sound_weights(request: SoundRequest, store: Store) -> KeptWeights:
    """Open the weights that a request needs.

    Raises
    ------
    InputError
        When they are not there: the hint says which command keeps them.
    StoreError
        When the result is not there, is no encoding result, or something is damaged.
    """
    result = EncodingResult.load(store.find(request.result))
    return find_weights(result, store, request.layer)


def sound_needs(request: SoundRequest, store: Store) -> SoundNeeds:
    """Estimate what a prediction takes, from headers only.

    Raises
    ------
    InputError, ModelError, StoreError
        When it cannot be computed at all.
    """
    weights, cut = sound_weights(request, store), find_cut(request)
    files = Predictor(weights, request.model, request.device).files
    device = expected_device(request.device)
    n_rows = sound_rows(cut.seconds, weights.tr) + max(weights.delays)
    whole = find_recording(cut.path).seconds
    memory = PROCESS_BYTES + 4.0 * n_parameters(files) + 12.0 * SAMPLE_RATE_HZ * whole
    return SoundNeeds(
        cut.seconds,
        n_rows,
        weights.n_targets,
        memory + 10.0 * n_rows * weights.n_targets,
        usable_memory(),
        heard_seconds(files, cut.seconds, str(weights.fit["strategy"]), device),
        device,
    )


def require_length(request: SoundRequest, store: Store) -> None:
    """Refuse a sound that is longer than was allowed, saying what it would take."""
    seconds = find_cut(request).seconds
    if seconds <= request.longest_seconds:
        return
    needs = " ".join(sound_needs(request, store).lines())
    raise InputError(
        f"the sound lasts {spoken_duration(seconds)}, and {request.longest_seconds:g} s are "
        f"allowed. {needs}",
        hint="Cut it with --start and --stop (From and To on the page Story), or allow it with "
        f"--longest {int(np.ceil(seconds))} (longest_seconds).",
    )


# ---- predictions ---------------------------------------------------------------------------------


def predict_sound(
    request: SoundRequest, store: Store, progress: Progress | None = None
) -> SoundPrediction:
    """Predict the response to a sound, or look the prediction up.

    Parameters
    ----------
    request : SoundRequest
        Result and sound.
    store : Store
        Holds the result and its weights; keeps the prediction.
    progress : Progress, optional
        Receives reports.

    Raises
    ------
    InputError
        When weights are missing, or the sound is none or too long.
    ModelError
        When the model that the weights were fitted with is not there any more.
    """
    return predict_sounds([request], store, progress)[0]


def predict_sounds(
    requests: Sequence[SoundRequest], store: Store, progress: Progress | None = None
) -> list[SoundPrediction]:
    """Do as :func:`predict_sound` for several, such as the two of a contrast.

    A model that several need is opened once.
    """
    report = progress or NoProgress()
    found: list[SoundPrediction] = []
    predictor: Predictor | None = None
    for request, span in zip(requests, shared(report, [1] * len(requests)), strict=True):
        span.advance(0, 1, f"reading {request.audio.name}")
        weights = sound_weights(request, store)
        require_length(request, store)
        samples = sound_samples(request)
        spec = spec_of(weights, samples)
        entry = store.get_or_none(SOUNDS, spec.key())
        if entry is None:
            if predictor is None or predictor.weights.told["model"] != weights.told["model"]:
                predictor = Predictor(weights, request.model, request.device)
            else:
                predictor = predictor.of(weights)
            made = predictor.predict(samples, told_sound(request, find_cut(request)), span)
            entry = store.put(
                SOUNDS,
                spec.key(),
                spec=spec.canonical(),
                provenance=_provenance(weights, made),
                dataset=made.to_dataset(),
            )
        else:
            span.advance(1, 1, "already predicted")
        found.append(_loaded(entry, request, weights))
    return found


def stored_sound(request: SoundRequest, store: Store) -> SoundPrediction | None:
    """Look a prediction up; None where it has not been made."""
    weights = sound_weights(request, store)
    entry = store.get_or_none(SOUNDS, spec_of(weights, sound_samples(request)).key())
    return None if entry is None else _loaded(entry, request, weights)


def _loaded(entry: Entry, request: SoundRequest, weights: KeptWeights) -> SoundPrediction:
    """Open a prediction; sound and result may have had other names when it was made."""
    made = SoundPrediction.load(entry)
    sound = told_sound(request, find_cut(request))
    return replace(made, about={**made.about, "sound": sound, "result": weights.result})


def spec_of(weights: KeptWeights, samples: Samples) -> SoundSpec:
    """Name a prediction: by the weights and by what was heard."""
    return SoundSpec(weights=weights.key, samples=digest_bytes(samples.tobytes()))


def _provenance(weights: KeptWeights, made: SoundPrediction) -> dict[str, Any]:
    told = weights.told
    return made_here(0.0) | {
        "model": {name: told["model"][name] for name in ("name", "fingerprint")},
        "data": {"name": told["data"]["name"], "simulated": told["data"]["simulated"]},
        "about": dict(made.about),
    }


def require_writable(request: SoundRequest, store: Store, output: Sequence[Path]) -> None:
    """Refuse files that the prediction cannot be written as, before it is computed.

    Raises
    ------
    InputError
        Of another ending, or GIFTI of targets that nothing brings to a surface.
    """
    if output:
        result = EncodingResult.load(store.find(request.result))
        for path in output:
            check_form(path, result.space, result.n_targets, result.surface)


def time_series(prediction: SoundPrediction, store: Store) -> TimeSeries:
    """Return a prediction as something that can be written to files."""
    result = EncodingResult.load(store.get("encoding", str(prediction.about["result"])))
    return TimeSeries(
        prediction.values,
        prediction.times,
        prediction.tr,
        result.space,
        prediction.sidecar(),
        {"n_heard": prediction.n_heard, "complete": prediction.complete},
        result.surface,
    )


def series_files(prediction: SoundPrediction, store: Store, name: str) -> dict[str, bytes]:
    """Return a prediction's files, for who takes them away: NumPy, and GIFTI where that can be.

    Parameters
    ----------
    prediction : SoundPrediction
        Of the store.
    store : Store
        Holds the result.
    name : str
        How the files are called.

    Returns
    -------
    dict of str to bytes
        By name: ``NAME.npz``, ``NAME.json`` and, where the targets have a place on a surface,
        ``NAME_hemi-L.func.gii`` and ``NAME_hemi-R.func.gii``.
    """
    series = time_series(prediction, store)
    has_surface = has_vertices(series.space, prediction.values.shape[1], series.surface)
    ends = [".npz", *((".func.gii",) if has_surface else ())]
    with TemporaryDirectory(prefix="braindash-") as folder:
        written = {path for end in ends for path in series.write(Path(folder, name + end))}
        return {path.name: path.read_bytes() for path in sorted(written)}
