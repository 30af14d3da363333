"""Rows are counted once for every file, and again when it has changed."""

import os

import numpy as np
import pytest
from kit.layouts.common import write_gifti

from braindash.io.dataset import row_counts
from braindash.io.dataset.responses import ResponseSource


def test_rows_are_counted_again_only_for_another_file(tmp_path, monkeypatch):
    counted = []
    shape = row_counts.shape
    monkeypatch.setattr(row_counts, "shape", lambda one: counted.append(one) or shape(one))
    monkeypatch.setenv("BRAINDASH_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.npy"

    def saved(n_rows, age):
        np.save(path, np.zeros((n_rows, 3), np.float32))
        os.utime(path, ns=(path.stat().st_mtime_ns - age, path.stat().st_mtime_ns - age))
        return row_counts.count_rows(ResponseSource((path,)))

    monkeypatch.setattr(row_counts, "is_settled", lambda one: True)
    assert [saved(7, 10**10), row_counts.count_rows(ResponseSource((path,)))] == [7, 7]
    assert len(counted) == 1
    assert saved(9, 0) == 9 and len(counted) == 2
    (tmp_path / "cache" / row_counts.TABLE).write_text('["torn"\n["a", "b", "x"]\n')
    assert row_counts.count_rows(ResponseSource((path,))) == 9


@pytest.mark.parametrize("name", ["a_hemi-L.func.gii", "a_hemi-L.func.gii.gz"])
def test_of_surfaces_the_head_is_enough(tmp_path, monkeypatch, name):
    monkeypatch.setenv("BRAINDASH_CACHE", str(tmp_path / "cache"))
    write_gifti(tmp_path / name, np.zeros((5, 12), np.float32))
    source = ResponseSource((tmp_path / name,))
    with monkeypatch.context() as patched:
        patched.setattr(row_counts, "shape", lambda one: pytest.fail("all of it is read"))
        assert row_counts.count_rows(source) == 5
    write_gifti(tmp_path / name, np.zeros((5, 10242), np.float32), one=True)
    assert row_counts.count_rows(source) == 5
