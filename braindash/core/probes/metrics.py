"""Scores of a probe from sums over pieces of the test part, so that pieces can be drawn again."""

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from braindash.core.probes.labels import CLASS_METRICS, SET_METRICS, VALUE_METRICS, Coded
from braindash.core.probes.split import Split
from braindash.core.statistics.bootstrap import block_counts

Floats = NDArray[np.float64]


class ClassSums(NamedTuple):
    """How many units of each class, each (..., n_classes): right ones, true ones, predicted."""

    hits: Floats
    true: Floats
    predicted: Floats


class SetSums(NamedTuple):
    """How many units have each label, each (..., n_labels): rightly told, true ones, predicted."""

    hits: Floats
    true: Floats
    predicted: Floats


class ValueSums(NamedTuple):
    """Sums over units, (..., n_outputs); of ``n`` (..., 1).

    ``error`` is of squared errors, ``total`` of true values, ``square`` of their squares.
    """

    n: Floats
    error: Floats
    total: Floats
    square: Floats


Sums = TypeVar("Sums", ClassSums, SetSums, ValueSums)


class Pieces(NamedTuple):
    """What a bootstrap of the test part draws.

    Attributes
    ----------
    piece : array of int64, shape (n_test,)
        Number of each test unit's piece.
    n_pieces : int
        How many there are.
    level : {"speaker", "recording"}
        What they are.
    """

    piece: NDArray[np.int64]
    n_pieces: int
    level: str

    @property
    def description(self) -> str:
        """How many there are of what."""
        return f"{self.n_pieces} test {self.level}{'s' * (self.n_pieces != 1)}"


def drawn_pieces(split: Split) -> Pieces:
    """Say what is drawn again: the highest level that is on one side only.

    Units of one speaker are alike, in all of the speaker's recordings: where the probe learnt from
    other speakers, its score varies with them, and drawing recordings would not show how much.

    Parameters
    ----------
    split : Split
        The sides.

    Returns
    -------
    Pieces
        Speakers where all are known and none of the test part is on another side; otherwise
        recordings. Divisions of one test part have the same ones.
    """
    level, codes = "recording", split.recordings
    if split.speakers is not None:
        learnt = np.concatenate([split.train, split.valid])
        if not np.isin(split.speakers[split.test], split.speakers[learnt]).any():
            level, codes = "speaker", split.speakers
    known = np.unique(codes[split.test if split.of_test is None else split.of_test])
    return Pieces(np.searchsorted(known, codes[split.test]), len(known), level)


def piece_counts(n_pieces: int, n_samples: int, seed: int) -> NDArray[np.float32]:
    """Draw pieces with replacement.

    Parameters
    ----------
    n_pieces, n_samples : int
        How many there are, and how often all are drawn.
    seed : int
        The same seed and number of pieces give the same draws.

    Returns
    -------
    array of float32, shape (n_samples, n_pieces)
        How often each piece is in each sample; ones for a single piece.
    """
    if n_pieces < 2:
        return np.ones((n_samples, n_pieces), dtype=np.float32)
    return block_counts(n_pieces, n_samples=n_samples, block_rows=1, seed=seed)


def class_sums(
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    n_classes: int,
    piece: NDArray[np.int64] | None = None,
    n_pieces: int = 1,
) -> ClassSums:
    """Count units by class, within each piece.

    Parameters
    ----------
    true, predicted : array of int64, shape (n_units,)
        Class numbers.
    n_classes, n_pieces : int
        How many classes and pieces there are.
    piece : array of int64, shape (n_units,), optional
        Piece of each unit. None: all are in the first.

    Returns
    -------
    ClassSums
        Arrays of shape (n_pieces, n_classes).
    """
    place = 0 if piece is None else piece * n_classes

    def count(codes: NDArray[np.int64]) -> Floats:
        found = np.bincount(codes, minlength=n_pieces * n_classes)
        return found.reshape(n_pieces, n_classes).astype(np.float64)

    right = true == predicted
    return ClassSums(count((place + true)[right]), count(place + true), count(place + predicted))


def value_sums(
    true: Floats,
    predicted: Floats,
    piece: NDArray[np.int64] | None = None,
    n_pieces: int = 1,
) -> ValueSums:
    """Sum up values and errors, within each piece.

    Parameters
    ----------
    true, predicted : array of float64, shape (n_units, n_outputs)
        Values; the sums keep their precision when ``true`` is near 0 on average.
    piece, n_pieces
        As for :func:`class_sums`.

    Returns
    -------
    ValueSums
        Arrays of shape (n_pieces, n_outputs), ``n`` (n_pieces, 1).
    """
    add = _adder(len(true), piece, n_pieces)
    n_units = np.asarray(add.sum(axis=1)).reshape(-1, 1)
    return ValueSums(n_units, add @ (true - predicted) ** 2, add @ true, add @ true**2)


def set_sums(
    true: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    piece: NDArray[np.int64] | None = None,
    n_pieces: int = 1,
) -> SetSums:
    """Count units by label, within each piece.

    Parameters
    ----------
    true, predicted : array of bool, shape (n_units, n_labels)
        Whether a unit has a label.
    piece, n_pieces
        As for :func:`class_sums`.

    Returns
    -------
    SetSums
        Arrays of shape (n_pieces, n_labels).
    """
    add = _adder(len(true), piece, n_pieces)
    return SetSums(*(add @ part.astype(np.float64) for part in (true & predicted, true, predicted)))


def measure(sums: ClassSums | SetSums | ValueSums) -> dict[str, Floats]:
    """Return every metric of sums, each (...) without their last axis.

    Accuracy; balanced accuracy, the mean share of right units over the classes that have any;
    macro-F1, the mean of ``2 hits / (true + predicted)`` over the classes that are true or
    predicted anywhere; or, variance-weighted, ``R^2 = 1 - sum error / sum variance``, both over
    units and outputs, the variance about the mean of the same units. Of sets macro-F1 likewise over
    the labels, and micro-F1, ``2 sum hits / sum (true + predicted)``. NaN where nothing is known.
    """
    if isinstance(sums, ValueSums):
        r2 = _r2(sums.error.sum(axis=-1), _variation(sums).sum(axis=-1))
        return dict(zip(VALUE_METRICS, [r2], strict=True))
    hits, true, predicted = sums
    if isinstance(sums, SetSums):
        with np.errstate(invalid="ignore"):
            micro = 2 * hits.sum(axis=-1) / (true + predicted).sum(axis=-1)
        return dict(zip(SET_METRICS, (_macro_f1(hits, true + predicted), micro), strict=True))
    with np.errstate(invalid="ignore"):
        accuracy = hits.sum(axis=-1) / true.sum(axis=-1)
        n_true = (true > 0).sum(axis=-1)
        recall = (hits / np.where(true > 0, true, 1)).sum(axis=-1) / n_true
    f1 = _macro_f1(hits, true + predicted)
    return dict(zip(CLASS_METRICS, (accuracy, recall, f1), strict=True))


def _macro_f1(hits: Floats, both: Floats) -> Floats:
    """Average F1 over what is true or predicted anywhere; ``both`` are true ones and predicted."""
    with np.errstate(invalid="ignore"):
        f1 = (2 * hits / np.where(both > 0, both, 1)).sum(axis=-1) / (both > 0).sum(axis=-1)
    return np.asarray(f1)


def output_r2(sums: ValueSums) -> Floats:
    """Return R^2 of every output, (..., n_outputs); NaN where an output does not vary."""
    return _r2(sums.error, _variation(sums))


def resampled(sums: Sums, counts: NDArray[np.float32]) -> Sums:
    """Add up the pieces of every sample.

    Parameters
    ----------
    sums : ClassSums or ValueSums
        Arrays of shape (n_pieces, ...).
    counts : array of float32, shape (n_samples, n_pieces)
        How often each piece is drawn.

    Returns
    -------
    ClassSums or ValueSums
        Arrays of shape (n_samples, ...).
    """
    drawn = counts.astype(np.float64)
    return type(sums)(*(drawn @ part for part in sums))


def scores_of(
    coded: Coded,
    true: NDArray[Any],
    predicted: NDArray[Any],
    pieces: Pieces,
    counts: NDArray[np.float32],
) -> dict[str, Floats]:
    """Return every metric of predictions of the test part, in every sample of its pieces.

    Parameters
    ----------
    coded : Coded
        The task.
    true, predicted : array, shape (n_test,) or (n_test, n_outputs)
        Class numbers, values, or whether a unit has each label.
    pieces : Pieces
        Pieces of the test part.
    counts : array of float32, shape (n_samples, n_pieces)
        How often each piece is drawn; ones for the test part itself.

    Returns
    -------
    dict of str to array of float64, shape (n_samples,)
    """
    piece, n_pieces = pieces.piece, pieces.n_pieces
    if coded.is_classes:
        classes = class_sums(true, predicted, coded.n_columns, piece, n_pieces)
        return measure(resampled(classes, counts))
    if coded.is_sets:
        return measure(resampled(set_sums(true, predicted, piece, n_pieces), counts))
    centre = true.mean(axis=0)
    values = value_sums(true - centre, predicted - centre, piece, n_pieces)
    return measure(resampled(values, counts))


def detail_of(coded: Coded, true: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """Count units by true and predicted class, or give R^2 of every output, F1 of every label.

    Parameters
    ----------
    coded, true, predicted
        As for :func:`scores_of`.

    Returns
    -------
    array
        int64 of shape (n_classes, n_classes), or float64 of shape (n_outputs,) or (n_labels,).
    """
    if coded.is_classes:
        n_classes = coded.n_columns
        pairs = np.bincount(true * n_classes + predicted, minlength=n_classes**2)
        return np.asarray(pairs.reshape(n_classes, n_classes))
    if coded.is_sets:
        hits, *both = set_sums(true, predicted)
        told = np.add(*both)[0]
        return np.asarray(np.where(told > 0, 2 * hits[0] / np.maximum(told, 1), np.nan))
    centre = true.mean(axis=0)
    return np.asarray(output_r2(value_sums(true - centre, predicted - centre))[0])


def _adder(n_units: int, piece: NDArray[np.int64] | None, n_pieces: int) -> csr_matrix:
    """Make the matrix that sums units up within each piece, (n_pieces, n_units)."""
    index = np.zeros(n_units, dtype=np.int64) if piece is None else piece
    return csr_matrix((np.ones(n_units), (index, np.arange(n_units))), (n_pieces, n_units))


def _variation(sums: ValueSums) -> Floats:
    """Sum of squares about the mean."""
    return np.asarray(sums.square - sums.total**2 / np.maximum(sums.n, 1))


def _r2(error: Floats, variation: Floats) -> Floats:
    r2 = np.full(error.shape, np.nan)
    np.divide(error, variation, out=r2, where=variation > 0)
    return 1 - r2
