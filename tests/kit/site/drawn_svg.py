"""What an SVG of braindash says, read from the file alone: its ticks tell what its places mean."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np

SVG = "{http://www.w3.org/2000/svg}"


def by_id(content: bytes | str) -> dict[str, ET.Element]:
    """Return the elements of an SVG that have a name."""
    return {one.get("id"): one for one in ET.fromstring(content).iter() if one.get("id")}


def scale_of(panel: ET.Element, name: str) -> Any:
    """From pixels to numbers, by the marks and words of an axis; None where it has names."""
    places, values = [], []
    for one in panel.iter():
        if not re.fullmatch(rf"{name}_\d+", one.get("id") or ""):
            continue
        mark = [use for use in one.iter(f"{SVG}use") if use.get("x")][-1]
        text = "".join(next(one.iter(f"{SVG}text"), one).itertext()).strip().replace("−", "-")
        if not re.fullmatch(r"-?[\d.]+", text):
            return None
        places.append(float(mark.get("x" if name == "xtick" else "y")))
        values.append(float(text))
    return np.polyfit(places, values, 1) if len(places) > 1 else None


def points_of(ids: dict[str, ET.Element], number: int) -> np.ndarray:
    """Return the points of a drawn line, in pixels; none where the trace is no line."""
    path = ids[f"trace-{number}"].find(f"{SVG}path")
    found = [] if path is None else re.findall(r"[ML] (\S+) (\S+)", path.get("d") or "")
    return np.array(found, dtype=float).reshape(-1, 2)
