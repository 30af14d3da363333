"""What low-level features explain of a result, as inks that mix on the surface."""

import numpy as np
from numpy.typing import NDArray

from braindash.encoding.result import EncodingResult
from braindash.encoding.shares import low_level_line, variance_parts
from braindash.errors import InputError
from braindash.viewer.blobs import MapSet
from braindash.views.linked import LinkedMaps, Mix, mixed_note
from braindash.views.maps import colour_top, score_label, surface_note, surface_options

PARTS = "parts"
PARTS_TITLE = "low level and the rest, mixed"
_SHOWN_FROM = 0.1  # of the highest value
_MOST_INKS = 3  # more cannot be told apart where they mix

Floats = NDArray[np.floating]


def has_parts(result: EncodingResult) -> bool:
    """Say whether low-level features were weighed in a result."""
    return result.spec.get("low_level") is not None


def part_maps(result: EncodingResult, mesh: str = "") -> LinkedMaps:
    """Make maps of the parts of a result's score, which one panel shows as inks that mix.

    Parameters
    ----------
    result : EncodingResult
        In which low-level features were weighed.
    mesh : str, optional
        Mesh that is drawn, of :func:`braindash.viewer.drawn.drawable`; empty for the usual one.

    Returns
    -------
    LinkedMaps
        "banded": what low-level features explain alone, what both share and what the model
        explains alone, in R²; with several low-level spaces what each of the first three spaces
        explains alone, the model's first; "residual": r minus r without low-level features, and
        the latter.

    Raises
    ------
    InputError
        When low-level features were not weighed.
    """
    parts, label = _parts(result)
    top = max(colour_top(values) for values in parts.values())
    maps = tuple(
        MapSet(
            values=values,
            names=[f"layer {layer}" for layer in range(len(values))],
            label=label,
            vmin=0.0,
            vmax=top,
            threshold=round(_SHOWN_FROM * top, 2),
            simulated=result.simulated,
            **surface_options(result, values, mesh),
        )
        for values in parts.values()
    )
    return LinkedMaps(tuple(parts), maps, mix=Mix("all parts", alone=True))


def _parts(result: EncodingResult) -> tuple[dict[str, Floats], str]:
    settings = result.spec.get("low_level")
    if settings is None:
        raise InputError(
            "low-level features were not weighed in this result",
            hint="Compute it with --low-level residual or --low-level banded.",
        )

    def of(name: str) -> Floats:
        return np.asarray(result.dataset[name].transpose("layer", "target").values)

    space = settings["space"]
    several = variance_parts(result)
    if several is not None and "+" in space:
        alone = {f"{one[0]} alone": of_one for one, of_one in several.items() if len(one) == 1}
        return dict(list(alone.items())[:_MOST_INKS]), "R²"
    if settings["method"] == "banded":
        parts = {
            f"{space} alone": of("low_unique_r2"),
            "shared": of("shared_r2"),
            f"{result.model} alone": of("model_unique_r2"),
        }
        return parts, "R²"
    left = of("residual_r")
    parts = {f"explained by {space}": result.r - left, "left without it": left}
    return parts, score_label(normalised=False)


def parts_note(linked: LinkedMaps, result: EncodingResult) -> str:
    """Say what the inks are, what is grey, and how the parts were made."""
    first = linked.maps[0]
    parts = [
        f"{first.label} of the shown layer: {', '.join(linked.names)}. {mixed_note(linked.names)}",
        "Grey: every part below the threshold, or without a score.",
        f"{low_level_line(result).rstrip('.')}.",
        surface_note(first),
    ]
    return " ".join(filter(None, parts))
