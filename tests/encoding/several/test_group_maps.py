"""Maps of several subjects: sign flips with the largest t, and in how many subjects."""

from dataclasses import replace

import numpy as np
import pytest
from kit.results.made_up import N_LAYERS, made_up_result
from scipy import stats

from braindash.core.statistics.families import flipped_maps
from braindash.encoding.several.comparison import Group
from braindash.encoding.several.group_maps import (
    flips_line,
    maps_over_subjects,
    prevalence_at,
    prevalence_line,
    prevalence_maps,
)
from braindash.errors import InputError


def group_of(n_subjects, **options):
    made = [
        made_up_result(space="roi", subject=f"S{number}", seed=number, **options)
        for number in range(n_subjects)
    ]
    return Group.of(made)


def test_maps_of_a_group_are_tested_over_all_targets_and_layers():
    group = group_of(6)
    found = maps_over_subjects(group)
    expected = flipped_maps(np.stack([result.r for result in group.results]))
    np.testing.assert_array_equal(found.p, expected.p)
    t = stats.ttest_1samp(np.stack([result.r[:, 25:] for result in group.results]), 0).statistic
    np.testing.assert_allclose(found.t[:, 25:], t, rtol=1e-4)
    assert np.isnan(found.p[:, :25]).all()
    line = flips_line(group, found)
    assert "sign flips (64 patterns, all) with the largest t over 20 targets and layers" in line
    assert line.endswith("units: n = 6 subjects; for other subjects who hear this very story")


def test_prevalence_counts_the_subjects_who_have_a_test():
    group = group_of(5)
    first = group.results[0].dataset.copy(deep=True)
    first["q"][:, 27] = np.nan
    group = Group((replace(group.results[0], dataset=first), *group.results[1:]))
    found = prevalence_maps(group, q=0.3)
    for layer in range(N_LAYERS):
        counted = [result.q[layer, 27] <= 0.3 for result in group.results[1:]]
        assert found.share[layer, 27] == np.mean(counted) and found.n[layer, 27] == 4
        ends = stats.binomtest(sum(counted), 4).proportion_ci(method="exact")
        np.testing.assert_allclose([found.low[layer, 27], found.high[layer, 27]], ends)
    assert np.isnan(found.share[:, 3]).all()
    share, low = found.share[2, 27], found.low[2, 27]
    told = prevalence_at(group, 27, 2, q=0.3)
    assert told.startswith(f"q ≤ 0.3 in {share:.0%} [{low:.0%}, ") and told.endswith("4 subjects")
    assert prevalence_at(group, 3, 2) == ""
    assert "Clopper and Pearson's; units: n = 5 subjects" in prevalence_line(group, 0.05)


def test_what_has_no_group_map_is_refused():
    with pytest.raises(InputError, match="one subject"):
        maps_over_subjects(group_of(1))
    with pytest.raises(InputError, match="no share of subjects"):
        prevalence_maps(group_of(3, resampled=False))
    natives = [
        made_up_result(space="native-volume", subject=name, seed=seed)
        for seed, name in enumerate("AB")
    ]
    for make in (maps_over_subjects, prevalence_maps):
        with pytest.raises(InputError, match="targets of their own"):
            make(Group.of(natives))
