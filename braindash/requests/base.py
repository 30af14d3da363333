"""What all requests share."""

from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from braindash.errors import InputError, near_match


class Request(BaseModel):
    """Base of all requests: frozen, unknown fields refused.

    ``task`` is the worker's task and the command of the command line. ``device`` and ``threads``
    change how long the work takes, never the result's key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    task: ClassVar[str]

    model: str
    revision: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(default=None, gt=0)


RequestT = TypeVar("RequestT", bound=Request)


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
    except ValidationError as problem:
        lines, hints = [], []
        for error in problem.errors(include_url=False):
            name = ".".join(str(part) for part in error["loc"])
            lines.append(f"{name}: {error['msg']} (given: {error['input']!r})")
            if error["type"] == "extra_forbidden":
                hints.append(near_match(name, kind.model_fields))
        raise InputError(
            "the request cannot be understood: " + "; ".join(lines),
            hint=" ".join(hints)
            or f"Correct the named settings; `braindash {kind.task} --help` shows what is allowed.",
        ) from problem
