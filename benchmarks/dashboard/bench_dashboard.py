"""Measure the dashboard in a headless Chromium with software GL: surfaces, pages, player, report.

Run it as ``python benchmarks/dashboard/bench_dashboard.py [--chromium PATH] [--repeats N] [--json
FILE]``. Streamlit, the browser and the graphics all share this machine's cores: read the numbers as
ratios. The maps are noise or constant patches: bytes of real maps, which are smooth, lie between
the two. Pages and controls are of two models, two subjects and 13 layers; the list is of 500
results. ``--only-reports`` opens a report alone whose story fills the room that there is.

With ``--visitors 20`` it measures a read-only server under so many visitors instead, for
``--minutes`` with ``--pause`` seconds between two clicks: how long the server takes to send all of
a page, or of what a choice changes on it. Visitors are connections without a browser, which would
take the cores from the server.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pages_timed
import psutil
import story_timed
from playwright.sync_api import sync_playwright

from braindash.exports.report.build import build
from braindash.io.store import Store
from braindash.viewer import CARRIER_MODULES, script
from braindash.viewer.blobs import geometry_blob
from braindash.viewer.colours import colour_blob

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from kit.results.large_store import make_large_store  # noqa: E402
from kit.results.made_up import put_result  # noqa: E402
from kit.results.made_up_probing import put_probing  # noqa: E402
from kit.results.made_up_story import put_story  # noqa: E402
from kit.site.visits import Visit, visit_together  # noqa: E402

APP = ROOT / "tests" / "browser" / "viewer" / "viewer_app.py"
N_LAYERS = 13
LONG_ROWS = 600  # of 2 s
COMPARE = "/compare?model=toy&compare=tuned&subject=S1"
QUERY = "?model=toy&compare=tuned&subject=S1"
MODELS, SUBJECTS = ("toy", "tuned"), ("S1", "S2")
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
# A frame counts as drawn when its pixels can be read back.
TIME_CHANGES = """async ([part, values]) => {
  const slider = document.querySelector('.stApp') && [...document.querySelectorAll('*')]
    .map((e) => e.shadowRoot?.querySelector(`[data-part="${part}"]`)).find(Boolean);
  const canvas = slider.getRootNode().querySelector('[data-part="canvas"]');
  const pixel = new Uint8Array(4), gl = canvas.getContext('webgl2'), times = [];
  for (const value of values) {
    const start = performance.now();
    slider.value = value;
    slider.dispatchEvent(new Event('input'));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    times.push(performance.now() - start);
  }
  return times;
}"""


# What visitors look at, one after the other: a page, then other choices on it.
CLICKS = [
    ("", ""),
    ("", "model=tuned&subject=S1&compare=toy"),
    ("layers", "model=toy&subject=S1"),
    ("layers", "model=tuned&subject=S2"),
    ("layers", "model=toy&subject=S1&compare=tuned&score=r+%2F+ceiling"),
    ("cortex", "model=toy&subject=S1"),
    ("cortex", "model=toy&subject=S2&map=preferred"),
    ("cortex", "model=tuned&subject=S1&target=4000"),
    ("compare", "model=toy&compare=tuned&subject=S1"),
    ("compare", "model=tuned&compare=toy&subject=S2"),
]


@contextmanager
def served(app, store=None, **environment):
    """Run a Streamlit script on a free port; gives its address."""
    with running(app, store, **environment) as (url, _):
        yield url


@contextmanager
def running(app, store=None, **environment):
    """Do so and give the server's process as well."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "braindash.ui.serve", str(app), "--server.port", str(port)]
    command += ["--server.headless", "true"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = os.environ | environment | ({"BRAINDASH_STORE": str(store)} if store else {})
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **quiet)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def open_viewer(browser, url):
    """Open a fresh page; gives it, its WebSocket frame sizes and the seconds to the surface."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.set_default_timeout(120_000)
    frames = []
    for kind in ("framesent", "framereceived"):
        page.on("websocket", lambda s, kind=kind: s.on(kind, lambda f: frames.append(len(f))))
    start = time.perf_counter()
    page.goto(url)
    page.wait_for_selector(".braindash-viewer[data-ready]")
    return page, frames, time.perf_counter() - start


FOUND: list[dict[str, str]] = []
PART = [""]  # what the lines are about, for lines that are written of several


def report(what, measured, goal=""):
    """Print a line of the table, and keep it."""
    what = f"{PART[-1]}{what}"
    FOUND.append({"what": what, "measured": str(measured), "goal": goal})
    print(f"{what:<66} {measured}{f'   (goal: {goal})' if goal else ''}", flush=True)


def measure_opening(browser, url, repeats):
    """Report how long it takes to the first surface, and how many bytes; gives the open page."""
    report("first surface, cold server", f"{open_viewer(browser, url)[2]:.2f} s")
    warm = [open_viewer(browser, url)[2] for _ in range(repeats)]
    report("first surface, warm server", f"{statistics.median(warm):.2f} s", "2.5 s; Compare 2 s")
    page, frames, _ = open_viewer(browser, url)
    time.sleep(1.5)
    report("bytes when opened", f"{sum(frames) / 1e6:.3f} MB", "1.5 MB")
    return page, frames


def measure_changes(page, frames):
    """Report how long changes on the surface take; they must send nothing."""
    before = sum(frames)
    for part, values in (("layer", list(range(1, 13))), ("threshold", [0.2, 0.3, 0.4, 0.1] * 3)):
        times = page.evaluate(TIME_CHANGES, [part, values])
        spread = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
        report(f"{part} change, software GL", spread, "150 ms")
    report("bytes of all these changes", sum(frames) - before, "0")


def measure_click(page, frames, answer):
    """Report how long a click takes to its answer, and how many bytes."""
    before = sum(frames)
    box = page.locator('canvas[data-part="canvas"]').bounding_box()
    start = time.perf_counter()
    page.mouse.click(box["x"] + box["width"] / 8, box["y"] + box["height"] / 5)
    answer.wait_for()
    report("click to its answer", f"{time.perf_counter() - start:.2f} s", "0.3 s")
    time.sleep(1)
    report("bytes of a click", f"{(sum(frames) - before) / 1e3:.1f} KB")


def measure_other_maps(page, frames, choose, label):
    """Report how many bytes other maps bring."""
    before = sum(frames)
    start = time.perf_counter()
    choose.click()
    page.locator('[data-part="label"]').get_by_text(label).wait_for()
    report("other maps", f"{time.perf_counter() - start:.2f} s", "0.7 s")
    time.sleep(1)
    n_bytes = (sum(frames) - before) / 1e3
    report("bytes of other maps", f"{n_bytes:.1f} KB", "300 KB a map set")


def measure_viewer(browser, url, repeats):
    """Report on one viewer alone, in a page of its own."""
    page, frames = measure_opening(browser, url, repeats)
    measure_changes(page, frames)
    measure_click(page, frames, page.get_by_text("picked: left"))
    choose = page.get_by_role("radio", name="difference")
    measure_other_maps(page, frames, choose, "difference of r")


def measure_compare(browser, url, repeats):
    """Report on the page Compare: two models and their difference, with all that is below."""
    page, frames = measure_opening(browser, url + COMPARE, repeats)
    measure_changes(page, frames)
    measure_click(page, frames, page.locator(".js-plotly-plot .gtitle").first)
    choose = page.get_by_text("r / ceiling", exact=True)
    measure_other_maps(page, frames, choose, "r / ceiling")


def filled(folder):
    """Make a store with two models of two subjects."""
    store = Path(folder) / "store"
    for seed, model in enumerate(("toy", "tuned")):
        for subject in ("S1", "S2"):
            put_result(Store(store), model=model, subject=subject, seed=seed, n_layers=N_LAYERS)
    return store


def measure_visitors(n_visitors, minutes, pause):
    """Report how long many visitors wait for a read-only server."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(ROOT / "app.py", filled(folder), BRAINDASH_READ_ONLY="1") as url,
    ):
        with_pages = Visit(url)  # a server that has imported its pages, as after its first day
        for page, query in CLICKS:
            with_pages.ask(page, query)
        with_pages.close()
        found = visit_together(url, CLICKS, n_visitors, minutes, pause)
    seconds = sorted(taken for _, taken in found.seconds)
    print(f"\n{n_visitors} visitors, {pause:g} s between clicks, {minutes:g} minutes")
    report("clicks answered", len(seconds))
    report("visitors who were turned away or saw an error", len(found.problems))
    print(*found.problems, sep="\n", end="\n" if found.problems else "")
    report("a click to all that was sent, median", f"{statistics.median(seconds):.2f} s")
    report("  p95 (goal < 1 s)", f"{seconds[int(0.95 * (len(seconds) - 1))]:.2f} s")
    report("  longest", f"{seconds[-1]:.2f} s")
    for page in dict.fromkeys(page for page, _ in CLICKS):
        own = sorted(taken for one, taken in found.seconds if one == page)
        if own:
            spread = f"median {statistics.median(own):.2f} s, longest {own[-1]:.2f} s"
            report(f"  {page or 'overview'}", spread)


def measure_pages(browser, folder, repeats):
    """Report on pages and controls of two models, on idle sessions, and on a list of 500."""
    store = Store(folder / "pages")
    for seed, (model, subject) in enumerate((m, s) for m in MODELS for s in SUBJECTS):
        put_result(store, model=model, subject=subject, seed=seed, n_layers=N_LAYERS)
    for draw, model in enumerate(("toy", "untrained:toy@0")):
        put_probing(store, model=model, draw=draw, n_layers=N_LAYERS)
    print("\nPages and controls")
    with running(ROOT / "app.py", store.root) as (url, server):
        for measure in (pages_timed.opening, pages_timed.controls):
            for what, waited, goal in measure(browser, server, url, QUERY, repeats):
                report(what, waited, goal)
        grown = pages_timed.idle_memory(browser, server, url, QUERY)
        report("memory of an idle session", f"{grown:.1f} MB", "5 MB")
    make_large_store(folder / "large")
    with running(ROOT / "app.py", folder / "large") as (url, server):
        for what, waited, goal in pages_timed.list_of_results(browser, server, url, repeats):
            report(what, waited, goal)


def measure_story(browser, folder, repeats):
    """Report on the story player, and on a report of the same results."""
    print("\nStory, two models, and a report")
    store, made = Store(folder / "story"), []
    for seed, model in enumerate(MODELS):
        one = put_story(store, folder / "data", model=model, seed=seed, n_layers=N_LAYERS)
        made.append(one.result)
    with served(ROOT / "app.py", store.root) as url:
        for row in story_timed.playing(browser, url):
            report(*row)
    for row in story_timed.report_opened(browser, build(made), folder, repeats):
        report(*row)


def measure_large_report(browser, folder, repeats):
    """Report on the report of a story that is longer than there is room for, with its sound."""
    store, made = Store(folder / "long"), []
    for seed, model in enumerate(MODELS):
        options = {"seed": seed, "n_layers": 2, "n_rows": LONG_ROWS}
        made.append(put_story(store, folder / "long-data", model=model, **options).result)
    print(f"\nA report with a story of {2 * LONG_ROWS / 60:.0f} minutes")
    whole = build(made, store=store, with_sound=True)
    for row in story_timed.report_opened(browser, whole, folder, repeats):
        report(*row)


def measure_viewers(browser, folder, repeats):
    """Report on a viewer alone, then on the page Compare with three panels."""
    print("\nOne viewer, 13 layers of constant patches")
    PART.append("one viewer alone: ")
    with served(APP) as url:
        measure_viewer(browser, url, repeats)
    for seed, model in enumerate(MODELS):
        put_result(Store(folder / "store"), model=model, seed=seed, n_layers=N_LAYERS)
    print("\nPage Compare, two models of 13 layers of white noise, three panels")
    PART.append("Compare, three panels: ")
    with served(ROOT / "app.py", folder / "store") as url:
        measure_compare(browser, url, repeats)
    PART.append("")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--visitors", type=int, help="measure so many visitors at once instead")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--pause", type=float, default=10.0, help="seconds between two clicks")
    parser.add_argument("--only-pages", action="store_true", help="leave the viewer's figures out")
    parser.add_argument("--only-reports", action="store_true", help="open a large report alone")
    parser.add_argument("--json", type=Path, help="write the table there")
    options = parser.parse_args()
    report("machine", f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version[:6]}")
    if options.visitors:
        measure_visitors(options.visitors, options.minutes, options.pause)
        return
    report("geometry blob", f"{len(geometry_blob()) / 1e3:.0f} KB")
    report("colour tables", f"{len(colour_blob()) / 1e3:.0f} KB")
    report("script", f"{len(script()) / 1e3:.1f} KB, carrier {len(script(CARRIER_MODULES))} bytes")
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=options.chromium, args=FLAGS)
        if not (options.only_pages or options.only_reports):
            measure_viewers(browser, Path(folder), options.repeats)
        if not options.only_reports:
            measure_pages(browser, Path(folder), options.repeats)
            measure_story(browser, Path(folder), options.repeats)
        measure_large_report(browser, Path(folder), options.repeats)
        browser.close()
    if options.json:
        options.json.write_text(json.dumps({"rows": FOUND}, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
