"""Arrays of other programs: read where they are numbers, told as what they are where not."""

import pickle
import zlib

import h5py
import numpy as np
import pytest
from kit.data.toy_lab import make_lab

from braindash.errors import InputError
from braindash.io.dataset.check import check_subject
from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import ResponseSource, load_responses, shape

ROWS = np.arange(12.0).reshape(4, 3)


def read(path, key="data"):
    return load_responses(ResponseSource((path,), key=key))


# ---- .npy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8", "<f2", "<i2", ">i2", "u1", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_kind_of_number_gives_the_same_rows(tmp_path, kind, order):
    np.save(tmp_path / "a.npy", np.asarray(ROWS.astype(kind), order=order))
    found = read(tmp_path / "a.npy")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, ROWS)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.array([[1, None]], dtype=object), "holds Python objects"),
        (ROWS.astype(complex), "holds complex numbers"),
        (np.zeros((2, 2), dtype=[("a", "f4"), ("b", "i2")]), r"a structured array \(fields a, b\)"),
        (np.array([["a", "b"]]), "holds text"),
        (np.array([[b"a", b"b"]]), "holds text"),
        (ROWS > 1, "holds truth values"),
        (ROWS.astype("datetime64[s]"), "holds dates"),
        (ROWS[0], r"has the shape \(3,\), but 2 dimensions"),
        (np.stack([ROWS, ROWS]), r"has the shape \(2, 4, 3\)"),
        (np.float64(3), r"has the shape \(\)"),
        (ROWS[:0], "is empty"),
    ],
)
def test_arrays_that_are_no_responses(tmp_path, array, says):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=says) as caught:
        read(tmp_path / "a.npy")
    assert caught.value.hint


# ---- other programs' files -----------------------------------------------------------------------


def beginning(name):
    return {
        "MATLAB file older": b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(200),
        "zip archive": b"PK\x03\x04" + bytes(50),
        "gzip": b"\x1f\x8b\x08" + zlib.compress(b"x" * 99),
        "XML": b'<?xml version="1.0"?><notes>',
        "pickle": pickle.dumps([1.0]),
        "Parquet": b"PAR1" + bytes(40),
    }[name]


@pytest.mark.parametrize(
    "name", ["MATLAB file older", "zip archive", "gzip", "XML", "pickle", "Parquet"]
)
def test_files_are_told_by_how_they_begin(tmp_path, name):
    (tmp_path / "a.mat").write_bytes(beginning(name))
    with pytest.raises(InputError, match=f"{name}.*none of the formats that are read") as caught:
        read(tmp_path / "a.mat")
    assert ("loadmat" in caught.value.hint) == name.startswith("MATLAB")


# ---- MATLAB -v7.3 --------------------------------------------------------------------------------


def write_matlab(path, array, kind=b"double", **attributes):
    """As MATLAB's -v7.3 does: the axes are turned, the class is an attribute."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("#refs#")
        made = file.create_dataset("data", data=array)
        made.attrs["MATLAB_class"] = np.bytes_(kind)
        for name, value in attributes.items():
            made.attrs[name] = value
    return path


def test_a_matrix_with_targets_as_rows_is_read(tmp_path):
    path = write_matlab(tmp_path / "a.mat", ROWS)
    np.testing.assert_array_equal(read(path), ROWS)
    with pytest.raises(InputError, match=r"does not exist.*the file holds data \(4, 3\)\n"):
        read(path, key="Data")


@pytest.mark.parametrize(
    ("kind", "attributes", "says"),
    [
        (b"char", {"MATLAB_int_decode": 2}, "a MATLAB char"),
        (b"logical", {"MATLAB_int_decode": 1}, "a MATLAB logical"),
        (b"double", {"MATLAB_empty": np.uint8(1)}, "an empty MATLAB matrix"),
    ],
)
def test_other_classes_of_matlab_are_named(tmp_path, kind, attributes, says):
    path = write_matlab(tmp_path / "a.mat", np.ones((2, 2), np.uint16), kind, **attributes)
    with pytest.raises(InputError, match=says):
        read(path)


def test_cells_structs_sparse_and_complex_matrices_are_named(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        file["#refs#/a"] = ROWS
        cell = file.create_dataset("cell", (1, 1), dtype=h5py.ref_dtype)
        cell[0, 0] = file["#refs#/a"].ref
        cell.attrs["MATLAB_class"] = np.bytes_(b"cell")
        plain = file.create_dataset("plain", (1, 1), dtype=h5py.ref_dtype)
        plain[0, 0] = file["#refs#/a"].ref
        file["struct/inner"] = ROWS
        file["struct"].attrs["MATLAB_class"] = np.bytes_(b"struct")
        file["sparse/data"], file["sparse/ir"] = ROWS[0], [0, 1, 2]
        file["sparse"].attrs["MATLAB_sparse"] = np.uint64(4)
        file["complex"] = np.zeros((2, 2), dtype=[("real", "f8"), ("imag", "f8")])
    for key, says in {
        "cell": r"a MATLAB cell array \(references\), not a matrix",
        "plain": "references to other parts of the file",
        "struct": r"a MATLAB struct.*",
        "sparse": "a sparse MATLAB matrix",
        "complex": "complex numbers",
    }.items():
        with pytest.raises(InputError, match=says) as caught:
            read(path, key=key)
        assert caught.value.hint
    np.testing.assert_array_equal(read(path, key="struct/inner"), ROWS)


@pytest.fixture
def turned(tmp_path):
    """A lab whose responses MATLAB wrote, with time along its rows."""
    lab = make_lab(tmp_path / "lab", tmp_path)
    lab.edit(".hf5", ".mat")
    lab.edit('repeats_key = "individual_repeats"\n', "")
    lab.edit("units = 12\n", "")
    for path in (lab.folder / "responses").glob("*/*.hf5"):
        with h5py.File(path) as file:
            array = file["data"][:]
        write_matlab(path.with_suffix(".mat"), array.T)
    return lab


def test_turned_axes_are_told(turned):
    with pytest.raises(InputError, match="look transposed: all stories have 12 rows") as caught:
        check_subject(load_manifest(turned.manifest), "A")
    assert "MATLAB wrote them" in str(caught.value) and "data = data.'" in str(caught.value)


def test_turned_axes_are_told_where_the_numbers_of_rows_would_fit(turned):
    """As many targets as rows: only the other stories tell."""
    for path in (turned.folder / "responses").glob("*/*.mat"):
        with h5py.File(path) as file:
            array = file["data"][:]
        write_matlab(path, np.resize(array, (44, array.shape[1])))
    with pytest.raises(InputError, match=r"transposed: all stories have 44 rows.*\(44, 42\)"):
        check_subject(load_manifest(turned.manifest), "A")


def test_a_matrix_of_matlab_that_fits_is_read_and_said_to_be_turned(turned):
    for path in (turned.folder / "responses").glob("*/*.mat"):
        with h5py.File(path) as file:
            array = file["data"][:]
        write_matlab(path, array.T)
    told = check_subject(load_manifest(turned.manifest), "A").warnings
    assert any("read with their axes turned, 42 rows of 12 targets" in text for text in told)


# ---- HDF5 ----------------------------------------------------------------------------------------


def test_filters_that_hdf5_has_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("gzip", "lzf"):
            file.create_dataset(name, data=ROWS, compression=name, shuffle=True, fletcher32=True)
    for name in ("gzip", "lzf"):
        np.testing.assert_array_equal(read(tmp_path / "a.h5", key=name), ROWS)


def with_unknown_filter(path, number=40123):
    """A data set that says it is packed by a filter that nobody has."""
    with h5py.File(path, "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((2, 3))
        made.set_filter(number, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(ROWS.shape)
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_DOUBLE, space, made)
    return path


def test_filters_that_are_not_installed_are_named_before_anything_is_read(tmp_path):
    path = with_unknown_filter(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"packed by the HDF5 filter .*\(40123\).*not installed"):
        shape(ResponseSource((path,), key="data"))
    with pytest.raises(InputError, match="not installed") as caught:
        read(path)
    assert "hdf5plugin" in caught.value.hint and "h5repack" in caught.value.hint
