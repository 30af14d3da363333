"""Writes TextGrids with praatio, which knows nothing of the reader under test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from praatio.utilities.constants import INTERVAL_TIER
from praatio.utilities.textgrid_io import getTextgridAsStr

from braindash.io.labels.textgrid import Interval


def write_textgrid(
    path: Path | str, tiers: Mapping[str, Sequence[Interval]], seconds: float | None = None
) -> None:
    """Write interval tiers in the long form; gaps are filled with empty labels.

    The recording lasts ``seconds``, by default until the end of the last interval.
    """
    ends = [interval.end for intervals in tiers.values() for interval in intervals]
    last = max(ends, default=0.0) if seconds is None else float(seconds)
    grid = {
        "xmin": 0.0,
        "xmax": last,
        "tiers": [
            {
                "class": INTERVAL_TIER,
                "name": name,
                "xmin": 0.0,
                "xmax": last,
                "entries": [(float(one.start), float(one.end), one.label) for one in in_order],
            }
            for name, in_order in (
                (name, sorted(intervals, key=lambda one: one.start))
                for name, intervals in tiers.items()
            )
        ],
    }
    text = getTextgridAsStr(
        grid, "long_textgrid", includeBlankSpaces=True, minimumIntervalLength=None
    )
    Path(path).write_text(text, encoding="utf-8")
