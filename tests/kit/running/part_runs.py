"""Toy runs for tests of parts: each part writes down that it was made, when, and by whom."""

import contextlib
import json
import logging
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from braindash.errors import InputError, ResourceError
from braindash.processes import Order, Part  # quick to import: no xarray

# More than it takes to be worth a process.
SECONDS = 100.0


def make_run(folder: str, parts: list[dict[str, Any]]) -> "ToyRun":
    """What another process calls."""
    return ToyRun(Path(folder), parts)


class ToyRun:
    """Parts by what they do, their names and what they wait for: mappings of JSON values.

    The result is the part "end", which needs them all.
    """

    def __init__(self, folder: Path, parts: list[dict[str, Any]]) -> None:
        self.folder, self._parts = folder, parts

    def look_again(self) -> None:
        """Nothing is remembered here."""

    def order(self) -> Order:
        arguments = {"folder": str(self.folder), "parts": self._parts}
        return Order("kit.running.part_runs:make_run", arguments)

    def parts(self) -> list[Part]:
        end = {"name": "end", "after": [one["name"] for one in self._parts], "seconds": 0.1}
        return [
            Part(
                name=one["name"],
                label=f"part {one['name']}",
                make=partial(self._make, one),
                done=(self.folder / one["name"]).exists,
                seconds=one.get("seconds", SECONDS),
                after=tuple(one.get("after", ())),
                n_bytes=one.get("n_bytes", 0.0),
                large=one.get("large", False),
            )
            for one in [*self._parts, end]
        ]

    def made(self) -> dict[str, dict[str, Any]]:
        """What was written down, by part."""
        return {
            path.name: json.loads(path.read_text())
            for path in self.folder.iterdir()
            if "." not in path.name
        }

    def _make(self, one: dict[str, Any], progress) -> None:
        started = time.time()
        attempts = self.folder / f"{one['name']}.attempts"
        with open(attempts, "a") as log:
            log.write(f"{os.getpid()}\n")
        ACTIONS[one.get("does", "sleep")](one, progress, len(attempts.read_text().split()))
        told = {
            "pid": os.getpid(),
            "started": started,
            "ended": time.time(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
        }
        written = self.folder / f"{one['name']}.{os.getpid()}"
        written.write_text(json.dumps(told))
        written.replace(self.folder / one["name"])


def _sleep(one: dict[str, Any], progress, attempt: int) -> None:
    end = time.monotonic() + one.get("lasts", 0.0)
    while True:
        left = end - time.monotonic()
        progress.advance(1 - max(left, 0) / max(one.get("lasts", 0.0), 1e-9), 1, "sleeping")
        if left <= 0:
            return
        time.sleep(0.02)


def _refuse(one: dict[str, Any], progress, attempt: int) -> None:
    raise InputError("story 'fox' has no sound", hint="Add fox.wav.")


def _break(one: dict[str, Any], progress, attempt: int) -> None:
    raise ZeroDivisionError("division by zero")


def _swell(one: dict[str, Any], progress, attempt: int) -> None:
    raise MemoryError("cannot allocate 3 GB")


def _crowd(one: dict[str, Any], progress, attempt: int) -> None:
    """Find too little memory once, as where another part has taken it."""
    if attempt == 1:
        try:
            _swell(one, progress, attempt)
        except MemoryError as error:
            raise ResourceError("a fit does not fit", hint="Close other programs.") from error


class OutOfMemoryError(RuntimeError):
    """Named like torch's, but somebody else's."""


def _resemble(one: dict[str, Any], progress, attempt: int) -> None:
    raise OutOfMemoryError("CUDA out of memory")


def _die(one: dict[str, Any], progress, attempt: int) -> None:
    if attempt <= one["times"]:
        os.kill(os.getpid(), signal.SIGKILL)


def _talk(one: dict[str, Any], progress, attempt: int) -> None:
    print("what a library prints", flush=True)
    logging.getLogger("braindash.core").warning("a warning of the part")


def _stick(one: dict[str, Any], progress, attempt: int) -> None:
    """Ignore being dismissed."""
    end = time.monotonic() + 600
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            time.sleep(600)


ACTIONS = {
    "sleep": _sleep,
    "refuse": _refuse,
    "break": _break,
    "swell": _swell,
    "crowd": _crowd,
    "resemble": _resemble,
    "die": _die,
    "talk": _talk,
    "stick": _stick,
}
