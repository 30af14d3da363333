"""Read safetensors by the byte: what a file holds, and some of its tensors, without the others.

A file begins with the length of a JSON header (eight bytes, little-endian) that names every tensor
with its type, shape and place. Nothing is mapped into memory, so a few tensors of a large file cost
no more than themselves.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from braindash.errors import ModelError
from braindash.files import parse_json
from braindash.speech.checkpoints.families import Family
from braindash.speech.checkpoints.folders import UNQUANTISED

if TYPE_CHECKING:
    from torch import Tensor

_LENGTH = 8
# Headers of the largest models have a few megabytes.
_LONGEST = 100_000_000
# What DataParallel and torch.compile write before the names of what they wrap, at any depth.
WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:module|_orig_mod)\.")
# As safetensors and as torch name them.
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
_TORCH_FLOATS = frozenset({f"torch.{one}" for one in ("float64", "float32", "float16", "bfloat16")})


@dataclass(frozen=True)
class Stored:
    """One tensor of a file.

    Attributes
    ----------
    kind : str
        Its type, such as ``"F32"``.
    shape : tuple of int
    start, end : int
        Its bytes in the file.
    """

    kind: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def n_values(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def unwrapped(name: str) -> str:
    """Take ``module.`` and ``_orig_mod.`` off a weight's name, in any order and at any depth."""
    return WRAPPERS.sub("", name)


def read_header(path: Path) -> dict[str, Stored]:
    """List the tensors of a safetensors file.

    Raises
    ------
    ModelError
        When the file is damaged or cut short.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(_LENGTH), "little")
            if length > min(size - _LENGTH, _LONGEST):
                raise ValueError("its header is cut short")
            header = parse_json(stream.read(length).decode("utf-8"))
        first = _LENGTH + length
        found = {
            name: Stored(
                str(entry["dtype"]),
                tuple(int(side) for side in entry["shape"]),
                first + int(entry["data_offsets"][0]),
                first + int(entry["data_offsets"][1]),
            )
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(path, error) from error
    if any(not first <= one.start <= one.end <= size for one in found.values()):
        raise _damaged(path, f"it has {size} bytes, fewer than its header tells")
    return found


def read_tensors(path: Path, wanted: Mapping[str, Stored]) -> Iterator[tuple[str, "Tensor"]]:
    """Read some tensors, one by one, as float32.

    Parameters
    ----------
    path : Path
    wanted : mapping of str to Stored
        From :func:`read_header`.

    Yields
    ------
    name : str
    tensor : Tensor

    Raises
    ------
    ModelError
        When the file is damaged.
    """
    import torch

    kinds = {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
    }
    with path.open("rb") as stream:
        for name, one in wanted.items():
            kind = kinds.get(one.kind)
            if kind is None:
                raise _damaged(path, f"{name} is of the type {one.kind}")
            content = bytearray(one.end - one.start)
            stream.seek(one.start)
            if stream.readinto(content) < len(content):
                raise _damaged(path, "it is cut short")
            if len(content) != one.n_values * kind.itemsize:
                raise _damaged(path, f"{name} has {len(content)} bytes for the shape {one.shape}")
            flat = torch.frombuffer(content, dtype=kind) if content else torch.empty(0)
            yield name, flat.reshape(one.shape).float()


def headers(weights: Iterable[Path]) -> dict[str, Stored]:
    """List the tensors of those files that are safetensors."""
    found: dict[str, Stored] = {}
    for path in weights:
        if path.suffix == ".safetensors":
            found |= read_header(path)
    return found


def refuse_quantised(weights: Iterable[Path], family: Family) -> None:
    """Refuse weights that are whole numbers, or floats of eight bits.

    Parameters
    ----------
    weights : iterable of Path
    family : Family
        Of the audio tower of a larger model, the tower's weights alone are looked at.

    Raises
    ------
    ModelError
    """
    prefixes = family.parents[:-1] if family.tower else ("",)
    for path in weights:
        if path.suffix != ".safetensors":
            continue
        try:
            header = read_header(path)
        except ModelError:
            continue  # the loader says more about a damaged file, after the fingerprint is known
        mine = {name: one.kind for name, one in header.items() if name.startswith(prefixes)}
        refuse_rounded(mine, path)


def refuse_rounded(kinds: Mapping[str, str], path: Path) -> None:
    """Refuse weights that are no floats of 16 bits or more.

    Parameters
    ----------
    kinds : mapping of str to str
        The type of every tensor, as safetensors or torch names it.
    path : Path
        The file.

    Raises
    ------
    ModelError
    """
    rounded = [
        (name, kind)
        for name, kind in kinds.items()
        if name.endswith(("weight", "bias")) and kind not in _FLOATS | _TORCH_FLOATS
    ]
    if rounded:
        name, kind = rounded[0]
        raise ModelError(
            f"the weights in {path} are quantised: {len(rounded)} of them are of the type "
            f"{kind}, such as {name}",
            hint=UNQUANTISED,
        )


def _damaged(path: Path, reason: object) -> ModelError:
    return ModelError(
        f"the weights in {path} cannot be read: {reason}",
        hint="Copy or download the model again; the file is probably damaged or cut short.",
    )
