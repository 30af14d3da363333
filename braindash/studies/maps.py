"""Maps of a study's subjects together: means, sign flips, clusters, prevalence, hemispheres.

The tests are those of :mod:`braindash.core.statistics.families`, at each target's mean over the
chosen layers, so that there is one map for a model and one for a pair.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.special import ndtri, stdtr

from braindash.core.statistics.components import nanmean
from braindash.core.statistics.families import FlippedMaps, flipped_maps, prevalence
from braindash.encoding.result import EncodingResult, SeenIn
from braindash.encoding.seen import plain_result, regions_for
from braindash.encoding.several.comparison import Difference
from braindash.encoding.several.groups import Group
from braindash.errors import InputError
from braindash.io.regions.masks import DISCS, WHOLE
from braindash.io.surfaces import (
    HEMISPHERES,
    SPACE_NAMES,
    adjacency,
    count_targets,
    load_surface,
)
from braindash.studies.results import StudyResults
from braindash.studies.summaries import (
    Chosen,
    RegionScores,
    interval_of,
    layers_of,
    ratio_of_means,
)

LEVEL = 0.05
"""Of p over all targets, and of a target's q in a subject."""
CLUSTER_Z = 3.1
"""Vertices of a cluster exceed it: one-sided p of .001."""

Floats = NDArray[np.floating]


class GroupMap(NamedTuple):
    """One map of several subjects, with its tests.

    Attributes
    ----------
    name : str
        Of the model, or "A minus B".
    group : Group
        Whose targets these are.
    mean, t, p : array of shape (n_targets,)
        Of the subjects' means over the chosen layers: mean, Student's t, and p by sign flips with
        the largest t over all targets.
    clusters : array of shape (n_targets,) or None
        Least share of true discoveries in each vertex's cluster, 0 outside; None where the targets
        are no vertices of fsaverage.
    share : array of shape (n_targets,) or None
        Share of the subjects in whom the best layer is significant; None of a pair and without
        tests.
    tests : FlippedMaps
        How p was found.
    two_sided : bool
    """

    name: str
    group: Group
    mean: Floats
    t: Floats
    p: Floats
    clusters: Floats | None
    share: Floats | None
    tests: FlippedMaps
    two_sided: bool

    @property
    def least_p(self) -> float:
        """The least p that so many subjects allow."""
        count = self.tests.n_flips
        least = 1 / count if self.tests.exact else 1 / (1 + count)
        return (2 if self.two_sided and self.tests.exact else 1) * least


def group_maps(results: StudyResults, chosen: Chosen) -> tuple[list[GroupMap], list[str]]:
    """Test the map of every model, and of every compared pair.

    Models that the study tunes, which may be dozens, have maps where a comparison names them.

    Returns
    -------
    maps : list of GroupMap
        Models in their order, then pairs.
    notes : list of str
        Which have no map, and why.
    """
    found: list[GroupMap] = []
    notes: list[str] = []
    tables = results.tables
    named = {name for pair in tables.comparisons for name in (pair.a, pair.b)}
    left_out = set(tables.variants) - named
    for name, group in results.of(chosen.preset).items():
        if name in left_out:
            continue
        try:
            found.append(_of_model(name, group, chosen))
        except InputError as error:
            notes.append(f"{name} has no group map: {error.message}.")
    pairs, refused = results.pairs(chosen.preset)
    for (a, b), pair in pairs.items():
        if {a, b} & left_out:
            continue
        try:
            found.append(_of_pair(f"{a} minus {b}", pair, chosen))
        except InputError as error:
            notes.append(f"{a} minus {b} has no group map: {error.message}.")
    if left_out:
        notes.append("Models that the study tunes have maps where a comparison names them.")
    return found, [*notes, *refused]


def has_group_maps(results: StudyResults, preset: str) -> bool:
    """Say whether any model has several subjects whose targets meet, without computing anything."""
    for group in results.of(preset).values():
        try:
            group.require_shared_targets()
        except InputError:
            continue
        if group.n_subjects > 1:
            return True
    return False


def _of_model(name: str, group: Group, chosen: Chosen) -> GroupMap:
    values = _layer_means(group, chosen)
    return _tested(name, group, values, two_sided=False)._replace(share=_share(group))


def _of_pair(name: str, pair: Difference, chosen: Chosen) -> GroupMap:
    values = _layer_means(pair.a, chosen) - _layer_means(pair.b, chosen)
    return _tested(name, pair.a, values, two_sided=True)


def _layer_means(group: Group, chosen: Chosen) -> Floats:
    """Average the chosen layers of every subject's map, (n_subjects, n_targets)."""
    if group.n_subjects < 2:
        raise InputError("a map of one subject is no group map", hint="Choose several subjects.")
    scores = group.subject_scores(normalised=chosen.normalised)
    layers = layers_of(chosen.layers, group.first.n_layers)
    return nanmean(np.moveaxis(scores[:, layers], 1, 0))


def _tested(name: str, group: Group, values: Floats, *, two_sided: bool) -> GroupMap:
    tests = flipped_maps(values[:, None], two_sided=two_sided)
    t, p = tests.t[0], tests.p[0]
    clusters = None
    if group.space in SPACE_NAMES:
        z = z_of_t(t, np.isfinite(values).sum(axis=0), two_sided=two_sided)
        clusters = true_discoveries(z, group.space)
    return GroupMap(name, group, nanmean(values), t, p, clusters, None, tests, two_sided)


def _share(group: Group) -> Floats | None:
    """Return the share of subjects in whom the best layer is significant, as the best of all."""
    if group.on_common or not all(one.has_significance and one.has_best for one in group.results):
        return None
    tested = np.stack([np.isfinite(one.q_best) for one in group.results])
    found = np.stack([one.best_significant(LEVEL) for one in group.results])
    return prevalence(found, tested).share


def z_of_t(t: Floats, n: NDArray[np.integer], *, two_sided: bool = False) -> Floats:
    """Turn Student's t of n values into the z whose one-sided p is that of t; NaN stays."""
    values = np.asarray(t, dtype=np.float64)
    df = np.maximum(np.asarray(n) - 1, 1)
    if two_sided:
        return np.asarray(-ndtri(2 * stdtr(df, -np.abs(values))))
    # Of the far tail, whose distance to 1 is lost.
    return np.asarray(np.where(values > 0, -ndtri(stdtr(df, -values)), ndtri(stdtr(df, values))))


# ---- clusters -------------------------------------------------------------------------------


def true_discoveries(z: Floats, space: str, *, threshold: float = CLUSTER_Z) -> Floats:
    """Bound from below the share of vertices with an effect, in each cluster of a surface.

    All-resolution inference (Rosenblatt, Finos, Weeda, Solari and Goeman 2018) by nilearn's
    ``cluster_level_inference``: with a chance of 95 % all the shares of a hemisphere hold at once,
    whatever threshold was chosen. nilearn 0.14 joins vertices of a surface to a
    cluster by their numbers, not by the mesh: it is given them in an order in which those that the
    mesh joins stand together, which changes nothing else.

    Parameters
    ----------
    z : array of shape (n_targets,)
        Standard normal where there is no effect; NaN where there is none.
    space : str
        An fsaverage space; the left hemisphere first.
    threshold : float, default 3.1
        Vertices of a cluster exceed it.

    Returns
    -------
    array of float64, shape (n_targets,)
        Share of true discoveries of the vertex's cluster; 0 outside clusters.
    """
    half = count_targets(space) // 2
    links, found = adjacency(space), np.zeros(2 * half)
    orders, values = [], []
    for side in (slice(half), slice(half, None)):
        known = np.flatnonzero(np.isfinite(z[side]))
        own = np.asarray(z[side])[known]
        order = _clusters_apart(own, links[side, side][known][:, known], threshold)
        orders.append(side.indices(2 * half)[0] + known[order])
        values.append(own[order])
    if not any((own > threshold).any() for own in values):
        return found
    for places, shares in zip(orders, _nilearn_shares(values, space, threshold), strict=True):
        found[places] = shares
    return found


def _clusters_apart(z: Floats, links: object, threshold: float) -> NDArray[np.intp]:
    """Order vertices so that each cluster's stand together, one without a cluster behind each."""
    above = np.flatnonzero(z > threshold)
    below = np.flatnonzero(~(z > threshold))
    count, label = connected_components(links[above][:, above], directed=False)  # type: ignore[index]
    if count - 1 > len(below):
        raise InputError(
            f"{count} clusters and {len(below)} vertices outside cannot be told apart",
            hint="Choose a higher threshold.",
        )
    pieces = []
    for number in range(count):
        pieces += [above[label == number], below[number : number + 1]]
    return np.concatenate([*pieces, below[count:]]).astype(np.intp)


def _nilearn_shares(values: list[Floats], space: str, threshold: float) -> list[Floats]:
    """Ask nilearn for the shares of both hemispheres; the order of vertices says what joins."""
    from nilearn.glm import cluster_level_inference
    from nilearn.surface import InMemoryMesh, PolyData, PolyMesh, SurfaceImage

    half = count_targets(space) // 2
    z, inside = {}, {}
    for side, own in zip(HEMISPHERES, values, strict=True):
        z[side] = np.zeros((half, 1))
        z[side][: len(own), 0] = own
        # A hemisphere without any vertex is one that nilearn cannot put beside the other.
        inside[side] = np.arange(half)[:, None] < max(len(own), 2)
    mesh = PolyMesh(
        **{
            side: InMemoryMesh(one.coordinates.copy(), one.faces.copy())
            for side, one in load_surface("sphere", SPACE_NAMES[space]).items()
        }
    )
    found = cluster_level_inference(
        SurfaceImage(mesh, PolyData(**z)),
        SurfaceImage(mesh, PolyData(**inside)),
        threshold=threshold,
        alpha=LEVEL,
    )
    return [
        np.asarray(found.data.parts[side], dtype=float).ravel()[: len(own)]
        for side, own in zip(HEMISPHERES, values, strict=True)
    ]


# ---- tables ---------------------------------------------------------------------------------


def map_table(maps: list[GroupMap]) -> pd.DataFrame:
    """Tabulate what the maps hold, region by region.

    Returns
    -------
    pandas.DataFrame
        ``map`` (a model, or "A minus B"), ``region``, ``n_targets``, ``of_subjects`` (mean of
        the targets' means over subjects), ``n_significant`` (targets with p of at most .05 over
        all targets), ``largest_t``, ``least_p``, ``in_clusters`` (share of the targets in clusters
        with true discoveries; NaN where there are none), ``prevalence`` (mean share of subjects in
        whom the best layer is significant; NaN of pairs), ``n_subjects``, ``simulated``.
    """
    rows = [
        {
            "map": one.name,
            "region": region,
            "n_targets": int(np.isfinite(one.mean[mask]).sum()),
            "of_subjects": _mean_of(one.mean[mask]),
            "n_significant": int((one.p[mask] <= LEVEL).sum()),
            "largest_t": _most(np.abs(one.t[mask]) if one.two_sided else one.t[mask]),
            "least_p": -_most(-one.p[mask]),
            "in_clusters": np.nan if one.clusters is None else _mean_of(one.clusters[mask] > 0),
            "prevalence": np.nan if one.share is None else _mean_of(one.share[mask]),
            "n_subjects": one.group.n_subjects,
            "simulated": one.group.simulated,
        }
        for one in maps
        for region, mask in one.group.masks.items()
    ]
    return pd.DataFrame(rows)


def target_table(maps: list[GroupMap]) -> pd.DataFrame:
    """Tabulate the maps target by target.

    Returns
    -------
    pandas.DataFrame
        ``map``, ``target`` (its column, from 0; of fsaverage the left hemisphere's vertices
        first), ``of_subjects``, ``t``, ``p``, ``true_discoveries``, ``prevalence``; without
        targets that nobody has a score of.
    """
    tables = []
    for one in maps:
        known = np.flatnonzero(np.isfinite(one.mean))
        columns = {
            "of_subjects": one.mean,
            "t": one.t,
            "p": one.p,
            "true_discoveries": one.clusters,
            "prevalence": one.share,
        }
        told = {
            name: np.nan if values is None else np.asarray(values, dtype=np.float32)[known]
            for name, values in columns.items()
        }
        tables.append(pd.DataFrame({"map": one.name, "target": known, **told}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _mean_of(values: NDArray[np.generic]) -> float:
    table = np.asarray(values, dtype=float).reshape(-1, 1)
    return float(nanmean(table)[0]) if len(table) else float("nan")


def _most(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else float("nan")


# ---- hemispheres ----------------------------------------------------------------------------


def laterality_table(results: StudyResults, chosen: Chosen) -> pd.DataFrame:
    """Compare the hemispheres, by model and region.

    The index is (L - R) / (L + R) of the subjects' means, 1 where all is on the left, with the
    interval of a ratio of means over subjects.

    Returns
    -------
    pandas.DataFrame
        ``preset``, ``model``, ``role``, ``region``, ``measure``, ``left``, ``right`` (subjects'
        mean score over the chosen layers), ``left_minus_right``, ``low``, ``high`` (its interval:
        Student's over subjects, who hear this very story), ``index``, ``index_low``,
        ``index_high`` (NaN where left and right together are below .02), ``n_subjects``,
        ``simulated``. Empty where the sides of the targets are not known.
    """
    parts = []
    for name, group in results.of(chosen.preset).items():
        sides = [_of_sides(one, chosen) for one in group.results]
        shared = [one for one in chosen.regions if all(one in own for own in sides)]
        if not shared:
            continue
        pairs = np.array([[own[region] for region in shared] for own in sides])
        left, right = pairs[..., 0], pairs[..., 1]
        gap = RegionScores(left - right, None)
        low, high = interval_of(group, gap)
        index, index_low, index_high = ratio_of_means(group, gap, RegionScores(left + right, None))
        parts.append(
            pd.DataFrame(
                {
                    "preset": chosen.preset,
                    "model": name,
                    "role": results.tables.model(name).role,
                    "region": shared,
                    "measure": chosen.score,
                    "left": nanmean(left),
                    "right": nanmean(right),
                    "left_minus_right": nanmean(left - right),
                    "low": low,
                    "high": high,
                    "index": index,
                    "index_low": index_low,
                    "index_high": index_high,
                    "n_subjects": group.n_subjects,
                    "simulated": group.simulated,
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def has_sides(results: StudyResults, preset: str) -> bool:
    """Say whether it is known on which side the targets of a preset's results lie."""
    return any(
        _has_sides(one) for group in results.of(preset).values() for one in group.results[:1]
    )


def _has_sides(result: EncodingResult) -> bool:
    if result.seen_in is not None:
        return len(result.seen_in.regions.hemispheres) > 1
    return result.space in SPACE_NAMES


def _of_sides(result: EncodingResult, chosen: Chosen) -> dict[str, tuple[float, float]]:
    """Return the left and the right mean of each region that has both."""
    if not _has_sides(result):
        return {}
    regions = regions_for(result, DISCS) if result.seen_in is None else result.seen_in.regions
    plain = plain_result(result)
    scores = plain.scores(chosen.normalised)[layers_of(chosen.layers, result.n_layers)]
    means = []
    for side in ("left", "right"):
        seen = plain.in_regions(SeenIn(regions, side))
        table = seen.region_means(nanmean(scores)[None]).set_index("region")["value"]
        means.append(table)
    return {
        name: (float(means[0][name]), float(means[1][name]))
        for name in _shared_names(means)
        if name in (*chosen.regions, WHOLE)
    }


def _shared_names(tables: list["pd.Series[float]"]) -> Iterator[str]:
    return (str(name) for name in tables[0].index if name in tables[1].index)
