"""What may be wrong with labelled segments: faults, what is put right, and what is told.

All functions take the table of :func:`braindash.io.labels.table.make_labels` while it is made: the
columns of a :class:`braindash.io.labels.table.Segment` with ``path`` and ``seconds`` of the
recording.
"""

from collections.abc import Callable, Iterable
from unicodedata import normalize

import numpy as np
import pandas as pd

from braindash.defaults import PARTS
from braindash.io.dataset.tables import Problem

# Tiers of whole texts: that hardly any stands twice is no fault of theirs.
TEXT_TIERS = ("sentence",)

# Aligners round the last time up; more than this is another recording's annotation.
_BEYOND_SECONDS = 0.5
# Segments that share less than this touch each other.
_TOUCH_SECONDS = 1e-3
_NAMED = 3
_FILLED_SHARE = 0.05


def find_problems(table: pd.DataFrame) -> list[Problem]:
    """Find what makes labels unusable.

    Parameters
    ----------
    table : pandas.DataFrame
        Every segment whose recording has audio.

    Returns
    -------
    list of Problem
        Times that are not finite, negative or reversed; labels outside the audio; a recording in
        two splits; unknown splits.
    """
    start, end, seconds = (table[name].to_numpy() for name in ("start", "end", "seconds"))
    finite = np.isfinite(start) & np.isfinite(end)
    with np.errstate(invalid="ignore"):
        wrong = ~finite | (start < 0) | (end < start)
        outside = ~wrong & ((end > seconds + _BEYOND_SECONDS) | (start > seconds + _BEYOND_SECONDS))
    problems = []
    if wrong.any():
        problems.append(
            Problem(
                f"{wrong.sum()} segments end before they begin, begin before 0 s or have no time: "
                f"{_segments(table[wrong])}",
                "Correct the times; they are seconds from the first sample, start before end.",
            )
        )
    if outside.any():
        shown = table[outside]
        # Then all of them would fit, and fill some of the sound, in the unit of some programs.
        of_ms = table["end"] / 1000 / table["seconds"]
        as_ms = bool((table["end"] / 1000 <= table["seconds"] + _BEYOND_SECONDS)[~wrong].all())
        as_ms &= bool(of_ms[outside].max() >= _FILLED_SHARE)
        problems.append(
            Problem(
                f"{outside.sum()} segments lie outside their audio: {_segments(shown)}; the audio "
                f"of {shown['recording'].iloc[0]} lasts {shown['seconds'].iloc[0]:.3f} s",
                "The times fit as milliseconds: divide them by 1000."
                if as_ms and len(shown) > 0.5 * len(table)
                else "Check that labels and audio belong together, and the unit of the times.",
            )
        )
    splits = table.groupby("recording")["split"].nunique(dropna=False)
    torn = splits.index[splits > 1]
    if len(torn):
        problems.append(
            Problem(
                f"{len(torn)} recordings stand in more than one split: {some(torn)}",
                "Give all segments of a recording the same split.",
            )
        )
    unknown = sorted(set(table["split"].dropna()) - set(PARTS))
    if unknown:
        problems.append(
            Problem(
                f"the splits {', '.join(map(repr, unknown))} are unknown",
                f"Allowed are {', '.join(PARTS)}, or nothing.",
            )
        )
    return problems


def cut_to_audio(table: pd.DataFrame, told: list[str]) -> pd.DataFrame:
    """Cut segments at the end of their audio, leave out those of no duration, and tell both."""
    late = table["end"] > table["seconds"] + _TOUCH_SECONDS
    if late.any():
        told.append(
            f"{late.sum()} segments end up to {_BEYOND_SECONDS} s behind their audio and are cut "
            f"there: {_segments(table[late])}"
        )
    table = table.assign(end=np.minimum(table["end"], table["seconds"]))
    empty = table["end"] <= table["start"]
    if empty.any():
        told.append(f"{empty.sum()} segments last 0 s and are left out: {_segments(table[empty])}")
    return table[~empty]


def compose_names(table: pd.DataFrame, told: list[str]) -> pd.DataFrame:
    """Make speakers and tiers that differ in the form of their accents (NFC, NFD) one, and tell it.

    Names all of one form stay as they are: results keep their keys. Labels are composed where they
    are asked for.
    """
    for name in ("speaker", "tier"):
        forms = table[name].map(lambda cell: normalize("NFC", cell), na_action="ignore")
        lost = table[name].nunique() - forms.nunique()
        if lost:
            told.append(f"{lost} names of a {name} differ from others in the form of accents only")
            table = table.assign(**{name: forms})
    return table


def take_once(table: pd.DataFrame, told: list[str]) -> pd.DataFrame:
    """Leave out what stands twice, and tell it."""
    repeated = table.duplicated(["recording", "tier", "start", "end", "label"])
    if repeated.any():
        told.append(
            f"{repeated.sum()} segments stand twice and are taken once: "
            f"{_segments(table[repeated])}"
        )
    return table[~repeated]


def find_oddities(table: pd.DataFrame, recordings: pd.DataFrame) -> list[str]:
    """Find what a user should know and may accept.

    Parameters
    ----------
    table : pandas.DataFrame
        Segments, sorted by recording, tier and start.
    recordings : pandas.DataFrame
        All recordings: ``recording``, ``rate_hz``.

    Returns
    -------
    list of str
        Overlapping segments, labels with a single example, speakers in several splits, recordings
        without labels, mixed sampling rates.
    """
    return [
        *_overlaps(table),
        *_lone_labels(table),
        *_speakers_in_splits(table),
        *_unlabelled(table, recordings),
        *_mixed_rates(recordings),
    ]


def _overlaps(table: pd.DataFrame) -> list[str]:
    """Tell segments that begin before an earlier one of their recording and tier has ended."""
    found = []
    for tier, rows in table.groupby("tier", sort=True):
        latest = rows.groupby("recording")["end"].cummax()
        before = latest.groupby(rows["recording"]).shift()
        over = rows["start"] < before - _TOUCH_SECONDS
        if over.any():
            found.append(
                f"tier {tier!r}: {over.sum()} of {len(rows)} segments overlap an earlier one: "
                f"{_segments(rows[over])}"
            )
    return found


def _lone_labels(table: pd.DataFrame) -> list[str]:
    found = []
    for tier, labels in table.groupby("tier", sort=True)["label"]:
        counts = labels.value_counts()
        if len(counts) == 1:
            found.append(
                f"tier {tier!r} has one label only, {counts.index[0]!r}: nothing can be told apart"
            )
        lone = counts.index[counts == 1]
        if len(lone) and tier not in TEXT_TIERS:
            found.append(
                f"tier {tier!r}: {len(lone)} of {len(counts)} labels have one example, too few to "
                f"learn from and be tested on: {some(sorted(lone))}"
            )
    return found


def _speakers_in_splits(table: pd.DataFrame) -> list[str]:
    known = table.dropna(subset=["speaker", "split"])
    splits = known.groupby("speaker")["split"].nunique()
    torn = splits.index[splits > 1]
    if not len(torn):
        return []
    return [f"{len(torn)} speakers stand in more than one split: {some(torn)}"]


def _unlabelled(table: pd.DataFrame, recordings: pd.DataFrame) -> list[str]:
    silent = recordings.loc[~recordings["recording"].isin(table["recording"]), "recording"]
    return [f"{len(silent)} recordings have no label: {some(silent)}"] if len(silent) else []


def _mixed_rates(recordings: pd.DataFrame) -> list[str]:
    rates = recordings["rate_hz"].value_counts().sort_index()
    if len(rates) < 2:
        return []
    listed = ", ".join(f"{rate} Hz: {count}" for rate, count in rates.items())
    return [
        f"the recordings have different sampling rates ({listed}); all are brought to 16000 Hz, "
        "but their bandwidths still differ"
    ]


def _segments(rows: pd.DataFrame) -> str:
    return some(
        rows.itertuples(),
        lambda row: (
            f"{row.label!r} ({row.tier}) in {row.recording}, {row.start:g} to {row.end:g} s"
        ),
    )


def some(things: Iterable[object], say: Callable[..., str] = str) -> str:
    """List the first few things."""
    listed = list(things)
    shown = "; ".join(say(thing) for thing in listed[:_NAMED])
    return shown + (f"; and {len(listed) - _NAMED} more" if len(listed) > _NAMED else "")
