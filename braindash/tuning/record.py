"""The record of a tuned model, and how far a run under way is: form and reading."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from braindash.io.entries import Form, read_object, require
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.speech.checkpoints.merging import strength_words


class _Epoch(Form):
    epoch: int
    loss: float | None
    validation_r: dict[str, float] = Field(min_length=1)
    seconds: float


class _Base(Form):
    name: str
    fingerprint: str


class _Data(Form):
    simulated: bool


class _Stories(Form):
    train: dict[str, int]
    validation: dict[str, int]
    never_trained_on: list[str]


class _Targets(Form):
    rule: str
    n_targets: int


class _Adapter(Form):
    rank: int


class _Settings(Form):
    adapter: _Adapter | None
    loss: str
    seed: int


class _Spec(Form):
    control: str
    settings: _Settings


class _Record(Form):
    spec: _Spec
    base: _Base
    data: _Data
    fingerprint: str
    targets: dict[str, _Targets]
    stories: _Stories
    history: list[_Epoch] = Field(min_length=1)
    kept_epoch: int
    stopped: str
    improved: bool
    warnings: list[str]


class _Progress(Form):
    epochs: int
    history: list[_Epoch]
    simulated: bool


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of the tuned model in a folder.

    Raises
    ------
    OSError
        There is none, or it cannot be read.
    ValueError
        It is no record: the text names the fields.
    """
    return _checked(_Record, folder / TUNING_RECORD)


def read_run(path: Path) -> dict[str, Any]:
    """Return what the progress file of a run under way holds; errors as :func:`read_record`."""
    return _checked(_Progress, path)


def adapter_words(record: Mapping[str, Any]) -> str:
    """Say how strong the adapters of a tuned model are, block by block; empty without any."""
    strengths = record.get("lora_b")
    return strength_words(strengths) if isinstance(strengths, dict) and strengths else ""


def steps_words(record: Mapping[str, Any]) -> str:
    """Say how many steps of the optimiser made the weights; empty for older records."""
    steps = record.get("steps")
    if not isinstance(steps, dict):
        return ""
    kept, trained = steps.get("kept"), steps.get("trained")
    more = "" if kept == trained else f", {trained} trained"
    return f"{kept} steps{more}"


def head_words(record: Mapping[str, Any]) -> str:
    """Say what subjects' predictions have in common."""
    settings = record["spec"]["settings"]
    head = settings.get("head", "subject")
    if head == "bottleneck":
        return (
            f"a linear map to {settings.get('bottleneck', 100)} values, then one head per subject"
        )
    return "one linear head for all subjects" if head == "shared" else "one linear head per subject"


def _checked(form: type[Form], path: Path) -> dict[str, Any]:
    content = read_object(path)
    try:
        require(form, content)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return content
