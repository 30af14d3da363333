"""Results of a made-up lab that went through the real pipeline, on the pages."""

import re

import numpy as np
import pytest
from kit.data.toy_lab import make_lab, save_tiny_hubert
from kit.machines.rounding import flip_p
from kit.results.statistics_store import figures, filled
from kit.site.pages import run, texts
from scipy import stats

from braindash.core.statistics.components import shared_story_mean
from braindash.encoding.run import run_encoding
from braindash.encoding.several.comparison import compare
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.views.tables import COVERAGE

SUBJECTS = ("A", "B", "C", "D", "E")
MODELS = ("first", "second")
NAMES = {"model": "first · chunk", "compare": "second · chunk"}
N_VERTICES = 20484
FEW = {"n_permutations": 40, "n_bootstraps": 200, "alphas": (1.0, 100.0, 10000.0)}


def score(lab, store, models, subjects):
    """Run every model for every subject; gives the results by model."""
    found = {}
    for model in models:
        found[model.name] = [
            run_encoding(
                build_request(
                    EncodeRequest,
                    data=lab.manifest,
                    model=str(model),
                    subject=subject,
                    strategy="chunk",
                    **FEW,
                ),
                store,
            )
            for subject in subjects
        ]
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    return [save_tiny_hubert(folder / name, seed=seed) for seed, name in enumerate(MODELS)]


@pytest.fixture(scope="module")
def five(tmp_path_factory, models):
    """Five subjects and two models: (store folder, results by model)."""
    folder = tmp_path_factory.mktemp("five")
    lab = make_lab(folder / "lab", models[0], subjects=SUBJECTS)
    return folder / "store", score(lab, Store(folder / "store"), models, SUBJECTS)


@pytest.fixture(scope="module")
def surface(tmp_path_factory, models):
    """One subject on fsaverage5 and two models: (store folder, results by model)."""
    folder = tmp_path_factory.mktemp("surface")
    space = {"subjects": ("A",), "space": "fsaverage5", "n_targets": N_VERTICES}
    lab = make_lab(folder / "lab", models[0], **space)
    return folder / "store", score(lab, Store(folder / "store"), models, ("A",))


def all_targets(results):
    """Mean score of every subject and layer, computed from the maps."""
    return np.array([np.nanmean(result.r.astype(float), axis=1) for result in results])


def test_five_subjects_are_compared_as_textbooks_do(five, monkeypatch):
    store, results = five
    monkeypatch.setenv("BRAINDASH_STORE", str(store))
    first, second = (all_targets(results[name]) for name in MODELS)
    gap = first - second
    pair = compare(results["first"], results["second"])
    drawn = [
        one.region_samples.values[..., 0].astype(float) - two.region_samples.values[..., 0]
        for one, two in zip(pair.a.results, pair.b.results, strict=True)
    ]
    found = shared_story_mean(gap, np.stack(drawn), pair.a.first.n_blocks)
    low, high = found.interval()
    app = run("explore/layers", subject="all subjects", listed="true", **NAMES)
    assert not app.exception and not app.error
    shown = texts(app)
    assert "variance components" in shown and "units: n = 5 subjects and" in shown
    table = app.dataframe[0].value["All targets"]
    # Two of the twelve targets have no score.
    assert table[COVERAGE] == "83%"
    assert len(table) == gap.shape[1] + 1
    for layer, cell in enumerate(table.drop(COVERAGE)):
        number = r"([+-]\d\.\d{3})"
        form = rf"{number} \[{number}, {number}\],\s+p = (\S+) \(adjusted (\S+)\)"
        parts = re.fullmatch(form, cell)
        assert parts, cell
        shown_numbers = [float(part) for part in parts.groups()]
        expected = [gap[:, layer].mean(), low[layer], high[layer]]
        # Three digits of numbers that are known to single precision.
        np.testing.assert_allclose(shown_numbers[:3], expected, atol=0.0005 + 1e-6, rtol=0)
        assert shown_numbers[3] == pytest.approx(found.p_values()[layer], rel=0.01)
        assert shown_numbers[4] >= shown_numbers[3]
    signs = [flip_p(column) for column in gap.T]
    np.testing.assert_allclose(pair.regions()["p_signs"], signs)
    # Wider than what looks at subjects alone, or as wide where time adds nothing.
    alone = stats.ttest_1samp(gap, 0, axis=0).confidence_interval()
    assert (found.variance > 0).all() and (high - low >= 0.7 * (alone.high - alone.low)).all()
    curves, difference = figures(app)[:2]
    assert filled(curves) and len(filled(difference)) == 1


def test_every_subject_has_the_others_as_a_ceiling(five):
    _, results = five
    for result in results["first"]:
        assert list(result.ceilings) == ["repeats", "inter-subject"]
        others = [other["subject"] for other in result.spec["other_subjects"]]
        assert others == [name for name in SUBJECTS if name != result.subject]
        # The first targets follow the envelope in every subject, later ones less and less.
        ceiling = result.ceilings["inter-subject"]
        assert ceiling[0] > 0.7 and ceiling[0] > ceiling[9]


def test_two_of_five_subjects_have_no_p_value(five):
    _, results = five
    pair = compare(results["first"][:2], results["second"])
    assert pair.unpaired == ("C", "D", "E") and pair.regions()["p"].isna().all()
    assert compare(results["first"], results["second"]).regions()["p_signs"].min() >= 2 / 2**5


@pytest.mark.parametrize("kind", ["score", "significant", "preferred", "ceiling", "difference"])
def test_real_results_fill_every_map(surface, kind, monkeypatch):
    store, results = surface
    monkeypatch.setenv("BRAINDASH_STORE", str(store))
    app = run("explore/cortex", map=kind, target="5", **NAMES)
    assert not app.exception and not app.error
    assert app.selectbox(key="map").value == kind
    assert "Not here" not in texts(app)
    [curve] = figures(app)
    names = [trace["name"] for trace in curve["data"] if trace.get("name")]
    assert names[:2] == list(MODELS), "by their short names"
    [result] = results["first"]
    assert result.r.shape == (3, N_VERTICES) and 0.3 < np.nanmax(result.r) < 1
    # The first targets follow the sound, the last hardly do. No vertex may be called significant:
    # the test story has three blocks of rows.
    strong, weak = result.r[:, :4000], result.r[:, -1000:]
    assert np.nanmean(strong) > np.nanmean(weak) + 0.3
    assert np.nanmin(result.p) > 0.01 and not result.significant(0.05).any()
