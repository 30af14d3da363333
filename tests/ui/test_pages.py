"""Every page runs on an empty, a filled and an odd store, and says what to do."""

import json
import re
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from kit.results.made_up import made_up_result, put_old_result
from kit.results.made_up_probing import put_probing
from kit.results.made_up_store import put_result
from kit.running.pulled import share
from kit.site.pages import run, texts
from kit.spaces.files import random_mapper

from braindash.encoding.unfinished import KIND, described
from braindash.errors import InputError
from braindash.files import digest_json
from braindash.io.predictions import layer_part
from braindash.io.spaces.surface_map import SurfaceMap, to_dataset
from braindash.io.store import Store
from braindash.io.surface_links import SURFACES
from braindash.jobs.queue import JobQueue
from braindash.specs import StatisticsSettings
from braindash.ui import state, under_way
from braindash.ui.explore import selecting

EXPLORE = ["overview", "layers", "cortex", "compare", "story"]


@pytest.mark.parametrize("page", EXPLORE)
def test_an_empty_store_says_what_to_do(empty_root, page):
    app = run(f"explore/{page}")
    assert not app.exception
    assert "Nothing computed yet" in texts(app)
    assert app.button(key="start_demo").label == "Compute the demo"


@pytest.mark.parametrize("page", EXPLORE)
def test_results_of_an_older_version_are_shown_and_say_so(empty_root, page):
    key = put_old_result(Store(empty_root))
    app = run(f"explore/{page}")
    assert not app.exception and not app.error
    assert "Nothing computed yet" not in texts(app)
    if page in ("overview", "layers"):  # the others need a surface
        assert f"key {key[:8]} · version 1 of 3" in texts(app)
    put_result(Store(empty_root))
    app = run(f"explore/{page}")
    assert not app.exception
    told = [one.value for one in app.error]  # on Compare: the older one has no intervals
    assert not told or (page == "compare" and "cannot be compared" in told[0])


def damage_all(root):
    """Make every result of a store an odd one; gives their folders."""
    folders = [path.parent for path in root.glob("*/*/spec.json")]
    for folder in folders:
        (folder / "spec.json").write_text("null")
    return folders


@pytest.mark.parametrize("page", [*EXPLORE, "probes"])
def test_damaged_results_are_told_apart_with_their_path(empty_root, page):
    put_result(Store(empty_root))
    (folder,) = damage_all(empty_root)
    app = run(f"explore/{page}")
    assert not app.exception
    assert any(str(folder) in code.value for code in app.code)
    put_result(Store(empty_root), subject="S2")
    app = run(f"explore/{page}")
    assert not app.exception
    assert "Nothing computed yet" not in texts(app)


def test_a_damaged_job_is_shown_beside_the_good_ones(empty_root, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    queue = JobQueue(empty_root)
    for key in ("good", "odd", "name"):
        queue.submit("encode", key, {}, f"the {key} one", start=False)
    with closing(sqlite3.connect(queue.table.path)) as rows:
        rows.execute("UPDATE jobs SET request = '[' WHERE key = 'odd'")
        rows.execute("UPDATE jobs SET key = 'no name' WHERE key = 'name'")
        rows.commit()
    app = run("compute/jobs")
    assert not app.exception
    assert all(f"the {name} one" in texts(app) for name in ("good", "odd", "name"))
    assert str(queue.table.path) in texts(app)
    own = [button.key for button in app.button if button.key != "present_button"]
    assert own == ["cancel_good"]


def test_the_demo_button_queues_one_job_however_often_it_is_clicked(empty_root, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    app = run("explore/overview")
    app.button(key="start_demo").click()
    app.run()
    jobs = JobQueue(empty_root).list()
    assert [(job.command, job.state) for job in jobs] == [("demo", "queued")]
    assert not [button for button in app.button if button.key == "start_demo"]


@pytest.mark.parametrize("page", EXPLORE)
def test_results_are_shown_and_stamped(filled_root, page):
    app = run(f"explore/{page}")
    assert not app.exception, app.exception
    assert "simulated" in texts(app).lower()


def test_layers_shows_the_regions_means_with_their_provenance(filled_root):
    app = run("explore/layers", data="made up", subject="S2", model="toy-model")
    assert app.selectbox(key="subject").value == "S2"
    table = app.dataframe[-1].value
    assert "Late language" in table.columns and table.index[0] == "layer 0"
    shown = texts(app)
    assert "sphere around published coordinate" in shown
    assert "test: story" in shown and "delays 1, 2, 3, 4 TR" in shown
    assert "25 of 20484 targets have no score" in shown


def test_an_address_may_have_the_words_of_a_menu(filled_root):
    app = run("explore/cortex")
    menu = next(one for one in app.selectbox if one.label == "Map")
    shown = menu.options[2]
    app = run("explore/cortex", map=shown)
    chosen = next(one for one in app.selectbox if one.label == "Map").value
    assert chosen not in (menu.value, shown) and app.query_params["map"] == chosen


def test_an_address_of_something_that_is_gone_falls_back(filled_root):
    app = run("explore/layers", model="no-such-model", subject="S9", score="cubic")
    assert not app.exception
    assert app.selectbox(key="model").value in ("toy-model", "toy-tuned")


def test_r_over_ceiling_is_offered_only_with_a_ceiling(empty_root):
    put_result(Store(empty_root), ceiling=False)
    app = run("explore/layers")
    assert not app.exception
    assert "no noise ceiling" in texts(app)


def test_data_without_a_surface_are_named_on_the_cortex_page(empty_root):
    put_result(Store(empty_root), space="roi")
    app = run("explore/cortex")
    assert not app.exception
    assert "no surface" in texts(app)


def test_a_chosen_target_in_the_address_has_its_curve(filled_root):
    app = run("explore/cortex", target="1000", layer="2")
    assert not app.exception
    assert "Click the surface" not in texts(app)
    assert "Click the surface" in texts(run("explore/cortex", target="999999"))


def test_run_checks_a_request_and_submits_it(empty_root, lab, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    app = run("compute/run")
    assert "Choose a data set" in texts(app)
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    app.selectbox(key="run_model").select("Another hub id or local folder").run()
    app.text_input(key="own_model").input(str(lab.model)).run()
    app.multiselect(key="run_subjects").set_value(["A"]).run()
    app.radio(key="run_strategy").set_value("chunk").run()
    assert not app.exception
    assert "0 of 4 recordings are cached" in "\n".join(text.value for text in app.text)
    app.multiselect(key="run_subjects").set_value(["A", "B"]).run()
    assert not app.exception
    (table,) = app.dataframe
    assert table.value["subject"].tolist() == ["A", "B"]
    assert table.value["features cached"].tolist() == ["0 of 4"] * 2
    told = [text.value for text in app.text]  # what holds for both is said once
    assert len(told) == len(set(told)) and not any(one.startswith("A, B:") for one in told)
    assert any("rows" in one for one in told) and "jobs run one after the other" in told[-1]
    app.button(key="submit").click().run()
    jobs = JobQueue(empty_root).list()
    assert sorted(job.request["subject"] for job in jobs) == ["A", "B"]
    app.button(key="submit").click().run()
    assert len(JobQueue(empty_root).list()) == 2


def test_a_path_outside_the_allowed_folders_is_refused(empty_root, lab, monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINDASH_ROOTS", str(tmp_path / "elsewhere"))
    app = run("compute/run")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    assert "outside the folders" in texts(app)


def test_jobs_lists_states_and_takes_cancel(empty_root, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    assert "No jobs yet" in texts(run("compute/jobs"))
    JobQueue(empty_root).submit("encode", "a" * 32, {}, "Toy job", start=False)
    app = run("compute/jobs")
    assert "Toy job" in texts(app)
    app.button(key=f"cancel_{'a' * 32}").click().run()
    assert JobQueue(empty_root).get("a" * 32).state == "cancelled"
    app.button(key=f"retry_{'a' * 32}").click().run()
    assert JobQueue(empty_root).get("a" * 32).state == "queued"


def test_jobs_that_machines_share_are_listed_and_take_cancel(empty_root):
    shared = share(empty_root, {"name": "a"})
    app = run("compute/jobs")
    assert not app.exception and "Toy job" in texts(app) and "Asked for by ada" in texts(app)
    app.button(key="cancel_toy").click().run()
    assert not app.exception and shared.job("toy").state == "cancelled"
    app.button(key="retry_toy").click().run()
    assert shared.job("toy").state == "queued"
    shared.finish("toy", "part a: no sound", "Add it.")
    app = run("compute/jobs")
    assert "part a: no sound" in texts(app)


def test_paths_are_resolved_before_they_are_compared(monkeypatch, tmp_path):

    inside = tmp_path / "data"
    inside.mkdir()
    monkeypatch.setenv("BRAINDASH_ROOTS", str(inside))
    assert state.resolve_inside_roots(str(inside / "m.toml")) == inside / "m.toml"
    (inside / "link").symlink_to("/etc")
    for path in ("../secret", str(inside / ".." / "x"), str(inside / "link" / "passwd")):
        with pytest.raises(InputError, match="outside"):
            state.resolve_inside_roots(path)


def test_run_passes_revision_control_and_precision_on(empty_root, lab, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.setattr("braindash.work.needs.shutil.which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("braindash.process._torch_knows_cuda", lambda: True)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda hub_id, **options: str(lab.model)
    )
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    app = run("compute/run")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    app.selectbox(key="run_model").select("openai/whisper-small").run()
    app.text_input(key="run_revision").input("v2").run()
    app.toggle(key="run_untrained").set_value(True).run()
    app.number_input(key="run_seed").set_value(3).run()
    app.selectbox(key="run_precision").select("bf16").run()
    app.multiselect(key="run_subjects").set_value(["A"]).run()
    assert not app.exception and not app.error
    app.button(key="submit").click().run()
    [job] = JobQueue(empty_root).list()
    asked = {name: job.request[name] for name in ("model", "revision", "precision")}
    assert asked == {
        "model": "untrained:openai/whisper-small@3",
        "revision": "v2",
        "precision": "bf16",
    }


def test_run_of_a_local_folder_has_no_revision_and_takes_no_prefix(empty_root, lab, monkeypatch):
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    app = run("compute/run")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    app.selectbox(key="run_model").select("Another hub id or local folder").run()
    app.text_input(key="own_model").input(str(lab.model)).run()
    assert "run_revision" not in [field.key for field in app.text_input]
    app.text_input(key="own_model").input(f"untrained:{lab.model}").run()
    assert not app.exception and "have a switch" in texts(app)


def test_layers_of_a_run_under_way_are_shown_before_its_result(empty_root, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    told = {"model": "tiny", "subject": "S7", "data": "toy", "space": "fsaverage5"}
    r = np.full(20484, 0.25, np.float32)
    r[:100] = np.nan
    for layer in (0, 1):
        part = layer_part(np.zeros((4, len(r)), np.float32), {"r": r + layer})
        named = described(**told, simulated=True, n_layers=7, layer=layer)
        Store(empty_root).put_part(KIND, "a" * 32, f"layer-{layer:03d}", part.assign_attrs(named))
    assert "Under way" not in texts(run("explore/overview"))  # left by a run that was killed
    JobQueue(empty_root).submit("encode", "b" * 32, {}, "a job", start=False)
    app = run("explore/overview")
    assert not app.exception
    assert "Under way: tiny, subject S7" in texts(app) and "2 of 7 layers so far" in texts(app)
    (table,) = [one.value for one in app.dataframe if "median r" in one.value]
    assert table["median r"].tolist() == [0.25, 1.25]
    assert table["targets with a score"].tolist() == [20384, 20384]


def test_layers_under_way_in_a_mapped_space_are_drawn(empty_root, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    store, n_targets = Store(empty_root), 12
    surface = SurfaceMap(random_mapper(n_targets), "fsaverage5", 10242, "by a mapper")
    store.put(SURFACES, "c" * 32, spec={}, provenance={}, dataset=to_dataset(surface))
    told = {"model": "tiny", "subject": "S7", "data": "toy", "space": "native-volume"}
    part = layer_part(np.zeros((4, n_targets), np.float32), {"r": np.full(n_targets, 0.25)})
    named = described(**told, simulated=True, n_layers=7, layer=0, surface="c" * 32)
    store.put_part(KIND, "a" * 32, "layer-000", part.assign_attrs(named))
    JobQueue(empty_root).submit("encode", "b" * 32, {}, "a job", start=False)
    shown = []
    monkeypatch.setattr(under_way, "surface_viewer", lambda maps, **_: shown.append(maps))
    app = run("explore/overview")
    assert not app.exception and shown
    assert shown[0].drawn.note == "by a mapper" and shown[0].values.shape == (1, n_targets)


@pytest.fixture
def varied_root(empty_root, monkeypatch):
    """A model before and after tuning, two subjects; newer ones in other settings, controls."""
    store = Store(empty_root)
    put_result(store, model="base")
    put_result(store, model="base", subject="S2")
    put_result(store, model="tuned", seed=1)
    put_result(store, model="tuned", subject="S2", seed=1)
    fewer = StatisticsSettings(n_permutations=0, n_bootstraps=3)
    for made in (
        made_up_result(model="tuned", seed=2, delays=(2,)),
        made_up_result(model="base", seed=3, statistics=fewer),
        made_up_result(model="control", seed=4),
        made_up_result(model="untrained:base@0", seed=5),
    ):
        provenance = {**made.provenance, "created": "2026-11-24T10:00:00+00:00"}
        store.put("encoding", made.key, spec=made.spec, provenance=provenance, dataset=made.dataset)
    bases = {digest_json(name): digest_json("base") for name in ("tuned", "control")}
    monkeypatch.setattr(selecting, "tuned_bases", lambda store: bases)
    controls = frozenset({digest_json("control")})
    monkeypatch.setattr(selecting, "tuned_controls", lambda store: controls)
    return empty_root


@pytest.mark.parametrize("page", ["overview", "layers", "compare"])
def test_every_page_opens_with_the_model_before_and_after_tuning(varied_root, page):
    app = run(f"explore/{page}")
    chosen = {key: app.selectbox(key=key).value for key in ("model", "compare", "subject")}
    assert chosen == {"model": "tuned", "compare": "base", "subject": selecting.ALL_SUBJECTS}
    if page != "compare":  # which has no "none"
        app.selectbox(key="compare").set_value(selecting.NO_OTHER).run()
        assert app.selectbox(key="compare").value == selecting.NO_OTHER


def test_results_of_fewer_bootstraps_are_named_so_and_stand_behind(varied_root):
    names = [row.model for row in state.result_rows()]
    assert names.count("base · 3 bootstraps") == 1
    assert names.count("base") == 2 and not any(re.search(r"· [0-9a-f]{6}$", one) for one in names)
    menu = run("explore/layers").selectbox(key="compare")
    assert menu.value == "base" and menu.options.index("base") < len(menu.options) - 1
    varied = [one for one in menu.options if "delay" in one or "bootstraps" in one]
    assert menu.options[-len(varied) :] == varied


def test_probes_stand_beside_the_usual_result_of_their_model(varied_root):
    put_probing(Store(varied_root), model="tuned", draw=0)
    menu = run("explore/probes").selectbox(key="brain")
    assert "delay 2 TR" in menu.options[-1]
    assert "delay" not in menu.options[menu.index]


def test_a_model_of_the_address_that_is_not_here_opens_the_usual_ones(varied_root):
    usual, asked = run("explore/layers"), run("explore/layers", model="zzz")
    assert asked.selectbox(key="model").value == usual.selectbox(key="model").value
    assert asked.selectbox(key="compare").value == usual.selectbox(key="compare").value


def test_what_a_page_opens_with_leaves_what_the_address_names(varied_root):
    app = run("explore/layers", subject="S2")
    assert app.selectbox(key="subject").value == "S2"
    assert app.selectbox(key="model").value == "tuned"
    app = run("explore/layers", compare="none")
    assert app.selectbox(key="compare").value == selecting.NO_OTHER


def test_what_an_address_asks_for_and_is_not_here_is_told_once(filled_root):
    app = run("explore/layers", model="*zzz*", compare="none")
    (told,) = app.toast
    assert told.value == r"Model: \*zzz\* of the address is not offered here."
    app.run()
    assert not app.toast
    assert not run("explore/layers").toast


def test_figures_have_large_letters_for_an_audience(filled_root):
    sizes = {}
    for present in ("false", "true"):
        app = run("explore/layers", present=present)
        assert not app.exception
        figure = json.loads(app.get("plotly_chart")[0].proto.spec)
        sizes[present] = figure["layout"]["xaxis"].get("tickfont", {}).get("size", 0)
    assert sizes["true"] == 20 > sizes["false"]
