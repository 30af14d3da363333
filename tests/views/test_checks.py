"""The report of a check as tables and pictures."""

import numpy as np

from braindash.checking.report import (
    DataReport,
    Finding,
    LagScan,
    StoryReport,
    SubjectReport,
)
from braindash.views.checks import (
    ceiling_map,
    finding_table,
    lag_figure,
    lag_line,
    story_table,
    subject_table,
)


def subject(**changes):
    told = {
        "subject": "S1",
        "stories": (
            StoryReport("a", "train", rows=100, audio_seconds=150.0, lag_seconds=5.04),
            StoryReport("b", "test"),
        ),
        "findings": (
            Finding("tr", "fault", "the TR is wrong", "Set tr", None),
            Finding("files", "ok", "2 of 2"),
        ),
        "lag_seconds": 5.02,
        "lag_r": 0.8,
        "lag_clear": True,
        "lag_targets": "the auditory region (AC)",
        "lag_n_targets": 7,
        "lag_scan": LagScan([0.0, 5.0, 10.0], {"a": [0.1, 0.8, None]}, [0.1, 0.8, None]),
    }
    return SubjectReport(**(told | changes))


def test_the_tables_hold_what_the_report_says():
    one = subject()
    (row,) = subject_table(DataReport("m", "lab", "roi", "none", (one,))).to_dict("records")
    assert row["verdict"] == "✗ fault" and row["faults"] == 1 and row["lag (s)"] == 5.0
    stories = story_table(one)
    assert stories["rows"].tolist()[0] == 100 and np.isnan(stories["lag (s)"].iloc[1])
    assert finding_table(one)["what to do"].tolist() == ["Set tr", ""]
    assert finding_table(subject(findings=())).columns[0] == "verdict"


def test_the_picture_has_a_line_per_story_and_marks_the_peak():
    figure = lag_figure(subject(), simulated=True)
    names = [trace.name for trace in figure.data]
    assert names == ["a", "all stories", "peak: 5.0 s"]
    assert np.isnan(figure.data[0].y[2]) and figure.data[-1].x == (5.02,)
    assert "SIMULATED" in figure.to_json().upper()
    assert "not clear" in lag_figure(subject(lag_clear=False)).data[-1].name
    assert lag_figure(subject(lag_scan=None)) is None
    assert "7 targets: the auditory region" in lag_line(subject())
    assert "No lag" in lag_line(subject(lag_scan=None))


def test_ceilings_are_a_map():
    maps = ceiling_map(np.linspace(0, 1, 20484), "fsaverage5", simulated=True)
    assert maps.values.shape == (1, 20484) and maps.simulated
