"""What a user asks for, before anything is looked up: settings that are checked on their own."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from braindash.core.delays import DEFAULT_DELAYS
from braindash.errors import InputError, near_match
from braindash.specs import (
    DEFAULT_ALPHAS,
    LowLevelMethod,
    Metric,
    Scheme,
    StatisticsSettings,
    Strategy,
)

LOW_LEVEL_SPACE = "acoustic:lowlevel"
# In place of a subject: the mean of the responses of all subjects.
MEAN_SUBJECT = "mean"


class EncodeRequest(BaseModel):
    """What a user asks for: one model, one subject (or "mean", all subjects averaged), and how.

    ``n_permutations``, ``n_bootstraps``, ``block_rows``, ``scheme`` and ``seed`` are those of
    :class:`braindash.specs.StatisticsSettings`; with ``low_level`` the share that low-level
    features explain is computed as well. ``device`` and ``threads`` change how long it
    takes, never the result's key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path
    model: str
    subject: str
    revision: str | None = None
    strategy: Strategy = "exact"
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
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, gt=0)

    @property
    def statistics(self) -> StatisticsSettings:
        """Settings of significance and uncertainty, as they enter the specification."""
        fields = StatisticsSettings.model_fields
        return StatisticsSettings(**{name: getattr(self, name) for name in fields})


def build_request(**fields: Any) -> EncodeRequest:
    """Make a request; every field that is unknown or out of range is named in one error.

    Raises
    ------
    InputError
        With the allowed fields and values.
    """
    try:
        return EncodeRequest.model_validate(
            {name: value for name, value in fields.items() if value is not None}
        )
    except ValidationError as problem:
        lines, hints = [], []
        for error in problem.errors(include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            lines.append(f"{name}: {error['msg']} (given: {error['input']!r})")
            if error["type"] == "extra_forbidden":
                hints.append(near_match(name, EncodeRequest.model_fields))
        raise InputError(
            "the request cannot be understood: " + "; ".join(lines),
            hint=" ".join(hints)
            or "Correct the named settings; `braindash encode --help` shows what is allowed.",
        ) from problem
