"""Looks at what is installed, and at what this machine computes with."""

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

import braindash
from braindash.core.devices import TorchBuild, torch_build
from braindash.doctor import Finding
from braindash.process import usable_cores, usable_memory

# What a result names in its provenance comes first.
_TOLD = ("torch", "transformers", "numpy", "scipy", "streamlit", "nilearn")
_LEAST_MEMORY = 4e9
_EXTRA = re.compile(r"\bextra\b")


def look_at_versions() -> Iterator[Finding]:
    """Compare what is installed with what this braindash allows."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    python = f"braindash {braindash.__version__}, Python {platform.python_version()}, {system}"
    yield Finding("braindash", "ok", python)
    wrong, told = [], []
    for one in required():
        try:
            found = version(one.name)
        except PackageNotFoundError:
            wrong.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(found, prereleases=True):
            wrong.append(f"{one.name} {found} is not {one.specifier}")
        if one.name in _TOLD:
            told.append(f"{one.name} {found}")
    if wrong:
        how = f"{sys.executable} -m pip install --upgrade braindash"
        yield Finding("packages", "fail", "; ".join(wrong), f"Install what is asked for: `{how}`.")
    else:
        yield Finding("packages", "ok", ", ".join(sorted(told)))


def required() -> list[Requirement]:
    """List what the installed braindash needs, without its extras; empty where it is no package."""
    try:
        lines = requires("braindash") or []
    except PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    return [one for one in found if one.marker is None or not _EXTRA.search(str(one.marker))]


def look_at_memory() -> Iterator[Finding]:
    """Say how many cores and how much memory work may take."""
    cores, memory = usable_cores(), usable_memory()
    told = f"{cores} cores, {memory / 1e9:.1f} GB of memory free for this process"
    if memory < _LEAST_MEMORY:
        todo = "Close other programs, or ask for more memory: a base model needs about 4 GB."
        yield Finding("machine", "warn", told, todo)
    else:
        yield Finding("machine", "ok", told)


def look_at_devices() -> Iterator[Finding]:
    """Say how torch was built, and which accelerators it sees."""
    yield from about_devices(torch_build(), has_driver=shutil.which("nvidia-smi") is not None)


def about_devices(build: TorchBuild, *, has_driver: bool) -> Iterator[Finding]:
    """Judge a build of torch on a machine.

    Parameters
    ----------
    build : TorchBuild
        What torch says.
    has_driver : bool
        Whether a driver of NVIDIA is installed.
    """
    made_for = f"CUDA {build.cuda}" if build.cuda else "CPU only"
    told = f"{build.version} ({made_for}), {build.threads} threads in a product"
    yield Finding("torch", "ok", told)
    if not build.devices:
        if not has_driver:
            yield Finding("GPU", "ok", "none: all work is done by the CPU")
        elif build.cuda:
            todo = (
                "Look at `nvidia-smi`: in a Slurm job ask for one (--gpus), in a container pass it."
            )
            yield Finding("GPU", "fail", "there is a driver, but torch sees no GPU", todo)
        else:
            todo = "Install a CUDA build of torch; until then the CPU does all work."
            yield Finding("GPU", "warn", "there is a GPU, but torch is built for the CPU", todo)
    for one in build.devices:
        told = f"{one.name}, {one.total / 1e9:.0f} GB, {one.free / 1e9:.0f} GB free"
        if not one.supported:
            todo = "Install a build of torch for it: this one computes nothing on it."
            told += f"; this torch is not built for its architecture ({one.architecture})"
            yield Finding(f"GPU {one.number}", "fail", told, todo)
        elif one.free < 0.5 * one.total:
            todo = "Other programs use it: `nvidia-smi` names them."
            yield Finding(f"GPU {one.number}", "warn", told, todo)
        else:
            yield Finding(f"GPU {one.number}", "ok", told)
