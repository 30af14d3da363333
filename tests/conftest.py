"""Fixtures that all tests may use; nothing is ever fetched from a hub."""

import gc
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from kit.data.toy_lab import QUICK, Lab, make_lab, save_tiny_hubert

from braindash.process import THREAD_VARIABLES, let_threads_sleep

os.environ["HF_HUB_OFFLINE"] = "1"
# Label files of whoever runs the tests would be other regions than those that are meant.
os.environ["BRAINDASH_PARCELLATIONS"] = str(Path(__file__).parent / "no-parcellations")
# What is remembered about files of tests is no affair of the user's cache.
_CACHE = TemporaryDirectory(prefix="braindash-cache-")
os.environ["BRAINDASH_CACHE"] = _CACHE.name
let_threads_sleep()
# What a test writes is read from the machine's memory, and nobody pulls the plug meanwhile.
os.fsync = lambda descriptor: None
gc.disable()  # until all is imported, of which nothing is garbage
# What is compiled once need not be compiled again by each of the processes that tests start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# The same examples on every machine, whose pace is no fault of theirs; for other examples give
# --hypothesis-profile=default.
settings.register_profile("same examples", derandomize=True, deadline=None)
settings.load_profile("same examples")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold a slow test: side by side, no process waits for one at last.

    Files stay whole, because their tests share what is expensive.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage, and collect less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Give each of the processes that test side by side one thread, and so their children."""
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, "1")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return save_tiny_hubert(tmp_path_factory.mktemp("models") / "tiny-random-hubert")


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory) -> Path:
    """A model of few frames, where how well it predicts does not matter: windows are its cost."""
    return save_tiny_hubert(tmp_path_factory.mktemp("models") / "quick-random-hubert", **QUICK)


@pytest.fixture
def lab(tmp_path, tiny_model) -> Lab:
    return make_lab(tmp_path / "lab", tiny_model)
