"""Maps of a study's subjects: sign flips, clusters, prevalence and hemispheres by other routes."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from kit.results.made_up_study import MODELS, SUBJECTS, put_study
from scipy import stats

from braindash.encoding.several.groups import Group
from braindash.exports.studies.items import StudyFigures, default_choice
from braindash.io.regions.discs import SPHERE_LABEL
from braindash.io.regions.masks import named_masks
from braindash.io.store import Store
from braindash.io.surfaces import adjacency
from braindash.studies.maps import (
    group_maps,
    laterality_table,
    map_table,
    target_table,
    true_discoveries,
    z_of_t,
)
from braindash.studies.results import StudyResults
from braindash.studies.summaries import Chosen

FEW = MODELS[:2]
CHOSEN = Chosen("default", ("all targets",), (2, 3))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Six subjects with thirty targets."""
    root = tmp_path_factory.mktemp("small")
    record = put_study(root, models=FEW, subjects=SUBJECTS, space="roi")
    return StudyResults.open(record, Store(root))


@pytest.fixture(scope="module")
def brains(tmp_path_factory):
    """Three subjects on fsaverage5."""
    root = tmp_path_factory.mktemp("brains")
    record = put_study(root, models=FEW, subjects=SUBJECTS[:3])
    return StudyResults.open(record, Store(root)), Store(root)


def values_of(study, name):
    return np.stack([one.r[2:4].mean(axis=0) for one in study.groups["default", name].results])


def test_p_is_the_share_of_sign_patterns_with_so_large_a_t(small):
    maps, notes = group_maps(small, CHOSEN)
    assert [one.name for one in maps] == ["base", "tuned", "tuned minus base"] and not notes
    signs = np.array(list(product([1, -1], repeat=6)))
    gap = values_of(small, "tuned") - values_of(small, "base")
    for one, values, two_sided in (
        (maps[1], values_of(small, "tuned"), False),
        (maps[2], gap, True),
    ):
        known = values[:, 25:]
        t = np.stack([stats.ttest_1samp(s[:, None] * known, 0).statistic for s in signs])
        largest = (np.abs(t) if two_sided else t).max(axis=1)
        own = np.abs(t[0]) if two_sided else t[0]
        expected = (largest[:, None] >= own * (1 - 1e-4)).mean(axis=0)
        np.testing.assert_allclose(one.p[25:], expected, atol=1e-6)
        np.testing.assert_allclose(one.mean[25:], known.mean(axis=0), rtol=1e-5)
        assert one.two_sided is two_sided and np.isnan(one.p[:25]).all()
        assert one.p[25:].min() >= one.least_p
    assert maps[0].least_p == 1 / 64 and maps[2].least_p == 2 / 64
    assert maps[0].clusters is None, "regions are no vertices"


def test_tables_count_what_the_maps_hold(small):
    maps, _ = group_maps(small, CHOSEN)
    table = map_table(maps).set_index(["map", "region"])
    row = table.loc[("tuned", "all targets")]
    assert row["n_targets"] == 5 and row["n_significant"] == (maps[1].p <= 0.05).sum()
    assert np.isnan(row["prevalence"]), "no best layer was tested"
    whole = target_table(maps)
    assert len(whole) == 3 * 5 and set(whole["target"]) == set(range(25, 30))
    own = whole[whole["map"] == "tuned"]
    np.testing.assert_allclose(own["t"], maps[1].t[25:])


def test_prevalence_is_of_the_best_layer_tested_as_such(small):
    group, q = small.groups["default", "base"], np.random.default_rng(3).uniform(0, 0.1, (6, 30))
    tested = [
        replace(one, dataset=one.dataset.assign(q_best=("target", own), p_best=("target", own)))
        for one, own in zip(group.results, q, strict=True)
    ]
    study = replace(small, groups={("default", "base"): Group.of(tested)})
    [found], _ = group_maps(study, CHOSEN)
    np.testing.assert_allclose(found.share, (q <= 0.05).mean(axis=0))
    [row] = map_table([found]).to_dict("records")
    assert row["prevalence"] == pytest.approx((q <= 0.05).mean())


def test_z_has_the_p_of_t():
    t = np.array([-3.0, 0.0, 0.5, 4.0, 80.0, np.nan])
    z = z_of_t(t, np.full(6, 8))
    np.testing.assert_allclose(stats.norm.sf(z[:5]), stats.t.sf(t[:5], 7), rtol=1e-6)
    both = z_of_t(t, np.full(6, 8), two_sided=True)
    np.testing.assert_allclose(stats.norm.sf(both[:5]), 2 * stats.t.sf(abs(t[:5]), 7), rtol=1e-6)
    assert np.isnan(z[5])


def simes_bound(p, inside, alpha=0.05):
    """Least number of effects in a set: closed testing with Simes' tests, as it is defined."""
    ordered, m = np.sort(p), len(p)
    # Hommel's h: the largest number of hypotheses that Simes' test does not reject together.
    sizes = range(1, m + 1)
    h = max(
        (i for i in sizes if all(ordered[m - i + j - 1] > j * alpha / i for j in range(1, i + 1))),
        default=0,
    )
    own = np.sort(p[inside])
    best = 0
    for u in range(1, len(own) + 1):
        best = max(best, 1 - u + int((h * own <= u * alpha).sum()))
    return best


def joined(above, links):
    """Yield the sets of vertices that edges join, one step after the other."""
    left = set(above)
    while left:
        cluster, edge = set(), {left.pop()}
        while edge:
            cluster |= edge
            near = {int(one) for vertex in edge for one in links[[vertex]].indices}
            edge = near & left
            left -= edge
        yield cluster


def test_clusters_are_those_of_the_mesh_and_their_shares_those_of_closed_testing():
    links = adjacency("fsaverage5")
    half = links.shape[0] // 2
    rng = np.random.default_rng(0)
    z = np.full(2 * half, np.nan)
    # A patch of either hemisphere is looked at; few vertices, for the bound by definition.
    near = np.zeros(2 * half)
    near[[4000, half + 77]] = 1
    for _ in range(7):
        near = np.maximum(near, links.astype(float) @ near > 0)
    patch = np.flatnonzero(near)
    z[patch] = rng.normal(size=len(patch))
    core = np.zeros(2 * half)
    core[4000] = 1
    for _ in range(2):
        core = np.maximum(core, links.astype(float) @ core > 0)
    z[core > 0] += 5
    found = true_discoveries(z, "fsaverage5")
    above = {int(one) for one in patch if z[one] > 3.1}
    left = patch[patch < half]
    p = stats.norm.sf(z[left])
    expected = np.zeros(2 * half)
    for cluster in joined(above, links):
        members = np.array(sorted(cluster))
        if (members < half).all():
            bound = simes_bound(p, np.isin(left, members))
            expected[members] = bound / len(members)
    np.testing.assert_allclose(found[:half], expected[:half], atol=1e-9)
    assert found[4000] > 0.5 and not found[np.isnan(z)].any()
    assert not true_discoveries(np.full(2 * half, np.nan), "fsaverage5").any()


def test_maps_on_a_surface_have_clusters_and_pictures(brains):
    results, store = brains
    figures = StudyFigures(results, default_choice(results), store)
    assert {"group-maps", "hemispheres"} <= set(figures.names)
    items = {one.name: one for one in figures.make("group-maps")}
    assert {"group-mean", "group-difference", "group-maps", "group-targets"} <= set(items)
    assert "group-mean-tested" not in items, "of three subjects no p is below 1/8"
    assert f" · regions: {SPHERE_LABEL} · " in items["group-mean"].source.line
    told = " ".join(items["group-mean"].source.details)
    assert "of whom none is below 0.12" in told and "largest t over 20,459 targets" in told
    assert "nilearn has none on surfaces" in " ".join(items["group-maps"].source.details)
    assert items["group-mean"].picture is not None and items["group-maps"].table is not None
    assert len(items["group-targets"].table) == 3 * 20459


def test_hemispheres_are_halves_of_the_vertices(brains):
    results, _ = brains
    chosen = Chosen("default", ("primary_auditory", "late_language"), "last")
    table = laterality_table(results, chosen).set_index(["model", "region"])
    masks = named_masks("fsaverage5", 20484)
    for name in ("base", "tuned"):
        for region in chosen.regions:
            mask = masks[region]
            sides = []
            for one in results.groups["default", name].results:
                r = np.where(mask, one.r[-1], np.nan)
                sides.append([np.nanmean(r[:10242]), np.nanmean(r[10242:])])
            left, right = np.mean(sides, axis=0)
            row = table.loc[(name, region)]
            np.testing.assert_allclose([row["left"], row["right"]], [left, right], rtol=1e-5)
            assert row["index"] == pytest.approx((left - right) / (left + right), rel=1e-4)
            gaps = np.subtract(*np.transpose(sides))
            reach = stats.t.ppf(0.975, 2) * stats.sem(gaps)
            assert row["high"] - row["left_minus_right"] == pytest.approx(reach, rel=1e-4)
            assert row["index_low"] < row["index"] < row["index_high"]
