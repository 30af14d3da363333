"""What a check of a data set found: its numbers, its verdicts, and their form as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["ok", "warning", "fault"]
VERDICTS: tuple[Verdict, ...] = ("ok", "warning", "fault")
CEILING_SHOWN = 0.4
"""The share of targets is told whose ceiling is above this, as papers do."""
SCHEMA = 1

CHECKS: Mapping[str, str] = {
    "files": "every file is there and can be read",
    "durations": "rows and audio cover the same time",
    "targets": "all stories have the same targets",
    "orientation": "arrays are (row, target), not transposed",
    "values": "targets have numbers that vary",
    "standardisation": "mean and deviation are what the manifest's zscored says",
    "repeats": "presentations of a story are alike",
    "ceiling": "how well the responses can be predicted at best",
    "surfaces": "what brings targets to the cortex fits them",
    "lag": "the responses follow the sound, as late as blood does",
    "tr": "they do so from the beginning to the end of a story",
    "onset": "they do so in every story at the same lag",
    "stories": "every story's responses belong to its own sound",
    "runs": "this subject's responses to a story are like those of the others",
    "split": "there are training stories, and no sound is in two splits",
}


@dataclass(frozen=True)
class Finding:
    """One verdict.

    Attributes
    ----------
    check : str
        What was looked at, of ``CHECKS``.
    verdict : {"ok", "warning", "fault"}
        A fault makes scores wrong or impossible; a warning is unusual.
    message : str
        What was found.
    hint : str
        What to do; empty where all is well.
    story : str or None
        Which story; None: the subject as a whole.
    """

    check: str
    verdict: Verdict
    message: str
    hint: str = ""
    story: str | None = None


@dataclass(frozen=True, eq=False)
class StoryReport:
    """What was found about one story of a subject.

    Attributes
    ----------
    story, split : str
        The story, and "train", "valid" or "test".
    rows, targets : int or None
        Size of the response array; None where it cannot be read.
    audio_seconds : float or None
        Duration of the recording.
    first_seconds, last_seconds : float or None
        Audio times of the first and the last row.
    repeats : int
        Presentations stored apart; 0 where there are none.
    ceiling, ceiling_share : float or None
        Median noise ceiling from these repeats, and the share of targets above 0.4; between
        subjects where there are none, as ``ceiling_source`` of the subject says.
    nan_share, constant_share : float or None
        Targets that lack numbers in rows that others have; targets that do not vary.
    censored_rows : int
        Rows without a number in any target.
    mean, sd : float or None
        Medians over targets of the absolute mean and of the standard deviation over rows.
    lag_seconds : float or None
        Lag at which the responses fit the sound best; None where no lag has a positive correlation.
    lag_r, lag_clarity : float or None
        Its correlation, also in standard errors of a correlation by chance.
    lag_clear : bool
        Whether chance does not make such a peak.
    """

    story: str
    split: str
    rows: int | None = None
    targets: int | None = None
    audio_seconds: float | None = None
    first_seconds: float | None = None
    last_seconds: float | None = None
    repeats: int = 0
    ceiling: float | None = None
    ceiling_share: float | None = None
    nan_share: float | None = None
    constant_share: float | None = None
    censored_rows: int = 0
    mean: float | None = None
    sd: float | None = None
    lag_seconds: float | None = None
    lag_r: float | None = None
    lag_clarity: float | None = None
    lag_clear: bool = False


@dataclass(frozen=True, eq=False)
class LagScan:
    """How well the responses fit the sound, by lag.

    Attributes
    ----------
    lags : list of float
        Seconds by which the response is later than the sound.
    stories : mapping of str to list
        Pearson r of every story, by lag; None where too few rows have sound.
    pooled : list
        The same of all stories.
    """

    lags: Sequence[float]
    stories: Mapping[str, Sequence[float | None]]
    pooled: Sequence[float | None]


@dataclass(frozen=True, eq=False)
class SubjectReport:
    """What was found about one subject.

    Attributes
    ----------
    subject : str
        The subject's id.
    stories : tuple of StoryReport
        Training, validation and test stories.
    findings : tuple of Finding
        Every verdict, faults first.
    targets : int or None
        Number of targets.
    sampled_targets : int
        How many of them numbers were read of.
    ceiling, ceiling_share : float or None
        Median noise ceiling, and the share of targets above 0.4.
    ceiling_source : str or None
        "repeats" of the test story, "given" by the manifest, or "inter-subject": r with the mean of
        the other subjects who were checked, of the targets that are read of everybody.
    lag_seconds, lag_r, lag_clarity : float or None
        As of a story, of all stories together.
    lag_clear : bool
        Whether chance does not make such a peak.
    lag_targets : str
        In which targets the lag was looked for.
    lag_n_targets : int
        How many they are.
    fitting_tr : float or None
        The TR at which the responses follow the sound, where it is not the manifest's.
    lag_scan : LagScan or None
        The curves behind it.
    ceilings : array of shape (n_targets,), or None
        The noise ceiling of every target, where all of them were read; no part of the JSON form.
    """

    subject: str
    stories: tuple[StoryReport, ...]
    findings: tuple[Finding, ...]
    targets: int | None = None
    sampled_targets: int = 0
    ceiling: float | None = None
    ceiling_share: float | None = None
    ceiling_source: str | None = None
    lag_seconds: float | None = None
    lag_r: float | None = None
    lag_clarity: float | None = None
    lag_clear: bool = False
    lag_targets: str = ""
    lag_n_targets: int = 0
    fitting_tr: float | None = None
    lag_scan: LagScan | None = None
    ceilings: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of its findings."""
        return worst(one.verdict for one in self.findings)

    @property
    def rows(self) -> int:
        """Rows of all stories that can be read."""
        return sum(one.rows or 0 for one in self.stories)

    @property
    def audio_seconds(self) -> float:
        """Seconds of all recordings that can be read."""
        return sum(one.audio_seconds or 0.0 for one in self.stories)

    @property
    def repeats(self) -> int:
        """Presentations of the story that was presented most often; 0 without any stored apart."""
        return max((one.repeats for one in self.stories), default=0)

    def faults(self) -> list[Finding]:
        """Return the faults."""
        return [one for one in self.findings if one.verdict == "fault"]


@dataclass(frozen=True, eq=False)
class DataReport:
    """What :func:`braindash.check_data` found.

    Attributes
    ----------
    data : str
        The manifest.
    name, space, zscored : str
        As the manifest says.
    subjects : tuple of SubjectReport
        In the order of the manifest.
    """

    data: str
    name: str
    space: str
    zscored: str
    subjects: tuple[SubjectReport, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all subjects."""
        return worst(one.verdict for one in self.subjects)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values: what ``braindash data check --json`` prints."""
        return {
            "schema": SCHEMA,
            "data": self.data,
            "name": self.name,
            "space": self.space,
            "zscored": self.zscored,
            "verdict": self.verdict,
            "subjects": [_subject_dict(one) for one in self.subjects],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "DataReport":
        """Read a report back from :meth:`as_dict`."""
        subjects = tuple(_subject_from(one) for one in document["subjects"])
        named = {name: str(document[name]) for name in ("data", "name", "space", "zscored")}
        return cls(subjects=subjects, **named)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of some verdicts; "ok" of none."""
    return max(verdicts, key=VERDICTS.index, default="ok")


_COUNTED = ("verdict", "rows", "audio_seconds", "repeats")
_NOT_SHOWN = ("ceilings", "stories", "findings", "lag_scan")


def _subject_dict(one: SubjectReport) -> dict[str, Any]:
    plain = {f.name: getattr(one, f.name) for f in fields(one) if f.name not in _NOT_SHOWN}
    scan = one.lag_scan
    return (
        plain
        | {name: getattr(one, name) for name in _COUNTED}
        | {
            "stories": [_values(story) for story in one.stories],
            "findings": [_values(finding) for finding in one.findings],
            "lag_scan": None if scan is None else _values(scan),
        }
    )


def _values(one: Any) -> dict[str, Any]:
    return {f.name: getattr(one, f.name) for f in fields(one)}


def _subject_from(document: Mapping[str, Any]) -> SubjectReport:
    known = {f.name for f in fields(SubjectReport)} - set(_NOT_SHOWN)
    scan = document["lag_scan"]
    return SubjectReport(
        stories=tuple(StoryReport(**one) for one in document["stories"]),
        findings=tuple(Finding(**one) for one in document["findings"]),
        lag_scan=None if scan is None else LagScan(**scan),
        **{name: document[name] for name in known},
    )
