import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.models.tuning_stories import TR, make_story

from braindash.errors import InputError
from braindash.specs import TuningSettings
from braindash.speech.geometry import Geometry
from braindash.speech.training.stories import (
    check_stories,
    epoch_batches,
    segment_shape,
    story_segments,
    usable_rows,
)

CONVOLUTIONAL = Geometry(320, 400)


@pytest.fixture(scope="module")
def story():
    return make_story(0)


def test_each_row_alone_hears_exactly_its_own_window():
    shape = segment_shape(TuningSettings(), 2.0, CONVOLUTIONAL)
    assert (shape.n_rows, shape.n_samples, shape.n_frames) == (1, 160000, 499)
    assert shape.spans == ((0, 499),)
    assert shape.n_attended == 499
    np.testing.assert_allclose(shape.pooling.sum(axis=1), 1, rtol=1e-6)


@given(
    window=st.integers(1, 6),
    more=st.integers(0, 30),
    tr=st.floats(0.5, 3.0),
    hop=st.sampled_from([160, 320]),
)
@settings(max_examples=60)
def test_no_row_of_a_segment_hears_the_future(window, more, tr, hop):
    geometry = Geometry(hop, hop + 80)
    made = TuningSettings(window_trs=window, segment_trs=window + more)
    shape = segment_shape(made, tr, geometry)
    for row, (begin, end) in enumerate(shape.spans):
        now = (row + window) * tr * 16000
        assert (end - 1) * hop + geometry.first <= now + 0.5 + 1e-6
        assert abs(begin * hop - row * tr * 16000) <= hop
    assert shape.spans[-1][1] == shape.n_frames


def test_attention_of_a_padded_model_is_limited():
    padded = Geometry(320, 320, 32000)
    with pytest.raises(InputError, match=r"hears 2 s at once, but 2\.5 s"):
        segment_shape(TuningSettings(window_trs=5, segment_trs=5), 0.5, padded)
    shape = segment_shape(TuningSettings(segment_trs=8, attention_trs=4), 0.5, padded)
    assert (shape.n_attended, shape.n_frames) == (100, 200)


def test_a_tr_without_a_frame_is_refused():
    with pytest.raises(InputError, match="no frame"):
        segment_shape(TuningSettings(), 0.01, CONVOLUTIONAL)


def test_rows_without_a_whole_window_are_left_out(story):
    made = TuningSettings(window_trs=3, segment_trs=3)
    rows = usable_rows(story, made)
    assert story.times[rows.start] >= 3 * TR - 1e-6
    assert story.times[rows.start - 1] < 3 * TR - 1e-6
    assert story_segments([story], 0, made)[0].start == pytest.approx(0.0, abs=1e-6)


@given(rows=st.integers(1, 12), size=st.integers(1, 40), epoch=st.integers(1, 20))
@settings(max_examples=40)
def test_an_epoch_uses_rows_once_and_always_as_many(rows, size, epoch):
    stories = [make_story(0), make_story(1, seconds=11)]
    made = TuningSettings(window_trs=3, segment_trs=rows + 2, batch_rows=size)
    batches = epoch_batches(stories, made, epoch)
    used = [(s.story, s.first + row) for batch in batches for s in batch for row in range(rows)]
    assert len(used) == len(set(used))
    for index, story in enumerate(stories):
        allowed = usable_rows(story, made)
        mine = [row for at, row in used if at == index]
        assert len(mine) == len(allowed) // rows * rows
        assert min(mine) >= allowed.start and max(mine) < allowed.stop
    assert [len(b) for b in batches] == [len(b) for b in epoch_batches(stories, made, 1)]


def test_batches_depend_on_seed_and_epoch_alone(story):
    made = TuningSettings(window_trs=3, segment_trs=5, seed=4)
    assert epoch_batches([story], made, 2) == epoch_batches([story], made, 2)
    assert epoch_batches([story], made, 2) != epoch_batches([story], made, 3)
    other = made.model_copy(update={"seed": 5})
    assert epoch_batches([story], made, 2) != epoch_batches([story], other, 2)


def test_a_segment_shorter_than_its_window_is_refused():
    with pytest.raises(ValueError, match="less than window_trs"):
        TuningSettings(window_trs=5, segment_trs=4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.arange(3) * 2.0}, "TR of 2 s"),
        ({"times": 0.4 + TR * np.arange(6)}, "a segment needs 10"),
        ({"responses": {"A": np.zeros((4, 2), np.float32)}}, r"shape \(4, 2\)"),
        ({"responses": {"A": np.full((39, 2), np.nan, np.float32)}}, "not all finite"),
    ],
)
def test_stories_that_do_not_fit_are_refused(story, change, message):
    made = TuningSettings(window_trs=3, segment_trs=12)
    bad = dataclasses.replace(story, name="bad", **change)
    with pytest.raises(InputError, match=message):
        check_stories([story, bad], made)
    assert check_stories([story], made) == pytest.approx(TR)
    with pytest.raises(InputError, match="no story"):
        check_stories([], made)
