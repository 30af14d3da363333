"""What a visitor sees first, on a screen, for an audience and on a phone, and can read."""

from io import BytesIO

import pandas as pd
import pytest
from kit.browser import check_words, settle
from kit.made_up import made_up_result, put_result

from braindash.io.store import Store

pytestmark = pytest.mark.browser
VIEWER = ".braindash-viewer[data-ready]"
WIDEST = ("", "compare", "tuning")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two models of two subjects, made up and stamped so."""
    root = tmp_path_factory.mktemp("first") / "store"
    for seed, model in enumerate(("toy-tuned", "toy-model")):
        for subject in ("S1", "S2"):
            put_result(Store(root), model=model, subject=subject, seed=seed)
    return root


@pytest.fixture(scope="module")
def url(serve, store):
    return serve(store).url


def part(page, name):
    return page.locator(f'[data-part="{name}"]')


def opened(page, url, address="", **size):
    if size:
        page.set_viewport_size(size)
    page.goto(f"{url}/{address}")
    page.wait_for_selector(VIEWER)
    settle(page)


def test_brains_curves_and_words_are_seen_without_scrolling(page, url):
    opened(page, url, "?model=toy-tuned&compare=toy-model&subject=S1", width=1440, height=1000)
    page.get_by_text("In late language the last layer").wait_for()
    page.locator(".js-plotly-plot").first.wait_for()
    canvas = part(page, "canvas").bounding_box()
    assert canvas["y"] + canvas["height"] < 1000 and canvas["height"] > 380
    names = [name.text_content() for name in page.locator(".title .name").all()]
    assert names == ["A: toy-tuned", "B: toy-model"]
    labels = set(page.locator(".labels span").all_text_contents())
    assert "Late language" in labels, "an outlined region is named on the surface"
    assert page.get_by_text("SIMULATED DATA").first.is_visible()
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


def test_an_audience_sees_the_figure_alone_and_keys_do_everything(page, url):
    opened(page, url, "cortex?model=toy-model&subject=S1", width=1440, height=900)
    page.keyboard.press("p")
    page.wait_for_function("() => location.search.includes('present=true')")
    page.wait_for_selector(".braindash-viewer.present")
    assert not page.get_by_role("combobox", name="Model").is_visible()
    assert not page.get_by_role("link", name="Layers").first.is_visible()
    name = part(page, "layer-name")
    last = name.text_content()
    page.keyboard.press("ArrowLeft")
    assert name.text_content() != last
    page.keyboard.press("s")
    kept = name.text_content()
    page.keyboard.press("v")
    page.keyboard.press("ArrowLeft")
    assert name.text_content() != kept
    page.keyboard.press("1")
    assert name.text_content() == kept and part(page, "views").input_value() == "four"
    page.wait_for_function("() => location.search.includes('saved=layer')")
    page.goto(page.url)  # the link opens the same view
    page.wait_for_selector(".braindash-viewer.present[data-ready]")
    assert part(page, "saved").locator("button").count() == 1
    assert name.text_content() == kept
    page.keyboard.press("p")
    page.get_by_role("combobox", name="Model").wait_for()


def test_a_picture_is_saved_with_its_source(page, url):
    opened(page, url, "cortex?model=toy-model&subject=S1")
    with page.expect_download() as told:
        part(page, "picture").click()
    assert told.value.suggested_filename == "braindash-cortex.png"
    assert told.value.path().read_bytes().startswith(b"\x89PNG")


def test_a_figure_leaves_with_the_numbers_that_it_shows(page, url):
    page.goto(f"{url}/layers?model=toy-model&subject=S1")
    page.locator(".js-plotly-plot").first.wait_for()
    assert not page.get_by_role("button", name="Parquet").count(), "offered when it is asked for"
    page.locator(".st-key-take_curves button").first.click()
    files = {}
    for form in ("Parquet", "SVG"):
        with page.expect_download() as told:
            page.get_by_role("button", name=form, exact=True).click()
        files[form] = told.value.path().read_bytes()
        assert told.value.suggested_filename.endswith(f"-curves.{form.lower()}")
    table = pd.read_parquet(BytesIO(files["Parquet"]))
    expected = made_up_result(model="toy-model", subject="S1", seed=1).regions()
    pd.testing.assert_series_equal(table["r"], expected["r"], check_dtype=False)
    assert b"SIMULATED DATA" in files["SVG"] and table["simulated"].all()
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


@pytest.mark.parametrize("name", WIDEST)
def test_a_phone_needs_no_scrolling_sideways(page, url, name):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{url}/{name}")
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_timeout(1500)
    width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
    assert width <= 390


@pytest.mark.parametrize(("name", "scheme"), [("", "light"), ("layers", "dark")])
def test_words_have_contrast_and_headings_their_order(page, url, name, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{url}/{name}")
    page.locator(".js-plotly-plot").first.wait_for()
    page.wait_for_timeout(1000)
    check_words(page)
