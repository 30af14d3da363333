"""Lines and cards: every number has its source beside it."""

from dataclasses import replace

import numpy as np
from kit.made_up import made_up_result

from braindash.encoding.comparison import Group
from braindash.views.captions import comparison_lines, provenance_line, subject_lines
from braindash.views.cards import region_cards, significance_card


def test_one_subject_has_its_own_line_with_the_ceiling_that_is_used():
    result = made_up_result(space="roi")
    group = Group.of([result])
    assert provenance_line(group, "inter-subject") == result.provenance_line("inter-subject")
    assert "ceiling: inter-subject on story" in provenance_line(group, "inter-subject")
    assert "ceiling: repeats of story" in provenance_line(group)


def test_several_subjects_share_a_line_and_keep_their_own():
    results = [made_up_result(space="roi", subject=name, seed=i) for i, name in enumerate("AB")]
    group = Group.of(results)
    line = provenance_line(group, "repeats")
    for part in ("SIMULATED DATA", "mean of n = 2 subjects (A, B)", "test: story from row 0"):
        assert part in line
    assert "ceiling: repeats" in line
    assert results[0].fit_line() in line and "leave-20-rows-out" in line
    lines = subject_lines(group, "repeats")
    for result, own in zip(results, lines, strict=True):
        assert f"key {result.key[:8]}" in own
    assert "subject A" in lines[0] and "subject B" in lines[1]


def test_a_second_models_line_says_only_what_is_its_own():
    names = ("A: toy-model", "B: tuned")
    a, b = (
        Group.of([made_up_result(space="roi", model=model, seed=seed)])
        for seed, model in enumerate(("toy-model", "tuned"))
    )
    first, second = comparison_lines([a, b], names, ["repeats", "repeats"])
    assert first == f"A: {provenance_line(a, 'repeats')}"
    assert second == f"B: tuned · all else as A · key {b.first.key[:8]}"
    other = Group.of([made_up_result(space="roi", model="tuned", seed=1, delays=(1, 2))])
    _, second = comparison_lines([a, other], names, ["repeats", "repeats"])
    assert second == f"B: {provenance_line(other, 'repeats')}" and "delays 1, 2 TR" in second
    _, second = comparison_lines([a, b], names, ["repeats", "inter-subject"])
    assert "ceiling: inter-subject on story" in second


def test_a_card_has_the_best_layer_with_its_interval():
    group = Group.of([made_up_result()])
    table = group.regions()
    card, nowhere = region_cards(
        table.assign(r=table["r"].where(table["region"] != "early_visual")),
        ["late_language", "early_visual"],
    )
    rows = table[table["region"] == "late_language"].set_index("layer")
    best = rows["r"].idxmax()
    low, high = rows.loc[best, ["low", "high"]]
    assert card.value == f"layer {best}"
    assert card.detail == f"r = {rows['r'].max():.2f} [{low:.2f}, {high:.2f}] · 100% covered"
    assert card.curve == tuple(rows["r"])
    assert (nowhere.value, nowhere.curve) == ("no score", ())


def test_the_significance_card_counts_at_the_best_layer():
    result = made_up_result()
    counts = (result.q <= 0.05).sum(axis=1)
    card = significance_card(result)
    assert card.value == f"{counts.max():,}"
    assert f"at layer {counts.argmax()}" in card.detail and "q ≤ 0.05" in card.detail
    nothing = replace(result, dataset=result.dataset.assign(q=result.dataset["q"] * np.nan))
    assert significance_card(nothing).value == "0"
    untested = made_up_result(space="roi", resampled=False)
    assert significance_card(untested).value == "not tested"
