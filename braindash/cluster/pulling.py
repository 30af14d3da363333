"""A worker that pulls parts of shared jobs from a store, and has them made by processes beside it.

It claims a part, hands it to a process, and touches the claim until the part is there. The parts
themselves are made as on one machine (:mod:`braindash.processes`): a part that hangs, or a process
that dies, never keeps the worker from giving its claims back, and cancelling needs nobody's
consent.
"""

import logging
import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from braindash.cluster.taken_on import Plan, TakenOn
from braindash.errors import BraindashError, InputError, StoreError, near_match
from braindash.jobs.claims import Claim, Claims, Holder
from braindash.jobs.shared import MOST_FAILURES, Failed, Failure, SharedJobs
from braindash.parts import count_processes
from braindash.process import expected_device, usable_cores
from braindash.processes import Helper, Ordered, Part, as_error, how_it_ended
from braindash.progress import spoken_duration

logger = logging.getLogger(__name__)

PART_KINDS = (
    "frames",
    "features",
    "unit-features",
    "predictions",
    "encoding",
    "probing",
    "tuning",
    "weights",
    "surface",
)
"""First words of the names of parts, by which a worker can be told what it may make."""

IDLE_SECONDS = 600.0
_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0
# How often it is looked whether others have made what this worker may not make.
_OTHERS_SECONDS = 5.0
# Failed parts are left to others for a while, longer each time.
_REST_SECONDS = 2.0
# A process that is dismissed has so long to end, and a worker to give its claims back.
_GRACE_SECONDS = 5.0
_RESERVE_SECONDS = 10.0
_SAID_SECONDS = 10.0


@dataclass
class Outcome:
    """What a worker did.

    Attributes
    ----------
    n_made : int
        Parts.
    seconds : float
        That their processes were at work.
    failed : dict of str to str
        Why jobs failed, by title.
    reason : str
        Why the worker ended.
    """

    n_made: int = 0
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass
class _Hand:
    """A process of this worker, and what it makes."""

    helper: Helper
    work: TakenOn
    one: Ordered
    claim: Claim
    began: float
    said: float = 0.0
    dropped: str = ""

    @property
    def ran(self) -> float:
        return time.monotonic() - self.began


class Puller:
    """Pulls parts until nothing is left, nobody wants them, or its time is up.

    Parameters
    ----------
    root : Path
        Folder of a store that other machines see too.
    jobs : collection of str, optional
        Keys of shared jobs, or their first digits; by default every job that comes.
    kinds : collection of str, optional
        Of :data:`PART_KINDS`, which it makes alone.
    processes : int, optional
        Parts at a time; by default as many as cores and memory allow, and one on an accelerator.
    cores : int, optional
        By default all that this process may use.
    seconds : float, optional
        After which the worker is gone, with its claims given back.
    idle_seconds : float
        End after so long without a part.
    tell : callable, optional
        Takes lines for whoever watches.
    plan : callable, optional
        Makes a run of what was handed over.
    refresh_seconds : float, optional
        Between two touches of a claim.
    """

    def __init__(
        self,
        root: Path,
        *,
        jobs: Collection[str] = (),
        kinds: Collection[str] = (),
        processes: int | None = None,
        cores: int | None = None,
        seconds: float | None = None,
        idle_seconds: float = IDLE_SECONDS,
        tell: Callable[[str], None] = logger.info,
        plan: Plan | None = None,
        refresh_seconds: float | None = None,
    ) -> None:
        self._root, self._shared = root, SharedJobs(root)
        self._wanted = self._named(jobs)
        self._kinds = _checked_kinds(kinds)
        self._cores, self._asked_places = cores or usable_cores(), processes
        self._places = processes or 1
        self._began = time.monotonic()
        self._limit = seconds
        self._end = None if seconds is None else self._began + max(0.0, seconds - _RESERVE_SECONDS)
        self._idle_seconds, self._tell, self._plan = idle_seconds, tell, plan or _usual_plan()
        self._refresh_seconds = refresh_seconds
        self._works: dict[str, TakenOn] = {}
        self._over: set[str] = set()
        self._refused: set[str] = set()
        self._left_out_long = False
        self._hands: list[_Hand] = []
        self._free: list[Helper] = []
        self._inbox: queue.SimpleQueue[tuple[Helper, dict[str, Any]]] = queue.SimpleQueue()
        self._longest: dict[str, float] = {}
        self._stop = ""
        self.outcome = Outcome()

    def stop(self, reason: str) -> None:
        """Ask it to end: what is under way is given up, and its claims are given back."""
        self._stop = self._stop or reason

    def work(self) -> Outcome:
        """Pull parts; returns when it has ended."""
        idle_since, looked, news = time.monotonic(), 0.0, False
        with self._refreshing():
            try:
                while not self._stop:
                    now = time.monotonic()
                    if now - looked >= _LOOK_SECONDS:
                        self._look()
                        looked, news = now, True
                    if news:  # thousands of parts are not gone through ten times a second
                        self._begin_parts()
                    news = self._hear_all()
                    self._drop_what_nobody_wants()
                    if self._hands:
                        idle_since = time.monotonic()
                    self._stop = self._stop or self._why_end(time.monotonic() - idle_since)
            finally:
                self._leave()
        self.outcome.reason = self._stop
        return self.outcome

    # ---- what there is to do ----------------------------------------------------------------

    def _named(self, jobs: Collection[str]) -> list[str]:
        found = []
        for prefix in jobs:
            key = self._shared.find(prefix)
            if key is None:
                raise InputError(
                    f"no shared job, or more than one, begins with {prefix!r} in {self._root}",
                    hint="`braindash submit` makes one and says its key; every worker needs the "
                    "same store: a path that leads to another folder here is another store.",
                )
            found.append(key)
        return found

    def _look(self) -> None:
        """Take note of new jobs, of those that ended, and of what failed."""
        busy = {hand.work.job.key for hand in self._hands}
        for key in self._wanted or self._shared.job_keys():
            if self._shared.end(key) is not None or not self._shared.goes_on(key):
                self._over.add(key)
            elif key in self._over and key not in self._refused and key not in busy:
                self._over.discard(key)  # somebody let it go on
                self._works.pop(key, None)
            if key not in self._over and key not in self._works:
                self._take_on(key)
        for key, work in self._works.items():
            work.failures = self._shared.failures(key)

    def _take_on(self, key: str) -> None:
        try:
            job = self._shared.get(key)
        except BraindashError as error:
            self._refuse(key)
            if key in self._wanted:
                raise
            self._tell(str(error))
            return
        claims = Claims(self._shared.claims_folder(key), refresh_seconds=self._refresh_seconds)
        self._works[key] = TakenOn(job, claims)

    def _refuse(self, key: str) -> None:
        """Leave a job to other machines."""
        self._over.add(key)
        self._refused.add(key)

    def _why_end(self, idle: float) -> str:
        if self._end is not None and time.monotonic() >= self._end:
            return "its time is up"
        if self._hands:
            return ""
        if self._wanted and self._over >= set(self._wanted):
            return "its jobs have ended"
        if self._wanted and self._kinds and not any(map(self._has_left, self._wanted)):
            return f"nothing of its jobs is left to make of: {', '.join(sorted(self._kinds))}"
        if self._left_out_long:
            return "what is left would not be done before its time is up"
        if idle >= self._idle_seconds:
            return f"nothing to do for {spoken_duration(idle)}"
        return ""

    def _has_left(self, key: str) -> bool:
        """Say whether a job has, or may come to have, parts of the kinds that are made here."""
        if key in self._over:
            return False
        work = self._works.get(key)
        return work is None or work.has_left(lambda part: _kind(part) in self._kinds)

    # ---- handing parts out ------------------------------------------------------------------

    def _begin_parts(self) -> None:
        self._left_out_long = False
        while not self._stop and len(self._hands) < self._places:
            found = self._next()
            if found is None:
                return
            work, one, claim = found
            if self._asked_places is None and not self._hands:
                self._places = self._count_processes(work)
            threads = max(1, self._cores // self._places)
            helper = self._free.pop() if self._free else Helper(threads, self._inbox)
            self._hands.append(_Hand(helper, work, one, claim, time.monotonic()))
            self._say(work, one.part, "begun")
            helper.give(one, threads)

    def _count_processes(self, work: TakenOn) -> int:
        if expected_device(work.device) != "cpu":
            return 1
        return count_processes([one.part for one in work.waiting.values()], self._cores)

    def _next(self) -> tuple[TakenOn, Ordered, Claim] | None:
        """Claim a part of the job that was asked for first, if there is one."""
        for key, work in sorted(self._works.items(), key=lambda pair: pair[1].job.created):
            if key in self._over:
                continue
            while True:
                n_waiting = len(work.waiting)
                for one in work.ready():
                    claim = self._claim(work, one)
                    if claim is not None:
                        return work, one, claim
                others_made_some = len(work.waiting) < n_waiting
                if not others_made_some and not self._plan_more(work):
                    break
            if work.ended():
                self._finish(work)
        return None

    def _plan_more(self, work: TakenOn) -> bool:
        try:
            return work.plan_next(self._plan, self._root)
        except BraindashError as error:
            # Whatever another machine may do, this one cannot: its data are elsewhere, say.
            self._refuse(work.job.key)
            self.outcome.failed[work.job.title] = error.message
            self._shared_log(work, f"cannot be planned here: {error}")
            if self._wanted:
                raise
            self._tell(f"{work.job.title}: {error}")
            return False

    def _claim(self, work: TakenOn, one: Ordered) -> Claim | None:
        name = one.part.name
        if self._kinds and _kind(one.part) not in self._kinds:
            # Others make it: whether it is there is seen from time to time.
            work.rest(name, _OTHERS_SECONDS)
            if work.is_there(one):
                work.found(name)
            return None
        if self._gave_up(work, one) or self._too_long(work, one):
            return None
        taken = work.claims.take(name, one.part.label)
        if isinstance(taken, Claim):
            if taken.lost is not None:
                self._lost_by_another(work, one, taken.lost)
            if work.is_there(one):
                taken.mark_made()
                work.found(name)
                return None
            if self._gave_up(work, one):
                taken.release()
                return None
            return taken
        if isinstance(taken, Holder) and taken.made and work.is_there(one):
            work.found(name)
            return None
        work.rest(name, _LOOK_SECONDS)
        return None

    def _gave_up(self, work: TakenOn, one: Ordered) -> bool:
        """Give a part up that failed too often; parts whose worker ran out of time did not fail."""
        failed = [f for f in work.failures.get(one.part.name, ()) if f.why != "time"]
        if len(failed) < MOST_FAILURES:
            return False
        work.given_up.add(one.part.name)
        self._say(work, one.part, f"given up after {len(failed)} failures")
        return True

    def _too_long(self, work: TakenOn, one: Ordered) -> bool:
        """Leave a part to others that takes longer than this worker has; say so where none has."""
        if self._end is None:
            return False
        name = one.part.name
        ran = [f.ran for f in work.failures.get(name, ()) if f.why == "time"]
        needed = max([*ran, self._longest.get(_kind(one.part), 0.0)])
        if needed <= self._end - time.monotonic():
            return False
        self._left_out_long = True
        limit = self._limit or 0.0
        if ran and max(ran) >= limit - 2 * _RESERVE_SECONDS - _GRACE_SECONDS:
            told = (
                f"{one.part.label} takes longer than {spoken_duration(max(ran))}, and this worker "
                f"has {spoken_duration(limit)} in all"
            )
            self.outcome.failed[work.job.title] = told
            self.stop(f"{told}: give workers more time (--max-minutes; with Slurm --time)")
        return True

    # ---- hearing of parts -------------------------------------------------------------------

    def _hear_all(self) -> bool:
        """Hear what processes say; True where one of them has a hand free now."""
        n_busy = len(self._hands)
        with suppress(queue.Empty):
            self._hear(*self._inbox.get(timeout=_POLL_SECONDS))
            while True:
                self._hear(*self._inbox.get_nowait())
        return len(self._hands) < n_busy

    def _hear(self, helper: Helper, answer: Mapping[str, Any]) -> None:
        hand = next((hand for hand in self._hands if hand.helper is helper), None)
        if hand is None:
            if "ended" in answer and helper in self._free:
                self._free.remove(helper)
            return
        if "log" in answer:
            _, name, text = answer["log"]
            self._shared_log(hand.work, f"{name}: {text}", hand.one.part)
        elif "share" in answer:
            if hand.ran - hand.said >= _SAID_SECONDS:
                hand.said = hand.ran
                self._say(hand.work, hand.one.part, f"{answer['share']:.0%} {answer['message']}")
        else:
            self._hands.remove(hand)
            self._hear_the_end(hand, answer)

    def _hear_the_end(self, hand: _Hand, answer: Mapping[str, Any]) -> None:
        work, part = hand.work, hand.one.part
        if "ended" not in answer and not hand.dropped:
            self._free.append(hand.helper)
        if hand.dropped:
            self._give_back(hand)
        elif "ended" in answer:
            told = f"its process ended ({how_it_ended(answer['ended'])})"
            hint = "Signal 9 without anybody's doing means that memory ran out there."
            self._fail(hand, "lost", told, hint)
        elif "error" in answer:
            error = as_error(part, answer)
            hint = error.hint if isinstance(error, BraindashError) else "The log says where."
            message = error.message if isinstance(error, BraindashError) else str(error)
            self._fail(hand, "error", message, hint)
        else:
            hand.claim.mark_made()
            work.found(part.name)
            self.outcome.n_made += 1
            self.outcome.seconds += hand.ran
            kind = _kind(part)
            self._longest[kind] = max(hand.ran, self._longest.get(kind, 0.0))
            self._say(work, part, f"done in {hand.ran:.1f} s")

    def _fail(self, hand: _Hand, why: Failed, error: str, hint: str) -> None:
        work, part = hand.work, hand.one.part
        self._write_failure(work, part, why, error, hint, ran=hand.ran)
        self._give_back(hand)
        n_failed = len(work.failures.get(part.name, ()))
        work.rest(part.name, _REST_SECONDS * n_failed)
        self._say(work, part, f"failed: {error} {hint}")

    def _lost_by_another(self, work: TakenOn, one: Ordered, lost: Holder) -> None:
        told = f"its worker on {lost.host} ended without a word"
        hint = "It may have been killed for its memory: look at what its machine says."
        self._write_failure(work, one.part, "lost", told, hint, host=lost.host)
        self._say(work, one.part, told)

    def _write_failure(
        self,
        work: TakenOn,
        part: Part,
        why: Failed,
        error: str,
        hint: str,
        *,
        host: str | None = None,
        ran: float = 0.0,
    ) -> None:
        failure = Failure(part.name, part.label, why, error, hint, host or _host(), ran)
        try:
            self._shared.fail(work.job.key, failure)
        except (
            StoreError
        ) as error:  # nobody could count failures: better none at work than for ever
            self.outcome.failed[work.job.title] = failure.error
            self.stop(error.message)
        work.failures.setdefault(part.name, []).append(failure)

    def _finish(self, work: TakenOn) -> None:
        self._over.add(work.job.key)
        if not work.given_up:
            self._shared.finish(work.job.key)
            self._tell(f"{work.job.title}: done")
            return
        failed = [work.failures[name][-1] for name in work.given_up if name in work.failures]
        if not failed:  # somebody let it go on just now
            return
        error = "; ".join(f"{one.label}: {one.error}" for one in failed[:3])
        error += f"; and {len(failed) - 3} more parts" if len(failed) > 3 else ""
        hint = f"{failed[0].hint} Then go on with `braindash jobs retry {work.job.key[:8]}`."
        self._shared.finish(work.job.key, error, hint)
        self.outcome.failed[work.job.title] = error

    # ---- giving up --------------------------------------------------------------------------

    def _drop_what_nobody_wants(self) -> None:
        """End the processes of parts that were cancelled, or that another worker has now."""
        for hand in self._hands:
            if hand.dropped:
                continue
            if hand.work.job.key in self._over:
                hand.dropped = "cancelled"
            elif not hand.claim.is_mine:
                hand.dropped = "another worker has it now"
            if hand.dropped:
                self._say(hand.work, hand.one.part, hand.dropped)
                hand.helper.dismiss()
                threading.Thread(
                    target=hand.helper.wait, args=(_GRACE_SECONDS,), daemon=True
                ).start()

    def _leave(self) -> None:
        """End all processes, and give all claims back."""
        timed_out = self._stop == "its time is up"
        for hand in self._hands:
            hand.helper.dismiss()
        for helper in self._free:
            helper.dismiss()
        for hand in self._hands:
            hand.helper.wait(_GRACE_SECONDS)
            if timed_out and not hand.dropped:
                told = f"its worker's time was up after {spoken_duration(hand.ran)}"
                self._write_failure(hand.work, hand.one.part, "time", told, "", ran=hand.ran)
            self._say(hand.work, hand.one.part, f"given back: {self._stop or 'an error'}")
            self._give_back(hand)
        for helper in self._free:
            helper.wait(_GRACE_SECONDS)
        self._hands, self._free = [], []

    def _give_back(self, hand: _Hand) -> None:
        try:
            hand.claim.release()
        except OSError as error:
            logger.warning("a claim is not given back, others will wait for it: %s", error)

    @contextmanager
    def _refreshing(self) -> Iterator[None]:
        """Touch the claims while the body works, also while it plans."""
        over = threading.Event()

        def refresh() -> None:
            seconds = self._refresh_seconds or Claims(self._shared.folder).refresh_seconds
            while not over.wait(seconds):
                for hand in tuple(self._hands):
                    hand.claim.refresh()

        thread = threading.Thread(target=refresh, name="claims", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()

    # ---- saying it --------------------------------------------------------------------------

    def _say(self, work: TakenOn, part: Part, text: str) -> None:
        self._tell(f"{part.label}: {text}")
        self._shared_log(work, text, part)

    def _shared_log(self, work: TakenOn, text: str, part: Part | None = None) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        about = f" [{part.name}] {part.label}:" if part else ""
        lines = [f"{stamp},{int(now % 1 * 1000):03d} {_host()}:{os.getpid()}{about} {one}"
                 for one in text.splitlines() or [""]]  # fmt: skip
        path = self._shared.log_path(work.job.key)
        with suppress(OSError), open(path, "a", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")


def _usual_plan() -> Plan:
    from braindash.cluster.hand_over import taken_over  # loads all that can be planned

    return taken_over


def _kind(part: Part) -> str:
    return part.name.split(" ", 1)[0]


def _host() -> str:
    return platform.node() or "host"


def _checked_kinds(kinds: Collection[str]) -> frozenset[str]:
    for kind in kinds:
        if kind not in PART_KINDS:
            raise InputError(f"{kind!r} is no kind of part", hint=near_match(kind, PART_KINDS))
    return frozenset(kinds)
