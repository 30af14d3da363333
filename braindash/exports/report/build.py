"""Makes the report of some results: gathers, draws, packs, counts bytes, writes."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import braindash
from braindash.core.statistics.words import counted
from braindash.errors import InputError
from braindash.exports.report import sections
from braindash.exports.report.gather import Gathered, Result, gather
from braindash.exports.report.methods import (
    Methods,
    Source,
    encoding_methods,
    probing_methods,
    source_of,
)
from braindash.exports.report.page import Packed, joined
from braindash.exports.report.story import story_part
from braindash.exports.report.surfaces import Surfaces, surfaces_of
from braindash.files import ANOTHER_PLACE, disk_errors, replace_text
from braindash.io.store import Store
from braindash.names import given_path, without_places
from braindash.references import tuning_references
from braindash.tuning.result import TuningResult

logger = logging.getLogger(__name__)

MOST_BYTES = 15_000_000
"""Of a report: what opens at once and passes as an attachment."""
_NO_SURFACE = "None of these results has a surface to be drawn on; curves and tables have all."
_STORY_BYTES = 120_000  # of a story's section, settings and style sheet
_NO_MAPS = "The maps were left out by choice."


@dataclass(frozen=True)
class Report:
    """A report, made and not yet written.

    Attributes
    ----------
    title : str
    html : str
        The whole file.
    sizes : dict of str to int
        Bytes of every part.
    n_results, n_maps : int
        Results that it is of; models whose maps it carries.
    simulated : bool
        Whether it is stamped so.
    """

    title: str
    html: str
    sizes: dict[str, int]
    n_results: int
    n_maps: int
    simulated: bool

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return len(self.html.encode())

    def lines(self) -> list[str]:
        """Say what it takes, part by part."""
        parts = [f"{name}: {_mb(count)}" for name, count in self.sizes.items()]
        return [
            f"{counted(self.n_results, 'result')}, maps of {counted(self.n_maps, 'model')}: "
            f"{_mb(self.n_bytes)}",
            *parts,
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return what it takes, as JSON has it."""
        return {
            "title": self.title,
            "results": self.n_results,
            "maps": self.n_maps,
            "bytes": self.n_bytes,
            "parts": dict(self.sizes),
            "simulated": self.simulated,
        }

    def write(self, path: Path | str) -> Path:
        """Write the file, whole or not at all; one that is there is replaced.

        Raises
        ------
        InputError
            The path is a folder.
        StoreError
            The disk is full or read-only.
        """
        target = given_path(path, exact=True)
        if target.is_dir():
            raise InputError(f"{target} is a folder", hint="Give a file, such as report.html.")
        with disk_errors(target.parent, ANOTHER_PLACE):
            target.parent.mkdir(parents=True, exist_ok=True)
            replace_text(target, self.html)
        return target


def build(
    results: Sequence[Result],
    *,
    title: str = "",
    maps: int | None = None,
    bases: Mapping[str, str] | None = None,
    store: Store | None = None,
    story: bool = True,
    with_sound: bool = False,
) -> Report:
    """Make a report.

    Parameters
    ----------
    results : sequence of EncodingResult, ProbingResult or TuningResult
        In this order: the first two models are A and B; where one of two was tuned from the
        other, these two, the tuned one first.
    title : str, optional
        Of the report; named after its results when left out.
    maps : int, optional
        Carry the maps of so many models only, the first ones; 0: none. All by default.
    bases : mapping of str to str, optional
        Fingerprint of a tuned model to that of the model it was tuned from.
    store : Store, optional
        Holds the predictions of the test story; without it no story can be played.
    story : bool, default True
        Carry what is played of model A's test story, as much as there is room for.
    with_sound : bool, default False
        Carry its sound, spectrogram and words, too: stimuli have owners.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        There is no result, too many, or no sound though it is asked for; or the report would be
        larger than :data:`MOST_BYTES`: the error says how large, and how many maps fit.
    """
    if maps is not None and maps < 0:
        raise InputError(f"{maps} maps", hint="Give 0 or more.")
    found = gather(results, bases or {})
    surfaces = surfaces_of(found, maps)
    packed = Packed()
    if surfaces is not None:
        packed.add("meshes", surfaces.meshes)
        packed.add("maps", surfaces.maps)
        packed.add("differences", surfaces.statistics)
    named = title or _title(found)
    head, rest = _body(found, surfaces, packed, named, "" if maps == 0 else _NO_SURFACE)
    told = _told(surfaces)
    html, sizes = joined(named, head + rest, packed, told)
    if (story or with_sound) and found.groups:
        room = MOST_BYTES - len(html.encode()) - _STORY_BYTES
        played, reason = story_part(found, store, with_sound=with_sound, room=room)
        for part, blobs in (played.blobs if played else {}).items():
            packed.add(part, blobs)
        head += sections.story_section(played, reason)
        told["story"] = played.settings if played else None
        html, sizes = joined(named, head + rest, packed, told)
    made = Report(
        named,
        html,
        sizes,
        found.n_results,
        0 if surfaces is None else len(surfaces.panels),
        found.simulated,
    )
    _require_fits(made, surfaces)
    return made


def _require_fits(made: Report, surfaces: Surfaces | None) -> None:
    if made.n_bytes <= MOST_BYTES:
        return
    fit = 0
    if surfaces is not None and surfaces.maps:
        # Models of many layers have larger maps: the last ones go until the rest fits.
        sizes = [len(surfaces.maps[panel["maps"]]) for panel in surfaces.panels]
        packed = made.sizes.get("maps", 0) / sum(map(len, surfaces.maps.values()))
        left = [made.n_bytes - packed * sum(sizes[count:]) for count in range(len(sizes))]
        fit = max((count for count, size in enumerate(left) if size <= MOST_BYTES), default=0)
    remedy = (
        f"Leave maps out: --maps {fit} (maps={fit}) keeps those of the first {fit} models, and all "
        "curves and tables."
        if fit > 0
        else "Give fewer results."
    )
    raise InputError(
        f"the report would take {_mb(made.n_bytes)}, more than {_mb(MOST_BYTES)}: "
        + "; ".join(made.lines()),
        hint=remedy,
    )


def _title(found: Gathered) -> str:
    models = list(found.names) + [one.model for one in found.probings]
    models += [one.folder.name for one in found.tunings]
    named = list(dict.fromkeys(models))
    told = " and ".join(named) if len(named) < 3 else f"{len(named)} models"
    data = list(dict.fromkeys([one.first.data for one in found.groups]
                              + [one.data for one in found.probings]))  # fmt: skip
    return f"{told} on {', '.join(data)}" if data else told


def _told(surfaces: Surfaces | None) -> dict[str, Any]:
    if surfaces is None:
        return {"panels": [], "settings": {}, "pair": None}
    settings = {name: one for name, one in surfaces.settings.items() if name != "difference"}
    return {
        "panels": list(surfaces.panels),
        "settings": settings,
        "pair": surfaces.settings["difference"],
    }


def _body(
    found: Gathered, surfaces: Surfaces | None, packed: Packed, title: str, reason: str
) -> tuple[list[Tree.Element], list[Tree.Element]]:
    """Make the sections: those before the story, and those behind it."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    made = (
        f"Written on {when} by braindash {braindash.__version__} from {found.n_results} stored "
        f"result{'' if found.n_results == 1 else 's'}. This file asks nothing of any network."
    )
    head = sections.opening(found, title, made)
    head += sections.surface_section(found, surfaces, reason or _NO_MAPS)
    parts = sections.comparison_section(found)
    parts += sections.difference_section(found)
    for name, group in zip(found.names, found.groups, strict=True):
        text = group.regions().to_csv(index=False)
        files = {f"{_file_name(name)}-regions.csv": packed.text("tables", text)}
        parts += sections.model_section(group, name, files)
    tables = {
        f"{_file_name(one.model)}-{one.key[:8]}-probes.csv": packed.text(
            "tables", one.table().to_csv(index=False)
        )
        for one in found.probings
    }
    parts += sections.probing_section(found.probings, tables)
    parts += sections.tuning_section(found.tunings)
    parts += sections.methods_section(
        _methods(found),
        _sources(found),
        [name for one in found.tunings for name in tuning_references(one.record)],
    )
    return head, parts + sections.provenance_section(_records(found, packed))


def _methods(found: Gathered) -> dict[str, Methods]:
    written: dict[str, Methods] = {}
    for name, group in zip(found.names, found.groups, strict=True):
        written[name] = encoding_methods(group)
    for one in found.probings:
        written[f"Probes of {one.model} ({one.key[:6]})"] = probing_methods(one)
    return written


def _sources(found: Gathered) -> dict[str, Source]:
    known: dict[str, Source] = {}
    for one in (*(result for group in found.groups for result in group.results), *found.probings):
        if one.data not in known or not known[one.data].citation:
            known[one.data] = source_of(one)
    return known


def _records(found: Gathered, packed: Packed) -> dict[str, str]:
    """Pack the record of every result; gives the name of each by its file's."""
    files: dict[str, str] = {}
    for group in found.groups:
        files |= {_record_name(one.kind, one.key): _record(one.spec, one.provenance, packed)
                  for one in group.results}  # fmt: skip
    for one in found.probings:
        files[_record_name(one.kind, one.key)] = _record(one.spec, one.provenance, packed)
    for tuned in found.tunings:
        files[_record_name("tuning", tuned.key)] = _tuning_record(tuned, packed)
    return files


def _record(spec: Mapping[str, Any], provenance: Mapping[str, Any], packed: Packed) -> str:
    content = {"spec": spec, "provenance": without_places(provenance)}
    return packed.text("provenance", json.dumps(content, indent=1, ensure_ascii=False))


def _tuning_record(tuned: TuningResult, packed: Packed) -> str:
    content = without_places(tuned.record)
    return packed.text("provenance", json.dumps(content, indent=1, ensure_ascii=False))


def _record_name(kind: str, key: str) -> str:
    return f"{kind}-{key[:12]}.json"


def _file_name(name: str) -> str:
    return "".join(one if one.isalnum() else "-" for one in name).strip("-")[:60] or "model"


def _mb(count: float) -> str:
    return f"{count / 1e6:.2f} MB"
