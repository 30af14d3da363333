"""Lines under figures: every number has its source beside it."""

import plotly.graph_objects as go
from kit.results.made_up import made_up_result

from braindash.encoding.several.comparison import Group
from braindash.views.captions import (
    comparison_lines,
    figure_words,
    provenance_line,
    short_line,
    subject_lines,
)


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


def test_the_short_line_names_data_model_subject_n_and_key():
    result = made_up_result(space="roi")
    one = short_line(Group.of([result]))
    for told in ("SIMULATED DATA", "made up", result.model, "subject S1", "n = 1", result.key[:8]):
        assert told in one
    results = [made_up_result(space="roi", subject=f"S{i}", seed=i) for i in range(6)]
    several = short_line(Group.of(results))
    assert "mean of n = 6 subjects" in several and "3 more" in several
    assert several.count(",") == 3, "keys of many subjects stay one line"


def test_a_figure_is_told_to_who_hears_the_page():
    figure = go.Figure([go.Scatter(y=[1], name=f"<b>curve {n}</b>") for n in range(12)])
    figure.update_layout(xaxis_title="Layer", yaxis_title="Pearson r")
    words = figure_words(figure)
    assert words.startswith("Pearson r by Layer: curve 0, curve 1") and words.endswith("and 2 more")
    figure.update_layout(title="left vertex 12")
    assert figure_words(figure).startswith("left vertex 12: curve 0")
    assert figure_words(go.Figure([go.Heatmap(z=[[1]])])) == ""
