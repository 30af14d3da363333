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
