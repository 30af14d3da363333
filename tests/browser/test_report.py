"""The report from disk: no server, no network, and still the surfaces, curves and their links."""

import pytest
from kit.browser import settle
from kit.made_up import made_up_result

from braindash.exports.report.build import build

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
