"""Linear probes of a model's layers, as a user asks for them."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from braindash.requests.base import Request
from braindash.specs import Precision, ProbeMethod, Strategy


class ProbeRequest(Request):
    """What a user asks for: one model, labelled recordings, and which tasks.

    Give ``data``, a manifest whose ``alignment_dir`` holds TextGrids of its stories, or ``labels``,
    a source of :data:`braindash.io.labels_sources.LABEL_SOURCES`, with ``labels_path`` and
    ``labels_options``. Without ``tasks`` all that the labels allow are asked. ``max_units`` bounds
    how many units of one kind are taken; more are drawn from by ``seed``.
    """

    task: ClassVar[str] = "probe"

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
    method: ProbeMethod = "ridge"
    split: Literal["auto", "drawn", "given"] = "auto"
    max_units: int = Field(default=20_000, ge=100)
    n_shuffles: int = Field(default=10, ge=0, description="0: no shuffled labels")
    n_bootstraps: int = Field(default=1000, ge=1)
    seed: int = Field(default=0, ge=0)

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
