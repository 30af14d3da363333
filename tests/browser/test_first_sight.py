"""What a visitor sees first, on a screen, for an audience and on a phone, and can read."""

import pytest
from kit.results.made_up import put_result
from kit.site.browser import check_words, pixels, settle

from braindash.io.store import Store

pytestmark = pytest.mark.browser
VIEWER = ".braindash-viewer[data-ready]"
PAGES = ("", "layers", "cortex", "compare", "probes", "data", "run", "tuning", "jobs")
NARROW = {"phone": 390, "1280 pixels at 200 %": 640}


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


def test_an_audience_sees_the_figure_alone_and_keys_do_everything(page, url, chromium):
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
    page.wait_for_timeout(1000)  # software graphics draw smooth edges when nothing moves
    seen = pixels(page)
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    other = context.new_page()  # of somebody who was sent the link
    other.goto(page.url)
    other.wait_for_selector(".braindash-viewer.present[data-ready]", timeout=60_000)
    other.wait_for_timeout(1500)
    assert part(other, "saved").locator("button").count() == 1
    assert part(other, "layer-name").text_content() == kept and pixels(other) == seen
    context.close()
    page.keyboard.press("p")
    page.get_by_role("combobox", name="Model").wait_for()


def test_a_clicked_vertex_of_the_first_page_leads_to_its_curves(page, url):
    opened(page, url, "?model=toy-tuned&compare=toy-model&subject=S1", width=1440, height=1000)
    box = part(page, "canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.get_by_role("link", name="The clicked vertex in every layer").click()
    title = page.locator(".js-plotly-plot .gtitle").first
    title.wait_for()
    assert title.text_content().startswith("left vertex")
    assert "/compare" in page.url and "target=" in page.url and "subject=S1" in page.url


def test_a_picture_is_saved_with_its_source(page, url):
    opened(page, url, "cortex?model=toy-model&subject=S1")
    with page.expect_download() as told:
        part(page, "picture").click()
    assert told.value.suggested_filename == "braindash-cortex.png"
    assert told.value.path().read_bytes().startswith(b"\x89PNG")


# Those with most beside each other; the campaign opens the others.
WIDEST = ("", "compare", "layers")
NARROWED = [
    name if name in WIDEST else pytest.param(name, marks=pytest.mark.campaign) for name in PAGES
]


@pytest.mark.parametrize("name", NARROWED)
def test_narrow_windows_need_no_scrolling_sideways(page, url, name):
    page.set_viewport_size({"width": NARROW["phone"], "height": 844})
    page.goto(f"{url}/{name}")
    page.get_by_role("heading", level=1).wait_for()
    page.wait_for_timeout(1000)
    for said, width in NARROW.items():
        page.set_viewport_size({"width": width, "height": 700})
        page.wait_for_timeout(300)
        main = "document.querySelector('[data-testid=stMain]').scrollWidth"
        assert page.evaluate(main) <= width, said


@pytest.mark.parametrize(("name", "scheme"), [("", "light"), ("layers", "dark")])
def test_words_have_contrast_and_headings_their_order(page, url, name, scheme):
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{url}/{name}")
    page.locator(".js-plotly-plot").first.wait_for()
    page.wait_for_timeout(1000)
    check_words(page)
