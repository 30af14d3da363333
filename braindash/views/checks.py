"""The report of a check of data: tables of subjects, stories and verdicts, and the lag scan."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from braindash.checking.lags import USUAL_LAGS
from braindash.checking.report import DataReport, SubjectReport
from braindash.viewer.blobs import MapSet
from braindash.views.curves import stamp_simulated

MARKS = {"ok": "✓ ok", "warning": "! warning", "fault": "✗ fault"}
_STORY = "#9AA0A6"
_POOLED = "#0072B2"
_PEAK = "#D55E00"
_MOST_NAMED = 12


def subject_table(report: DataReport) -> pd.DataFrame:
    """List the subjects with their sizes, ceilings, lags and verdicts.

    Returns
    -------
    pandas.DataFrame
        One row per subject.
    """
    return pd.DataFrame(
        [
            {
                "subject": one.subject,
                "verdict": MARKS[one.verdict],
                "stories": len(one.stories),
                "rows": one.rows,
                "minutes of audio": round(one.audio_seconds / 60, 1),
                "targets": one.targets,
                "repeats": one.repeats,
                "median ceiling": one.ceiling,
                "share above 0.4": one.ceiling_share,
                "lag (s)": _rounded(one.lag_seconds),
                "faults": len(one.faults()),
            }
            for one in report.subjects
        ]
    )


def story_table(one: SubjectReport) -> pd.DataFrame:
    """List a subject's stories.

    Returns
    -------
    pandas.DataFrame
        One row per story; a lag that chance could make has ``clear`` False.
    """
    return pd.DataFrame(
        [
            {
                "story": story.story,
                "split": story.split,
                "rows": story.rows,
                "audio (s)": _rounded(story.audio_seconds),
                "first row (s)": _rounded(story.first_seconds),
                "last row (s)": _rounded(story.last_seconds),
                "repeats": story.repeats,
                "median ceiling": story.ceiling,
                "NaN": story.nan_share,
                "constant": story.constant_share,
                "censored rows": story.censored_rows,
                "mean": _rounded(story.mean, 3),
                "deviation": _rounded(story.sd, 3),
                "lag (s)": _rounded(story.lag_seconds),
                "clear": story.lag_clear,
            }
            for story in one.stories
        ]
    )


def finding_table(one: SubjectReport) -> pd.DataFrame:
    """List a subject's verdicts, faults first.

    Returns
    -------
    pandas.DataFrame
        ``verdict``, ``check``, ``story``, ``what was found``, ``what to do``.
    """
    return pd.DataFrame(
        [
            {
                "verdict": MARKS[found.verdict],
                "check": found.check,
                "story": found.story or "",
                "what was found": found.message,
                "what to do": found.hint,
            }
            for found in one.findings
        ],
        columns=["verdict", "check", "story", "what was found", "what to do"],
    )


def lag_figure(one: SubjectReport, *, simulated: bool = False) -> go.Figure | None:
    """Draw a subject's lag scan: a curve per story, the one of all together, its peak marked.

    Parameters
    ----------
    one : SubjectReport
    simulated : bool, default False
        Whether the responses come from a generator.

    Returns
    -------
    plotly.graph_objects.Figure or None
        None where no lag was scanned.
    """
    scan = one.lag_scan
    if scan is None:
        return None
    figure = go.Figure()
    figure.add_vrect(*USUAL_LAGS, fillcolor=_STORY, opacity=0.12, line_width=0)
    for number, (story, r) in enumerate(scan.stories.items()):
        figure.add_scatter(
            x=list(scan.lags),
            y=_floats(r),
            name=story,
            mode="lines",
            line={"color": _STORY, "width": 1},
            opacity=0.7,
            showlegend=number < _MOST_NAMED and len(scan.stories) <= _MOST_NAMED,
        )
    figure.add_scatter(
        x=list(scan.lags),
        y=_floats(scan.pooled),
        name="all stories",
        mode="lines",
        line={"color": _POOLED, "width": 3},
    )
    if one.lag_seconds is not None and one.lag_r is not None:
        clear = "" if one.lag_clear else ", not clear"
        figure.add_scatter(
            x=[one.lag_seconds],
            y=[one.lag_r],
            name=f"peak: {one.lag_seconds:.1f} s{clear}",
            mode="markers",
            marker={"color": _PEAK, "size": 12, "symbol": "diamond"},
        )
    figure.add_vline(x=0, line={"color": _STORY, "dash": "dot", "width": 1})
    figure.update_xaxes(title="Lag of the responses behind the sound (s)")
    figure.update_yaxes(title="Pearson r with the loudness", zeroline=True)
    figure.update_layout(height=360, margin={"l": 70, "r": 10, "t": 28, "b": 10})
    if simulated:
        stamp_simulated(figure)
    return figure


def lag_line(one: SubjectReport) -> str:
    """Say under the picture what it is of."""
    if one.lag_scan is None:
        return "No lag was scanned: nothing could be read."
    usual = f"{USUAL_LAGS[0]:.0f} to {USUAL_LAGS[1]:.0f} s"
    return (
        f"Loudness of the sound (rms ^ 0.6, low-passed to the TR) against the mean of "
        f"{one.lag_n_targets} targets: {one.lag_targets}. "
        f"Grey band: the usual lag of BOLD, {usual}."
    )


def ceiling_map(ceilings: np.ndarray, space: str, *, simulated: bool) -> MapSet:
    """Make a map of a subject's noise ceilings.

    Parameters
    ----------
    ceilings : array of shape (n_targets,)
    space : str
        An fsaverage space.
    simulated : bool
        Whether to stamp the picture.
    """
    return MapSet(
        values=np.asarray(ceilings, dtype=np.float32)[None],
        names=["noise ceiling"],
        label="noise ceiling (r)",
        vmin=0.0,
        vmax=1.0,
        threshold=0.1,
        space=space,
        simulated=simulated,
    )


def _floats(values: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in values]


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
