"""The ceiling between many subjects: one sum over everybody, less each subject's own share.

The mean of a subject's others is ``(sum - own) / (n - 1)`` up to a factor that r does not see, so
that a study of n subjects reads every subject once and not n times. The sum of a story lies in the
user's cache folder, named by the digests of all responses in it; without it, or where it is damaged
or cannot be written, it is made again. Few others are read one by one, as ever: the sum is kept in
single precision, which moves r by less than 1e-6.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from braindash.core.ceilings import ceiling_beside_sum
from braindash.core.scores import column_slices, unit_columns
from braindash.encoding.responses import StoryResponses
from braindash.files import digest_bytes, digest_json, replaced
from braindash.io.dataset.responses import digest as digest_responses
from braindash.io.netcdf import written_hdf5
from braindash.process import usable_memory
from braindash.progress import Progress
from braindash.remembered.tables import cache_folder
from braindash.stories import StoryPlan

logger = logging.getLogger(__name__)

LEAST_OTHERS = 8
"""So many other subjects are summed; fewer are read one by one."""
SUMS = "subject-sums"
_VERSION = 1
_MEMORY_SHARE = 0.2
_MOST_BYTES = 8 << 30

Stories = tuple[StoryPlan, ...]


def can_be_summed(own: Stories, others: Sequence[Stories]) -> bool:
    """Say whether there are many others, and no row of anybody is censored.

    With censored rows the mean of the others is over other subjects in every row.
    """
    censored = any(story.censored for stories in (own, *others) for story in stories)
    return len(others) >= LEAST_OTHERS and not censored


def ceiling_by_sum(
    own: Stories,
    others: Sequence[Stories],
    response: Callable[[slice], NDArray[np.float32]],
    *,
    standardise: bool,
    high_pass: float | None = None,
    progress: Progress,
) -> NDArray[np.float64]:
    """Compute a subject's ceiling beside the sum of everybody who heard the same.

    Parameters
    ----------
    own : tuple of StoryPlan
        The subject's test stories.
    others : sequence of tuple of StoryPlan
        The same stories of every other subject; see :func:`can_be_summed`.
    response : callable
        Takes targets, and gives the subject's response in the scored rows, (n_rows, n_columns).
    standardise, high_pass
        As of StoryResponses.
    progress : Progress
        Told of every subject that is read.

    Returns
    -------
    array of float64, shape (n_targets,)
        Of :func:`braindash.core.ceilings.ceiling_beside_sum`.
    """
    responses = StoryResponses(own, standardise=standardise, high_pass=high_pass)
    settings: dict[str, bool | float] = {"standardise": standardise}
    if high_pass is not None:
        settings["high_pass"] = high_pass
    kept = _Sum(responses, [own, *others], settings)
    kept.make(progress)
    ceiling = np.empty(responses.n_targets)
    for columns in column_slices(responses.n_targets):
        total, counts = kept.read(columns)
        mine = _means(responses, own, columns)
        ceiling[columns] = ceiling_beside_sum(response(columns), mine, total, counts)
    return ceiling


class _Sum:
    """The sum of all subjects' responses, each column centred and of length 1.

    Parameters
    ----------
    responses : StoryResponses
        Of one of them; says which rows are scored.
    members : sequence of tuple of StoryPlan
        Everybody.
    settings : mapping
        What is done to every presentation first.
    """

    def __init__(
        self,
        responses: StoryResponses,
        members: Sequence[Stories],
        settings: Mapping[str, bool | float],
    ) -> None:
        self._responses = responses
        # One order for everybody, so that the sum is the same to the last digit.
        named = sorted(((_identity(one), one) for one in members), key=lambda pair: pair[0])
        self._members = [one for _, one in named]
        key = {
            "version": _VERSION,
            **settings,
            "scored": digest_bytes(responses.scored.tobytes()),
            "members": [name for name, _ in named],
        }
        self._path = cache_folder() / SUMS / f"{digest_json(key)}.h5"
        self._size = (int(responses.scored.sum()), responses.n_targets)
        self._here: tuple[NDArray[np.float32], NDArray[np.int32]] | None = None

    def make(self, progress: Progress) -> None:
        """Add everybody up, unless it was done."""
        if self._is_kept():
            return
        n_rows, n_targets = self._size
        total, counts = np.zeros(self._size, np.float32), np.zeros(n_targets, np.int32)
        wide = max(1024, int(_MEMORY_SHARE * usable_memory() / (24 * max(1, n_rows))))
        for start in range(0, n_targets, wide):
            block = slice(start, min(start + wide, n_targets))
            total[:, block], counts[block] = self._added(block, progress)
        self._here = total, counts
        self._keep()

    def _added(
        self, block: slice, progress: Progress
    ) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        total = np.zeros((self._size[0], block.stop - block.start))
        counts = np.zeros(total.shape[1], np.int32)
        for number, stories in enumerate(self._members):
            place = block.start + (block.stop - block.start) * number / len(self._members)
            progress.advance(place, self._size[1], f"sum of {len(self._members)} subjects")
            means = _means(self._responses, stories, block)
            for columns in column_slices(total.shape[1]):
                units = unit_columns(means[:, columns])
                total[:, columns] += np.nan_to_num(units)
                counts[columns] += np.isfinite(units[0])
        return total, counts

    def _is_kept(self) -> bool:
        try:
            with h5py.File(self._path, "r") as file:
                total, counts = file["total"], file["counts"]
                last = total[:, -1:]  # a file that was cut lacks its end
                whole = total.shape == self._size and counts.shape == self._size[1:]
        except (OSError, KeyError, ValueError):
            return False
        return bool(whole and len(last))

    def _keep(self) -> None:
        if self._here is None:
            return
        try:
            with replaced(self._path) as partial, written_hdf5(partial) as file:
                chunks = (self._size[0], min(1024, self._size[1]))
                file.create_dataset("total", data=self._here[0], chunks=chunks)
                file["counts"] = self._here[1]
            _shorten(self._path.parent)
        except OSError as error:
            logger.info("the sum of %d subjects is not kept: %s", len(self._members), error)

    def read(self, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Return sum, (n_rows, n_columns), and how many subjects it is of, (n_columns,)."""
        if self._here is not None:
            return self._here[0][:, columns], self._here[1][columns]
        with h5py.File(self._path, "r") as file:
            return file["total"][:, columns], file["counts"][columns]


def _identity(stories: Stories) -> str:
    told = [[digest_responses(s.responses), s.rows.start, s.rows.stop] for s in stories]
    return digest_json(told)


def _means(responses: StoryResponses, stories: Stories, columns: slice) -> NDArray[np.float32]:
    """Read a subject's mean over presentations in the scored rows, (n_rows, n_columns)."""
    means, _ = responses.others([stories], columns)
    return np.asarray(means[0])


def _shorten(folder: Path) -> None:
    """Remove the oldest sums beyond what may be kept."""
    files = sorted(folder.glob("*.h5"), key=lambda path: -path.stat().st_mtime)
    size = 0
    for path in files:
        size += path.stat().st_size
        if size > _MOST_BYTES:
            path.unlink(missing_ok=True)
