"""By how much responses are later than the sound they follow: the scan that shows wrong times.

The loudness of a story, compressed and low-passed to the TR, is sampled at every row's audio time
minus a lag, and correlated with a response course (the mean of targets that follow sound). Where
the manifest's times are right, the lag that fits best is that of the haemodynamic response in every
story, at its beginning as at its end.

Neighbouring rows are alike, so that a story holds fewer observations than rows: with
autocorrelations ``a`` of the sound and ``b`` of the response, ``n / (1 + 2 sum_k a_k b_k)`` of them
(Bartlett 1935). All that is said here is weighed by that number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from braindash.core.scores import unit_columns
from braindash.errors import InputError

GRID_HZ = 20
"""Values of a loudness course per second."""
LAGS = np.arange(-30.0, 40.01, 0.25)
"""Seconds by which responses may be later than the sound, wide enough to name a wrong onset."""
CLEAR = 8.0
"""Evidence from which a peak is none of chance: four standard errors of the correlation."""

# Loudness grows with the 0.3rd power of intensity, which is the 0.6th of amplitude (Stevens 1957).
_LOUDNESS_POWER = 0.6
_LEAST_ROWS = 8
_LEAST_SHARE = 0.4
_ACF_SECONDS = 30.0
# A trend of one degree more for every so many seconds, as is usual for fMRI runs.
_TREND_SECONDS = 150.0
_LARGEST_R = 0.9999
_COARSE_LAGS = np.arange(-10.0, 20.01, 0.5)
_LARGEST_STRETCH = 0.4
_LARGEST_DRIFT_SECONDS = 32.0
_NEAR_GUESS = 16
# Rows that are scanned for another TR: the longest stories say the most.
_STRETCHED_ROWS = 3000
# Of some thousand lags and stretches chance makes a higher peak than of one curve.
_CLEAR_IN_GRID = CLEAR + 4.0


@dataclass(frozen=True, eq=False)
class Heard:
    """One story: its sound, and a response course to it.

    Attributes
    ----------
    course : array of float64, shape (n_steps,)
        Of :func:`loudness_course`, ``GRID_HZ`` values a second from the sound's start on.
    times : array of float64, shape (n_rows,)
        Audio time of every row in seconds, as the manifest says, in even steps.
    response : array of float64, shape (n_rows,)
        The response course; NaN in rows without data.
    volume_zero : float
        Audio time of the scan's first volume in seconds: where a wrong TR makes no difference.
    """

    course: NDArray[np.float64]
    times: NDArray[np.float64]
    response: NDArray[np.float64]
    volume_zero: float = 0.0

    @property
    def tr(self) -> float:
        """Seconds between two rows."""
        return float(self.times[1] - self.times[0]) if len(self.times) > 1 else 1.0


@dataclass(frozen=True, eq=False)
class LagCurve:
    """How well a response course fits the sound, by lag.

    Attributes
    ----------
    lags : array of shape (n_lags,)
        Seconds by which the response is later than the sound.
    r : array of shape (n_lags,)
        Pearson r; NaN where too few rows have sound.
    effective_rows : array of shape (n_lags,)
        How many independent rows a correlation counts for.
    """

    lags: NDArray[np.float64]
    r: NDArray[np.float64]
    effective_rows: NDArray[np.float64]

    @property
    def evidence(self) -> NDArray[np.float64]:
        """Gain in log-likelihood over a response that follows nothing, (n_lags,).

        ``-n log(1 - r^2) / 2`` with the effective number of rows; 0 where r is not positive.
        """
        positive = np.clip(np.nan_to_num(self.r), 0.0, _LARGEST_R)
        return np.asarray(-0.5 * self.effective_rows * np.log1p(-(positive**2)))

    def peak(self, around: float | None = None, within: float = np.inf) -> "Peak":
        """Return the best lag, refined by a parabola; of a part of the lags where one is named."""
        evidence = self.evidence
        if around is not None:
            evidence = np.where(abs(self.lags - around) <= within + 1e-9, evidence, -1.0)
        place = int(np.argmax(evidence))
        r = self.r[place]
        if not np.isfinite(r) or evidence[place] <= 0:
            return Peak(float("nan"), float(r), 0.0)
        lag = self.lags[place] + _vertex(self.r, place) * _step(self.lags)
        return Peak(float(lag), float(r), float(evidence[place]))

    def at(self, lag: float) -> float:
        """Return the evidence at a lag."""
        return float(np.interp(lag, self.lags, self.evidence))


@dataclass(frozen=True)
class Peak:
    """Where a lag curve is highest.

    Attributes
    ----------
    lag : float
        In seconds; NaN where no lag has a positive correlation.
    r : float
        Its correlation.
    evidence : float
        Its evidence.
    """

    lag: float
    r: float
    evidence: float

    @property
    def is_clear(self) -> bool:
        """Whether chance does not make such a peak."""
        return self.evidence >= CLEAR

    @property
    def clarity(self) -> float:
        """Its height in standard errors of a correlation by chance."""
        return float(np.sqrt(2 * self.evidence))


@dataclass(frozen=True)
class Stretch:
    """By how much rows are really further apart than the manifest says.

    Attributes
    ----------
    ratio : float
        The TR that fits is ``(1 + ratio)`` times the manifest's.
    gain : float
        Log-likelihood that it gains over the manifest's TR.
    drift_seconds : float
        What the manifest's times miss at the end of the longest story, against its beginning.
    """

    ratio: float
    gain: float
    drift_seconds: float


def loudness_course(rms: ArrayLike, tr: float) -> NDArray[np.float64]:
    """Compute the loudness that rows of a TR can follow.

    Parameters
    ----------
    rms : array of shape (n_steps,)
        Root mean square of the sound, ``GRID_HZ`` values a second.
    tr : float
        Seconds between two rows.

    Returns
    -------
    array of float64, shape (n_steps,)
        ``rms ** 0.6``, averaged with a Hann window that is one TR wide at half its height.
    """
    compressed = np.asarray(rms, dtype=np.float64) ** _LOUDNESS_POWER
    half = max(1, round(tr * GRID_HZ))
    window = np.hanning(2 * half + 1)
    if len(compressed) < len(window):
        raise InputError(
            f"a sound of {len(compressed) / GRID_HZ:.1f} s is shorter than two TRs of {tr:g} s",
            hint="Check the recording and tr.",
        )
    weight = np.convolve(np.ones_like(compressed), window, mode="same")
    return np.asarray(np.convolve(compressed, window, mode="same") / weight)


def without_trend(responses: ArrayLike, tr: float) -> NDArray[np.float64]:
    """Z-score columns after taking out slow trends (Legendre polynomials).

    Parameters
    ----------
    responses : array of shape (n_rows, n_targets)
        NaN marks rows without data, and targets without.
    tr : float
        Seconds between two rows.

    Returns
    -------
    array of float64, shape (n_rows, n_targets)
        Mean 0 and variance 1; NaN in rows that no target has data for, 0 in targets that are
        constant or lack numbers in other rows.
    """
    values = np.asarray(responses, dtype=np.float64)
    finite = np.isfinite(values)
    rows = finite.any(axis=1)
    made = np.full(values.shape, np.nan)
    if rows.sum() < 2:
        return made
    whole = finite[rows].all(axis=0)
    degree = min(1 + int(len(values) * tr / _TREND_SECONDS), int(rows.sum()) // 4)
    places = np.linspace(-1, 1, len(values))[rows]
    basis, _ = np.linalg.qr(legendre.legvander(places, max(0, degree)))
    inside = np.where(whole, values[rows], 0.0)
    inside = inside - basis @ (basis.T @ inside)
    deviation = inside.std(axis=0)
    scale = np.abs(np.where(whole, values[rows], 0.0)).max(axis=0, initial=0.0)
    varies = whole & (deviation > 1e-6 * np.maximum(scale, 1e-30))
    made[rows] = np.where(varies, inside / np.where(varies, deviation, 1.0), 0.0)
    return made


def mean_course(responses: ArrayLike, tr: float, weights: ArrayLike) -> NDArray[np.float64]:
    """Average targets into one course.

    Parameters
    ----------
    responses : array of shape (n_rows, n_targets)
    tr : float
        Seconds between two rows.
    weights : array of shape (n_targets,)
        Not negative; how much each target counts.

    Returns
    -------
    array of float64, shape (n_rows,)
        Mean of :func:`without_trend`; NaN in rows without data.
    """
    return np.asarray(without_trend(responses, tr) @ np.asarray(weights, dtype=np.float64))


def lag_curve(
    story: Heard,
    lags: NDArray[np.float64] = LAGS,
    *,
    ratio: float = 0.0,
    course: NDArray[np.float64] | None = None,
    share: float | None = None,
) -> LagCurve:
    """Correlate a story's response course with its sound at every lag.

    Parameters
    ----------
    story : Heard
    lags : array of shape (n_lags,)
        In seconds, in even steps; row ``i`` is held against the sound at ``times[i] - lag``.
    ratio : float, default 0.0
        By which share the rows are taken to be further apart than the story's times say.
    course : array, optional
        Another sound than the story's own.
    share : float, optional
        Effective rows per row, where it is known; it does not depend on the lag.

    Returns
    -------
    LagCurve
        Rows that a lag moves out of the sound are left out; a lag that leaves fewer than two fifths
        of the rows, or fewer than eight, has no value.
    """
    sound = story.course if course is None else course
    times = story.volume_zero + (story.times - story.volume_zero) * (1 + ratio)
    heard = _sampled(sound, times[None, :] - np.asarray(lags)[:, None])
    r, n_rows = _masked_correlations(heard, story.response)
    r[n_rows < max(_LEAST_ROWS, _LEAST_SHARE * len(times))] = np.nan
    if share is None:
        share = _independent_share(sound, story.response, story.tr)
    return LagCurve(np.asarray(lags), r, np.where(np.isfinite(r), n_rows * share, 0.0))


def pooled(curves: Sequence[LagCurve]) -> LagCurve:
    """Average the curves of several stories (Fisher's z, by their effective rows)."""
    r = np.stack([one.r for one in curves])
    weights = np.stack([one.effective_rows for one in curves])
    total = weights.sum(axis=0)
    z = np.arctanh(np.clip(np.nan_to_num(r), -_LARGEST_R, _LARGEST_R))
    mean = np.full(len(total), np.nan)
    np.divide((z * weights).sum(axis=0), total, out=mean, where=total > 0)
    return LagCurve(curves[0].lags, np.tanh(mean), total)


def find_stretch(stories: Sequence[Heard], guesses: Sequence[float] = ()) -> Stretch:
    """Find the TR at which the stories fit their sounds best, each at a lag of its own.

    Parameters
    ----------
    stories : sequence of Heard
        At least one.
    guesses : sequence of float, optional
        Ratios that are looked at as well, with what is near; without, those that move the end of
        the longest story by up to 32 s.

    Returns
    -------
    Stretch
        ``ratio`` 0 where no other TR fits better.
    """
    stories = _longest(stories)
    longest = max(float(np.ptp(story.times)) for story in stories)
    reach = min(_LARGEST_STRETCH, _LARGEST_DRIFT_SECONDS / max(longest, 1.0))
    n_steps = max(1, round(reach * longest))
    step = reach / n_steps
    coarse = np.arange(-n_steps, n_steps + 1) * step
    for guess in guesses:
        coarse = np.append(coarse, guess + np.arange(-_NEAR_GUESS, _NEAR_GUESS + 1) * step)
    shares = [_independent_share(one.course, one.response, one.tr) for one in stories]

    def scan(ratio: float, lags: NDArray[np.float64]) -> list[LagCurve]:
        pairs = zip(stories, shares, strict=True)
        return [lag_curve(one, lags, ratio=ratio, share=share) for one, share in pairs]

    grid = [scan(ratio, _COARSE_LAGS[::2]) for ratio in coarse]
    highest = np.max([[one.evidence.max() for one in curves] for curves in grid], axis=0)
    clear = [int(place) for place in np.flatnonzero(highest >= _CLEAR_IN_GRID)]
    best = coarse[int(np.argmax([_evidence(curves, clear) for curves in grid]))]

    def evidence(ratio: float) -> float:
        return _evidence(scan(ratio, _COARSE_LAGS), clear)

    fine = best + np.linspace(-1, 1, 21) * step
    found = np.array([evidence(ratio) for ratio in fine])
    place = int(np.argmax(found))
    ratio = float(fine[place] + _vertex(found, place) * (fine[1] - fine[0]))
    gain = float(found[place] - evidence(0.0))
    return Stretch(ratio, gain, ratio * longest) if gain > 0 else Stretch(0.0, 0.0, 0.0)


def target_curves(
    story: Heard, responses: ArrayLike, lags: NDArray[np.float64] = _COARSE_LAGS
) -> NDArray[np.float32]:
    """Correlate every target with the sound at every lag, to choose those that follow it.

    Parameters
    ----------
    story : Heard
        Its own ``response`` is not used.
    responses : array of shape (n_rows, n_targets)
        Of :func:`without_trend`.
    lags : array of shape (n_lags,)
        In seconds.

    Returns
    -------
    array of shape (n_lags, n_targets), float32
        r, where all rows have sound; else a little nearer to 0.
    """
    heard = _sampled(story.course, story.times[None, :] - lags[:, None])
    values = np.asarray(responses, dtype=np.float64)
    inside = np.isfinite(heard) & np.isfinite(values).any(axis=1)
    n_rows = inside.sum(axis=1, keepdims=True)
    filled = np.where(inside, heard, 0.0)
    centred = np.where(
        inside, filled - filled.sum(axis=1, keepdims=True) / np.maximum(n_rows, 1), 0
    )
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    usable = (length > 0) & (n_rows >= _LEAST_ROWS)
    units = np.where(usable, centred / np.where(usable, length, 1.0), 0.0)
    targets = np.nan_to_num(unit_columns(np.nan_to_num(values)))
    return np.asarray(units @ targets, dtype=np.float32)


# ---- arithmetic ---------------------------------------------------------------------------------


def _sampled(course: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read a course at times; NaN outside it. Step k stands for the middle of its interval."""
    at = seconds * GRID_HZ - 0.5
    inside = (at >= -0.5) & (at <= len(course) - 0.5)
    held = np.clip(at, 0, len(course) - 1)
    before = np.minimum(held.astype(np.int64), len(course) - 2)
    found = course[before]
    found += (held - before) * (course[before + 1] - found)
    found[~inside] = np.nan
    return found


def _masked_correlations(
    heard: NDArray[np.float64], response: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Correlate each row of ``heard`` with the response over what both have."""
    inside = np.isfinite(heard) & np.isfinite(response)
    n_rows = inside.sum(axis=1)
    count = np.maximum(n_rows, 1)
    x, y = np.where(inside, heard, 0.0), np.where(inside, response, 0.0)
    x = np.where(inside, x - (x.sum(axis=1) / count)[:, None], 0.0)
    y = np.where(inside, y - (y.sum(axis=1) / count)[:, None], 0.0)
    power = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    made = np.full(len(heard), np.nan)
    np.divide((x * y).sum(axis=1), power, out=made, where=power > 1e-12)
    return made, n_rows


def _independent_share(
    course: NDArray[np.float64], response: NDArray[np.float64], tr: float
) -> float:
    """Return effective rows per row, after Bartlett (1935)."""
    rows = _sampled(course, np.arange(0.0, len(course) / GRID_HZ, tr))
    length = min(round(_ACF_SECONDS / tr), len(response) // 3, len(rows) // 3)
    if length < 1:
        return 1.0
    product = _autocorrelation(rows, length) * _autocorrelation(response, length)
    return float(1 / max(1.0, 1 + 2 * product.sum()))


def _autocorrelation(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the autocorrelation at 1 to ``length`` rows; NaN counts as the mean."""
    centred = np.nan_to_num(values - np.nanmean(values)) if np.isfinite(values).any() else values
    power = float(centred @ centred)
    if not power > 0:
        return np.zeros(length)
    return np.array([centred[k:] @ centred[:-k] for k in range(1, length + 1)]) / power


def _longest(stories: Sequence[Heard]) -> list[Heard]:
    """Take the longest stories, which drift the most, as many as are scanned."""
    ordered = sorted(stories, key=lambda one: -len(one.times))
    totals = np.cumsum([len(one.times) for one in ordered])
    return ordered[: max(1, int(np.searchsorted(totals, _STRETCHED_ROWS)))]


def _evidence(curves: Sequence[LagCurve], clear: Sequence[int]) -> float:
    """Add up what clear stories say, each at its own lag; without any, what all say at one lag."""
    if clear:
        return sum(float(curves[place].evidence.max()) for place in clear)
    return float(pooled(curves).evidence.max())


def _vertex(values: NDArray[np.float64], place: int) -> float:
    """Return where the parabola through a place and its neighbours is highest, in steps."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, here, after = values[place - 1 : place + 2]
    bend = before - 2 * here + after
    if not np.isfinite(bend) or bend >= 0:
        return 0.0
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))


def _step(lags: NDArray[np.float64]) -> float:
    return float(lags[1] - lags[0]) if len(lags) > 1 else 0.0
