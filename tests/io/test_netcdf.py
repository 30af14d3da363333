"""netCDF-4 files: what xarray alone writes and reads, and what is wrong with a file."""

import errno
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from braindash.io.netcdf import load_netcdf, open_netcdf, write_netcdf


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    return xr.Dataset(
        {
            "r": (("layer", "target"), rng.normal(size=(3, 7)).astype(np.float32)),
            "scored": ("time", rng.random(5) > 0.5),
            "prediction": (
                ("layer", "time", "target"),
                rng.integers(-9, 9, (3, 5, 7)).astype("i2"),
            ),
            "words": ("layer", np.array(["a", "größer", ""], dtype=object)),
            "empty": (("none", "target"), np.empty((0, 7), dtype=np.float32)),
            "one": ((), 4.5),
        },
        {"layer": [0, 1, 2], "model": ("target", list("abcdefg"))},
        {"seconds": 1.5, "name": "toy"},
    )


@pytest.mark.parametrize("n_bytes", [0, 3000])
def test_a_write_that_fails_is_one_error_and_nothing_is_said_later(tmp_path, n_bytes):
    """HDF5 would try again, and print tracebacks, when the process ends."""
    code = f"""
import resource, signal
import numpy as np
import xarray as xr
from braindash.io.netcdf import write_netcdf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({n_bytes}, {n_bytes}))
several = {{str(n): ("x", np.arange(300.0)) for n in range(5)}}
try:
    write_netcdf(xr.Dataset(several), {str(tmp_path / "a.nc")!r})
except OSError as error:
    print("errno", error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"errno {errno.EFBIG}\n", "")


def test_what_is_written_is_read_by_xarray_alone_and_the_other_way(dataset, tmp_path):
    own, plain = tmp_path / "own.nc", tmp_path / "plain.nc"
    encoding = {"prediction": {"chunksizes": (1, 5, 4)}}
    write_netcdf(dataset, own, encoding)
    dataset.to_netcdf(plain, engine="h5netcdf", encoding=encoding)
    expected = xr.load_dataset(plain, engine="h5netcdf")
    for found in (xr.load_dataset(own, engine="h5netcdf"), load_netcdf(plain), load_netcdf(own)):
        xr.testing.assert_identical(found, expected)
    assert found["prediction"].encoding["chunksizes"] == (1, 5, 4)


def test_arrays_are_read_when_they_are_used_and_no_more_after_closing(dataset, tmp_path):
    write_netcdf(dataset, tmp_path / "one.nc")
    with open_netcdf(tmp_path / "one.nc") as opened:
        np.testing.assert_array_equal(opened["r"][1], dataset["r"][1])
        late = opened["prediction"]
    with pytest.raises(Exception, match="Closed"):
        late.values  # noqa: B018
    (tmp_path / "one.nc").unlink()


def test_a_file_is_replaced_and_a_broken_one_is_no_other_error(dataset, tmp_path):
    path = tmp_path / "one.nc"
    path.write_bytes(b"nothing")
    with pytest.raises(OSError, match="signature"):
        open_netcdf(path)
    write_netcdf(dataset, path)
    write_netcdf(dataset[["r"]], path)
    assert set(load_netcdf(path).data_vars) == {"r"}
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(OSError, match="truncated"):
        open_netcdf(path)
    with pytest.raises(FileNotFoundError):
        open_netcdf(tmp_path / "absent.nc")
