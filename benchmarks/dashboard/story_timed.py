"""Time the story player and a report in a real browser: frames, the lag of the map, opening.

The player notes of every frame which moment of the story it shows, and in a task behind the drawing
what is heard by then, once the graphics card is done: the difference is the lag. An age is how far
the sound had gone when the next frame took a picture's place.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path

from braindash.exports.report.build import Report

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


def report_opened(browser, made: Report, folder: Path, repeats: int) -> Iterator[tuple[str, ...]]:
    """Open a report from disk, until its surfaces are drawn and, where it has one, its player."""
    file, found = made.write(folder / "report.html"), []
    story = "story" in made.sizes
    for _ in range(repeats):
        page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
        page.set_default_timeout(120_000)
        inside = page.context.new_cdp_session(page)
        inside.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready-ms]")
        ready = float(page.evaluate("document.documentElement.dataset.readyMs"))
        if story:
            page.wait_for_selector(f"#story {PLAYER}")
        last = page.evaluate("performance.now()")
        told = {
            one["name"]: one["value"] for one in inside.send("Performance.getMetrics")["metrics"]
        }
        found.append((ready / 1e3, last / 1e3, told["TaskDuration"]))
        page.context.close()
    surfaces, player, cpu = (statistics.median(column) for column in zip(*found, strict=True))
    what = f"report of {made.n_results} results{' with a story' * story}"
    yield f"{what}: opened", f"{surfaces:.2f} s", "3 s"
    if story:
        yield f"{what}: player drawn", f"{player:.2f} s", "3 s"
    yield f"{what}: CPU seconds of the page", f"{cpu:.2f}", ""
    yield f"{what}: size", f"{made.n_bytes / 1e6:.1f} MB", "15 MB"


def spread(values: list[float]) -> str:
    """Tell the median and the value that one in twenty exceeds."""
    ordered = sorted(values)
    at = ordered[int(0.95 * (len(ordered) - 1))]
    return f"median {statistics.median(ordered):.0f} ms, 95 % below {at:.0f} ms"
