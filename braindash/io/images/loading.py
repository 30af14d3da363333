"""The one place that opens images by nibabel, and looks at what their headers promise.

A header of a few bytes may promise more than any memory holds; what it says is held against the
size of the file before anything is allocated.
"""

import base64
import gzip
import math
import re
import zlib
from pathlib import Path
from typing import Any

from braindash.errors import InputError

_GZIP = b"\x1f\x8b"
DEFLATED_AT_MOST = 1032
"""So many bytes one byte can become: deflated, 258 take two bits at the least (RFC 1951)."""

_ALONE = (".nii", ".nii.gz", ".mgh", ".mgz")
# What a file may become that is read as a whole: so much, or so many times its size. Values of a
# brain become a few times as many bytes, made-up zeros a thousand times.
_UNPACKED_BYTES = 256 << 20
_UNPACKED_TIMES = 64
_STEP = 1 << 24
_ARRAY = re.compile(rb"<DataArray\b[^>]*>")
_ATTRIBUTE = re.compile(rb"(\w+)\s*=\s*[\"']([^\"']*)[\"']")
_DATA = re.compile(rb"<Data\b[^>]*>([^<]*)")


def load_image(path: Path, **options: Any) -> Any:
    """Open an image; its values are read when they are asked for.

    Parameters
    ----------
    path : Path
        Any format of nibabel.
    **options
        Of ``nibabel.load``.

    Returns
    -------
    nibabel image

    Raises
    ------
    Exception
        nibabel lets the errors of zlib, struct, expat and numpy through. ``ValueError`` where the
        header says a size that no image has or that the file cannot hold.
    """
    import nibabel

    image: Any = nibabel.load(path, **options)
    require_held(path, image)
    return image


def require_held(path: Path, image: Any) -> None:
    """Raise ValueError where an image's header promises more than its file can hold.

    Parameters
    ----------
    path : Path
        The file.
    image : nibabel image
        Opened from it; one without a shape, such as GIFTI, is not looked at.
    """
    shape = getattr(image, "shape", None)
    if shape is None:
        return
    if not shape or min(shape) < 1:
        raise ValueError(f"its header says the shape {tuple(map(int, shape))}")
    if not path.name.lower().endswith(_ALONE):  # values may lie in a file beside it
        return
    with open(path, "rb") as stream:
        packed = stream.read(len(_GZIP)) == _GZIP
    promised = math.prod(map(int, shape)) * image.get_data_dtype().itemsize
    most = path.stat().st_size * (DEFLATED_AT_MOST if packed else 1)
    if promised > most:
        raise ValueError(
            f"its header promises {promised:,} bytes of values, more than a file of its "
            f"size can hold ({most:,})"
        )


# ---- GIFTI ------------------------------------------------------------------------------------


def load_gifti(path: Path) -> Any:
    """Open a GIFTI file; its values are decoded.

    Parameters
    ----------
    path : Path
        .gii or .gii.gz.

    Returns
    -------
    GiftiImage

    Raises
    ------
    InputError
        Its arrays lie in another file.
    Exception
        nibabel lets the errors of expat, zlib and numpy through. ``ValueError`` where it becomes
        many times as many bytes as values of a brain do.
    """
    from nibabel.gifti.gifti import GiftiImage

    content = gifti_content(path)
    if b"ExternalFileBinary" in content:
        raise InputError(
            f"{path} keeps its values in another file: data in other files are never read "
            "through it",
            hint="Write it again with its values inside (wb_command -gifti-convert BASE64_BINARY).",
        )
    _require_modest(content)
    return GiftiImage.from_bytes(content)


def gifti_content(path: Path) -> bytes:
    """Read the text of a GIFTI file, also a packed one.

    Raises
    ------
    OSError, EOFError, zlib.error
        It is damaged.
    ValueError
        It becomes many times as many bytes as values of a brain do.
    """
    with path.open("rb") as stream:
        if stream.read(len(_GZIP)) != _GZIP:
            stream.seek(0)
            return stream.read()
    most, n_bytes, blocks = _most(path.stat().st_size), 0, []
    with gzip.open(path) as unpacked:
        while block := unpacked.read(_STEP):
            n_bytes += len(block)
            _require_at_most(n_bytes, most)
            blocks.append(block)
    return b"".join(blocks)


def gifti_arrays(content: bytes) -> list[dict[str, str]]:
    """Return what the head of each data array says, by name."""
    return [
        {name.decode(): value.decode("latin-1") for name, value in _ATTRIBUTE.findall(tag)}
        for tag in _ARRAY.findall(content)
    ]


def gifti_sizes(head: dict[str, str]) -> tuple[int, ...]:
    """Return the size of a data array by its head.

    Raises
    ------
    KeyError, ValueError
        It says none, or none that an array can have.
    """
    sizes = tuple(int(head[f"Dim{axis}"]) for axis in range(int(head["Dimensionality"])))
    if not sizes or min(sizes) < 1:
        raise ValueError(f"an array has the size {sizes}")
    return sizes


def _require_modest(content: bytes) -> None:
    """Hold what the arrays promise, and what is packed in each, against the size of the text."""
    most = _most(len(content))
    _require_at_most(sum(math.prod(gifti_sizes(one)) for one in gifti_arrays(content)), most)
    for found in _DATA.finditer(content):
        if (found.end() - found.start()) * DEFLATED_AT_MOST > _UNPACKED_BYTES:
            _require_unpacked(found[1], most)


def _require_unpacked(text: bytes, most: int) -> None:
    """Count what a block of packed values becomes, without keeping it."""
    try:
        packed = base64.b64decode(text)
        unpacking, n_bytes = zlib.decompressobj(), 0
        while packed and not unpacking.eof:
            n_bytes += len(unpacking.decompress(packed, _STEP))
            _require_at_most(n_bytes, most)
            packed = unpacking.unconsumed_tail
    except zlib.error:  # as text, or as plain numbers: what is not packed does not grow
        return


def _most(n_bytes: int) -> int:
    return max(_UNPACKED_BYTES, _UNPACKED_TIMES * n_bytes)


def _require_at_most(n_bytes: int, most: int) -> None:
    if n_bytes > most:
        raise ValueError(
            f"it would become more than {most:,} bytes, far more than values of a brain that fit "
            "into a file of its size"
        )
