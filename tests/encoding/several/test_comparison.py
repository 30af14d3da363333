"""Several results together: means and differences against plain numpy, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from kit.machines.rounding import flip_p
from kit.results.made_up import N_LAYERS, N_SAMPLES, made_up_result
from scipy import stats

from braindash.core.statistics.components import jackknife_values
from braindash.core.statistics.depth import score_weighted_depth
from braindash.encoding.several import groups
from braindash.encoding.several.comparison import LEAST_SUBJECTS, Group, compare
from braindash.errors import InputError
from braindash.specs import StatisticsSettings, StoryInput

MANY = [f"S{number}" for number in range(1, LEAST_SUBJECTS + 4)]
STORY = StoryInput(name="story", features="f" * 32, responses="e" * 32, first_row=0, last_row=90)


def results(subjects, *, model="toy-model", seed=0, space="roi", **changes):
    return [
        made_up_result(model=model, subject=subject, seed=seed + index, space=space, **changes)
        for index, subject in enumerate(subjects)
    ]


def shallower(result, n_layers):
    """Cut a result to its first layers."""
    return replace(result, dataset=result.dataset.isel(layer=slice(0, n_layers)))


def means_of(group_results):
    """Region mean of every subject and layer; one region in this space."""
    return np.array([np.nanmean(result.r.astype(float), axis=1) for result in group_results])


def expanded(samples, n_units, level=0.95):
    """Percentiles, expanded for the variance among few units (Hesterberg 2015)."""
    quantile = stats.t.ppf((1 - level) / 2, n_units - 1)
    tail = stats.norm.cdf(np.sqrt(n_units / (n_units - 1)) * quantile)
    return np.quantile(samples, [tail, 1 - tail], axis=0)


def component_interval(values, samples, level=0.95):
    """Interval of a mean from the variance of subjects and of 9 blocks of story time, by words."""
    n, m = len(values), 9
    values, samples = values.astype(float), samples.astype(float)
    shared = samples.mean(axis=0)
    of_subjects, of_time = values.var(ddof=1) / n, m / (m - 1) * shared.var()
    noise = m / (m - 1) * sum((one - shared).var() for one in samples) / ((n - 1) * n)
    time = max(of_time - noise / 2, 0)
    variance = of_subjects + time
    df = variance**2 / (of_subjects**2 / (n - 1) + time**2 / (m - 1))
    return stats.t.interval(level, df, values.mean(), variance**0.5), df


# ---- one model ----------------------------------------------------------------------------------


def test_the_mean_of_subjects_is_their_mean():
    found = results(["S2", "S1", "S3"])
    group = Group.of(found)
    assert group.subjects == ("S1", "S2", "S3") and group.n_subjects == 3
    table = group.regions()
    np.testing.assert_allclose(table["r"], means_of(found).mean(axis=0), atol=1e-6)
    tables = [result.regions() for result in found]
    expected = np.mean([one["r_over_ceiling"] for one in tables], axis=0)
    np.testing.assert_allclose(table["r_over_ceiling"], expected, atol=1e-6)
    assert (table["n_targets"] == 3 * 30).all() and (table["n_valid"] == 3 * 5).all()
    np.testing.assert_allclose(table["coverage"], 5 / 30)
    assert (table["n_subjects"] == 3).all() and table["simulated"].all()
    assert set(tables[0].columns) < set(table.columns)


def test_few_subjects_share_the_draws_of_the_test_storys_time():
    found = results(["S1", "S2"])
    group = Group.of(found)
    assert not group.over_subjects
    averaged = np.mean([result.region_samples.values for result in found], axis=0)
    assert averaged.shape == (N_SAMPLES, N_LAYERS, 1)
    low, high = expanded(averaged, 90 / 10, level=0.9)
    table = group.regions(level=0.9)
    np.testing.assert_allclose(table["low"], low[:, 0], atol=1e-6)
    np.testing.assert_allclose(table["high"], high[:, 0], atol=1e-6)
    line = group.interval_line(0.9)
    assert line.startswith("90 % intervals: block bootstrap over test-story time")
    assert "units: 9 blocks of 10 rows, mean of n = 2 subjects" in line
    assert line.endswith("for other stretches of such a story in these subjects")


@pytest.mark.parametrize("subjects", [["S1", "S2", "S3"], MANY])
def test_three_subjects_have_the_variance_of_subjects_and_story_time(subjects, monkeypatch):
    found = results(subjects)
    group = Group.of(found)
    assert group.over_subjects
    table = group.regions()
    values = means_of(found)
    samples = np.stack([result.region_samples.values[..., 0] for result in found])
    for layer, row in table.iterrows():
        (low, high), _ = component_interval(values[:, layer], samples[:, :, layer])
        np.testing.assert_allclose([row["low"], row["high"]], [low, high], atol=1e-5)
    line = group.interval_line()
    assert line.startswith("95 % intervals: variance components of subjects and story time")
    assert f"units: n = {len(subjects)} subjects and 9 blocks of 10 rows" in line
    assert line.endswith("for other subjects and other stretches of such a story")
    # Of very many subjects, layers and regions fewer replicates are read.
    monkeypatch.setattr(groups, "_MOST_NUMBERS", 0)
    monkeypatch.setattr(groups, "_LEAST_SAMPLES", 7)
    assert group.subject_samples().shape == (len(subjects), 7, N_LAYERS, 1)


def test_three_subjects_without_bootstraps_have_an_interval_for_this_story_only():
    found = results(MANY[:3], resampled=False)
    group = Group.of(found)
    expected = stats.ttest_1samp(means_of(found), 0).confidence_interval()
    np.testing.assert_allclose(group.regions()["low"], expected.low, atol=1e-6)
    line = group.interval_line()
    assert "Student's over subjects (computed without bootstraps)" in line
    assert line.endswith("other subjects who hear this very story, not for other stories")
    pair = compare(found, results(MANY[:3], model="plain", seed=9, resampled=False))
    assert "Student's over subjects" in pair.interval_line() + pair.stages_line()
    gap = means_of(pair.a.results) - means_of(pair.b.results)
    np.testing.assert_allclose(pair.regions()["p"], stats.ttest_1samp(gap, 0).pvalue, rtol=1e-4)


def test_one_subject_is_a_group_too():
    (alone,) = results(["S1"])
    table = Group.of([alone]).regions()
    own = alone.region_intervals()
    np.testing.assert_allclose(table[["r", "low", "high"]], own[["r", "low", "high"]], atol=1e-6)
    assert (table["subject"] == "S1").all()


def test_regions_keep_their_names_and_intervals():
    found = results(["S1", "S2"], space="fsaverage5")
    group = Group.of(found)
    table = group.regions(normalised=True, ceiling="inter-subject").set_index(["layer", "region"])
    samples = [result.samples(True, "inter-subject") for result in found]
    for region in ("early_visual", "all targets"):
        averaged = np.mean([one.sel(region=region, layer=2).values for one in samples], axis=0)
        assert table.loc[(2, region), "low"] == pytest.approx(expanded(averaged, 9)[0], abs=1e-6)
        expected = [
            one.regions("inter-subject").set_index(["layer", "region"]).loc[(2, region)]
            for one in found
        ]
        mean = np.mean([row["r_over_ceiling"] for row in expected])
        assert table.loc[(2, region), "r_over_ceiling"] == pytest.approx(mean)
    assert list(table.loc[0].index) == list(group.region_names)


def test_without_bootstraps_there_are_no_intervals():
    group = Group.of(results(["S1", "S2"], resampled=False))
    assert group.regions()[["low", "high"]].isna().all(axis=None)
    assert "no intervals" in group.interval_line()


def test_only_a_ceiling_that_all_have_is_used():
    one, two = results(["S1", "S2"])
    only = made_up_result(subject="S2", space="roi", ceilings=("inter-subject",), seed=1)
    assert Group.of([one, two]).ceiling_names == ("repeats", "inter-subject")
    group = Group.of([one, only])
    assert group.ceiling_names == ("inter-subject",)
    expected = np.mean(
        [each.regions("inter-subject")["r_over_ceiling"] for each in (one, only)], axis=0
    )
    np.testing.assert_allclose(group.regions()["r_over_ceiling"], expected)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "another"}, "model"),
        ({"delays": (1, 2)}, "delays"),
        ({"score_from_row": (15,)}, "first scored rows"),
        ({"test": (STORY.model_copy(update={"last_row": 80}),)}, "test rows"),
        ({"test": (STORY, STORY)}, "test stories"),
        (
            {"statistics": StatisticsSettings(n_permutations=40, n_bootstraps=40, seed=1)},
            "seed and blocks of the bootstrap",
        ),
    ],
)
def test_results_that_do_not_belong_together_are_refused(changes, told):
    one = made_up_result(subject="S1", space="roi")
    two = made_up_result(subject="S2", **({"space": "roi"} | changes))
    with pytest.raises(InputError, match=f"cannot be compared.*{told}") as caught:
        Group.of([one, two])
    assert "same data and settings" in caught.value.hint


def test_a_group_needs_results_of_different_subjects():
    with pytest.raises(InputError, match="no results"):
        Group.of([])
    with pytest.raises(InputError, match="several results of subject S1"):
        Group.of(results(["S1", "S1", "S2"]))


# ---- model A minus model B ----------------------------------------------------------------------


def test_few_subjects_differ_by_paired_replicates():
    a = results(["S1", "S2"], model="tuned", seed=20)
    b = results(["S2", "S1"], model="plain", seed=40)
    found = compare(a, b)
    table = found.regions()
    paired = list(zip(a, (b[1], b[0]), strict=True))
    differences = np.mean([one.r - two.r for one, two in paired], axis=0)
    np.testing.assert_allclose(table["difference"], np.nanmean(differences, axis=1), atol=1e-6)
    np.testing.assert_allclose(table["difference"], table["a"] - table["b"], atol=1e-6)
    samples = np.mean(
        [one.region_samples.values - two.region_samples.values for one, two in paired], axis=0
    )
    np.testing.assert_allclose(table["low"], expanded(samples, 9)[0][:, 0], atol=1e-6)
    assert table["p"].isna().all()
    line = found.interval_line()
    assert line.startswith("tuned minus plain, 95 % intervals: paired block bootstrap")
    assert "n = 2 subjects" in line and "sign flips" not in line and not found.family_line()


def test_three_subjects_differ_by_the_variance_of_both_and_are_tested_beside_it():
    a = results(MANY, model="tuned", seed=20)
    b = results(MANY, model="plain", seed=40)
    for result in a:
        result.dataset["r"] += 0.2
    found = compare(a, b)
    table = found.regions()
    differences = means_of(a) - means_of(b)
    np.testing.assert_allclose(table["difference"], differences.mean(axis=0), atol=1e-6)
    samples = np.stack(
        [
            one.region_samples.values[..., 0].astype(float) - two.region_samples.values[..., 0]
            for one, two in zip(a, b, strict=True)
        ]
    )
    for layer, row in table.iterrows():
        (low, high), df = component_interval(differences[:, layer], samples[:, :, layer])
        np.testing.assert_allclose([row["low"], row["high"]], [low, high], atol=1e-5)
        error = (high - low) / 2 / stats.t.ppf(0.975, df)
        assert row["p"] == pytest.approx(
            2 * stats.t.sf(abs(row["difference"]) / error, df), rel=0.01
        )
        assert row["p_signs"] == pytest.approx(flip_p(differences[:, layer]))
        assert row["p_ranks"] == pytest.approx(stats.wilcoxon(differences[:, layer]).pvalue)
        assert row["low"] < row["difference"] < row["high"]
    steps = np.sort(table["p"]) * np.arange(N_LAYERS, 0, -1)
    np.testing.assert_allclose(
        np.sort(table["p_holm"]), np.minimum(np.maximum.accumulate(steps), 1)
    )
    line = found.interval_line()
    assert "paired variance components" in line and "p: of the same variance" in line
    assert f"signed ranks and bootstrap-t; units: n = {len(MANY)}" in line
    few = compare(a[:3], b[:3]).interval_line()
    assert "sign flips (all signs) and Wilcoxon's signed ranks; units: n = 3" in few
    assert "over 4 tests (1 region and 4 layers of A minus B, shown or not)" in found.family_line()
    told = found.family_line(layers=(2, 3))
    assert "1 test (1 region of A minus B, shown or not, at layers 2 and 3" in told


def test_only_common_subjects_are_paired():
    found = compare(results(["S1", "S2", "S3"]), results(["S2", "S3", "S4"], model="plain", seed=5))
    assert found.a.subjects == found.b.subjects == ("S2", "S3")
    assert found.unpaired == ("S1", "S4")
    assert "left out, only in one model: S1, S4" in found.interval_line()
    with pytest.raises(InputError, match="no subject in common"):
        compare(results(["S1"]), results(["S2"], model="plain"))


def test_other_settings_are_said_and_other_responses_refused():
    one = made_up_result(space="roi")
    slower = made_up_result(space="roi", model="plain", delays=(1, 2, 3))
    assert compare([one], [slower]).settings == ("delays",)
    assert "also different: delays" in compare([one], [slower]).interval_line()
    assert compare([one], [made_up_result(space="roi", model="plain")]).settings == ()
    alone = made_up_result(space="roi", model="plain", ceilings=("inter-subject",))
    found = compare([one], [alone])
    assert found.settings == ("ceilings",)
    expected = one.scores(True, "inter-subject") - alone.scores(True, "inter-subject")
    table = found.regions(normalised=True)
    np.testing.assert_allclose(table["difference"], np.nanmean(expected, axis=1), atol=1e-6)
    other_story = STORY.model_copy(update={"responses": "0" * 32})
    other = made_up_result(space="roi", model="plain", test=(other_story,))
    with pytest.raises(InputError, match="test responses"):
        compare([one], [other])


def test_models_of_different_depth_have_no_difference_per_layer():
    one, two = made_up_result(space="roi"), made_up_result(space="roi", model="deep")
    object.__setattr__(two, "dataset", two.dataset.isel(layer=[0, 1, 2]))
    with pytest.raises(InputError, match=r"4 layers.*3") as caught:
        compare([one], [two]).regions()
    assert "relative depth" in caught.value.hint


# ---- stage summaries ----------------------------------------------------------------------------


def literal_stages(curve):
    """Weighted depth, preferred depth and late-layer drop of one curve, in plain Python."""
    weights = [max(score, 0) for score in curve]
    depths = [layer / (len(curve) - 1) for layer in range(len(curve))]
    weighted = sum(w * d for w, d in zip(weights, depths, strict=True)) / sum(weights)
    best = int(np.argmax(curve))
    return weighted, depths[best], curve[best] - curve[-1]


QUANTITIES = ("weighted_depth", "preferred_depth", "late_layer_drop")


@pytest.mark.parametrize("subjects", [["S1", "S2"], MANY])
def test_the_stages_of_a_group_are_those_of_its_mean_curve(subjects):
    found = results(subjects, space="fsaverage5")
    group = Group.of(found)
    table = group.stages().set_index(["quantity", "name"])
    curve = group.regions().set_index("region")["r"]
    for region in ("late_language", "all targets"):
        expected = literal_stages(curve[region].to_numpy())
        for quantity, value in zip(QUANTITIES, expected, strict=True):
            row = table.loc[(quantity, region)]
            assert row["estimate"] == pytest.approx(value, abs=1e-6)
            assert row["low"] <= row["high"]
    assert (table["n_subjects"] == len(subjects)).all()
    hierarchy = ["primary_auditory", "superior_temporal", "late_language"]
    with_index = group.stages(hierarchy=hierarchy).set_index("quantity")
    assert with_index.loc["hierarchy_index", "name"] == "all"


@pytest.mark.parametrize("subjects", [["S1", "S2"], MANY])
def test_stages_of_models_with_other_depths_are_subtracted(subjects):
    deep = results(subjects, model="deep", seed=60)
    for result in deep:
        object.__setattr__(result, "dataset", result.dataset.isel(layer=[0, 2, 3]))
    found = compare(results(subjects), deep)
    table = found.stages().set_index("quantity")
    for side, name in ((found.a, "a"), (found.b, "b")):
        expected = literal_stages(side.regions()["r"].to_numpy())
        np.testing.assert_allclose(table.loc[list(QUANTITIES), name], expected, atol=1e-6)
    np.testing.assert_allclose(table["difference"], table["a"] - table["b"])
    assert (table["low"] <= table["high"]).all()
    many = len(subjects) >= LEAST_SUBJECTS
    kind = "paired variance components" if many else "paired block bootstrap"
    assert kind in found.stages_line()


def test_the_depth_of_subjects_has_the_variance_of_its_pseudo_values():
    found = results(MANY)
    table = Group.of(found).stages().set_index("quantity")
    curves = means_of(found)[:, None]
    samples = np.stack([result.region_samples.values for result in found]).transpose(0, 1, 3, 2)
    values = jackknife_values(score_weighted_depth, curves)[:, 0]
    drawn = jackknife_values(score_weighted_depth, samples)[..., 0]
    (low, high), _ = component_interval(values, drawn)
    row = table.loc["weighted_depth"]
    reach = (high - low) / 2
    ends = [row["estimate"] - reach, row["estimate"] + reach]
    np.testing.assert_allclose([row["low"], row["high"]], ends, atol=1e-6)
    best = means_of(found).mean(axis=0).argmax()
    drop = curves[:, 0, best] - curves[:, 0, -1]
    dropped = samples[:, :, 0, best].astype(float) - samples[:, :, 0, -1]
    row = table.loc["late_layer_drop"]
    expected = component_interval(drop, dropped)[0]
    np.testing.assert_allclose([row["low"], row["high"]], expected, atol=1e-6)


def test_stages_without_bootstraps_have_no_intervals():
    group = Group.of(results(["S1"], resampled=False))
    table = group.stages()
    assert table["estimate"].notna().all() and table[["low", "high"]].isna().all(axis=None)


# ---- pairs of layers ----------------------------------------------------------------------------


@pytest.mark.parametrize("subjects", [["S1"], ["S1", "S2"], MANY])
def test_equal_layers_of_all_pairs_are_the_difference_by_layer(subjects):
    pair = compare(results(subjects), results(subjects, model="tuned", seed=50))
    pairs, table = pair.layer_pairs(), pair.regions()
    assert pairs.difference.shape == (N_LAYERS, N_LAYERS, 1)
    for name in ("difference", "low", "high", "p", "p_signs", "p_ranks", "p_boot"):
        same = np.stack([getattr(pairs, name)[layer, layer] for layer in range(N_LAYERS)])
        np.testing.assert_allclose(same.ravel(), table[name], atol=1e-12)


def test_a_pair_of_other_layers_is_subtracted_replicate_by_replicate():
    a, b = results(["S1", "S2"]), results(["S1", "S2"], model="tuned", seed=50)
    b = [shallower(result, 3) for result in b]
    pairs = compare(a, b).layer_pairs()
    assert pairs.difference.shape == (N_LAYERS, 3, 1) and np.isnan(pairs.p).all()
    gap = means_of(a)[:, 3] - means_of(b)[:, 1]
    np.testing.assert_allclose(pairs.difference[3, 1, 0], gap.mean(), atol=1e-6)
    drawn = np.mean(
        [
            one.samples().values[:, 3, 0].astype(float) - two.samples().values[:, 1, 0]
            for one, two in zip(a, b, strict=True)
        ],
        axis=0,
    )
    low, high = expanded(drawn, a[0].n_blocks)
    np.testing.assert_allclose([pairs.low[3, 1, 0], pairs.high[3, 1, 0]], [low, high], atol=1e-6)


def test_a_pair_of_other_layers_of_many_subjects_has_variance_components():
    a, b = results(MANY), results(MANY, model="tuned", seed=50)
    pairs = compare(a, b).layer_pairs()
    gap = means_of(a)[:, 0] - means_of(b)[:, 2]
    drawn = np.stack(
        [
            one.samples().values[:, 0, 0].astype(float) - two.samples().values[:, 2, 0]
            for one, two in zip(a, b, strict=True)
        ]
    )
    expected, _ = component_interval(gap, drawn)
    found = [pairs.low[0, 2, 0], pairs.high[0, 2, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert pairs.p_signs[0, 2, 0] == pytest.approx(flip_p(gap))
    np.testing.assert_array_equal(pairs.p_holm((0, 2)), pairs.p[0, 2])


def test_pairs_without_bootstraps_have_no_intervals():
    pair = compare(results(["S1"], resampled=False), results(["S1"], seed=9, resampled=False))
    pairs = pair.layer_pairs()
    assert np.isfinite(pairs.difference).all() and np.isnan(pairs.low).all()


# ---- maps of several subjects -------------------------------------------------------------------


def test_a_map_of_subjects_is_the_mean_of_those_who_have_a_score():
    found = results(["S1", "S2", "S3"])
    changed = found[1].dataset.copy(deep=True)
    changed["r"][:, 27] = np.nan
    found[1] = replace(found[1], dataset=changed)
    mean = Group.of(found).scores()
    expected = np.nanmean([result.r for result in found], axis=0)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    assert np.isnan(mean[:, :25]).all() and np.isfinite(mean[:, 27]).all()
    normalised = Group.of(found).scores(normalised=True, ceiling="inter-subject")
    tops = [result.scores(True, "inter-subject") for result in found]
    np.testing.assert_allclose(normalised, np.nanmean(tops, axis=0), atol=1e-6)


def test_targets_of_each_subjects_own_have_no_mean():
    found = results(["S1", "S2"], space="native-volume")
    with pytest.raises(InputError, match="targets of their own") as caught:
        Group.of(found).scores()
    assert "Choose one subject" in caught.value.hint
    assert Group.of(found[:1]).scores().shape == (N_LAYERS, 30)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"space": "other-rois"}, "one space"),
        ({"test": (STORY.model_copy(update={"name": "elsewhere"}),)}, "[splits]"),
        ({"test": (STORY.model_copy(update={"responses": "0" * 32}),)}, "changed between"),
    ],
)
def test_what_to_do_is_said_of_models_that_cannot_be_compared(changes, hint):
    one = made_up_result(space="roi")
    two = made_up_result(model="tuned", **({"space": "roi"} | changes))
    with pytest.raises(InputError, match="cannot be compared") as caught:
        compare([one], [two])
    assert hint in caught.value.hint
