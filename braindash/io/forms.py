"""The form of JSON files that were written earlier: fields that whoever shows them relies on."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Form(BaseModel):
    """Fields that must be there and of this type; further ones are free."""

    model_config = ConfigDict(strict=True, extra="ignore")


class _Named(Form):
    name: str


class _Model(_Named):
    fingerprint: str


class _Data(_Named):
    simulated: bool


class _Provenance(Form):
    created: str
    model: _Model
    data: _Data


class _Listed(Form):
    """Every result that lists show; the specification of features has nothing to list."""

    spec: dict[str, Any]
    provenance: _Provenance


class _WithStrategy(_Provenance):
    strategy: str


class _OfSubject(Form):
    subject: str


class _Encoding(_Listed):
    spec: _OfSubject  # type: ignore[assignment]
    provenance: _WithStrategy


class _Asked(Form):
    tasks: list[_Named]
    units: list[dict[str, Any]]


class _Probing(_Listed):
    spec: _Asked  # type: ignore[assignment]
    provenance: _WithStrategy


class _WithFolder(_Provenance):
    model_folder: str


class _OfSubjects(Form):
    subjects: list[str]


class _Tuning(_Listed):
    spec: _OfSubjects  # type: ignore[assignment]
    provenance: _WithFolder


_FORMS: dict[str, type[Form]] = {
    "encoding": _Encoding,
    "probing": _Probing,
    "tuning": _Tuning,
    "features": _Listed,
}


def parse_object(content: bytes, name: str) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Parameters
    ----------
    content : bytes
        Of the file.
    name : str
        Of the file, for the error.

    Raises
    ------
    ValueError
        The content is no UTF-8, no JSON or no object; the text says which.
    """
    try:
        found = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name} is JSON, but no object")
    return found


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; errors as :func:`parse_object`, and those of the disk."""
    return parse_object(path.read_bytes(), path.name)


def require(form: type[Form], content: dict[str, Any]) -> None:
    """Raise ValueError, which names the fields, where ``content`` is not of a form."""
    try:
        form.model_validate(content)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found]
        raise ValueError("; ".join(told)) from error


def require_listed(kind: str, spec: dict[str, Any], provenance: dict[str, Any]) -> None:
    """Raise ValueError, which names the fields, where a result of ``kind`` lacks what lists show.

    Results that belong to others (predictions, features of units) are in no list and may hold what
    they like.
    """
    if kind in _FORMS:
        require(_FORMS[kind], {"spec": spec, "provenance": provenance})
