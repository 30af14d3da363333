"""Joins the parts of a report into one HTML file that asks nothing of anybody.

Its policy (``Content-Security-Policy``) lets nothing be requested, and only the script and the
style sheets of this file run, which are named by their digests. Bytes are deflated, in base64, in
elements that a browser does not run.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

from braindash.viewer import MODULES, PLAYER_MODULES, markup, player_markup, script

_FOLDER = Path(__file__).parent
_LEVEL = 9  # of deflating: a report is written once and opened often


@dataclass
class Packed:
    """Texts and bytes that a report carries, by their name.

    Attributes
    ----------
    parts : dict of str to dict
        Part of the budget, such as "maps", to bytes by name.
    """

    parts: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def add(self, part: str, blobs: Mapping[str, bytes]) -> None:
        """Take bytes that are deflated already."""
        self.parts.setdefault(part, {}).update(blobs)

    def text(self, part: str, content: str) -> str:
        """Deflate a text and give it a name."""
        name = hashlib.sha256(content.encode()).hexdigest()[:16]
        self.add(part, {name: zlib.compress(content.encode(), _LEVEL)})
        return name

    def written(self) -> dict[str, str]:
        """Return the elements of every part."""
        return {
            part: "".join(_element(name, content) for name, content in blobs.items())
            for part, blobs in self.parts.items()
        }


def _element(name: str, content: bytes) -> str:
    text = base64.b64encode(content).decode()
    return f'<script type="application/octet-stream" id="packed-{name}">{text}</script>\n'


@lru_cache(maxsize=1)
def bundle() -> str:
    """Join the modules of viewer and player and the report's own scripts into one module."""
    player = [one for one in PLAYER_MODULES[:-1] if one not in MODULES]
    own = [f"../exports/report/{name}" for name in ("packed", "story", "report")]
    return script((*MODULES, *player, *own))


@lru_cache(maxsize=1)
def styles() -> tuple[str, str, str]:
    """Return the page's style sheet, the viewer's, and the viewer's markup."""
    html, css = markup()
    return (_FOLDER / "report.css").read_text(encoding="utf-8"), css, html


def joined(
    title: str, body: Iterable[Tree.Element], packed: Packed, told: Mapping[str, Any]
) -> tuple[str, dict[str, int]]:
    """Write a report.

    Parameters
    ----------
    title : str
        Of the window.
    body : iterable of Element
        What is read.
    packed : Packed
        What is carried.
    told : mapping
        What the script is told, as JSON values; of a story to be played under ``story``.

    Returns
    -------
    str, dict of str to int
        The file, and the bytes that every part takes of it.
    """
    own, of_viewer, viewer = styles()
    code = bundle()
    player, of_player = player_markup() if told.get("story") else ("", "")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(code)}'",
            f"style-src {' '.join(repr(_digest(one)) for one in (own, of_viewer, of_player))}",
            "img-src blob: data:",
            "media-src blob:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    read = "".join(Tree.tostring(one, encoding="unicode", method="html") for one in body)
    # No text can end the element it stands in.
    data = json.dumps(told, allow_nan=False).replace("<", "\\u003c")
    carried = packed.written()
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="generator" content="braindash">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{own}</style>\n</head>\n<body>\n"
    )
    template = (
        f'<template id="viewer-markup"><style>{of_viewer}</style>{viewer}</template>\n'
        f'<template id="player-markup"><style>{of_player}</style>{player}</template>\n'
        f'<script type="application/json" id="report-data">{data}</script>\n'
    )
    run = f'<script type="module">{code}</script>\n</body>\n</html>\n'
    text = f"{head}<main>\n{read}\n</main>\n{template}{''.join(carried.values())}{run}"
    sizes = {
        "text, curves and tables": len((head + read + data).encode()) - len(own.encode()),
        "script and styles": len((own + template + run).encode()) - len(data.encode()),
        **{part: len(content.encode()) for part, content in carried.items()},
    }
    return text, sizes


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
