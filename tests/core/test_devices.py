"""Devices that are there, and memory that runs out: which errors say so, and how it is told."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from braindash.core.devices import clear_memory_error, find_device, tell_memory
from braindash.errors import ResourceError, is_out_of_memory


def test_devices(monkeypatch):
    assert find_device("cpu") == torch.device("cpu")
    for present, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=present: present)
        assert find_device("auto") == torch.device(kind)


def raised(work) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever torch and numpy raise
        work()
    return caught.value


OUT_OF_MEMORY = {
    "torch's CPU allocator": lambda: torch.empty(1 << 57),
    "numpy": lambda: np.empty(1 << 57),
    "Python": lambda: bytearray(1 << 62),
}
TOLD = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate`"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    torch.AcceleratorError("CUDA error: out of memory", 2),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("std::bad_alloc"),
    RuntimeError("unable to mmap 4096 bytes from file <a>: Cannot allocate memory (12)"),
    OSError(12, "Cannot allocate memory"),
]
OTHER = {
    "a singular matrix": lambda: torch.linalg.cholesky(-torch.eye(3)),
    "what is not implemented": lambda: torch.empty(2, device="meta").to("cpu"),
    "shapes that differ": lambda: torch.ones(2) @ torch.ones(3),
}


class OutOfMemoryError(RuntimeError):
    """Named like torch's, but somebody else's."""


@pytest.mark.parametrize("what", OUT_OF_MEMORY)
def test_memory_that_ran_out_is_recognised(what):
    assert is_out_of_memory(raised(OUT_OF_MEMORY[what]))


@pytest.mark.parametrize("error", TOLD, ids=str)
def test_memory_of_an_accelerator_that_ran_out_is_recognised(error):
    assert is_out_of_memory(error)
    with (
        pytest.raises(ResourceError, match="memory of device 'cpu'"),
        clear_memory_error(torch.device("cpu")),
    ):
        raise error


@pytest.mark.parametrize("what", OTHER)
def test_other_errors_of_torch_are_not_taken_for_memory(what):
    error = raised(OTHER[what])
    assert isinstance(error, RuntimeError) and not is_out_of_memory(error)
    with pytest.raises(type(error)) as caught, clear_memory_error(torch.device("cpu")):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    "error",
    [
        torch.linalg.LinAlgError("CUDA out of memory"),
        NotImplementedError("CUDA out of memory"),
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700),
        OutOfMemoryError("mine"),
        RuntimeError("the story is out of memory of its narrator"),
        ValueError("CUDA out of memory"),
        OSError(28, "No space left on device"),
    ],
    ids=repr,
)
def test_words_and_names_alone_are_not_taken_for_memory(error):
    assert not is_out_of_memory(error)
    tell_memory(error, "nothing")


@pytest.mark.parametrize("kind", [ImportError, OSError])
def test_a_library_that_gets_no_memory_is_recognised(kind):
    error = kind("libtorch_cpu.so: failed to map segment from shared object")
    assert is_out_of_memory(error)
    with pytest.raises(ResourceError, match=r"libtorch_cpu\.so"):
        tell_memory(error, "what was asked for")
    assert not is_out_of_memory(kind("libgomp.so.1: cannot open shared object file"))


def test_memory_is_recognised_without_torch():
    code = (
        "import sys; from braindash.errors import is_out_of_memory as found;"
        "assert found(MemoryError()) and not found(RuntimeError('x'));"
        "import braindash.work.worker; assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
