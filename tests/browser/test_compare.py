"""The page Compare in a real browser: linked panels, their difference, and nothing sent."""

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from kit.results.made_up import N_LAYERS, made_up_result
from matplotlib import image as mpimg

from braindash.io.store import Store

pytestmark = pytest.mark.browser
ADDRESS = "/compare?model=toy&compare=tuned&subject=S1"
VIEWER = ".braindash-viewer[data-ready]"
PANELS = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two models: toy predicts the left late language regions, tuned the right ones.

    Layer l of either has r = 0.2 + 0.1 l there and 0.02 elsewhere.
    """
    root = tmp_path_factory.mktemp("compare") / "store"
    for seed, (model, side) in enumerate(
        (("toy", slice(None, 10242)), ("tuned", slice(10242, None)))
    ):
        made = made_up_result(model=model, seed=seed)
        r = made.dataset["r"].values
        r[np.isfinite(r)] = 0.02
        inside = np.zeros(r.shape[1], dtype=bool)
        inside[side] = made.masks["late_language"][side]
        r[:, inside] = 0.2 + 0.1 * np.arange(N_LAYERS)[:, None]
        Store(root).put(
            "encoding", made.key, spec=made.spec, provenance=made.provenance, dataset=made.dataset
        )
    return root


@pytest.fixture
def compare(page, serve, store):
    """Open the page: with its surfaces drawn."""
    page.set_viewport_size({"width": 1440, "height": 1400})  # so that all panels can be clicked
    page.goto(serve(store).url + ADDRESS)
    page.wait_for_selector(VIEWER)
    settle(page)
    return page


def settle(page):
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def part(page, name):
    return page.locator(f'[data-part="{name}"]')


def titles(page):
    return [title.text_content() for title in page.locator(".title .at").all()]


def wait_for_address(page, text):
    page.wait_for_function("t => location.search.includes(t)", arg=text)


def set_slider(page, where, value):
    where.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value)
    settle(page)


def panels(page):
    """Give the drawn pixels of every panel, RGBA from 0 to 1, title left out."""
    url = part(page, "canvas").evaluate("c => c.toDataURL('image/png')")
    pixels = mpimg.imread(io.BytesIO(base64.b64decode(url.split(",")[1])))
    scale = pixels.shape[1] / part(page, "canvas").bounding_box()["width"]
    cuts = []
    for title in page.locator(".title").all():
        left, top, width = title.evaluate("e => [e.offsetLeft, e.offsetTop, e.offsetWidth]")
        height = part(page, "canvas").bounding_box()["height"] / PANELS
        rows = slice(round((top + 34) * scale), round((top + height) * scale) - 1)
        cuts.append(pixels[rows, round(left * scale) : round((left + width) * scale)])
    return cuts


def coloured(pixels):
    """Say which pixels are neither background nor grey cortex."""
    return (pixels[..., 3] > 0.9) & (np.ptp(pixels[..., :3], axis=-1) > 0.12)


def halves(pixels):
    middle = pixels.shape[1] // 2
    return pixels[:, :middle], pixels[:, middle:]


def test_each_panel_shows_its_model_and_the_last_one_their_difference(compare):
    names = [name.text_content() for name in compare.locator(".title .name").all()]
    assert names == ["A: toy", "B: tuned", "A minus B"]
    assert part(compare, "stamp").is_visible()
    (a_left, a_right), (b_left, b_right), (left, right) = map(halves, panels(compare))
    assert coloured(a_left).sum() > 200 and coloured(a_right).sum() == 0
    assert coloured(b_right).sum() > 200 and coloured(b_left).sum() == 0
    # A predicts better on the left (red), B on the right (blue).
    for cut, channel, other in ((left, 0, 2), (right, 2, 0)):
        patch = cut[coloured(cut)]
        assert len(patch) > 200 and (patch[:, channel] > patch[:, other]).mean() > 0.95


def test_models_mix_as_inks_with_a_key(compare):
    assert part(compare, "mix-scale").is_hidden()
    before = compare.traffic.rest(compare)
    compare.get_by_text("Mixed colours", exact=True).click()
    compare.locator(".title .name", has_text="mixed").wait_for()
    assert compare.traffic.rest(compare) - before < 60_000, "no map travels again"
    key = part(compare, "inks").locator("span")
    assert key.all_text_contents() == ["A: toy", "B: tuned"]
    compare.locator(VIEWER).press("m")  # alone
    settle(compare)
    assert compare.locator(".title").count() == 0
    url = part(compare, "canvas").evaluate("c => c.toDataURL('image/png')")
    left, right = halves(mpimg.imread(io.BytesIO(base64.b64decode(url.split(",")[1]))))
    pink, gold = (cut[coloured(cut)] for cut in (left, right))
    assert len(pink) > 300 and (pink[:, 0] > pink[:, 2]).all() and (pink[:, 2] > pink[:, 1]).all()
    assert len(gold) > 300 and (gold[:, 1] > gold[:, 2]).all()
    wait_for_address(compare, "mixed=true")


def test_dragging_one_panel_turns_the_others(compare):
    before = panels(compare)
    box = part(compare, "canvas").bounding_box()
    compare.mouse.move(box["x"] + 120, box["y"] + 100)
    compare.mouse.down()
    compare.mouse.move(box["x"] + 200, box["y"] + 130, steps=4)
    compare.mouse.up()
    settle(compare)
    after = panels(compare)
    for one, two in zip(before, after, strict=True):
        assert np.abs(one - two).mean() > 0.01, "every panel turns"
    # Without the colours all panels show the same brain; its rim falls between pixels.
    ground = [cut[..., 3] for cut in after]
    assert all((ground[0] != other).mean() < 0.01 for other in ground[1:])
    wait_for_address(compare, "turn=")
    assert compare.locator(".js-plotly-plot .gtitle").count() == 0, "a drag is no click"


def test_the_slider_moves_all_panels_but_a_held_one_and_sends_nothing(compare):
    last = N_LAYERS - 1
    assert titles(compare) == [f"layer {last}"] * 3
    before = compare.traffic.rest(compare)
    set_slider(compare, part(compare, "layer"), 1)
    assert titles(compare) == ["layer 1"] * 3
    compare.locator(".title .hold input").nth(1).check()
    set_slider(compare, part(compare, "layer"), 0)
    assert titles(compare) == ["layer 0", "layer 1", "layer 0 minus layer 1"]
    own = compare.locator('.title input[type="range"]').nth(1)
    set_slider(compare, own, 3)
    assert titles(compare) == ["layer 0", "layer 3", "layer 0 minus layer 3"]
    row = compare.locator("button.region", has_text="Late language")
    # Half of the region has 0.2 with A; the other half 0.5 with B.
    values = [float(cell.text_content()) for cell in row.locator(".value").all()]
    assert values[1] > values[0] + 0.1
    text = row.locator(".difference").text_content().replace("−", "-")
    assert float(text.split()[0]) == pytest.approx(values[0] - values[1], abs=0.0011)
    assert re.search(r"\[[-+]\d\.\d+, [-+]\d\.\d+\]", text), "with its interval"
    pictures = [panels(compare)]
    for name, value in (("threshold", 0.3), ("unfold", 1), ("unfold", 0)):
        set_slider(compare, part(compare, name), value)
        pictures.append(panels(compare))
    part(compare, "colours").select_option("viridis")
    settle(compare)
    compare.locator("button.region").nth(3).click()
    compare.mouse.wheel(0, -100)
    compare.wait_for_timeout(500)
    assert compare.traffic.bytes == before, "a change on the surfaces talked to the server"
    wait_for_address(compare, "hold=B3")
    assert compare.traffic.hosts == {"127.0.0.1"} and not compare.traffic.errors


def test_one_threshold_hides_in_all_panels(compare):
    set_slider(compare, part(compare, "threshold"), 0.45)
    assert all(coloured(cut).sum() > 100 for cut in panels(compare))
    set_slider(compare, part(compare, "layer"), 1)
    assert [coloured(cut).sum() for cut in panels(compare)] == [0, 0, 0]


def click_patch(page, panel):
    """Click into the coloured patch of a panel's left half."""
    cut = panels(page)[panel]
    rows, columns = np.nonzero(coloured(halves(cut)[0]))
    row, column = float(rows[len(rows) // 2]), float(columns[len(rows) // 2])
    left, top = page.locator(".title").nth(panel).evaluate("e => [e.offsetLeft, e.offsetTop]")
    box = part(page, "canvas").bounding_box()
    page.mouse.click(box["x"] + left + column, box["y"] + top + 34 + row)


def test_a_click_in_any_panel_gives_the_curves_of_all_models(compare):
    compare.locator(".title .hold input").nth(0).check()
    set_slider(compare, part(compare, "layer"), 1)
    click_patch(compare, 2)
    title = compare.locator(".js-plotly-plot .gtitle").first
    title.wait_for()
    assert re.match(r"left vertex \d+ · .*Late language", title.text_content())
    legend = compare.locator(".js-plotly-plot").first.locator(".legendtext")
    assert legend.all_text_contents() == ["A: toy", "B: tuned"]
    for text in ("hold=A3", "layer=1", "target="):
        wait_for_address(compare, text)
    last = N_LAYERS - 1
    # A click leaves what is below alone; the button brings the layers there, and keeps the vertex.
    assert compare.get_by_role("heading", name=f"toy, layer {last}, against").count() == 1
    part(compare, "use").click()
    compare.get_by_role("heading", name="toy, layer 3, against tuned, layer 1").wait_for()
    title.wait_for()
    assert "target=" in compare.url


def test_the_address_reopens_the_exact_view(compare):
    set_slider(compare, part(compare, "layer"), 2)
    compare.locator(".title .hold input").nth(1).check()
    set_slider(compare, part(compare, "layer"), 3)
    set_slider(compare, part(compare, "threshold"), 0.25)
    part(compare, "colours").select_option("cividis")
    box = part(compare, "canvas").bounding_box()
    compare.mouse.move(box["x"] + 120, box["y"] + 100)
    compare.mouse.wheel(0, -200)
    settle(compare)
    compare.mouse.down()
    compare.mouse.move(box["x"] + 150, box["y"] + 110, steps=3)
    compare.mouse.up()
    settle(compare)
    for text in ("hold=B2", "threshold=0.25", "colours=cividis", "turn="):
        wait_for_address(compare, text)
    seen = panels(compare)
    compare.goto(compare.url)
    compare.wait_for_selector(VIEWER)
    compare.mouse.move(0, 0)
    settle(compare)
    assert titles(compare)[:2] == ["layer 3", "layer 2"]
    for one, two in zip(seen, panels(compare), strict=True):
        assert np.abs(one - two).mean() < 0.01, "the camera's angle is kept to three digits"


def test_the_layers_below_follow_when_they_are_asked_to(compare):
    last = N_LAYERS - 1
    compare.get_by_role(
        "heading", name=f"toy, layer {last}, against tuned, layer {last}"
    ).wait_for()
    set_slider(compare, part(compare, "layer"), 0)
    part(compare, "use").click()
    compare.get_by_role("heading", name="toy, layer 0, against tuned, layer 0").wait_for()


def test_other_scores_bring_neither_mesh_nor_script_again(compare):
    before = compare.traffic.rest(compare)
    ready = compare.locator(VIEWER).get_attribute("data-ready")
    compare.get_by_text("r / ceiling", exact=True).click()
    compare.wait_for_function(
        "([e, before]) => e.dataset.ready !== before",
        arg=[compare.locator(VIEWER).element_handle(), ready],
    )
    # Two sets of maps (4 layers of 20484 bytes before deflating), figures and tables.
    assert compare.traffic.rest(compare) - before < 350_000
    assert part(compare, "label").text_content() == "r / ceiling"


def test_without_webgl_a_static_picture_of_all_panels_stands_in(
    serve, store, chromium_without_webgl
):
    context = chromium_without_webgl.new_context()
    page = context.new_page()
    page.set_default_timeout(90_000)
    page.goto(serve(store).url + ADDRESS + "&layer=2")
    image = page.locator('[data-part="fallback"] img')
    image.wait_for(state="visible")
    page.wait_for_function("i => i.naturalWidth > 900", arg=image.element_handle())
    words = page.locator('[data-part="fallback"] p').text_content()
    assert "static picture of A: toy layer 2, B: tuned layer 2" in words
    assert image.evaluate("i => i.clientWidth <= i.parentElement.clientWidth")
    if folder := os.environ.get("BRAINDASH_PICTURES"):  # to be looked at
        image.screenshot(path=Path(folder) / "compare-static.png")
    page.get_by_role("slider", name="Layer").press("ArrowLeft")
    page.get_by_text("static picture of A: toy layer 1, B: tuned layer 1").wait_for()
    page.get_by_role("heading", name="toy, layer 1, against tuned, layer 1").wait_for()
    context.close()
