"""The hook that makes pages of the site from the code."""

import importlib.util
from types import ModuleType

import pytest
from kit.documents import ROOT


@pytest.fixture(scope="session")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
