"""The embedded demo's data set, made once for all tests here."""

from pathlib import Path

import pytest

from braindash.demo.dataset import prepare_demo


@pytest.fixture(scope="session")
def demo_manifest(tmp_path_factory) -> Path:
    """Manifest of the whole demo, never changed by a test."""
    return prepare_demo(tmp_path_factory.mktemp("world") / "demo")
