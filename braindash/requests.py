"""What all requests share."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from braindash.defaults import (
    DEFAULT_ALPHAS,
    DEFAULT_DELAYS,
    PresetName,
    ProbePresetName,
    with_preset,
    with_probe_preset,
)
from braindash.errors import InputError, near_match
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
    StatisticsSettings,
    Strategy,
    TargetRule,
    TuningControl,
    TuningSettings,
)


class Asked(BaseModel):
    """Base of all that is asked for: frozen, unknown fields refused.

    ``command`` is that of the command line; jobs carry it too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    command: ClassVar[str]


class Request(Asked):
    """Base of the requests that compute a result of a model.

    ``device`` and ``threads`` change how long the work takes, never the result's key. ``left_out``
    is filled when recordings are found bad; with ``leave_out_bad`` the run goes on without them.
    """

    model: str
    revision: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, gt=0)
    leave_out_bad: bool = Field(default=False, description="go on without bad recordings")
    left_out: Mapping[str, str] = Field(
        default_factory=dict, description="recordings that are left out, and why"
    )


RequestT = TypeVar("RequestT", bound=Asked)


def build_request(kind: type[RequestT], /, **fields: Any) -> RequestT:
    """Make a request; every field that is unknown or out of range is named in one error.

    Parameters
    ----------
    kind : type
        What is asked for, such as :class:`braindash.requests.EncodeRequest`.
    **fields
        Its fields; those that are None keep their default.

    Returns
    -------
    Request
        Of this kind.

    Raises
    ------
    InputError
        With the allowed fields and values.
    """
    try:
        return kind.model_validate(
            {name: value for name, value in fields.items() if value is not None}
        )
    except ValidationError as refused:
        lines, hints = [], []
        for error in refused.errors(include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            lines.append(f"{name}: {error['msg']} (given: {error['input']!r})")
            if error["type"] == "extra_forbidden":
                hints.append(near_match(name, kind.model_fields))
        raise InputError(
            "the request cannot be understood: " + "; ".join(lines),
            hint=" ".join(hints)
            or f"Correct the named settings; `braindash {kind.command} --help` shows what is "
            "allowed.",
        ) from refused


LOW_LEVEL_SPACE = "acoustic:lowlevel"
# In place of a subject: the mean of the responses of all subjects.
MEAN_SUBJECT = "mean"


# Settings of significance and uncertainty that can be asked for.
_STATISTICS = ("n_permutations", "n_bootstraps", "block_rows", "scheme", "seed")


class EncodeRequest(Request):
    """What a user asks for: one model, one subject (or "mean", all subjects averaged), and how.

    ``n_permutations``, ``n_bootstraps``, ``block_rows``, ``scheme`` and ``seed`` are those of
    :class:`braindash.specs.StatisticsSettings`; with ``low_level`` the share that low-level
    features explain is computed as well, with ``null_panel`` what nulls score. ``precision`` is
    that of the model's features; the regression has its own. ``preset`` fills what is not given
    with a paper's way. ``keep_frames`` changes what is kept for other subjects' rows, and
    ``keep_weights`` what is kept beside the result, never the result's key.
    """

    command: ClassVar[str] = "encode"

    data: Path
    subject: str
    strategy: Strategy = "exact"
    precision: Precision = Field(default="float32", description="bf16 and fp16 need a CUDA device")
    preset: PresetName = Field(
        default="default", description="a paper's protocol, for what is not given"
    )
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    delays: tuple[int, ...] = Field(default=DEFAULT_DELAYS, description="in TRs")
    metric: Metric = "r2"
    intercept: bool = True
    penalty: Penalty = Field(default="target", description="which targets share a penalty")
    history: History = Field(
        default="padded", description="full: rows without all delays in their story are left out"
    )
    n_permutations: int = Field(default=1000, ge=0, description="0: no p and q values")
    n_bootstraps: int = Field(default=1000, ge=0, description="0: no intervals")
    block_rows: int = Field(default=10, ge=1, description="shortest block of test rows")
    scheme: Scheme = "prewhitened"
    seed: int = Field(default=0, ge=0)
    low_level: LowLevelMethod | None = Field(default=None, description="how to remove low level")
    low_level_space: str = Field(
        default=LOW_LEVEL_SPACE, description="an acoustic space, or several joined by +"
    )
    null_panel: bool = Field(
        default=False, description="score as well what cannot know the responses"
    )
    high_pass: float | None = Field(
        default=None,
        gt=0,
        description="seconds: cosines as slow as that leave features and responses; usual: 128",
    )
    score_from_row: int | None = Field(
        default=None,
        ge=0,
        description="first scored row of the test stories; the manifest's if none",
    )
    ceiling_threshold: float | None = Field(
        default=None, ge=0, lt=1, description="of every noise ceiling; 0.4, or 0.1 between subjects"
    )
    ceiling_selection: CeilingSelection = Field(
        default="same", description="what chooses the targets that the repeats' ceiling divides"
    )
    context_seconds: float | None = Field(
        default=None, ge=0.1, description="longest audio that the model sees at once; 16.1 if none"
    )
    train_share: float | None = Field(
        default=None, gt=0, le=1, description="share of the training stories; all if none"
    )
    train_draw: int = Field(default=0, ge=0, description="which order these are drawn from")
    keep_frames: bool | None = Field(
        default=None,
        description="keep the model's frames, for rows at other times; None: where the data set "
        "has such rows",
    )
    keep_weights: int | Literal["best"] | None = Field(
        default=None,
        description="layer whose weights are kept, for predictions of any sound; best: by "
        "cross-validation in training",
    )

    @field_validator("keep_weights", mode="before")
    @classmethod
    def _a_layer(cls, value: Any) -> Any:
        if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            value = int(value)
        if isinstance(value, bool) or (isinstance(value, int) and value < 0):
            raise ValueError("give the number of a layer, from 0, or 'best'")
        return value

    @model_validator(mode="before")
    @classmethod
    def _filled_by_preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, Mapping) else values

    @property
    def statistics(self) -> StatisticsSettings:
        """Settings of significance and uncertainty, as they enter the specification."""
        fields = {name: getattr(self, name) for name in _STATISTICS}
        if self.scheme == "prewhitened":  # draws no order: no number of them is part of the key
            fields["n_permutations"] = min(self.n_permutations, 1)
        if not self.n_bootstraps:  # nothing says how sure a layer is
            fields["confidence"] = "share"
        return StatisticsSettings(**fields)


class ProbeRequest(Request):
    """What a user asks for: one model, labelled recordings, and which tasks.

    Give ``data``, a manifest whose ``alignment_dir`` holds TextGrids of its stories, or ``labels``,
    a source of :data:`braindash.io.labels.sources.LABEL_SOURCES`, with ``labels_path`` and
    ``labels_options``. Without ``tasks`` all that the labels allow are asked, of a ``preset`` its
    own, which also fills what is not given. ``max_units`` bounds how many units of one kind are
    taken; more are drawn from by ``seed``.
    """

    command: ClassVar[str] = "probe"

    data: Path | None = None
    labels: str | None = None
    labels_path: Path | None = None
    labels_options: dict[str, Any] = Field(default_factory=dict)
    recordings: tuple[str, ...] = Field(default=(), description="names or patterns; all if empty")
    tasks: tuple[str, ...] = ()
    categories: Path | None = Field(default=None, description="table of word and category")
    word_vectors: Path | None = None
    strategy: Strategy = "chunk"
    precision: Precision = Field(default="float32", description="bf16 and fp16 need a CUDA device")
    preset: ProbePresetName = Field(
        default="default", description="a paper's protocol, for what is not given"
    )
    metric: ProbeMetric = Field(default="task", description="score of tasks that have classes")
    method: ProbeMethod = "ridge"
    split: Literal["auto", "drawn", "given"] = "auto"
    max_units: int = Field(default=20_000, ge=100)
    n_shuffles: int = Field(default=10, ge=0, description="0: no shuffled labels")
    n_bootstraps: int = Field(default=1000, ge=1)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _filled_by_preset(cls, values: Any) -> Any:
        return with_probe_preset(values) if isinstance(values, Mapping) else values

    @field_validator("tasks", "recordings")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _one_source(self) -> "ProbeRequest":
        if (self.labels is None) != (self.labels_path is None):
            raise ValueError("labels and labels_path belong together: give both or none")
        if (self.data is None) == (self.labels is None):
            raise ValueError("give data (a manifest with TextGrids) or labels, and not both")
        return self


Method = Literal["full", "lora"]
METHODS: Mapping[Method, str] = MappingProxyType(
    {
        "full": "All weights behind the convolutional front end",
        "lora": "Low-rank adapters (small files, less memory)",
    }
)


class TuneRequest(Request):
    """What a user asks for: a base model, subjects, and how it is tuned to them.

    Stories that are not named are those of the manifest's splits; the test stories are never
    read. ``settings`` are those of the training itself. ``n_at_once`` changes memory and time,
    never the result's key.
    """

    command: ClassVar[str] = "tune"

    data: Path
    subjects: tuple[str, ...] = Field(min_length=1, description="of the manifest")
    train: tuple[str, ...] = Field(default=(), description="stories; the manifest's by default")
    validation: tuple[str, ...] = Field(
        default=(), description="stories; the manifest's, or the last training story by default"
    )
    targets: TargetRule | Literal["auto"] = Field(
        default="auto", description="auto: the first ceiling that training data allow"
    )
    threshold: float | None = Field(default=None, ge=0, lt=1, description="of the ceiling")
    regions: tuple[str, ...] = Field(default=(), description="with targets 'regions'")
    region_set: str | None = Field(
        default=None, description="of the regions, as `braindash regions` lists them; discs if none"
    )
    limit: int | None = Field(default=None, ge=1, description="targets per subject, at most")
    control: TuningControl = "none"
    words: Path | None = Field(
        default=None, description="of the controls 'text' and 'language-model'"
    )
    teacher: str | None = Field(
        default=None, description="model whose layer the control 'speech-model' foretells"
    )
    teacher_layer: int | None = Field(
        default=None, ge=0, description="of that model or the text model; the last by default"
    )
    settings: TuningSettings = TuningSettings()
    n_at_once: int | None = Field(default=None, ge=1, description="segments in memory at once")


def build_tune_request(
    *,
    method: Method | str | None = None,
    rank: int | None = None,
    alpha: float | None = None,
    adapter_dropout: float | None = None,
    layers: tuple[str, ...] | None = None,
    **fields: Any,
) -> TuneRequest:
    """Make a request from flat fields; each may be one of the training's settings as well.

    Parameters
    ----------
    method : {"full", "lora"}, optional
        All weights behind the front end, or low-rank adapters.
    rank, alpha, adapter_dropout, layers : optional
        Of the adapters; only with ``method="lora"``.
    **fields
        Fields of :class:`TuneRequest` and of :class:`braindash.specs.TuningSettings`; those that
        are None keep their default, and ``patience=0`` never stops early.

    Returns
    -------
    TuneRequest

    Raises
    ------
    InputError
        With the allowed fields and values.
    """
    allowed = [*TuneRequest.model_fields, *TuningSettings.model_fields]
    for name in fields:
        if name not in allowed:
            raise InputError(f"there is no setting {name!r}", hint=near_match(name, allowed))
    settings = {
        name: fields.pop(name)
        for name in list(fields)
        if name in TuningSettings.model_fields and fields[name] is not None
    }
    if settings.get("patience") in (0, "0"):
        settings["patience"] = None
    adapter = {"rank": rank, "alpha": alpha, "dropout": adapter_dropout, "layers": layers}
    asked = {name: value for name, value in adapter.items() if value is not None}
    methods = get_args(Method)
    if method is not None and method not in methods:
        raise InputError(f"there is no method {method!r}", hint=near_match(method, methods))
    if method == "lora":
        settings["adapter"] = asked
    elif asked:
        raise InputError(
            f"{', '.join(asked)} belong to adapters, but the whole model is tuned",
            hint="Add method 'lora', or leave them out.",
        )
    return build_request(TuneRequest, settings=settings or None, **fields)


# ---- predictions for any sound ------------------------------------------------------------------

Alteration = Literal["as-is", "reversed", "noise-vocoded"]
ALTERATIONS: Mapping[Alteration, str] = MappingProxyType(
    {
        "as-is": "the sound itself",
        "reversed": "backwards: the same spectrum and loudness, no speech",
        "noise-vocoded": "noise in a few bands with the sound's envelopes: rhythm, few words",
    }
)
LONGEST_SECONDS = 600.0


class SoundRequest(Asked):
    """What a user asks for: a stored result with kept weights, and a sound.

    The sound may be cut (``start``, ``stop``) and then altered; ``n_bands``, ``envelope_hz`` and
    ``seed`` are those of noise-vocoding. ``model`` says where the model lies, if it was moved. A
    sound of more than ``longest_seconds`` is refused.
    """

    command: ClassVar[str] = "predict"

    result: str = Field(description="key of an encoding result, or its first digits")
    audio: Path
    layer: int | None = Field(default=None, ge=0, description="one whose weights are kept")
    start: float | None = Field(default=None, ge=0, description="seconds")
    stop: float | None = Field(default=None, gt=0, description="seconds")
    altered: Alteration = "as-is"
    n_bands: int = Field(default=6, ge=1, le=32)
    envelope_hz: float = Field(default=30.0, ge=1, le=4000)
    seed: int = Field(default=0, ge=0)
    longest_seconds: float = Field(default=LONGEST_SECONDS, gt=0)
    model: str | None = Field(default=None, description="where the model lies, if it was moved")
    device: Literal["auto", "cpu", "cuda"] = "auto"
