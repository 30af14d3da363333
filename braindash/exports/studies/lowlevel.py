"""What low-level features explain of a study's models: taken out, and beside them."""

from collections.abc import Iterator, Mapping
from typing import Any

from braindash.core.ridge.settings import folds_line
from braindash.encoding.several.groups import Group
from braindash.exports.results import Item
from braindash.exports.studies.view import StudyView
from braindash.studies.lowlevel import (
    impact_table,
    partition_table,
    unique_maps,
    weighed_groups,
)
from braindash.studies.summaries import LEAST_BASE_R, layers_words
from braindash.views.studies.bars import impact_bars, partition_bars, space_title
from braindash.views.studies.maps import mixed_picture


def impact(study: StudyView) -> Iterator[Item]:
    """Draw how much of each model's r is gone without low-level features."""
    models, subjects = impact_table(study.results, study.chosen)
    rule = layers_words(study.chosen.layers)
    details = [
        f"Percent of r that is gone when low-level features were regressed out, {rule}; of subject "
        f"means, with the interval of a ratio; none where r is below {LEAST_BASE_R:g}.",
        *study.interval_lines(),
    ]
    title = "Impact of low-level features"
    figure = impact_bars(models, subjects, study.chosen.regions, colours=study.colours)
    yield Item("low-level", study.source(title, *details), figure=figure, table=models)
    told = study.source("Impact of low-level features, every subject", rule)
    yield Item("low-level-subjects", told, table=subjects)


def has_impact(study: StudyView) -> bool:
    """Say whether low-level features were regressed out of any model's."""
    return _has(study, "residual")


def partition(study: StudyView) -> Iterator[Item]:
    """Draw what the model and low-level spaces explain alone and together."""
    table = partition_table(study.results, study.chosen)
    _, group = next(weighed_groups(study.results, study.chosen.preset, "banded"))
    spec = group.first.spec
    details = [
        "R² on the test story that a set of spaces explains and no other space does, by inclusion "
        "and exclusion of the R² of all subsets; of more than three spaces what each explains "
        "alone, and what two or more share. Parts may be negative.",
        f"Banded ridge, a penalty for each space and target, chosen by "
        f"{folds_line(spec['folds'], len(spec['train']))}; {layers_words(study.chosen.layers)}.",
        "95 % intervals: Student's over subjects; units: "
        f"n = {group.n_subjects} subjects; for other subjects who hear this very story."
        if group.over_subjects
        else "No intervals: three subjects or more are needed.",
    ]
    figure = partition_bars(table, study.chosen.regions)
    title = "Variance partition"
    yield Item("partition", study.source(title, *details), figure=figure, table=table)
    inks = (
        "Inks add up, none at 0 and full at the upper end; grey where all are below a tenth of it."
    )
    every = weighed_groups(study.results, study.chosen.preset, "banded")
    for number, (name, own) in enumerate(every):
        picture = mixed_picture(own, _titled(unique_maps(own, study.chosen), own, name), name)
        if picture is not None:
            source = study.source(f"What each space explains alone: {name}", inks, details[1])
            yield Item(f"partition-map-{number + 1}", source, picture=picture)


def _titled(parts: Mapping[str, Any], group: Group, name: str) -> dict[str, Any]:
    """Name the maps of spaces for readers."""
    return {
        f"{name if one == group.model else space_title(one)} alone": values
        for one, values in parts.items()
    }


def has_partition(study: StudyView) -> bool:
    """Say whether variance was divided among spaces anywhere."""
    return _has(study, "banded")


def _has(study: StudyView, method: str) -> bool:
    return next(weighed_groups(study.results, study.chosen.preset, method), None) is not None
