"""The page Layers with intervals, ceilings, several subjects and two models."""

import numpy as np
import pandas as pd
import pytest
from kit.results.made_up import N_LAYERS, made_up_result, put_result
from kit.results.statistics_store import ROI, figures, filled, put_models, put_shallow
from kit.site.pages import run, takes, texts

from braindash.encoding.several.comparison import Group, compare
from braindash.io.store import Store
from braindash.specs import StatisticsSettings
from braindash.ui.take_away import table_of


@pytest.fixture
def two_subjects(empty_root):
    return put_models(empty_root, ["S1", "S2"], **ROI)


def test_intervals_are_bands_until_they_are_switched_off(two_subjects):
    app = run("explore/layers", model="toy", subject="S1", compare="none")
    assert not app.exception
    assert len(filled(figures(app)[0])) == 1  # data without a surface have one region
    assert "block bootstrap over test-story time" in texts(app) and "n = 1 subject" in texts(app)
    app.toggle(key="bands").set_value(False).run()
    assert not filled(figures(app)[0])


def test_results_without_bootstraps_have_no_bands_and_say_so(empty_root):
    put_result(Store(empty_root), resampled=False, **ROI)
    app = run("explore/layers")
    assert not app.exception and not filled(figures(app)[0])
    assert "no intervals (computed without bootstraps)" in texts(app)


def test_the_ceiling_can_be_chosen_and_is_named(two_subjects):
    app = run("explore/layers", model="toy", subject="S1", score="r / ceiling")
    assert app.selectbox(key="ceiling").options == ["repeats", "inter-subject"]
    assert "ceiling: repeats of story" in texts(app)
    values = {}
    for name in ("repeats", "inter-subject"):
        app.selectbox(key="ceiling").set_value(name).run()
        values[name] = app.dataframe[-1].value.iloc[0, 0]
        expected = two_subjects["toy"][0].regions(name)["r_over_ceiling"][0]
        assert values[name].startswith(f"{expected:.3f} [")
    assert app.query_params["ceiling"] == "inter-subject"
    assert "ceiling: inter-subject on story with 1 other subject" in texts(app)
    assert values["repeats"] != values["inter-subject"]


def test_several_subjects_are_averaged(two_subjects):
    app = run("explore/layers", model="toy", subject="all subjects")
    assert app.selectbox(key="subject").options[-1] == "mean of all 2"
    group = Group.of(two_subjects["toy"])
    mean = group.regions()["r"][0]
    assert app.dataframe[-1].value.iloc[0, 0].startswith(f"{mean:.3f} [")
    shown = texts(app)
    assert group.interval_line() in shown and "mean of n = 2 subjects (S1, S2)" in shown
    assert "subject S2" in shown, "every subject's own provenance"
    assert "50 of 60 targets have no score" in shown


def test_one_subject_is_no_group(empty_root):
    put_models(empty_root, ["S1"], **ROI)
    app = run("explore/layers", subject="all subjects")
    assert app.selectbox(key="subject").options == ["S1"]


def test_a_result_of_a_mean_response_is_no_subject_of_the_mean(empty_root):
    put_models(empty_root, ["S1", "S2"], ("toy",), **ROI)
    mean = made_up_result(subject="mean", seed=9, **ROI)
    spec = mean.spec | {"members": ["S1", "S2"]}
    Store(empty_root).put(
        "encoding",
        "d" * 32,
        spec=spec,
        provenance=mean.provenance | {"model": {"name": "toy", "fingerprint": "f"}},
        dataset=mean.dataset,
    )
    app = run("explore/layers", model="toy", subject="all subjects")
    assert not app.exception and not app.error
    assert "mean" in app.selectbox(key="subject").options
    assert "mean of n = 2 subjects (S1, S2)" in texts(app)


def test_five_subjects_have_a_paired_test(empty_root):
    made = put_models(empty_root, [f"S{number}" for number in range(5)], **ROI)
    app = run("explore/layers", model="toy", subject="all subjects", compare="tuned", listed="true")
    assert not app.exception
    pair = compare(Group.of(made["toy"]), Group.of(made["tuned"]))
    curves, difference = figures(app)[:2]
    assert "n = 5 subjects and 9 blocks" in texts(app) and pair.interval_line() in texts(app)
    assert pair.family_line() in texts(app)
    assert any("p = " in trace.get("hovertemplate", "") for trace in difference["data"])
    table = pair.regions()
    cells = app.dataframe[0].value["All targets"].tolist()
    assert cells[0].startswith(f"{table['difference'][0]:+.3f} [{table['low'][0]:+.3f}")
    assert cells[0].endswith(f"p = {table['p'][0]:.3g} (adjusted {table['p_holm'][0]:.3g})")
    names = {trace.get("name") for trace in curves["data"]}
    assert {"A: toy", "B: tuned"} <= names


def test_two_subjects_have_a_difference_without_p(two_subjects):
    app = run("explore/layers", model="toy", subject="S2", compare="tuned")
    assert not app.exception
    difference = figures(app)[1]
    assert len(filled(difference)) == 1
    [below] = [caption.value for caption in app.caption if "minus tuned (key" in caption.value]
    for made in two_subjects.values():
        assert made[1].key[:8] in below, "the provenance of both"
    assert not any("p = " in trace.get("hovertemplate", "") for trace in difference["data"])
    table = app.dataframe[0].value  # that of the differences is made when it is opened
    depths = table["score-weighted depth"]
    assert list(depths) == ["A: toy", "B: tuned", "A minus B"]
    expected = compare([two_subjects["toy"][1]], [two_subjects["tuned"][1]]).stages()
    weighted = expected[expected["quantity"] == "weighted_depth"].iloc[0]
    assert depths["A minus B"][0].startswith(f"{weighted['difference']:+.2f} [")


def test_only_models_with_the_same_data_and_subject_are_offered(empty_root):
    store = Store(empty_root)
    put_result(store, model="toy", subject="S1", **ROI)
    put_result(store, model="elsewhere", subject="S2", seed=1, **ROI)
    app = run("explore/layers", model="toy", subject="S1")
    assert app.selectbox(key="compare").options == ["no other model"]


def test_results_that_cannot_be_compared_say_why(empty_root):
    store = Store(empty_root)
    put_result(store, model="toy", **ROI)
    settings = StatisticsSettings(n_permutations=40, n_bootstraps=40, seed=7)
    put_result(store, model="tuned", seed=1, statistics=settings, **ROI)
    app = run("explore/layers", model="toy", compare="tuned")
    assert not app.exception
    [problem] = app.error
    assert "seed and blocks of the bootstrap" in problem.value
    assert "Compute both with the same data and settings" in problem.value
    assert len(figures(app)) == 1 and len(app.dataframe) == 2
    assert "A minus B" not in [heading.value for heading in app.header]


def test_a_model_without_the_chosen_ceiling_is_not_divided(empty_root):
    store = Store(empty_root)
    put_result(store, model="toy", **ROI)
    put_result(store, model="tuned", seed=1, ceiling=False, **ROI)
    app = run("explore/layers", model="toy", compare="tuned", score="r / ceiling")
    assert not app.exception
    assert "tuned has no noise ceiling 'repeats'" in app.error[0].value
    plain = run("explore/layers", model="toy", compare="tuned")
    assert not plain.exception and not plain.error and len(figures(plain)) == 2


def test_a_model_of_one_layer_is_a_line_beside_the_other(empty_root):
    put_result(Store(empty_root), model="toy", **ROI)
    put_shallow(empty_root, model="acoustic:logmel", seed=1, **ROI)
    app = run("explore/layers", model="toy", compare="acoustic:logmel")
    assert not app.exception and not app.error
    assert "cannot be subtracted layer by layer" in texts(app)
    assert "acoustic:logmel: one layer" in texts(app)
    alone = run("explore/layers", model="acoustic:logmel", compare="none")
    assert not alone.exception and len(alone.dataframe) == 1


def test_models_of_other_depth_still_have_their_stages_compared(empty_root):
    put_result(Store(empty_root), model="toy", **ROI)
    put_shallow(empty_root, 3, model="small", seed=1, **ROI)
    app = run("explore/layers", model="toy", compare="small")
    assert not app.exception and len(figures(app)) == 1
    sides = list(app.dataframe[0].value["preferred layer"])
    assert sides == ["A: toy", "B: small", "A minus B"]


def test_what_low_level_features_explain_is_drawn_where_it_was_computed(empty_root, two_subjects):
    heading = "Share explained by low-level features"
    without = run("explore/layers", model="toy", subject="S1")
    assert heading not in [one.value for one in without.header]
    made = made_up_result(model="weighed", seed=5, **ROI)
    low = {"method": "residual", "space": "acoustic:lowlevel", "features": []}
    dataset = made.dataset.assign(
        residual_r=made.dataset["r"] * 0.25,
        residual_region_samples=made.dataset["region_samples"] * 0.25,
    )
    Store(empty_root).put(
        "encoding",
        made.key,
        spec=made.spec | {"low_level": low},
        provenance=made.provenance,
        dataset=dataset,
    )
    app = run("explore/layers", model="weighed")
    assert not app.exception
    assert heading in [one.value for one in app.header]
    [_, shares] = figures(app)
    assert len(filled(shares)) == 1
    [below] = [one.value for one in app.caption if "regressed out of the model's" in one.value]
    assert f"key {made.key[:8]}" in below


def test_the_address_reopens_the_comparison(two_subjects):
    app = run("explore/layers", model="toy", subject="S2", compare="tuned", depth="true")
    for name, value in {"compare": "tuned", "subject": "S2", "ceiling": "repeats"}.items():
        assert app.query_params[name] == value
    assert app.toggle(key="depth").value
    gone = run("explore/layers", model="toy", compare="no-such-model")
    assert not gone.exception and gone.selectbox(key="compare").value == "none"


def test_the_download_holds_every_region_of_both_models_with_its_interval(
    two_subjects, monkeypatch
):
    offered = takes(monkeypatch)
    assert not run("explore/layers", model="toy", subject="S1", compare="tuned").exception
    regions = table_of(offered["regions"])
    pd.testing.assert_frame_equal(table_of(offered["curves"]), regions)
    assert list(regions["model"].unique()) == ["toy", "tuned"]
    assert len(regions) == 2 * N_LAYERS and set(regions["interval_of"]) == {"r"}
    expected = two_subjects["tuned"][0].region_intervals()
    own = regions[regions["model"] == "tuned"]
    np.testing.assert_allclose(own[["low", "high"]], expected[["low", "high"]])
    pair = compare([two_subjects["toy"][0]], [two_subjects["tuned"][0]])
    differences = table_of(offered["difference"])
    pd.testing.assert_frame_equal(
        differences[["difference", "low", "high"]],
        pair.regions()[["difference", "low", "high"]],
    )
    stages = table_of(offered["stages"])
    assert list(stages["model"].unique()) == ["toy", "tuned", "A minus B"]
    assert stages["estimate"].notna().all()
