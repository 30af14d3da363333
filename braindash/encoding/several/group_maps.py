"""Maps of several subjects together: where their scores are above 0, and in how many of them."""

import numpy as np

from braindash.core.statistics.families import (
    FlippedMaps,
    Prevalence,
    flipped_maps,
    prevalence,
)
from braindash.core.statistics.words import counted, interval_words, p_words
from braindash.encoding.several.groups import Group
from braindash.errors import InputError


def maps_over_subjects(
    group: Group, *, normalised: bool = False, ceiling: str | None = None
) -> FlippedMaps:
    """Test every target and layer of a group's mean map by sign flips over subjects, with max-T.

    Parameters
    ----------
    group : Group
        Of two subjects or more whose maps have a mean.
    normalised, ceiling
        As for :meth:`braindash.encoding.several.groups.Group.scores`.

    Returns
    -------
    FlippedMaps
        Columns as of :meth:`~braindash.encoding.several.groups.Group.scores`. One-sided: r above 0.

    Raises
    ------
    InputError
        With one subject, and where the subjects' maps have no mean.
    """
    _require_several(group)
    return flipped_maps(group.subject_scores(normalised=normalised, ceiling=ceiling))


def prevalence_maps(
    group: Group, *, q: float = 0.05, level: float = 0.95, targets: slice = slice(None)
) -> Prevalence:
    """Return the share of subjects in whom each target and layer is significant.

    Parameters
    ----------
    group : Group
        Of two subjects or more in one space, all with p values.
    q : float, default 0.05
        Largest false discovery rate that is significant in a subject.
    level : float, default 0.95
        Of the intervals.
    targets : slice, optional
        Some of the targets; all by default.

    Raises
    ------
    InputError
        With one subject, without p values, and where targets are each subject's own.
    """
    _require_several(group)
    group.require_shared_targets()
    if group.on_common or not all(result.has_significance for result in group.results):
        raise InputError(
            "there is no share of subjects: some have no p values, or targets of their own",
            hint="Compute all subjects with n_permutations (--permutations), in one space.",
        )
    tested = np.stack([np.isfinite(result.q[:, targets]) for result in group.results])
    found = np.stack([result.significant(q)[:, targets] for result in group.results])
    return prevalence(found, tested, level=level)


def flips_line(group: Group, found: FlippedMaps) -> str:
    """Say what the p of :func:`maps_over_subjects` is."""
    signs = "all" if found.exact else "random"
    n_tests = int(np.isfinite(found.p).sum())
    return p_words(
        "p",
        f"sign flips ({found.n_flips:,} patterns, {signs}) with the largest t over "
        f"{n_tests:,} targets and layers",
        f"n = {counted(group.n_subjects, 'subject')}",
        "other subjects who hear this very story",
    )


def prevalence_line(group: Group, q: float, level: float = 0.95) -> str:
    """Say what :func:`prevalence_maps` shows."""
    intervals = interval_words(
        level,
        "Clopper and Pearson's",
        f"n = {counted(group.n_subjects, 'subject')}",
        "other subjects who hear this very story",
    )
    return f"share of subjects with q ≤ {q:g} at the shown layer; {intervals}"


def prevalence_at(group: Group, target: int, layer: int, *, q: float = 0.05) -> str:
    """Say in how many subjects one target is significant at a layer; empty where nobody is tested.

    Parameters
    ----------
    group, q
        As for :func:`prevalence_maps`.
    target, layer : int
        Column and row of its maps.
    """
    found = prevalence_maps(group, q=q, targets=slice(target, target + 1))
    share, low, high, n = (one[layer, 0] for one in found)
    if not n:
        return ""
    return f"q ≤ {q:g} in {share:.0%} [{low:.0%}, {high:.0%}] of {counted(int(n), 'subject')}"


def _require_several(group: Group) -> None:
    if group.n_subjects < 2:
        raise InputError(
            "a map of one subject is no group map",
            hint="Choose all subjects.",
        )
