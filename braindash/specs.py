"""Frozen specifications: what was asked for, as content, with the key that names its result.

A specification holds everything that changes the numbers of a result and nothing else: inputs
enter by the digest of their content or by the key of the result they are, never by path. Device,
batch size, threads and paths are no part of it.

Two ways to change a specification. A field that is added takes, in ``implied``, the value that
results before it had without saying so: the canonical form leaves it out while it has that value,
so that these results keep their keys. A computation that changes raises ``version`` and says in
``older`` what the versions before did: their results open, and a new one is computed beside them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from braindash.files import digest_json

Strategy = Literal["exact", "chunk"]
Precision = Literal["float32", "bf16", "fp16"]
# Acoustic spaces have one grid of frames and no strategy to choose.
StoredStrategy = Literal["exact", "chunk", "frames"]
Metric = Literal["r2", "r"]
CeilingName = Literal["given", "repeats", "inter-subject", "split-half"]
# What chooses the targets whose score is divided by the ceiling from repeats: that ceiling itself,
# the one from every second presentation, or that of repeated training stories.
CeilingSelection = Literal["same", "halves", "training"]
Scheme = Literal["prewhitened", "blocks", "shift"]
# How sure a preferred layer is: the share of bootstrap samples that have it, as it is, or with the
# differences among layers shrunken, which makes it the chance that it is the best.
Confidence = Literal["share", "shrunken"]
# What shares a ridge penalty, and what becomes of rows whose delays reach beyond their story.
Penalty = Literal["target", "region", "shared"]
# How the penalty of a target is searched: told by a sample of targets, or with those checked that
# are like none of the sample.
Search = Literal["sampled", "checked"]
History = Literal["padded", "full"]
LowLevelMethod = Literal["residual", "banded"]
TuningLoss = Literal["mse", "correlation", "mse+cosine"]
# How the tuned model's features become predictions of several subjects.
TuningHead = Literal["subject", "shared", "bottleneck"]
TuningControl = Literal[
    "none",
    "shuffled",
    "other-story",
    "text",
    "language-model",
    "speech-model",
    "stimulus",
    "joint",
    "random-init",
]
TargetRule = Literal["train-repeats", "train-inter-subject", "test-repeats", "regions", "all"]
ProbeMethod = Literal["ridge", "discriminant", "logistic"]
# The score of tasks that have classes; it chooses the penalty too.
ProbeMetric = Literal["task", "accuracy", "balanced_accuracy", "macro_f1"]
# What intervals of probes draw again: recordings, or stretches of them where there were fewer than
# eight; or the highest level that is on one side only, speakers before recordings.
IntervalUnits = Literal["recording", "highest"]
# Sides of the units: drawn from the seed, or as the labels' source has them.
ProbeSplit = Literal["drawn", "given"]

# What each choice means, for pages and help.
PENALTIES: Mapping[Penalty, str] = MappingProxyType(
    {
        "target": "every target its own",
        "region": "one for each region's targets, by their mean held-out score",
        "shared": "one for all targets, likewise",
    }
)
HISTORIES: Mapping[History, str] = MappingProxyType(
    {
        "padded": "all rows, with zeros before a story's start",
        "full": "only rows whose delays lie within their story",
    }
)
CEILING_SELECTIONS: Mapping[CeilingSelection, str] = MappingProxyType(
    {
        "same": "the ceiling that divides",
        "halves": "the ceiling of every second presentation of the test stories",
        "training": "the ceiling of repeated training stories",
    }
)
PROBE_METRICS: Mapping[ProbeMetric, str] = MappingProxyType(
    {
        "task": "each task's own: balanced accuracy or accuracy",
        "accuracy": "share of right units",
        "balanced_accuracy": "mean over classes of the share of right units",
        "macro_f1": "mean over classes of F1, as papers report",
    }
)
PRECISIONS: Mapping[Precision, str] = MappingProxyType(
    {
        "float32": "the reference, on every device",
        "bf16": "quicker on a CUDA device; other features",
        "fp16": "quicker on a CUDA device; other features",
    }
)
SCHEMES: Mapping[Scheme, str] = MappingProxyType(
    {
        "prewhitened": "response and predictions without drift and without the response's AR(3)",
        "blocks": "r itself, blocks of the response in another order",
        "shift": "r itself, the response shifted in a circle",
    }
)
TUNING_LOSSES: Mapping[TuningLoss, str] = MappingProxyType(
    {
        "mse": "Mean squared error",
        "correlation": "1 - r over targets, row by row",
        "mse+cosine": "Mean squared error and 1 - cosine",
    }
)
TUNING_HEADS: Mapping[TuningHead, str] = MappingProxyType(
    {
        "subject": "One linear head for each subject",
        "shared": "One linear head for all subjects, who are in a common space",
        "bottleneck": "One linear map to few values, and a linear head for each subject behind it",
    }
)
TUNING_CONTROLS: Mapping[TuningControl, str] = MappingProxyType(
    {
        "none": "No: real responses",
        "shuffled": "Blocks of rows in another order",
        "other-story": "Responses to another story",
        "text": "Vectors of the spoken text instead of responses",
        "language-model": "A layer of a text model, word by word, instead of responses",
        "speech-model": "A layer of another speech model instead of responses",
        "stimulus": "The sound alone: what hidden frames of it are",
        "joint": "Real responses, and what hidden frames of the sound are as well",
        "random-init": "Real responses, but random weights to begin with",
    }
)
TARGET_RULES: Mapping[TargetRule, str] = MappingProxyType(
    {
        "train-repeats": "By repeats of training stories",
        "train-inter-subject": "By agreement with other subjects on training stories",
        "test-repeats": "By repeats of the test story (selects on the test story)",
        "regions": "By regions",
        "all": "All",
    }
)


# Tells validation and serialisation that the canonical form is meant, not a queued request.
_CANONICAL = {"canonical": True}


class Spec(BaseModel):
    """Base of all specifications: frozen, unknown fields refused.

    ``implied`` maps each field that was added later to the value that results before it implied,
    as JSON; it need not be the field's default. ``older`` maps each version before today's to what
    it did otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    version_field: ClassVar[str] = "version"
    older: ClassVar[Mapping[int, str]] = MappingProxyType({})

    @model_serializer(mode="wrap")
    def _as_before(
        self, handler: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if not (info.context or {}).get("canonical"):
            return values
        left_out = {name for name, value in self.implied.items() if values[name] == value}
        return {name: value for name, value in values.items() if name not in left_out}

    @model_validator(mode="before")
    @classmethod
    def _with_implied(cls, values: Any, info: ValidationInfo) -> Any:
        if (info.context or {}).get("canonical") and isinstance(values, dict):
            return {**cls.implied, **values}
        return values

    def canonical(self) -> dict[str, Any]:
        """Return the specification as plain JSON values, with its kind."""
        return {"kind": self.kind, **self.model_dump(mode="json", context=_CANONICAL)}

    @classmethod
    def from_canonical(cls, document: Mapping[str, Any]) -> Self:
        """Read a canonical form, also one that was written before fields were added."""
        values = {name: value for name, value in document.items() if name != "kind"}
        return cls.model_validate(values, context=_CANONICAL)

    def key(self) -> str:
        """Return the result's name: the digest of the canonical form (32 hexadecimal digits)."""
        return digest_json(self.canonical())


class RowTimes(Spec):
    """The audio times of a story's response rows: ``first + tr * arange(n_rows)``, in seconds."""

    kind: ClassVar[str] = "times"
    first: float
    tr: float = Field(gt=0)
    n_rows: int = Field(gt=0)


class FramesSpec(Spec):
    """A model's frames of one recording on a grid of their own, for rows at any times."""

    kind: ClassVar[str] = "frames"
    version: Literal[1] = 1
    model: str = Field(description="fingerprint of configuration, normalisation and weights")
    audio: str = Field(description="digest of the audio file")
    counted: int | None = Field(
        description="samples at 16 kHz, where the file's header says otherwise"
    )
    strategy: Strategy
    context_seconds: float = Field(description="longest audio that the model sees at once")
    step_seconds: float
    grid_seconds: float | None = Field(
        description="step of the grid that frames are brought to; None: they are kept as they are"
    )


class ExtractionSpec(Spec):
    """Features of one story: every layer of one model at the story's response times."""

    kind: ClassVar[str] = "features"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"counted": None})
    version: Literal[1] = 1
    model: str = Field(description="fingerprint of configuration, normalisation and weights")
    audio: str = Field(description="digest of the audio file")
    counted: int | None = Field(
        default=None, description="samples at 16 kHz, where the file's header says otherwise"
    )
    times: RowTimes
    strategy: StoredStrategy
    context_seconds: float = Field(description="longest audio that the model sees at once")
    step_seconds: float
    annotation: str | None = Field(
        default=None, description="digest of the annotated tier, for spaces made of one"
    )
    resampler: Literal["lanczos3"] = "lanczos3"


class StoryInput(Spec):
    """One story of an encoding model: its features, its responses and the rows that are used."""

    kind: ClassVar[str] = "story"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"censored": []})
    name: str
    features: str = Field(description="key of the features")
    responses: str = Field(description="digest of the response file and the keys read from it")
    first_row: int = Field(ge=0, description="first response row that the audio covers")
    last_row: int = Field(gt=0, description="one past the last response row that is used")
    censored: tuple[tuple[int, ...], ...] = Field(
        default=(), description="rows left out of each presentation that is read, if any"
    )


class OtherResponses(Spec):
    """Another subject's responses to the test stories, for the ceiling between subjects."""

    kind: ClassVar[str] = "other-responses"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"censored": []})
    subject: str
    responses: tuple[str, ...] = Field(description="digests, in the order of the test stories")
    censored: tuple[tuple[tuple[int, ...], ...], ...] = Field(
        default=(), description="rows left out, by test story and presentation, if any"
    )


class StatisticsSettings(Spec):
    """How the significance and the uncertainty of a result are estimated."""

    kind: ClassVar[str] = "statistics"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"best_of_layers": False, "confidence": "share"}
    )
    n_permutations: int = Field(
        default=1000,
        ge=0,
        description="0: no p and q values; 1: all orders, which 'prewhitened' need not draw",
    )
    n_bootstraps: int = Field(default=1000, ge=0, description="0: no intervals")
    block_rows: int = Field(default=10, ge=1, description="shortest block of test rows")
    scheme: Scheme = "prewhitened"
    seed: int = Field(default=0, ge=0)
    best_of_layers: bool = Field(
        default=True, description="whether the best layer of each target has p and q of its own"
    )
    confidence: Confidence = Field(
        default="shrunken", description="of preferred layers: the bootstrap share, or calibrated"
    )


class LowLevelSettings(Spec):
    """How low-level features are taken out of the model's, or weighed against them."""

    kind: ClassVar[str] = "low-level"
    method: LowLevelMethod
    space: str = Field(description="name of the low-level feature space")
    features: tuple[str, ...] = Field(description="its keys, training stories before test stories")


class NullPanelSettings(Spec):
    """What is scored beside the model that cannot know the responses."""

    kind: ClassVar[str] = "null-panel"
    panel_version: Literal[1] = 1
    shift_seconds: float = Field(default=180.0, gt=0, description="of the features in time")
    features: tuple[str, ...] = Field(
        default=(), description="keys of the controls' features, training stories first"
    )


class WithinStory(Spec):
    """How one story is scored within itself: blocks of rows are held out in turn."""

    kind: ClassVar[str] = "within-story"
    n_blocks: int = Field(default=5, ge=2, description="contiguous, of nearly equal length")
    gap_rows: int = Field(default=10, ge=10, description="at each side of a block: train nothing")


_FIT_IMPLIED: Mapping[str, Any] = MappingProxyType(
    {
        "within": None,
        "penalty": "target",
        "pools": None,
        "history": "padded",
        "search": "sampled",
        "high_pass": None,
    }
)


class FitSpec(Spec):
    """Predictions of the test stories: everything that changes them."""

    kind: ClassVar[str] = "predictions"
    implied: ClassVar[Mapping[str, Any]] = _FIT_IMPLIED
    version_field: ClassVar[str] = "fit_version"
    fit_version: Literal[1] = 1
    subject: str
    members: tuple[str, ...] = Field(default=(), description="subjects whose mean this is, if so")
    space: str
    train: tuple[StoryInput, ...]
    test: tuple[StoryInput, ...]
    score_from_row: tuple[int, ...] = Field(description="first scored row of each test story")
    standardise_responses: bool
    delays: tuple[int, ...]
    alphas: tuple[float, ...]
    folds: Literal["story"] = "story"
    metric: Metric = "r2"
    intercept: bool = True
    within: WithinStory | None = Field(
        default=None, description="how the one story that trains and tests is split, if so"
    )
    penalty: Penalty = Field(default="target", description="which targets share a penalty")
    pools: str | None = Field(
        default=None, description="digest of the regions that share a penalty, if so"
    )
    history: History = Field(
        default="padded", description="full: rows without all delays are left out"
    )
    high_pass: float | None = Field(
        default=None, gt=0, description="seconds; slower cosines leave features and responses"
    )
    search: Search = Field(
        default="checked", description="of penalties; sampled: rare kinds of targets could miss one"
    )


class EncodingSpec(FitSpec):
    """Layer-wise encoding of one subject's responses from one model's features."""

    kind: ClassVar[str] = "encoding"
    version_field: ClassVar[str] = "version"
    older: ClassVar[Mapping[int, str]] = MappingProxyType(
        {
            1: "one noise ceiling from repeats, neither significance nor intervals",
            2: "low-level features were not weighed",
        }
    )
    version: Literal[3] = 3
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            **_FIT_IMPLIED,
            "given_ceiling": None,
            "ceiling_threshold": None,
            "ceiling_selection": "same",
            "null_panel": None,
        }
    )
    ceilings: tuple[CeilingName, ...] = Field(description="all that the data allow, default first")
    given_ceiling: str | None = Field(
        default=None, description="digest of the file that holds the ceiling named 'given'"
    )
    ceiling_threshold: float | None = Field(
        default=None, description="that every ceiling must exceed; None: each kind's own"
    )
    ceiling_selection: CeilingSelection = Field(
        default="same", description="what chooses the targets that the ceiling from repeats divides"
    )
    other_subjects: tuple[OtherResponses, ...] = ()
    statistics: StatisticsSettings = StatisticsSettings()
    low_level: LowLevelSettings | None = None
    null_panel: NullPanelSettings | None = None

    @property
    def fit(self) -> FitSpec:
        """The part that names the predictions: other statistics of them need no other fit."""
        return FitSpec(**{name: getattr(self, name) for name in FitSpec.model_fields})


class RegionsSpec(Spec):
    """Region means of one encoding result: the result, and what is in which region."""

    kind: ClassVar[str] = "regions"
    version: Literal[1] = 1
    result: str = Field(description="key of the encoding result")
    name: str = Field(description="of the region set")
    masks: str = Field(description="digest of the regions' targets and sides")


class DifferenceSpec(Spec):
    """Tests whether two encoding results predict each target equally well."""

    kind: ClassVar[str] = "difference"
    version: Literal[1] = 1
    a: str = Field(description="key of the encoding result of model A")
    b: str = Field(description="key of that of model B, which is subtracted")
    method: Literal["prewhitened"] = "prewhitened"


class WeightsSpec(Spec):
    """Weights of one layer's regression, by the predictions that they reproduce.

    A part of no other specification: with or without them a result is the same.
    """

    kind: ClassVar[str] = "weights"
    version: Literal[1] = 1
    fit: str = Field(description="key of the predictions")
    layer: int = Field(ge=0)


class SoundSpec(Spec):
    """What kept weights predict for one sound."""

    kind: ClassVar[str] = "sounds"
    version: Literal[1] = 1
    weights: str = Field(description="key of the weights")
    samples: str = Field(description="digest of the samples at 16 kHz, as the model hears them")


class AdapterSettings(Spec):
    """Low-rank adapters, ``W + alpha / rank * B A`` (arXiv 2106.09685)."""

    kind: ClassVar[str] = "adapter"
    rank: int = Field(default=8, ge=1, description="of the two factors A and B")
    alpha: float = Field(default=32.0, gt=0, description="the update is scaled by alpha / rank")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of the adapters' input")
    layers: tuple[str, ...] = Field(default=(), description="empty: the family's usual ones")


class TuningSettings(Spec):
    """How a model is brain-tuned; the defaults are those of the published recipe.

    The audio of the last ``window_trs`` before a row predicts it. With ``segment_trs`` equal to
    ``window_trs`` every row is encoded by itself, as published. Longer segments are encoded once
    for all their rows (the first ``window_trs - 1`` TRs are lead-in only), each row is predicted
    from the mean over its own window, and features and responses are centred within the segment.

    With ``steps`` training takes exactly so many steps, whatever the validation says, and the last
    weights are kept: a model and its controls then have the same. ``epochs``, ``patience`` and
    ``keep`` do not count then.
    """

    kind: ClassVar[str] = "tuning-settings"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"head": "subject", "bottleneck": 100, "steps": None}
    )
    adapter: AdapterSettings | None = Field(default=None, description="None: full fine-tuning")
    loss: TuningLoss = Field(default="mse", description="what is made small, row by row")
    head: TuningHead = Field(default="subject", description="what subjects have in common")
    bottleneck: int = Field(
        default=100, ge=1, description="values between model and heads, of the head 'bottleneck'"
    )
    window_trs: int = Field(default=5, ge=1, description="audio that predicts a row, in TRs")
    segment_trs: int = Field(default=5, ge=1, description="audio that is encoded at once, in TRs")
    attention_trs: int | None = Field(
        default=None, ge=1, description="attention stays within so many TRs of a segment"
    )
    front: Literal["story", "window"] = Field(
        default="story", description="the frozen front end runs once per story, or per segment"
    )
    start: Literal["probe", "random"] = Field(
        default="probe", description="the head starts as the base model's ridge probe, or random"
    )
    encoder_rate: float = Field(default=5e-5, gt=0, description="highest learning rate")
    head_rate: float = Field(default=1e-4, gt=0, description="highest learning rate of the heads")
    weight_decay: float = Field(default=0.01, ge=0, description="of the encoder's weights")
    warm_up: float = Field(default=0.1, ge=0, lt=1, description="share of the steps")
    clip_norm: float = Field(default=1.0, gt=0, description="longer gradients are shortened to it")
    batch_rows: int = Field(default=128, ge=1, description="rows per step of the optimiser")
    epochs: int = Field(default=30, ge=1, description="at most so many passes over the stories")
    steps: int | None = Field(
        default=None, ge=1, description="exactly so many steps of the optimiser, in place of epochs"
    )
    patience: int | None = Field(
        default=5, ge=1, description="epochs without a better validation r; None: never stop early"
    )
    keep: Literal["best", "last"] = Field(default="best", description="epoch that is kept")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of the encoder, in training")
    mask_share: float = Field(default=0.0, ge=0, lt=1, description="of the frames, in training")
    seed: int = Field(default=0, ge=0, description="of everything that is drawn")
    precision: Literal["float32", "bf16"] = Field(
        default="float32", description="of the arithmetic; bf16 needs a CUDA device"
    )

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, values: Any) -> Any:
        """Give what does not count one value, so that equal training has one key."""
        if not isinstance(values, dict):
            return values
        made = dict(values)
        if made.get("steps") is not None:
            made |= {"epochs": 30, "patience": None, "keep": "last"}
        if made.get("head", "subject") != "bottleneck":
            made["bottleneck"] = 100
        return made

    @model_validator(mode="after")
    def _segments_hold_a_window(self) -> "TuningSettings":
        if self.segment_trs < self.window_trs:
            raise ValueError(
                f"segment_trs ({self.segment_trs}) is less than window_trs ({self.window_trs})"
            )
        return self

    @property
    def rows_per_segment(self) -> int:
        """Rows that one segment predicts."""
        return self.segment_trs - self.window_trs + 1


class TargetSettings(Spec):
    """Which targets a subject's head is tuned on, and what chose them."""

    kind: ClassVar[str] = "targets"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"region_set": None, "region_masks": None}
    )
    rule: TargetRule
    threshold: float | None = Field(default=None, description="the ceiling exceeds it")
    regions: tuple[str, ...] = ()
    region_set: str | None = Field(
        default=None, description="of the regions; None: discs around published coordinates"
    )
    region_masks: str | None = Field(
        default=None, description="digest of that set's regions on the targets"
    )
    chosen_from: tuple[str, ...] = Field(
        default=(), description="digests of all that was read to choose"
    )
    limit: int | None = Field(default=None, ge=1, description="at most so many, drawn by the seed")


class TunedStory(Spec):
    """One story of one subject in a tuning run."""

    kind: ClassVar[str] = "tuned-story"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"counted": None})
    name: str
    subject: str
    audio: str = Field(description="digest of the audio file")
    counted: int | None = Field(
        default=None, description="samples at 16 kHz, where the file's header says otherwise"
    )
    responses: str = Field(description="digest of the responses")
    times: RowTimes = Field(description="of the rows that the audio covers")
    first_row: int = Field(ge=0)


class TuningSpec(Spec):
    """A brain-tuned model: everything that changes its weights."""

    kind: ClassVar[str] = "tuning"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"teacher": None, "teacher_layer": None}
    )
    version: Literal[1] = 1
    model: str = Field(description="fingerprint of the base model")
    subjects: tuple[str, ...] = Field(description="whose responses are predicted")
    targets: tuple[TargetSettings, ...] = Field(description="one per subject")
    train: tuple[TunedStory, ...]
    validation: tuple[TunedStory, ...]
    standardise_responses: bool
    control: TuningControl = "none"
    text: str | None = Field(default=None, description="digest of the control's text model")
    teacher: str | None = Field(
        default=None, description="fingerprint of the speech model that the control foretells"
    )
    teacher_layer: int | None = Field(
        default=None, description="of it or of the text model, of which None is the last"
    )
    settings: TuningSettings = TuningSettings()


# ---- probing --------------------------------------------------------------------------------


class UnitFeaturesSpec(Spec):
    """Every layer of one model, averaged over each labelled unit of some recordings."""

    kind: ClassVar[str] = "unit-features"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"counted": {}})
    version: Literal[1] = 1
    model: str = Field(description="fingerprint of configuration, normalisation and weights")
    audio: tuple[str, ...] = Field(description="digests of the audio files")
    counted: Mapping[str, int] = Field(
        default_factory=dict,
        description="samples at 16 kHz by digest, where a file's header says otherwise",
    )
    units: str = Field(description="digest of every unit's recording, start and end")
    strategy: StoredStrategy
    context_seconds: float
    step_seconds: float
    empty: Literal["nearest"] = "nearest"


class UnitsSpec(Spec):
    """Units of one kind: where they are, and the features that the probes learn from."""

    kind: ClassVar[str] = "units"
    name: str = Field(description="frame, phone, word or the name of a tier")
    n_units: int = Field(gt=0)
    units: tuple[str, ...] = Field(description="digests of the units, group by group")
    features: tuple[str, ...] = Field(description="keys of the model's features of each group")
    sound: tuple[str, ...] = Field(description="keys of their energy, to leave silence out")


class ProbeTaskSpec(Spec):
    """One question to every layer."""

    kind: ClassVar[str] = "probe-task"
    task_version: Literal[1] = 1
    name: str
    units: str = Field(description="name of its units")
    problem: Literal["classification", "regression", "multilabel", "transcription"]
    labels: str = Field(description="digest of the labels of all units")
    targets: tuple[str, ...] = Field(
        default=(), description="keys of the acoustic features that are foretold, if so"
    )
    apart: Literal["recording", "word type"]
    metric: str
    balanced: bool
    method: ProbeMethod | Literal["ctc"]


class ProbingSpec(Spec):
    """Linear probes of every layer of one model, for several tasks."""

    kind: ClassVar[str] = "probing"
    implied: ClassVar[Mapping[str, Any]] = MappingProxyType({"interval_units": "recording"})
    version: Literal[1] = 1
    labels: str = Field(description="digest of the labelled segments")
    units: tuple[UnitsSpec, ...]
    tasks: tuple[ProbeTaskSpec, ...]
    split: ProbeSplit = "drawn"
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
    type_folds: int = Field(default=5, ge=3, description="divisions of words kept apart by type")
    seed: int = 0
    n_shuffles: int = Field(default=10, ge=0)
    n_bootstraps: int = Field(default=1000, ge=1)
    interval_units: IntervalUnits = Field(
        default="highest", description="what intervals draw again; results before it: recordings"
    )


VERSIONED: Mapping[str, type[Spec]] = MappingProxyType(
    {
        spec.kind: spec
        for spec in (
            FramesSpec,
            ExtractionSpec,
            FitSpec,
            EncodingSpec,
            RegionsSpec,
            DifferenceSpec,
            WeightsSpec,
            SoundSpec,
            UnitFeaturesSpec,
            ProbingSpec,
            TuningSpec,
        )
    }
)
"""The specifications that name a result of the store, by its kind."""


def current_version(kind: str) -> int:
    """Return the version of the computation that makes results of a kind today."""
    spec = VERSIONED[kind]
    return int(spec.model_fields[spec.version_field].default)


def version_of(kind: str, document: Mapping[str, Any]) -> int | None:
    """Return the version that a stored specification says; None where it says none."""
    spec = VERSIONED.get(kind)
    found = None if spec is None else document.get(spec.version_field)
    return found if isinstance(found, int) else None


def older_version(kind: str, document: Mapping[str, Any]) -> str:
    """Say in a few words how an older result was computed; empty for one of today's version."""
    version = version_of(kind, document)
    if version is None or version >= current_version(kind):
        return ""
    told = VERSIONED[kind].older.get(version, "an older computation")
    return f"version {version} of {current_version(kind)}: {told}"
