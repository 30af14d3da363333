"""The Python interface: what a notebook calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from braindash.encoding.result import EncodingResult
from braindash.io.store import Store, default_root
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress
from braindash.specs import Precision

if TYPE_CHECKING:
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel
    from braindash.tuning.result import TuningResult


def encode(
    data: Path | str,
    model: str | Path,
    subject: str,
    *,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> EncodingResult:
    """Compute, or load, how well each layer of a speech model predicts a subject's responses.

    Parameters
    ----------
    data : Path or str
        The data set's manifest (TOML).
    model : str or Path
        A local folder (of a whole model or a low-rank adapter), a hub id, ``"untrained:MODEL"`` or
        ``"acoustic:NAME"``.
    subject : str
        A subject of the manifest.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.
    **settings
        Further fields of :class:`braindash.requests.EncodeRequest`: ``revision``, ``precision``,
        ``strategy`` ("exact" or "chunk"), ``alphas``, ``delays`` (in TRs), ``metric`` ("r2" or
        "r"), ``intercept``, ``n_permutations`` and ``n_bootstraps`` (0: none), ``block_rows``,
        ``scheme`` ("blocks" or "shift"), ``seed``, ``low_level`` ("residual" or "banded") and
        ``low_level_space``, ``device``, ``threads``.

    Returns
    -------
    EncodingResult
        ``.dataset`` is an xarray.Dataset, ``.regions()`` a table.

    Raises
    ------
    InputError, ModelError, StoreError
        With a hint that says what to do next.
    """
    from braindash.encoding.run import run_encoding
    from braindash.requests import EncodeRequest, build_request

    request = build_request(EncodeRequest, data=data, model=str(model), subject=subject, **settings)
    return run_encoding(request, _as_store(store), progress)


def probe(
    model: str | Path,
    data: Path | str | None = None,
    *,
    labels: str | None = None,
    labels_path: Path | str | None = None,
    tasks: Sequence[str] = (),
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> ProbingResult:
    """Compute, or load, what each layer of a speech model tells about labelled speech.

    Parameters
    ----------
    model : str or Path
        A local folder or a hub id; ``"untrained:MODEL"`` and ``"acoustic:logmel"`` are controls.
    data : Path or str, optional
        A manifest whose ``alignment_dir`` holds TextGrids of its stories.
    labels, labels_path : str and Path, optional
        In place of ``data``: a source of :data:`braindash.io.labels.sources.LABEL_SOURCES` and its
        folder or table.
    tasks : sequence of str, optional
        Of :data:`braindash.probing.tasks.PROBE_TASKS`; all that the labels allow by default.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.
    **settings
        Further fields of :class:`braindash.requests.ProbeRequest`: ``labels_options`` (of the
        source's reader), ``recordings``, ``categories``, ``word_vectors``, ``revision``,
        ``strategy`` ("chunk" or "exact"), ``method`` ("ridge", "discriminant" or "logistic"),
        ``split`` ("auto", "drawn" or "given"), ``max_units``, ``n_shuffles``, ``n_bootstraps``,
        ``seed``, ``device``, ``threads``.

    Returns
    -------
    ProbingResult
        ``.table()`` has one row per task and layer, ``.stages()`` the depth of each task.

    Raises
    ------
    InputError, ModelError, StoreError
        With a hint that says what to do next.
    """
    from braindash.probing.run import run_probing
    from braindash.requests import ProbeRequest, build_request

    request = build_request(
        ProbeRequest,
        model=str(model),
        data=data,
        labels=labels,
        labels_path=labels_path,
        tasks=tuple(tasks),
        **settings,
    )
    return run_probing(request, _as_store(store), progress)


def tune(
    data: Path | str,
    model: str | Path,
    subjects: Sequence[str],
    *,
    out: Path | str | None = None,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> "TuningResult":
    """Tune a speech model to the responses of one or several subjects, or open the result.

    Parameters
    ----------
    data : Path or str
        The data set's manifest (TOML).
    model : str or Path
        A local model folder or a hub id.
    subjects : sequence of str
        Subjects of the manifest; each gets a head of its own.
    out : Path or str, optional
        Folder to copy the model to; it stays in the store too.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.
    **settings
        As :func:`braindash.requests.build_tune_request` takes them: ``method`` ("full" or
        "lora"), ``loss``, ``control``, ``targets``, ``segment_trs``, ``epochs``, ``seed``...

    Returns
    -------
    TuningResult
        ``.folder`` is a model for :func:`encode` and everything else, ``.record`` tells of the
        training.

    Raises
    ------
    InputError, ModelError, StoreError, ResourceError, TuningError
        With a hint that says what to do next.
    """
    from braindash.requests import build_tune_request
    from braindash.tuning.run import run_tuning

    request = build_tune_request(data=data, model=str(model), subjects=tuple(subjects), **settings)
    return run_tuning(request, _as_store(store), progress, out=out)


def extract_features(
    model: "SpeechModel | AcousticModel | str | Path",
    audio: np.ndarray,
    times: Sequence[float] | np.ndarray,
    strategy: str = "exact",
    layers: Sequence[int] | None = None,
    *,
    tr: float | None = None,
    revision: str | None = None,
    precision: Precision = "float32",
    device: str = "auto",
    progress: Progress | None = None,
) -> np.ndarray:
    """Compute a speech model's layer activations at given audio times.

    Parameters
    ----------
    model : SpeechModel, AcousticModel, str or Path
        An opened model, or what :func:`encode` takes.
    audio : ndarray of shape (n_samples,)
        Mono, 16 kHz.
    times : array of shape (n_times,)
        In seconds from the start of the audio.
    strategy : {"exact", "chunk"}, default "exact"
        "exact": causal windows of 16.1 s every 100 ms, last frame. "chunk": much quicker, sees
        up to one 2 s step of future audio.
    layers : sequence of int, optional
        0 is the input of the first transformer block; all by default.
    tr : float, optional
        Spacing that the Lanczos filter is made for, in seconds; the median difference of
        ``times`` by default.
    revision : str, optional
        Branch, tag or commit of a hub id.
    precision : {"float32", "bf16", "fp16"}, default "float32"
        All but float32 need a CUDA device.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Like the two before it, used when ``model`` is not opened yet.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    ndarray of shape (n_layers, n_times, n_features), float32
    """
    from braindash.speech.checkpoints.locate import locate
    from braindash.speech.features import extract
    from braindash.speech.models import open_model

    if isinstance(model, str | Path):
        model = open_model(locate(model, revision, precision=precision), device=device)
    return extract(
        model,
        audio,
        np.asarray(times, dtype=np.float64),
        strategy=strategy,
        layers=layers,
        tr=tr,
        progress=progress or NoProgress(),
    )


def open_result(
    key: str, *, store: Store | Path | str | None = None
) -> EncodingResult | ProbingResult:
    """Open a stored encoding or probing result by its key, or by the first digits of it."""
    entry = _as_store(store).find(key)
    return ProbingResult.load(entry) if entry.kind == "probing" else EncodingResult.load(entry)


def _as_store(store: Store | Path | str | None) -> Store:
    if isinstance(store, Store):
        return store
    return Store(default_root() if store is None else store)
