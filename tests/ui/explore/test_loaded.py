"""Results in memory: as many as their bytes allow, those used last."""

import pytest
from kit.results.made_up import made_up_result

from braindash.ui.explore.loaded import LoadedResults


@pytest.fixture
def results():
    return [made_up_result(seed=seed, space="roi", resampled=False) for seed in range(5)]


def test_a_result_is_loaded_once_and_the_oldest_goes_first(results):
    size = results[0].dataset.nbytes
    kept, loads = LoadedResults(3 * size, least=1), []

    def get(place):
        def load():
            loads.append(place)
            return results[place]

        return kept.get(place, load)

    for place in (0, 1, 2, 0, 2):
        assert get(place) is results[place]
    assert loads == [0, 1, 2]
    get(3)  # 1 is the one that was used least recently
    get(0), get(2), get(1)
    assert loads == [0, 1, 2, 3, 1]


def test_some_results_stay_whatever_they_take(results):
    kept = LoadedResults(0.0, least=3)
    for place in range(5):
        kept.get(place, lambda place=place: results[place])
    loads = []
    for place in (2, 3, 4, 1):
        kept.get(place, lambda place=place: loads.append(place) or results[place])
    assert loads == [1]


def test_ways_of_looking_go_with_their_result(results):
    kept, made = LoadedResults(0.0, least=1), []

    def look():
        made.append(1)
        return results[4]

    kept.get("one", lambda: results[0])
    assert kept.view("one", "left", look) is kept.view("one", "left", look) and len(made) == 1
    kept.get("two", lambda: results[1])
    kept.get("one", lambda: results[0])
    kept.view("one", "left", look)
    assert len(made) == 2
    for side in range(20):  # so many region sets are not kept
        kept.view("one", side, look)
    kept.view("one", "left", look)
    assert len(made) == 23
