"""The page Compare: two and three models, of one subject, of several and of the mean subject."""

import base64

import numpy as np
import pytest
import xarray as xr
from kit.results.made_up import N_LAYERS, made_up_result, put_result
from kit.results.statistics_store import ROI, figures, filled, put_models, put_shallow
from kit.site.pages import run, takes, texts

from braindash.encoding.several.comparison import Group, compare
from braindash.encoding.several.tested import difference_spec
from braindash.io.store import Store
from braindash.specs import StatisticsSettings
from braindash.ui.take_away import table_of

PAGE = "explore/compare"


@pytest.fixture
def two_models(empty_root):
    return put_models(empty_root, ["S1", "S2"], **ROI)


def table_of_pair(app):
    """The regions at the shown layers."""
    [found] = [one.value for one in app.dataframe if list(one.value)[:3] == ["region", "A", "B"]]
    return found


def drawn(figure, axis):
    """The numbers of a figure's first trace, as plotly packs them."""
    packed = figure["data"][0][axis]
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])


# ---- what to do next ------------------------------------------------------------------------


def test_one_model_alone_says_what_to_do_next(filled_root):
    app = run(PAGE, model="toy-model", subject="S2")
    assert not app.exception and not app.error
    shown = texts(app)
    assert "**toy-model** is the only model with results of made up, subject S2" in shown
    assert "Score a second model on the same data" in shown
    assert "toy-tuned (made up, subject S1)" in shown, "results that do not fit are named"
    assert app.selectbox(key="compare").options == ["no other model", "toy-model, another layer"]
    assert not figures(app)


def test_two_layers_of_one_model_can_be_compared(empty_root):
    put_result(Store(empty_root), **ROI)
    app = run(PAGE, compare="toy-model", hold="A3B1")
    assert not app.exception and not app.error
    result = made_up_result(**ROI)
    means = np.nanmean(result.r, axis=1)
    [row] = table_of_pair(app).to_dict("records")
    assert row["A"] == f"{means[3]:.3f}" and row["B"] == f"{means[1]:.3f}"
    assert row["A minus B"].startswith(f"{means[3] - means[1]:+.3f} [")


def test_other_test_rows_say_why_and_what_to_do(empty_root):
    store = Store(empty_root)
    put_result(store, model="toy", **ROI)
    settings = StatisticsSettings(n_permutations=40, n_bootstraps=40, seed=7)
    put_result(store, model="tuned", seed=1, statistics=settings, **ROI)
    app = run(PAGE, model="toy", compare="tuned")
    assert not app.exception and not figures(app)
    assert "seed and blocks of the bootstrap" in app.error[0].value
    assert "Compute both with the same data and settings" in app.error[0].value


def test_other_spaces_say_why_and_what_to_do(empty_root):
    store = Store(empty_root)
    put_result(store, model="toy", **ROI)
    put_result(store, model="tuned", seed=1, space="other-rois")
    app = run(PAGE, model="toy", compare="tuned")
    assert not app.exception
    assert "differ in space" in app.error[0].value and "to one space" in app.error[0].value


def test_other_settings_are_a_warning(empty_root):
    store = Store(empty_root)
    put_result(store, model="toy", **ROI)
    put_result(store, model="tuned", seed=1, delays=(1, 2), **ROI)
    app = run(PAGE, model="toy", compare="tuned")
    assert not app.exception and not app.error
    assert "A and B also differ in delays" in texts(app)
    assert "delays 1, 2 TR" in texts(app), "the second model's own provenance"


def test_subjects_with_targets_of_their_own_have_no_mean(empty_root):
    put_models(empty_root, ["S1", "S2"], space="native-volume")
    app = run(PAGE, model="toy", compare="tuned", subject="all subjects")
    assert not app.exception
    assert "every subject has targets of their own" in app.error[0].value
    assert "Choose one subject" in app.error[0].value
    one = run(PAGE, model="toy", compare="tuned", subject="S1")
    assert not one.exception and not one.error


# ---- figures and tables ---------------------------------------------------------------------


def test_one_subject_has_block_bootstrap_statistics(two_models):
    app = run(PAGE, model="toy", compare="tuned", subject="S2", hold="A0B2")
    assert not app.exception and not app.error
    pair = compare([two_models["toy"][1]], [two_models["tuned"][1]])
    pairs = pair.layer_pairs()
    [row] = table_of_pair(app).to_dict("records")
    gap, low, high = (part[0, 2, 0] for part in (pairs.difference, pairs.low, pairs.high))
    assert row["A minus B"] == f"{gap:+.3f} [{low:+.3f}, {high:+.3f}]"
    assert "p (sign flips)" not in row
    assert pair.interval_line() in texts(app) and "n = 1 subject" in texts(app)
    assert "toy, layer 0, against tuned, layer 2" in texts(app)


def test_several_subjects_are_paired_and_tested(empty_root):
    made = put_models(empty_root, [f"S{number}" for number in range(5)], **ROI)
    app = run(PAGE, model="toy", compare="tuned", subject="all subjects")
    assert not app.exception and not app.error
    pair = compare(Group.of(made["toy"]), Group.of(made["tuned"]))
    last = N_LAYERS - 1
    [row] = table_of_pair(app).to_dict("records")
    pairs = pair.layer_pairs()
    assert row["p"] == row["adjusted p"] == f"{pairs.p[last, last, 0]:.2g}"
    assert row["p (sign flips)"] == f"{pairs.p_signs[last, last, 0]:.2g}"
    assert row["p (ranks)"] == f"{pairs.p_ranks[last, last, 0]:.2g}"
    assert "units: n = 5 subjects" in texts(app)
    assert pair.family_line(layers=(last, last)) in texts(app)
    scatter = figures(app)[0]
    means = [group.scores()[last] for group in (pair.a, pair.b)]
    known = np.isfinite(means[0])
    np.testing.assert_allclose(drawn(scatter, "x"), means[0][known], atol=1e-6)
    np.testing.assert_allclose(drawn(scatter, "y"), means[1][known], atol=1e-6)


def test_the_result_of_a_mean_subject_is_compared_like_one(empty_root):
    store = Store(empty_root)
    for seed, model in enumerate(("toy", "tuned")):
        put_result(store, model=model, subject="mean", seed=seed, members=("S1", "S2"), **ROI)
    app = run(PAGE, model="toy", compare="tuned")
    assert not app.exception and not app.error
    assert "mean of 2 subjects" in texts(app)
    assert len(figures(app)) == 2


def test_surfaces_are_linked_explained_and_stamped(filled_root):
    app = run(PAGE, model="toy-model", compare="toy-tuned", subject="S1", target="1000")
    assert not app.exception and not app.error
    shown = texts(app)
    assert "Pearson r of every model at its shown layer, on one scale" in shown
    assert "grey where neither model reaches the threshold" in shown
    assert "SIMULATED DATA" in shown and "B: toy-tuned · all else as A" in shown
    curves, scatter, difference = figures(app)
    assert [trace["name"] for trace in curves["data"]] == ["A: toy-model", "B: toy-tuned"]
    result = made_up_result(model="toy-model", subject="S1", seed=0)
    expected = np.where(result.q[:, 1000] <= 0.05, "circle", "circle-open").tolist()
    assert curves["data"][0]["marker"]["symbol"] == expected
    values = next(one.value for one in app.dataframe if list(one.value) == ["A", "B", "A minus B"])
    np.testing.assert_allclose(values["A"], result.r[:, 1000], atol=1e-6)
    for figure in (curves, scatter, difference):
        stamps = [one["text"] for one in figure["layout"]["annotations"]]
        assert "SIMULATED" in stamps
    assert filled(difference), "the difference curve has its interval"
    sides = list(app.dataframe[-1].value["preferred layer"])
    assert sides == ["A: toy-model", "B: toy-tuned", "A minus B"]


def test_a_third_model_and_no_difference_are_in_the_address(empty_root):
    put_models(empty_root, ["S1"], ("toy", "tuned", "control"))
    app = run(PAGE, model="toy", compare="tuned", third="control", minus="false", target="999")
    assert not app.exception and not app.error
    assert app.selectbox(key="third").value == "control" and not app.toggle(key="minus").value
    names = [trace["name"] for trace in figures(app)[0]["data"]]
    assert names == ["A: toy", "B: tuned", "C: control"]
    assert "grey where neither" not in texts(app)
    for name, value in {"model": "toy", "compare": "tuned", "third": "control"}.items():
        assert app.query_params[name] == value


def test_a_third_model_that_lacks_a_subject_is_refused(empty_root):
    put_models(empty_root, ["S1", "S2"], ("toy", "tuned"), **ROI)
    put_result(Store(empty_root), model="control", subject="S1", seed=30, **ROI)
    app = run(PAGE, model="toy", compare="tuned", third="control", subject="all subjects")
    assert not app.exception
    assert "control has no result of subject S2" in app.error[0].value


def test_swapping_exchanges_the_models(two_models):
    app = run(PAGE, model="toy", compare="tuned", subject="S1")
    [swap] = [button for button in app.button if button.label == "Swap"]
    swap.click().run()
    assert not app.exception and not app.error
    assert app.selectbox(key="model").value == "tuned"
    assert app.selectbox(key="compare").value == "toy"
    assert app.query_params["model"] == "tuned" and app.query_params["compare"] == "toy"


def test_models_of_other_depth_are_compared_at_their_own_layers(empty_root):
    put_result(Store(empty_root), model="toy")
    put_shallow(empty_root, 2, model="small", seed=1)
    app = run(PAGE, model="toy", compare="small", layer="2")
    assert not app.exception and not app.error
    assert "toy, layer 2, against small, layer 1" in texts(app)
    assert "cannot be subtracted layer by layer" in texts(app)


def test_an_acoustic_space_has_one_layer_beside_a_model(empty_root):
    put_result(Store(empty_root), model="toy", **ROI)
    put_shallow(empty_root, 1, model="acoustic:logmel", seed=1, **ROI)
    app = run(PAGE, model="toy", compare="acoustic:logmel")
    assert not app.exception and not app.error
    assert [slider.label for slider in app.slider] == ["Layer of A: toy"]


def test_without_a_surface_sliders_choose_the_layers(two_models):
    app = run(PAGE, model="toy", compare="tuned", subject="S1", hold="A1B2")
    assert "has no surface here" in texts(app)
    assert [slider.value for slider in app.slider] == [1, 2]
    app.slider(key="layer_B").set_value(0).run()
    assert not app.exception
    assert "toy, layer 1, against tuned, layer 0" in texts(app)
    assert app.query_params["hold"] == "A1B0"


@pytest.mark.parametrize(
    "query", [{"layer": "abc", "hold": "Z9"}, {"layer": "999", "target": "-1"}]
)
def test_odd_addresses_open_the_last_layer(filled_root, query):
    app = run(PAGE, model="toy-model", compare="toy-tuned", subject="S1", **query)
    assert not app.exception and not app.error
    last = N_LAYERS - 1
    assert f"toy-model, layer {last}, against toy-tuned, layer {last}" in texts(app)
    assert "Click a surface" in texts(app)


def test_a_vertex_without_a_score_says_so(filled_root):
    app = run(PAGE, model="toy-model", compare="toy-tuned", subject="S1", target="3")
    assert not app.exception and "This vertex has no score" in texts(app)


def test_the_download_names_models_layers_and_intervals(two_models, monkeypatch):
    offered = takes(monkeypatch)
    assert not run(PAGE, model="toy", compare="tuned", subject="S1", hold="A1B2").exception
    taken = offered["layers-1-2"]
    table = table_of(taken)
    assert taken.file.endswith("-layers-1-2") and len(taken.keys) == 2
    [row] = table.to_dict("records")
    assert (row["model_a"], row["model_b"]) == ("A: toy", "B: tuned")
    assert (row["layer_a"], row["layer_b"]) == (1, 2)
    assert row["simulated"] and "block bootstrap" in row["interval"]


def test_scores_can_be_divided_by_the_ceiling(filled_root):
    app = run(
        PAGE, model="toy-model", compare="toy-tuned", subject="S1", score="r / ceiling", layer="1"
    )
    assert not app.exception and not app.error
    assert "r / ceiling of every model" in texts(app)
    result = made_up_result(model="toy-model", subject="S1", seed=0)
    table = result.regions()
    expected = table[(table["region"] == "late_language") & (table["layer"] == 1)]
    late = table_of_pair(app).set_index("region").loc["Late language"]
    assert late["A"] == f"{expected['r_over_ceiling'].item():.3f}"


# ---- targets whose difference is significant -------------------------------------------------


def test_targets_without_predictions_are_not_tested_and_that_is_said(filled_root):
    asked = {"model": "toy-model", "subject": "S1", "compare": "toy-tuned"}
    app = run(PAGE, **asked)
    assert not app.exception and not app.toggle(key="tested").value
    assert "single target's difference is not tested here" in texts(app)
    app.toggle(key="tested").set_value(True).run()
    assert not app.exception and not app.error
    assert "the predictions of both results have to be in the store" in texts(app)


def test_tested_targets_mask_the_maps_and_the_caption_says_of_what(filled_root):
    a, b = (
        made_up_result(model=name, subject="S1", seed=seed)
        for name, seed in (("toy-model", 0), ("toy-tuned", 2))
    )
    spec = difference_spec(compare([a], [b]))
    rng = np.random.default_rng(0)
    arrays = {name: rng.uniform(size=a.r.shape).astype(np.float32) for name in ("z", "p", "q")}
    dataset = xr.Dataset({name: (("layer", "target"), one) for name, one in arrays.items()})
    Store(filled_root).put(
        spec.kind, spec.key(), spec=spec.canonical(), provenance=a.provenance, dataset=dataset
    )
    asked = {"model": "toy-model", "subject": "S1", "compare": "toy-tuned"}
    app = run(PAGE, tested="true", **asked)
    assert not app.exception and not app.error
    assert "A and B are shown where q ≤ 0.05 of their difference at the same layer" in texts(app)
    assert "n = 1 subject; not of the difference of r itself" in texts(app)
    app = run("explore/cortex", map="tested-difference", **asked)
    assert not app.exception and app.selectbox(key="map").value == "tested-difference"
    assert "q > 0.05, paired test of each target's difference" in texts(app)
