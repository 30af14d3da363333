"""Measure the surface viewer in a headless Chromium with software GL; print the numbers.

Run it as ``python benchmarks/bench_dashboard.py [--chromium PATH] [--repeats N]``. Streamlit,
the browser and the graphics all share this machine's cores: read the numbers as ratios.
"""

import argparse
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from braindash.ui.viewer import CARRIER_MODULES, script
from braindash.views.cortex import colour_blob, geometry_blob

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "tests" / "browser" / "viewer_app.py"
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


@contextmanager
def served():
    """Run the test's viewer app on a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(APP), "--server.port", str(port)]
    command += ["--server.headless", "true", "--server.fileWatcherType", "none"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, **quiet)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield url
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


def report(name, value):
    print(f"{name:<46} {value}")


def measure(browser, url, repeats):
    report("first surface, cold server", f"{open_viewer(browser, url)[2]:.2f} s")
    warm = [open_viewer(browser, url)[2] for _ in range(repeats)]
    report("first surface, warm server (goal < 2.5 s)", f"{statistics.median(warm):.2f} s")
    page, frames, _ = open_viewer(browser, url)
    time.sleep(1)
    loaded = sum(frames)
    report("bytes to the first surface (goal < 1.5 MB)", f"{loaded / 1e6:.3f} MB")
    for part, values in (("layer", list(range(1, 13))), ("threshold", [0.2, 0.3, 0.4, 0.1])):
        times = page.evaluate(TIME_CHANGES, [part, values])
        spread = f"median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms"
        report(f"{part} change, software GL (goal < 150 ms)", spread)
    report("bytes of all these changes (goal 0)", sum(frames) - loaded)
    box = page.locator('canvas[data-part="canvas"]').bounding_box()
    start = time.perf_counter()
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.get_by_text("picked: left").wait_for()
    report("click to its answer (goal < 0.3 s)", f"{time.perf_counter() - start:.2f} s")
    time.sleep(0.5)
    clicked = sum(frames)
    report("bytes of a click (goal < 20 KB)", f"{(clicked - loaded) / 1e3:.1f} KB")
    page.get_by_role("radio", name="difference").click()
    page.locator('[data-part="label"]').get_by_text("difference of r").wait_for()
    time.sleep(0.5)
    report("bytes of other maps (goal < 300 KB)", f"{(sum(frames) - clicked) / 1e3:.1f} KB")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    report("machine", f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version[:6]}")
    report("geometry blob", f"{len(geometry_blob()) / 1e3:.0f} KB")
    report("colour tables", f"{len(colour_blob()) / 1e3:.0f} KB")
    report("script", f"{len(script()) / 1e3:.1f} KB, carrier {len(script(CARRIER_MODULES))} bytes")
    with served() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=options.chromium, args=FLAGS)
        measure(browser, url, options.repeats)
        browser.close()


if __name__ == "__main__":
    main()
