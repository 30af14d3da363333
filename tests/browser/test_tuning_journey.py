"""From the page Tuning to a tuned model in the menus, on the real demo, in a real browser."""

import pytest
from kit.site.browser import settle

from braindash.demo.dataset import prepare_demo
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.tuning.result import tuned_models

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MINUTES = 60_000  # milliseconds


@pytest.fixture
def store(tmp_path):
    """A store with the demo's data and no results."""
    prepare_demo(tmp_path / "demo")
    return tmp_path


def type_number(page, label: str, value: int) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def test_a_visitor_tunes_the_demos_model_and_scores_it(store, serve, page):
    page.goto(f"{serve(store).url}/tuning")
    # All subjects are chosen, so what it needs stands there at once.
    page.get_by_text("Will it run here?").wait_for()
    for _ in ("S3", "S2"):
        page.get_by_role("combobox", name="Subjects").press("Backspace")
    page.keyboard.press("Escape")
    page.get_by_text("Advanced", exact=True).click()
    type_number(page, "Epochs, at most", 1)
    page.get_by_text("Epochs: 0 of at most 1 are kept").wait_for()
    page.get_by_role("button", name="Start tuning").click()
    page.get_by_text("Submitted. The job goes on when you close the browser.").wait_for()
    # The run draws its epochs while it lasts; at its end the model is listed.
    page.get_by_role("heading", name="Tuned models").wait_for(timeout=5 * MINUTES)
    (model,) = tuned_models(Store(store))
    assert model.simulated and model.record["targets"].keys() == {"S1"}
    assert [epoch["epoch"] for epoch in model.record["history"]] == [0, 1]
    opened = page.locator('[data-testid="stExpander"]').filter(has_text=model.name)
    opened.get_by_text(model.name, exact=True).first.click()
    opened.locator(".js-plotly-plot").wait_for()  # another one is the run's, which is going
    # Whoever presses while the page is still drawn anew presses what is replaced.
    page.locator('.stApp[data-test-script-state="notRunning"]').wait_for()
    page.wait_for_timeout(1500)
    settle(page)
    opened.get_by_role("button", name="Score this checkpoint").click()
    page.get_by_text("Encoding jobs queued: 3.").wait_for()
    jobs = [job for job in JobQueue(store).list() if job.command == "encode"]
    assert {job.request["subject"] for job in jobs} == {"S1", "S2", "S3"}
    for job in jobs:
        JobQueue(store).cancel(job.key)
    assert not page.traffic.errors
    assert page.traffic.hosts == {"127.0.0.1"}
