"""The one place that opens images by nibabel, and looks at what their headers promise.

A header of a few bytes may promise more than any memory holds; what it says is held against the
size of the file before anything is allocated.
"""

import math
from pathlib import Path
from typing import Any

_GZIP = b"\x1f\x8b"
# Deflated, 258 bytes take two bits at the least (RFC 1951).
_DEFLATED_AT_MOST = 1032
_ALONE = (".nii", ".nii.gz", ".mgh", ".mgz")


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
    most = path.stat().st_size * (_DEFLATED_AT_MOST if packed else 1)
    if promised > most:
        raise ValueError(
            f"its header promises {promised:,} bytes of values, more than a file of its "
            f"size can hold ({most:,})"
        )
