"""What is gone without low-level features, of results that were computed, by another route."""

import numpy as np
import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.lab_study import write_study

from braindash import run_study
from braindash.studies.lowlevel import impact_table
from braindash.studies.results import StudyResults
from braindash.studies.summaries import Chosen


@pytest.fixture(scope="module")
def study(tmp_path_factory, quick_model) -> StudyResults:
    folder = tmp_path_factory.mktemp("low")
    lab = make_lab(folder / "lab", quick_model, subjects=("A", "B", "C"), seconds=SHORT_STORIES)
    path = write_study(lab)
    text = path.read_text().split("[[models]]")
    removing = text[0] + 'low_level = "residual"\n\n[[models]]' + text[1]
    path.write_text(removing)
    return run_study(path, store=folder / "store")


def test_the_drop_is_of_subject_means_over_the_same_targets(study):
    chosen = Chosen("default", ("all targets",), "all")
    [row] = impact_table(study, chosen)[0].to_dict("records")
    results = study.groups["default", "small"].results
    pairs = [(one.r, one.dataset["residual_r"].values) for one in results]
    whole, rest = np.array(
        [
            [np.mean([np.mean(side[layer][np.isfinite(r[layer]) & np.isfinite(left[layer])])
                      for layer in range(len(r))]) for side in (r, left)]
            for r, left in pairs
        ]
    ).T  # fmt: skip
    assert row["r"] == pytest.approx(whole.mean(), rel=1e-5)
    assert row["residual_r"] == pytest.approx(rest.mean(), rel=1e-5)
    if whole.mean() >= 0.02:
        assert row["drop"] == pytest.approx(100 * (1 - rest.mean() / whole.mean()), rel=1e-4)
        assert row["drop_low"] < row["drop"] < row["drop_high"]
    assert row["space"] == "acoustic:lowlevel" and row["n_subjects"] == 3


def test_dots_are_the_subjects_own_drops(study, monkeypatch):
    monkeypatch.setattr("braindash.studies.summaries.LEAST_BASE_R", -1.0)
    chosen = Chosen("default", ("all targets",), "last")
    models, dots = impact_table(study, chosen)
    assert np.isfinite(models["drop"]).all()
    for one, drop in zip(study.groups["default", "small"].results, dots["drop"], strict=True):
        left = one.dataset["residual_r"].values[-1]
        both = np.isfinite(one.r[-1]) & np.isfinite(left)
        assert drop == pytest.approx(
            100 * (1 - left[both].mean() / one.r[-1][both].mean()), rel=1e-3
        )


def test_results_without_it_have_no_rows(study, tmp_path):
    for one in study.groups["default", "small"].results:
        one.spec["low_level"] = None
    assert impact_table(study, Chosen("default", ("all targets",)))[0].empty
