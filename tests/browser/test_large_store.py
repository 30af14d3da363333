"""A lab's whole store: 500 results, 40 subjects, 25 layers, in a real browser."""

import re
import shutil

import pytest
from kit.results.large_store import N_LAYERS, make_large_store
from kit.site.browser import settle

pytestmark = pytest.mark.browser
VIEWER = ".braindash-viewer[data-ready]"


@pytest.fixture(scope="module")
def url(serve, tmp_path_factory):
    return serve(make_large_store(tmp_path_factory.mktemp("large") / "store").root).url


def test_one_of_500_results_is_found_and_opened(page, url):
    page.goto(url)
    page.wait_for_selector(VIEWER)
    page.get_by_role("heading", name="Results (500)").wait_for()
    page.get_by_label("Filter").fill("wavlm-large sub-07")
    page.keyboard.press("Enter")
    page.get_by_text("1 of 500 results").wait_for()
    grid = page.locator('.st-key-results [data-testid="stDataFrame"]')
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    page.mouse.click(box["x"] + 20, box["y"] + 52)  # the box at the head of the only row
    page.get_by_text(re.compile("wavlm-large · subject sub-07")).first.wait_for()
    assert "subject=sub-07" in page.url and "model=wavlm-large" in page.url
    assert page.locator('[data-part="layer"]').get_attribute("max") == str(N_LAYERS - 1)
    # A menu of forty is searched by typing.
    page.get_by_role("combobox", name="Subject").click()
    page.keyboard.type("sub-31")
    page.keyboard.press("Enter")
    page.get_by_text(re.compile("subject sub-31")).first.wait_for()
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


@pytest.mark.campaign
def test_damage_and_an_address_with_nonsense_hide_nothing_else(page, serve, tmp_path):
    store = make_large_store(tmp_path / "store", models=("one", "two"), n_subjects=2, n_more=0)
    folders = sorted((store.root / "encoding").iterdir())
    (folders[0] / "spec.json").write_text("{")
    shutil.rmtree(store.root / "drawn")
    nonsense = (
        "layer=abc&target=-5&threshold=x&turn=1_2&saved=!!!&views=__proto__&display=constructor"
    )
    page.goto(f"{serve(store.root).url}/?subject=nobody&model=%3Cscript%3E&low=9&high=1&{nonsense}")
    page.wait_for_selector(VIEWER)
    page.get_by_role("heading", name="Results (3)").wait_for()
    page.get_by_text("Damaged and not shown: 1").wait_for()
    settle(page)
    last = page.locator('[data-part="layer-name"]').text_content()
    assert last == f"layer {N_LAYERS - 1}", "what an address does not say is as usual"
    assert page.locator('[data-testid="stException"]').count() == 0 and not page.traffic.errors
