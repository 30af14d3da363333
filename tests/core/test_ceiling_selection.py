"""What a threshold on noisy ceilings chooses, against what was measured apart from the program."""

import numpy as np
import pytest

from braindash.core.ceiling_selection import Selecting, ceiling_selection, signal_share


def test_the_signal_is_told_from_the_median_ceiling():
    for share, n_repeats in ((0.1, 4), (0.5, 2)):
        ceiling = 1 / np.sqrt(1 + (1 / share - 1) / n_repeats)
        values = np.array([0.0, ceiling, 1.0, np.nan])
        assert signal_share(values, n_repeats) == pytest.approx(share, abs=0.005)
    assert signal_share(np.zeros(4), 3) == 0 and np.isnan(signal_share([np.nan], 3))
    assert signal_share([1.0], 3) == 1


def test_many_cross_by_chance_and_a_perfect_model_looks_bad_at_low_signal():
    chance = ceiling_selection(150, 4, 0.4, 0.0)
    assert 0.02 < chance.crossing < 0.25, "P(ceiling > .4 | no signal) of .02 to .21 was measured"
    low = ceiling_selection(150, 4, 0.4, 0.03)
    assert 0.4 < low.ratio < 0.9
    high = ceiling_selection(250, 4, 0.4, 0.4)
    assert high.crossing > 0.99 and high.ratio == pytest.approx(1.0, abs=0.02)
    assert ceiling_selection(300, 10, 0.4, 0.0).crossing < chance.crossing
    rare = ceiling_selection(300, 2, 0.95, 0.0)
    assert np.isnan(rare.ratio) and rare.crossing == 0


def test_other_data_choose_without_the_noise_that_divides():
    same = ceiling_selection(150, 4, 0.4, 0.05)
    halves = ceiling_selection(150, 4, 0.4, 0.05, selected=Selecting(150, 2, False))
    story = ceiling_selection(150, 4, 0.4, 0.05, selected=Selecting(300, 4, True))
    assert same.ratio < 0.93 < min(halves.ratio, story.ratio)
    assert max(halves.ratio, story.ratio) < 1.25
    sure = ceiling_selection(250, 4, 0.4, 0.4, selected=Selecting(250, 4, True))
    assert sure.ratio == pytest.approx(1.0, abs=0.02) and sure.crossing > 0.99
