"""Fixtures of the pages' tests."""

from kit.results.made_up_store import empty_root, filled_root

__all__ = ["empty_root", "filled_root"]
