"""Independent parts of long work, side by side in processes of their own; knows no kind of work.

A part travels as an order (JSON), never as arrays or code: whoever gets the order plans the same
run again, and the part that is named looks up in the store what it needs, makes its piece and
keeps it there. So a part that is made twice does no harm, and a process that is killed loses its
part alone.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import h5py
import xarray as xr

from braindash.errors import InputError
from braindash.process import at_most_threads, expected_device, usable_cores, usable_memory
from braindash.processes import Order, Ordered, Part, Team
from braindash.progress import Joined, Progress
from braindash.requests import Request
from braindash.specs import Spec

__all__ = [
    "Order",
    "Part",
    "Run",
    "StoredRun",
    "carry_out",
    "missing_parts",
    "require_same",
    "seconds_of",
]

# Starting a process, which loads torch, takes some seconds: less work than this is done here.
WORTH_SECONDS = 20.0
# How many parts take turns on an accelerator, and how much less time they take there, at least.
_ON_DEVICE = 2
_TIMES_QUICKER = 20.0
# A result has one file that is put together before it, which another run may do as well.
_ATTEMPTS = 3
# What a process takes before it has any data: torch, transformers and a model's runtime.
PROCESS_BYTES = 900e6
# Of the free memory, what processes side by side may be expected to take.
_MEMORY_SHARE = 0.8


class Run(Protocol):
    """Work that is divided into parts."""

    def parts(self) -> Sequence[Part]:
        """List the parts, in the order in which they are wanted; the last one is the result."""

    def order(self) -> Order:
        """Say how another process makes the same parts."""


def carry_out(
    runs: Sequence[Run], progress: Progress, *, cores: int | None = None, device: str = "auto"
) -> None:
    """Make what is missing of the results of some runs, independent parts side by side.

    Parameters
    ----------
    runs : sequence of Run
        In the order in which their results are wanted. A part that several need is made once.
    progress : Progress
        Told of every part; what it raises ends all processes, and finished parts stay.
    cores : int, optional
        How many processor cores to take; None takes all that this process may use.
    device : str, default "auto"
        Where the work is done as the request says it. Of an accelerator two parts take turns: one
        loads, tests or writes while the other computes; where its memory is too short for both, one
        is made again alone.

    Raises
    ------
    BraindashError
        What the first part that failed says. Parts under way are finished before, none is begun.
    ResourceError
        When a process that makes a part dies, twice.
    """
    wanted = missing_parts(runs)
    if not wanted:
        progress.advance(1, 1, "already computed")
        return
    parts = [one.part for one in wanted]
    n_processes, n_cores = 1, 1
    on_device = expected_device(device) != "cpu"
    worth = WORTH_SECONDS * (_TIMES_QUICKER if on_device else 1)
    if sum(part.seconds for part in parts) >= worth:
        n_cores = cores or usable_cores()
        n_processes = count_processes(parts, min(n_cores, _ON_DEVICE) if on_device else n_cores)
    joined = Joined(progress, {part.name: part.seconds for part in parts})
    if n_processes > 1:
        Team(wanted, n_cores, n_processes, joined).work()
    else:
        with at_most_threads(cores):
            for part in parts:
                part.make(joined.of(part.name, part.label))
                joined.finish(part.name, part.label)
    progress.advance(1, 1, "done")


def require_same(found: str, expected: str) -> None:
    """Refuse to make parts of another result than the one that was planned.

    Raises
    ------
    InputError
        When the keys differ.
    """
    if found != expected:
        raise InputError(
            f"the files of the data set or of the model changed while the run {expected[:8]} was "
            "being computed",
            hint="Start it again: what is finished and still true is used again.",
        )


def missing_parts(runs: Sequence[Run]) -> list[Ordered]:
    """List what is missing of the parts that no other part needs, each behind what it needs.

    Parameters
    ----------
    runs : sequence of Run
        In the order in which their results are wanted.

    Returns
    -------
    list of Ordered
        A part that several runs need is there once.
    """
    named: dict[str, Ordered] = {}
    goals: list[str] = []
    for run in runs:
        order, parts = run.order(), run.parts()
        for part in parts:
            named.setdefault(part.name, Ordered(part, order))
        inner = {name for part in parts for name in part.after}
        goals += [part.name for part in parts if part.name not in inner]
    missing: dict[str, bool] = {}

    def look_up(name: str) -> None:
        if name not in missing:
            missing[name] = not named[name].part.done()
            for needed in named[name].part.after if missing[name] else ():
                look_up(needed)

    for goal in goals:
        look_up(goal)
    return [one for name, one in _sorted(named) if missing.get(name)]


def _sorted(named: Mapping[str, Ordered]) -> Iterator[tuple[str, Ordered]]:
    """Yield parts as they are wanted, each behind what it needs."""
    waiting = dict(named)
    while waiting:
        for name, one in list(waiting.items()):
            if not waiting.keys() & {*one.part.after}:
                yield name, waiting.pop(name)
                break
        else:
            raise ValueError(f"these parts wait for each other: {', '.join(waiting)}")


def count_processes(parts: Sequence[Part], cores: int) -> int:
    """Say how many processes of one thread fit: by cores, memory, and parts at the same time."""
    largest = PROCESS_BYTES + max(part.n_bytes for part in parts)
    room = int(_MEMORY_SHARE * usable_memory() // largest)
    return max(1, min(cores, _width(parts), room))


def _width(parts: Sequence[Part]) -> int:
    """Return the most parts that wait for the same things: about how many can be made at once."""
    depth: dict[str, int] = {}
    for part in parts:
        depth[part.name] = 1 + max((depth.get(name, 0) for name in part.after), default=0)
    levels = list(depth.values())
    return max((levels.count(level) for level in set(levels)), default=1)


# ---- runs whose parts lie in a store -----------------------------------------------------------


class Plan(Protocol):
    """A checked request, with the specification that names its result."""

    @property
    def request(self) -> Request:
        """What was asked for."""

    @property
    def spec(self) -> Spec:
        """Names the result."""


class KeptEntry(Protocol):
    """A result in a store."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def key(self) -> str:
        """Its key."""


EntryT = TypeVar("EntryT", bound=KeptEntry)
EntryT_co = TypeVar("EntryT_co", bound=KeptEntry, covariant=True)


class Keeper(Protocol[EntryT_co]):
    """A store of results, as far as runs need it: :class:`braindash.io.store.Store`."""

    root: Path

    def get(self, kind: str, key: str) -> EntryT_co:
        """Return a result that must be there."""

    def get_or_none(self, kind: str, key: str) -> EntryT_co | None:
        """Return a result, or None when it is not there."""

    def put_part(self, kind: str, key: str, name: str, dataset: xr.Dataset) -> Path:
        """Keep one finished part of a result."""

    def part_file(self, kind: str, key: str, name: str) -> Path | None:
        """Find one finished part."""

    def part_files(self, kind: str, key: str) -> dict[str, Path]:
        """Find the finished parts by name."""

    def drop_parts(self, kind: str, key: str) -> None:
        """Forget the parts of a result that is whole."""


class StoredRun(Generic[EntryT]):
    """The parts of one run, and what they share in one process.

    Parameters
    ----------
    plan : Plan
        What to compute.
    store : Store
        Keeps every finished part. What was found or made here is not looked up again.
    """

    maker: ClassVar[str]
    """How another process makes such a run: ``"package.module:function"``."""

    def __init__(self, plan: Plan, store: Keeper[EntryT]) -> None:
        self._kept = store
        self._named = plan
        self._known: dict[tuple[str, str], EntryT] = {}
        self._absent: set[tuple[str, str]] = set()

    @cached_property
    def key(self) -> str:
        """Key of the result."""
        return self._named.spec.key()

    @property
    def kind(self) -> str:
        """Kind of the result."""
        return self._named.spec.kind

    def order(self) -> Order:
        """Say how another process makes the same parts."""
        request = self._named.request.model_copy(update={"threads": None})
        document: dict[str, Any] = request.model_dump(mode="json")
        return Order(
            self.maker, {"request": document, "key": self.key, "root": str(self._kept.root)}
        )

    # ---- what is in the store -------------------------------------------------------------

    def find(self, kind: str, key: str) -> EntryT | None:
        """Return a result, or None when it is not there."""
        place = kind, key
        if place not in self._known:
            entry = self._kept.get_or_none(kind, key)
            if entry is None:
                self._absent.add(place)
                return None
            self.know(entry)
        return self._known[place]

    def lacked(self, kind: str, key: str) -> bool:
        """Say whether a result was not there when it was last looked up, which is now or before."""
        return (kind, key) in self._absent or not self.has(kind, key)

    def look_again(self) -> None:
        """Forget what was not there: others may have made it meanwhile."""
        self._absent.clear()

    def has(self, kind: str, key: str) -> bool:
        """Say whether a result is there, and whole."""
        return self.find(kind, key) is not None

    def get(self, kind: str, key: str) -> EntryT:
        """Return a result that must be there."""
        return self.find(kind, key) or self._kept.get(kind, key)

    def know(self, entry: EntryT) -> EntryT:
        """Take note of what was made here."""
        self._known[entry.kind, entry.key] = entry
        self._absent.discard((entry.kind, entry.key))
        return entry

    def release(self) -> None:
        """Let go of what the parts share, such as responses; whoever asks for it makes it again.

        Of many runs that one process carries out only one has its data in memory.
        """
        for name in list(vars(self)):
            if isinstance(getattr(type(self), name, None), cached_property):
                del vars(self)[name]

    # ---- layers ---------------------------------------------------------------------------

    def layer_part(
        self,
        kind: str,
        key: str,
        layer: int,
        make: Callable[[Progress], xr.Dataset],
        *,
        label: str,
        seconds: float,
        after: Iterable[str],
        n_bytes: float,
    ) -> Part:
        """Describe a layer of a result that is made layer by layer.

        Parameters
        ----------
        kind, key : str
            Of the result.
        layer : int
            The layer.
        make : callable
            Computes its arrays.
        label, seconds, after, n_bytes
            As of :class:`braindash.parts.Part`.
        """
        name = _layer_name(layer)

        def keep(progress: Progress) -> None:
            started = time.monotonic()
            part = make(progress)
            part.attrs["seconds"] = time.monotonic() - started
            self._kept.put_part(kind, key, name, part)

        return Part(
            name=f"{kind} {key} {name}",
            label=label,
            make=keep,
            done=lambda: self._kept.part_file(kind, key, name) is not None,
            seconds=seconds,
            after=tuple(after),
            n_bytes=n_bytes,
        )

    def layers(self, kind: str, key: str) -> list[Path]:
        """Return the files of a result's finished layers, in their order."""
        return [path for _, path in sorted(self._kept.part_files(kind, key).items())]

    def all_layers(self, kind: str, key: str, n_layers: int) -> list[Path]:
        """Do so where none may be lacking.

        Raises
        ------
        FileNotFoundError
            When another run has put the result together and taken them away.
        """
        files = self.layers(kind, key)
        if len(files) < n_layers:
            raise FileNotFoundError(f"{len(files)} of {n_layers} layers of {kind} {key} are there")
        return files

    def last_part(self, make: Callable[[Progress], object], **described: Any) -> Part:
        """Describe what puts the result together; further arguments as of ``Part``."""

        def finish(progress: Progress) -> None:
            for left in reversed(range(_ATTEMPTS)):
                try:
                    make(progress)
                except FileNotFoundError:
                    # Another run of the same was quicker: what was put together has no parts.
                    self.look_again()
                    if not self.has(self.kind, self.key):
                        if not left:
                            raise
                        continue
                break
            self._kept.drop_parts(self.kind, self.key)
            self.release()

        return Part(
            name=f"{self.kind} {self.key}",
            make=finish,
            done=lambda: self.has(self.kind, self.key),
            **described,
        )


def _layer_name(layer: int) -> str:
    return f"layer-{layer:03d}"


def seconds_of(layers: Iterable[Path]) -> float:
    """Add up how long layers took, from their files."""
    total = 0.0
    for path in layers:
        with h5py.File(path, "r") as part:
            total += part.attrs["seconds"].item()
    return total
