"""The surface viewer on its own: is the right thing seen in the right place?"""

import base64
import io
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image as mpimg

from braindash.io.regions.discs import disc_masks

pytestmark = pytest.mark.browser
APP = Path(__file__).with_name("viewer_app.py")
N_LAYERS = 13
REGION_OF_LAYER = ("Primary auditory", "Early visual", "IFG / MFG")
PANELS = {  # name: (rows, columns) of the picture, as shares
    "left lateral": ((0.0, 0.5), (0.0, 0.5)),
    "right lateral": ((0.0, 0.5), (0.5, 1.0)),
    "left medial": ((0.5, 1.0), (0.0, 0.5)),
    "right medial": ((0.5, 1.0), (0.5, 1.0)),
}


@pytest.fixture
def viewer(page, serve):
    """Open the app: the page with a drawn surface."""
    page.goto(serve(script=APP).url)
    page.wait_for_selector(".braindash-viewer[data-ready]")
    settle(page)
    return page


def settle(page):
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")


def wait_for_address(page, text):
    """Wait until the address says so: it is written a moment after the change."""
    page.wait_for_function("t => location.search.includes(t)", arg=text)


def part(page, name):
    return page.locator(f'[data-part="{name}"]')


def set_slider(page, name, value):
    part(page, name).evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value
    )
    settle(page)


def picture(page):
    """Read the drawn pixels, RGBA from 0 to 1."""
    url = part(page, "canvas").evaluate("c => c.toDataURL('image/png')")
    return mpimg.imread(io.BytesIO(base64.b64decode(url.split(",")[1])))


def coloured(pixels):
    """Say which pixels are neither background nor grey cortex."""
    return (pixels[..., 3] > 0.9) & (np.ptp(pixels[..., :3], axis=-1) > 0.12)


def panel_cut(pixels, name):
    (top, bottom), (left, right) = PANELS[name]
    height, width = pixels.shape[:2]
    rows = slice(round(top * height), round(bottom * height))
    columns = slice(round(left * width), round(right * width))
    return pixels[rows, columns], rows.start, columns.start


def spot(page, name):
    """Find a coloured pixel deep inside its patch, in page coordinates; None without colour."""
    pixels = picture(page)
    cut, top, left = panel_cut(pixels, name)
    found = coloured(cut)
    if found.sum() < 30:
        return None
    padded = found.astype(float)
    for _ in range(6):  # blur: the largest value is far from every border
        padded = sum(np.roll(padded, step, axis) for step in (-2, 0, 2) for axis in (0, 1))
    row, column = np.unravel_index(padded.argmax(), padded.shape)
    box = part(page, "canvas").bounding_box()
    scale = box["width"] / pixels.shape[1]
    return box["x"] + (left + column) * scale, box["y"] + (top + row) * scale


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_each_region_is_seen_where_it_belongs(viewer, layer):
    set_slider(viewer, "layer", layer)
    # Auditory and frontal regions are seen from the side, early visual ones from the middle.
    view = "medial" if layer == 1 else "lateral"
    for side in ("left", "right"):
        at = spot(viewer, f"{side} {view}")
        assert at is not None, f"nothing coloured in the panel {side} {view}"
        viewer.mouse.move(*at)
        tip = part(viewer, "tip").text_content()
        assert f"Pearson r {0.4 + 0.02 * layer:.2f}" in tip
        assert REGION_OF_LAYER[layer] in tip and f"{side} vertex" in tip


def test_front_is_left_in_the_left_lateral_panel(viewer):
    """The frontal region lies at the outer left and right, the visual one in the medial panels."""
    set_slider(viewer, "layer", 2)
    pixels = picture(viewer)
    width = pixels.shape[1]
    left = np.flatnonzero(coloured(panel_cut(pixels, "left lateral")[0]).any(axis=0)).mean()
    right = np.flatnonzero(coloured(panel_cut(pixels, "right lateral")[0]).any(axis=0)).mean()
    assert left < 0.23 * width and right > 0.27 * width
    set_slider(viewer, "layer", 1)
    pixels = picture(viewer)
    left = np.flatnonzero(coloured(panel_cut(pixels, "left medial")[0]).any(axis=0)).mean()
    right = np.flatnonzero(coloured(panel_cut(pixels, "right medial")[0]).any(axis=0)).mean()
    assert left < 0.2 * width and right > 0.3 * width


def test_a_click_reaches_python_with_the_vertex_under_the_pointer(viewer):
    mask = disc_masks("fsaverage5")["ifg_mfg"]
    set_slider(viewer, "layer", 2)
    viewer.mouse.click(*spot(viewer, "right lateral"))
    viewer.get_by_text(re.compile("picked: right")).wait_for()
    text = viewer.get_by_text(re.compile("picked:")).text_content()
    side, vertex, index, layer = re.search(r"picked: (\w+) (\d+) (\d+) (\d+)", text).groups()
    assert int(index) == int(vertex) + 10242 and side == "right" and layer == "2"
    assert mask[int(index)]
    assert "runs: 2;" in text


def test_changes_on_the_surface_send_nothing_and_the_budget_holds(viewer):
    loaded = viewer.traffic.rest(viewer)
    print(f"bytes to the first surface: {loaded}")
    assert loaded < 1_500_000
    seen = [picture(viewer).tobytes()]
    for name, value in [
        *(("layer", layer) for layer in range(1, N_LAYERS)),
        ("threshold", 0.63),
        ("threshold", 0.1),
        ("unfold", 0.4),
        ("unfold", 1),
    ]:
        set_slider(viewer, name, value)
        seen.append(picture(viewer).tobytes())
    part(viewer, "colours").select_option("cividis")
    settle(viewer)
    seen.append(picture(viewer).tobytes())
    time.sleep(0.5)
    assert viewer.traffic.bytes == loaded
    assert len(set(seen)) >= len(seen) - 1  # the threshold came back to a picture seen before
    assert viewer.traffic.hosts == {"127.0.0.1"} and not viewer.traffic.errors


def test_the_threshold_hides_and_has_a_clean_edge(viewer):
    set_slider(viewer, "layer", 2)
    shown = coloured(picture(viewer)).sum()
    set_slider(viewer, "threshold", 0.3)
    smaller = coloured(picture(viewer)).sum()
    set_slider(viewer, "threshold", 0.5)
    assert coloured(picture(viewer)).sum() == 0
    # Inside its patch the map is constant: only the border's interpolated rim goes.
    assert 0.5 * shown < smaller < shown


def test_a_difference_is_coloured_on_both_sides_of_zero(viewer):
    viewer.get_by_role("radio", name="difference").click()
    part(viewer, "label").get_by_text("difference of r").wait_for()
    settle(viewer)
    set_slider(viewer, "layer", 2)
    pixels = picture(viewer)
    for name, channel, other in (("left lateral", 2, 0), ("right lateral", 0, 2)):
        cut = panel_cut(pixels, name)[0]
        patch = cut[coloured(cut)]
        assert len(patch) > 100, name
        assert (patch[:, channel] > patch[:, other]).mean() > 0.95, name
    assert part(viewer, "stamp").is_hidden()


def test_missing_values_are_grey_and_said_so(viewer):
    assert part(viewer, "stamp").is_visible()
    viewer.get_by_role("radio", name="none").click()
    ready = viewer.locator(".braindash-viewer").element_handle()
    viewer.wait_for_function(
        "e => e.querySelector('.region .value').textContent === 'none'", arg=ready
    )
    settle(viewer)
    pixels = picture(viewer)
    assert coloured(pixels).sum() == 0
    assert (pixels[..., 3] > 0.9).mean() > 0.3  # the brain itself is there
    box = part(viewer, "canvas").bounding_box()
    viewer.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
    assert "no value" in part(viewer, "tip").text_content()


def test_a_single_map_has_no_layers_and_the_chosen_one_comes_back(viewer):
    set_slider(viewer, "layer", 5)
    wait_for_address(viewer, "layer=5")
    viewer.get_by_role("radio", name="single").click()
    viewer.get_by_text("all layers", exact=True).wait_for()
    settle(viewer)
    assert part(viewer, "layer").is_disabled() and part(viewer, "play").is_disabled()
    assert "layer=5" in viewer.url, "a single map must not write itself into the address"
    assert coloured(picture(viewer)).sum() > 100
    viewer.locator(".braindash-viewer").focus()
    viewer.keyboard.press(" ")
    assert part(viewer, "play").text_content() == "Play"
    viewer.mouse.click(*spot(viewer, "right lateral"))
    viewer.get_by_text(re.compile("picked: right")).wait_for()
    viewer.get_by_role("radio", name="score").click()
    viewer.get_by_text("layer 5", exact=True).wait_for()
    assert part(viewer, "layer").input_value() == "5"


COUNT_ADDRESS_CHANGES = """() => {
  globalThis.addressChanges = 0;
  const change = history.replaceState.bind(history);
  history.replaceState = (...given) => { globalThis.addressChanges++; change(...given); };
}"""


def test_leaving_the_page_stops_the_player(viewer):
    viewer.evaluate(COUNT_ADDRESS_CHANGES)
    part(viewer, "play").click()
    viewer.wait_for_function("() => addressChanges > 0")
    viewer.get_by_role("link", name="Other").click()
    viewer.get_by_text("a page without a viewer").wait_for()
    time.sleep(0.3)
    changes = viewer.evaluate("addressChanges")
    time.sleep(1.5)  # more than three steps of the player
    assert viewer.evaluate("addressChanges") == changes, "it wrote into another page's address"
    viewer.get_by_role("link", name="Viewer").click()
    viewer.wait_for_selector(".braindash-viewer[data-ready]")
    settle(viewer)
    assert coloured(picture(viewer)).sum() > 100, "a second visit must draw again"


def test_dark_theme_keeps_words_readable(page, serve):
    page.emulate_media(color_scheme="dark")
    page.goto(serve(script=APP).url)
    page.wait_for_selector(".braindash-viewer[data-ready]")
    settle(page)
    colours = page.locator(".braindash-viewer").evaluate(
        """e => [getComputedStyle(e).color,
                 getComputedStyle(document.querySelector('.stApp')).backgroundColor]"""
    )
    text, ground = (np.array(re.findall(r"[\d.]+", c)[:3], dtype=float) for c in colours)
    assert text.mean() > 200 and ground.mean() < 60
    assert picture(page)[0, 0, 3] == 0, "the canvas lets the theme's background through"
    if folder := os.environ.get("BRAINDASH_PICTURES"):  # to be looked at
        page.screenshot(path=Path(folder) / "dark.png")


def test_without_webgl_a_static_picture_stands_in(serve, chromium_without_webgl):
    context = chromium_without_webgl.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(serve(script=APP).url)
    image = page.locator('[data-part="fallback"] img')
    image.wait_for(state="visible")
    page.wait_for_function("i => i.naturalWidth > 500", arg=image.element_handle())
    assert "static picture of layer 0" in page.locator('[data-part="fallback"] p').text_content()
    assert page.locator('[data-part="stage"]').is_hidden()
    context.close()
