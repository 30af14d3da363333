"""The page Studies: what is stored and missing of a study, its figures, what it offers."""

from contextlib import nullcontext

import numpy as np
import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.lab_study import write_study
from kit.results.made_up_study import FOLDER, MODELS, put_study
from kit.results.statistics_store import figures
from kit.site.pages import run, takes, texts

from braindash.exports.studies.items import FIGURES
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.studies.results import StudyResults
from braindash.studies.summaries import Chosen, bar_table
from braindash.ui.studies import drawing
from braindash.ui.take_away import table_of
from braindash.views.studies.panels import panels

PAGE = "explore/studies"
FEW = (MODELS[0], *MODELS[2:])


@pytest.fixture
def filled(empty_root):
    record = put_study(empty_root, models=FEW, space="roi", features=True)
    return empty_root, record


def test_without_a_study_it_says_what_one_is_and_how_to_get_one(empty_root):
    app = run(PAGE)
    assert not app.exception
    assert "No study yet" in app.header[0].value and "braindash study run" in texts(app)
    assert app.button(key="study_demo").label.startswith("Look up the embedded study")
    assert app.button(key="study_look").disabled


def test_every_figure_is_drawn_with_its_line_and_taken_away(filled, monkeypatch):
    offered = takes(monkeypatch)
    app = run(PAGE)
    assert not app.exception and "16** results are stored" in texts(app)
    assert "SIMULATED DATA" in texts(app)
    menu = app.segmented_control(key="figure")
    absent = (
        "low level, its parts, tuning curves, hours, ranks, hemispheres, four that vary settings"
    )
    assert len(menu.options) == len(FIGURES) - 10, f"all but {absent}"
    for name in ("bars", "transfer", "drift"):
        app.segmented_control(key="figure").set_value(name).run()
        assert not app.exception, name
        assert len(figures(app)) == 1 and "study made-up" in texts(app)
        assert len(table_of(offered[name]))
    assert app.query_params["figure"] == "drift", "the address is the share link"
    assert {"bars-subjects", "bars-comparisons"} <= set(offered)
    root, record = filled
    found = StudyResults.open(record, Store(root))
    expected = bar_table(found, Chosen("default", ("all targets",)))
    np.testing.assert_allclose(table_of(offered["bars"])["alignment"], expected["alignment"])


def test_group_maps_are_pictures_with_their_tables(empty_root, monkeypatch):
    offered = takes(monkeypatch)
    put_study(empty_root, models=FEW[:1])
    app = run(PAGE, figure="group-maps")
    assert not app.exception and "SIMULATED DATA" in texts(app)
    assert {"group-mean", "group-maps", "group-targets"} <= set(offered)
    assert offered["group-mean"].picture is not None
    assert len(table_of(offered["group-targets"])) == 20459
    assert "sign flips (8 patterns, all) with the largest t" in texts(app)


def test_choices_change_the_numbers_and_are_said(filled, monkeypatch):
    offered = takes(monkeypatch)
    app = run(PAGE, figure="bars")
    before = table_of(offered.pop("bars"))
    app.selectbox(key="study_layers").set_value("last").run()
    after = table_of(offered.pop("bars"))
    assert not np.allclose(before["alignment"], after["alignment"])
    assert "the last layer" in texts(app)
    app.segmented_control(key="score").set_value("r / ceiling")
    app.segmented_control(key="figure").set_value("curves")
    app.selectbox(key="study_bands").set_value("se").run()
    assert set(table_of(offered.pop("curves"))["measure"]) == {"r_over_ceiling"}
    assert "standard errors over subjects" in texts(app)


def test_what_is_missing_is_said_and_a_shared_study_cannot_be_computed(filled):
    root, record = filled
    store = Store(root)
    for key in list(record.keys.values())[:3]:
        store.set_aside("encoding", key)
    app = run(PAGE)
    assert not app.exception and "13 of 16" in texts(app)
    assert app.expander[0].label == "Missing: 3"
    assert list(app.dataframe[0].value["subject"]) == ["S1", "S2", "S3"]
    assert "file is not on this machine" in texts(app)
    (root / FOLDER / "torn.json").write_text("{")
    assert "Damaged and not shown: 1" in [one.label for one in run(PAGE).expander]


def test_a_file_is_looked_up_and_its_results_are_queued(
    empty_root, tmp_path, quick_model, monkeypatch
):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda queue: None)
    monkeypatch.setenv("BRAINDASH_ROOTS", str(tmp_path))
    path = write_study(make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES))
    app = run(PAGE)
    app.text_input(key="study_file").set_value(str(tmp_path / "none.toml")).run()
    app.button(key="study_look").click().run()
    assert "none.toml" in app.error[0].value
    app.text_input(key="study_file").set_value(str(path)).run()
    app.button(key="study_look").click().run()
    assert not app.exception and "0 of 4" in texts(app)
    app.button(key="study_cost").click().run()
    assert "the missing ones take at most about" in texts(app)
    app.button(key="study_compute").click().run()
    assert not app.exception and "4 jobs are queued" in app.success[0].value
    assert len(JobQueue(empty_root).list()) == 4
    path.write_text(path.read_text().replace("A toy study", "Another title"))
    again = run(PAGE)
    assert "was changed since" in again.info[0].value
    again.button(key="study_again").click().run()
    assert again.selectbox(key="study").options == ["Another title"]


def test_a_figure_that_needs_width_has_a_place_that_is_scrolled_on_a_phone():
    several = drawing.scrolled_if_wide(panels(["one", "two"]), "several")
    alone = panels(["one"])
    assert not isinstance(several, nullcontext)
    assert isinstance(drawing.scrolled_if_wide(alone, "alone"), nullcontext)
    for number in range(9):
        alone.add_annotation(x=0, y=number, text="1 / 1 / .5")
    assert not isinstance(drawing.scrolled_if_wide(alone, "noted"), nullcontext)
