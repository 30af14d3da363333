"""Which rows are censored, and which targets lack numbers, against plain numpy."""

import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braindash.errors import InputError
from braindash.io.dataset import censored, responses
from braindash.io.dataset.censored import TABLE, presentations
from braindash.io.dataset.responses import ResponseSource
from braindash.remembered import tables as remembered


def look(path, rows=None, **more):
    source = ResponseSource((path,), **more)
    n_rows = responses.shape(source)[0]
    return presentations(source, rows or slice(0, n_rows), repeated=bool(more.get("repeats_key")))


def marked(used):
    """Say, cell by cell, whether a row is one number in every target and far from all others."""
    rows = [row[~np.isnan(row)] for row in used]
    same = [row.size > 1 and (row == row[0]).all() and row[0] != 0 for row in rows]
    alone = [row.size == 1 and row[0] != 0 for row in rows]
    others = [row for row, *one in zip(rows, same, alone, strict=True) if not any(one) and row.size]
    others = np.concatenate(others) if others else np.zeros(0)
    others = others[np.isfinite(others)]
    if not others.size or others.min() == others.max():
        return False
    far = 10 * np.abs(others).max()
    return any(abs(row[0]) > far for row, one in zip(rows, same, strict=True) if one)


VALUES = st.sampled_from([np.nan, np.nan, np.inf, 0.0, 1.0, 2.5])


@settings(max_examples=80, deadline=None)
@given(data=st.data(), n_rows=st.integers(1, 9), n_targets=st.integers(1, 6))
def test_every_array_is_told_as_numpy_tells_it(tmp_path_factory, data, n_rows, n_targets):
    cells = data.draw(st.lists(VALUES, min_size=n_rows * n_targets, max_size=n_rows * n_targets))
    array = np.array(cells).reshape(n_rows, n_targets)
    for row in data.draw(st.sets(st.integers(0, n_rows - 1))):
        array[row] = np.nan
    path = tmp_path_factory.mktemp("a") / "a.npy"
    np.save(path, array)
    start = data.draw(st.integers(0, n_rows - 1))
    used = array[start:]
    if marked(used):
        with pytest.raises(InputError, match="in every target"):
            look(path, slice(start, n_rows))
        return
    if np.isnan(used).all():
        with pytest.raises(InputError, match="holds NaN in every used row"):
            look(path, slice(start, n_rows))
        return
    (found,) = look(path, slice(start, n_rows))
    gone = np.isnan(used).all(axis=1)
    assert found.censored == tuple(start + np.flatnonzero(gone))
    left = used[~gone]
    np.testing.assert_array_equal(found.finite, np.isfinite(left).all(axis=0))
    np.testing.assert_array_equal(found.empty, np.isnan(used).all(axis=0))
    assert found.n_zero == sum(np.nan_to_num(row, nan=0.0).any() == 0 for row in left)
    assert found.n_targets == n_targets and found.has_data


def test_blocks_of_rows_give_what_all_at_once_gives(tmp_path, monkeypatch):
    array = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    array[[3, 49]], array[7, 2], array[:, 5] = np.nan, np.inf, np.nan
    np.save(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", array)
    (whole,) = look(tmp_path / "a.npy")
    monkeypatch.setattr(responses, "_BLOCK_BYTES", 3 * 8 * 4)
    (parts,) = look(tmp_path / "b.npy")
    assert parts.censored == whole.censored == (3, 49)
    for name in ("finite", "empty", "varies"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


def test_repeats_are_looked_at_one_by_one(tmp_path):
    runs = np.random.default_rng(0).normal(size=(3, 10, 4))
    runs[1, 4], runs[2] = np.nan, np.nan
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["runs"] = np.zeros((10, 4)), runs
    found = look(tmp_path / "a.h5", key="data", repeats_key="runs")
    assert [one.censored for one in found] == [(), (4,), tuple(range(10))]
    assert [one.has_data for one in found] == [True, True, False]


def test_hemispheres_are_one_row(tmp_path):
    left, right = np.ones((2, 5, 3))
    left[2] = np.nan
    left[3] = right[3] = np.nan
    for name, array in (("l", left), ("r", right)):
        np.save(tmp_path / f"{name}.npy", array)
    source = ResponseSource((tmp_path / "l.npy", tmp_path / "r.npy"))
    (found,) = presentations(source, slice(0, 5), repeated=False)
    assert found.censored == (3,) and found.finite.tolist() == [False] * 3 + [True] * 3


def test_numbers_beyond_float32_are_infinite(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1e300, 1.0], [2.0, 3.0]]))
    (found,) = look(tmp_path / "a.npy")
    assert found.finite.tolist() == [False, True]


def test_what_was_found_is_remembered_until_the_file_changes(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((4, 2)))
    first = look(path)
    assert look(path)[0] is first[0]
    changed = np.ones((4, 2))
    changed[1] = np.nan
    np.save(path, changed)
    os.utime(path, ns=(1, 1))
    assert look(path)[0].censored == (1,)


@pytest.mark.parametrize("value", [-9999, -32768, 1e20, 9.96921e36, np.inf, -999, 1e300])
@pytest.mark.parametrize("scale", [1.0, 20000.0])
def test_a_row_of_one_absurd_number_is_refused_as_a_mark(tmp_path, value, scale):
    data = scale * np.abs(np.random.default_rng(0).normal(size=(30, 6)))
    data[:, 4] = np.nan
    data[[7, 9]] = value
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(InputError, match=r"2 rows are .* in every target \(7, 9\)") as caught:
        look(tmp_path / "a.npy")
    assert "Write NaN in its place" in caught.value.hint
    data[[7, 9]] = np.nan
    np.save(tmp_path / "b.npy", data)
    (found,) = look(tmp_path / "b.npy")
    assert found.censored == (7, 9)


def test_rows_that_agree_and_are_none_are_not_refused(tmp_path):
    course = np.random.default_rng(0).normal(size=30)
    alike = np.repeat(course[:, None], 40, axis=1)  # every target is the same
    same = course[:, None] + np.random.default_rng(1).normal(size=(30, 40))
    same[3] = 1.0  # within the range of all others
    few = course[:, None] + np.random.default_rng(2).normal(size=(30, 3))
    few[5] = 6.0  # rounded, and no mark that anybody writes
    lone = course[:, None] * 1e4
    lone[5] = -9999
    for name, data in {"alike": alike, "same": same, "few": few, "lone": lone}.items():
        np.save(tmp_path / f"{name}.npy", data)
        look(tmp_path / f"{name}.npy")
    same[3] = 40.0
    np.save(tmp_path / "many.npy", same)
    with pytest.raises(InputError, match=r"1 row is 40 in every target \(3\)"):
        look(tmp_path / "many.npy")


def test_marks_in_one_hearing_are_found_also_where_their_mean_is_fitted(tmp_path):
    data = np.random.default_rng(0).normal(size=(3, 20, 5)).astype(np.float32)
    data[1, 4] = -9999
    with h5py.File(tmp_path / "a.hf5", "w") as file:
        file["data"] = data
    source = ResponseSource((tmp_path / "a.hf5",), key="data", repeats_key="data")
    for repeated, told in ((True, r"repeat 1: 1 row is -9999"), (False, "1 row is -9999")):
        with pytest.raises(InputError, match=told):
            presentations(source, slice(0, 20), repeated=repeated)


# ---- from one command to the next --------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of its own, and files that count as old and as large."""
    monkeypatch.setenv("BRAINDASH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remembered, "_SETTLED_SECONDS", -1.0)
    monkeypatch.setattr(censored, "_LEAST_BYTES", 0)
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch):
    """Presentations that were read through."""
    found = []
    real = censored._read_through

    def counted(source, start, stop, repeat, state):
        found.append((start, stop, repeat))
        return real(source, start, stop, repeat, state)

    monkeypatch.setattr(censored, "_read_through", counted)
    return found


def forget(monkeypatch):
    """As another process would begin."""
    censored._looked_through.cache_clear()
    monkeypatch.setattr(remembered, "_tables", {})


def gappy(path):
    array = np.random.default_rng(2).normal(size=(3, 40, 30)).astype(np.float32)
    array[:, 7], array[1, 20], array[:, :, 4] = np.nan, np.nan, np.nan
    array[0, 30], array[2, 3, 9] = 0.0, np.inf
    with h5py.File(path, "w") as file:
        file["data"], file["runs"] = array.mean(axis=0), array
    return path


def same(one, other):
    fields = ("censored", "n_rows", "n_zero", "n_targets", "marked", "has_data")
    assert [getattr(one, name) for name in fields] == [getattr(other, name) for name in fields]
    for name in ("finite", "empty", "varies"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_another_command_reads_no_response_again(tmp_path, cache, read, monkeypatch):
    path, more = gappy(tmp_path / "a.h5"), {"key": "data", "repeats_key": "runs"}
    first = look(path, **more)
    assert len(read) == 3 and first[1].censored == (7, 20)
    forget(monkeypatch)
    again = look(path, **more)
    assert len(read) == 3
    for one, other in zip(first, again, strict=True):
        same(one, other)
    look(path, slice(0, 39), **more)
    assert len(read) == 6, "other rows are other findings"
    look(path, key="data")
    assert len(read) == 7, "the mean is no repeat"


def test_a_file_that_changed_is_read_again(tmp_path, cache, read, monkeypatch):
    path = gappy(tmp_path / "a.h5")
    before = look(path, key="data")
    with h5py.File(path, "a") as file:
        file["data"][11] = np.nan
    forget(monkeypatch)
    (after,) = look(path, key="data")
    assert len(read) == 2 and before[0].censored == (7, 20) and after.censored == (7, 11, 20)


@pytest.mark.parametrize("turn", [lambda text: text.replace("[7, 20]", "[7, 21]"), str.swapcase])
def test_a_table_that_was_changed_is_not_believed(tmp_path, cache, read, monkeypatch, turn):
    path = gappy(tmp_path / "a.h5")
    look(path, key="data")
    table = cache / TABLE
    table.write_text(turn(table.read_text()))
    forget(monkeypatch)
    assert look(path, key="data")[0].censored == (7, 20) and len(read) == 2


def test_small_files_and_long_findings_are_not_remembered(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(censored, "_MOST_CHARACTERS", 10)
    look(gappy(tmp_path / "a.h5"), key="data")
    monkeypatch.setattr(censored, "_MOST_CHARACTERS", 1 << 16)
    monkeypatch.setattr(censored, "_LEAST_BYTES", 1 << 20)
    look(gappy(tmp_path / "b.h5"), key="data")
    assert not (cache / TABLE).exists()
