"""Every page of the dashboard has a section, and every control is named where it stands."""

import ast
import re

import pytest
from kit.documents import ROOT
from kit.results.made_up import put_result
from kit.results.made_up_probing import put_probing
from kit.results.made_up_store import empty_root, filled_root
from kit.results.made_up_story import put_story
from kit.results.made_up_study import MODELS, put_study
from kit.site.pages import run

from braindash.io.store import Store
from braindash.jobs.queue import JobQueue

__all__ = ["empty_root", "filled_root"]

TEXT = " ".join((ROOT / "docs" / "dashboard.md").read_text().split())
SECTIONS = dict(re.findall(r" ## (\w+) (.*?)(?= ## |$)", TEXT))
SHARED = TEXT.partition(" ## ")[0]
CONTROLS = (
    *("button", "checkbox", "multiselect", "number_input", "radio", "segmented_control"),
    *("select_slider", "selectbox", "slider", "text_input", "toggle", "download_button"),
)
# Functions of the package whose first text is a control's label.
OWN = ("choose", "menu")
# A label that names a model or a number begins with this.
STARTS = ("Layer of", "Start")
PAGES = {
    "explore/overview": [{}, {"result": "none"}],
    "explore/layers": [{}, {"compare": "toy-tuned", "subject": "S1"}],
    "explore/cortex": [{}, {"map": "preferred"}, {"compare": "toy-tuned", "subject": "S1"}],
    "explore/compare": [{}, {"subject": "S1"}],
    "explore/story": [{}, {"compare": "toy-tuned", "subject": "S1"}, {"heard": "sound"}],
    "explore/probes": [{}, {"compare": "toy-other"}],
    "explore/studies": [{}, {"figure": "bars"}],
    "explore/data": [{}],
    "compute/run": [{}, {"work": "Probe"}],
    "compute/tuning": [{}],
    "compute/jobs": [{}],
}


def titles() -> list[str]:
    """Titles of the pages in the navigation."""
    calls = list(ast.walk(ast.parse((ROOT / "app.py").read_text())))
    pages = [node for node in calls if isinstance(node, ast.Call) and is_named(node, ["Page"])]
    return [keyword.value.value for call in pages for keyword in call.keywords
            if keyword.arg == "title"]  # fmt: skip


def is_named(call: ast.Call, names) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in names


def written_labels() -> set[str]:
    """Labels of controls as the source has them, whatever the state that shows them."""
    found = set()
    for folder in ("pages", "braindash/ui"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and node.args and is_named(node, CONTROLS + OWN):
                    found |= texts_of(node.args[0])
    return found


def texts_of(argument: ast.expr) -> set[str]:
    if isinstance(argument, ast.IfExp):
        return texts_of(argument.body) | texts_of(argument.orelse)
    if isinstance(argument, ast.JoinedStr):
        return texts_of(argument.values[0])
    return {argument.value.strip()} if isinstance(argument, ast.Constant) else set()


def shown_labels(page: str, query: dict[str, str]) -> set[str]:
    app = run(page, **query)
    assert not app.exception, app.exception
    found = {one.label for kind in CONTROLS for one in app.get(kind) if hasattr(one, "label")}
    return {next((start for start in STARTS if label.startswith(f"{start} ")), label)
            for label in found}  # fmt: skip


def test_every_page_of_the_navigation_has_a_section_and_no_other():
    assert sorted(SECTIONS) == sorted(titles())


@pytest.mark.parametrize("page", PAGES)
def test_every_control_that_a_page_shows_is_named_in_its_section(page, filled_root, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    store = Store(filled_root)
    put_result(store, model="toy-third", subject="S1", seed=7)
    put_story(store, filled_root / "data")
    put_study(filled_root, models=MODELS[:2], space="roi", features=True)
    put_probing(store, model="toy-model")
    put_probing(store, model="toy-other", draw=1)
    JobQueue(filled_root).submit("encode", "a" * 32, {}, "Toy job", start=False)
    section = SHARED + SECTIONS[page.split("/")[1].capitalize()]
    labels = set().union(*(shown_labels(page, query) for query in PAGES[page]))
    assert labels, "a page without controls?"
    assert not [label for label in sorted(labels) if f"**{label}" not in section]


def test_every_control_of_the_source_is_named_somewhere():
    labels = written_labels()
    assert len(labels) > 50
    assert not [label for label in sorted(labels) if f"**{label}" not in TEXT]
