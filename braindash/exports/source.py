"""Where the numbers of a file come from: written into every file that leaves, in its own way."""

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from braindash import __version__
from braindash.encoding.result import EncodingResult
from braindash.probing.result import ProbingResult

SIMULATED = "SIMULATED"
"""Stands in every figure whose responses a generator made."""
_STAMP = "SIMULATED DATA"
# What XML cannot hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9]+")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Source:
    """Where the numbers of a figure, a table or a map come from.

    Attributes
    ----------
    title : str
        What it shows.
    line : str
        One line that says where the numbers come from; it stands in every figure.
    details : tuple of str
        The rest: settings, intervals, what is masked, every subject.
    keys : tuple of str
        Of the results.
    simulated : bool
        Whether any of the responses were made by a generator.
    """

    title: str
    line: str
    details: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def stamped(self) -> str:
        """The line; of simulated data it begins with the stamp."""
        if self.simulated and _STAMP not in self.line:
            return f"{_STAMP} · {self.line}"
        return self.line

    def document(self) -> dict[str, Any]:
        """Say all of it as JSON values."""
        return {
            "title": clean(self.title),
            "source": clean(self.stamped),
            "details": [clean(one) for one in self.details],
            "keys": list(self.keys),
            "simulated": self.simulated,
            "generator": f"braindash {__version__}",
        }

    def as_json(self) -> str:
        """Write :meth:`document` in one line."""
        return json.dumps(self.document(), ensure_ascii=False)


def source_of(result: EncodingResult | ProbingResult, title: str, *details: str) -> Source:
    """Say where the numbers of one result come from.

    Parameters
    ----------
    result : EncodingResult or ProbingResult
        The result.
    title : str
        What is shown of it.
    *details : str
        What else to say, such as what the intervals are.
    """
    return Source(
        title,
        result.provenance_line(),
        tuple(one for one in details if one),
        (result.key,),
        result.simulated,
    )


def clean(text: str) -> str:
    """Leave out what no XML can hold: control characters other than tabs and ends of lines."""
    return _CONTROL.sub("", text)


def file_name(*parts: str) -> str:
    """Join words to the name of a file, whatever they hold: letters, digits and hyphens.

    Parameters
    ----------
    *parts : str
        Such as a model's name; what has no letter or digit is left out.
    """
    words = (_NOT_IN_A_NAME.sub("-", part).strip("-") for part in parts)
    return "-".join(word[:_LONGEST_NAME].strip("-") for word in words if word) or "braindash"


def figure_metadata(source: Source, form: str) -> Mapping[str, Any]:
    """Return what matplotlib writes into a file of a figure, without the time of writing.

    Parameters
    ----------
    source : Source
        Where the numbers come from.
    form : {"svg", "pdf", "png"}
        Each keeps it in its own fields: all of it as JSON is in the description of an SVG, in the
        keywords of a PDF, and in the text ``braindash`` of a PNG.
    """
    generator = f"braindash {__version__}"
    title, line, whole = clean(source.title), clean(source.stamped), source.as_json()
    if form == "svg":
        words = [*source.keys, *["simulated"] * source.simulated]
        told = {"Title": title, "Description": whole, "Source": line, "Keywords": words}
        return told | {"Creator": generator, "Date": None}
    if form == "pdf":
        told_pdf = {"Title": title, "Subject": line, "Keywords": whole, "Creator": generator}
        return told_pdf | {"CreationDate": None}
    return {"Title": title, "Description": line, "braindash": whole, "Software": generator}


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """Write JSON as UTF-8, with a newline at its end."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Put files into one ZIP archive; the same files give the same bytes."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            told = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            told.external_attr = 0o644 << 16
            archive.writestr(told, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
