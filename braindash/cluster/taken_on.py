"""A shared job as one worker sees it: what of it is planned, there, failed and given up."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from braindash.jobs.claims import Claims
from braindash.jobs.shared import Failure, SharedJob
from braindash.parts import Run, missing_parts
from braindash.processes import Ordered, Part


class PulledRun(Run, Protocol):
    """Work whose parts lie in a store that others write to as well."""

    def look_again(self) -> None:
        """Forget what was not there: others may have made it meanwhile."""


Plan = Callable[[Mapping[str, Any], Path], PulledRun]
"""Makes a run of one request of a shared job, for the store in a folder."""


class TakenOn:
    """A shared job, as far as this worker has planned it.

    Requests are planned one after the other, when nothing is left to take of those before.

    Parameters
    ----------
    job : SharedJob
        What is asked for.
    claims : Claims
        Of its parts.

    Attributes
    ----------
    waiting : dict of str to Ordered
        Parts that were not there when they were last looked for, each behind what it needs.
    failures : dict of str to list of Failure
        By part, also those of other workers.
    given_up : set of str
        Parts that nobody tries any more.
    """

    def __init__(self, job: SharedJob, claims: Claims) -> None:
        self.job, self.claims = job, claims
        self.device = str(job.requests[0]["request"].get("device", "auto"))
        self.waiting: dict[str, Ordered] = {}
        self.failures: dict[str, list[Failure]] = {}
        self.given_up: set[str] = set()
        self._rest_until: dict[str, float] = {}
        self._runs: dict[str, PulledRun] = {}
        self._n_planned = 0

    def plan_next(self, plan: Plan, root: Path) -> bool:
        """Plan one request more; False when all are planned."""
        if self._n_planned == len(self.job.requests):
            return False
        run = plan(self.job.requests[self._n_planned], root)
        self._n_planned += 1
        for one in missing_parts([run]):
            self._runs.setdefault(one.part.name, run)
            self.waiting.setdefault(one.part.name, one)
        return True

    def ready(self) -> list[Ordered]:
        """List what can be made now, what failed least in front."""
        now = time.monotonic()
        found = [
            one
            for name, one in self.waiting.items()
            if name not in self.given_up
            and self._rest_until.get(name, 0.0) <= now
            and not self.waiting.keys() & {*one.part.after}
        ]
        if self.failures:
            found.sort(key=lambda one: len(self.failures.get(one.part.name, ())))
        return found

    def is_there(self, one: Ordered) -> bool:
        """Look whether a part is there now, whoever made it."""
        self._runs[one.part.name].look_again()
        return one.part.done()

    def found(self, name: str) -> None:
        """Take note that a part is there."""
        self.waiting.pop(name, None)

    def has_left(self, wanted: Callable[[Part], bool]) -> bool:
        """Say whether a part that is wanted is not there yet, or may turn up in a plan to come."""
        if self._n_planned < len(self.job.requests):
            return True
        tried = [one.part for name, one in self.waiting.items() if name not in self.given_up]
        return any(map(wanted, tried))

    def rest(self, name: str, seconds: float) -> None:
        """Look at a part again after some time only."""
        self._rest_until[name] = time.monotonic() + seconds

    def ended(self) -> bool:
        """Say whether all is there, or waits for what was given up."""
        if self._n_planned < len(self.job.requests):
            return False
        stuck = set(self.given_up)
        for name, one in self.waiting.items():  # each stands behind what it needs
            if stuck & {*one.part.after}:
                stuck.add(name)
        return self.waiting.keys() <= stuck
