"""The pages Cortex, Overview and Run with the statistics of a result."""

import json

import numpy as np
import pytest
from kit.results.made_up import N_LAYERS, made_up_result, put_result
from kit.results.statistics_store import ROI, figures
from kit.site.pages import run, texts

from braindash.demo import TUNED_FOLDER
from braindash.encoding.several.comparison import compare
from braindash.files import digest_json
from braindash.io.store import Store
from braindash.speech.acoustic.spaces import SPACES
from braindash.ui import surfaces

# ---- cortex ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["score", "significant", "preferred", "confidence", "ceiling"])
def test_every_map_is_explained_and_stamped(filled_root, kind):
    app = run("explore/cortex", map=kind, model="toy-model", subject="S1")
    assert not app.exception and not app.error
    assert app.selectbox(key="map").value == kind
    shown = texts(app)
    assert "Grey" in shown or "Masked (grey)" in shown or "Noise ceiling from" in shown
    assert "SIMULATED DATA" in shown and "ceiling: repeats of story" in shown
    if kind in ("significant", "preferred"):
        assert "q > 0.05, " in shown and "40 permutations of blocks" in shown


def test_level_and_sureness_are_in_the_address(filled_root):
    app = run("explore/cortex", map="preferred", q="0.001", sure="0.8", model="toy-model")
    assert app.selectbox(key="q").value == "0.001" and app.slider(key="sure").value == 0.8
    assert "q > 0.001" in texts(app) and "less than 80% sure" in texts(app)
    app.slider(key="sure").set_value(0.3).run()
    assert "less than 30% sure" in texts(app)
    app.selectbox(key="map").set_value("score").run()
    assert not app.exception and not app.slider


def test_a_difference_needs_a_second_model(filled_root):
    alone = run("explore/cortex", map="difference", model="toy-model", subject="S1")
    assert alone.selectbox(key="map").value == "score"
    app = run(
        "explore/cortex",
        map="difference",
        model="toy-model",
        subject="S1",
        compare="toy-tuned",
        target="1000",
    )
    assert not app.exception and app.selectbox(key="map").value == "difference"
    assert "toy-model minus toy-tuned" in texts(app)
    [figure] = figures(app)
    assert [trace["name"] for trace in figure["data"]] == ["toy-model", "toy-tuned"]


def test_the_curve_of_a_vertex_has_filled_markers_where_it_is_significant(filled_root):
    app = run("explore/cortex", model="toy-model", subject="S1", target="1000", q="0.01")
    result = made_up_result(model="toy-model", subject="S1", seed=0)
    expected = np.where(result.q[:, 1000] <= 0.01, "circle", "circle-open").tolist()
    [figure] = figures(app)
    assert figure["data"][0]["marker"]["symbol"] == expected
    assert "filled markers: q ≤ 0.01 of each layer by itself, 40 permutations" in texts(app)


def test_what_a_result_cannot_show_is_said(empty_root):
    put_result(Store(empty_root), ceiling=False, resampled=False)
    app = run("explore/cortex", map="significant", target="1000")
    assert not app.exception and app.selectbox(key="map").options == ["score", "preferred layer"]
    assert "computed without permutations" in texts(app)


def test_the_mean_of_subjects_is_no_choice_on_the_cortex(filled_root):
    app = run("explore/cortex", model="toy-model", subject="all subjects")
    assert app.selectbox(key="subject").options == ["S1", "S2"]


def test_low_level_parts_are_mixed_where_they_were_weighed(empty_root):
    made = made_up_result(resampled=False, n_layers=2)
    spec = made.spec | {"low_level": {"method": "residual", "space": "acoustic:lowlevel",
                                      "features": ["f" * 32, "f" * 32]}}  # fmt: skip
    arrays = made.dataset.assign(residual_r=made.dataset["r"] / 2)
    Store(empty_root).put(
        "encoding", made.key, spec=spec, provenance=made.provenance, dataset=arrays
    )
    app = run("explore/cortex", map="parts", target="1000")
    assert not app.exception and not app.error
    assert app.selectbox(key="map").value == "parts"
    shown = texts(app)
    assert "explained by acoustic:lowlevel, left without it" in shown and "inks add up" in shown
    assert len(figures(app)) == 1, "a vertex has its curve beside this map too"


# ---- overview -------------------------------------------------------------------------------


def test_the_newest_result_is_told_in_sentences_of_its_numbers(filled_root):
    app = run("explore/overview")
    assert not app.exception and not app.error
    result = made_up_result(model="toy-tuned", subject="S1", seed=2)  # the newest
    assert app.selectbox(key="model").value == "toy-tuned"
    assert app.selectbox(key="compare").value == "none"
    shown = texts(app)
    table = result.regions()
    late = table[table["region"] == "late_language"].set_index("layer")["r"]
    best = f"{late.max():.2f}".removeprefix("0")
    assert f"Late language is predicted best from layer {late.idxmax()} of {N_LAYERS - 1}" in shown
    assert f"(r = {best} [" in shown
    count = (result.q <= 0.05).sum(axis=1).max()
    assert f"{count:,} targets (" in shown and "Late language 100%" in shown
    [panels] = figures(app)
    assert len({trace["yaxis"] for trace in panels["data"]}) == 4, "a panel per key region"
    assert "score-weighted depth" in app.dataframe[-1].value.columns


def test_an_address_opens_its_result_and_becomes_a_choice(filled_root):
    result = made_up_result(model="toy-model", subject="S2", seed=1)
    app = run("explore/overview", result=result.key[:8])
    assert app.selectbox(key="model").value == "toy-model"
    assert app.selectbox(key="subject").value == "S2"
    assert "result" not in app.query_params and app.query_params["subject"] == "S2"
    assert not run("explore/overview", result="0" * 8).exception


def test_a_bare_result_has_sentences_too(empty_root):
    put_result(Store(empty_root), ceiling=False, resampled=False, **ROI)
    app = run("explore/overview")
    assert not app.exception and not app.error
    assert "no interval" in texts(app) and "Not tested" in texts(app)


def test_results_are_filtered_and_a_row_opens_above(filled_root):
    app = run("explore/overview")
    app.text_input(key="filter").input("toy-model S2").run()
    [listed] = [one.value for one in app.dataframe if "features" in one.value]
    assert list(listed["subject"]) == ["S2"] and "1 of 3 results" in texts(app)


def test_choices_of_the_bar_are_kept_between_pages(filled_root):
    app = run("explore/layers")
    app.selectbox(key="model").select("toy-model").run()
    app.selectbox(key="subject").select("all subjects").run()
    app.switch_page("pages/explore/cortex.py").run()  # single subjects only
    assert app.selectbox(key="model").value == "toy-model"
    assert app.selectbox(key="subject").value == "S1"
    app.switch_page("pages/explore/layers.py").run()
    assert app.selectbox(key="subject").value == "all subjects"


def tuned_from(root, after: str, before: str):
    """A record in the store that says of which model another one was tuned."""
    folder = root / "models" / after
    folder.mkdir(parents=True)
    prints = {name: digest_json(name) for name in (after, before)}
    record = json.loads((TUNED_FOLDER / "tuning.json").read_text())
    record |= {"fingerprint": prints[after]}
    record["base"] |= {"fingerprint": prints[before]}
    (folder / "tuning.json").write_text(json.dumps(record))


@pytest.mark.parametrize("chosen", ["toy-model", "toy-tuned"])
def test_what_tuning_changed_stands_beside_either_of_the_two(empty_root, chosen):
    store = Store(empty_root)
    put_result(store, model="toy-model", subject="S1", seed=1)
    put_result(store, model="toy-tuned", subject="S1", seed=2)
    tuned_from(empty_root, "toy-tuned", "toy-model")
    before, after = (
        made_up_result(model=model, subject="S1", seed=seed)
        for model, seed in (("toy-model", 1), ("toy-tuned", 2))
    )
    app = run("explore/overview", result={"toy-model": before, "toy-tuned": after}[chosen].key[:8])
    assert not app.exception
    assert app.selectbox(key="model").value == "toy-tuned"
    assert app.selectbox(key="compare").value == "toy-model"
    expected = compare([after], [before]).regions().set_index(["region", "layer"])
    row = expected.loc["late_language"].iloc[-1]
    ends = [f"{abs(row[end]):.2f}".removeprefix("0") for end in ("b", "a")]
    told = next(text for text in texts(app).split("\n") if text.startswith("In late language"))
    assert f"from {ends[0]} to {ends[1]}" in told
    is_sure = row["low"] > 0 or row["high"] < 0
    assert ("no sure change" in told) == (not is_sure)
    [line] = [one.value for one in app.caption if one.value.startswith("SIMULATED DATA · made up")
              and "· mean of" not in one.value and "train:" not in one.value]  # fmt: skip
    assert after.key[:8] in line
    assert f"B: toy-model, key {before.key[:8]}" in texts(app)


def test_models_that_are_not_tuned_from_each_other_are_no_pair(filled_root):
    app = run("explore/overview")
    assert not app.exception and app.selectbox(key="compare").value == "none"


# ---- run ------------------------------------------------------------------------------------


def test_run_offers_every_acoustic_space(empty_root):
    app = run("compute/run")
    options = app.selectbox(key="run_model").options
    for space in SPACES.values():
        assert f"{space.full_name}: {space.description}" in options
    assert sum(text.startswith("acoustic:") for text in options) == len(SPACES)


def test_run_passes_the_statistics_and_the_acoustic_space_on(empty_root, lab, monkeypatch):
    from braindash.jobs.queue import JobQueue

    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    app = run("compute/run")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    label = next(text for text in app.selectbox(key="run_model").options if "mfcc" in text)
    app.selectbox(key="run_model").select(label).run()
    assert not app.radio, "an acoustic space has no windows to choose"
    app.multiselect(key="run_subjects").set_value(["A"]).run()
    assert "run_permutations" not in [one.key for one in app.number_input], "nothing is drawn"
    app.selectbox(key="run_scheme").set_value("blocks").run()
    app.number_input(key="run_permutations").set_value(500).run()
    app.number_input(key="run_high_pass").set_value(128.0).run()
    app.number_input(key="run_bootstraps").set_value(300).run()
    app.selectbox(key="run_penalty").set_value("shared").run()
    app.selectbox(key="run_history").set_value("full").run()
    app.selectbox(key="run_selection").set_value("halves").run()
    app.selectbox(key="run_weights").set_value("layer").run()
    assert any("Weights of layer 0 are kept beside" in one.value for one in app.text)
    assert not app.exception and not app.error
    app.button(key="submit").click().run()
    [job] = JobQueue(empty_root).list()
    wanted = {"model": "acoustic:mfcc", "n_bootstraps": 300, "high_pass": 128.0}
    wanted |= {"scheme": "blocks", "n_permutations": 500}
    wanted |= {"penalty": "shared", "history": "full", "ceiling_selection": "halves"}
    wanted["keep_weights"] = 0
    assert wanted.items() <= job.request.items()


def test_figures_of_a_first_visit_wait_for_brains_and_later_ones_do_not(filled_root, monkeypatch):
    monkeypatch.setattr(surfaces, "LONGEST_WAIT_SECONDS", 10.0)
    app = run("explore/cortex", target="50")
    assert not app.exception and not app.get("plotly_chart"), "no browser has said that it drew"
    assert "SIMULATED DATA" in texts(app), "words wait for nothing"
    app.run()
    assert len(app.get("plotly_chart")) == 1
