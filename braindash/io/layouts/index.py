"""One answer to "what is in this folder": its own manifest, or what a layout finds."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from braindash.errors import InputError
from braindash.files import replaced
from braindash.io.dataset.manifest import load_manifest
from braindash.io.layouts.find import OWN, own_manifest, recognise
from braindash.io.layouts.finding import Finding
from braindash.names import given_path


def index_folder(folder: Path | str, audio: Path | str | None = None) -> Finding:
    """Say what is in a folder: what its manifest describes, or what a layout finds.

    Parameters
    ----------
    folder : path
        Data.
    audio : path, optional
        Another folder, with the sounds. With it, a manifest in the folder is passed over.

    Returns
    -------
    Finding

    Raises
    ------
    InputError
        There is no such folder, its manifest has problems, or no layout knows it.
    """
    place = given_path(folder)
    own = own_manifest(place) if place.is_dir() and audio is None else None
    if own is None:
        return recognise(place, audio)
    dataset = load_manifest(own)
    table = dataset.tables.dataset
    return Finding(
        layout=table.layout or OWN,
        title=f"{dataset.name}, described by {own.name}",
        folder=place,
        subjects={name: dataset.stories(name) for name in dataset.subjects},
        notes=(f"{own} is used as it is; move it away to index the folder anew",),
        licence=table.licence or "",
        citation=table.citation or "",
        own=own,
    )


def write_manifest(found: Finding, path: Path) -> None:
    """Write the manifest that follows from what was found.

    Raises
    ------
    InputError
        There is a file of that name, the data cannot be used as they are, or the folder may not be
        written to.
    """
    if path.exists():
        raise InputError(
            f"{path} is there already", hint="Name another file, or move that one away."
        )
    if found.draft is None:
        reasons = "; ".join(found.missing) or "no story has sound and responses"
        raise InputError(
            f"no manifest can be written for {found.folder}: "
            f"{found.own or reasons}{' describes it already' if found.own else ''}",
            hint=f"Use --data {shlex.quote(str(found.own))}."
            if found.own
            else "Get what is missing, and index again.",
        )
    text = found.manifest_text(path.parent)
    try:
        with replaced(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error}",
            hint="Give a file in a folder that you may write to; its paths lead to the data.",
        ) from error


def finding_document(found: Finding, written: Path | None = None) -> dict[str, Any]:
    """Return what was found as JSON values.

    Parameters
    ----------
    found : Finding
    written : Path, optional
        Where its manifest was written.
    """
    return {
        "layout": found.layout,
        "title": found.title,
        "folder": str(found.folder),
        "ready": found.draft is not None or found.own is not None,
        "subjects": {name: list(stories) for name, stories in found.subjects.items()},
        "stories": list(found.stories),
        "missing": list(found.missing),
        "excluded": list(found.excluded),
        "notes": list(found.notes),
        "licence": found.licence,
        "citation": found.citation,
        "source": found.source,
        "manifest": str(written or found.own) if written or found.own else None,
        "manifest_text": None if found.draft is None else found.manifest_text(found.folder),
    }


def finding_lines(found: Finding) -> Iterator[str]:
    """Say what was found, line by line."""
    yield f"{found.title}: {found.folder}"
    for name in ("licence", "citation", "source"):
        if getattr(found, name):
            yield f"{name.capitalize()}: {getattr(found, name)}"
    counts = [len(stories) for stories in found.subjects.values()]
    if counts:
        each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        yield f"{len(counts)} subjects with {each} of {len(found.stories)} stories:"
        for name, stories in list(found.subjects.items())[:_SUBJECTS_SHOWN]:
            yield f"  {name}: {', '.join(stories)}"
        if len(counts) > _SUBJECTS_SHOWN:
            yield f"  ... and {len(counts) - _SUBJECTS_SHOWN} more"
    else:
        yield "No subject can be used yet."
    for title, told in (
        ("Missing", found.missing),
        ("Not used", found.excluded),
        ("Note", found.notes),
    ):
        yield from (f"{title}: {one}" for one in told)


_SUBJECTS_SHOWN = 12
