"""HDF5 files never lead out of themselves."""

import h5py
import numpy as np
import pytest

from braindash.errors import InputError
from braindash.io.dataset.responses import ResponseSource, load_responses, shape
from braindash.io.hdf5 import find_item, opened_hdf5, refuse_other_files


@pytest.fixture
def file(tmp_path):
    """Every way out of a file, and every way that stays within it."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.ones((30, 2))
        other["g/y"] = np.ones(3)
    (tmp_path / "secret.bin").write_bytes(bytes(480))
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["data"] = np.ones((30, 2))
        made["group/inner"] = np.zeros(2)
        made["soft"] = h5py.SoftLink("/data")
        made["group/beside"] = h5py.SoftLink("inner")
        made["group/up"] = made["/"]
        made["loop"] = h5py.SoftLink("/loop")
        inside = h5py.VirtualLayout((30, 2), "f8")
        inside[...] = h5py.VirtualSource(made["data"])
        made.create_virtual_dataset("inside", inside)
        made["link"] = h5py.ExternalLink("other.h5", "/x")
        made["by soft link"] = h5py.SoftLink("/link")
        made["group of others"] = h5py.ExternalLink("other.h5", "/g")
        made.create_dataset("raw", (30, 2), "f8", external=[(tmp_path / "secret.bin", 0, 480)])
        outside = h5py.VirtualLayout((30, 2), "f8")
        outside[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (30, 2))
        made.create_virtual_dataset("virtual", outside)
        behind = h5py.VirtualLayout((30, 2), "f8")
        behind[...] = h5py.VirtualSource(made["raw"])
        made.create_virtual_dataset("raw by virtual", behind)
    return tmp_path / "a.h5"


OUT = ["link", "by soft link", "group of others/y", "raw", "virtual", "raw by virtual"]


@pytest.mark.parametrize("key", OUT)
def test_what_lies_in_another_file_is_refused(file, key):
    with opened_hdf5(file) as opened, pytest.raises(InputError, match="data in other files"):
        find_item(opened, key)
    for read in (shape, load_responses):
        with pytest.raises(InputError, match="data in other files"):
            read(ResponseSource((file,), key=key))


@pytest.mark.parametrize("key", ["data", "soft", "inside", "group/up/data", "/data", "./data"])
def test_what_lies_in_the_file_is_read(file, key):
    assert shape(ResponseSource((file,), key=key)) == (30, 2)


def test_what_is_not_there_is_none(file):
    with opened_hdf5(file) as opened:
        assert [find_item(opened, key) for key in ("no", "data/x", "loop", "group/no")] == [
            None
        ] * 4
        assert find_item(opened, "group/beside").shape == (2,)


@pytest.mark.parametrize("key", ["link", "raw", "virtual"])
def test_a_result_that_leads_elsewhere_is_not_read(file, key, tmp_path):
    with h5py.File(file, "a") as made:
        for name in list(made):
            if name not in (key, "data"):
                del made[name]
    with opened_hdf5(file) as opened, pytest.raises(InputError):
        refuse_other_files(opened)


@pytest.mark.parametrize("sources", [["a"], ["b"], ["b", "a"], ["a"] * 20, ["missing"], ["group"]])
def test_a_virtual_array_of_itself_or_of_nothing_is_refused(tmp_path, sources):
    def virtual(made, name, of):
        layout = h5py.VirtualLayout((len(of), 2), "f8")
        for row, source in enumerate(of):
            layout[row] = h5py.VirtualSource(".", source, (2,))
        made.create_virtual_dataset(name, layout)

    with h5py.File(tmp_path / "a.h5", "w") as made:
        made.create_group("group")
        virtual(made, "a", sources)
        virtual(made, "b", ["a"])
    for read in (shape, load_responses):
        with pytest.raises(InputError, match=r"a virtual array .*: it has no numbers"):
            read(ResponseSource((tmp_path / "a.h5",), key="a"))
    with opened_hdf5(tmp_path / "a.h5") as opened, pytest.raises(InputError, match="no numbers"):
        refuse_other_files(opened)


def test_a_virtual_array_of_virtual_arrays_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["data"] = np.arange(4.0).reshape(2, 2)
        for name, source in (("one", "data"), ("two", "one")):
            layout = h5py.VirtualLayout((4, 2), "f8")
            for start in (0, 2):
                layout[start : start + 2] = h5py.VirtualSource(made[source])[:2]
            made.create_virtual_dataset(name, layout)
    found = load_responses(ResponseSource((tmp_path / "a.h5",), key="two"))
    np.testing.assert_array_equal(found, [[0, 1], [2, 3]] * 2)
