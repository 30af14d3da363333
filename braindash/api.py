"""The Python interface: what a notebook calls.

Parameters that :mod:`braindash.requests` and :mod:`braindash.specs` define have the names, types
and defaults from there; ``tests/test_api.py`` compares them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from braindash.defaults import PresetName, ProbePresetName
from braindash.encoding.result import EncodingResult
from braindash.encoding.seen import plain_result
from braindash.encoding.several.tested import TargetDifference
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import StoreError
from braindash.io.regions.masks import Hemisphere
from braindash.io.store import Store, as_store
from braindash.probing.result import ProbingResult
from braindash.progress import NoProgress, Progress
from braindash.requests import (
    LOW_LEVEL_SPACE,
    Alteration,
    EncodeRequest,
    Method,
    ProbeRequest,
    SoundRequest,
    build_request,
    build_tune_request,
)
from braindash.specs import (
    CeilingSelection,
    History,
    LowLevelMethod,
    Metric,
    Penalty,
    Precision,
    ProbeMethod,
    ProbeMetric,
    Scheme,
    Strategy,
    TargetRule,
    TuningControl,
    TuningHead,
    TuningLoss,
)

if TYPE_CHECKING:
    import pandas as pd

    from braindash.exports.report.build import Report
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel
    from braindash.tuning.result import TuningResult


# Parameters that say where a result goes and who is told, not what it is.
_NOT_OF_A_REQUEST = frozenset({"store", "progress", "out"})


def encode(
    data: Path | str,
    model: str | Path,
    subject: str,
    *,
    revision: str | None = None,
    strategy: Strategy = "exact",
    precision: Precision = "float32",
    preset: PresetName = "default",
    alphas: Sequence[float] | None = None,
    delays: Sequence[int] | None = None,
    metric: Metric = "r2",
    intercept: bool = True,
    penalty: Penalty = "target",
    history: History = "padded",
    n_permutations: int = 1000,
    n_bootstraps: int = 1000,
    block_rows: int = 10,
    scheme: Scheme = "prewhitened",
    seed: int = 0,
    low_level: LowLevelMethod | None = None,
    low_level_space: str = LOW_LEVEL_SPACE,
    null_panel: bool = False,
    high_pass: float | None = None,
    score_from_row: int | None = None,
    ceiling_threshold: float | None = None,
    ceiling_selection: CeilingSelection = "same",
    context_seconds: float | None = None,
    train_share: float | None = None,
    train_draw: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
    keep_frames: bool | None = None,
    keep_weights: int | Literal["best"] | None = None,
    leave_out_bad: bool = False,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
) -> EncodingResult:
    """Compute, or load, how well each layer of a speech model predicts a subject's responses.

    Parameters
    ----------
    data : Path or str
        The data set's manifest (TOML).
    model : str or Path
        A local folder (of a whole model or a low-rank adapter), a hub id, ``"untrained:MODEL"`` or
        ``"acoustic:NAME"``, ``"words:FILE"`` (word vectors) or ``"text:FOLDER"`` (a local model of
        text); the last two need annotated words.
    subject : str
        A subject of the manifest, or "mean" for the mean of all.
    revision : str, optional
        Branch, tag or commit of a hub id.
    strategy : {"exact", "chunk"}, default "exact"
        "exact": causal windows of 16.1 s every 100 ms, last frame. "chunk": much quicker, sees
        up to one 2 s step of future audio.
    precision : {"float32", "bf16", "fp16"}, default "float32"
        Of the model's features; all but float32 need a CUDA device.
    preset : {"default", "moussa2025-a", "moussa2025-b", "moussa2025-c"}, default "default"
        The protocol of a paper: of ``alphas``, ``delays``, ``score_from_row`` and
        ``ceiling_threshold`` what is not given (None) takes the paper's value.
    alphas : sequence of float, optional
        Penalties to choose from, per target; 17 from 1 to 1e8 when left out.
    delays : sequence of int, optional
        Of the features, in TRs; 1 to 4 when left out.
    metric : {"r2", "r"}, default "r2"
        Of the held-out training stories, chooses the penalty.
    intercept : bool, default True
        Whether every fit has an intercept that is not penalised.
    penalty : {"target", "region", "shared"}, default "target"
        Which targets share a penalty: none, those of a region (discs), or all; chosen by their mean
        held-out score.
    history : {"padded", "full"}, default "padded"
        "full" leaves out the rows of every story whose delays reach beyond it.
    n_permutations : int, default 1000
        Permutations of the test rows for p and q; 0: none. "prewhitened" takes the moments of all
        orders instead of drawing some: every number but 0 is the same.
    n_bootstraps : int, default 1000
        Bootstrap samples of the test rows for intervals; 0: none.
    block_rows : int, default 10
        Shortest block of test rows that is permuted, or drawn, as one.
    scheme : {"prewhitened", "blocks", "shift"}, default "prewhitened"
        How targets are tested. "prewhitened": drift and the response's autocorrelation are taken
        out of response and prediction, whose correlation is tested. "blocks", "shift": r itself,
        with blocks of test rows in another order, or all shifted in a circle.
    seed : int, default 0
        Of permutations and bootstrap samples.
    low_level : {"residual", "banded"}, optional
        Compute as well how much of the score low-level features explain: regressed out of the
        model's features, or weighed against them with a penalty of their own.
    low_level_space : str, default "acoustic:lowlevel"
        The acoustic space that counts as low level, or several joined by "+": "residual" takes
        all of them out together, "banded" gives each a penalty of its own.
    null_panel : bool, default False
        Score as well what cannot know the responses: a constant, a ramp, an onset, shifted
        features, and the model with shuffled and with random weights.
    high_pass : float, optional
        In seconds: cosines of this period and longer leave the features and the responses of
        every story, training and test alike; 128 is usual. Nothing leaves them by default.
    score_from_row : int, optional
        First scored row of every test story; the manifest's when left out.
    ceiling_threshold : float, optional
        What every noise ceiling must exceed; 0.4, or 0.1 between subjects, when left out.
    ceiling_selection : {"same", "halves", "training"}, default "same"
        What chooses the targets whose score is divided by the ceiling from repeats: that ceiling
        itself, the one from every second presentation (of four or more), or that of training
        stories which were presented again. The last two do not choose by the noise that divides.
    context_seconds : float, optional
        Longest audio that the model sees at once; 16.1 s when left out. With "chunk" the windows
        then step by half of it where that is less than 2 s.
    train_share : float, optional
        Share of the training stories that the fit sees, at least one story; all when left out.
        Smaller shares of one draw are part of larger ones.
    train_draw : int, default 0
        Seed of the order from which the first stories are taken.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Changes how long it takes, never the result's key.
    threads : int, optional
        Processor cores to take, for parts side by side; by default all. Likewise.
    keep_frames : bool, optional
        Keep the model's frames (1.4 GB per hour of sound for a base model), so that subjects whose
        rows are at other times need no other run of it; by default where the data set has such
        subjects. Likewise.
    keep_weights : int or "best", optional
        Layer whose weights are kept beside the result, for :func:`predict`; "best": the best by
        cross-validation in training. Likewise; a stored result gets them without being computed
        again.
    leave_out_bad : bool, default False
        Go on without recordings that cannot be used, which the result's provenance lists; else
        they are refused, all of them named.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    EncodingResult
        ``.dataset`` is an xarray.Dataset, ``.regions()`` a table.

    Raises
    ------
    InputError, ModelError, StoreError
        With a hint that says what to do next.
    """
    given = _request_fields(locals())
    from braindash.encoding.run import run_encoding

    request = build_request(EncodeRequest, **given)
    return run_encoding(request, as_store(store), progress)


def predict(
    result: EncodingResult | str,
    audio: Path | str,
    *,
    layer: int | None = None,
    start: float | None = None,
    stop: float | None = None,
    altered: Alteration = "as-is",
    n_bands: int = 6,
    envelope_hz: float = 30.0,
    seed: int = 0,
    longest_seconds: float = 600.0,
    model: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
) -> SoundPrediction:
    """Predict the response of a result's subject to any sound, from kept weights.

    It is a prediction, not a measurement. The sound's features are standardised by the mean and
    the spread of the training stories, not by its own, so that loudness and the contrast of two
    sounds stay.

    Parameters
    ----------
    result : EncodingResult or str
        Of :func:`encode` with ``keep_weights``, or its key.
    audio : Path or str
        A recording of any rate, in any format that :func:`load_audio` reads.
    layer : int, optional
        Where weights of several layers are kept; by default the best of these by cross-validation
        in training.
    start, stop : float, optional
        The part of the recording that is heard, in seconds; all of it by default.
    altered : {"as-is", "reversed", "noise-vocoded"}, default "as-is"
        What is done to the sound first.
    n_bands : int, default 6
        Of noise-vocoding.
    envelope_hz : float, default 30.0
        Cut-off of its envelopes.
    seed : int, default 0
        Of its noise.
    longest_seconds : float, default 600.0
        A longer sound is refused, with what it would take.
    model : str or Path, optional
        Where the model lies, if it was moved since the fit.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Where the model runs.
    store : Store, Path or str, optional
        Where the weights are, and where the prediction is kept; by default the store of the
        result, or what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    SoundPrediction
        ``.values`` of shape (n_rows, n_targets) at ``.times`` seconds from the start of the sound;
        ``.minus(other)`` contrasts two, ``.caption()`` says what it is.

    Raises
    ------
    InputError
        When the weights are not there (the hint is the command that keeps them), or the sound is
        none, or too long.
    ModelError
        When the model that the weights were fitted with is not there any more.
    """
    from braindash.encoding.seen import store_of
    from braindash.work.sounds import predict_sound

    given = locals()
    found = store_of(result) if isinstance(result, EncodingResult) and store is None else None
    key = result if isinstance(result, str) else result.key
    fields = {name: given[name] for name in SoundRequest.model_fields if name in given}
    request = build_request(
        SoundRequest, **fields | {"result": key, "model": None if model is None else str(model)}
    )
    return predict_sound(request, found or as_store(store), progress)


def probe(
    model: str | Path,
    data: Path | str | None = None,
    *,
    labels: str | None = None,
    labels_path: Path | str | None = None,
    labels_options: Mapping[str, Any] | None = None,
    recordings: Sequence[str] = (),
    tasks: Sequence[str] = (),
    categories: Path | str | None = None,
    word_vectors: Path | str | None = None,
    revision: str | None = None,
    strategy: Strategy = "chunk",
    precision: Precision = "float32",
    preset: ProbePresetName = "default",
    metric: ProbeMetric | None = None,
    method: ProbeMethod = "ridge",
    split: Literal["auto", "drawn", "given"] = "auto",
    max_units: int = 20_000,
    n_shuffles: int = 10,
    n_bootstraps: int = 1000,
    seed: int = 0,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
    leave_out_bad: bool = False,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
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
    labels_options : mapping, optional
        Of the source's reader.
    recordings : sequence of str, optional
        Names or patterns; all by default.
    tasks : sequence of str, optional
        Of :data:`braindash.probing.tasks.PROBE_TASKS`; all that the labels allow by default, of a
        preset its own.
    categories : Path or str, optional
        Table of word and semantic category.
    word_vectors : Path or str, optional
        In GloVe's or word2vec's text form.
    revision : str, optional
        Branch, tag or commit of a hub id.
    strategy : {"exact", "chunk"}, default "chunk"
        As for :func:`encode`.
    precision : {"float32", "bf16", "fp16"}, default "float32"
        Of the model's features; all but float32 need a CUDA device.
    preset : {"default", "moussa2025-a"}, default "default"
        The protocol of a paper, for what is not given.
    metric : {"task", "accuracy", "balanced_accuracy", "macro_f1"}, optional
        Score of tasks that have classes; by default each task's own. R² and sets have theirs.
    method : {"ridge", "discriminant", "logistic"}, default "ridge"
        The linear classifier; values and sets are always foretold by ridge.
    split : {"auto", "drawn", "given"}, default "auto"
        Sides of the units: drawn from the seed, or as the labels' source has them.
    max_units : int, default 20_000
        Of one kind; where there are more, so many are drawn.
    n_shuffles : int, default 10
        Probes of shuffled labels, for chance and selectivity; 0: none.
    n_bootstraps : int, default 1000
        Bootstrap samples for intervals.
    seed : int, default 0
        Of everything that is drawn.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Changes how long it takes, never the result's key.
    threads : int, optional
        Processor cores to take, for parts side by side; by default all. Likewise.
    leave_out_bad : bool, default False
        Go on without recordings that cannot be used, which the result's provenance lists; else
        they are refused, all of them named.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    ProbingResult
        ``.table()`` has one row per task and layer, ``.stages()`` the depth of each task.

    Raises
    ------
    InputError, ModelError, StoreError
        With a hint that says what to do next.
    """
    given = _request_fields(locals())
    from braindash.probing.run import run_probing

    request = build_request(ProbeRequest, **given)
    return run_probing(request, as_store(store), progress)


def tune(
    data: Path | str,
    model: str | Path,
    subjects: Sequence[str],
    *,
    revision: str | None = None,
    train: Sequence[str] = (),
    validation: Sequence[str] = (),
    targets: TargetRule | Literal["auto"] = "auto",
    threshold: float | None = None,
    regions: Sequence[str] = (),
    region_set: str | None = None,
    limit: int | None = None,
    control: TuningControl = "none",
    words: Path | str | None = None,
    teacher: str | None = None,
    teacher_layer: int | None = None,
    method: Method = "full",
    rank: int | None = None,
    alpha: float | None = None,
    adapter_dropout: float | None = None,
    layers: Sequence[str] | None = None,
    loss: TuningLoss = "mse",
    head: TuningHead = "subject",
    bottleneck: int = 100,
    window_trs: int = 5,
    segment_trs: int = 5,
    attention_trs: int | None = None,
    front: Literal["story", "window"] = "story",
    start: Literal["probe", "random"] = "probe",
    encoder_rate: float = 5e-5,
    head_rate: float = 1e-4,
    weight_decay: float = 0.01,
    warm_up: float = 0.1,
    clip_norm: float = 1.0,
    batch_rows: int = 128,
    epochs: int = 30,
    steps: int | None = None,
    patience: int | None = 5,
    keep: Literal["best", "last"] = "best",
    dropout: float = 0.1,
    mask_share: float = 0.0,
    seed: int = 0,
    precision: Literal["float32", "bf16"] = "float32",
    n_at_once: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    threads: int | None = None,
    leave_out_bad: bool = False,
    out: Path | str | None = None,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
) -> "TuningResult":
    """Tune a speech model to the responses of one or several subjects, or open the result.

    Parameters
    ----------
    data : Path or str
        The data set's manifest (TOML).
    model : str or Path
        A local model folder or a hub id.
    subjects : sequence of str
        Subjects of the manifest.
    revision : str, optional
        Branch, tag or commit of a hub id.
    train : sequence of str, optional
        Stories; the manifest's by default.
    validation : sequence of str, optional
        Stories; the manifest's, or the last training story by default.
    targets : str, default "auto"
        What chooses the targets: "train-repeats", "train-inter-subject", "test-repeats" (a noise
        ceiling of those), "regions" or "all"; "auto": the first ceiling that training data allow.
    threshold : float, optional
        That the ceiling of a target must exceed.
    regions : sequence of str, optional
        With the targets "regions".
    region_set : str, optional
        Of these regions; discs around published coordinates when left out.
    limit : int, optional
        Targets per subject, at most.
    control : str, default "none"
        Takes the relation between sound and brain away, at the same budget: "shuffled",
        "other-story", "text", "language-model", "speech-model", "stimulus", "joint" or
        "random-init", see :data:`braindash.specs.TUNING_CONTROLS`.
    words : Path or str, optional
        Of the control "text": word vectors, or the folder of a sentence model. Of the control
        "language-model": the folder of a text model.
    teacher : str, optional
        Of the control "speech-model": a model, best a larger one than the base.
    teacher_layer : int, optional
        Of that model or of the text model; the last by default.
    method : {"full", "lora"}, default "full"
        All weights behind the front end, or low-rank adapters.
    rank, alpha, adapter_dropout : int, float and float, optional
        Of the adapters; by default as in :class:`braindash.specs.AdapterSettings`.
    layers : sequence of str, optional
        Names of the layers that get adapters; the family's usual ones by default.
    loss : {"mse", "correlation", "mse+cosine"}, default "mse"
        Between predicted and measured responses.
    head : {"subject", "shared", "bottleneck"}, default "subject"
        One linear head for each subject; one for all, who are in a common space; or one linear map
        to few values and a head for each subject behind it.
    bottleneck : int, default 100
        Values of that map.
    window_trs : int, default 5
        Audio that predicts a row, in TRs.
    segment_trs : int, default 5
        Audio that is encoded at once, in TRs; 5: every row by itself, as published.
    attention_trs : int, optional
        Attention stays within so many TRs of a segment.
    front : {"story", "window"}, default "story"
        The frozen front end runs once per story, or per segment.
    start : {"probe", "random"}, default "probe"
        The head starts as the base model's ridge probe, or random.
    encoder_rate : float, default 5e-5
        Highest learning rate of the encoder.
    head_rate : float, default 1e-4
        Highest learning rate of the heads.
    weight_decay : float, default 0.01
        Of the encoder's weights.
    warm_up : float, default 0.1
        Share of the steps in which the learning rates rise.
    clip_norm : float, default 1.0
        Largest norm of a step's gradient.
    batch_rows : int, default 128
        Rows of responses per step.
    epochs : int, default 30
        At most so many.
    steps : int, optional
        Exactly so many steps of the optimiser in place of ``epochs``, ``patience`` and ``keep``,
        and the last weights are kept: a model and its controls then have the same.
    patience : int or None, default 5
        Epochs without a better validation r before the training stops; None: never early.
    keep : {"best", "last"}, default "best"
        The epoch that is kept.
    dropout : float, default 0.1
        Of the encoder, in training.
    mask_share : float, default 0.0
        Of the frames that are masked in training.
    seed : int, default 0
        Of everything that is drawn.
    precision : {"float32", "bf16"}, default "float32"
        Of the training; bf16 needs a CUDA device.
    n_at_once : int, optional
        Segments in memory at once; changes memory and time, never the result's key.
    device : {"auto", "cpu", "cuda"}, default "auto"
        Likewise.
    threads : int, optional
        Likewise.
    leave_out_bad : bool, default False
        Go on without recordings that cannot be used, which the result's provenance lists; else
        they are refused, all of them named.
    out : Path or str, optional
        Folder to copy the model to; it stays in the store too.
    store : Store, Path or str, optional
        Where results are kept; by default what ``braindash.io.store.default_root`` says.
    progress : Progress, optional
        Receives reports.

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
    given = _request_fields(locals()) | {"patience": 0 if patience is None else patience}
    from braindash.tuning.run import run_tuning

    request = build_tune_request(**given)
    return run_tuning(request, as_store(store), progress, out=out)


def extract_features(
    model: "SpeechModel | AcousticModel | str | Path",
    audio: np.ndarray,
    times: Sequence[float] | np.ndarray,
    strategy: Strategy = "exact",
    layers: Sequence[int] | None = None,
    *,
    tr: float | None = None,
    revision: str | None = None,
    precision: Precision = "float32",
    device: Literal["auto", "cpu", "cuda"] = "auto",
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
) -> "EncodingResult | ProbingResult | TuningResult":
    """Open a stored result by its key.

    Parameters
    ----------
    key : str
        As ``braindash list`` shows it, or the first digits of it (four at least).
    store : Store, Path or str, optional
        Where it is kept; by default what ``braindash.io.store.default_root`` says.

    Returns
    -------
    EncodingResult, ProbingResult or TuningResult
        What the key names.

    Raises
    ------
    StoreError
        The key names no result, several, or something that others are made of, such as features;
        the result is damaged, or a tuned model's folder is gone.
    """
    from braindash.work.kinds import RESULTS

    opened = as_store(store)
    entry = opened.find(key)
    if entry.kind in RESULTS:
        return RESULTS[entry.kind].load(entry, opened)
    raise StoreError(
        f"{entry.key} names {entry.kind} of {entry.provenance['model']['name']}, which are no "
        "result of their own",
        hint="Open a result that was made of them: `braindash list --kind encoding` shows the "
        f"keys. Their arrays: Store({str(opened.root)!r}).get({entry.kind!r}, "
        f"{entry.key!r}).open(), an xarray.Dataset.",
    )


def with_regions(
    result: EncodingResult,
    region_set: str | None = None,
    hemisphere: Hemisphere = "both",
    *,
    data: Path | str | None = None,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
) -> EncodingResult:
    """Look at an encoding result in a region set, or in one hemisphere.

    The replicates behind the intervals are computed from the stored predictions when they are
    first asked for, and kept in the store; the result's own key and scores do not change.

    Parameters
    ----------
    result : EncodingResult
        Of :func:`encode` or :func:`open_result`.
    region_set : str, optional
        As ``braindash regions`` lists them, or "own": what the manifest's ``[regions]`` describe.
        When left out: "own" where there is one, else a set whose files are here, else discs.
    hemisphere : {"both", "left", "right"}, default "both"
        The side that tables and intervals are of.
    data : Path or str, optional
        The manifest; by default the one that the result was computed from.
    store : Store, Path or str, optional
        Where the result's predictions are; by default the store it lies in.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    EncodingResult
        Its ``regions()``, ``region_intervals()`` and ``samples()`` are of these regions; results
        in one set and hemisphere can be grouped and compared.

    Raises
    ------
    InputError
        When there is no such set, or a file that it needs is not there: the hint says which.
    """
    from braindash.encoding.seen import store_of
    from braindash.work.regions import seen_in

    found = store_of(result) if store is None else as_store(store)
    return seen_in(
        plain_result(result), region_set, hemisphere, found, data=data, progress=progress
    )


def region_table(
    result: EncodingResult,
    region_set: str | None = None,
    *,
    level: float = 0.95,
    normalised: bool = False,
    ceiling: str | None = None,
    data: Path | str | None = None,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
) -> "pd.DataFrame":
    """Tabulate a result's region means with intervals: of both hemispheres, the left, the right.

    Parameters
    ----------
    result, region_set, data, store, progress
        As for :func:`with_regions`.
    level : float, default 0.95
        Share of the replicates inside an interval.
    normalised : bool, default False
        Intervals of ``r_over_ceiling`` instead of ``r``.
    ceiling : str, optional
        One of the result's ceilings; the default one when left out.

    Returns
    -------
    pandas.DataFrame
        The columns of :meth:`EncodingResult.region_intervals`; ``hemisphere`` is "both", "left" or
        "right" ("both" alone where the sides of the targets are not known).

    Raises
    ------
    InputError
        As for :func:`with_regions`.
    """
    from braindash.encoding.seen import hemisphere_table, regions_for, store_of
    from braindash.work.regions import computed

    found = store_of(result) if store is None else as_store(store)
    own = plain_result(result)
    regions = regions_for(own, region_set, data)
    entry = computed(own, regions, found, progress)
    return hemisphere_table(
        own, regions, entry, level=level, normalised=normalised, ceiling=ceiling
    )


def target_difference(
    a: EncodingResult,
    b: EncodingResult,
    *,
    store: Store | Path | str | None = None,
    progress: Progress | None = None,
) -> TargetDifference:
    """Test whether two models predict each target equally well, paired row by row.

    Computed from the stored predictions when first asked for, and kept in the store.

    Parameters
    ----------
    a, b : EncodingResult
        Of one subject on the same data, of models of as many layers.
    store : Store, Path or str, optional
        Where the predictions of both are; by default the store that ``a`` lies in.
    progress : Progress, optional
        Receives reports.

    Returns
    -------
    TargetDifference
        Arrays ``difference``, ``z``, ``p`` and ``q`` of shape (n_layers, n_targets), and
        ``significant(level)``.

    Raises
    ------
    InputError
        When the two cannot be compared target by target, or their predictions are not there.
    """
    from braindash.encoding.seen import store_of
    from braindash.encoding.several.comparison import compare
    from braindash.work.differences import difference_tests

    found = store_of(a) if store is None else as_store(store)
    return difference_tests(compare([plain_result(a)], [plain_result(b)]), found, progress)


def report(
    results: "str | EncodingResult | ProbingResult | TuningResult | Sequence[str | EncodingResult "
    "| ProbingResult | TuningResult]",
    output: Path | str | None = None,
    *,
    title: str = "",
    maps: int | None = None,
    story: bool = True,
    with_sound: bool = False,
    store: Store | Path | str | None = None,
) -> "Report":
    """Write results as one HTML file that opens from disk, without a server or a network.

    It holds the surface viewer, layer curves, tables with intervals, what was found in words, the
    methods with what to cite, and the whole provenance without places of this machine.

    Parameters
    ----------
    results : str, EncodingResult, ProbingResult, TuningResult, or a sequence of them
        Results, or their keys; those of one model and several subjects are put together. The first
        two models are A and B; where one of two was tuned from the other, these two.
    output : Path or str, optional
        File to write; without it the report is only made, and says what it takes.
    title : str, optional
        Of the report; named after its results when left out.
    maps : int, optional
        Carry the maps of so many models only; all by default.
    story : bool, default True
        Carry the player of model A's test story: what was measured and what is predicted, as much
        of it as there is room for.
    with_sound : bool, default False
        Carry the story's sound, spectrogram and words, too. Stimuli have owners: ask them.
    store : Store, Path or str, optional
        Where keys and predictions are looked up; by default what
        ``braindash.io.store.default_root`` says.

    Returns
    -------
    Report
        ``.sizes`` are the bytes of its parts, ``.write(path)`` writes it.

    Raises
    ------
    InputError
        There are no results, or too many; the report would take more than 15 MB; or the sound is
        asked for and is not here.
    StoreError
        A key names no result, or the file cannot be written.

    Examples
    --------
    >>> made = braindash.report(["0f3a", "77c1"], "report.html")  # doctest: +SKIP
    """
    from braindash.demo.results import tuned_bases
    from braindash.exports.report.build import build
    from braindash.tuning.result import TuningResult

    single = str | EncodingResult | ProbingResult | TuningResult
    given = [results] if isinstance(results, single) else list(results)
    opened = as_store(store)
    found = [open_result(one, store=opened) if isinstance(one, str) else one for one in given]
    made = build(
        found,
        title=title,
        maps=maps,
        bases=tuned_bases(opened),
        store=opened,
        story=story,
        with_sound=with_sound,
    )
    if output is not None:
        made.write(output)
    return made


def _request_fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what belongs to a request, of a function's parameters: its locals at its beginning."""
    fields = {name: parameters[name] for name in parameters if name not in _NOT_OF_A_REQUEST}
    return fields | {"model": str(parameters["model"])}
