"""Feature spaces from annotations in time: which phone, how it is made, how many phones and words.

Features are sampled in steps of 10 ms, step ``i`` from ``0.01 i`` to ``0.01 (i + 1)`` seconds, and
brought to the times of brain responses like all others, by Lanczos resampling.
"""

import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from braindash.core.ipa import uses_ipa
from braindash.core.phones import (
    ARPABET,
    ARTICULATION_OF,
    ARTICULATIONS,
    is_word,
    made_as,
    phones_of,
)
from braindash.core.timing import lanczos_weights
from braindash.errors import InputError
from braindash.speech.acoustic.spaces import (
    ANNOTATED_STEP_SECONDS,
    TRIPLE_COLUMNS,
    AcousticSpace,
)

logger = logging.getLogger(__name__)

# Aligners round their last times up; more than this is another recording's annotation.
_BEYOND_SECONDS = 0.5
# A share of a step: times such as 0.29 s are no exact multiple of 0.01 s in binary.
_ROUNDING = 1e-9
# Phones further apart are no neighbours: something else, or nothing, is between them.
_APART_SECONDS = 0.02


class Labelled(Protocol):
    """A labelled piece of a recording, such as :class:`braindash.io.labels.textgrid.Interval`."""

    @property
    def start(self) -> float:
        """Seconds from the first sample of the audio."""

    @property
    def end(self) -> float:
        """Seconds from the first sample of the audio; equal to ``start`` for a point."""

    @property
    def label(self) -> str:
        """What is said there; empty for a pause."""


@dataclass(frozen=True, eq=False)
class AnnotatedFrames:
    """Features of one recording in steps of 10 ms.

    Parameters
    ----------
    values : float32 array, or sparse array, of shape (n_steps, n_features)
        Sparse where there are thousands of columns.
    names : tuple of str
        Names of the columns.
    """

    values: NDArray[np.float32] | sp.csr_array
    names: tuple[str, ...]

    @property
    def times(self) -> NDArray[np.float64]:
        """Middle of every step in seconds, (n_steps,)."""
        return np.asarray((np.arange(self.values.shape[0]) + 0.5) * ANNOTATED_STEP_SECONDS)

    def at(self, times: ArrayLike, tr: float) -> NDArray[np.float32]:
        """Bring the features to response times.

        Parameters
        ----------
        times : array of shape (n_times,)
            Increasing response times in seconds from the beginning of the audio.
        tr : float
            Seconds between responses, the unit of the resampling.

        Returns
        -------
        float32 array of shape (1, n_times, n_features)
            One layer, like the features of an acoustic space.

        Raises
        ------
        InputError
            When a time has no step near enough to carry it.
        """
        weights = lanczos_weights(self.times, times, tr)
        rows = weights @ self.values.astype(np.float64)
        dense = rows.toarray() if sp.issparse(rows) else rows
        return np.asarray(dense, dtype=np.float32)[None]


def phone_identity(phones: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Say which phone is spoken: one column for each of the 39 phones of ARPABET.

    Sounds that English lacks (:mod:`braindash.core.ipa`) have no column; the log says which.

    Parameters
    ----------
    phones : sequence of Labelled
        The phone tier.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        Share of the step that the phone fills: 0 or 1 except where one begins or ends.

    Raises
    ------
    InputError
        For labels that are no phones, and intervals that do not fit the recording.
    """
    names_of = _names_in(phones)
    lacking = sorted({name for one in phones for name in names_of(one.label)} - set(ARPABET))
    if lacking:
        logger.warning("phones without a column of their own: %s", ", ".join(lacking))

    def columns_of(label: str) -> list[str]:
        return [name for name in names_of(label) if name in ARTICULATION_OF]

    return _covered(phones, seconds, ARPABET, columns_of)


def articulation(phones: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Say how the sound is made: voicing, manner and place, as in ``ARTICULATIONS``.

    Parameters
    ----------
    phones : sequence of Labelled
        The phone tier.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        Share of the step during which the feature is there.

    Raises
    ------
    InputError
        For labels that are no phones, and intervals that do not fit the recording.
    """
    names_of = _names_in(phones)

    def features_of(label: str) -> frozenset[str]:
        return frozenset().union(*(made_as(phone) for phone in names_of(label)))

    return _covered(phones, seconds, ARTICULATIONS, features_of)


def diphones(phones: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Say which phone is spoken after which: a column for each of the 39 x 39 pairs of phones.

    A pair is there while its second phone is spoken. Phones are neighbours across words, not
    across pauses, gaps of more than 20 ms or sounds that English lacks.

    Parameters
    ----------
    phones : sequence of Labelled
        The phone tier.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        Share of the step that the pair fills; columns are named such as ``AE-T``.

    Raises
    ------
    InputError
        For labels that are no phones, and intervals that do not fit the recording.
    """
    names = tuple(f"{one}-{two}" for one in ARPABET for two in ARPABET)
    place = {name: column for column, name in enumerate(names)}
    spans = [
        _Span(two.start, two.end, f"{one.label}-{two.label}")
        for one, two in pairwise(_in_a_row(phones, seconds))
        if one.label and two.label
    ]
    return _covered_few(spans, seconds, names, place.__getitem__)


def triphones(phones: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Say which phone is spoken between which two.

    A triple is there while its middle phone is spoken; neighbours are those of :func:`diphones`.
    Of the 39^3 triples speech has some thousand: each has one of 4096 columns, by the CRC-32 of its
    name such as ``K-AE-T``, so that columns are the same for all stories. Where more than some
    hundred occur, a few share a column by chance.

    Parameters
    ----------
    phones : sequence of Labelled
        The phone tier.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        Share of the step that the column's triples fill.

    Raises
    ------
    InputError
        For labels that are no phones, and intervals that do not fit the recording.
    """
    row = _in_a_row(phones, seconds)
    spans = [
        _Span(two.start, two.end, f"{one.label}-{two.label}-{three.label}")
        for one, two, three in zip(row, row[1:], row[2:], strict=False)
        if one.label and two.label and three.label
    ]
    names = tuple(map(str, range(TRIPLE_COLUMNS)))
    return _covered_few(spans, seconds, names, triple_column)


def triple_column(triple: str) -> int:
    """Return the column of three phones, such as ``K-AE-T``."""
    return zlib.crc32(triple.encode()) % TRIPLE_COLUMNS


@dataclass(frozen=True)
class _Span:
    """A phone, a pair or a triple of phones in time; without a label where phones are apart."""

    start: float
    end: float
    label: str


def _in_a_row(phones: Sequence[Labelled], seconds: float) -> list[_Span]:
    """List single phones in order of time, with a span without a label where neighbours end."""
    return list(_with_breaks(sorted(_checked(phones, seconds), key=lambda one: one.start)))


def _with_breaks(phones: Sequence[Labelled]) -> Iterator[_Span]:
    names_of, end = _names_in(phones), 0.0
    for one in phones:
        names = names_of(one.label)
        if not names or one.start > end + _APART_SECONDS:
            yield _Span(one.start, one.start, "")
        # Of a label of several phones each fills the whole of it, as in the other spaces.
        for name in names:
            yield _Span(one.start, one.end, name if name in ARTICULATION_OF else "")
        end = one.end


def phone_rate(phones: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Count the phones that begin in each step.

    Parameters
    ----------
    phones : sequence of Labelled
        The phone tier.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        One column, in phones per second.

    Raises
    ------
    InputError
        For labels that are no phones, and intervals that do not fit the recording.
    """
    names_of = _names_in(phones)
    return _begun(phones, seconds, "phones per second", lambda label: len(names_of(label)))


def _names_in(phones: Sequence[Labelled]) -> Callable[[str], tuple[str, ...]]:
    """Return what translates the labels of a tier, by the alphabet of all of them.

    Raises
    ------
    InputError
        Names every label that no alphabet has.
    """
    translate = partial(phones_of, ipa=uses_ipa(one.label for one in phones))
    unknown: dict[str, InputError] = {}
    for label in dict.fromkeys(one.label for one in phones):
        try:
            translate(label)
        except InputError as error:
            unknown[label] = error
    if len(unknown) > 1:
        raise InputError(
            f"{len(unknown)} phone labels are unknown: {', '.join(map(repr, unknown))}",
            hint=next(iter(unknown.values())).hint,
        )
    for one in unknown.values():
        raise one
    return translate


def word_rate(words: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Count the words that begin in each step.

    Parameters
    ----------
    words : sequence of Labelled
        The word tier; empty labels and labels in brackets or of an aligner's pauses do not count.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        One column, in words per second.

    Raises
    ------
    InputError
        For intervals that do not fit the recording.
    """
    return _begun(words, seconds, "words per second", lambda label: int(is_word(label)))


def word_shares(words: Sequence[Labelled], seconds: float) -> AnnotatedFrames:
    """Say which word is spoken: a column for each, in the order of time.

    Parameters
    ----------
    words : sequence of Labelled
        The word tier; what :func:`word_rate` does not count has no column.
    seconds : float
        Length of the recording.

    Returns
    -------
    AnnotatedFrames
        Share of the step that the word fills; the columns' names are the words, so that one that
        is said twice has two columns.

    Raises
    ------
    InputError
        For intervals that do not fit the recording.
    """
    said = sorted(
        (one for one in _checked(words, seconds) if is_word(one.label)), key=lambda one: one.start
    )
    spans = [_Span(one.start, one.end, str(place)) for place, one in enumerate(said)]
    return _covered_few(spans, seconds, tuple(one.label.strip() for one in said), int)


ANNOTATION_SPACES: Mapping[str, Callable[[Sequence[Labelled], float], AnnotatedFrames]] = (
    MappingProxyType(
        {
            "phones": phone_identity,
            "articulation": articulation,
            "diphones": diphones,
            "triphones": triphones,
            "phonerate": phone_rate,
            "wordrate": word_rate,
        }
    )
)


def annotated_features(
    space: AcousticSpace,
    intervals: Sequence[Labelled],
    seconds: float,
    times: ArrayLike,
    tr: float,
) -> NDArray[np.float32]:
    """Compute the features of an annotated space at response times.

    Parameters
    ----------
    space : AcousticSpace
        One with a ``tier``.
    intervals : sequence of Labelled
        The tier.
    seconds : float
        Length of the recording.
    times : array of shape (n_times,)
        Increasing response times in seconds from the beginning of the audio.
    tr : float
        Seconds between responses, the unit of the resampling.

    Returns
    -------
    float32 array of shape (1, n_times, n_features)

    Raises
    ------
    InputError
        For intervals or labels that cannot be used.
    """
    (part,) = space.parts
    return ANNOTATION_SPACES[part.name](intervals, seconds).at(times, tr)


def _covered(
    intervals: Sequence[Labelled],
    seconds: float,
    names: tuple[str, ...],
    columns_of: Callable[[str], Sequence[str] | frozenset[str]],
) -> AnnotatedFrames:
    """Fill columns with the share of each step that their intervals cover."""
    values = np.zeros((_n_steps(seconds), len(names)), np.float32)
    place = {name: column for column, name in enumerate(names)}
    for interval in _checked(intervals, seconds):
        columns = [place[name] for name in columns_of(interval.label)]
        first, share = _shares(interval, len(values))
        if columns and len(share):
            values[first : first + len(share), columns] += share[:, None]
    return AnnotatedFrames(values, names)


def _covered_few(
    spans: Sequence[Labelled],
    seconds: float,
    names: tuple[str, ...],
    column_of: Callable[[str], int],
) -> AnnotatedFrames:
    """Fill a column of each span as :func:`_covered` does, where there are thousands of columns."""
    n_steps = _n_steps(seconds)
    rows, columns, shares = [np.zeros(0, int)], [np.zeros(0, int)], [np.zeros(0, np.float32)]
    for span in spans:
        first, share = _shares(span, n_steps)
        rows.append(np.arange(first, first + len(share)))
        columns.append(np.full(len(share), column_of(span.label)))
        shares.append(share)
    places = (np.concatenate(rows), np.concatenate(columns))
    shape = (n_steps, len(names))
    return AnnotatedFrames(sp.csr_array((np.concatenate(shares), places), shape=shape), names)


def _shares(interval: Labelled, n_steps: int) -> tuple[int, NDArray[np.float32]]:
    """Return the first step of an interval, and the share that it fills of that and the next."""
    first = int(interval.start / ANNOTATED_STEP_SECONDS)
    stop = min(n_steps, int(np.ceil(interval.end / ANNOTATED_STEP_SECONDS)))
    if stop <= first:
        return first, np.zeros(0, np.float32)
    edges = np.arange(first, stop + 1) * ANNOTATED_STEP_SECONDS
    share = np.diff(np.clip(edges, interval.start, interval.end)) / ANNOTATED_STEP_SECONDS
    return first, share.astype(np.float32)


def _begun(
    intervals: Sequence[Labelled], seconds: float, name: str, count: Callable[[str], int]
) -> AnnotatedFrames:
    """Count what begins in each step, per second."""
    values = np.zeros((_n_steps(seconds), 1), np.float32)
    for interval in _checked(intervals, seconds):
        step = int(interval.start / ANNOTATED_STEP_SECONDS + _ROUNDING)
        if step < len(values):
            values[step, 0] += count(interval.label) / ANNOTATED_STEP_SECONDS
    return AnnotatedFrames(values, (name,))


def _n_steps(seconds: float) -> int:
    steps = (
        int(np.ceil(seconds / ANNOTATED_STEP_SECONDS - _ROUNDING)) if np.isfinite(seconds) else 0
    )
    if steps < 1:
        raise InputError(
            f"the recording lasts {seconds} s",
            hint="Give the length of the audio, braindash.io.dataset.audio.audio_seconds.",
        )
    return steps


def _checked(intervals: Sequence[Labelled], seconds: float) -> Sequence[Labelled]:
    for interval in intervals:
        if not (0 <= interval.start <= interval.end and np.isfinite(interval.end)):
            raise InputError(
                f"the interval {interval.label!r} goes from {interval.start} to {interval.end} s",
                hint="Intervals begin at 0 s or later and end no earlier than they begin.",
            )
        if interval.label.strip() and interval.start > seconds + _BEYOND_SECONDS:
            raise InputError(
                f"the interval {interval.label!r} begins at {interval.start} s, but the recording "
                f"lasts {seconds:.3f} s",
                hint="Check that the annotation belongs to this recording.",
            )
    return intervals
