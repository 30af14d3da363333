"""Frozen specifications: what was asked for, as content, with the key that names its result.

A specification holds everything that changes the numbers of a result and nothing else: inputs
enter by the digest of their content or by the key of the result they are, never by path. Device,
batch size, threads and paths are no part of it. Raise a specification's ``version`` whenever the
computation behind it changes, and older results are computed again.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from braindash.digest import digest_json

Strategy = Literal["exact", "chunk"]
# Acoustic spaces have one grid of frames and no strategy to choose.
StoredStrategy = Literal["exact", "chunk", "frames"]
Metric = Literal["r2", "r"]
CeilingName = Literal["repeats", "inter-subject", "split-half"]
Scheme = Literal["blocks", "shift"]
LowLevelMethod = Literal["residual", "banded"]

# 17 values from 1 to 1e8: wide enough that z-scored designs of every layer find their optimum.
DEFAULT_ALPHAS = tuple(10.0 ** (step / 2) for step in range(17))


class Spec(BaseModel):
    """Base of all specifications: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: ClassVar[str]

    def canonical(self) -> dict[str, Any]:
        """Give the specification as plain JSON values, with its kind."""
        return {"kind": self.kind, **self.model_dump(mode="json")}

    def key(self) -> str:
        """Name the result: the digest of the canonical form (32 hexadecimal digits)."""
        return digest_json(self.canonical())


class RowTimes(Spec):
    """The audio times of a story's response rows: ``first + tr * arange(n_rows)``, in seconds."""

    kind: ClassVar[str] = "times"
    first: float
    tr: float = Field(gt=0)
    n_rows: int = Field(gt=0)


class ExtractionSpec(Spec):
    """Features of one story: every layer of one model at the story's response times."""

    kind: ClassVar[str] = "features"
    version: Literal[1] = 1
    model: str = Field(description="fingerprint of configuration, normalisation and weights")
    audio: str = Field(description="digest of the audio file")
    times: RowTimes
    strategy: StoredStrategy
    context_seconds: float
    step_seconds: float
    resampler: Literal["lanczos3"] = "lanczos3"


class StoryInput(Spec):
    """One story of an encoding model: its features, its responses and the rows that are used."""

    kind: ClassVar[str] = "story"
    name: str
    features: str = Field(description="key of the features")
    responses: str = Field(description="digest of the response file and the keys read from it")
    first_row: int = Field(ge=0, description="first response row that the audio covers")
    last_row: int = Field(gt=0, description="one past the last response row that is used")


class OtherResponses(Spec):
    """Another subject's responses to the test stories, for the ceiling between subjects."""

    kind: ClassVar[str] = "other-responses"
    subject: str
    responses: tuple[str, ...] = Field(description="digests, in the order of the test stories")


class StatisticsSettings(Spec):
    """How the significance and the uncertainty of a result are estimated."""

    kind: ClassVar[str] = "statistics"
    n_permutations: int = Field(default=1000, ge=0, description="0: no p and q values")
    n_bootstraps: int = Field(default=1000, ge=0, description="0: no intervals")
    block_rows: int = Field(default=10, ge=1, description="shortest block of test rows")
    scheme: Scheme = "blocks"
    seed: int = Field(default=0, ge=0)


class LowLevelSettings(Spec):
    """How low-level features are taken out of the model's, or weighed against them."""

    kind: ClassVar[str] = "low-level"
    method: LowLevelMethod
    space: str = Field(description="name of the low-level feature space")
    features: tuple[str, ...] = Field(description="its keys, training stories before test stories")


class FitSpec(Spec):
    """Predictions of the test stories: everything that changes them."""

    kind: ClassVar[str] = "predictions"
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


class EncodingSpec(FitSpec):
    """Layer-wise encoding of one subject's responses from one model's features."""

    kind: ClassVar[str] = "encoding"
    version: Literal[3] = 3
    ceilings: tuple[CeilingName, ...] = Field(description="all that the data allow, default first")
    other_subjects: tuple[OtherResponses, ...] = ()
    statistics: StatisticsSettings = StatisticsSettings()
    low_level: LowLevelSettings | None = None

    @property
    def fit(self) -> FitSpec:
        """The part that names the predictions: other statistics of them need no other fit."""
        return FitSpec(**{name: getattr(self, name) for name in FitSpec.model_fields})


FIT_VERSION: int = FitSpec.model_fields["fit_version"].default
ENCODING_VERSION: int = EncodingSpec.model_fields["version"].default
