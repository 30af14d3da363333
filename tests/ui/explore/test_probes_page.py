"""The page Probes, and probing on the page Layers."""

import base64

import numpy as np
import pytest
from kit.data.spoken_corpus import make_corpus
from kit.results.made_up import put_result
from kit.results.made_up_probing import TASKS, made_up_probing, put_probing
from kit.results.statistics_store import ROI, figures, filled
from kit.site.pages import run, takes, texts

from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.probing.result import probing_difference
from braindash.probing.tasks import PROBE_TASKS
from braindash.ui.explore import probing
from braindash.ui.take_away import table_of


@pytest.fixture
def probed(empty_root):
    """A model, its two controls, and another model that was asked something else."""
    store = Store(empty_root)
    return {
        name: put_probing(store, model=name, draw=draw, n_layers=layers, **settings)
        for draw, (name, layers, settings) in enumerate(
            [
                ("toy", 4, {}),
                ("untrained:toy@0", 4, {}),
                ("acoustic:logmel", 1, {}),
                ("asked-otherwise", 4, {"seed": 3, "tasks": TASKS[:2]}),
            ]
        )
    }


def numbers(stored) -> np.ndarray:
    """Read an array as plotly writes it for the browser."""
    if not isinstance(stored, dict):
        return np.array(stored, dtype=float)
    flat = np.frombuffer(base64.b64decode(stored["bdata"]), dtype=stored["dtype"])
    shape = stored.get("shape", str(len(flat)))  # of a list plotly writes none
    return flat.reshape([int(size) for size in shape.split(",")])


def names(figure):
    return [trace.get("name") for trace in figure["data"]]


def test_an_empty_store_says_what_to_do(empty_root):
    app = run("explore/probes")
    assert not app.exception and "Nothing computed yet" in texts(app)


def test_encodings_without_probes_say_how_to_start_one(empty_root):
    put_result(Store(empty_root), **ROI)
    app = run("explore/probes")
    assert not app.exception and "Nothing probed yet" in texts(app)
    assert "braindash probe" in texts(app)


def test_the_heat_map_has_every_task_and_layer(probed):
    app = run("explore/probes", model="toy")
    assert not app.exception
    cells = figures(app)[0]["data"][0]
    assert list(cells["y"]) == [PROBE_TASKS[name].title for name in TASKS]
    expected = [probed["toy"].above_chance(name) for name in TASKS]
    np.testing.assert_allclose(numbers(cells["z"]), expected)
    shown = texts(app)
    assert "SIMULATED DATA, SYNTHETIC SPEECH" in shown and "0 is chance" in shown
    app.segmented_control(key="scale").set_value("z").run()
    z = numbers(figures(app)[0]["data"][0]["z"])
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=1), 1)
    assert "standard deviations of that task's layers" in texts(app)


def test_a_task_has_chance_levels_controls_and_intervals(probed):
    app = run("explore/probes", model="toy", task="phone")
    curve = figures(app)[1]
    assert names(curve)[1:] == [
        *("toy", "acoustic:logmel", "untrained:toy@0"),  # the newest control first
        *("chance: one answer for all", "chance: shuffled labels"),
    ]
    assert len(filled(curve)) == 1
    baseline = curve["data"][2]
    assert list(baseline["y"]) == [probed["acoustic:logmel"].score("phone")[0]] * 2
    assert app.multiselect(key="controls").options == ["acoustic:logmel", "untrained:toy@0"]
    app.toggle(key="bands").set_value(False).run()
    assert not filled(figures(app)[1])
    app.multiselect(key="controls").set_value([]).run()
    assert "untrained:toy@0" not in names(figures(app)[1])
    regression = run("explore/probes", model="toy", task="energy")
    assert "chance: one answer for all" not in names(figures(regression)[1])


def test_the_mean_over_models_is_drawn_with_its_standard_error(empty_root):
    store = Store(empty_root)
    made = [put_probing(store, model=f"tuned-{draw}", draw=draw) for draw in range(3)]
    app = run("explore/probes", model="tuned-0", mean_task="word")
    assert "Choose two models or more" in texts(app)
    app.multiselect(key="mean_models").set_value(["tuned-0", "tuned-1", "tuned-2"]).run()
    assert not app.exception
    told = [figure for figure in figures(app) if "mean ± SE of 3 models" in names(figure)]
    scores = np.stack([one.score("word") for one in made])
    np.testing.assert_allclose(numbers(told[0]["data"][1]["y"]), scores.mean(axis=0))
    error = scores.std(axis=0, ddof=1) / np.sqrt(3)
    band = numbers(told[0]["data"][0]["y"])
    np.testing.assert_allclose(band[:4], scores.mean(axis=0) + error)
    shown = texts(app)
    assert "mean ± standard error over 3 models" in shown and "balanced accuracy" in shown


def test_two_models_are_subtracted_with_paired_intervals(probed, empty_root):
    app = run("explore/probes", model="toy")
    assert app.selectbox(key="compare").options == ["none", "untrained:toy@0"]
    app.selectbox(key="compare").set_value("untrained:toy@0").run()
    assert not app.exception and app.query_params["compare"] == "untrained:toy@0"
    expected = probing_difference(probed["toy"], probed["untrained:toy@0"])
    cells = numbers(figures(app)[2]["data"][0]["z"])
    wide = expected.pivot(index="task", columns="layer", values="difference").loc[list(TASKS)]
    np.testing.assert_allclose(cells, wide)
    assert "the same ones for A and B" in texts(app)
    with pytest.raises(InputError, match="cannot be subtracted"):
        probing_difference(probed["toy"], probed["asked-otherwise"])


def test_a_tuned_control_stands_behind_the_models(empty_root, monkeypatch):
    store = Store(empty_root)
    for draw, name in enumerate(("acoustic:logmel", "toy", "tuned to noise")):  # the newest last
        made = put_probing(store, model=name, draw=draw)
    controls = frozenset({made.provenance["model"]["fingerprint"]})
    monkeypatch.setattr(probing, "tuned_controls", lambda store: controls)
    menu = run("explore/probes").selectbox(key="model")
    assert menu.value == "toy" and menu.options == ["toy", "tuned to noise", "acoustic:logmel"]


def test_results_without_controls_say_how_to_compute_them(empty_root):
    put_probing(Store(empty_root), model="alone")
    app = run("explore/probes")
    assert not app.exception and "No control was computed" in texts(app)


def test_depths_and_the_hierarchy_index_are_listed(probed):
    app = run("explore/probes", model="toy")
    table = app.dataframe[0].value
    assert list(table["task"]) == [PROBE_TASKS[name].title for name in TASKS]
    stages = probed["toy"].stages().set_index(["quantity", "name"])
    depth = stages.loc[("weighted_depth", "category"), "estimate"]
    assert table["score-weighted depth"].iloc[-1].startswith(f"{depth:.2f} [")
    index = stages.loc[("hierarchy_index", "all"), "estimate"]
    assert f"Hierarchy index: {index:+.2f} [" in texts(app)
    flat = run("explore/probes", model="acoustic:logmel")
    assert not flat.exception and "one layer, so there is no depth" in texts(flat)


def test_encoding_and_probing_share_one_axis(empty_root, probed):
    put_result(Store(empty_root), model="toy", **ROI)
    app = run("explore/probes", model="toy", depth="true")
    assert not app.exception
    encoding, probing = figures(app)[2:]
    assert encoding["layout"]["xaxis"]["range"] == probing["layout"]["xaxis"]["range"]
    assert "Relative depth" in probing["layout"]["xaxis"]["title"]["text"]
    assert names(probing) == ["MFCC", "Phone", "Word identity", "Semantic category"]
    without = run("explore/probes", model="asked-otherwise")
    assert "no encoding result" in texts(without)


def test_the_layers_page_has_the_probing_curves_of_its_model(empty_root, probed):
    put_result(Store(empty_root), model="toy", **ROI)
    put_result(Store(empty_root), model="never-probed", seed=1, **ROI)
    app = run("explore/layers", model="toy")
    assert not app.exception
    assert "Probing on the same layers" in [one.value for one in app.header]
    assert names(figures(app)[-1]) == ["MFCC", "Phone", "Word identity", "Semantic category"]
    app.multiselect(key="tasks").set_value(["energy"]).run()
    assert names(figures(app)[-1]) == ["Energy"]
    other = run("explore/layers", model="never-probed")
    assert "Probing on the same layers" not in [one.value for one in other.header]


def test_the_address_reopens_the_view(probed):
    app = run("explore/probes", model="toy", task="word", depth="true", scale="z over layers")
    for name, value in {"model": "toy", "task": "word", "data": "made up"}.items():
        assert app.query_params[name] == value
    assert app.toggle(key="depth").value and app.segmented_control(key="scale").value == "z"
    gone = run("explore/probes", model="no-such-model", task="no-such-task")
    assert not gone.exception and gone.selectbox(key="task").value == TASKS[0]


def test_results_of_the_same_names_are_told_apart(probed, empty_root):
    put_probing(Store(empty_root), model="toy", draw=9, n_shuffles=7)
    app = run("explore/probes")
    options = app.selectbox(key="model").options
    assert len(options) == len(set(options)) == 5
    toys = [name for name in options if name.startswith("toy") and "untrained" not in name]
    assert len(toys) == 2, "by what is different"


def test_the_downloads_hold_all_scores_and_depths(probed, monkeypatch):
    offered = takes(monkeypatch)
    assert not run("explore/probes", model="toy").exception
    table = table_of(offered["tasks"])
    assert len(table) == len(TASKS) * 4
    np.testing.assert_allclose(table["selectivity"], table["score"] - table["chance_shuffled"])
    assert "hierarchy_index" in set(table_of(offered["depths"])["quantity"])


def test_every_task_of_the_registry_is_explained(probed):
    app = run("explore/probes", model="toy")
    shown = texts(app)
    for task in PROBE_TASKS.values():
        assert task.description in shown
    assert made_up_probing().tasks == TASKS


# ---- starting and opening --------------------------------------------------------------------


def test_run_checks_a_probe_and_submits_it_with_its_controls(
    empty_root, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    corpus = make_corpus(tmp_path / "corpus", n_recordings=4, n_words=8)
    app = run("compute/run", work="Probe")
    assert "Choose recordings with labels" in texts(app)
    app.text_input(key="manifest").input(str(corpus.manifest)).run()
    app.selectbox(key="run_model").select("Another hub id or local folder").run()
    app.text_input(key="own_model").input(str(tiny_model)).run()
    app.multiselect(key="probe_tasks").select("phone").run()
    assert not app.exception and not app.error
    (table,) = app.dataframe
    assert len(table.value) == 3 and table.value["model"][0] == str(tiny_model)
    assert table.value["features cached"][0] == "0 of 1"
    app.button(key="submit").click().run()
    jobs = JobQueue(empty_root).list()
    models = sorted(job.request["model"].partition(":")[0] for job in jobs)
    assert models == sorted(["acoustic", "untrained", str(tiny_model)])
    assert {tuple(job.request["tasks"]) for job in jobs} == {("phone",)}
    app.toggle(key="probe_with_controls").set_value(False).run()
    assert app.button(key="submit").label == "Start 1 job"
    app.multiselect(key="probe_tasks").set_value([]).run()
    app.selectbox(key="probe_preset").select("moussa2025-a").run()
    assert not app.exception and app.selectbox(key="probe_metric_moussa2025-a").value == "macro_f1"
    app.button(key="submit").click().run()
    (job,) = [one for one in JobQueue(empty_root).list() if one.key not in {j.key for j in jobs}]
    assert (job.request["preset"], job.request["metric"]) == ("moussa2025-a", "macro_f1")


def test_run_takes_labels_of_a_corpus_inside_the_allowed_folders(
    empty_root, tiny_model, tmp_path, monkeypatch
):
    corpus = make_corpus(tmp_path / "corpus", n_recordings=4, n_words=8)
    monkeypatch.setenv("BRAINDASH_ROOTS", str(corpus.grids))
    app = run("compute/run", work="Probe")
    app.segmented_control(key="probe_labels").set_value("A corpus or a table").run()
    label = next(text for text in app.selectbox(key="run_model").options if "logmel" in text)
    app.selectbox(key="run_model").select(label).run()
    app.text_input(key="probe_path").input(str(corpus.grids)).run()
    assert "holds no audio" in texts(app)  # the recordings lie elsewhere, and the page says so
    app.text_input(key="probe_audio").input(str(corpus.audio)).run()
    assert "outside the folders" in texts(app)
    monkeypatch.setenv("BRAINDASH_ROOTS", str(corpus.folder))
    app.run()
    assert not app.error and app.button(key="submit").label == "Start 1 job"


def test_a_finished_job_leads_to_its_result(empty_root, probed, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    key = probed["untrained:toy@0"].key
    queue = JobQueue(empty_root)
    queue.submit("probe", key, {}, "Probing: toy", start=False)
    job = queue.table.claim()
    queue.table.finish(job, "done", result={"kind": "probing", "keys": [key]})
    app = run("compute/jobs")
    assert not app.exception
    [link] = app.get("page_link")
    assert link.proto.label == "Open the probing result" and key[:8] in link.proto.query_string
    opened = run("explore/probes", result=key[:8])
    assert opened.selectbox(key="model").value == "untrained:toy@0"
    assert "result" not in opened.query_params


def test_another_metric_is_named_in_menus_and_lines(empty_root):
    store = Store(empty_root)
    usual = put_probing(store, model="toy")
    tasks = [one | {"metric": "macro_f1"} if one["name"] == "phone" else one
             for one in usual.spec["tasks"]]  # fmt: skip
    key = "f" * 32
    spec = usual.spec | {"tasks": tasks}
    store.put("probing", key, spec=spec, provenance=usual.provenance, dataset=usual.dataset)
    app = run("explore/probes", model="toy · macro-F1", task="phone")
    assert not app.exception
    assert "Phone: macro-F1" in texts(app)
    titles = [figure["layout"]["yaxis"]["title"]["text"] for figure in figures(app)
              if "title" in figure["layout"].get("yaxis", {})]  # fmt: skip
    assert "Phone: Macro-F1" in titles
