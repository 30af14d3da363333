"""Time the story player and a report in a real browser: frames, the lag of the map, opening.

The player notes of every frame which moment of the story it shows, and in a task behind the drawing
what is heard by then, once the graphics card is done: the difference is the lag. An age is how far
the sound had gone when the next frame took a picture's place.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path

from braindash.encoding.result import EncodingResult
from braindash.exports.report.build import build

PLAYER = ".braindash-viewer.player[data-ready]"
HEARD = "() => [...document.querySelectorAll('audio')].some((one) => one.readyState > 2)"
PLAYED_MS = 10_000
N_MAPS = "(root) => root.braindashPlayback.surface.panels.length"
FRAMES = """(root) => root.braindashPlayback.frames.filter((one) => one.lag !== undefined)"""


def playing(browser, url: str) -> Iterator[tuple[str, str, str]]:
    """Play one model, then two side by side; tell frames a second, lags and ages."""
    for what, query in (
        ("one model", "?model=toy"),
        ("two models", "?model=toy&compare=tuned"),
        ("two models, flat", "?model=toy&compare=tuned&surface=flat"),
    ):
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{url}/story{query}")
        page.wait_for_selector(PLAYER)
        page.wait_for_function(HEARD)
        page.wait_for_timeout(2000)
        root = page.locator(PLAYER)
        root.evaluate("(root) => { const it = root.braindashPlayback; it.waits = true; "
                      "it.frames.length = 0; it.clock.play(); }")  # fmt: skip
        page.wait_for_timeout(PLAYED_MS)
        frames, n_maps = root.evaluate(FRAMES), root.evaluate(N_MAPS)
        name = f"story, {what}, {n_maps} maps"
        page.context.close()
        seconds = (frames[-1]["at"] - frames[0]["at"]) / 1e3
        rate = (len(frames) - 1) / seconds
        yield f"{name}: frames a second", f"{rate:.0f}", "30"
        lags = [1e3 * one["lag"] for one in frames]
        yield f"{name}: map behind sound", spread(lags), "50 ms"
        ages = [1e3 * one["age"] for one in frames if one.get("age") is not None]
        yield f"{name}: age of a picture when it is replaced", spread(ages), ""
        yield f"{name}: drawing a frame", spread([one["done"] for one in frames]), ""


def report_opened(
    browser, results: list[EncodingResult], folder: Path, repeats: int
) -> Iterator[tuple[str, str, str]]:
    """Open the report of some results from disk."""
    file = build(results).write(folder / "report.html")
    found = []
    for _ in range(repeats):
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(120_000)
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready-ms]")
        found.append(float(page.evaluate("document.documentElement.dataset.readyMs")))
        page.context.close()
    what = f"report of {len(results)} results"
    yield f"{what}: opened", f"{statistics.median(found) / 1e3:.2f} s", "3 s"
    yield f"{what}: size", f"{file.stat().st_size / 1e6:.1f} MB", "15 MB"


def spread(values: list[float]) -> str:
    """Tell the median and the value that one in twenty exceeds."""
    ordered = sorted(values)
    at = ordered[int(0.95 * (len(ordered) - 1))]
    return f"median {statistics.median(ordered):.0f} ms, 95 % below {at:.0f} ms"
