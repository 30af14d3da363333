"""Rows made of frames as they come, of kept frames, and of a grid that stands for them."""

import numpy as np
import pytest

from braindash.core.resampling import RowSums, Spreading, in_blocks, rows_of_kept
from braindash.core.timing import lanczos_weights
from braindash.errors import InputError

N_LAYERS, N_FEATURES = 2, 5
STEP = 0.1


def slow_and_quick(times: np.ndarray, seed: int = 0) -> np.ndarray:
    """Frames that drift and swing several times a second, and half of them noise."""
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.05, 8.0, (N_LAYERS, N_FEATURES))
    waves = np.sin(2 * np.pi * times[:, None, None] * rates)
    drift = 3.0 + np.cumsum(rng.standard_normal((len(times), N_LAYERS, N_FEATURES)), axis=0) / 50
    return (waves + drift + rng.standard_normal(waves.shape)).astype(np.float32)


def directly(frames, frame_times, times, tr):
    weights = lanczos_weights(frame_times, times, tr).toarray()
    return np.einsum("tf,flk->ltk", weights, frames.astype(np.float64))


def gridded(frames, frame_times, sizes=(100,)):
    """Spread frames in pieces of some sizes; returns the grid's frames and the spreading."""
    spreading, pieces, first = Spreading(frame_times, STEP), [], 0
    while first < len(frames):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(spreading.add(frames[first : first + size]))
        first += size
    return np.concatenate(pieces), spreading


def error_in_sds(found, wanted):
    return (np.abs(found - wanted).max(axis=1) / wanted.std(axis=1)).max()


@pytest.mark.parametrize(("tr", "limit"), [(2.0, 2e-5), (1.5, 5e-5), (1.0, 1e-4)])
def test_rows_of_a_grid_are_those_of_its_frames(tr, limit):
    frame_times = 0.025 + 0.02 * np.arange(3000)  # as wav2vec 2.0's
    frames = slow_and_quick(frame_times)
    times = np.arange(0.3, 60.0, tr)  # reaches over both ends
    kept, grid = gridded(frames, frame_times)
    assert len(kept) == len(grid.times) == len(grid.mass) < len(frames) / 4.9
    found = rows_of_kept(lambda a, b: kept[a:b], grid.times, times, tr, mass=grid.mass)
    assert error_in_sds(found, directly(frames, frame_times, times, tr)) < limit


def test_a_grid_knows_where_frames_are_missing():
    """A gap is no silence: what is left of the kernel is weighed as in the frames themselves."""
    frame_times = np.delete(0.02 * np.arange(1500), slice(640, 720))
    frames = slow_and_quick(frame_times)
    kept, grid = gridded(frames, frame_times)
    times = np.arange(0.0, 30.0, 1.5)
    found = rows_of_kept(lambda a, b: kept[a:b], grid.times, times, 1.5, mass=grid.mass)
    assert error_in_sds(found, directly(frames, frame_times, times, 1.5)) < 3e-4


def test_the_grid_does_not_depend_on_how_frames_come():
    frame_times = 0.025 + 0.02 * np.arange(200)
    frames = slow_and_quick(frame_times)
    once, _ = gridded(frames, frame_times, sizes=(200,))
    for sizes in ((1,), (7, 100, 1), (99,)):
        np.testing.assert_allclose(gridded(frames, frame_times, sizes)[0], once, rtol=1e-6)


def test_frames_on_the_nodes_are_kept_as_they_are():
    frame_times = STEP * np.arange(1, 200)
    frames = slow_and_quick(frame_times)
    kept, grid = gridded(frames, frame_times)
    first = int(np.flatnonzero(grid.mass > 0.5)[0])
    np.testing.assert_allclose(grid.times[first], frame_times[0])
    np.testing.assert_allclose(kept[first : first + len(frames)], frames, atol=1e-6)


@pytest.mark.parametrize("tr", [0.5, 1.5])
def test_kept_frames_give_the_very_rows_that_came_from_them_one_by_one(tr):
    frame_times = STEP * np.arange(1, 900)
    frames = slow_and_quick(frame_times)
    times = np.arange(20.3, 60.0, tr)  # neither the first nor the last frames play a part
    sums = RowSums(frame_times, times, tr, N_LAYERS, N_FEATURES)
    for at, frame in enumerate(frames):
        if sums.needs(at, at + 1):
            sums.add(at, frame[None])
    asked: list[int] = []

    def read(first, stop):
        asked.append(stop - first)
        return frames[first:stop]

    found = rows_of_kept(read, frame_times, times, tr)
    np.testing.assert_array_equal(found, sums.finish())
    assert max(asked) <= 128 and sum(asked) < len(frames)
    np.testing.assert_allclose(found, directly(frames, frame_times, times, tr), rtol=1e-5)


def test_rows_apart_read_what_they_need_only():
    frame_times = STEP * np.arange(2000)
    frames, times = slow_and_quick(frame_times), np.array([20.0, 150.0])
    found = rows_of_kept(lambda a, b: frames[a:b], frame_times, times, 0.5)
    np.testing.assert_allclose(found, directly(frames, frame_times, times, 0.5), rtol=1e-5)


def test_a_row_without_frames_is_refused_from_a_grid_too():
    frame_times = 0.02 * np.arange(500)
    kept, grid = gridded(slow_and_quick(frame_times), frame_times)
    with pytest.raises(InputError, match="no feature sample near enough"):
        rows_of_kept(lambda a, b: kept[a:b], grid.times, [5.0, 40.0], 1.5, mass=grid.mass)


def test_small_pieces_are_joined():
    pieces = [np.full((n, 1, 1), n, np.float32) for n in (3, 0, 5, 9, 2)]
    sizes = [len(one) for one in in_blocks(iter(pieces), 8)]
    assert sizes == [8, 9, 2]
