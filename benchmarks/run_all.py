"""Run every benchmark and print one table: machine, versions, what was measured, the goal.

``make bench`` runs it; over two hours on two quiet cores. ``--only ridge features`` runs some, and
``--quick`` runs all at small sizes (minutes; to try the script, not for figures). Each benchmark is
a process of its own with the machine to itself; what it prints goes on to the terminal, its JSON
into ``--folder``. A figure is a ratio from one run, beside the largest difference of the results
that were timed; ``--write`` puts the tables of those that were run into docs/performance.md, each
with its machine, load and minutes.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench_features import processor
from calibration.written import DOCS, replaced

HERE = Path(__file__).resolve().parent
VERSIONS = ("braindash", "torch", "numpy", "scipy", "scikit-learn", "himalaya", "transformers")
# Of the numbers in the goals of a shape: over the floor, and over which peers.
RIDGE_GOALS = {
    "A": "3x himalaya kernel torch",
    "B": "2.4x fold SVD, 13x himalaya kernel, 7x primal, 7.5x the floor",
    "C": "5x the best peer, 1.7x the floor",
    "D": "0.9 s",
}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    difference: str
    goal: str = ""


@dataclass(frozen=True)
class Benchmark:
    """A script, its options (usual and quick), and how its JSON becomes lines."""

    script: str
    options: tuple[str, ...]
    quick: tuple[str, ...]
    rows: Callable[[dict[str, Any]], Iterator[Row]]


def ridge(found: dict[str, Any]) -> Iterator[Row]:
    """Tell each shape's time, over the floor and under each peer's."""
    for name, shape in found["shapes"].items():
        own = shape["results"]["braindash"]
        size = shape["shape"]
        peers = {
            peer: row["over_ours"]
            for peer, row in shape["results"].items()
            if peer not in ("braindash", "floor")
        }
        told = [f"{times:.1f}x {peer}" for peer, times in sorted(peers.items(), key=lambda p: p[1])]
        yield Row(
            f"ridge {name}: {size['n_rows']} rows, {4 * size['n_features']} features, "
            f"{size['n_targets']} targets, {size['alphas']} alphas",
            f"{own['seconds']:.2f} CPU s, {own['over_floor']:.1f}x the floor, "
            f"{own['peak_extra_mb']:.0f} MB ({own['shares']['making']:.0%} making operators, "
            f"{own['shares']['applying']:.0%} applying them); {'; '.join(told)}",
            f"{own['largest_difference']:.0e} of predictions, "
            f"{own['equal_alphas']:.2%} of alphas equal",
            RIDGE_GOALS.get(name, ""),
        )


def pairs(found: dict[str, Any]) -> Iterator[Row]:
    """Tell what a second process does."""
    goals = {"ridge": "1.9x", "features": "1.8x"}
    for one in found["rows"]:
        yield Row(
            f"{one['work']} {one['size']} by {one['processes']} processes at once",
            f"{one['ratio']:.2f}x one process ({one['seconds, one process']:.2f} s a piece alone)",
            f"{one['largest difference']:.0e} of {one['of']}",
            goals[one["work"]],
        )


def search(found: dict[str, Any]) -> Iterator[Row]:
    """Tell how many penalties are scored, and how often the best is among them."""
    for row in found["rows"]:
        yield Row(
            f"penalties, {row['rare']:.2%} rare targets, {row['alphas']} alphas, {row['form']}, "
            f"by {row['metric']}",
            f"{row['scored']:.1f} scored; scoring all takes {row['full over search']:.1f}x",
            f"{row['equal']:.3%} of targets equal; {row['largest loss']:.0e} of a score",
            "99.9 % equal",
        )


def banded(found: dict[str, Any]) -> Iterator[Row]:
    """Tell how much faster two spaces are fitted together than by himalaya."""
    results = found["results"]
    own = results["braindash, joint fit"]
    peers = [
        f"{row['seconds'] / own['seconds']:.1f}x {name} (mean R2 {row['mean_r2']:.4f})"
        for name, row in results.items()
        if name.startswith("himalaya")
    ]
    yield Row(
        "banded ridge, two spaces",
        f"{own['seconds']:.1f} CPU s (mean R2 {own['mean_r2']:.4f}); {'; '.join(peers)}",
        "see the scores",
    )


def features(found: dict[str, Any]) -> Iterator[Row]:
    """Tell how much faster features are extracted than by the published loop."""
    for one in found["results"]:
        by_layer = "layer" in one["variant"]  # the published loop is slower where each is normed
        exact = "2.2x" if by_layer else "1.25x" if one["variant"] == "wavlm" else "1.4x"
        for way in ("exact", "chunk"):
            row = one[way]
            yield Row(
                f"features {way}, {one['variant']}, {one['size']}",
                f"{row['times_faster']:.2f}x the published loop",
                f"{row['largest_difference_sd']:.0e} sd" if way == "exact" else "other frames",
                {"exact": exact, "chunk": "28x"}[way],
            )


def probing(found: dict[str, Any]) -> Iterator[Row]:
    """Tell the time of all layers and tasks."""
    own = found["seconds"]["braindash"]
    worst = max(row["difference"] for row in found["tasks"].values())
    goals = {"braindash": "20 s", "braindash, 100 shuffles": "1.5x"}
    for name, spent in found["seconds"].items():
        if name != "split":
            yield Row(
                f"probes, {name}",
                f"{spent['wall']:.0f} s wall, {spent['cpu']:.0f} s CPU, "
                f"{spent['cpu'] / own['cpu']:.2f}x ours",
                f"{worst:.0e} of a score" if name == "braindash" else "",
                goals.get(name, ""),
            )


def statistics(found: dict[str, Any]) -> Iterator[Row]:
    """Tell permutations and bootstraps beside plain loops."""
    for name, row in found["results"].items():
        loop = f", {row['loop_over_ours']:.0f}x a loop" if "loop_over_ours" in row else ""
        gap = f"{row['largest_difference']:.0e}" if "largest_difference" in row else ""
        yield Row(name, f"{row['seconds']:.1f} s wall{loop}", gap)


def groups(found: dict[str, Any]) -> Iterator[Row]:
    """Tell how long maps and regions of many subjects take."""
    seconds = [found[name] for name in ("maps_seconds", "prevalence_seconds", "components_seconds")]
    yield Row(
        f"group of {found['subjects']} subjects, {found['targets']} targets: {found['flips']} sign "
        "flips with max-T, prevalence, variance components",
        " / ".join(f"{one:.1f} s" for one in seconds),
        f"{found['largest_difference_of_t']:.0e} of t, {found['difference_of_p']:.0e} of p",
        "60 s together",
    )


def netcdf(found: dict[str, Any]) -> Iterator[Row]:
    """Tell how much quicker the files of a store are written and opened than by xarray alone."""
    for one in found["rows"]:
        yield Row(
            f"netCDF-4 file of {one['arrays']} arrays",
            f"written in {one['write_ms']:.0f} ms, {one['write_ratio']:.1f}x xarray alone; "
            f"opened in {one['open_ms']:.0f} ms, {one['open_ratio']:.1f}x",
            f"{one['difference']:.1g}",
        )


def parts(found: dict[str, Any]) -> Iterator[Row]:
    """Tell what processes side by side gain."""
    yield Row(
        "one subject of the demo, a process per core",
        f"{found['ratio']:.2f}x one process (at most {found['ratio at most']:.2f}x, for processes "
        f"are started and the last part, {found['last part, s']:.1f} s, is one)",
        f"{found['largest difference of r']:.0e} of r",
    )


def demo(found: dict[str, Any]) -> Iterator[Row]:
    """Tell how long a newcomer waits."""
    goals = {
        "first map after, s": "45 s",
        "first result after, s": "",
        "all results after, s": "180 s",
        "loaded again, s": "5 s",
    }
    for name, goal in goals.items():
        yield Row(f"demo: {name.removesuffix(', s')}", f"{found[name]:.0f} s", "", goal)
    kinds = ("features", "unit-features", "predictions", "encoding", "probing")
    told = ", ".join(f"{kind} {found[f'{kind}, s']:.0f}" for kind in kinds)
    yield Row("demo: seconds of one process each", told, "")


def growth(found: dict[str, Any]) -> Iterator[Row]:
    """Tell the exponents by which a whole encoding grows."""
    for name, exponent in found["exponents"].items():
        times = found["factors"][name]
        yield Row(f"growth: {name} x {times}", f"exponent {exponent:.2f}", "", "1.1")
    told = f"exponent {found['dual rows']:.2f}"
    yield Row("growth: rows x 4, ridge alone in the dual form", told, "", "2.1")


def frames(found: dict[str, Any]) -> Iterator[Row]:
    """Tell what one run of a model for all saves, and what it does to scores."""
    for strategy in ("chunk", "exact"):
        for name, one in found.get(strategy, {"subjects": {}})["subjects"].items():
            times = one["seconds with the model"] / one["seconds from frames"]
            gap = f"r by {one['largest difference of r']:.1e}"
            yield Row(f"frames: {strategy}, {name}", f"{times:.0f}x the model's run", gap)


def scale(found: dict[str, Any]) -> Iterator[Row]:
    """Tell what whole subjects of public size take."""
    goals = {"lebel": {"peak GB of a process": "24"}}
    for name in ("lebel", "denizenslab"):
        whole = found.get(name, {"whole": {}})["whole"]
        told = ("seconds to the first map", "seconds in one process", "share of reading")
        for what in (*told, "peak GB of a process", "planned GB of a process"):
            if what in whole:
                goal = goals.get(name, {}).get(what, "")
                yield Row(f"scale: {name}, {what}", f"{whole[what]:.2f}", "", goal)


def dashboard(found: dict[str, Any]) -> Iterator[Row]:
    """Tell what visitors of the dashboard wait for."""
    for row in found["rows"]:
        yield Row(row["what"], row["measured"], "", row["goal"])


BENCHMARKS = {
    "ridge": Benchmark(
        "bench_ridge.py",
        ("--shapes", "A", "B", "C", "D"),
        ("--shapes", "small", "--repeats", "1"),
        ridge,
    ),
    "pairs": Benchmark("bench_pairs.py", (), ("--ridge", "small", "--features", "tiny"), pairs),
    "search": Benchmark("bench_search.py", (), ("--seeds", "1", "--targets", "1200"), search),
    "banded": Benchmark(
        "bench_banded.py", (), ("--repeats", "1", "--targets", "500", "--mixtures", "5"), banded
    ),
    "features": Benchmark(
        "bench_features.py",
        ("--sizes", "base"),
        ("--sizes", "tiny", "--windows", "1"),
        features,
    ),
    "probing": Benchmark(
        "bench_probing.py",
        ("--threads", "2", "--many", "100"),
        ("--layers", "2", "--units", "3000", "--features", "64", "--epochs", "5"),
        probing,
    ),
    "statistics": Benchmark(
        "bench_statistics.py", (), ("--layers", "2", "--targets", "1000"), statistics
    ),
    "groups": Benchmark("bench_groups.py", (), ("--targets", "2000"), groups),
    "netcdf": Benchmark("bench_netcdf.py", (), ("--repeats", "2"), netcdf),
    "frames": Benchmark(
        "bench_frames.py",
        ("--seconds", "40"),
        ("--stories", "3", "--seconds", "20", "--strategies", "chunk"),
        frames,
    ),
    "scale": Benchmark(
        "large/bench_scale.py",
        (),
        ("--sizes", "denizenslab", "--scale", "0.04", "--rows", "0.1"),
        scale,
    ),
    "parts": Benchmark("bench_parts.py", (), (), parts),
    "demo": Benchmark("bench_parts.py", ("--demo",), (), demo),
    "growth": Benchmark("large/bench_growth.py", (), (), growth),
    "dashboard": Benchmark("dashboard/bench_dashboard.py", (), ("--repeats", "1"), dashboard),
}
# Nothing of these is small: the quick way goes without.
NEVER_QUICK = ("parts", "demo", "growth")


def machine() -> str:
    """Name the machine, its load and the versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in VERSIONS)
    load = os.getloadavg()[0]
    return (
        f"{processor()}, {os.cpu_count()} cores, {platform.system()}; load before {load:.2f}; "
        f"Python {platform.python_version()}, {versions}"
    )


def table(rows: list[Row]) -> list[str]:
    """Write the lines as Markdown."""
    lines = ["| what | measured | largest difference | goal |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.measured} | {row.difference} | {row.goal} |" for row in rows]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="of the JSON")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md as well")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.write and options.quick:
        parser.error("--write takes figures of the usual sizes, without --quick")
    every = list[Row]()
    for name in options.only:
        if options.quick and name in NEVER_QUICK:
            continue
        head, started, one = machine(), time.monotonic(), BENCHMARKS[name]
        file = options.folder / f"{name}.json"
        given = one.quick if options.quick else one.options
        command = [sys.executable, str(HERE / one.script), *given, "--json", str(file)]
        print(f"\n== {name}: {' '.join(command[1:])}", flush=True)
        subprocess.run(command, check=True)
        rows = [*one.rows(json.loads(file.read_text(encoding="utf-8")))]
        every += rows
        if options.write:
            minutes = (time.monotonic() - started) / 60
            told = f"{head}. `benchmarks/run_all.py --only {name}`, {minutes:.0f} minutes."
            replaced(name, [told, "", *table(rows)], DOCS / "performance.md")
    print("\n".join(["", f"{machine()}.", "", *table(every)]))


if __name__ == "__main__":
    main()
