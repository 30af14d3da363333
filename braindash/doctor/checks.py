"""The checks of ``braindash doctor``, one after the other."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from braindash.doctor import Finding
from braindash.doctor.machine import look_at_devices, look_at_memory, look_at_versions
from braindash.doctor.places import (
    look_at_hub,
    look_at_jobs,
    look_at_schedulers,
    look_at_store,
)
from braindash.errors import BraindashError

Check = Callable[[Path], Iterator[Finding]]

SELF_TEST = "self-test"


def _self_test(root: Path) -> Iterator[Finding]:
    from braindash.doctor.selftest import look_at_encoding  # loads all that computes

    return look_at_encoding()


CHECKS: Mapping[str, Check] = {
    "packages": lambda root: look_at_versions(),
    "machine": lambda root: look_at_memory(),
    "torch": lambda root: look_at_devices(),
    "store": look_at_store,
    "jobs": look_at_jobs,
    "hub": lambda root: look_at_hub(),
    "schedulers": lambda root: look_at_schedulers(),
    SELF_TEST: _self_test,
}
"""By name, in the order in which they are told."""


def examine(root: Path, *, self_test: bool = True) -> Iterator[Finding]:
    """Look at everything; a check that cannot be made is a finding of its own.

    Parameters
    ----------
    root : Path
        Folder of the store that work would go to.
    self_test : bool, default True
        Encode made-up data as well, which takes about ten seconds.

    Yields
    ------
    Finding
        As soon as it is there.
    """
    for name, check in CHECKS.items():
        if name == SELF_TEST and not self_test:
            continue
        try:
            yield from check(root)
        except BraindashError as error:
            yield Finding(name, "fail", error.message, error.hint)
        except Exception as error:  # noqa: BLE001 - what is broken here is what is asked for
            told = f"cannot be looked at: {type(error).__name__}: {error}"
            yield Finding(name, "fail", told, "`braindash --verbose doctor` tells more.")
