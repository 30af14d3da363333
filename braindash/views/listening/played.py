"""A result's test story, opened to be played: what was measured, and what one layer predicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.scores import region_means
from braindash.encoding.listening.heard import HeardStory
from braindash.encoding.result import EncodingResult
from braindash.io.predictions import RowReader
from braindash.io.regions.masks import WHOLE
from braindash.viewer.blobs import MapSet
from braindash.viewer.colours import PALETTE, region_colour, region_title
from braindash.views.linked import layer_at
from braindash.views.listening.courses import Course, Read, region_courses
from braindash.views.listening.programme import Programme, Timing, Track, usual_delays
from braindash.views.maps import surface_options
from braindash.views.targets import target_title

BEST = "best"
"""The choice of the layer that predicts a region best."""
KINDS = {"first": "Measured", "others": "Predicted", "difference": "Residual"}
USUAL = ("late_language", "language")
"""Regions that are shown at first, where a result has them."""

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
    measured = first.target(None, target)
    predicted = np.stack([one.target(one.layer, target) for one in played])
    return target_course(first.result, target, measured, predicted)


def target_course(
    result: EncodingResult,
    target: int,
    measured: Floats | None,
    predicted: Floats,
    notes: Sequence[str] = (),
) -> Course:
    """Name and colour the course of one target; without a score it has no values.

    Parameters
    ----------
    result : EncodingResult
        Whose target it is.
    target : int
    measured, predicted, notes
        As of :class:`~braindash.views.listening.courses.Course`.
    """
    known = [name for name, mask in result.masks.items() if mask[target] and name != WHOLE]
    if not result.valid[target]:
        notes, predicted = ["this target has no score"], np.full_like(predicted, np.nan)
        measured = None if measured is None else np.full_like(measured, np.nan)
    return Course(
        target_title(target, result.masks, result.space),
        region_colour(known[0]) if known else PALETTE[0],
        measured,
        predicted,
        list(notes),
    )


def score_map(result: EncodingResult, layer: int) -> MapSet:
    """Return the map of a layer's r: it tells the viewer regions and hovered scores."""
    r = result.r[layer : layer + 1]
    return MapSet(
        values=r,
        names=[f"layer {layer}"],
        label="Pearson r",
        vmin=0.0,
        vmax=1.0,
        threshold=0.0,
        simulated=result.simulated,
        **surface_options(result, r),
    )


def timing_of(story: HeardStory) -> Timing:
    """Say when a story's rows stand."""
    times = story.times()
    tr = story.tr if story.tr is not None and story.is_timed else 1.0
    return Timing(story.n_rows, float(times[0]) if len(times) else 0.0, tr, story.is_timed)


def story_programme(
    played: Sequence[Played], names: Sequence[str], source: str, region: str
) -> Programme:
    """Make what a player shows of a test story: measured, predicted and residual.

    Parameters
    ----------
    played : sequence of Played
        Model A and, where there is one, model B.
    names : sequence of str
        What they are called.
    source : str
        Where the numbers come from, for pictures that are saved.
    region : str
        Whose course is shown at first; it is outlined too.
    """
    first, every = played[0], list(played)
    result = first.result
    story = f"{result.key} {first.story.name}"
    tracks = [Track("measured", None, story, first.read(None))] + [
        Track(name, one.layer, f"{one.result.key} {one.story.name} {one.layer}",
              one.read(one.layer))
        for name, one in zip(names, played, strict=True)
    ]  # fmt: skip
    timed = first.story.is_timed and first.story.tr is not None
    return Programme(
        name=first.story.name,
        what="story",
        identity=" ".join(
            f"{one.result.identity} {one.story.name} {one.layer} {name}"
            for one, name in zip(played, names, strict=True)
        ),
        tracks=tuple(tracks),
        is_measured=True,
        kinds=KINDS,
        timing=timing_of(first.story),
        base=score_map(result, first.layer),
        base_identity=f"story {result.identity} {first.layer}",
        make_courses=lambda: region_rows(every),
        make_target=lambda target: target_row(every, target),
        start=list(result.members_of_regions).index(region),
        simulated=any(one.result.simulated for one in played),
        source=source,
        delays=usual_delays(result.spec["delays"], first.story.tr or 1.0) if timed else (),
        outlined=outlined_regions(result, region),
    )


def outlined_regions(result: EncodingResult, region: str) -> list[str]:
    """Name the regions that are outlined at first: those that are told of, and the chosen one."""
    found = [name for name in ("primary_auditory", *USUAL, region) if name in result.masks]
    return list(dict.fromkeys(name for name in found if name != WHOLE))


def usual_region(result: EncodingResult) -> str:
    """Return the region whose course is shown where none was chosen."""
    return next((name for name in USUAL if name in result.masks), WHOLE)
