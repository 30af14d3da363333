"""The ceiling between many subjects: the same as one by one, from a sum that is made once."""

import numpy as np
import pytest

from braindash.core.ceilings import inter_subject_ceiling
from braindash.encoding import responses as reading
from braindash.encoding.ceilings.subject_sums import (
    LEAST_OTHERS,
    SUMS,
    can_be_summed,
    ceiling_by_sum,
)
from braindash.encoding.responses import StoryResponses
from braindash.io.dataset.censored import presentations
from braindash.io.dataset.responses import ResponseSource
from braindash.progress import NoProgress
from braindash.remembered.tables import CACHE_VARIABLE
from braindash.stories import StoryPlan

N_ROWS, N_TARGETS = 40, 1500


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Ten subjects; target 0 is constant in all but the first, target 1 lacks a row in the last."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((N_ROWS, N_TARGETS))
    values = [signal + rng.standard_normal(signal.shape) for _ in range(10)]
    for one in values[1:]:
        one[:, 0] = 3.0
    values[9][5, 1] = np.nan
    return [_plan(tmp_path / f"{number}.npy", one) for number, one in enumerate(values)]


def _plan(path, values):
    np.save(path, values.astype(np.float32))
    source, rows = ResponseSource((path,)), slice(3, N_ROWS)
    heard = (tuple(presentations(source, rows, repeated=True)),)
    return (StoryPlan("story", path, source, None, rows, score_from_row=5, heard=heard),)


def _both(group, number):
    own, others = group[number], [one for place, one in enumerate(group) if place != number]
    responses = StoryResponses(own, standardise=True)
    response = responses.mean()[responses.scored]
    found = ceiling_by_sum(
        own, others, lambda columns: response[:, columns], standardise=True, progress=NoProgress()
    )
    expected = inter_subject_ceiling(response, *responses.others(others, slice(0, N_TARGETS)))
    return found, expected


@pytest.mark.parametrize("number", [0, 1, 9])
def test_it_is_what_reading_everybody_gives(group, number):
    found, expected = _both(group, number)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.isnan(found[0]) and np.isnan(found[1]) == (number == 9)


def test_a_second_subject_reads_only_their_own(group, tmp_path, monkeypatch):
    _both(group, 0)
    (kept,) = (tmp_path / "cache" / SUMS).iterdir()
    read = []
    real = reading.load_responses
    monkeypatch.setattr(
        reading,
        "load_responses",
        lambda source, columns=None: (read.append(source.paths[0].name), real(source, columns))[1],
    )
    own, others = group[4], [one for place, one in enumerate(group) if place != 4]
    arguments = (own, others, lambda columns: np.load(tmp_path / "4.npy")[5:, columns])
    first = ceiling_by_sum(*arguments, standardise=True, progress=NoProgress())
    assert set(read) == {"4.npy"} and len(list(kept.parent.iterdir())) == 1
    kept.write_bytes(kept.read_bytes()[:5000])  # torn: it is made again
    again = ceiling_by_sum(*arguments, standardise=True, progress=NoProgress())
    np.testing.assert_array_equal(first, again)
    assert len(set(read)) == 10


def test_few_others_and_censored_rows_are_read_one_by_one(group, tmp_path):
    assert can_be_summed(group[0], group[1:])
    assert not can_be_summed(group[0], group[1:LEAST_OTHERS])
    values = np.random.default_rng(1).standard_normal((N_ROWS, N_TARGETS))
    values[20] = np.nan
    assert not can_be_summed(group[0], [*group[1:], _plan(tmp_path / "c.npy", values)])


def test_a_cache_that_cannot_be_written_is_no_problem(group, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    found, expected = _both(group, 2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
