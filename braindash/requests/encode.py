"""Layer-wise encoding of a subject's responses, as a user asks for it."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from braindash.core.delays import DEFAULT_DELAYS
from braindash.requests.base import Request
from braindash.specs import (
    DEFAULT_ALPHAS,
    LowLevelMethod,
    Metric,
    Precision,
    Scheme,
    StatisticsSettings,
    Strategy,
)

LOW_LEVEL_SPACE = "acoustic:lowlevel"
# In place of a subject: the mean of the responses of all subjects.
MEAN_SUBJECT = "mean"


class EncodeRequest(Request):
    """What a user asks for: one model, one subject (or "mean", all subjects averaged), and how.

    ``n_permutations``, ``n_bootstraps``, ``block_rows``, ``scheme`` and ``seed`` are those of
    :class:`braindash.specs.StatisticsSettings`; with ``low_level`` the share that low-level
    features explain is computed as well. ``precision`` is that of the model's features; the
    regression has its own.
    """

    task: ClassVar[str] = "encode"

    data: Path
    subject: str
    strategy: Strategy = "exact"
    precision: Precision = Field(default="float32", description="bf16 and fp16 need a CUDA device")
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    delays: tuple[int, ...] = Field(default=DEFAULT_DELAYS, description="in TRs")
    metric: Metric = "r2"
    intercept: bool = True
    n_permutations: int = Field(default=1000, ge=0, description="0: no p and q values")
    n_bootstraps: int = Field(default=1000, ge=0, description="0: no intervals")
    block_rows: int = Field(default=10, ge=1, description="shortest block of test rows")
    scheme: Scheme = "blocks"
    seed: int = Field(default=0, ge=0)
    low_level: LowLevelMethod | None = Field(default=None, description="how to remove low level")
    low_level_space: str = Field(default=LOW_LEVEL_SPACE, description="an acoustic space")

    @property
    def statistics(self) -> StatisticsSettings:
        """Settings of significance and uncertainty, as they enter the specification."""
        fields = StatisticsSettings.model_fields
        return StatisticsSettings(**{name: getattr(self, name) for name in fields})
