"""Where computations run: devices, threads, and memory that runs out.

torch is imported when it is needed, so that what only names a device stays light.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from braindash.errors import InputError, ResourceError, near_match

if TYPE_CHECKING:
    import torch

DEVICES = ("cpu", "cuda")


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
    if kind not in DEVICES or (colon and (kind == "cpu" or not number.isdecimal())):
        raise InputError(f"unknown device {device!r}", hint=near_match(device, ("auto", *DEVICES)))
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"device {device!r} is asked for, but torch sees {torch.cuda.device_count()} of them",
            hint="Use device='auto', or install a torch build for this machine's GPU.",
        )
    return torch.device(device)


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


@contextmanager
def clear_memory_error(device: "torch.device") -> Iterator[None]:
    """Say it in words when the device's memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        # On a CPU torch has no class of its own for it: only the message tells.
        if type(error) is RuntimeError and "can't allocate memory" not in str(error):
            raise
        raise ResourceError(
            f"ridge regression does not fit into the memory of device {str(device)!r}",
            hint="Fit fewer targets at a time, or use device='cpu'.",
        ) from error
