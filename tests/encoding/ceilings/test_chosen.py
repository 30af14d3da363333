"""What is said beside a mean of r / ceiling."""

from dataclasses import replace

import numpy as np
from kit.results.made_up import made_up_result

from braindash.encoding.ceilings.chosen import selection_line, selections_line


def with_ceilings(values, n_repeats=4):
    made = made_up_result(space="roi")
    dataset = made.dataset.copy(deep=True)
    dataset["ceiling"][0] = values
    known = {} if n_repeats is None else {"n_repeats": n_repeats}
    return replace(made, dataset=dataset, provenance=made.provenance | known)


def test_crossings_by_chance_and_the_bias_stand_beside_the_number():
    line = selection_line(with_ceilings(np.where(np.arange(30) < 28, 0.2, 0.7)))
    assert "2 targets of 5 above 0.4; without any signal" in line
    assert "biased by this choice" in line and "simulated: 4 repeats, 90 rows, 1% signal" in line
    sure = selection_line(with_ceilings(np.full(30, 0.9)))
    assert "5 targets of 5" in sure and "(unbiased)" in sure


def test_other_ceilings_and_older_results_say_what_can_be_said():
    other = selection_line(made_up_result(space="roi"), "inter-subject")
    assert "chosen by a noisy ceiling (inter-subject)" in other and "not simulated" in other
    assert selection_line(made_up_result(space="roi", ceiling=False)) == ""
    assert "does not say how many repeats" in selection_line(with_ceilings(0.5, n_repeats=None))
    assert selection_line(with_ceilings(np.nan)) == ""


def test_several_subjects_are_told_apart_where_they_differ():
    one = with_ceilings(np.full(30, 0.9))
    assert selections_line([one]) == selections_line([one, one]) == selection_line(one)
    two = replace(with_ceilings(0.3), spec=one.spec | {"subject": "S2"})
    told = selections_line([one, two])
    assert told == f"{one.subject}: {selection_line(one)}; S2: {selection_line(two)}"
