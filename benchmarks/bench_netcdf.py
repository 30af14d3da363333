"""Opening and writing a store's netCDF-4 files, against xarray alone.

``python benchmarks/bench_netcdf.py`` makes files of few and of many small arrays, opens and writes
them both ways by turns, and prints milliseconds of CPU time, the ratio, and the largest difference.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

from braindash.io.netcdf import load_netcdf, open_netcdf, write_netcdf

N_ARRAYS = (3, 15, 40)


def make_dataset(n_arrays: int) -> xr.Dataset:
    """Make arrays of layers, targets and time, as results have them."""
    rng = np.random.default_rng(0)
    shapes = (("layer", "target"), ("layer",), ("target",), ("time", "target"))
    sizes = {"layer": 13, "target": 200, "time": 50}
    return xr.Dataset(
        {
            f"array_{number}": (dims, rng.normal(size=[sizes[dim] for dim in dims]))
            for number, dims in enumerate((shapes * n_arrays)[:n_arrays])
        },
        {"layer": np.arange(sizes["layer"])},
    )


def timed(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the least CPU milliseconds of each way, taken by turns."""
    least = dict.fromkeys(ways, np.inf)
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.process_time()
            way()
            least[name] = min(least[name], 1000 * (time.process_time() - started))
    return least


def opened(way: Callable[[Path], xr.Dataset], path: Path) -> Callable[[], None]:
    """Return a function that opens a file and closes it."""

    def run() -> None:
        with way(path):
            pass

    return run


def measure(n_arrays: int, folder: Path, repeats: int) -> dict[str, float]:
    """Compare both ways for one number of arrays."""
    dataset, own, plain = make_dataset(n_arrays), folder / "own.nc", folder / "plain.nc"
    writing = timed(
        {
            "own": lambda: write_netcdf(dataset, own),
            "xarray": lambda: dataset.to_netcdf(plain, engine="h5netcdf"),
        },
        repeats,
    )
    opening = timed(
        {
            "own": opened(open_netcdf, own),
            "xarray": opened(lambda path: xr.open_dataset(path, engine="h5netcdf"), own),
        },
        repeats,
    )
    one, other = load_netcdf(own), xr.load_dataset(plain, engine="h5netcdf")
    difference = max(float(np.abs(one[name] - other[name]).max()) for name in other)
    return {
        "arrays": n_arrays,
        "write_ms": writing["own"],
        "write_ratio": writing["xarray"] / writing["own"],
        "open_ms": opening["own"],
        "open_ratio": opening["xarray"] / opening["own"],
        "difference": difference,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(n_arrays, Path(folder), options.repeats) for n_arrays in N_ARRAYS]
    for row in rows:
        print(
            f"{row['arrays']:3} arrays: written in {row['write_ms']:5.1f} ms "
            f"({row['write_ratio']:.1f}x xarray alone), opened in {row['open_ms']:5.1f} ms "
            f"({row['open_ratio']:.1f}x), largest difference {row['difference']:.1g}"
        )
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
