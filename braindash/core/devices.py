"""Where computations run: devices, threads, and memory that runs out.

torch is imported when it is needed, so that what only names a device stays light.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from braindash.errors import InputError, ResourceError, is_out_of_memory, near_match

if TYPE_CHECKING:
    import torch

DEVICES = ("cpu", "cuda")
MEMORY_HINT = (
    "The memory was not enough: close other programs, or choose a smaller model, fewer layers, "
    "fewer subjects or the other device, and try again; finished parts are kept."
)

_DEVICE_NUMBER = re.compile(r"[0-9]{1,4}")
_TOLD_CHARACTERS = 200


def check_threads(threads: int | None) -> int | None:
    """Refuse fewer than one thread."""
    if threads is not None and threads < 1:
        raise InputError(
            f"threads is {threads}", hint="Give 1 or more, or None to leave torch's setting."
        )
    return threads


def find_device(device: str) -> "torch.device":
    """Turn "auto", "cpu", "cuda" or "cuda:N" into a device that is there."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, number = device.partition(":")
    numbered = kind == "cuda" and _DEVICE_NUMBER.fullmatch(number)
    if kind not in DEVICES or (colon and not numbered):
        raise InputError(f"unknown device {device!r}", hint=near_match(device, ("auto", *DEVICES)))
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"device {device!r} is asked for, but torch sees {torch.cuda.device_count()} of them",
            hint="Use device='auto', or install a torch build for this machine's GPU.",
        )
    return torch.device(device)


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU.

    Attributes
    ----------
    number : int
        As in "cuda:N".
    name, architecture : str
        Such as "NVIDIA A100" and "sm_80".
    total, free : int
        Bytes of memory.
    supported : bool
        Whether torch is built for its architecture.
    """

    number: int
    name: str
    architecture: str
    total: int
    free: int
    supported: bool


@dataclass(frozen=True)
class TorchBuild:
    """What torch says about itself and this machine.

    Attributes
    ----------
    version : str
    cuda : str
        Version of CUDA that it is built for; empty for none.
    threads : int
        That share one product.
    devices : tuple of Accelerator
    """

    version: str
    cuda: str
    threads: int
    devices: tuple[Accelerator, ...]


def torch_build() -> TorchBuild:
    """Ask torch how it was built and what it sees."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cuda, threads = torch.version.cuda or "", torch.get_num_threads()
    devices = tuple(_accelerator(number) for number in range(count))
    return TorchBuild(torch.__version__, cuda, threads, devices)


def _accelerator(number: int) -> Accelerator:
    import torch

    major, minor = torch.cuda.get_device_capability(number)
    free, total = torch.cuda.mem_get_info(number)
    # Code of a major version runs on all its minor ones that are not older.
    built = [tuple(map(int, found)) for name in torch.cuda.get_arch_list()
             for found in re.findall(r"^(?:sm|compute)_(\d+)(\d)[a-z]?$", name)]  # fmt: skip
    supported = any(one[0] == major and one[1] <= minor for one in built)
    name, architecture = torch.cuda.get_device_name(number), f"sm_{major}{minor}"
    return Accelerator(number, name, architecture, total, free, supported)


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Set torch's CPU threads and put the former number back, also after an error."""
    import torch

    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def tell_memory(
    error: BaseException, what: str, *, place: str = "the memory", hint: str = MEMORY_HINT
) -> None:
    """Raise a clear error where ``error`` means that memory ran out; for use in a handler.

    Parameters
    ----------
    error : BaseException
        What was caught.
    what : str
        What needed the memory, to begin a sentence with.
    place : str, optional
        Which memory.
    hint : str, optional
        What to do next.

    Raises
    ------
    ResourceError
        Memory ran out.
    """
    if is_out_of_memory(error):
        told = " ".join(str(error).split())[:_TOLD_CHARACTERS] or type(error).__name__
        raise ResourceError(f"{what} does not fit into {place} ({told})", hint=hint) from error


@contextmanager
def clear_memory_error(device: "torch.device") -> Iterator[None]:
    """Say it in words when a regression runs out of the device's memory."""
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        tell_memory(
            error,
            "ridge regression",
            place=f"the memory of device {str(device)!r}",
            hint="Fit fewer targets at a time, or use device='cpu'.",
        )
        raise
