"""The tuning page: from choices to a job, its live epochs, and a tuned model that can be scored."""

import json

import pytest
from kit.site.pages import run, texts
from streamlit.testing.v1 import AppTest

from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.requests import build_tune_request
from braindash.tuning.plan import plan_tuning
from braindash.tuning.result import PROGRESS_FILE
from braindash.tuning.run import run_tuning

OWN_MODEL = "Another hub id or local folder"
HISTORY = [
    {"epoch": 0, "loss": None, "validation_r": {"A": 0.1}, "seconds": 1.0},
    {"epoch": 1, "loss": 0.9, "validation_r": {"A": 0.2}, "seconds": 1.0},
]


@pytest.fixture(autouse=True)
def no_worker(monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")


def shown(app: AppTest) -> str:
    return "\n".join([texts(app), *(text.value for text in app.text)])


def opened(lab) -> AppTest:
    app = run("compute/tuning")
    app.text_input(key="manifest").input(str(lab.manifest)).run()
    app.selectbox(key="tune_model").select(OWN_MODEL).run()
    return app.text_input(key="own_model").input(str(lab.model)).run()


def chosen(lab) -> AppTest:
    app = opened(lab)
    app.multiselect(key="tune_subjects").set_value(["A", "B"]).run()
    app.selectbox(key="tune_recipe").select("published").run()
    return app.selectbox(key="tune_method").select("lora").run()


def test_an_empty_page_says_what_to_choose(empty_root):
    app = run("compute/tuning")
    assert not app.exception
    assert "Choose a data set and a model" in texts(app)
    assert "brain-tuning" in texts(app).lower()


def test_choices_become_one_job_however_often_it_is_clicked(empty_root, lab):
    app = chosen(lab)
    assert not app.exception
    assert "Epochs: 0 of at most 15 are kept" in shown(app)
    assert "the last training story, is kept for it" in shown(app)
    app.button(key="tune_submit").click().run()
    app.button(key="tune_submit").click().run()
    (job,) = JobQueue(empty_root).list()
    assert job.command == "tune" and job.request["subjects"] == ["A", "B"]
    settings = job.request["settings"]
    assert settings["adapter"]["rank"] == 8
    assert (settings["segment_trs"], settings["encoder_rate"]) == (5, 5e-5)


def test_a_control_with_words_asks_for_them(empty_root, lab):
    app = chosen(lab)
    app.selectbox(key="tune_control").select("text").run()
    assert "Name a file of word vectors" in texts(app)
    app.text_input(key="tune_words").input(str(lab.folder / "none.txt")).run()
    assert "there is no file" in texts(app)


def test_heads_steps_and_what_a_control_learns_become_the_request(empty_root, lab):
    app = chosen(lab)
    app.selectbox(key="tune_head").select("bottleneck").run()
    app.number_input(key="tune_bottleneck").set_value(7).run()
    app.number_input(key="tune_steps").set_value(40).run()
    assert app.number_input(key="tune_epochs").disabled
    app.selectbox(key="tune_control").select("speech-model").run()
    assert "Name a speech model" in texts(app)
    app.text_input(key="tune_teacher").input(str(lab.model)).run()
    app.number_input(key="tune_teacher_layer").set_value(1).run()
    assert not app.exception and not app.error
    app.button(key="tune_submit").click().run()
    (job,) = JobQueue(empty_root).list()
    settings = job.request["settings"]
    assert (settings["head"], settings["bottleneck"], settings["steps"]) == ("bottleneck", 7, 40)
    assert (job.request["control"], job.request["teacher_layer"]) == ("speech-model", 1)
    assert job.request["teacher"] == str(lab.model)
    app.selectbox(key="tune_control").select("language-model").run()
    assert "Name the folder of a text model" in texts(app)
    app.selectbox(key="tune_control").select("stimulus").run()
    assert not app.exception and not app.error


def test_what_cannot_be_tuned_is_said(empty_root, lab):
    app = chosen(lab)
    app.selectbox(key="tune_targets").select("train-repeats").run()
    assert not app.exception
    assert "no noise ceiling can choose targets" in texts(app)
    app.selectbox(key="tune_targets").select("regions").run()
    assert "no region is named" in texts(app)
    app.multiselect(key="tune_regions").select("late_language").run()
    assert "there is no region 'late_language' in the space roi" in texts(app)


def test_the_epochs_of_a_job_are_drawn_as_they_come(empty_root, lab):
    chosen(lab).button(key="tune_submit").click().run()
    (job,) = JobQueue(empty_root).list()
    assert not run("compute/tuning").get("plotly_chart")
    folder = Store(empty_root).parts_folder("tuning", job.key)
    folder.mkdir(parents=True)
    (folder / PROGRESS_FILE).write_text(
        json.dumps({"epochs": 15, "history": HISTORY, "simulated": False})
    )
    app = run("compute/tuning")
    assert not app.exception and len(app.get("plotly_chart")) == 1
    (folder / PROGRESS_FILE).write_text("{")
    app = run("compute/tuning")
    assert not app.exception and not app.get("plotly_chart")


@pytest.fixture
def tuned(empty_root, lab):
    request = build_tune_request(
        data=lab.manifest,
        model=str(lab.model),
        subjects=("A",),
        window_trs=3,
        segment_trs=8,
        epochs=1,
        control="shuffled",
        device="cpu",
    )
    assert plan_tuning(request).warnings
    return run_tuning(request, Store(empty_root))


def test_a_tuned_model_is_shown_scored_and_in_the_menus(empty_root, lab, tuned):
    app = opened(lab)
    assert not app.exception
    assert tuned.folder.name in [box.label for box in app.expander]
    assert "CONTROL (shuffled)" in texts(app) and "never trained on: well" in texts(app)
    app.button(key=f"score_{tuned.folder.name}").click().run()
    jobs = JobQueue(empty_root).list()
    assert sorted(job.request["subject"] for job in jobs) == ["A", "B"]
    assert {job.request["model"] for job in jobs} == {str(tuned.folder)}
    assert [message.value for message in app.success] == ["Encoding jobs queued: 2."]
    name = f"{tuned.folder.name} (tuned here)"
    for page, key in (("compute/tuning", "tune_model"), ("compute/run", "run_model")):
        assert name in run(page).selectbox(key=key).options


def test_a_damaged_record_does_not_take_the_page_down(empty_root, tuned):
    (tuned.folder / "tuning.json").write_text("{")
    app = run("compute/tuning")
    assert not app.exception and tuned.folder.name not in [box.label for box in app.expander]
    assert any(str(tuned.folder) in code.value for code in app.code)
