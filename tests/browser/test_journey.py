"""A newcomer's journey through the real demo of a wheel, where no checkout is known."""

import os
import re
import time
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from kit.site.browser import free_port, open_cortex, pixels, settle, shot

from braindash.jobs.queue import JobQueue

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
LAYERS = 7


def canvas_box(page):
    return page.locator('canvas[data-part="canvas"]').bounding_box()


def set_slider(page, part: str, value: float) -> None:
    page.locator(f'input[data-part="{part}"]').evaluate(
        "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", value
    )
    settle(page)


def click_surface(page, across: float, down: float) -> None:
    box = canvas_box(page)
    page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


def test_the_demo_of_the_wheel_is_computed_where_the_command_was_given(installed, demo):
    store, document = demo
    keys = {path.parent.name for path in store.glob("encoding/*/checksums.json")}
    assert {result["key"] for result in document["results"]} == keys
    listed = installed.run(installed.command, "list", "--json")
    assert all(key in listed for key in keys)


def test_the_app_of_the_wheel_shows_the_result_and_ends_when_asked(installed, demo, page):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    app = installed.start("app", "--port", str(port))
    try:
        assert app.stderr is not None
        assert url in next(line for line in app.stderr if "Dashboard" in line)
        page.goto(url)
        page.get_by_role("heading", name="braindash", exact=True).wait_for()
        page.get_by_role("heading", name="Results (6)").wait_for()
        assert page.get_by_test_id("stException").count() == 0
    finally:
        app.terminate()
        told = app.communicate(timeout=60)[1]
    assert app.returncode == 0 and "The dashboard is stopped" in told
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


def test_the_headless_demo_prints_every_region_of_every_layer(demo):
    _, document = demo
    assert [(result["subject"], result["model"]) for result in document["results"]] == [
        (subject, model)
        for subject in ("S1", "S2", "S3")
        for model in ("tiny-hubert", "tiny-hubert-tuned")
    ]
    for result in document["results"]:
        assert result["simulated"] and result["kind"] == "encoding" and result["model"]
        assert {row["layer"] for row in result["regions"]} == set(range(LAYERS))
        rows = {(row["region"], row["layer"]): row for row in result["regions"]}
        for layer in range(LAYERS):
            auditory = rows["primary_auditory", layer]
            # The generator puts acoustics into auditory cortex and nothing into visual cortex.
            assert auditory["r"] > 0.3 > abs(rows["early_visual", layer]["r"]) + 0.2
            assert 0 < auditory["coverage"] <= 1
            assert auditory["r"] < auditory["ceiling"]


def test_tuning_helps_late_layers_in_late_language_and_little_in_auditory_cortex(demo):
    """The demo's finding, as every user's machine computes it; not a number is stored."""
    curves = {}
    for result in demo[1]["results"]:
        for row in sorted(result["regions"], key=lambda one: one["layer"]):
            curve = curves.setdefault((result["subject"], row["region"], result["model"]), [])
            curve.append(row["r"])

    def change(subject, region, of):
        tuned = curves[subject, region, "tiny-hubert-tuned"]
        return of(tuned) - of(curves[subject, region, "tiny-hubert"])

    for subject in ("S1", "S2", "S3"):
        late = change(subject, "late_language", lambda curve: curve[-1])
        assert late > 0.08
        assert change(subject, "primary_auditory", lambda curve: curve[-1]) < late
        best = [change(subject, region, max) for region in ("primary_auditory", "late_language")]
        assert abs(best[0]) < best[1] / 3
        assert abs(change(subject, "early_visual", lambda curve: curve[-1])) < 0.04


def test_the_layer_slider_recolours_the_surface_without_the_server(demo, serve, page):
    server = serve(demo[0])
    open_cortex(page, server)
    before = page.traffic.rest(page)
    assert page.locator('output[data-part="layer-name"]').text_content() == f"layer {LAYERS - 1}"
    seen = {pixels(page)}
    for layer in range(LAYERS - 1):
        set_slider(page, "layer", layer)
        seen.add(pixels(page))
    for part, value in (("threshold", 0.3), ("unfold", 0.5), ("unfold", 1.0)):
        set_slider(page, part, value)
        seen.add(pixels(page))
    page.locator('select[data-part="colours"]').select_option("viridis")
    settle(page)
    seen.add(pixels(page))
    page.locator("button.region").first.click()
    settle(page)
    seen.add(pixels(page))
    assert page.traffic.bytes == before, "a change on the surface talked to the server"
    assert len(seen) == LAYERS + 5, "every change must change the picture"
    page.wait_for_function("t => location.search.includes(t)", arg=f"layer={LAYERS - 2}")
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


def test_a_click_draws_the_layer_curve_and_the_address_is_the_share_link(demo, serve, page):
    server = serve(demo[0])
    open_cortex(page, server)
    set_slider(page, "layer", 2)
    click_surface(page, 0.25, 0.25)
    page.wait_for_selector(".js-plotly-plot .gtitle")
    title = page.locator(".js-plotly-plot .gtitle").first.text_content()
    assert re.match(r"left vertex \d+", title)
    page.wait_for_function("() => location.search.includes('target=')")
    # The widgets' choice, the layer and the vertex are all in the address: another browser
    # window opens the same view.
    address = page.url
    for part in ("layer=2", "target=", "data=", "subject=S1", "model="):
        assert part in address
    page.goto(address)
    page.wait_for_selector(".braindash-viewer[data-ready]")
    page.wait_for_selector(".js-plotly-plot .gtitle")
    assert page.locator(".js-plotly-plot .gtitle").first.text_content() == title
    assert page.locator('output[data-part="layer-name"]').text_content() == "layer 2"


def test_hover_keys_and_dragging(demo, serve, page):
    server = serve(demo[0])
    open_cortex(page, server)
    box = canvas_box(page)
    page.mouse.move(box["x"] + 0.27 * box["width"], box["y"] + 0.22 * box["height"])
    tip = page.locator('[data-part="tip"]')
    assert "Pearson r" in tip.text_content() and "left vertex" in tip.text_content()
    page.locator(".braindash-viewer").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator('output[data-part="layer-name"]').text_content() == f"layer {LAYERS - 2}"
    page.keyboard.press("ArrowRight")
    before = pixels(page)
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 120, steps=4)
    page.mouse.up()
    settle(page)
    assert pixels(page) != before
    assert page.locator(".js-plotly-plot").count() == 0, "a drag must not count as a click"
    page.keyboard.press("f")
    page.wait_for_function(
        "v => v.value > 0.9", arg=page.locator('input[data-part="unfold"]').element_handle()
    )
    assert page.locator('[data-part="names"]').text_content() == "left, flatright, flat"


def test_the_viewer_keeps_its_layer_when_the_score_changes(demo, serve, page):
    server = serve(demo[0])
    open_cortex(page, server)
    ready = page.locator(".braindash-viewer").get_attribute("data-ready")
    set_slider(page, "layer", 1)
    page.get_by_text("r / ceiling", exact=True).click()
    page.wait_for_function(
        "([e, before]) => e.dataset.ready !== before",
        arg=[page.locator(".braindash-viewer").element_handle(), ready],
    )
    assert page.locator('output[data-part="layer-name"]').text_content() == "layer 1"
    assert page.locator('[data-part="label"]').text_content() == "r / ceiling"
    # The viewer writes its layer again when a rerun has brought the server's address back.
    page.wait_for_function("() => location.search.includes('layer=1')")
    assert "score=r+%2F+ceiling" in page.url


def test_a_link_of_the_overview_opens_what_it_names(demo, serve, page):
    server = serve(demo[0])
    page.goto(f"{server.url}/layers?subject=S2")
    page.get_by_text("subject S2").first.wait_for()
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("heading", name="braindash").wait_for()
    page.get_by_text("subject S2").first.wait_for()  # a choice is kept between pages
    page.get_by_role("link", name="Layer curves").click()
    page.get_by_role("heading", name="Layers", exact=True).wait_for()
    page.get_by_text("subject S2").first.wait_for()
    assert "subject=S2" in page.url


def test_every_page_opens_from_its_address_on_a_fresh_server(demo, serve, page):
    server = serve(demo[0], fresh=True)
    titles = {
        "": "braindash",
        "overview": "braindash",
        "layers": "Layers",
        "run": "Run",
        "jobs": "Jobs",
        "cortex": "Cortex",
    }
    for path, title in titles.items():
        page.goto(f"{server.url}/{path}")
        page.get_by_role("heading", name=title, exact=True).wait_for()
        assert page.locator('[data-testid="stException"]').count() == 0
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors


def test_the_first_start_computes_shows_progress_and_survives_the_server(
    tmp_path, serve, page, another_page
):
    """Click, watch, kill the server, come back: the job went on. Cancel, go on, look at its map."""
    store = tmp_path / "store"
    server = serve(store)
    page.goto(server.url)
    page.get_by_role("button", name="Compute the demo").click()
    page.locator('[data-testid="stProgress"]').first.wait_for()
    queue = JobQueue(store)
    job = queue.list()[0]
    assert job.active
    server.kill()
    seen = queue.get(job.key).progress
    end = time.monotonic() + 120
    while queue.get(job.key).progress <= seen and time.monotonic() < end:
        time.sleep(0.2)
    assert queue.get(job.key).progress > seen, "the job stopped with the server"
    second = serve(store)
    page.goto(f"{second.url}/jobs")
    page.get_by_text("Embedded demo").first.wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("cancelled", exact=True).first.wait_for(timeout=90_000)
    assert queue.get(job.key).state == "cancelled"
    # Gone on with, its first map is seen while the rest is computed, in a browser that was closed.
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("running", exact=True).first.wait_for(timeout=60_000)
    page.close()
    page = another_page()
    page.goto(second.url)
    page.get_by_role("heading", name=re.compile("Under way: .*, subject S1")).wait_for(
        timeout=300_000
    )
    page.wait_for_selector(".braindash-viewer[data-ready]")
    assert queue.get(job.key).active
    shot(page, "under-way")
    queue.cancel(job.key)


@pytest.mark.skipif(not os.environ.get("BRAINDASH_SCREENSHOT"), reason="only to make the picture")
def test_make_the_screenshot_of_the_readme(demo, serve, page):
    page.set_viewport_size({"width": 1440, "height": 1460})
    page.goto(f"{serve(demo[0]).url}/compare?subject=all+subjects")
    page.wait_for_selector(".braindash-viewer[data-ready]")
    time.sleep(3)
    (ROOT / "docs").mkdir(exist_ok=True)
    page.screenshot(
        path=str(ROOT / "docs" / "compare.png"),
        clip={"x": 0, "y": 60, "width": 1440, "height": 1300},
    )


PLAYER = ".braindash-viewer.player[data-ready]"


def played(page, code: str):
    """Ask the player of the page something: ``it`` is the player."""
    return page.locator(PLAYER).evaluate(
        f"(root) => {{ const it = root.braindashPlayback; {code} }}"
    )


def test_a_story_plays_in_step_with_its_sound_and_follows_every_hand(demo, serve, page):
    server = serve(demo[0])
    chunk = quote(" · chunk")
    query = f"model=tiny-hubert-tuned{chunk}&compare=tiny-hubert{chunk}&subject=S1&t=20"
    page.goto(f"{server.url}/story?{query}")
    page.wait_for_selector(PLAYER)
    page.wait_for_function(
        "() => [...document.querySelectorAll('audio')].some((one) => one.readyState > 2)"
    )
    before = page.traffic.rest(page)  # the second piece of the series came too
    assert played(page, "return it.series.map((one) => one.pieces.size)") == [2, 2, 2]
    still = pixels(page)
    played(page, "it.waits = true")
    page.keyboard.press(" ")
    page.wait_for_function("(e) => e.braindashPlayback.clock.now > 23",
                           arg=page.locator(PLAYER).element_handle())  # fmt: skip
    page.keyboard.press(" ")
    assert page.traffic.bytes == before, "playing talked to the server"
    frames = played(page, "return it.frames.filter((one) => one.lag !== undefined)")
    lags = sorted(one["lag"] for one in frames)
    # Generous: a busy machine draws few frames, each of them still at the time that is heard.
    assert len(frames) > 5 and lags[len(lags) // 2] < 0.25
    assert all(abs(b["drawn"] - a["drawn"]) < 3 for a, b in pairwise(frames))
    settle(page)
    assert pixels(page) != still
    # Sound, surface and courses are at one time, whichever is moved.
    heard = played(page, "return it.clock.audio.currentTime")
    assert float(page.locator('[data-part="layer"]').input_value()) == pytest.approx(
        heard, abs=0.06
    )
    set_slider(page, "layer", 60)
    assert played(page, "return it.clock.audio.currentTime") == pytest.approx(60, abs=0.01)
    page.keyboard.press("ArrowRight")
    assert played(page, "return it.clock.audio.currentTime") == pytest.approx(62, abs=0.01)
    box = page.locator('[data-part="overview"]').bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 10)
    middle = played(page, "return it.story.seconds") / 2
    assert played(page, "return it.position") == pytest.approx((middle - 2) / 2, abs=0.5)
    page.keyboard.press(".")
    assert page.locator(".words .now").text_content()
    measured = pixels(page)
    page.keyboard.press("d")
    settle(page)
    assert pixels(page) != measured
    names = [one.text_content() for one in page.locator(".title .at").all()]
    assert sum("residual" in one for one in names) == 2
    page.keyboard.press("d")
    settle(page)
    click_surface(page, 0.15, 0.6)
    title = page.locator('[data-part="course-title"]')
    page.wait_for_function("() => location.search.includes('target=')")
    page.wait_for_function("(e) => / vertex /.test(e.textContent)", arg=title.element_handle())
    legend = page.locator('[data-part="course-legend"]').text_content()
    assert re.search(r"A: tiny-hubert-tuned, r .?\d\.\d\d", legend)
    assert page.traffic.hosts == {"127.0.0.1"} and not page.traffic.errors
