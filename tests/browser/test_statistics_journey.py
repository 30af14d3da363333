"""Significance, ceilings, preferred layers and a second model, in a real browser."""

import pytest
from kit.results.made_up import put_result
from kit.site.browser import open_cortex, pixels, settle

from braindash.io.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def two_models(tmp_path_factory):
    """A store with two models of two subjects, made up and stamped so."""
    root = tmp_path_factory.mktemp("made-up") / "store"
    for seed, model in enumerate(("toy-model", "toy-tuned")):
        for subject in ("S1", "S2"):
            put_result(Store(root), model=model, subject=subject, seed=seed)
    return root


@pytest.fixture
def page(page):
    """The shared page, which waits longer: a busy machine takes a minute to a first chart."""
    page.set_default_timeout(180_000)
    return page


def pick(page, label: str, option: str) -> None:
    """Choose an option of a menu as a user does."""
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option, exact=True).click()


def wait_for_maps(page, before: str) -> None:
    """Wait until the viewer shows other maps than those it had."""
    page.wait_for_function(
        "([e, before]) => e.dataset.ready !== before",
        arg=[page.locator(".braindash-viewer").element_handle(), before],
    )
    settle(page)


def shown_maps(page) -> str:
    return page.locator(".braindash-viewer").get_attribute("data-ready")


def test_the_mask_and_its_level_change_the_surface_and_the_address(two_models, serve, page):
    server = serve(two_models)
    open_cortex(page, server, "?model=toy-model&subject=S1&layer=1")
    settle(page)
    seen = [pixels(page)]
    for label, option, address in (
        ("Map", "score where significant", "map=significant"),
        ("Significant", "q ≤ 0.001", "q=0.001"),
    ):
        before = shown_maps(page)
        pick(page, label, option)
        wait_for_maps(page, before)
        seen.append(pixels(page))
        assert address in page.url
    assert len(set(seen)) == 3
    page.get_by_text("q > 0.001").first.wait_for()
    page.get_by_text("SIMULATED DATA").first.wait_for()
    assert not page.traffic.errors


def test_preferred_layers_are_masked_by_how_sure_they_are(two_models, serve, page):
    server = serve(two_models)
    pictures = []
    for sure in ("0", "0.9"):
        open_cortex(page, server, f"?model=toy-model&subject=S1&map=preferred&sure={sure}")
        page.get_by_text("At least this sure").wait_for()
        settle(page)
        pictures.append(pixels(page))
    assert pictures[0] != pictures[1]
    page.get_by_text("less than 90% sure").first.wait_for()
    assert page.locator('[data-part="label"]').text_content().startswith("preferred layer")


def test_a_ceiling_is_chosen_and_named_in_the_details(two_models, serve, page):
    server = serve(two_models)
    page.goto(f"{server.url}/layers?model=toy-model&subject=S1&score=r+%2F+ceiling")
    page.get_by_role("button", name="Regions, ceiling").click()
    pick(page, "Noise ceiling", "inter-subject")
    page.wait_for_function("() => location.search.includes('ceiling=inter-subject')")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Details").first.click()
    page.get_by_text("ceiling: inter-subject on story with 1 other subject").first.wait_for()


def test_a_second_model_has_dashed_curves_and_a_difference(two_models, serve, page):
    server = serve(two_models)
    page.goto(f"{server.url}/layers?model=toy-model&subject=S1")
    page.locator(".js-plotly-plot .legend").first.wait_for()
    assert page.get_by_role("heading", name="A minus B").count() == 0
    pick(page, "Compare with", "toy-tuned")
    page.get_by_role("heading", name="A minus B").wait_for()
    page.get_by_text("toy-model minus toy-tuned").first.wait_for()
    legend = page.locator(".js-plotly-plot .legend").first.text_content()
    assert "A: toy-model" in legend and "B: toy-tuned" in legend
    assert "compare=toy-tuned" in page.url
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors
