import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.statistics.blocks import block_layout, check_series
from braindash.errors import InputError


@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.integers(1, 12))
def test_blocks_lie_inside_segments_and_leave_out_the_fewest_rows(sizes, block_rows):
    segments = np.repeat(np.arange(len(sizes)), sizes)
    try:
        layout = block_layout(len(segments), segments=segments, block_rows=block_rows)
    except InputError:
        assert sum(size // block_rows for size in sizes) < 2
        return
    rows = layout.rows.reshape(-1, layout.length)
    assert len(set(layout.rows.tolist())) == layout.rows.size
    assert (np.diff(rows, axis=1) == 1).all()
    assert (segments[rows] == segments[rows[:, :1]]).all()
    assert layout.n_left_out == len(segments) - rows.size
    wasted = [sum(size % n for size in sizes) for n in range(block_rows, 2 * block_rows)]
    assert block_rows <= layout.length < 2 * block_rows
    assert layout.n_left_out == min(wasted)


@pytest.mark.parametrize(
    ("sizes", "length", "left_out"),
    [([290], 10, 0), ([291], 10, 1), ([247], 13, 0), ([120, 97], 12, 1), ([300, 5], 10, 5)],
)
def test_block_lengths(sizes, length, left_out):
    layout = block_layout(sum(sizes), segments=np.repeat(np.arange(len(sizes)), sizes))
    assert (layout.length, layout.n_left_out) == (length, left_out)


def test_too_few_rows_for_two_blocks():
    for sizes, block_rows in (([19], 10), ([15, 9], 10), ([50], 0), ([50], -3)):
        segments = np.repeat(np.arange(len(sizes)), sizes)
        with pytest.raises(InputError, match="block"):
            block_layout(len(segments), segments=segments, block_rows=block_rows)


def test_series_that_do_not_belong_together():
    whole, other = np.zeros((2, 5, 3)), np.zeros((5, 3), dtype=int)
    for predictions, response in ((whole, whole), (whole, whole[:, :4]), (whole, other)):
        with pytest.raises(InputError, match="shape"):
            check_series(predictions, response)
    with pytest.raises(InputError, match="shape"):
        check_series(np.zeros((2, 0, 3)), np.zeros((0, 3)))
