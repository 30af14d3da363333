"""A GPU, or a device that stands for one: without either its tests are skipped with a message."""

import pytest
import torch
from kit.machines.pretend_gpu import build_guard, load_guard, pretend_gpu, real_gpu


@pytest.fixture(scope="session")
def guard(tmp_path_factory):
    """Compile and load the guard of the pretended device of this process."""
    made = build_guard(tmp_path_factory.mktemp("guard"))
    if made is None:
        pytest.skip("there is no C++ compiler for the pretended device")
    load_guard(made)


@pytest.fixture
def pretended(guard):
    """Give torch a device "cuda" that stands for one; gives the log of what happens on it."""
    with pretend_gpu() as log:
        yield log


@pytest.fixture
def gpu(request):
    """Give the device "cuda": the real one where there is one; gives the log of what happens."""
    if torch.cuda.is_available():
        with real_gpu() as log:
            yield log
    else:
        yield request.getfixturevalue("pretended")
