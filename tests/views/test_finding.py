"""Sentences say what the numbers say, and no more."""

from dataclasses import replace

import numpy as np
import pandas as pd
from kit.results.made_up import made_up_result

from braindash.encoding.several.comparison import Group
from braindash.views.finding import (
    best_sentences,
    change_sentences,
    significance_sentence,
    told_regions,
)


def differences(**rows):
    """Tabulate differences at two layers: the first says the opposite of the last."""
    table = []
    for region, (a, b, low, high) in rows.items():
        table.append((0, region, b, a, b - a, -high, -low, 3))
        table.append((1, region, a, b, a - b, low, high, 3))
    columns = ["layer", "region", "a", "b", "difference", "low", "high", "n_subjects"]
    return pd.DataFrame(table, columns=columns)


def told(table, *, tuned=True, signs=None):
    regions = list(table["region"].unique())
    names = ("new", "old")
    return change_sentences(table, regions, names=names, tuned=tuned, signs=signs or {})


def test_a_change_is_told_with_its_ends_its_interval_and_its_subjects():
    table = differences(late_language=(0.33, 0.16, 0.13, 0.19))
    [sentence] = told(table, signs={"late_language": 3})
    assert sentence == (
        "In late language the last layer rises from .16 to .33 (+.17 [.13, .19], 3 of 3 subjects)."
    )


def test_what_an_interval_does_not_show_is_not_claimed():
    table = differences(
        early_visual=(0.02, 0.03, -0.04, 0.02),
        ifg=(0.1, 0.2, -0.15, -0.05),
        V1=(0.2, 0.1, *[np.nan] * 2),
    )
    visual, ifg, untested = told(table)
    assert "no sure change, from .03 to .02 (−.01 [−.04, .02])" in visual
    assert "In IFG the last layer falls from .20 to .10" in ifg
    assert "goes from .10 to .20 (+.10, no interval)" in untested
    contrast = told(table, tuned=False)[0]
    assert "of new and of old shows no sure difference, .02 against .03" in contrast
    assert "rises" not in " ".join(told(table, tuned=False))


def test_a_region_without_a_score_says_so():
    table = differences(late_language=(np.nan, 0.1, np.nan, np.nan))
    assert told(table) == ["Late language has no score."]


def test_the_regions_do_not_depend_on_the_numbers():
    names = ["all targets", "early_visual", "late_language", "primary_auditory", "ifg_mfg"]
    assert told_regions(names) == ["late_language", "primary_auditory", "early_visual"]
    assert told_regions(["all targets"]) == ["all targets"]


def test_one_model_has_its_best_layers():
    group = Group.of([made_up_result()])
    table = group.regions()
    rows = table[table["region"] == "late_language"].set_index("layer")["r"]
    nowhere = table.assign(r=table["r"].where(table["region"] != "early_visual"))
    late, visual = best_sentences(nowhere, ["late_language", "early_visual"])
    assert f"best from layer {rows.idxmax()} of {rows.index[-1]}" in late
    assert f"r = {rows.max():.2f}".replace("0.", ".") in late
    assert visual == "Early visual has no score."


def test_significant_targets_are_counted_at_the_best_layer():
    result = made_up_result()
    counts = (result.q <= 0.05).sum(axis=1)
    sentence = significance_sentence(result)
    assert sentence.startswith(f"{counts.max():,} targets")
    assert f"at layer {counts.argmax()}" in sentence and "q ≤ 0.05" in sentence
    nothing = replace(result, dataset=result.dataset.assign(q=result.dataset["q"] * np.nan))
    assert significance_sentence(nothing).startswith("0 targets")
    untested = made_up_result(space="roi", resampled=False)
    assert significance_sentence(untested) == "Not tested: computed without permutations."
