"""Colours and names that figures and the viewer share: of regions, and of scales."""

import colorsys
import zlib
from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from matplotlib import colormaps

from braindash.viewer.packing import pack

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
# Of up to twelve models in one figure: the palette's, and Tol's that differ from them.
MODEL_COLOURS = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#882255", "#332288", "#44AA99", "#999933", "#661100", "#7F7F7F"),
)
GREY = "#7F7F7F"
REGION_COLOURS: Mapping[str, str] = {
    "all targets": GREY,
    "primary_auditory": "#0072B2",
    "early_auditory": "#56B4E9",
    "superior_temporal": "#009E73",
    "late_language": "#D55E00",
    "angular_gyrus": "#CC79A7",
    "lateral_temporal": "#E69F00",
    "ifg_mfg": "#E6004D",
    "inferior_frontal": "#E6004D",
    "middle_frontal": "#4D66E6",
    "early_visual": "#664DFF",
    "auditory_core": "#0072B2",
    "auditory_belt": "#56B4E9",
    "auditory_parabelt": "#44AA99",
    "auditory_association": "#009E73",
    "dorsal_sts": "#E69F00",
    "ventral_sts": "#D55E00",
    "anterior_stg": "#CC79A7",
    "temporo_parietal_junction": "#E6004D",
    "language": "#D55E00",
    "ifg": "#E6004D",
    "ifg_orbital": "#AA4499",
    "mfg": "#4D66E6",
    "anterior_temporal": "#E69F00",
    "posterior_temporal": "#009E73",
    "superior_frontal": "#999933",
}
_TITLES = {
    "ifg_mfg": "IFG / MFG",
    "all targets": "All targets",
    "ifg": "IFG",
    "ifg_orbital": "IFG, orbital",
    "mfg": "MFG",
    "dorsal_sts": "Dorsal STS",
    "ventral_sts": "Ventral STS",
    "anterior_stg": "Anterior STG",
}
SEQUENTIAL = ("inferno", "viridis", "magma", "cividis")
DIVERGING = ("RdBu_r", "coolwarm")
MIX_COLOURS = ("#EE3377", "#CCAA33", "#1122FF")
"""Inks of two or three maps that mix; their seven sums are told apart without red or green."""


def region_title(region: str) -> str:
    """Write a region's name for readers."""
    if region in _TITLES:
        return _TITLES[region]
    # Labels of a parcellation, such as STSda or G_temp_sup, are written as they are.
    return region if region != region.lower() else region.replace("_", " ").capitalize()


def region_colour(region: str) -> str:
    """Return a region's colour, the same one everywhere: for a name without one, made of it."""
    if region in REGION_COLOURS:
        return REGION_COLOURS[region]
    share = zlib.crc32(region.encode()) / 2**32
    red, green, blue = colorsys.hls_to_rgb(share, 0.42 + 0.16 * ((share * 97) % 1), 0.62)
    return "#" + "".join(f"{round(255 * part):02X}" for part in (red, green, blue))


@lru_cache(maxsize=1)
def colour_blob() -> bytes:
    """Pack the colour scales, 256 RGB bytes each."""
    steps = np.linspace(0.0, 1.0, 256)
    arrays = {
        name: np.round(colormaps[name](steps)[:, :3] * 255).astype(np.uint8)
        for name in (*SEQUENTIAL, *DIVERGING)
    }
    return pack({"diverging": list(DIVERGING)}, arrays)
