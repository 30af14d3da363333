"""Which rows of which stories are trained on together, and which frames predict them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError
from braindash.specs import TuningSettings
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.geometry import Geometry

# Same tolerance as the rule that picks the rows covered by audio.
_TIME_TOLERANCE = 1e-6


@dataclass(frozen=True, eq=False)
class TuningStory:
    """A story as the trainer takes it.

    Attributes
    ----------
    name : str
        For reports; several subjects who heard the same audio at the same times share a story.
    audio : callable
        Reads the recording when it is needed: float32 (n_samples,), mono, 16 kHz.
    times : float64 array of shape (n_rows,)
        Seconds from the start of the audio, one TR apart.
    responses : mapping of str to float32 array of shape (n_rows, n_targets)
        By subject: the targets that are tuned on and no others, standardised, finite.
    censored : mapping of str to bool array of shape (n_rows,)
        By subject, where there are any: rows without data, whose responses are 0. Segments that
        hold one of them teach and score nothing of this subject.
    """

    name: str
    audio: Callable[[], NDArray[np.float32]] = field(repr=False)
    times: NDArray[np.float64] = field(repr=False)
    responses: Mapping[str, NDArray[np.float32]] = field(repr=False)
    censored: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def has(self, subject: str, first: int, n_rows: int) -> bool:
        """Say whether a subject has responses to all rows of a segment."""
        if subject not in self.responses:
            return False
        lacking = self.censored.get(subject)
        return lacking is None or not lacking[first : first + n_rows].any()


@dataclass(frozen=True)
class Segment:
    """Consecutive rows of one story whose audio is encoded at once.

    Attributes
    ----------
    story : int
        Index among the stories.
    first : int
        First row that is predicted.
    start : float
        Where its audio begins, in seconds.
    """

    story: int
    first: int
    start: float


@dataclass(frozen=True)
class SegmentShape:
    """What all segments of a run have in common.

    Attributes
    ----------
    n_rows : int
        Rows that a segment predicts.
    n_samples : int
        Length of its audio at 16 kHz.
    n_frames : int
        Frames whose whole audio lies in it.
    spans : tuple of (int, int)
        Frames behind each row, begin and end: its own window.
    n_attended : int
        Frames that attend to each other.
    """

    n_rows: int
    n_samples: int
    n_frames: int
    spans: tuple[tuple[int, int], ...]
    n_attended: int

    @property
    def pooling(self) -> NDArray[np.float32]:
        """Weights that average the frames of each row, (n_rows, n_frames)."""
        weights = np.zeros((self.n_rows, self.n_frames), np.float32)
        for row, (begin, end) in enumerate(self.spans):
            weights[row, begin:end] = 1 / (end - begin)
        return weights


def segment_shape(settings: TuningSettings, tr: float, geometry: Geometry) -> SegmentShape:
    """Lay the rows' windows over the frames of a segment.

    A row is predicted from frames that have heard nothing behind it: the frames of its window are
    those that a window by itself would have.

    Parameters
    ----------
    settings : TuningSettings
    tr : float
        Seconds between two rows.
    geometry : Geometry
        How the model's frames lie in the audio.

    Returns
    -------
    SegmentShape

    Raises
    ------
    InputError
        When a TR holds no frame, or a padded model cannot hold the audio that attends to itself.
    """
    n_rows = settings.rows_per_segment

    def samples(trs: int) -> int:
        return round(trs * tr * SAMPLE_RATE_HZ)

    spans = tuple(
        (round(samples(row) / geometry.hop), geometry.n_frames(samples(row + settings.window_trs)))
        for row in range(n_rows)
    )
    n_frames = spans[-1][1]
    attended = settings.segment_trs if settings.attention_trs is None else settings.attention_trs
    n_attended = round(samples(attended) / geometry.hop)
    if samples(1) < geometry.hop or spans[0][1] < 1 or n_attended < 1:
        raise InputError(
            f"a window of {settings.window_trs} TRs of {tr:g} s holds no frame of the model",
            hint="Check tr in the manifest.",
        )
    if geometry.padded is not None and n_attended * geometry.hop > geometry.padded:
        raise InputError(
            f"the model hears {geometry.padded / SAMPLE_RATE_HZ:g} s at once, but "
            f"{attended * tr:g} s are to attend to each other",
            hint="Give a smaller attention_trs.",
        )
    return SegmentShape(
        n_rows, samples(settings.segment_trs), n_frames, spans, min(n_attended, n_frames)
    )


def usable_rows(story: TuningStory, settings: TuningSettings) -> range:
    """Find the rows whose whole window lies in the audio, which begins at 0 s."""
    tr = spacing(story.times)
    first = int(np.searchsorted(story.times, settings.window_trs * tr - _TIME_TOLERANCE))
    return range(first, len(story.times))


def spacing(times: NDArray[np.float64]) -> float:
    """Return the seconds between two rows."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1.0


def check_stories(stories: Sequence[TuningStory], settings: TuningSettings) -> float:
    """Refuse stories that cannot be trained on together; give their TR in seconds.

    Raises
    ------
    InputError
        For none at all, unequal TRs, rows and responses that differ in number, values that are
        not finite, and stories shorter than one segment.
    """
    if not stories:
        raise InputError("there is no story to tune on", hint="Name training stories.")
    tr = spacing(stories[0].times)
    for story in stories:
        if abs(spacing(story.times) - tr) > _TIME_TOLERANCE:
            raise InputError(
                f"the story {story.name!r} has a TR of {spacing(story.times):g} s, "
                f"{stories[0].name!r} of {tr:g} s",
                hint="Tune on stories of one TR.",
            )
        n_rows = len(usable_rows(story, settings))
        if n_rows < settings.rows_per_segment:
            raise InputError(
                f"the story {story.name!r} has {n_rows} rows with {settings.window_trs} TRs of "
                f"audio before them; a segment needs {settings.rows_per_segment}",
                hint="Leave the story out, or give shorter segments (segment_trs).",
            )
        for subject, values in story.responses.items():
            if values.ndim != 2 or len(values) != len(story.times) or not values.shape[1]:
                raise InputError(
                    f"the responses of {subject!r} to {story.name!r} have the shape "
                    f"{values.shape} for {len(story.times)} rows",
                    hint="Give (n_rows, n_targets) with at least one target.",
                )
            if not np.isfinite(values).all():
                raise InputError(
                    f"the responses of {subject!r} to {story.name!r} are not all finite",
                    hint="Leave targets with missing values out.",
                )
    return tr


def epoch_batches(
    stories: Sequence[TuningStory], settings: TuningSettings, epoch: int
) -> list[list[Segment]]:
    """Draw the batches of one epoch; they depend on seed and epoch alone.

    Every row is used once, but for those that fill no whole segment: where segments begin is drawn
    anew in each epoch, so that these are others each time.

    Parameters
    ----------
    stories : sequence of TuningStory
    settings : TuningSettings
    epoch : int
        From 1.

    Returns
    -------
    list of list of Segment
        The number of batches is the same in all epochs.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    segments: list[Segment] = []
    for index in range(len(stories)):
        slack = len(usable_rows(stories[index], settings)) % settings.rows_per_segment
        segments += story_segments(stories, index, settings, int(rng.integers(slack + 1)))
    order = rng.permutation(len(segments))
    size = max(1, settings.batch_rows // settings.rows_per_segment)
    return [
        [segments[place] for place in order[start : start + size]]
        for start in range(0, len(order), size)
    ]


def story_segments(
    stories: Sequence[TuningStory], index: int, settings: TuningSettings, offset: int = 0
) -> list[Segment]:
    """Cut one story into segments without overlap, from its usable row ``offset`` on."""
    story, n_rows = stories[index], settings.rows_per_segment
    rows = usable_rows(story, settings)
    window = settings.window_trs * spacing(story.times)
    return [
        Segment(index, first, max(0.0, float(story.times[first]) - window))
        for first in range(rows.start + offset, rows.stop - n_rows + 1, n_rows)
    ]


def first_sample(segment: Segment, hop: int) -> int:
    """Return the sample where a segment's audio begins, on the grid of frames."""
    return round(segment.start * SAMPLE_RATE_HZ / hop) * hop
