"""Arrays as compact binary blobs for the browser.

A blob is deflated ``uint32 header length, JSON header, arrays``; the header lists name, type, shape
and offset of every array. Whole numbers travel as differences from the row before (wrapping
around), low bytes first, then high bytes: neighbouring layers and vertices are alike, so that
deflating takes a third off a mesh and more off smooth maps.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from braindash.files import parse_json


def pack(header: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Join arrays and a header into one blob.

    Parameters
    ----------
    header : mapping
        What JSON can hold; "arrays" is added.
    arrays : mapping of str to array
        Of uint8, uint16, int16 or float32, of one dimension or more.

    Returns
    -------
    bytes
        :func:`unpack` reads them, and so does the viewer's script.
    """
    listed, chunks, offset = [], [], 0
    for name, array in arrays.items():
        content = _encode(array)
        listed.append(
            {
                "name": name,
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "offset": offset,
                "bytes": len(content),
            }
        )
        chunks.append(content)
        offset += len(content)
    text = json.dumps({**header, "arrays": listed}, allow_nan=False).encode()
    return zlib.compress(struct.pack("<I", len(text)) + text + b"".join(chunks))


def unpack(blob: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a blob that :func:`pack` made: its header and its arrays by name."""
    content = zlib.decompress(blob)
    (length,) = struct.unpack_from("<I", content)
    header = parse_json(content[4 : 4 + length])
    arrays = {}
    for item in header.pop("arrays"):
        start = 4 + length + item["offset"]
        part = content[start : start + item["bytes"]]
        arrays[item["name"]] = _decode(part, np.dtype(item["dtype"]), item["shape"])
    return header, arrays


def _encode(array: np.ndarray) -> bytes:
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array).tobytes()
    steps = array.copy()
    steps[1:] -= array[:-1]
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return np.ascontiguousarray(planes.T).tobytes()


def _decode(content: bytes, dtype: np.dtype[Any], shape: list[int]) -> np.ndarray:
    if dtype.kind == "f":
        return np.frombuffer(content, dtype).reshape(shape)
    planes = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1)
    steps = np.ascontiguousarray(planes.T).view(dtype).reshape(shape)
    return np.cumsum(steps, axis=0, dtype=dtype)
