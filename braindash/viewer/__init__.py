"""The surface viewer of the browser: WebGL2 in JavaScript modules, and the blobs that it draws.

The JavaScript modules beside this file are joined into one text, because a component is given as
a string and nothing may be fetched at run time: ``import`` lines are dropped and ``export`` is
kept for the entry point only.
"""

import re
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent
# In the order of their dependencies.
MODULES = (
    "blobs",
    "dom",
    "inks",
    "address",
    "geometry",
    "camera",
    "layout",
    "picking",
    "shader",
    "smoothing",
    "renderer",
    "panels",
    "display",
    "labels",
    "saved",
    "picture",
    "scale",
    "regions",
    "titles",
    "pointer",
    "viewer",
    "component",
)
CARRIER_MODULES = ("blobs", "carrier")
# The viewer in time, with sound, words and courses beside it.
PLAYER_MODULES = (
    *MODULES[:-1],
    "clock",
    "series",
    "painter",
    "painted",
    "timeline",
    "courses",
    "bars",
    "surface",
    "player",
    "playercomponent",
)
_IMPORT = re.compile(r"^import .*?;\n", re.MULTILINE | re.DOTALL)
# Where the viewer's HTML has room for more, and what parts that of the player.
_PLACE, _SEAM = re.compile(r"^ *<!-- \w+ -->\n", re.MULTILINE), "<!-- next -->\n"
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


@lru_cache(maxsize=5)
def script(modules: tuple[str, ...] = MODULES) -> str:
    """Join JavaScript modules, in the order of their dependencies, into one.

    A module of another folder is named by its path from here, as in ``"../exports/report/report"``.
    """
    texts = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in modules]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def markup() -> tuple[str, str]:
    """Return the viewer's HTML and its style sheet."""
    return _PLACE.sub("", _read("viewer.html")), _read("viewer.css")


def player_markup() -> tuple[str, str]:
    """Return the same of the viewer in time: what is heard above it, courses beside it."""
    html = _read("viewer.html")
    parts = _read("player.html").split(_SEAM)
    for place, part in zip(("above", "over", "beside"), parts, strict=True):
        html = html.replace(f"<!-- {place} -->", part)
    return html, _read("viewer.css") + _read("player.css")


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
