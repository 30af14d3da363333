"""Series of maps as bytes: what is drawn is what was measured, to half a step."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braindash.viewer.blobs import MISSING
from braindash.viewer.drawn import drawn
from braindash.viewer.packing import unpack
from braindash.views.listening.series import PIECE_BYTES, Series, piece_rows, quantise

N_TARGETS = 20484


@pytest.fixture(scope="module")
def values():
    made = np.random.default_rng(0).standard_normal((30, N_TARGETS)).astype(np.float32)
    made[:3] = np.nan  # not scored
    made[:, :50] = np.nan
    return made


@pytest.fixture(scope="module")
def series(values):
    return Series.of(lambda rows: values[rows], len(values), drawn("fsaverage5", N_TARGETS))


def test_a_byte_is_the_value_to_half_a_step(values, series):
    bytes_ = quantise(values, series.end)
    back = 2 * series.end * bytes_.astype(float) / 254 - series.end
    missing = np.isnan(values)
    assert (bytes_ == MISSING).tolist() == missing.tolist()
    inside = ~missing & (np.abs(values) <= series.end)
    assert np.abs(back - values)[inside].max() <= 0.5001 * 2 * series.end / 254
    beyond = ~missing & ~inside
    assert beyond.any() and beyond.mean() < 0.002, "only outliers are cut off"
    assert set(np.unique(bytes_[beyond])) <= {0, 254}
    assert quantise(np.zeros(1), 2.0)[0] == 127


def test_pieces_hold_all_rows_once_and_the_first_row_of_the_next(values, series):
    pieces = [slice(0, 12), slice(12, 24), slice(24, 30)]
    read = [unpack(series.piece(rows)) for rows in pieces]
    assert [header["first"] for header, _ in read] == [0, 12, 24]
    assert [len(arrays["maps"]) for _, arrays in read] == [13, 13, 6]
    whole = quantise(values, series.end)
    for rows, (header, arrays) in zip(pieces, read, strict=True):
        assert (header["low"], header["high"]) == (-series.end, series.end)
        np.testing.assert_array_equal(arrays["maps"], whole[rows.start : rows.stop + 1])


def test_a_series_without_any_value_has_a_scale_and_shows_nothing():
    nothing = np.full((4, N_TARGETS), np.nan, dtype=np.float32)
    for empty in (nothing, np.zeros_like(nothing)):
        made = Series.of(lambda rows, e=empty: e[rows], 4, drawn("fsaverage5", N_TARGETS))
        assert made.end > 0 and made.span > 0
    _, arrays = unpack(Series.of(lambda rows: nothing[rows], 4, made.drawn).piece(slice(0, 4)))
    assert (arrays["maps"] == MISSING).all()


@settings(max_examples=60, deadline=None)
@given(
    n_rows=st.integers(1, 4000),
    tr=st.floats(0.4, 4.0),
    n_drawn=st.integers(1, 90_000),
)
def test_pieces_are_of_five_minutes_and_six_megabytes_at_most(n_rows, tr, n_drawn):
    pieces = piece_rows(n_rows, tr, n_drawn)
    assert pieces[0].start == 0 and pieces[-1].stop == n_rows
    assert all(a.stop == b.start for a, b in pairwise(pieces))
    for rows in pieces:
        count = rows.stop - rows.start
        assert count >= 1 and (count == 1 or count * tr <= 300.0 + 1e-9)
        assert (count + 1) * n_drawn <= PIECE_BYTES or count == 1
