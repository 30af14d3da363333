"""Brain-tuning of a model, as a user asks for it."""

from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field

from braindash.errors import InputError, near_match
from braindash.requests.base import Request, build_request
from braindash.specs import TargetRule, TuningControl, TuningSettings

Method = Literal["full", "lora"]


class TuneRequest(Request):
    """What a user asks for: a base model, subjects, and how it is tuned to them.

    Stories that are not named are those of the manifest's splits; the test stories are never
    read. ``settings`` are those of the training itself. ``n_at_once`` changes memory and time,
    never the result's key.
    """

    task: ClassVar[str] = "tune"

    data: Path
    subjects: tuple[str, ...] = Field(min_length=1, description="one head each")
    train: tuple[str, ...] = Field(default=(), description="stories; the manifest's by default")
    validation: tuple[str, ...] = Field(
        default=(), description="stories; the manifest's, or the last training story by default"
    )
    targets: TargetRule | Literal["auto"] = Field(
        default="auto", description="auto: the first ceiling that training data allow"
    )
    threshold: float | None = Field(default=None, ge=0, lt=1, description="of the ceiling")
    regions: tuple[str, ...] = Field(default=(), description="with targets 'regions'")
    limit: int | None = Field(default=None, ge=1, description="targets per subject, at most")
    control: TuningControl = "none"
    words: Path | None = Field(default=None, description="of the control 'text'")
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
