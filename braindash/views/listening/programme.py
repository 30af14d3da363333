"""What a player plays, whatever it is of: series of maps, courses, and the sound in step with them.

A test story (:mod:`braindash.views.listening.played`) and predictions for a sound
(:mod:`braindash.views.listening.clips`) become the same programme, for the page and for a report.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from braindash.encoding.listening.picture import SoundPicture
from braindash.io.labels.textgrid import Interval
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import region_title
from braindash.viewer.packing import pack
from braindash.views.listening.courses import Course, Read
from braindash.views.listening.series import Series, piece_rows

UNIT = "z"
"""Unit of responses: they are z-scored over a recording, by the data set or by the run."""
COLOURS = "RdBu_r"
_THRESHOLD_SHARE = 0.2  # of the scale: what is close to the mean leaves the folds to be seen
_LEAST_SPAN = 1e-3


@dataclass(frozen=True)
class Track:
    """One series of maps.

    Attributes
    ----------
    name : str
        "measured", a model or a sound.
    layer : int or None
        Whose prediction it is; None for what was measured.
    identity : str
        Names the content.
    read : callable
        Gives some rows.
    """

    name: str
    layer: int | None
    identity: str
    read: Read


@dataclass(frozen=True)
class Timing:
    """When rows stand, in seconds since the sound began.

    Attributes
    ----------
    n_rows : int
    first, tr : float
        Of the first row, and between two rows.
    is_known : bool
        False where rows are counted as one a second, because nothing tells more.
    """

    n_rows: int
    first: float
    tr: float
    is_known: bool = True

    @property
    def end(self) -> float:
        """When the last row is over."""
        return self.first + self.tr * self.n_rows


@dataclass(frozen=True)
class Programme:
    """Everything that a player shows beside the sound itself.

    Attributes
    ----------
    name, what : str
        What is heard, and what kind of thing it is, as in "time in the story".
    identity : str
        Names all that series and courses depend on.
    tracks : tuple of Track
        What was measured and then every model's prediction; or one or two predictions alone.
    is_measured : bool
        Whether the first track was measured.
    kinds : mapping of str to str
        What can be shown of ``first``, ``others`` and ``difference``, by what it is called.
    timing : Timing
    base : MapSet
        Scores of the shown layer: they tell the viewer regions, targets and the surface.
    base_identity : str
        Names it.
    make_courses : callable
        Makes the courses of all regions.
    make_target : callable
        Makes the course of one target.
    start : int
        Place of the course that is shown at first.
    simulated : bool
    source : str
        Where the numbers come from, for pictures that are saved.
    delays : sequence of float
        Seconds by which responses can be moved; the usual one first.
    outlined : sequence of str
        Regions that are outlined and named on the surface at first.
    """

    name: str
    what: str
    identity: str
    tracks: tuple[Track, ...]
    is_measured: bool
    kinds: Mapping[str, str]
    timing: Timing
    base: MapSet
    base_identity: str
    make_courses: Callable[[], list[Course]]
    make_target: Callable[[int], Course]
    start: int
    simulated: bool
    source: str
    delays: Sequence[float] = ()
    outlined: Sequence[str] = ()

    @cached_property
    def pieces(self) -> list[slice]:
        """Rows that travel together."""
        n_drawn = len(self.base.drawn.targets)
        return piece_rows(self.timing.n_rows, self.timing.tr, n_drawn)

    def piece_at(self, seconds: float) -> int:
        """Return the number of the piece that holds a moment; the nearest where none does."""
        row = (seconds - self.timing.first) / self.timing.tr
        return next(
            (n for n, rows in enumerate(self.pieces) if row < rows.stop), len(self.pieces) - 1
        )

    def series(self, track: Track) -> Series:
        """Return a track with the scale of its bytes."""
        return Series.of(track.read, self.timing.n_rows, self.base.drawn)

    def difference(self) -> Series | None:
        """Return the first track minus the second, where both are predictions."""
        if self.is_measured or len(self.tracks) < 2:
            return None
        one, two = (track.read for track in self.tracks[:2])
        return Series.of(lambda rows: one(rows) - two(rows), self.timing.n_rows, self.base.drawn)

    def settings(self, series: Sequence[Series], difference: Series | None) -> dict[str, Any]:
        """Say what is shown and how, without bytes and their names.

        Parameters
        ----------
        series : sequence of Series
            Of every track, as :meth:`series` makes them.
        difference : Series or None
            As :meth:`difference` makes it.
        """
        shown = series[:1] if self.is_measured else series
        top = _round(max(one.span for one in shown) or _LEAST_SPAN)
        return {
            "identity": self.identity,
            "unit": UNIT,
            "cmap": COLOURS,
            "simulated": self.simulated,
            "source": self.source,
            "measured": self.is_measured,
            "kinds": dict(self.kinds),
            "gain": 1.0 if difference is None else difference.span / top,
            "delays": list(self.delays),
            "start": self.start,
            "outlined": [region_title(name) for name in self.outlined],
            "views": "left",
            "vmax": top,
            "threshold": _round(_THRESHOLD_SHARE * top),
            "pieces": [[rows.start, rows.stop] for rows in self.pieces],
            "series": [
                {
                    "name": track.name,
                    "layer": None if track.layer is None else f"layer {track.layer}",
                    "span": one.span,
                }
                for track, one in zip(self.tracks, series, strict=True)
            ],
        }

    def sound_blob(self, picture: SoundPicture | None, words: Sequence[Interval]) -> bytes:
        """Pack what is shown of the sound.

        Parameters
        ----------
        picture : SoundPicture or None
            None where the sound is not here: the clock runs to the last row.
        words : sequence of Interval
            May be empty.

        Returns
        -------
        bytes
            A header with ``name``, ``what``, ``seconds``, ``first`` and ``tr`` (in seconds),
            ``rows``, ``timed`` and ``words`` as [start, end, word]; uint8 ``loudness`` (n_steps,)
            and ``bands`` (n_frames, n_bands), empty without a picture, at ``steps`` and ``frames``
            per second.
        """
        timing = self.timing
        header = {
            "name": self.name,
            "what": self.what,
            "seconds": timing.end if picture is None else picture.seconds,
            "first": timing.first,
            "tr": timing.tr,
            "rows": timing.n_rows,
            "timed": timing.is_known,
            "words": [[round(w.start, 3), round(w.end, 3), w.label.strip()] for w in words],
            "steps": 1.0 if picture is None else picture.steps_per_second,
            "frames": 1.0 if picture is None else picture.frames_per_second,
            "nBands": 0 if picture is None else picture.bands.shape[1],
        }
        empty: NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        return pack(
            header,
            {
                "loudness": empty if picture is None else picture.loudness,
                "bands": empty if picture is None else picture.bands,
            },
        )


def course_table(programme: Programme) -> pd.DataFrame:
    """Tabulate the courses of all regions.

    Returns
    -------
    DataFrame
        A row per region, track and moment: ``region``, ``series`` (the track), ``time`` in seconds
        since the sound began, ``response`` in its unit; NaN where a row has no value.
    """
    timing, names = programme.timing, [track.name for track in programme.tracks]
    time = timing.first + timing.tr * np.arange(timing.n_rows)
    tables = []
    for course in programme.make_courses():
        values = [*([] if course.measured is None else [course.measured]), *course.predicted]
        tables += [
            pd.DataFrame({"region": course.title, "series": name, "time": time, "response": one})
            for name, one in zip(names, values, strict=True)
        ]
    return pd.concat(tables, ignore_index=True)


def usual_delays(rows: Sequence[int], tr: float) -> list[float]:
    """Return the delays of the response that can be chosen, in seconds.

    Parameters
    ----------
    rows : sequence of int
        Delays of the model.
    tr : float
        Seconds between two rows.

    Returns
    -------
    list of float
        The middle of the model's own first.
    """
    middle = round(2 * tr * (min(rows) + max(rows)) / 2) / 2
    others = [seconds for seconds in (2.0, 3.0, 4.0, 5.0, 6.0, 8.0) if seconds != middle]
    return [middle, *others]


def _round(value: float) -> float:
    """Round to two digits, for the end of a scale."""
    return float(f"{value:.2g}")
