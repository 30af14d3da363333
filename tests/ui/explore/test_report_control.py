"""The page Overview makes a report when it is asked for, and says how large it is."""

from kit.results.made_up import put_result
from kit.results.made_up_store import empty_root, filled_root
from kit.site.pages import run, texts

from braindash.io.store import Store

__all__ = ["empty_root", "filled_root"]


def test_a_report_is_made_when_asked_and_of_what_is_looked_at(filled_root):
    app = run("explore/overview", model="toy-tuned", compare="toy-model", subject="S1")
    assert "Make the report" not in [one.label for one in app.button], "nothing until it is opened"
    app.session_state["report"] = True
    app.run()
    assert not app.exception
    further = app.multiselect(key="report_further")
    assert len(further.options) == 1 and "toy-model, S2" in further.options[0]
    (button,) = [one for one in app.button if one.label == "Make the report"]
    assert not app.get("download_button") or "results, maps of" not in texts(app)
    button.click().run()
    assert not app.exception and "2 results, maps of 2 models" in texts(app)
    app.checkbox(key="report_limited").check().run()
    assert "2 results, maps of 2 models" not in texts(app), "another choice is another report"


def test_results_that_nothing_can_draw_have_a_report_too(empty_root):
    put_result(Store(empty_root), space="roi")
    app = run("explore/overview")
    app.session_state["report"] = True
    app.run()
    (button,) = [one for one in app.button if one.label == "Make the report"]
    button.click().run()
    assert not app.exception and "1 result, maps of 0 models" in texts(app)
