"""The report from disk: no server, no network, and still the surfaces, curves and their links."""

import shutil

import numpy as np
import pytest
from kit.results.made_up import made_up_result
from kit.results.made_up_story import put_story
from kit.site.browser import check_words, settle, shot

from braindash.exports.report.build import build
from braindash.io.store import Store

pytestmark = pytest.mark.browser
# A bound for a machine that does much else; what it takes is printed.
MOST_MS = 20_000


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    results = [
        made_up_result(model=model, subject=subject, seed=seed, n_layers=13)
        for seed, model in enumerate(("toy-model", "toy-tuned"))
        for subject in ("S1", "S2")
    ]
    bases = {results[2].provenance["model"]["fingerprint"]:
             results[0].provenance["model"]["fingerprint"]}  # fmt: skip
    return build(results, bases=bases).write(tmp_path_factory.mktemp("report") / "report.html")


def part(page, name):
    return page.locator(f'[data-part="{name}"]')


def coloured(page) -> int:
    """Count pixels of the surface that have a colour."""
    return part(page, "canvas").evaluate(
        """canvas => {
          const copy = document.createElement("canvas");
          Object.assign(copy, { width: canvas.width, height: canvas.height });
          const context = copy.getContext("2d");
          context.drawImage(canvas, 0, 0);
          const { data } = context.getImageData(0, 0, copy.width, copy.height);
          let count = 0;
          for (let i = 0; i < data.length; i += 4) {
            const three = [data[i], data[i + 1], data[i + 2]];
            count += data[i + 3] > 200 && Math.max(...three) - Math.min(...three) > 40;
          }
          return count;
        }"""
    )


def test_it_opens_from_disk_with_all_that_belongs_to_it(page, file, capsys):
    asked, messages = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.context.set_offline(True)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready-ms]")
    ready = int(page.locator("html").get_attribute("data-ready-ms"))
    with capsys.disabled():
        print(f"\nreport of {file.stat().st_size / 1e6:.2f} MB: surfaces after {ready} ms")
    settle(page)
    assert coloured(page) > 20_000, "the surfaces are drawn"
    assert part(page, "stamp").is_visible() and page.locator(".stamp").first.is_visible()
    # Surfaces and curves move each other.
    marks = page.locator("svg.chart line.shown")
    assert marks.count() > 8
    before = marks.first.get_attribute("x1")
    part(page, "layer").evaluate("e => { e.value = 3; e.dispatchEvent(new Event('input')); }")
    page.wait_for_function("x => document.querySelector('line.shown').getAttribute('x1') !== x",
                           arg=before)  # fmt: skip
    page.locator('svg.chart circle[data-layer="7"]').nth(1).click()  # B, drawn over A
    assert part(page, "layer-name").text_content() == "layer 7"
    # A vertex's own curve, from the bytes of the maps.
    canvas = part(page, "canvas")
    size = canvas.bounding_box()
    canvas.click(position={"x": 0.16 * size["width"], "y": 0.3 * size["height"]})
    page.get_by_text("Clicked vertex: left").wait_for()
    assert page.locator("#picked svg circle").count() == 26
    # Another model alone, then what is packed away.
    page.get_by_label("Model B").select_option("none")
    page.wait_for_function("() => !document.querySelector('#surfaces').shadowRoot"
                           ".querySelector('.title')")  # fmt: skip
    page.get_by_role("button", name="Show").last.click()
    shown = page.locator("pre:visible")
    shown.get_by_text('"versions"').wait_for()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save toy-tuned-regions.csv").click()
    assert saved.value.path().read_text().startswith("layer,region,r,")
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    assert not page.traffic.errors and not [text for text in messages if "Policy" in text]
    assert ready < MOST_MS


@pytest.fixture(scope="module")
def story_file(tmp_path_factory):
    root = tmp_path_factory.mktemp("story")
    store = Store(root / "store")
    made = put_story(store, root / "data", n_layers=3)
    built = build([made.result], store=store, with_sound=True)
    shutil.rmtree(root / "data")
    shutil.rmtree(root / "store")
    return built.write(root / "report.html"), made


def test_the_story_plays_from_disk(page, story_file):
    file, made = story_file
    asked, messages = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.context.set_offline(True)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready-ms]")
    player = page.locator("#story .braindash-viewer.player[data-ready]")
    player.wait_for()
    page.wait_for_function("() => document.querySelector('#story-audio').readyState > 2")
    shot(page, "report-story")

    def played(code: str):
        return player.evaluate(f"(root) => {{ const it = root.braindashPlayback; {code} }}")

    # Both viewers are drawn, each of its own address.
    assert played("return it.surface.panels.length") == 2
    assert player.locator('[data-part="words"] span').count() > 0
    played("it.seek(60)")
    settle(page)
    assert played("return it.clock.audio.currentTime") == pytest.approx(60, abs=0.01)
    still = pixels_of(player)
    player.locator('[data-part="play"]').click()
    page.wait_for_function(
        "() => document.querySelector('#story-audio').currentTime > 62", timeout=60_000
    )
    player.locator('[data-part="play"]').click()
    settle(page)
    assert pixels_of(player) != still and len(played("return it.frames")) > 3
    # The course of a clicked vertex is that of the stored rows, to the maps' steps.
    played("it.ask('pick', { index: 9000 })")
    title = player.locator('[data-part="course-title"]')
    assert title.text_content() == "Clicked vertex: left 9000"
    values = played("return [...it.target.measured].map((v) => (Number.isFinite(v) ? v : null))")
    known = [(row, value) for row, value in enumerate(values) if value is not None]
    end = played("return it.series[0].header.high")
    expected = [made.response[row, 9000] for row, _ in known]
    assert len(known) > 80 and np.allclose([v for _, v in known], expected, atol=end / 20)
    predicted, r = played("return [[...it.target.predicted[0]], it.target.r[0]]")
    pairs = [(predicted[row], value) for row, value in known]
    assert r == pytest.approx(np.corrcoef(np.transpose(pairs))[0, 1], abs=1e-4)
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    assert not page.traffic.errors and not [text for text in messages if "Policy" in text]
    check_words(page)


def test_the_story_is_painted_where_there_is_no_webgl(chromium_without_webgl, story_file):
    page = chromium_without_webgl.new_context(offline=True).new_page()
    page.goto(story_file[0].as_uri())
    player = page.locator("#story .braindash-viewer.player[data-ready]")
    player.wait_for()
    settle(page)
    assert page.get_by_text("This browser has no WebGL2").is_visible()
    assert page.get_by_text("the processor paints the surface").is_visible()
    shot(page, "report-painted")


def pixels_of(player) -> str:
    return player.locator('canvas[data-part="canvas"]').evaluate("c => c.toDataURL()")
