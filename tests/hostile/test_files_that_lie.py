"""Files whose headers promise more than they hold, nest without an end, or never stop.

Each kind of reader is given the same kinds of lies. Whatever comes of it is a value or an error of
ours: no traceback, no minutes, no memory beyond what the file's own size justifies.
"""

import base64
import gzip
import resource
import struct
import zlib

import h5py
import numpy as np
import pytest
from kit.machines.watched import little_memory

from braindash.errors import BraindashError, InputError
from braindash.io.dataset.arrays import available_keys, opened_array
from braindash.io.images import loading
from braindash.io.images.loading import load_gifti, load_image
from braindash.io.images.surfaces import gifti_shape, gifti_values
from braindash.io.labels.aligned import speaker_rule
from braindash.io.labels.own import read_label_table
from braindash.io.labels.textgrid import read_textgrid
from braindash.io.labels.words import read_word_vectors
from braindash.io.regions.label_files import read_labels_of, read_values
from braindash.io.spaces.meshes import read_surface

HEAD = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end}\n'
    "tiers? <exists>\nsize = {n}\nitem []:\n"
)
TIER = 'class = "IntervalTier"\nname = "w"\nxmin = 0\nxmax = 1\nintervals: size = {n}\n'
ENTRY = 'xmin = {start}\nxmax = 1\ntext = "{label}"\n'


def grid(n_tiers=1, n_entries=1, end="1", start="0", label="a", tiers=1):
    made = HEAD.format(end=end, n=n_tiers)
    one = TIER.format(n=n_entries) + ENTRY.format(start=start, label=label)
    return made + one * tiers


GRIDS = {
    "digits": grid(n_tiers="9" * 5000),
    "infinite end": grid(end="1e400"),
    "infinite start": grid(start="1e400"),
    "entries": grid(n_entries="9" * 400),
    "negative": grid(n_tiers=-3, n_entries=-1),
    "superscript": grid(n_tiers="\u00b2"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_a_textgrid_with_absurd_numbers_is_refused(name, tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(GRIDS[name], encoding="utf-8")
    with pytest.raises(InputError, match="TextGrid"):
        read_textgrid(path)


def test_a_textgrid_of_many_tiers_of_one_name_is_read_once_through(tmp_path):
    n_tiers = 5000  # the square of it would be minutes
    path = tmp_path / "a.TextGrid"
    path.write_text(grid(n_tiers=n_tiers, tiers=n_tiers), encoding="utf-8")
    tiers = read_textgrid(path)
    assert len(tiers) == n_tiers and list(tiers)[:3] == ["w", "w_2", "w_3"]


def test_a_label_of_megabytes_takes_no_memory_by_the_letter(tmp_path):
    label = "a" * 4_000_000
    path = tmp_path / "a.TextGrid"
    path.write_text(grid(label=label), encoding="utf-8")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_textgrid(path)["w"][0].label == label
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 40 * len(label)


# ---- arrays -----------------------------------------------------------------------------------


def opened(path):
    with opened_array(path, None) as array:
        return array.shape


def npy(header):
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(60)


SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}"
NPYS = {
    "negative": npy(SHAPE % "(-5, 3)"),
    "huge": npy(SHAPE % "(10**0, 1000000000000)"),
    "huge shape": npy(SHAPE % "(1000000000, 1000000)"),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (5, 3)}"),
    "nested": npy("(" * 30_000),
    "unfinished": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (5, \\"),
    "code": npy("__import__('os').getcwd()"),
    "digits": npy(SHAPE % ("(" + "9" * 5000 + ", 3)")),
    "no type": npy("{'descr': 'zz', 'fortran_order': False, 'shape': (5, 3)}"),
    "nothing": b"\x93NUMPY",
}


@pytest.mark.parametrize("name", NPYS)
@pytest.mark.parametrize("read", [opened, lambda path: read_values([path])], ids=["runs", "map"])
def test_a_npy_that_lies_is_refused(name, read, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(NPYS[name])
    with little_memory(), pytest.raises(BraindashError):
        read(path)


def nifti(shape, n_bytes=64):
    head = bytearray(352)
    head[:4] = struct.pack("<i", 348)
    head[40:56] = struct.pack("<8h", len(shape), *shape, *[1] * (7 - len(shape)))
    head[70:74] = struct.pack("<hh", 16, 32)
    head[108:112] = struct.pack("<f", 352)
    head[344:348] = b"n+1\x00"
    return bytes(head) + bytes(n_bytes)


@pytest.mark.parametrize("shape", [(30_000,) * 4, (-3, 3, 3, 3), (0, 3, 3, 3), (9, 9, 9, 9)])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_volume_of_a_size_that_its_file_cannot_hold_is_refused(shape, ending, tmp_path):
    path, content = tmp_path / f"a{ending}", nifti(shape)
    if ending == ".nii.gz" and shape == (9, 9, 9, 9):  # deflated, so many zeros could lie in it
        content = nifti(shape, 9**4 * 4)
    path.write_bytes(gzip.compress(content) if ending == ".nii.gz" else content)
    if len(content) > 1000:
        assert load_image(path).shape == shape
        return
    with little_memory(), pytest.raises(InputError):
        opened(path)


GIFTI = """<?xml version="1.0" encoding="UTF-8"?><GIFTI Version="1.0" NumberOfDataArrays="1">
<MetaData/><LabelTable/><DataArray Intent="NIFTI_INTENT_TIME_SERIES" DataType="NIFTI_TYPE_FLOAT32"
ArrayIndexingOrder="RowMajorOrder" Dimensionality="{n}" Dim0="{size}" Encoding="GZipBase64Binary"
Endian="LittleEndian" ExternalFileName="" ExternalFileOffset=""><MetaData/><Data>{data}</Data>
</DataArray></GIFTI>"""
ZEROS = 40 << 20


def packed(n_bytes):
    return base64.b64encode(zlib.compress(bytes(n_bytes), 1)).decode()


GIFTIS = {
    "packed": gzip.compress(b"<?xml version='1.0'?><GIFTI>" + b" " * ZEROS, 1),
    "array": GIFTI.format(n=1, size=ZEROS // 4, data=packed(ZEROS)).encode(),
    "array of another size": GIFTI.format(n=1, size=10, data=packed(ZEROS)).encode(),
}
READERS = {
    "series": gifti_values,
    "labels": read_labels_of,
    "map": lambda path: read_values([path]),
    "surface": read_surface,
}


@pytest.mark.parametrize("name", GIFTIS)
@pytest.mark.parametrize("reader", READERS)
def test_a_gifti_that_becomes_gigabytes_is_refused(name, reader, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_UNPACKED_BYTES", 1 << 20)
    path = tmp_path / ("a.gii.gz" if name == "packed" and reader != "surface" else "a.gii")
    path.write_bytes(GIFTIS[name])
    with pytest.raises(InputError, match="far more than values of a brain"):
        READERS[reader](path)


@pytest.mark.parametrize("size", ["99999999999", "-5", "0", "9" * 5000, "3\u00b2"])
def test_the_size_of_a_gifti_is_not_believed_beyond_its_file(size, tmp_path):
    path = tmp_path / "a.func.gii"
    path.write_text(GIFTI.format(n=1, size=size, data=packed(40)), encoding="utf-8")
    with little_memory(), pytest.raises(InputError):
        gifti_shape(path)


def test_a_gifti_of_endless_axes_is_refused_at_once(tmp_path):
    path = tmp_path / "a.func.gii"
    path.write_text(GIFTI.format(n=10**9, size=10, data=packed(40)))
    with pytest.raises(InputError):
        gifti_values(path)


def test_a_gifti_with_a_large_packed_array_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "_UNPACKED_BYTES", 1 << 10)
    values = np.random.default_rng(0).normal(size=1000).astype("<f4")
    path = tmp_path / "a.func.gii"
    data = base64.b64encode(zlib.compress(values.tobytes())).decode()
    path.write_text(GIFTI.format(n=1, size=1000, data=data))
    assert np.array_equal(load_gifti(path).darrays[0].data, values)


def deep(file):
    group = file
    for _ in range(200):
        group = group.create_group("g")
    group["x"] = np.zeros(3)


def test_groups_without_an_end_are_refused(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        deep(file)
    with pytest.raises(InputError, match="deep in each other"):
        available_keys(path)
    with pytest.raises(InputError, match="deep in each other"):
        opened(path)


# ---- tables and texts -------------------------------------------------------------------------


def test_a_table_of_endless_columns_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{number}" for number in range(20_000)) + "\n")
    with pytest.raises(InputError, match="20000 columns"):
        read_label_table(path)


VECTORS = {
    "promise": "99999999999 300\na 1 2\n",
    "dimensions": "1 99999999999\na 1\n",
    "infinite": "a 1e400 2\nb nan 1\n",
    "digits": "a " + "9" * 5000 + "\n",
    "one word": "a\n",
    "nothing": "",
}


@pytest.mark.parametrize("name", VECTORS)
def test_word_vectors_that_lie_are_refused(name, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(VECTORS[name])
    with little_memory(), pytest.raises(InputError):
        read_word_vectors(path)


def test_a_rule_of_speakers_that_never_ends_is_refused():
    found = speaker_rule("^(a|aa)+$")
    assert found("aa", None) in ("a", "aa")
    with pytest.raises(InputError, match="takes too long"):
        found("a" * 80 + "b", None)
