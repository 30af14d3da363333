"""The numbers of a study's figures, each computed again by another route."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from kit.results.made_up import N_SAMPLES
from kit.results.made_up_study import MODELS, SUBJECTS, put_study
from scipy import stats

from braindash.io.store import Store
from braindash.studies.results import StudyResults
from braindash.studies.summaries import (
    Chosen,
    alignment_table,
    bar_table,
    comparison_table,
    curve_table,
    layers_of,
    subject_table,
    transfer_table,
)
from braindash.views.studies.points import alignment_scatter

REGIONS = ("late_language", "primary_auditory")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Six subjects, so that tests of signs can be small."""
    root = tmp_path_factory.mktemp("study")
    record = put_study(root, subjects=SUBJECTS)
    return StudyResults.open(record, Store(root))


def means(study, name, chosen) -> np.ndarray:
    """Region means over layers from the maps themselves, (n_subjects, n_regions)."""
    group = study.groups[chosen.preset, name]
    layers = layers_of(chosen.layers, group.first.n_layers)
    return np.array(
        [
            [
                np.mean([np.nanmean(one.scores(chosen.normalised)[layer][one.masks[region]])
                         for layer in layers])
                for region in chosen.regions
            ]
            for one in group.results
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "n_layers", "expected"),
    [
        ("third-quarter", 13, [7, 8, 9]),
        ("third-quarter", 25, list(range(13, 19))),
        ("third-quarter", 7, [4]),
        ("third-quarter", 3, [1]),
        ("third-quarter", 2, [1]),
        ("third-quarter", 1, [0]),
        ("last", 13, [12]),
        ("all", 3, [0, 1, 2]),
        ((2, 5), 4, [2]),
        ((9,), 4, [3]),
    ],
)
def test_layers_are_chosen_by_depth(rule, n_layers, expected):
    assert layers_of(rule, n_layers) == expected


@pytest.mark.parametrize("layers", ["third-quarter", "all", (1, 3)])
@pytest.mark.parametrize("normalised", [False, True])
def test_bars_and_dots_are_means_of_the_maps(study, layers, normalised):
    chosen = Chosen("default", REGIONS, layers, normalised)
    bars = bar_table(study, chosen).set_index(["model", "region"])
    dots = subject_table(study, chosen).set_index(["model", "region", "subject"])
    for name, *_ in MODELS:
        own = means(study, name, chosen)
        for place, region in enumerate(REGIONS):
            assert bars.loc[(name, region), "alignment"] == pytest.approx(own[:, place].mean())
            for number, subject in enumerate(SUBJECTS):
                found = dots.loc[(name, region, subject), "alignment"]
                assert found == pytest.approx(own[number, place], rel=1e-5)
    assert set(bars["measure"]) == {"r_over_ceiling" if normalised else "r"}


def samples_of(study, name, chosen) -> np.ndarray:
    """Replicates averaged over layers, (n_subjects, n_samples, n_regions)."""
    group = study.groups["default", name]
    layers = layers_of(chosen.layers, group.first.n_layers)
    return np.stack(
        [
            one.dataset["region_samples"].sel(region=list(chosen.regions)).values[:, layers].mean(1)
            for one in group.results
        ]
    )


def components(values, samples, n_blocks):
    """Variance, degrees of freedom: the page Science's formula, written out."""
    n, k = len(values), n_blocks / (n_blocks - 1)
    vs = values.var(axis=0, ddof=1) / n
    shared = samples.mean(axis=0)
    vt = k * shared.var(axis=0)
    vst = k * (samples - shared).var(axis=1).sum(axis=0) / ((n - 1) * n)
    time = np.maximum(vt - vst / 2, 0)
    df = (vs + time) ** 2 / (vs**2 / (n - 1) + time**2 / (n_blocks - 1))
    return vs + time, df


def test_intervals_and_p_are_those_of_variance_components(study):
    chosen = Chosen("default", REGIONS)
    bars = bar_table(study, chosen).set_index(["model", "region"])
    tests, notes = comparison_table(study, chosen)
    assert not notes
    found = tests.set_index(["model_a", "region"])
    blocks = study.groups["default", "base"].first.n_blocks
    base, drawn = means(study, "base", chosen), samples_of(study, "base", chosen)
    for name in ("tuned", "untrained"):
        own, own_drawn = means(study, name, chosen), samples_of(study, name, chosen)
        assert own_drawn.shape == (6, N_SAMPLES, 2)
        variance, df = components(own, own_drawn, blocks)
        reach = stats.t.ppf(0.975, df) * np.sqrt(variance)
        gap = own - base
        gap_variance, gap_df = components(gap, own_drawn - drawn, blocks)
        p = 2 * stats.t.sf(abs(gap.mean(0)) / np.sqrt(gap_variance), gap_df)
        for place, region in enumerate(REGIONS):
            row, test = bars.loc[(name, region)], found.loc[(name, region)]
            np.testing.assert_allclose(
                [row["low"], row["high"]],
                own[:, place].mean() + np.array([-1, 1]) * reach[place],
                rtol=1e-4,
            )
            assert test["difference"] == pytest.approx(gap[:, place].mean(), abs=1e-7)
            assert test["p"] == pytest.approx(p[place], rel=1e-3)


def holm_by_hand(p):
    order, found, largest = np.argsort(p), np.empty(len(p)), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, p[place] * (len(p) - rank)))
        found[place] = largest
    return found


def test_paired_tests_are_those_of_scipy_and_holm_is_over_what_is_shown(study):
    chosen = Chosen("default", REGIONS)
    tests, _ = comparison_table(study, chosen)
    assert len(tests) == 8
    base = means(study, "base", chosen)
    signs = np.array(list(product([1, -1], repeat=6)))
    for _, row in tests.iterrows():
        gap = (means(study, row["model_a"], chosen) - base)[:, REGIONS.index(row["region"])]
        expected = stats.wilcoxon(gap, method="exact").pvalue
        assert row["p_ranks"] == pytest.approx(expected)
        flips = abs(signs @ gap) >= abs(gap.sum()) * (1 - 1e-9)
        assert row["p_signs"] == pytest.approx(flips.mean())
    for name in ("p", "p_signs", "p_ranks"):
        np.testing.assert_allclose(tests[f"{name}_holm"], holm_by_hand(tests[name].to_numpy()))
    one, _ = comparison_table(study, Chosen("default", REGIONS[:1]))
    smaller = one["p_ranks_holm"].to_numpy() <= tests["p_ranks_holm"][::2].to_numpy() + 1e-12
    assert smaller.all(), "fewer regions are a smaller family"


def test_percents_are_of_subject_means_with_the_interval_of_a_ratio(study):
    chosen = Chosen("default", REGIONS)
    bars = bar_table(study, chosen).set_index(["model", "region"])
    base, drawn = means(study, "base", chosen), samples_of(study, "base", chosen)
    own, own_drawn = means(study, "tuned", chosen), samples_of(study, "tuned", chosen)
    ratio = own.mean(0) / base.mean(0)
    blocks = study.groups["default", "base"].first.n_blocks
    variance, df = components(
        (own - ratio * base) / base.mean(0), (own_drawn - ratio * drawn) / base.mean(0), blocks
    )
    reach = 100 * stats.t.ppf(0.975, df) * np.sqrt(variance)
    for place, region in enumerate(REGIONS):
        row = bars.loc[("tuned", region)]
        assert row["percent"] == pytest.approx(100 * (ratio[place] - 1), rel=1e-4)
        assert row["percent_high"] - row["percent"] == pytest.approx(reach[place], rel=1e-3)
        # Of subjects alone it is near what leaving each subject out in turn says.
        left = [np.delete(own[:, place], i).mean() / np.delete(base[:, place], i).mean()
                for i in range(6)]  # fmt: skip
        jackknife = 100 * np.sqrt(5 / 6 * np.sum((np.array(left) - np.mean(left)) ** 2))
        alone = (own[:, place] - ratio[place] * base[:, place]) / base[:, place].mean()
        assert 100 * alone.std(ddof=1) / np.sqrt(6) == pytest.approx(jackknife, rel=0.05)
    assert np.isnan(bars.loc[("base", REGIONS[0]), "percent"]), "a base has no base"


def test_percents_over_next_to_nothing_are_not_defined(study, monkeypatch):
    monkeypatch.setattr("braindash.studies.summaries.LEAST_BASE_R", 0.9)
    bars = bar_table(study, Chosen("default", REGIONS))
    assert bars[["percent", "percent_low", "percent_high"]].isna().all(axis=None)


def test_curves_have_the_standard_error_over_subjects(study):
    table = curve_table(study, Chosen("default", REGIONS))
    assert len(table) == len(MODELS) * 2 * 4
    row = table[(table["model"] == "tuned") & (table["region"] == REGIONS[0])].iloc[2]
    own = [np.nanmean(one.r[2][one.masks[REGIONS[0]]]) for one in
           study.groups["default", "tuned"].results]  # fmt: skip
    assert row["layer"] == 2 and row["depth"] == pytest.approx(2 / 3)
    assert row["alignment"] == pytest.approx(np.mean(own), rel=1e-5)
    assert row["se"] == pytest.approx(stats.sem(own), rel=1e-3)
    group = study.groups["default", "tuned"].regions().set_index(["layer", "region"])
    assert row["low"] == group.loc[(2, REGIONS[0]), "low"]


def test_alignment_stands_beside_probes_and_sizes(study):
    table = alignment_table(study, Chosen("default", REGIONS), "phone").set_index("model")
    probed = study.probings["tuned"].table()
    own = probed[(probed["task"] == "phone") & (probed["layer"] == 2)]["above_chance"]
    assert table.loc["tuned", "probe"].iloc[0] == pytest.approx(float(own.iloc[0]))
    assert table.loc["untrained", "parameters"].iloc[0] == 310_000_000
    nothing = alignment_table(study, Chosen("default", REGIONS), "no such task")
    assert nothing["probe"].isna().all()


def test_tuned_models_stand_beside_their_hours_and_ranks(study):
    # The last one is a control that learnt from no responses: it has no hours of them.
    told = {"tuned": (0.5, None), "tuned 1": (2.0, 8), "untrained": (1.0, None)}
    models = {
        name: replace(one, hours=told[name][0], rank=told[name][1]) if name in told else one
        for name, one in study.models.items()
    }
    table = alignment_table(replace(study, models=models), Chosen("default", REGIONS))
    own = table.drop_duplicates("model").set_index("model")
    assert own.loc["tuned", "hours"] == 0.5 and own.loc["tuned 1", "rank"] == 8
    assert own.loc[["base", "untrained"], ["hours", "rank"]].isna().all(axis=None)
    figure = alignment_scatter(table, REGIONS, against="hours")
    assert {one.name for one in figure.data} == {"tuned", "tuned 1"}


def test_transfer_is_of_models_of_one_subject_over_their_base(study):
    chosen = Chosen("default", REGIONS)
    table = transfer_table(study, chosen).set_index(["model", "scored_on", "region"])
    assert set(table["tuned_on"]) == {"S1", "S2"} and len(table) == 2 * 6 * 2
    own, base = means(study, "tuned 2", chosen), means(study, "base", chosen)
    row = table.loc[("tuned 2", "S4", REGIONS[1])]
    assert row["alignment"] == pytest.approx(own[3, 1], rel=1e-5)
    assert row["gain"] == pytest.approx(own[3, 1] - base[3, 1], abs=1e-6)


def test_two_subjects_have_intervals_of_story_time_and_no_p(tmp_path):
    record = put_study(tmp_path, subjects=SUBJECTS[:2], models=MODELS[:2], space="roi")
    found = StudyResults.open(record, Store(tmp_path))
    chosen = Chosen("default", ("all targets",))
    bars = bar_table(found, chosen).set_index("model")
    drawn = samples_of(found, "tuned", chosen).mean(axis=0)[:, 0]
    row = bars.loc["tuned"]
    assert row["low"] <= np.quantile(drawn, 0.1) and row["high"] >= np.quantile(drawn, 0.9)
    assert row["percent_low"] < row["percent"] < row["percent_high"]
    tests, _ = comparison_table(found, chosen)
    assert tests[["p", "p_signs", "p_ranks"]].isna().all(axis=None)
    assert transfer_table(found, chosen).empty
