"""Maps of a study's subjects together, and how the hemispheres differ."""

from collections.abc import Iterator, Sequence

import numpy as np

from braindash.core.statistics.words import counted, p_words
from braindash.exports.results import Item
from braindash.exports.studies.view import StudyView
from braindash.studies.maps import (
    CLUSTER_Z,
    LEVEL,
    GroupMap,
    group_maps,
    has_group_maps,
    has_sides,
    laterality_table,
    map_table,
    target_table,
)
from braindash.studies.summaries import LEAST_BASE_R
from braindash.views.curves import SCORE_TITLES
from braindash.views.studies.bars import laterality_bars
from braindash.views.studies.maps import MOST_ROWS, drawable, score_picture, share_picture


def maps(study: StudyView) -> Iterator[Item]:
    """Draw the maps of all models and pairs, as far as their tests allow; then their tables."""
    found, notes = group_maps(study.results, study.chosen)
    if not found:
        return
    models, pairs = ([one for one in found if one.two_sided is side] for side in (False, True))
    label = SCORE_TITLES[study.chosen.score]
    for kind, title, every in (
        ("mean", "Mean of the subjects", models),
        ("difference", "Mean difference, paired by subject", pairs),
    ):
        shown = drawable(every)
        if not shown:
            continue
        lines = [study.measure_line(), *_flip_lines(shown), *_rows_line(every)]
        picture = score_picture(shown, label, tested=False)
        yield Item(f"group-{kind}", study.source(title, *lines), picture=picture)
        if any((one.p <= LEVEL).any() for one in shown):
            tested = score_picture(shown, label, tested=True)
            source = study.source(f"{title}, where p is at most .05", *lines)
            yield Item(f"group-{kind}-tested", source, picture=tested)
    yield from _shares(study, found)
    table = map_table(found)
    lines = [study.measure_line(), *_flip_lines(found), *_cluster_lines(found), *notes]
    yield Item("group-maps", study.source("Group maps by region", *lines), table=table)
    targets = target_table(found)
    yield Item("group-targets", study.source("Group maps, every target", *lines), table=targets)


def _shares(study: StudyView, found: Sequence[GroupMap]) -> Iterator[Item]:
    """Draw in how many subjects targets are significant, and clusters with true discoveries."""
    of_subjects = drawable([one for one in found if one.share is not None])
    if of_subjects:
        shares = [one.share for one in of_subjects if one.share is not None]
        told = f"share of subjects (q ≤ {LEVEL:g})"
        line = (
            f"Share of the n = {of_subjects[0].group.n_subjects} subjects in whom the best layer "
            "is significant, tested as the best of all; grey where it is in none."
        )
        picture = share_picture(of_subjects, shares, told)
        yield Item("group-prevalence", study.source("Prevalence", line), picture=picture)
    clustered = drawable(
        [one for one in found if one.clusters is not None and (one.clusters > 0).any()]
    )
    if clustered:
        values = [one.clusters for one in clustered if one.clusters is not None]
        picture = share_picture(clustered, values, "share of true discoveries")
        source = study.source("Clusters", study.measure_line(), *_cluster_lines(clustered))
        yield Item("group-clusters", source, picture=picture)


def _rows_line(every: Sequence[GroupMap]) -> list[str]:
    return [f"The first {MOST_ROWS} of {len(every)} are drawn."] if len(every) > MOST_ROWS else []


def _flip_lines(found: Sequence[GroupMap]) -> list[str]:
    """Say what p is, of models and of pairs, and how small it can be."""
    told = []
    for one in {each.two_sided: each for each in found}.values():
        n_tests = int(np.isfinite(one.p).sum())
        signs = "all" if one.tests.exact else "random"
        what = "two-sided, of pairs" if one.two_sided else "one-sided, of models"
        told.append(
            p_words(
                f"p ({what})",
                f"sign flips ({one.tests.n_flips:,} patterns, {signs}) with the largest t over "
                f"{counted(n_tests, 'target')}",
                f"n = {counted(one.group.n_subjects, 'subject')}, of whom none is below "
                f"{one.least_p:.2g}",
                "other subjects who hear this very story",
            )
        )
    return told


def _cluster_lines(found: Sequence[GroupMap]) -> list[str]:
    if all(one.clusters is None for one in found):
        return ["No clusters: the targets are no vertices of fsaverage."]
    return [
        f"Clusters of neighbouring vertices above z = {CLUSTER_Z:g} (Student's t of the subjects): "
        "least share of vertices with an effect, all at once with a chance of 95 % in a "
        "hemisphere (all-resolution inference, by nilearn); for other subjects who hear this very "
        "story. No TFCE: nilearn has none on surfaces."
    ]


def has_maps(study: StudyView) -> bool:
    """Say whether any model has a map of several subjects."""
    return has_group_maps(study.results, study.chosen.preset)


def hemispheres(study: StudyView) -> Iterator[Item]:
    """Draw the hemisphere index of every model and region."""
    table = laterality_table(study.results, study.chosen)
    if table.empty:
        return
    n_subjects = int(table["n_subjects"].max())
    details = [
        study.measure_line(),
        "Index: (left - right) / (left + right) of the subjects' means; none where both together "
        f"are below {LEAST_BASE_R:g}.",
        f"95 % intervals: of a ratio of means, over subjects alone; units: n = {n_subjects} "
        "subjects; for other subjects who hear this very story."
        if n_subjects > 2
        else "No intervals: three subjects or more are needed.",
    ]
    drawn, told = study.drawn(table)
    figure = laterality_bars(drawn, study.chosen.regions, colours=study.colours)
    title = "Hemisphere index"
    yield Item("hemispheres", study.source(title, *details, *told), figure=figure, table=table)


def has_hemispheres(study: StudyView) -> bool:
    """Say whether the sides of the targets are known."""
    return has_sides(study.results, study.chosen.preset)
