import numpy as np
import pytest
from kit.data.spoken_units import spoken_units

from braindash.core.probes.labels import ProbeTask, code_task, shuffled_sources
from braindash.core.probes.split import Split, given_split
from braindash.errors import InputError


@pytest.fixture(scope="module")
def units():
    return spoken_units()


def three_sides(recordings) -> Split:
    """Put the first half of the units in train, a quarter each in validation and test."""
    edges = np.array([2, 3]) * len(recordings) // 4
    return Split(*np.split(np.arange(len(recordings)), edges), np.asarray(recordings), "by hand")


def test_classes_are_sorted_whatever_their_type(units):
    names = np.array(["ba", "aa", "zh", "eh", "oo"])[units.phone]
    coded = code_task(ProbeTask("phone", names), units.split)
    assert coded.classes == ("aa", "ba", "eh", "oo", "zh") and coded.is_classes
    np.testing.assert_array_equal(np.array(coded.classes)[coded.labels], names)
    same = code_task(ProbeTask("phone", names.astype(object)), units.split)
    assert same.classes == coded.classes
    flags = code_task(ProbeTask("first", units.phone == 0), units.split)
    assert flags.classes == (False, True)
    numbers = code_task(ProbeTask("phone", units.phone * 10 - 5), units.split)
    assert numbers.classes == (-5, 5, 15, 25, 35)


def test_metrics_follow_the_kind(units):
    def metric(**options):
        return code_task(ProbeTask("phone", units.phone, **options), units.split).metric

    assert metric() == "accuracy" and metric(balanced=True) == "balanced_accuracy"
    assert metric(balanced=True, metric="macro_f1") == "macro_f1"
    assert metric(kind="regression") == "r2"


def test_words_that_mean_nothing_are_refused(units):
    for options, match in (
        ({"kind": "clasification"}, "Did you mean 'classification'"),
        ({"method": "svm"}, "unknown method 'svm'"),
        ({"metric": "r2"}, "'r2' is no metric of a classification"),
        ({"kind": "regression", "metric": "accuracy"}, "no metric of a regression"),
        ({"kind": "regression", "balanced": True}, "a regression has no classes"),
        ({"kind": "regression", "method": "logistic"}, "a regression has no classes"),
    ):
        with pytest.raises(InputError, match=match):
            code_task(ProbeTask("phone", units.phone, **options), units.split)


def test_classes_that_cannot_be_learnt_are_refused(units):
    def coded(labels):
        return code_task(ProbeTask("phone", labels), units.split)

    with pytest.raises(InputError, match="every unit is of class 3"):
        coded(np.full(1200, 3))
    alone = units.phone.astype(str)
    alone[7] = "x"
    with pytest.raises(InputError, match="only one unit is of class 'x'"):
        coded(alone)
    with pytest.raises(InputError, match="phone: there are 1199 labels for 1200 units"):
        coded(units.phone[:-1])
    with pytest.raises(InputError, match="type float64"):
        coded(units.phone + 0.5)
    with pytest.raises(InputError, match="shape"):
        coded(units.phone.reshape(-1, 1))
    tested = np.isin(np.arange(1200), units.split.test)
    with pytest.raises(InputError, match="the train part holds 0 only"):
        coded(tested.astype(int))
    with pytest.raises(InputError, match="the test part holds 1 only"):
        coded(np.where(tested, 1, units.phone))


def test_classes_on_one_side_only_are_warned_of(units):
    labels = units.phone.copy()
    labels[units.split.test[:3]] = 77
    labels[units.split.train[:3]] = 88
    warnings = code_task(ProbeTask("phone", labels), units.split).warnings
    assert warnings == (
        "1 classes (77) have no training unit: their test units count as wrong",
        "1 classes (88) have no test unit",
    )


def test_units_on_no_side_are_not_looked_at():
    recordings = np.arange(200) // 20
    parts = np.array(["train", "valid", "test", "", ""])[recordings % 5]
    split = given_split(parts, recordings)
    used = np.concatenate([split.train, split.valid, split.test])
    labels = np.full(200, 99)
    labels[used] = np.arange(len(used)) % 2
    coded = code_task(ProbeTask("odd", labels), split)
    assert coded.classes == (0, 1) and (np.delete(coded.labels, used) == -1).all()
    values = np.full(200, np.nan)
    values[used] = np.arange(len(used))
    assert code_task(ProbeTask("value", values, "regression"), split).n_columns == 1


def test_values_that_cannot_be_learnt_are_refused(units):
    def coded(labels):
        return code_task(ProbeTask("pitch", labels, "regression"), units.split)

    assert coded(units.values[:, 0]).labels.shape == (1200, 1)
    assert coded(units.phone).labels.dtype == np.float64
    missing = units.values.copy()
    missing[units.split.valid[4], 1] = np.nan
    with pytest.raises(InputError, match=f"unit {units.split.valid[4]} has a missing"):
        coded(missing)
    for rows in (slice(None), units.split.train, units.split.test):
        constant = units.values.astype(np.float32)
        constant[rows, 1] = 0.1
        with pytest.raises(InputError, match=r"output 1 is constant .* \(1 of 2 outputs are\)"):
            coded(constant)
    for labels in (units.phone.astype(str), units.values[..., None], np.empty((1200, 0))):
        with pytest.raises(InputError, match="labels have shape"):
            coded(labels)


@pytest.mark.parametrize("sizes", [[80], [7] * 12, [40, 60], [1] * 90])
def test_shuffles_move_labels_within_their_part_in_sequence(sizes):
    recordings = np.repeat(np.arange(4 * len(sizes)), sizes * 4)
    split = three_sides(recordings)
    sources = shuffled_sources(split, 20, seed=5)
    n_train = len(split.train)
    np.testing.assert_array_equal(sources[0], np.arange(len(recordings) * 3 // 4))
    for row in sources[1:]:
        np.testing.assert_array_equal(np.sort(row[:n_train]), split.train)
        np.testing.assert_array_equal(np.sort(row[n_train:]), split.valid)
        # Labels stay in sequence, but where one recording follows another.
        n_jumps = (np.diff(row) != 1).sum()
        assert n_jumps <= 3 * len(sizes) + 3
        assert (np.abs(row - sources[0]) <= 5).mean() < 0.3
    assert len(np.unique(sources, axis=0)) > 15
    np.testing.assert_array_equal(shuffled_sources(split, 20, seed=5), sources)
    assert shuffled_sources(split, 0, seed=5).shape == (1, len(recordings) * 3 // 4)


# ---- sets of labels ----------------------------------------------------------------------------


def test_sets_keep_the_labels_that_can_be_learnt():
    split = three_sides(np.arange(8))
    texts = np.array(["a b", "a", "a b c", "a c", "b", "c a", "a d", "b"], dtype=object)
    coded = code_task(ProbeTask("set", texts, kind="multilabel"), split)
    assert coded.is_sets and not coded.is_classes and coded.metric == "macro_f1"
    assert coded.classes == ("b", "c") and coded.n_columns == 2
    assert coded.labels.tolist() == [["b" in t.split(), "c" in t.split()] for t in texts]
    assert "2 labels ('a', 'd') are in all training units or in none" in coded.warnings[0]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"labels": np.full(8, "a")}, "no label is in some"),
        ({"labels": np.arange(8)}, "have shape"),
        ({"labels": np.array(["a", "b"] * 4), "method": "logistic"}, "only method for sets"),
        ({"labels": np.array(["a", "b"] * 4), "metric": "accuracy"}, "no metric of a multilabel"),
    ],
)
def test_sets_that_cannot_be_learnt_are_refused(fields, says):
    split = three_sides(np.arange(8))
    with pytest.raises(InputError, match=says):
        code_task(ProbeTask("set", kind="multilabel", **fields), split)
