"""Fixtures of the pages' tests."""

from conftest_ui import empty_root, filled_root

__all__ = ["empty_root", "filled_root"]
