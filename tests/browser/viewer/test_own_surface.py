"""Voxels on a subject's own surfaces in a real browser, and on fsaverage5 at a choice."""

import io
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from kit.site.browser import pixels, settle
from kit.spaces.results import clusters
from matplotlib import image as mpimg

from braindash.io.regions.discs import disc_masks

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.browser
APP = Path(__file__).with_name("own_surface_app.py")


def part(page, name):
    return page.locator(f'[data-part="{name}"]')


def coloured_spot(page):
    """Find the middle of what is coloured in the left lateral view, in page coordinates."""
    picture = mpimg.imread(io.BytesIO(b64decode(pixels(page).split(",")[1])))
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    cut = picture[:height, :width]
    found = (cut[..., 3] > 0.9) & (np.ptp(cut[..., :3], axis=-1) > 0.12)
    assert found.sum() > 30, "nothing is coloured"
    padded = found.astype(float)
    for _ in range(6):
        padded = sum(np.roll(padded, step, axis) for step in (-2, 0, 2) for axis in (0, 1))
    row, column = np.unravel_index(padded.argmax(), padded.shape)
    box = part(page, "canvas").bounding_box()
    scale = box["width"] / picture.shape[1]
    return box["x"] + column * scale, box["y"] + row * scale


def shapes(page):
    return part(page, "shape").evaluate("menu => [...menu.options].map((one) => one.value)")


def test_voxels_are_seen_on_their_own_surfaces_and_a_click_names_the_voxel(page, serve):
    page.goto(serve(script=APP).url)
    page.wait_for_selector(".braindash-viewer[data-ready]")
    settle(page)
    assert shapes(page) == ["inflated", "pial", "white"]
    assert part(page, "unfold").is_disabled(), "there is no flat surface"
    inside = disc_masks("fsaverage5")["early_auditory"]
    voxels = np.unique(clusters("fsaverage5", 3000)[inside])
    page.mouse.click(*coloured_spot(page))
    page.get_by_text(re.compile("picked: left")).wait_for()
    text = page.get_by_text(re.compile("picked:")).text_content()
    index, voxel = map(int, re.search(r"picked: left (\d+) (\d+)", text).groups())
    assert voxel in voxels and voxel == clusters("fsaverage5", 3000)[index]
    own = pixels(page)
    page.get_by_role("radio", name="fsaverage5").or_(page.get_by_text("fsaverage5")).first.click()
    expect(part(page, "unfold")).to_be_enabled(timeout=60_000)
    assert shapes(page) == ["inflated", "pial", "white", "sphere"]
    settle(page)
    coloured_spot(page)
    assert pixels(page) != own
    assert not page.traffic.errors
