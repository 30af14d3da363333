"""Verdicts on the numbers of responses: missing, constant, standardised, repeated."""

import logging
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from braindash.checking.reading import Columns, StoryData, ValueSummary, read_ceiling
from braindash.checking.report import CEILING_SHOWN, Finding
from braindash.errors import InputError
from braindash.io.dataset.dataset import Dataset
from braindash.io.dataset.responses import load_ceiling

logger = logging.getLogger(__name__)

# A run counts as z-scored when the medians over targets are this near to 0 and 1.
_NEAR = 0.05
_FAR_MEAN, _FAR_SD = 0.5, 2.0
_MANY = 0.5
_SAME_SHARE = 0.05
_LEAST_REPEAT_R = 0.15
_RELIABLE_SHARE = 0.05


def findings(
    summaries: Mapping[str, ValueSummary], stories: Mapping[str, StoryData], zscored: str
) -> list[Finding]:
    """Judge the numbers of a subject's stories.

    Parameters
    ----------
    summaries : mapping of str to ValueSummary
        By story.
    stories : mapping of str to StoryData
        The same stories.
    zscored : {"none", "run"}
        What the manifest says.
    """
    found = [one for s, summary in summaries.items() for one in _missing(s, summary)]
    found += _without_data(summaries)
    found += _differing(summaries)
    if summaries and not found:
        nan = max(one.nan_share for one in summaries.values())
        constant = max(one.constant_share for one in summaries.values())
        message = f"at most {nan:.1%} of the targets lack numbers, {constant:.1%} are constant"
        found.append(Finding("values", "ok", message))
    repeated = {s for s, one in stories.items() if one.check.n_repeats}
    found += _standardisation(summaries, repeated, zscored)
    return found


def _missing(story: str, one: ValueSummary) -> Iterator[Finding]:
    if one.mean is None:
        yield Finding(
            "values",
            "fault",
            f"no target of {story!r} has numbers in all its rows and varies",
            "NaN marks targets without data, and censored rows; everything else must be numbers.",
            story,
        )
        return
    partly = one.nan_share - one.empty_share
    if partly > 0:
        yield Finding(
            "values",
            "warning",
            f"{partly:.1%} of the targets of {story!r} are NaN or infinite in rows where others "
            "have numbers: they get no score",
            "A censored row is NaN in every target; fill other gaps, or leave the targets out.",
            story,
        )


def _without_data(summaries: Mapping[str, ValueSummary]) -> Iterator[Finding]:
    """Tell that most targets have no data: once, since a mask is the same in every story."""
    worst = {s: one for s, one in summaries.items() if _unusable(one) > _MANY and one.mean}
    if worst:
        one = max(worst.values(), key=_unusable)
        yield Finding(
            "values",
            "warning",
            f"in {len(worst)} of {len(summaries)} stories most targets have no data: up to "
            f"{one.empty_share:.0%} are NaN and {one.constant_share:.0%} constant",
            "Check the mask: these targets get no score.",
        )


def _unusable(one: ValueSummary) -> float:
    return one.empty_share + one.constant_share


def _differing(summaries: Mapping[str, ValueSummary]) -> Iterator[Finding]:
    """Tell stories with another mask than the others."""
    shares = {s: _unusable(one) for s, one in summaries.items()}
    usual = float(np.median([*shares.values()])) if shares else 0.0
    for story, share in shares.items():
        if abs(share - usual) > _SAME_SHARE and share <= _MANY:
            yield Finding(
                "values",
                "warning",
                f"{share:.1%} of the targets of {story!r} have no data, {usual:.1%} in other "
                "stories: it may have another mask",
                "All stories need the same targets in the same order.",
                story,
            )


def _standardisation(
    summaries: Mapping[str, ValueSummary], repeated: set[str], zscored: str
) -> Iterator[Finding]:
    known = {
        story: (one.mean, one.sd)
        for story, one in summaries.items()
        if one.mean is not None and one.sd is not None
    }
    # The mean of repeats varies less than one run does.
    single = {story: pair for story, pair in known.items() if story not in repeated} or known
    if not single:
        return
    mean = float(np.median([pair[0] for pair in single.values()]))
    sd = float(np.median([pair[1] for pair in single.values()]))
    said = f"mean {mean:.3g}, standard deviation {sd:.3g} (medians over targets and stories)"
    off = [
        story
        for story, (m, s) in single.items()
        if m > _FAR_MEAN * s or not 1 / _FAR_SD <= s <= _FAR_SD
    ]
    near = mean < _NEAR and abs(sd - 1) < _NEAR
    if zscored == "run" and off:
        yield Finding(
            "standardisation",
            "warning",
            f'the manifest says zscored = "run", but {len(off)} of {len(single)} stories are not '
            f"z-scored ({', '.join(off[:3])}{', ...' if len(off) > 3 else ''}): {said}",
            'Set zscored = "none": braindash then z-scores every run itself.',
        )
    elif zscored == "run" and not near:
        yield Finding(
            "standardisation",
            "warning",
            f'the manifest says zscored = "run", but it is not exact: {said}',
            'If rows were cut after z-scoring, zscored = "none" puts it right.',
        )
    elif near and zscored == "none":
        yield Finding(
            "standardisation", "ok", f"{said}: z-scored already, and z-scored again without harm"
        )
    else:
        verb = "z-scored, as the manifest says" if zscored == "run" else "braindash z-scores them"
        yield Finding("standardisation", "ok", f"{said}: {verb}")


class Ceilings:
    """Noise ceilings of a subject, and whether repeats are alike.

    Parameters
    ----------
    dataset : Dataset
    subject : str
    stories : mapping of str to StoryData
    columns : Columns
        The targets that are read.

    Attributes
    ----------
    by_story : dict of str to (float, float)
        Median, and share above 0.4, of repeated stories.
    findings : list of Finding
    best : tuple of array, or None
        Ceilings and their targets: of the first repeated test story, else any, else the given ones.
    source : str or None
        "repeats" or "given".
    """

    def __init__(
        self, dataset: Dataset, subject: str, stories: Mapping[str, StoryData], columns: Columns
    ) -> None:
        self.by_story: dict[str, tuple[float | None, float | None]] = {}
        self.findings: list[Finding] = []
        self.best: tuple[NDArray[np.float64], NDArray[np.int64]] | None = None
        self.source: str | None = None
        self._n_targets = columns.n_targets
        for one in sorted(stories.values(), key=lambda it: it.check.split != "test"):
            if one.check.n_repeats:
                self._repeated(dataset, subject, one, columns)
        if self.best is None:
            self._given(dataset, subject)
        if self.best is not None and self.median is not None:
            share = 0.0 if self.share is None else self.share
            message = (
                f"median {self.median:.2f}, {share:.0%} of the targets above {CEILING_SHOWN} "
                f"({self.source}, {len(self.best[1])} targets)"
            )
            self.findings.append(Finding("ceiling", "ok", message))

    @property
    def median(self) -> float | None:
        """Median over targets."""
        return None if self.best is None else median_and_share(self.best[0])[0]

    @property
    def share(self) -> float | None:
        """Share of targets above 0.4."""
        return None if self.best is None else median_and_share(self.best[0])[1]

    @property
    def whole(self) -> NDArray[np.float32] | None:
        """Ceilings of all targets, where all were read."""
        if self.best is None or len(self.best[1]) < self._n_targets:
            return None
        return self.best[0].astype(np.float32)

    def _repeated(self, dataset: Dataset, subject: str, one: StoryData, columns: Columns) -> None:
        story = one.check.story
        try:
            ceiling, targets, runs = read_ceiling(
                dataset.responses(subject, story), one.check, columns
            )
        except InputError as error:
            self.findings.append(Finding("repeats", "fault", error.message, error.hint, story))
            return
        self.by_story[story] = median_and_share(ceiling)
        if self.best is None:
            self.best, self.source = (ceiling, targets), "repeats"
        self.findings += _repeat_findings(story, runs, ceiling)

    def _given(self, dataset: Dataset, subject: str) -> None:
        path = dataset.noise_ceiling_path(subject)
        if path is None:
            return
        try:
            found = load_ceiling(path, dataset.columns_path(subject)).astype(np.float64)
        except InputError as error:
            logger.info("%s: %s", path, error.message)  # a problem that the headers told already
            return
        if len(found) == self._n_targets:
            self.best, self.source = (found, np.arange(len(found))), "given"


def median_and_share(ceiling: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return the median of ceilings, and the share of targets above 0.4; None without any."""
    known = ceiling[np.isfinite(ceiling)]
    if not len(known):
        return None, None
    return round(float(np.median(known)), 4), round(float((known > CEILING_SHOWN).mean()), 4)


def _repeat_findings(
    story: str, runs: NDArray[np.float32], ceiling: NDArray[np.float64]
) -> Iterator[Finding]:
    """Correlate every repeat with the mean of the others, in the most reliable targets."""
    if len(runs) < 2 or runs.shape[1] < 3 or not np.isfinite(ceiling).any():
        return
    order = np.argsort(-np.nan_to_num(ceiling, nan=-1.0))
    best = order[: max(1, min(len(order), max(20, round(_RELIABLE_SHARE * len(order)))))]
    values = runs[:, :, best].astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    deviation = values.std(axis=1, keepdims=True)
    values = np.nan_to_num(values / np.where(deviation > 0, deviation, 1.0)).mean(axis=2)
    total = values.sum(axis=0)
    rs = np.array([_r(one, total - one) for one in values])
    usual = float(np.median(rs))
    for number, r in enumerate(rs, 1):
        if len(rs) > 2 and usual > _LEAST_REPEAT_R and r < 0.4 * usual:
            yield Finding(
                "repeats",
                "warning",
                f"repeat {number} of {story!r} is unlike the others: r = {r:.2f} with their mean, "
                f"{usual:.2f} for the others",
                "It may be another run, shifted or transposed; leave it out if it is.",
                story,
            )
    if usual <= 0:
        yield Finding(
            "repeats",
            "warning",
            f"the {len(rs)} repeats of {story!r} are not alike: r = {usual:.2f} of one with the "
            "others' mean, in their most reliable targets",
            "Check that they are presentations of one story with the same first row.",
            story,
        )
    else:
        message = f"{len(rs)} repeats of {story!r}, r = {usual:.2f} of one with the others' mean"
        yield Finding("repeats", "ok", message, story=story)


def _r(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    power = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / power if power > 0 else 0.0
