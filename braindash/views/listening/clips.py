"""Predictions for sounds that nobody was measured with, to be played; two, and their contrast."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from braindash.core.scores import region_means
from braindash.encoding.result import EncodingResult
from braindash.encoding.sounds.prediction import SoundPrediction
from braindash.errors import InputError
from braindash.io.regions.masks import WHOLE
from braindash.viewer.colours import PALETTE, region_colour, region_title
from braindash.views.listening.courses import Course, region_courses
from braindash.views.listening.played import outlined_regions, score_map, target_course
from braindash.views.listening.programme import Programme, Timing, Track, usual_delays

CONTRAST = "A minus B"

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Clip:
    """What one result predicts for one sound.

    Attributes
    ----------
    result : EncodingResult
        Looked at in a region set.
    prediction : SoundPrediction
        By the weights of it.
    name : str
        What it is called: the sound, or the model.
    """

    result: EncodingResult
    prediction: SoundPrediction
    name: str

    @property
    def layer(self) -> int:
        """The layer whose weights were kept."""
        return int(self.prediction.about["layer"])

    @property
    def identity(self) -> str:
        """Names the values."""
        about = self.prediction.about
        sound = about["sound"]
        return f"{self.result.identity} {about['weights']} {sorted(sound.items())}"

    def read(self, rows: slice) -> Floats:
        """Read rows; NaN behind the last one, and for targets without a score."""
        wanted = range(rows.start, rows.stop)
        found = np.array(self.prediction.values[rows], dtype=np.float32)
        missing = np.full((len(wanted) - len(found), found.shape[1]), np.nan, np.float32)
        values = np.concatenate([found, missing])
        values[:, ~self.result.valid] = np.nan
        return values

    def course(self, n_rows: int, target: int) -> Floats:
        """Return the course of one target, (n_rows,); NaN behind the last row."""
        values = self.prediction.values[:, target].astype(np.float64)
        return np.concatenate([values, np.full(n_rows - len(values), np.nan)])


def require_together(clips: Sequence[Clip]) -> None:
    """Refuse two predictions that are not of the same targets, rows or units.

    Raises
    ------
    InputError
        As of :meth:`braindash.encoding.sounds.prediction.SoundPrediction.minus`.
    """
    if not clips:
        raise InputError("there is no prediction to be shown", hint="Bring a sound.")
    for other in clips[1:]:
        clips[0].prediction.minus(other.prediction)


def clip_programme(clips: Sequence[Clip], name: str, region: str) -> Programme:
    """Make what a player shows of predictions for sounds.

    Parameters
    ----------
    clips : sequence of Clip
        One; or two, whose difference is shown too.
    name : str
        The first sound.
    region : str
        Whose course is shown at first.

    Raises
    ------
    InputError
        When the two cannot be subtracted.
    """
    require_together(clips)
    first, every = clips[0], list(clips)
    prediction, result = first.prediction, first.result
    n_rows = max(len(one.prediction.values) for one in clips)
    kinds = {"first": "Predicted"}
    if len(clips) > 1:
        kinds = {"first": "A", "others": "B", "difference": CONTRAST}
    return Programme(
        name=name,
        what="sound",
        identity=" + ".join(f"{one.identity} {one.name}" for one in clips),
        tracks=tuple(Track(one.name, one.layer, one.identity, one.read) for one in clips),
        is_measured=False,
        kinds=kinds,
        timing=Timing(n_rows, float(prediction.times[0]), prediction.tr),
        base=score_map(result, first.layer),
        base_identity=f"sound {result.identity} {first.layer}",
        make_courses=lambda: _region_rows(every, n_rows),
        make_target=lambda target: _target_row(every, n_rows, target),
        start=list(result.members_of_regions).index(region),
        simulated=any(one.prediction.simulated for one in clips),
        source=" ".join(clip_lines(every)[:2]),
        delays=usual_delays(prediction.about["delays"], prediction.tr),
        outlined=outlined_regions(result, region),
    )


def clip_lines(clips: Sequence[Clip]) -> list[str]:
    """Say what is shown, a sentence each: that it is a prediction, for whom, and fitted to what."""
    first = clips[0].prediction
    return (first.minus(clips[1].prediction) if len(clips) > 1 else first).lines()


def heard_line(prediction: SoundPrediction) -> str:
    """Say which rows have heard all that they would have of a story."""
    whole = prediction.times[prediction.complete]
    delays = prediction.about["delays"]
    reach = f"the {min(delays)} to {max(delays)} rows before it ({prediction.tr:g} s each)"
    if not len(whole):
        return (
            f"A row answers {reach}; the sound is shorter than that, so what is missing of each "
            "row counts as the training's mean."
        )
    return (
        f"A row answers {reach}. Rows from {whole[0]:g} to {whole[-1]:g} s lie within the sound "
        "with all of these; before and behind, what is missing counts as the training's mean."
    )


def _region_rows(clips: list[Clip], n_rows: int) -> list[Course]:
    result = clips[0].result
    found = [
        region_courses(one.read, n_rows, one.result.members_of_regions, one.result.valid)
        for one in clips
    ]
    scores = region_means(result.r[clips[0].layer], result.members_of_regions)
    counts = dict(zip(scores["region"], scores["n_valid"].tolist(), strict=True))
    r = dict(zip(scores["region"], scores["value"].tolist(), strict=True))
    return [
        Course(
            region_title(name),
            region_colour(name) if name != WHOLE else PALETTE[0],
            None,
            np.stack([one[name] for one in found]),
            [
                f"mean of {counts[name]} targets; on the measured test story their own r have the "
                f"mean {r[name]:.2f}"
            ],
        )
        for name in found[0]
    ]


def _target_row(clips: list[Clip], n_rows: int, target: int) -> Course:
    result = clips[0].result
    values = np.stack([one.course(n_rows, target) for one in clips])
    r = float(result.r[clips[0].layer, target])
    told = f"on the measured test story its r was {r:.2f}"
    return target_course(result, target, None, values, [told])
