"""What a process is and how it is set up, before torch is loaded."""

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

from braindash.errors import ResourceError


def require_platform() -> None:
    """Refuse systems without the file locks that jobs and their worker need (``fcntl``).

    Raises
    ------
    ResourceError
        On Windows itself; Linux, macOS and Linux within Windows (WSL) have them.
    """
    try:
        import fcntl  # noqa: F401
    except ImportError as error:
        raise ResourceError(
            "braindash does not run on this operating system: it has no POSIX file locks (fcntl)",
            hint="Use Linux or macOS; on Windows install braindash inside WSL (`wsl --install`, "
            "then as on Linux).",
        ) from error


def import_path() -> dict[str, str]:
    """Return environment variables that make this very package importable in a child process.

    Returns
    -------
    dict of str to str
        ``PYTHONPATH`` with the package's parent behind what is there; empty where it is installed.
    """
    parent = Path(__file__).resolve().parent.parent
    if parent.name in ("site-packages", "dist-packages"):
        return {}
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": f"{before}{os.pathsep}{parent}" if before else str(parent)}


def let_threads_sleep() -> None:
    """Let idle OpenMP threads sleep instead of spinning; a user's own setting stays.

    On a machine whose cores are busy, spinning threads wait for each other: the same forward pass
    of a small model was measured at 1.1 s instead of 0.05 s. Sleeping costs nothing measurable on
    an idle machine. Call it before anything imports torch.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def process_mark() -> str:
    """Name this process among all that may write to one folder, on this machine and others.

    Returns
    -------
    str
        A digest of machine, start of the machine and process namespace (a container has its own),
        a dash, the process's number.
    """
    return f"{_here()}-{os.getpid()}"


def is_running(mark: str) -> bool | None:
    """Say whether a process runs, by its mark or a name that begins with it.

    Parameters
    ----------
    mark : str
        Of :func:`process_mark`, here or elsewhere.

    Returns
    -------
    bool or None
        None where that cannot be seen from here: on another machine, or in another container.
    """
    where, _, rest = mark.partition("-")
    number = rest.partition("-")[0]
    if where != _here() or not number.isdigit():
        return None
    return bool(psutil.pid_exists(int(number)))


@cache
def _here() -> str:
    told = platform.node()
    with suppress(OSError):  # Linux has both
        told += Path("/proc/sys/kernel/random/boot_id").read_text()
        told += os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(told.encode()).hexdigest()[:10]


_GROUPS, _OWN_GROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables with which a process starts so many threads in a product."""


def usable_cores() -> int:
    """Return how many cores this process may use.

    Physical ones, where the system tells: two threads of one core do not multiply matrices faster
    than one. A mask that a scheduler sets counts, and a share that a container is given.
    """
    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    allowed = len(affinity(0)) if affinity else psutil.cpu_count() or 1
    for folder in _control_groups():
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            allowed = min(allowed, int(quota) // int(period))
    return max(1, min(physical, allowed))


def usable_memory() -> float:
    """Return the bytes of memory that this process may still take, also within a container."""
    free = psutil.virtual_memory().available
    for folder in _control_groups():
        limit, used = _read(folder / "memory.max"), _read(folder / "memory.current")
        if limit.isdecimal() and used.isdecimal():
            # Files that were read are kept only as long as nobody needs the room.
            cached = re.search(
                r"^inactive_file (\d+)$", _read(folder / "memory.stat"), re.MULTILINE
            )
            free = min(free, int(limit) - int(used) + (int(cached[1]) if cached else 0))
    return float(max(0, free))


def _control_groups() -> Iterator[Path]:
    """Yield the folders of the control groups that this process is in (Linux, version 2)."""
    for line in _read(_OWN_GROUP).splitlines():
        number, _, place = line.partition("::")
        if number == "0":
            own = _GROUPS / place.strip("/")
            yield from (one for one in (own, *own.parents) if one.is_relative_to(_GROUPS))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):  # not there on other systems, or not allowed
        return ""


def expected_device(asked: str) -> str:
    """Say where "auto" will compute, "cpu" or "cuda", without loading torch to ask it."""
    if asked != "auto":
        return asked.partition(":")[0]
    # The driver's own tool is enough, where torch can use it and may see a device.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip()
    has_gpu = visible not in ("", "-1") and shutil.which("nvidia-smi") and _torch_knows_cuda()
    return "cuda" if has_gpu else "cpu"


@cache
def _torch_knows_cuda() -> bool:
    """Say whether torch is there and was built for CUDA, by the file that its build wrote."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        told = (Path(found.origin).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True  # nobody says that it was not
    return re.search(r"^cuda\b.*= None", told, re.MULTILINE) is None


def use_threads(threads: int) -> None:
    """Set how many threads torch uses from here on, whether it is loaded already or not."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)


@contextmanager
def at_most_threads(threads: int | None) -> Iterator[None]:
    """Let torch use so many threads within a block, and as many as before afterwards.

    Parameters
    ----------
    threads : int, optional
        None changes nothing.
    """
    if threads is None:
        yield
        return
    known = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    torch = sys.modules.get("torch")
    told = known.get("OMP_NUM_THREADS") or ""
    usual = int(told) if told.isdecimal() else usable_cores()
    before = torch.get_num_threads() if torch else usual
    use_threads(threads)
    try:
        yield
    finally:
        for name, value in known.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        if torch := sys.modules.get("torch"):
            torch.set_num_threads(max(1, before))


def is_first_process() -> bool:
    """Say whether this process writes files and speaks, of those that a launcher started.

    torchrun and ``accelerate launch`` number the processes of a run in ``RANK``.
    """
    return os.environ.get("RANK", "0") == "0"
