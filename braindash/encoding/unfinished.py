"""Layers of encodings under way: scores that are there before the result is put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.io.store import Store

# What a part tells of its run, as attributes of its file.
_TEXTS = ("model", "subject", "data", "space")
_NUMBERS = ("simulated", "n_layers", "layer")
_SURFACE = "surface"
KIND = "predictions"


@dataclass(frozen=True)
class Unfinished:
    """The finished layers of an encoding under way.

    Attributes
    ----------
    key : str
        Of the predictions that will be.
    model, subject, data, space : str
        As of the result that will be.
    simulated : bool
        Whether the responses are.
    n_layers : int
        Of the model.
    layers : tuple of int
        Those that are there.
    r : array of float32, shape (n_there, n_targets)
        Pearson r of prediction and mean test response; statistics come with the result.
    written : float
        When the newest layer was written, in seconds since 1970.
    surface : str or None
        Key of the map that brings the targets to a surface.
    """

    key: str
    model: str
    subject: str
    data: str
    space: str
    simulated: bool
    n_layers: int
    layers: tuple[int, ...]
    r: NDArray[np.float32]
    written: float
    surface: str | None = None


def described(
    *,
    model: str,
    subject: str,
    data: str,
    space: str,
    simulated: bool,
    n_layers: int,
    layer: int,
    surface: str | None = None,
) -> dict[str, str | int]:
    """Return the attributes by which :func:`unfinished` reads a layer's part."""
    texts = {"model": model, "subject": subject, "data": data, "space": space}
    texts |= {} if surface is None else {_SURFACE: surface}
    return {**texts, "simulated": int(simulated), "n_layers": n_layers, "layer": layer}


def unfinished(store: Store) -> list[Unfinished]:
    """List the encodings of a store of which some layers are finished, the newest first.

    Parts that do not tell what they are (written by an older version, or damaged) are left out:
    their run looks at them again itself.
    """
    found = [_read(key, files) for key, files in store.under_way(KIND).items()]
    return sorted((one for one in found if one is not None), key=lambda one: -one.written)


def _read(key: str, files: Sequence[Path]) -> Unfinished | None:
    parts: dict[int, NDArray[np.float32]] = {}
    texts: dict[str, str] = {}
    simulated, n_layers = 0, 0
    surface: str | None = None
    for path in files:
        try:
            with h5py.File(path, "r") as part:
                texts = {name: str(part.attrs[name]) for name in _TEXTS}
                simulated, n_layers, layer = (part.attrs[name].item() for name in _NUMBERS)
                surface = part.attrs.get(_SURFACE)
                parts[layer] = part["r"][()]
        except (OSError, KeyError, AttributeError):  # torn, removed meanwhile, or older
            continue
    layers = tuple(sorted(parts))
    if not layers:
        return None
    return Unfinished(
        key,
        **texts,
        simulated=bool(simulated),
        n_layers=n_layers,
        layers=layers,
        r=np.stack([parts[layer] for layer in layers]),
        written=max(_time(path) for path in files),
        surface=None if surface is None else str(surface),
    )


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
