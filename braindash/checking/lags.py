"""What the lag scan says about the onset, the TR, and which sound a story's responses belong to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from braindash.checking.courses import Choice, choices, halves_course, is_found
from braindash.checking.reading import Columns, StoryData
from braindash.checking.report import Finding, LagScan
from braindash.core.lag import (
    CLEAR,
    Heard,
    LagCurve,
    Peak,
    Stretch,
    find_stretch,
    lag_curve,
    loudness_course,
    pooled,
    without_trend,
)

USUAL_LAGS = (2.0, 8.0)
"""Seconds by which BOLD in the auditory cortex is usually later than the sound."""
POSSIBLE_LAGS = (-0.75, 12.0)
"""Beyond these the onset is taken to be wrong."""

_COARSE = np.arange(-10.0, 20.01, 0.5)
# Log-likelihood: what another TR, or another sound, has to gain.
_TR_GAIN = 10.0
# A TR that is a little off is one of few that are looked at, so that less is enough.
_SMALL_DRIFT_SECONDS, _SMALL_TR_GAIN = 4.0, 6.0
_SOUND_GAIN = 6.0
_LEAST_P = 0.01
_LIKE_CURVE_SECONDS = 0.3


@dataclass(frozen=True, eq=False)
class LagResult:
    """What the scan of a subject gave.

    Attributes
    ----------
    peaks : dict of str to Peak
        Of every story.
    overall : Peak
        Of all stories together.
    targets : str
        In which targets.
    n_targets : int
        How many they are.
    findings : tuple of Finding
    scan : LagScan
        The curves.
    fitting_tr : float or None
        The TR that fits, where it is not the manifest's.
    heard : dict of str to Heard
        The response courses, for a comparison between subjects.
    """

    peaks: dict[str, Peak]
    overall: Peak
    targets: str
    n_targets: int
    findings: tuple[Finding, ...]
    scan: LagScan
    fitting_tr: float | None
    heard: dict[str, Heard]


def scan_lags(
    stories: Mapping[str, StoryData],
    columns: Columns,
    ceiling: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
) -> LagResult:
    """Scan the lags of a subject's stories.

    Parameters
    ----------
    stories : mapping of str to StoryData
        At least one.
    columns : Columns
        Which targets their values are of.
    ceiling : tuple of array, optional
        Noise ceilings, and the targets that they are of.
    """
    stories = {story: one.near_sound() for story, one in stories.items()}
    choice, strays = _choose(stories, columns, ceiling)
    curves = choice.curves()
    overall = pooled([*curves.values()]).peak()
    found = [*_stray_findings(strays, curves)]
    own = {story: heard for story, heard in choice.heard.items() if story not in strays}
    fitting_tr = None
    if own:
        judged = _Judged(stories, own, choice.name)
        found += judged.findings()
        fitting_tr = judged.fitting_tr
        overall = judged.overall if judged.overall.evidence > 0 else overall
    if not strays and not is_found(curves) and fitting_tr is None:
        found += _transposed(stories, columns)
    return LagResult(
        {story: curve.peak() for story, curve in curves.items()},
        overall,
        choice.name,
        choice.n_targets,
        tuple(found),
        _scan(curves),
        fitting_tr,
        choice.heard,
    )


def _choose(
    stories: Mapping[str, StoryData],
    columns: Columns,
    ceiling: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
) -> tuple[Choice, dict[str, tuple[str, Peak]]]:
    """Take the first targets that follow some sound: their own, at some TR, or another story's."""
    tried = []
    for choice in choices(stories, columns, ceiling):
        curves = choice.curves()
        if is_found(curves):
            return choice, _strays(choice, curves)
        tried.append((choice, curves))
    for choice, curves in tried:
        strays = _strays(choice, curves)
        if strays:
            return choice, strays
        stretch = find_stretch([*choice.heard.values()], _by_durations(stories))
        if stretch.gain >= _TR_GAIN:
            return choice, {}
    return tried[0][0], {}


# ---- sounds of other stories --------------------------------------------------------------------


def _strays(choice: Choice, curves: Mapping[str, LagCurve]) -> dict[str, tuple[str, Peak]]:
    """Find stories whose responses follow the sound of another story: which, and how well."""
    common = _common_lag(curves)
    found = {}
    needed = CLEAR + np.log(max(1, len(curves)))
    for story, curve in curves.items():
        near = curve.peak() if common is None else curve.peak(common, 6.0)
        if near.is_clear:
            continue
        fits = {
            name: lag_curve(choice.other(story, heard.course), _COARSE).peak()
            for name, heard in choice.heard.items()
            if name != story
        }
        if not fits:
            continue
        best = max(fits, key=lambda name: fits[name].evidence)
        own = max(near.evidence, curve.peak().evidence)
        if fits[best].evidence >= max(needed, own + _SOUND_GAIN):
            found[story] = (best, fits[best])
    return found


def _stray_findings(
    strays: Mapping[str, tuple[str, Peak]], curves: Mapping[str, LagCurve]
) -> Iterator[Finding]:
    for story, (other, peak) in strays.items():
        both = strays.get(other, ("",))[0] == story
        own = curves[story].peak()
        said = f"{story!r} and {other!r} are swapped" if both else f"it is that of {other!r}"
        yield Finding(
            "stories",
            "fault",
            f"the responses to {story!r} follow the sound of {other!r} (r = {peak.r:.2f} at "
            f"{peak.lag:.1f} s), not their own (r = {own.r:.2f}): {said}",
            f"Exchange the response files of {story!r} and {other!r}, or their recordings; in a "
            "manifest [[runs]] names response and audio of a story."
            if both
            else f"Check which run {story!r} is: name its response file or its audio in [[runs]].",
            story,
        )


# ---- the story's own sound ----------------------------------------------------------------------


class _Judged:
    """Stories beside their own sounds, and what is wrong with their times.

    Parameters
    ----------
    stories : mapping of str to StoryData
        All stories.
    heard : mapping of str to Heard
        Those that belong to their sounds, at least one.
    targets : str
        In which targets.
    """

    def __init__(
        self, stories: Mapping[str, StoryData], heard: Mapping[str, Heard], targets: str
    ) -> None:
        self._stories, self._heard, self._targets = stories, dict(heard), targets
        stretches = self._stretches()
        self._shared = stretches.pop("", None)
        self._own_stretches = stretches
        ratio = self._shared.ratio if self._shared else 0.0
        self._curves = {
            story: lag_curve(one, ratio=stretches[story].ratio if story in stretches else ratio)
            for story, one in heard.items()
        }
        self.overall = pooled([*self._curves.values()]).peak()
        self._common = _common_lag(self._curves)

    @property
    def fitting_tr(self) -> float | None:
        """The TR that fits, where all stories want another than the manifest's."""
        if self._shared is None:
            return None
        return next(iter(self._heard.values())).tr * (1 + self._shared.ratio)

    def findings(self) -> Iterator[Finding]:
        """Say what is right and what is wrong."""
        yield from self._about_tr()
        if self._common is None and not self.overall.is_clear:
            yield self._unclear()
            return
        common = self.overall.lag if self._common is None else self._common
        yield self._about_lag(common)
        shifted = list(self._shifted(common))
        yield from shifted
        yield from self._silent(common, {str(one.story) for one in shifted})
        if not shifted and len(self._curves) > 1:
            yield Finding("onset", "ok", self._agreement(common))

    # -- TR --

    def _stretches(self) -> dict[str, Stretch]:
        """Find other TRs: of all stories together under "", else of single ones."""
        shared = find_stretch([*self._heard.values()], _by_durations(self._stories))
        if _matters(shared, self._tr):
            wanted = sum(self._prefers(one, shared.ratio) for one in self._heard.values())
            if 2 * wanted >= len(self._heard):
                return {"": shared}
        found = {}
        for story, one in self._heard.items():
            if len(self._heard) > 1 and (_drifts(one) or not lag_curve(one).peak().is_clear):
                stretch = find_stretch([one])
                if _matters(stretch, one.tr):
                    found[story] = stretch
        return found

    @property
    def _tr(self) -> float:
        return next(iter(self._heard.values())).tr

    @staticmethod
    def _prefers(one: Heard, ratio: float) -> bool:
        stretched = lag_curve(one, _COARSE, ratio=ratio).evidence.max()
        return bool(stretched > lag_curve(one, _COARSE).evidence.max())

    def _about_tr(self) -> Iterator[Finding]:
        every = {"": self._shared} if self._shared else self._own_stretches
        for story, stretch in every.items():
            one = self._heard[story] if story else self._longest()
            first, last = _third_lags(one)
            where = f"of {story!r} " if story else ""
            yield Finding(
                "tr",
                "fault",
                f"the TR {where}is wrong: {one.tr:.6g} s in the manifest, {_fitting(one, stretch)} "
                f"s by the responses. With {one.tr:.6g} s the times are "
                f"{abs(stretch.drift_seconds):.1f} s off at the end of a story (lag "
                f"{_seconds(first)} in its first third, {_seconds(last)} in its last)",
                f"Set tr = {_fitting(one, stretch)} in {'[[runs]]' if story else '[timing]'}, "
                "after a look at the scanner's protocol or the sidecar's RepetitionTime.",
                story or None,
            )
        if not every and self.overall.is_clear:
            yield Finding("tr", "ok", f"no other TR fits better than {self._tr:.6g} s")

    def _longest(self) -> Heard:
        return max(self._heard.values(), key=lambda one: len(one.times))

    # -- onset --

    def _unclear(self) -> Finding:
        peak = self.overall
        return Finding(
            "lag",
            "warning",
            f"the responses do not follow the sound clearly in {self._targets}: the best lag is "
            f"{_seconds(peak.lag)} (r = {peak.r:.2f}, {peak.clarity:.1f} standard errors; 4 are "
            "clear)",
            "It may be that no target listens, or that times, stories or arrays are mixed up "
            "beyond what the scan tries: -30 to 40 s, and any other story's sound.",
        )

    def _about_lag(self, lag: float) -> Finding:
        peak = self.overall
        how = f"are {lag:.1f} s later than" if lag >= 0 else f"come {-lag:.1f} s before"
        said = (
            f"the responses {how} the sound they follow (r = {peak.r:.2f}, "
            f"{peak.clarity:.0f} standard errors) in {self._targets}"
        )
        if USUAL_LAGS[0] <= lag <= USUAL_LAGS[1]:
            return Finding("lag", "ok", said)
        off = lag - 5.0
        hint = (
            f"Usual are 4 to 6 s. With audio_onset larger by {off:.1f} s (first_volume smaller by "
            f"{off / self._tr:.1f}) it would be 5 s; where the audio begins is in the events, in "
            "the trigger file or in the protocol."
            if off > 0
            else f"Usual are 4 to 6 s. With audio_onset smaller by {-off:.1f} s (first_volume "
            f"larger by {-off / self._tr:.1f}) it would be 5 s; where the audio begins is in the "
            "events, in the trigger file or in the protocol."
        )
        if POSSIBLE_LAGS[0] <= lag <= POSSIBLE_LAGS[1]:
            said = f"{said}, which is unusual: is the onset shifted?"
            return Finding("lag", "warning", said, hint)
        return Finding("onset", "fault", f"the onset of the sound is shifted: {said}", hint)

    def _shifted(self, common: float) -> Iterator[Finding]:
        for story, curve in self._curves.items():
            peak = curve.peak()
            shift = peak.lag - common
            tr = self._heard[story].tr
            if not peak.is_clear or abs(shift) < max(0.45 * tr, _LIKE_CURVE_SECONDS):
                continue
            gain = peak.evidence - curve.at(common)
            if chdtrc(1, 2 * gain) * len(self._curves) > _LEAST_P:
                continue
            change = "larger" if shift > 0 else "smaller"
            yield Finding(
                "onset",
                "fault",
                f"the onset of {story!r} is shifted by {shift:+.1f} s ({shift / tr:+.1f} TR): its "
                f"lag is {peak.lag:.1f} s, that of the other stories {common:.1f} s",
                f"Set audio_onset of this story {abs(shift):.1f} s {change} in [[runs]], or "
                "first_volume, where volumes were cut.",
                story,
            )

    def _silent(self, common: float, shifted: set[str]) -> Iterator[Finding]:
        """Tell stories whose responses follow nothing, where those of the others do."""
        near = {s: curve.peak(common, 3.0) for s, curve in self._curves.items()}
        rs = {story: float(np.nan_to_num(peak.r)) for story, peak in near.items()}
        for story, curve in self._curves.items():
            others = [r for name, r in rs.items() if name != story]
            if story in shifted or near[story].is_clear or len(others) < 2:
                continue
            usual = float(np.median(others))
            rows = float(curve.effective_rows.max())
            expected = -0.5 * rows * np.log1p(-(min(usual, 0.99) ** 2))
            if rs[story] < 0.4 * usual and expected >= CLEAR:
                yield Finding(
                    "stories",
                    "warning",
                    f"the responses to {story!r} do not follow its sound (r = {rs[story]:.2f} near "
                    f"{common:.1f} s, {usual:.2f} in the others), nor that of another story here",
                    "Check which run and which recording these are; or leave the story out.",
                    story,
                )

    def _agreement(self, common: float) -> str:
        clear = [curve.peak() for curve in self._curves.values() if curve.peak().is_clear]
        if len(clear) < 2:
            return f"no story has clearly another lag than {common:.1f} s"
        lags = [peak.lag for peak in clear]
        return (
            f"all stories agree: {len(clear)} of {len(self._curves)} have a clear lag, from "
            f"{min(lags):.1f} to {max(lags):.1f} s"
        )


def _by_durations(stories: Mapping[str, StoryData]) -> list[float]:
    """Guess another TR from rows and audio that end at other times; none where they do not."""
    ratios = [
        (one.check.audio_seconds - one.volume_zero) / (one.times[-1] - one.volume_zero) - 1
        for one in stories.values()
        if one.times[-1] > one.volume_zero
    ]
    guess = float(np.median(ratios)) if ratios else 0.0
    return [guess] if abs(guess) > 0.02 and guess > -0.9 else []


def _matters(stretch: Stretch, tr: float) -> bool:
    drift = abs(stretch.drift_seconds)
    needed = _SMALL_TR_GAIN if drift <= _SMALL_DRIFT_SECONDS else _TR_GAIN
    return stretch.gain >= needed and drift >= max(0.2 * tr, 0.25)


def _fitting(one: Heard, stretch: Stretch) -> str:
    """Write the TR that fits, with as many digits as it is known to."""
    known = 0.25 / max(1.0, float(np.ptp(one.times))) * one.tr  # a quarter of a second at the end
    digits = int(np.clip(np.ceil(-np.log10(known)), 1, 5))
    return f"{one.tr * (1 + stretch.ratio):.{digits}f}".rstrip("0").rstrip(".")


def _thirds(one: Heard) -> list[Heard]:
    third = len(one.times) // 3
    parts = slice(None, third), slice(len(one.times) - third, None)
    return [replace(one, times=one.times[part], response=one.response[part]) for part in parts]


def _third_lags(one: Heard) -> tuple[float, float]:
    """Return the lags of the first and the last third of a story."""
    first, last = (lag_curve(part, _COARSE).peak().lag for part in _thirds(one))
    return first, last


def _drifts(one: Heard) -> bool:
    """Say whether the thirds of a story have lags of their own."""
    if len(one.times) < 24:
        return False
    curves = [lag_curve(part, _COARSE) for part in _thirds(one)]
    apart = sum(curve.peak().evidence for curve in curves)
    together = float(np.sum([curve.evidence for curve in curves], axis=0).max())
    return apart - together >= _SOUND_GAIN / 2


def _common_lag(curves: Mapping[str, LagCurve]) -> float | None:
    """Return the lag of most stories, by evidence; None where no story has a clear one.

    It is the lag of one story that the others agree with best, then the mean of those that do: a
    compromise between two lags is none.
    """
    clear = {story: curve.peak() for story, curve in curves.items() if curve.peak().is_clear}
    if not clear:
        return None
    best = max(
        (peak.lag for peak in clear.values()),
        key=lambda lag: sum(curve.at(lag) for curve in curves.values()),
    )
    near = [peak for peak in clear.values() if abs(peak.lag - best) <= 1.0]
    return float(np.average([p.lag for p in near], weights=[p.evidence for p in near]))


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if np.isfinite(value) else "none"


# ---- transposed arrays --------------------------------------------------------------------------


def _transposed(stories: Mapping[str, StoryData], columns: Columns) -> Iterator[Finding]:
    """Find arrays that follow the sound when their axes are exchanged."""
    if not columns.is_whole:
        return
    for story, one in stories.items():
        n_rows, n_targets = one.check.n_rows, one.check.n_targets
        seconds = n_targets * one.tr
        if n_targets < 2 * 8 or abs(seconds - one.check.audio_seconds) > 0.3 * seconds:
            continue
        turned = without_trend(one.values.T, one.tr)
        times = one.times[0] + one.tr * np.arange(n_targets)
        sound = loudness_course(one.rms, one.tr)
        peak = lag_curve(halves_course(times, turned, one.volume_zero, sound, n_rows)).peak()
        if peak.evidence >= CLEAR + np.log(len(stories)):
            yield Finding(
                "orientation",
                "fault",
                f"the array of {story!r} ({n_rows}, {n_targets}) is transposed: its columns follow "
                f"the sound (r = {peak.r:.2f} at {peak.lag:.1f} s), its rows do not",
                "Store one row per TR and one column per target: (n_rows, n_targets).",
                story,
            )


def _scan(curves: Mapping[str, LagCurve]) -> LagScan:
    def shown(curve: LagCurve) -> list[float | None]:
        return [round(float(r), 4) if np.isfinite(r) else None for r in curve.r]

    every = [*curves.values()]
    return LagScan(
        [float(lag) for lag in every[0].lags],
        {story: shown(curve) for story, curve in curves.items()},
        shown(pooled(every)),
    )
