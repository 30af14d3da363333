"""How long work reports where it is, and how it is asked to stop."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Protocol


class Progress(Protocol):
    """Receives reports from long work.

    An implementation may raise :class:`braindash.errors.Cancelled` from ``advance``: that is how
    work is stopped between two parts.
    """

    def advance(self, done: float, total: float, message: str) -> None:
        """Take note that ``done`` of ``total`` units of work are finished.

        Parameters
        ----------
        done, total : float
            Finished and whole amount of work, in the same unit.
        message : str
            What is being worked on, in a few words.
        """


def spoken_duration(seconds: float) -> str:
    """Write a duration as people say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


class NoProgress:
    """Ignores every report."""

    def advance(self, done: float, total: float, message: str) -> None:
        """Do nothing."""


class Span:
    """Maps the progress of one stage onto a part of a longer piece of work.

    Parameters
    ----------
    parent : Progress
        Receives the mapped reports, with ``total`` 1.
    start, stop : float
        Share of the whole piece of work at which the stage begins and ends, between 0 and 1.
    prefix : str, default ""
        Put in front of every message.
    """

    def __init__(self, parent: Progress, start: float, stop: float, prefix: str = "") -> None:
        self._parent = parent
        self._start = start
        self._stop = stop
        self._prefix = prefix

    def advance(self, done: float, total: float, message: str) -> None:
        """Report to the parent, within this span."""
        share = done / total if total else 1.0
        position = self._start + share * (self._stop - self._start)
        self._parent.advance(position, 1.0, self._prefix + message)


def shared(
    parent: Progress, weights: Sequence[float], prefix: str | Sequence[str] = ""
) -> list[Span]:
    """Divide work among stages, one after the other.

    Parameters
    ----------
    parent : Progress
        Receives the mapped reports.
    weights : sequence of float
        About how long each stage takes, in any unit; a stage of 0 takes no part of the whole.
    prefix : str or sequence of str, default ""
        Put in front of every message, of all stages or of each.

    Returns
    -------
    list of Span
        One per weight.
    """
    prefixes = [prefix] * len(weights) if isinstance(prefix, str) else prefix
    total = sum(weights) or 1.0
    ends = [min(1.0, done / total) for done in accumulate(weights, initial=0.0)]
    return [
        Span(parent, start, stop, named)
        for start, stop, named in zip(ends, ends[1:], prefixes, strict=False)
    ]


class Joined:
    """Puts the reports of pieces of work together that are done at once, or in any order.

    Parameters
    ----------
    parent : Progress
        Receives the joined reports.
    weights : mapping of str to float
        About how long each piece takes, by its name, in any unit.
    """

    def __init__(self, parent: Progress, weights: Mapping[str, float]) -> None:
        self._parent = parent
        self._weights = {name: max(weight, 1e-6) for name, weight in weights.items()}
        self._shares = dict.fromkeys(weights, 0.0)
        self._message = ""

    def of(self, name: str, label: str) -> Progress:
        """Return where one piece reports, in whose messages it is called ``label``."""
        return _Piece(self, name, label)

    def put(self, name: str, share: float, message: str) -> None:
        """Take note of how far one piece is, without passing it on."""
        self._shares[name] = min(1.0, max(share, self._shares[name]))
        self._message = message

    def finish(self, name: str, label: str) -> None:
        """Take note that one piece is done, and pass it on."""
        self.put(name, 1.0, f"{label}: done")
        self.tell()

    def tell(self) -> None:
        """Pass on how far all pieces are, and the last message."""
        done = sum(self._shares[name] * weight for name, weight in self._weights.items())
        self._parent.advance(done, sum(self._weights.values()), self._message)


class _Piece:
    """Where one of several pieces reports."""

    def __init__(self, joined: Joined, name: str, label: str) -> None:
        self._joined, self._name, self._label = joined, name, label

    def advance(self, done: float, total: float, message: str) -> None:
        """Report, and pass it on."""
        told = f"{self._label}: {message}" if message else self._label
        self._joined.put(self._name, done / total if total else 1.0, told)
        self._joined.tell()


@contextmanager
def said_once() -> Iterator[None]:
    """Let every warning of the package through only once, of several runs that have the same."""
    told: dict[str, logging.LogRecord] = {}

    def is_new(record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING or not record.name.startswith("braindash"):
            return True
        # Several handlers are asked about the same record.
        return told.setdefault(record.getMessage(), record) is record

    # A logger's own filter would not see what its children say.
    handlers = [*logging.getLogger().handlers, *logging.getLogger("braindash").handlers]
    for handler in handlers:
        handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_new)
