"""What a recogniser says about a folder, and the manifest that follows from it."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from braindash.io.layouts.tree import Tree

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Template:
    """A path with names in braces, such as ``{story}``, below a folder without any.

    Attributes
    ----------
    folder : Path
        Braces in it are no placeholders.
    rest : str
        What follows, with placeholders.
    """

    folder: Path
    rest: str


@dataclass(frozen=True)
class Told:
    """A value of a manifest with the comment that explains it."""

    value: Any
    comment: str


Fields = Mapping[str, Any]
"""Fields of one table: texts, numbers, lists, Path, Template or Told; None is left out."""


@dataclass(frozen=True)
class Draft:
    """A manifest before its paths are written, relative to where it will lie.

    Attributes
    ----------
    dataset, timing, responses, splits : mapping
        Tables of the manifest.
    subjects, runs : sequence of mapping
        Its repeated tables.
    regions : mapping
        Its table of regions; empty: none.
    comments : sequence of str
        Lines at the end of [responses]: what could be added by hand.
    """

    dataset: Fields
    timing: Fields
    responses: Fields
    subjects: Sequence[Fields]
    splits: Fields
    runs: Sequence[Fields] = ()
    regions: Fields = field(default_factory=dict)
    comments: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """What was found in a folder.

    Attributes
    ----------
    layout : str
        Name of the layout.
    title : str
        What the data are.
    folder : Path
        Where.
    subjects : mapping of str to tuple of str
        Stories with sound and responses, by subject.
    missing : tuple of str
        What is needed, or would help, and is not there; each with what to do.
    excluded : tuple of str
        What is there and not used; each with the reason.
    notes : tuple of str
        What was assumed, and other facts.
    licence, citation, source : str
        Of the data: licence, what to cite, where they are got.
    draft : Draft or None
        The manifest; None where the data cannot be used as they are.
    own : Path or None
        The manifest that the folder holds.
    """

    layout: str
    title: str
    folder: Path
    subjects: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    licence: str = ""
    citation: str = ""
    source: str = ""
    draft: Draft | None = None
    own: Path | None = None

    @property
    def stories(self) -> tuple[str, ...]:
        """Stories that any subject can be used with, sorted."""
        return tuple(sorted({story for stories in self.subjects.values() for story in stories}))

    def manifest_text(self, folder: Path) -> str:
        """Write the manifest for a place.

        Parameters
        ----------
        folder : Path
            Where it will lie: paths are relative to it where they can be.

        Returns
        -------
        str
            TOML, with comments.

        Raises
        ------
        ValueError
            The data cannot be used as they are: there is no draft.
        """
        if self.draft is None:
            raise ValueError(f"{self.folder} gives no manifest")
        head = [
            f"# Written by `braindash index`: {self.title}.",
            "# Comments say what was assumed; correct what is otherwise. Paths are relative to "
            "this file.",
            *(f"# Note: {_line(note)}" for note in self.notes),
            *(f"# Missing: {_line(one)}" for one in self.missing),
            *(f"# Not used: {_line(one)}" for one in self.excluded),
        ]
        known = {"layout": self.layout, "licence": self.licence, "citation": self.citation}
        dataset = {**self.draft.dataset, **{name: text for name, text in known.items() if text}}
        tables: list[tuple[str, Fields]] = [
            ("[dataset]", dataset),
            ("[timing]", self.draft.timing),
            ("[responses]", self.draft.responses),
        ]
        tables += [("[[subjects]]", one) for one in self.draft.subjects]
        tables += [("[splits]", self.draft.splits)]
        tables += [("[[runs]]", one) for one in self.draft.runs]
        if self.draft.regions:
            tables.append(("[regions]", self.draft.regions))
        place = folder.resolve()
        parts = ["\n".join(head)]
        for title, fields in tables:
            lines = [title, *_fields(fields, place)]
            if title == "[responses]":
                lines += [f"# {_line(one)}" for one in self.draft.comments]
            parts.append("\n".join(lines))
        return "\n\n".join(parts) + "\n"


@dataclass(frozen=True)
class Layout:
    """One way in which data lie in folders.

    Attributes
    ----------
    name : str
        Of the layout, a-z, 0-9, - and _.
    title : str
        What the data are.
    recognise : callable
        Takes a :class:`braindash.io.layouts.tree.Tree` and returns a Finding; None where the folder
        holds something else. It opens no file of responses but to read headers.
    licence, citation, source : str
        For findings and documents.
    smallest : str
        The smallest part that is of use, and its size.
    plugin : str or None
        Package that brings it along, with its version.
    """

    name: str
    title: str
    recognise: "Callable[[Tree], Finding | None]"
    licence: str = ""
    citation: str = ""
    source: str = ""
    smallest: str = ""
    plugin: str | None = None

    def found(self, folder: Path, **what: Any) -> Finding:
        """Return a finding of this layout in a folder, with what the data are and who made them.

        Parameters
        ----------
        folder : Path
            Where it lies.
        **what
            Other fields of :class:`Finding`; empty texts of ``missing`` are left out.
        """
        missing = tuple(filter(None, what.pop("missing", ())))
        return Finding(
            layout=self.name,
            title=self.title,
            folder=folder,
            missing=missing,
            licence=self.licence,
            citation=self.citation,
            source=self.source,
            **what,
        )


# ---- TOML ---------------------------------------------------------------------------------------


def _fields(fields: Fields, place: Path) -> list[str]:
    lines: list[str] = []
    for name, value in fields.items():
        told = value if isinstance(value, Told) else Told(value, "")
        if told.value is None:
            continue
        lines += [f"# {_line(part)}" for part in told.comment.splitlines()]
        lines.append(f"{_key(name)} = {_value(told.value, place)}")
    return lines


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _value(value: Any, place: Path) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Path):
        return _text(written_path(value, place))
    if isinstance(value, Template):
        folder = written_path(value.folder, place).replace("{", "{{").replace("}", "}}")
        return _text(value.rest if folder == "." else f"{folder}/{value.rest}")
    if isinstance(value, Mapping):
        inner = (f"{_key(name)} = {_value(one, place)}" for name, one in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_value(one, place) for one in value)}]"
    return _text(str(value))


def _text(text: str) -> str:
    # JSON's escapes are TOML's; DEL alone stands in JSON as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def _line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def written_path(path: Path, place: Path) -> str:
    """Return a path as a manifest in a folder writes it: relative where both have a common home.

    Parameters
    ----------
    path : Path
        The file or folder.
    place : Path
        The manifest's folder, without links on the way, so that ``..`` leads up from there.
    """
    absolute = Path(os.path.abspath(path))
    # A file that is a link stays one; links on the way to it would hide what is common.
    target = absolute.parent.resolve() / absolute.name
    try:
        shared = Path(os.path.commonpath([target, place]))
    except ValueError:  # another drive
        return absolute.as_posix()
    if shared.parent == shared:
        return absolute.as_posix()
    return Path(os.path.relpath(target, place)).as_posix()
