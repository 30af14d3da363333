"""Processes that make parts side by side: who hands the parts out, and who makes them."""

import importlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from braindash import errors
from braindash.errors import BraindashError, Cancelled, ResourceError, is_out_of_memory
from braindash.files import parse_json
from braindash.process import THREAD_VARIABLES, import_path, use_threads
from braindash.progress import Joined, Progress

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
# A process that does not end when asked to is killed after this.
_GRACE_SECONDS = 5.0
_IDLE_SECONDS = 0.3
# What is under way and takes less is waited for, where all cores are to make what comes next.
_SOON_SECONDS = 20.0
_ATTEMPTS = 2


class Order(NamedTuple):
    """How another process makes the same run again.

    Attributes
    ----------
    maker : str
        ``"package.module:function"``, which gives the run.
    arguments : mapping
        Its keyword arguments, JSON values.
    """

    maker: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """A piece of work that can be made by itself, and again without harm.

    Attributes
    ----------
    name : str
        What it makes; parts of one name are one part.
    label : str
        What it is called in reports.
    make : callable
        Makes it in this process, and keeps it in the store; takes where to report.
    done : callable
        Looks up whether it is there.
    seconds : float
        About how long it takes on one core.
    after : tuple of str
        Names of the parts that it needs.
    n_bytes : float
        About the memory that it takes.
    large : bool
        Whether its products are so large that several threads make it about as many times faster.
    """

    name: str
    label: str
    make: Callable[[Progress], object]
    done: Callable[[], bool]
    seconds: float
    after: tuple[str, ...] = ()
    n_bytes: float = 0.0
    large: bool = False


class Ordered(NamedTuple):
    """A part, and the order that another process makes it from."""

    part: Part
    order: Order


# ---- the process that has the parts made -------------------------------------------------------


def _lines(stream: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Read JSON objects line by line; the last line of a killed process may be torn."""
    for line in stream:
        if line.endswith("\n"):
            yield parse_json(line)


class Helper:
    """A process that makes parts, and what it says.

    Parameters
    ----------
    threads : int
        That its libraries start with.
    inbox : queue.SimpleQueue
        Gets its answers as pairs of the helper and a mapping; the last one has ``ended``.
    """

    def __init__(
        self, threads: int, inbox: "queue.SimpleQueue[tuple[Helper, dict[str, Any]]]"
    ) -> None:
        command = "from braindash.processes import serve; serve()"
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", command],  # no module of the working directory
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | import_path() | dict.fromkeys(THREAD_VARIABLES, str(threads)),
        )
        self.current: Ordered | None = None
        self._inbox = inbox
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # asked for
        for answer in _lines(self._process.stdout):
            self._inbox.put((self, answer))
        self._inbox.put((self, {"ended": self._process.wait()}))

    def give(self, one: Ordered, threads: int) -> None:
        """Hand over a part; a process that died meanwhile says so by itself."""
        assert self._process.stdin is not None  # asked for
        self.current = one
        line = {"part": one.part.name, "threads": threads, **one.order._asdict()}
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()

    def dismiss(self) -> None:
        """Ask the process to end: it gives up what it makes."""
        assert self._process.stdin is not None  # asked for
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; kill it after some time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Team:
    """Hands parts to processes as these become free.

    Parameters
    ----------
    parts : sequence of Ordered
        In the order in which they are wanted, each behind what it needs.
    cores : int
        Processor cores that may be taken.
    n_processes : int
        Processes side by side.
    joined : Joined
        Told of every part; what it raises ends all processes.
    """

    def __init__(
        self, parts: Sequence[Ordered], cores: int, n_processes: int, joined: Joined
    ) -> None:
        self._waiting = {one.part.name: one for one in parts}
        self._unfinished = set(self._waiting)
        self._attempts = dict.fromkeys(self._waiting, 0)
        self._cores, self._n_processes, self._n_lost = cores, n_processes, 0
        self._joined = joined
        self._inbox: queue.SimpleQueue[tuple[Helper, dict[str, Any]]] = queue.SimpleQueue()
        self._helpers: list[Helper] = []
        self._failure: Exception | None = None
        self._seen_large, self._with_all_cores = False, False
        # The first part that was lost: the place this cost comes back when it is made.
        self._first_lost: str | None = None

    def work(self) -> None:
        """Make all parts."""
        try:
            while self._unfinished and not (self._failure and not self._busy):
                self._hand_out()
                with suppress(queue.Empty):
                    self._hear(*self._inbox.get(timeout=_POLL_SECONDS))
                self._joined.tell()
        finally:
            for helper in self._helpers:
                helper.dismiss()
            for helper in self._helpers:
                helper.wait(_GRACE_SECONDS)
        if self._failure:
            raise self._failure

    @property
    def _places(self) -> int:
        return max(1, self._n_processes - self._n_lost)

    @property
    def _busy(self) -> list[Helper]:
        return [helper for helper in self._helpers if helper.current]

    def _hand_out(self) -> None:
        if not self._busy:
            self._with_all_cores = False
        while not self._failure and len(self._busy) < self._places and not self._with_all_cores:
            ready = next((n for n, one in self._waiting.items() if self._is_ready(one.part)), None)
            if ready is None or self._waits(self._waiting[ready].part):
                return
            one = self._waiting.pop(ready)
            self._attempts[ready] += 1
            self._free_helper().give(one, self._threads_for(one.part))

    def _waits(self, part: Part) -> bool:
        """Say whether a first large part is begun when short ones under way are finished."""
        under_way = [helper.current.part for helper in self._helpers if helper.current]
        waited_for = part.large and not self._seen_large
        return waited_for and 0 < sum(one.seconds for one in under_way) < _SOON_SECONDS

    def _threads_for(self, part: Part) -> int:
        """Give a part all cores where it is left alone, or is the first large one to be seen.

        Somebody waits for the first layer of a long result: it comes sooner by all cores, while
        the others wait.
        """
        waited_for = part.large and not self._seen_large
        self._seen_large |= part.large
        if not self._busy and (waited_for or len(self._unfinished) == 1):
            self._with_all_cores = True
            return self._cores
        return max(1, self._cores // self._places)

    def _is_ready(self, part: Part) -> bool:
        return not self._unfinished.intersection(part.after)

    def _free_helper(self) -> Helper:
        free = next((helper for helper in self._helpers if helper.current is None), None)
        if free is None:
            free = Helper(max(1, self._cores // self._places), self._inbox)
            self._helpers.append(free)
        return free

    def _hear(self, helper: Helper, answer: Mapping[str, Any]) -> None:
        if "log" in answer:
            level, name, text = answer["log"]
            logging.getLogger(name).log(level, "%s", text)
        elif "ended" in answer:
            self._helpers.remove(helper)
            if helper.current is not None:
                self._lose(helper.current, answer["ended"])
        elif helper.current is not None:
            self._hear_of_part(helper, helper.current, answer)

    def _hear_of_part(self, helper: Helper, one: Ordered, answer: Mapping[str, Any]) -> None:
        if "share" in answer:
            said = answer["message"]
            told = f"{one.part.label}: {said}" if said else one.part.label
            self._joined.put(one.part.name, answer["share"], told)
            return
        helper.current = None
        if "error" in answer:
            if answer.get("memory") and self._places > 1:
                self._again(one, "memory was too short for several at once")
            else:
                self._failure = self._failure or as_error(one.part, answer)
            return
        self._unfinished.discard(one.part.name)
        if one.part.name == self._first_lost:
            self._n_lost -= 1
        self._joined.finish(one.part.name, one.part.label)

    def _lose(self, one: Ordered, status: int) -> None:
        """Have a part made again whose process died, with fewer beside it; give up after that.

        A first death may be somebody's doing: its place comes back when the part is made. More than
        one speak of memory, and cost their places for the rest of the run.
        """
        told = how_it_ended(status)
        self._first_lost = self._first_lost or one.part.name
        if self._attempts[one.part.name] < _ATTEMPTS:
            self._again(one, f"its process ended ({told})")
            return
        self._failure = self._failure or ResourceError(
            f"{one.part.label}: the process that makes it ended {_ATTEMPTS} times, at last with "
            f"{told}",
            hint="Signal 9 without anybody's doing means that memory ran out: close other "
            "programs or give fewer threads, and try again; finished parts are kept.",
        )

    def _again(self, one: Ordered, why: str) -> None:
        """Put a part back, to be made with fewer beside it."""
        logger.warning("%s: %s, and the part is made again", one.part.label, why)
        self._waiting = {one.part.name: one} | self._waiting
        self._n_lost += 1


def how_it_ended(status: int) -> str:
    """Say how a process ended, from what waiting for it gave."""
    return f"signal {-status}" if status < 0 else f"exit status {status}"


class PartError(RuntimeError):
    """An error that is none of braindash's own, as a process that made a part told it."""


def as_error(part: Part, answer: Mapping[str, Any]) -> Exception:
    """Make again here what was raised there; memory that ran out is still told as such."""
    kind = getattr(errors, answer["error"], None)
    if isinstance(kind, type) and issubclass(kind, BraindashError) and kind is not Cancelled:
        return kind(answer["message"], hint=answer["hint"])
    told = f"{part.label}: {answer['error']}: {answer['message']}"
    return MemoryError(told) if answer.get("memory") else PartError(told)


# ---- the process that makes parts --------------------------------------------------------------


class _Dismissed(BaseException):
    """Nobody waits for the part any more: unwind, whatever catches errors."""


def serve() -> None:
    """Make the parts that come as lines of JSON on standard input, until it ends.

    Answers are lines of JSON on standard output; what libraries print goes to standard error. When
    the input ends, because work is over or who asked is gone, the part under way is given up.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    mutex = threading.Lock()

    def say(**answer: Any) -> None:
        with mutex, suppress(BrokenPipeError):
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

    def dismissed(number: int, frame: object) -> None:
        raise _Dismissed

    signal.signal(signal.SIGTERM, dismissed)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who asked is interrupted, and dismisses
    package = logging.getLogger("braindash")
    package.setLevel(logging.INFO)
    package.addHandler(_Forward(say))
    package.propagate = False
    orders: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    known = _Known()
    with suppress(_Dismissed):
        while (order := orders.get()) is not None:
            _make(known, order, say)


def _read_orders(orders: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    for order in _lines(sys.stdin):
        orders.put(order)
    orders.put(None)
    threading.Event().wait(_IDLE_SECONDS)  # whoever makes nothing ends by itself
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_GRACE_SECONDS)
    os._exit(1)  # the main thread is deep in a computation; nothing half-written is ever read


class _Known:
    """The parts of the last order: making the next one of it needs no new plan."""

    def __init__(self) -> None:
        self._source = ""
        self._parts: dict[str, Part] = {}

    def find(self, order: Mapping[str, Any]) -> Part:
        source = json.dumps([order["maker"], order["arguments"]], sort_keys=True)
        if source != self._source:
            self._source, self._parts = "", {}  # first: what they share may be large
            module, _, function = order["maker"].partition(":")
            make_run = getattr(importlib.import_module(module), function)
            logging.disable(logging.WARNING)  # who planned first has said it
            try:
                self._parts = {part.name: part for part in make_run(**order["arguments"]).parts()}
            finally:
                logging.disable(logging.NOTSET)
            self._source = source
        return self._parts[order["part"]]


def _make(known: _Known, order: Mapping[str, Any], say: Callable[..., None]) -> None:
    use_threads(order["threads"])
    try:
        known.find(order).make(_Told(say))
    except BraindashError as error:
        memory = error.__cause__ is not None and is_out_of_memory(error.__cause__)
        say(error=type(error).__name__, message=error.message, hint=error.hint, memory=memory)
    except Exception as error:
        logger.exception("a part failed")
        memory = is_out_of_memory(error)
        say(error=type(error).__name__, message=str(error), memory=memory)
    else:
        say(done=True)


class _Told:
    """Passes reports on."""

    def __init__(self, say: Callable[..., None]) -> None:
        self._say = say

    def advance(self, done: float, total: float, message: str) -> None:
        self._say(share=done / total if total else 1.0, message=message)


class _Forward(logging.Handler):
    """Passes log records on."""

    def __init__(self, say: Callable[..., None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        self._say(log=[record.levelno, record.name, self.format(record)])
