"""The record of a tuned model, and how far a run under way is: form and reading."""

from pathlib import Path
from typing import Any

from pydantic import Field

from braindash.io.entries import Form, read_object, require
from braindash.speech.checkpoints.folders import TUNING_RECORD


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


def _checked(form: type[Form], path: Path) -> dict[str, Any]:
    content = read_object(path)
    try:
        require(form, content)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error
    return content
