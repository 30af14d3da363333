"""The record of a request in a result's provenance: what computes the result again.

It holds the request with absolute paths, as a job does, and the text of the manifest, which says
what the paths in it meant. It is no part of any key, and reports leave its places out.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from braindash.io.entries import Form, require
from braindash.io.labels.sources import LABEL_FOLDERS
from braindash.names import given_path
from braindash.requests import Request

ASKED = "asked"
"""Field of a provenance that holds the record."""
# How long it takes, on what, and what is kept beside: of the machine, not of the result.
_NOT_KEPT = {"device", "threads", "n_at_once", "keep_frames", "keep_weights"}
# Longer manifests are deflated: lists of results read every provenance.
_SHORT = 16_000


class _Asked(Form):
    command: str
    request: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a result was asked for with.

    Attributes
    ----------
    command : str
        Of the kind of work, such as "encode".
    request : dict
        Fields of the request.
    manifest : str or None
        Text of the manifest as it was then; None where there was none.
    """

    command: str
    request: dict[str, Any]
    manifest: str | None


def absolute_paths(request: Request) -> dict[str, Any]:
    """Return every path of a request, also in the options of a labels' source, as absolute one."""
    changed: dict[str, Any] = {}
    for name in type(request).model_fields:
        value = getattr(request, name)
        if isinstance(value, Path):
            changed[name] = given_path(value, exact=True).resolve()
        elif name == "labels_options":
            folders = {key: _absolute(value[key]) for key in LABEL_FOLDERS if key in value}
            changed[name] = value | folders
    return changed


def _absolute(path: object) -> str:
    return str(given_path(str(path), exact=True).resolve())


def asked(
    request: Request, *, model: str, revision: str | None, manifest: str | None
) -> dict[str, Any]:
    """Return the record of a request, for the provenance of its result.

    Parameters
    ----------
    request : Request
        What was asked for.
    model : str
        Its model, whose folder is an absolute path.
    revision : str or None
        The commit of a hub model.
    manifest : str or None
        Text of the manifest.
    """
    changed = absolute_paths(request) | {"model": model, "revision": revision}
    whole = request.model_copy(update=changed)
    document = whole.model_dump(mode="json", exclude=_NOT_KEPT)
    text: Any = manifest
    if manifest is not None and len(manifest) > _SHORT:
        text = {"deflated": base64.b64encode(zlib.compress(manifest.encode())).decode()}
    return {ASKED: {"command": request.command, "request": document, "manifest": text}}


def read_asked(provenance: Mapping[str, Any]) -> Asked | None:
    """Read the record of a request; None where a result has none, as older ones.

    Raises
    ------
    ValueError
        It is no such record: the text names the fields.
    """
    told = provenance.get(ASKED)
    if told is None:
        return None
    if not isinstance(told, dict):
        raise ValueError(f"{ASKED}: no record of a request")
    require(_Asked, told, ASKED)
    return Asked(told["command"], told["request"], manifest_of(provenance))


def manifest_of(provenance: Mapping[str, Any]) -> str | None:
    """Return the text of the manifest that a result was computed with; None where none is kept."""
    told = provenance.get(ASKED)
    text = told.get("manifest") if isinstance(told, dict) else None
    if isinstance(text, dict):
        try:
            packed = base64.b64decode(str(text.get("deflated")), validate=True)
            return zlib.decompress(packed).decode()
        except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(f"{ASKED}.manifest cannot be read: {error}") from error
    return text if isinstance(text, str) else None
