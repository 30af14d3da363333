"""Rows are counted once for every file, and again when it has changed."""

import os

import numpy as np

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
