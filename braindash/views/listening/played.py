"""A result's test story, opened to be played: what was measured, and what one layer predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.scores import region_means
from braindash.encoding.listening.heard import HeardStory
from braindash.encoding.listening.picture import SoundPicture
from braindash.encoding.result import EncodingResult
from braindash.io.labels.textgrid import Interval
from braindash.io.predictions import RowReader
from braindash.io.regions.masks import WHOLE
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import PALETTE, region_colour, region_title
from braindash.viewer.packing import pack
from braindash.views.linked import layer_at
from braindash.views.listening.courses import Course, Read, region_courses
from braindash.views.maps import surface_options
from braindash.views.targets import target_title

BEST = "best"
"""The choice of the layer that predicts a region best."""
UNIT = "z"
"""Unit of responses: they are z-scored over a recording, by the data set or by the run."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Played:
    """One model's predictions of one test story.

    Attributes
    ----------
    result : EncodingResult
        Looked at in a region set.
    reader : RowReader
        Of its stored predictions.
    story : HeardStory
        One of its test stories.
    layer : int
        The layer whose predictions are shown.
    """

    result: EncodingResult
    reader: RowReader
    story: HeardStory
    layer: int

    def read(self, layer: int | None) -> Read:
        """Return what reads rows of the story: of a layer's prediction, or as measured (None).

        Targets without a score are NaN in both.
        """
        start, unscored = self.story.rows.start, ~self.result.valid

        def rows_of(rows: slice) -> Floats:
            values = self.reader.read(layer, slice(start + rows.start, start + rows.stop))
            values[:, unscored] = np.nan
            return values

        return rows_of

    def courses(self, layer: int | None) -> dict[str, Floats]:
        """Average what :meth:`read` gives over the targets of every region of the set."""
        return region_courses(
            self.read(layer), self.story.n_rows, self.result.members_of_regions, self.result.valid
        )

    def target(self, layer: int | None, target: int) -> Floats:
        """Read the course of one target, (n_rows,)."""
        return self.reader.read(layer, self.story.rows, target)


def can_stand_beside(one: Played, other: Played) -> str:
    """Say why two models cannot be played side by side; empty where they can."""
    if one.result.n_targets != other.result.n_targets or one.result.space != other.result.space:
        return "the results are not of the same targets"
    same = (one.story.name, one.story.n_rows, one.story.first_row)
    if same != (other.story.name, other.story.n_rows, other.story.first_row):
        return f"the models were not scored on the same rows of {one.story.name}"
    own, theirs = (played.reader.scored[played.story.rows] for played in (one, other))
    return "" if np.array_equal(own, theirs) else "the models were not scored on the same rows"


def best_layer(result: EncodingResult, region: str) -> int:
    """Return the layer with the highest mean r in a region; the last one where none is known."""
    found = region_means(result.r, _only(result.members_of_regions, region))["value"].to_numpy()
    return int(np.nanargmax(found)) if np.isfinite(found).any() else result.n_layers - 1


def _only(members: Mapping[str, NDArray[Any]], region: str) -> Mapping[str, NDArray[Any]]:
    return {region: members[region if region in members else WHOLE]}


def chosen_layers(results: list[EncodingResult], choice: str, region: str) -> list[int]:
    """Return the layer that each model shows.

    Parameters
    ----------
    results : list of EncodingResult
        Of models A and, where there is one, B.
    choice : str
        :data:`BEST`, each model's best layer in the region; or a layer of A, which B shows at the
        same relative depth.
    region : str
        Name of a region.
    """
    if choice == BEST:
        return [best_layer(one, region) for one in results]
    last = results[0].n_layers - 1
    place = min(int(choice), last)
    return [layer_at(place, last, one.n_layers - 1) for one in results]


def layers_line(results: list[EncodingResult], layers: list[int], choice: str, region: str) -> str:
    """Say which layers are shown and why."""
    shown = " and ".join(f"layer {one}" for one in layers)
    if choice != BEST:
        also = "" if len(layers) < 2 else "; model B at the same relative depth"
        return f"Shown: {shown}{also}."
    where = region_title(region)
    r = [
        float(region_means(one.r[layer], _only(one.members_of_regions, region))["value"].iloc[0])
        for one, layer in zip(results, layers, strict=True)
    ]
    means = " and ".join(f"{value:.2f}" for value in r)
    return (
        f"Shown: {shown}, best in {where} on this very story (mean r {means} over its targets: a "
        "layer that is picked as the best looks a little better than it is)."
    )


def region_rows(played: list[Played]) -> list[Course]:
    """Make the courses of all regions, that of all targets first."""
    first = played[0]
    measured = first.courses(None)
    predicted = [one.courses(one.layer) for one in played]
    scores = [
        region_means(one.result.r[one.layer], one.result.members_of_regions) for one in played
    ]
    values = [dict(zip(table["region"], table["value"].tolist(), strict=True)) for table in scores]
    counts = dict(zip(scores[0]["region"], scores[0]["n_valid"].tolist(), strict=True))
    made = []
    for name, course in measured.items():
        means = " and ".join(f"{found[name]:.2f}" for found in values)
        made.append(
            Course(
                region_title(name),
                region_colour(name) if name != WHOLE else PALETTE[0],
                course,
                np.stack([one[name] for one in predicted]),
                [f"mean of {counts[name]} targets, whose own r have the mean {means}"],
            )
        )
    return made


def target_row(played: list[Played], target: int) -> Course:
    """Make the course of one target."""
    first = played[0]
    known = [name for name, mask in first.result.masks.items() if mask[target] and name != WHOLE]
    measured = first.target(None, target)
    predicted = np.stack([one.target(one.layer, target) for one in played])
    told = [] if first.result.valid[target] else ["this target has no score"]
    if not first.result.valid[target]:
        measured, predicted = np.full_like(measured, np.nan), np.full_like(predicted, np.nan)
    return Course(
        target_title(target, first.result.masks, first.result.space),
        region_colour(known[0]) if known else PALETTE[0],
        measured,
        predicted,
        told,
    )


def score_map(played: Played) -> MapSet:
    """Return the map of the shown layer's r: it tells the viewer regions and hovered scores."""
    r = played.result.r[played.layer : played.layer + 1]
    return MapSet(
        values=r,
        names=[f"layer {played.layer}"],
        label="Pearson r",
        vmin=0.0,
        vmax=1.0,
        threshold=0.0,
        simulated=played.result.simulated,
        **surface_options(played.result, r),
    )


def story_blob(story: HeardStory, picture: SoundPicture | None, words: Sequence[Interval]) -> bytes:
    """Pack what a player shows of a story beside the brain.

    Parameters
    ----------
    story : HeardStory
        Whose rows are played.
    picture : SoundPicture or None
        None where the sound is not here: the clock runs to the last row.
    words : sequence of Interval
        May be empty.

    Returns
    -------
    bytes
        A header with ``name``, ``seconds``, ``first`` and ``tr`` (in seconds), ``rows``, ``timed``
        and ``words`` as [start, end, word]; uint8 ``loudness`` (n_steps,) and ``bands`` (n_frames,
        n_bands), empty without a picture, at ``steps`` and ``frames`` per second.
    """
    times = story.times()
    tr = story.tr if story.tr is not None and story.is_timed else 1.0
    last = float(times[-1]) + tr if len(times) else tr
    header = {
        "name": story.name,
        "seconds": last if picture is None else picture.seconds,
        "first": float(times[0]) if len(times) else 0.0,
        "tr": tr,
        "rows": story.n_rows,
        "timed": story.is_timed,
        "words": [[round(w.start, 3), round(w.end, 3), w.label.strip()] for w in words],
        "steps": 1.0 if picture is None else picture.steps_per_second,
        "frames": 1.0 if picture is None else picture.frames_per_second,
        "nBands": 0 if picture is None else picture.bands.shape[1],
    }
    empty = np.zeros(0, dtype=np.uint8)
    return pack(
        header,
        {
            "loudness": empty if picture is None else picture.loudness,
            "bands": empty if picture is None else picture.bands,
        },
    )
