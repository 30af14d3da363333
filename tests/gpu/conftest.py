"""A device that stands for a GPU: where it is missing, its tests are skipped with a message."""

import pytest
from kit.pretend_gpu import build_guard, load_guard, pretend_gpu


@pytest.fixture(scope="session")
def guard(tmp_path_factory):
    """Compile and load the device guard of this process."""
    made = build_guard(tmp_path_factory.mktemp("guard"))
    if made is None:
        pytest.skip("there is no C++ compiler for the pretended device")
    load_guard(made)


@pytest.fixture
def gpu(guard):
    """Give torch a device "cuda" for the time of a test; gives the log of what happens on it."""
    with pretend_gpu() as log:
        yield log
