"""Results in memory: the ones that were used last, as many as their bytes allow.

A page about forty subjects of two models needs eighty results at once; a bound on their number
would read them all anew for every click.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock

from braindash.encoding.result import EncodingResult
from braindash.process import usable_memory

_SHARE = 0.2  # of the memory that is free when the first result is loaded
_LEAST = 24  # results, whatever they take
_MOST_VIEWS = 6  # of one result: region sets and sides

Load = Callable[[], EncodingResult]


@dataclass
class _Kept:
    result: EncodingResult
    views: OrderedDict[Hashable, EncodingResult] = field(default_factory=OrderedDict)


class LoadedResults:
    """Results by what names them; the least recently used go first.

    Parameters
    ----------
    most_bytes : float
        Of the arrays of all results together.
    least : int, default 24
        So many results are kept in any case.
    """

    def __init__(self, most_bytes: float, least: int = _LEAST) -> None:
        self._most_bytes, self._least = most_bytes, least
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, name: Hashable, load: Load) -> EncodingResult:
        """Return a result, loaded where it is not there."""
        with self._lock:
            known = self._kept.get(name)
            if known is not None:
                self._kept.move_to_end(name)
                return known.result
        made = load()  # without the lock: others need not wait for a disk
        with self._lock:
            kept = self._kept.setdefault(name, _Kept(made))
            self._drop_oldest()
        return kept.result

    def view(self, name: Hashable, how: Hashable, make: Load) -> EncodingResult:
        """Return a result looked at in some way; it goes when the result itself does."""
        with self._lock:
            known = self._kept.get(name)
            views = OrderedDict[Hashable, EncodingResult]() if known is None else known.views
            if how in views:
                views.move_to_end(how)
                return views[how]
        made = make()
        with self._lock:
            shown = views.setdefault(how, made)
            while len(views) > _MOST_VIEWS:
                views.popitem(last=False)
        return shown

    def _drop_oldest(self) -> None:
        total = sum(one.result.dataset.nbytes for one in self._kept.values())
        while len(self._kept) > self._least and total > self._most_bytes:
            _, gone = self._kept.popitem(last=False)
            total -= gone.result.dataset.nbytes


@lru_cache(maxsize=1)
def loaded() -> LoadedResults:
    """Return the results of this server."""
    return LoadedResults(_SHARE * usable_memory())
