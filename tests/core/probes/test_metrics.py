import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.data.spoken_units import spoken_units
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    r2_score,
)

from braindash.core.probes.labels import ProbeTask, code_task
from braindash.core.probes.metrics import (
    class_sums,
    detail_of,
    drawn_pieces,
    measure,
    piece_counts,
    resampled,
    scores_of,
    set_sums,
    value_sums,
)
from braindash.core.probes.split import Split


@pytest.mark.filterwarnings("ignore:y_pred contains classes", "ignore:A single label")
@given(st.integers(2, 6), st.integers(2, 40), st.integers(0, 10**6))
def test_class_metrics_of_every_sample_equal_scikit_learn(n_classes, n_units, seed):
    rng = np.random.default_rng(seed)
    true, predicted = rng.integers(n_classes, size=(2, n_units))
    piece = rng.integers(4, size=n_units)
    counts = piece_counts(4, 3, seed)
    found = measure(resampled(class_sums(true, predicted, n_classes, piece, 4), counts))
    for sample, drawn in enumerate(counts):
        rows = np.repeat(np.arange(n_units), drawn[piece].astype(int))
        if not len(rows):
            assert all(np.isnan(values[sample]) for values in found.values())
            continue
        pair = true[rows], predicted[rows]
        expected = {
            "accuracy": accuracy_score(*pair),
            "balanced_accuracy": balanced_accuracy_score(*pair),
            "macro_f1": f1_score(*pair, average="macro"),
        }
        assert {name: float(values[sample]) for name, values in found.items()} == pytest.approx(
            expected
        )


def test_r2_of_every_sample_equals_scikit_learn():
    rng = np.random.default_rng(0)
    true = rng.standard_normal((60, 3)) * [1, 5, 0.2] + [0, 10, -3]
    predicted = true + rng.standard_normal((60, 3))
    piece = np.arange(60) // 7
    counts = piece_counts(9, 5, 2)
    found = measure(resampled(value_sums(true, predicted, piece, 9), counts))["r2"]
    for value, drawn in zip(found, counts, strict=True):
        rows = np.repeat(np.arange(60), drawn[piece].astype(int))
        expected = r2_score(true[rows], predicted[rows], multioutput="variance_weighted")
        assert value == pytest.approx(expected)


def test_scores_and_details_of_the_test_part_equal_scikit_learn():
    units = spoken_units(n_units=600)
    pieces, rng = drawn_pieces(units.split), np.random.default_rng(1)
    whole = np.ones((1, pieces.n_pieces), dtype=np.float32)
    coded = code_task(ProbeTask("phone", units.phone), units.split)
    true = coded.labels[units.split.test]
    guess = rng.permutation(true)
    assert scores_of(coded, true, guess, pieces, whole)["macro_f1"][0] == pytest.approx(
        f1_score(true, guess, average="macro")
    )
    np.testing.assert_array_equal(detail_of(coded, true, guess), confusion_matrix(true, guess))

    coded = code_task(ProbeTask("value", units.values + 1e6, "regression"), units.split)
    true = coded.labels[units.split.test]
    guess = true + rng.standard_normal(true.shape)
    weighted = r2_score(true, guess, multioutput="variance_weighted")
    assert scores_of(coded, true, guess, pieces, whole)["r2"][0] == pytest.approx(weighted)
    each = r2_score(true, guess, multioutput="raw_values")
    np.testing.assert_allclose(detail_of(coded, true, guess), each)


@given(st.integers(1, 5), st.integers(2, 30), st.integers(0, 10**6))
def test_f1_of_sets_in_every_sample_equals_scikit_learn(n_labels, n_units, seed):
    rng = np.random.default_rng(seed)
    true, told = rng.random((2, n_units, n_labels)) < rng.random(n_labels)
    piece, counts = rng.integers(4, size=n_units), piece_counts(4, 3, seed)
    found = measure(resampled(set_sums(true, told, piece, 4), counts))
    for sample, drawn in enumerate(counts):
        rows = np.repeat(np.arange(n_units), drawn[piece].astype(int))
        seen = np.flatnonzero((true | told)[rows].any(axis=0)) if len(rows) else []
        if not len(seen):
            assert all(np.isnan(values[sample]) for values in found.values())
            continue
        each = [f1_score(true[rows, one], told[rows, one]) for one in seen]
        assert found["macro_f1"][sample] == pytest.approx(np.mean(each))
        both = f1_score(true[rows].ravel(), told[rows].ravel())
        assert found["micro_f1"][sample] == pytest.approx(both)


def test_an_output_that_does_not_vary_has_no_r2():
    sums = value_sums(np.zeros((5, 1)), np.ones((5, 1)))
    assert np.isnan(measure(sums)["r2"]).all()


def split_of(recordings, speakers=None, learnt=(), of_test=None) -> Split:
    """All units but the learnt ones are tested."""
    rows = np.arange(len(recordings))
    train = np.asarray(learnt, dtype=np.int64)
    test = np.setdiff1d(rows, train)
    codes = None if speakers is None else np.asarray(speakers)
    return Split(
        train, rows[:0], test, np.asarray(recordings), "by hand", speakers=codes, of_test=of_test
    )


def test_recordings_are_drawn_where_nothing_is_known_of_speakers():
    recordings = np.repeat(np.arange(9) * 2 + 3, 4)
    pieces = drawn_pieces(split_of(recordings))
    assert pieces.n_pieces == 9 and pieces.level == "recording"
    assert pieces.description == "9 test recordings"
    np.testing.assert_array_equal(pieces.piece, (recordings - 3) // 2)


def test_speakers_are_drawn_where_they_are_on_one_side():
    recordings, speakers = np.repeat(np.arange(8), 2), np.repeat([5, 1, 0, 3], 4)
    apart = drawn_pieces(split_of(recordings, speakers, learnt=range(12, 16)))
    assert (apart.level, apart.description) == ("speaker", "3 test speakers")
    np.testing.assert_array_equal(apart.piece, np.repeat([2, 1, 0], 4))
    shared = drawn_pieces(split_of(recordings, speakers, learnt=range(14, 16)))
    assert (shared.level, shared.n_pieces) == ("recording", 7)
    assert drawn_pieces(split_of(recordings[:1], speakers[:1])).description == "1 test speaker"


def test_divisions_of_one_test_part_have_the_same_pieces():
    speakers = np.repeat([5, 1, 0, 3], 4)
    learnt = [one for one in range(16) if one not in (0, 1, 9)]
    part = np.arange(12)  # what all divisions test
    pieces = drawn_pieces(split_of(np.arange(16), None, learnt, of_test=part))
    assert pieces.n_pieces == 12 and pieces.piece.tolist() == [0, 1, 9]
    pieces = drawn_pieces(split_of(np.arange(16), speakers, range(12, 16), of_test=part))
    assert pieces.n_pieces == 3


def test_draws_are_even_and_repeat_with_the_seed():
    counts = piece_counts(12, 5000, seed=1)
    np.testing.assert_array_equal(counts.sum(axis=1), 12)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(counts.var(axis=0), 11 / 12, atol=0.1)
    np.testing.assert_array_equal(counts, piece_counts(12, 5000, seed=1))
    np.testing.assert_array_equal(piece_counts(1, 3, seed=1), np.ones((3, 1)))
