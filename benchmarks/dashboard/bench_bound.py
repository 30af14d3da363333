"""Measure what a click takes in an app that only sends texts and figures: the bound of any page.

Run it as ``python benchmarks/dashboard/bench_bound.py [--chromium PATH] [--repeats N]``. The app
has a menu, as many texts as the page Compare has elements below its surfaces, and figures like its
two: a click changes all of them. What is measured is Streamlit's and plotly's; nothing of braindash
runs in the app. Seconds depend on what else the machine does, CPU seconds of the page's main thread
hardly.
"""

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import bench_dashboard
import numpy as np
import pages_timed
from playwright.sync_api import sync_playwright

from braindash.views.scatter import target_scatter

N_TEXTS = 60
N_TARGETS, N_REGIONS = 20484, 2
APP = """
import json, os
import plotly.io as pio
import streamlit as st

st.set_page_config(layout="wide")
st.title("Bound")
chosen = st.selectbox("Subject", ["S1", "S2"])
for number in range(int(st.query_params["texts"])):
    st.caption(f"text {number} of {chosen}")
if st.query_params["figures"] == "1":
    for number, text in enumerate(json.loads(open(os.environ["BOUND_FIGURES"]).read())[chosen]):
        st.plotly_chart(pio.from_json(text), key=f"figure{number}")
"""


def figures() -> dict[str, list[str]]:
    """Draw two figures per subject, as large as those of the page Compare, of white noise."""
    drawn = {}
    for seed, subject in enumerate(("S1", "S2")):
        rng = np.random.default_rng(seed)
        a, b = rng.standard_normal((2, N_TARGETS))
        masks = {f"region {i}": np.arange(N_TARGETS) % 40 == i for i in range(N_REGIONS)}
        points, _ = target_scatter(a, b, masks, list(masks), titles=["A", "B"], simulated=True)
        few = {name: mask & (np.arange(N_TARGETS) < 520) for name, mask in masks.items()}
        known = np.where(np.arange(N_TARGETS) < 520, a, np.nan)
        second, _ = target_scatter(known, b, few, list(few), titles=["A", "B"], simulated=True)
        drawn[subject] = [points.to_json(), second.to_json()]
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        app, kept = Path(folder) / "bound.py", Path(folder) / "figures.json"
        app.write_text(APP, encoding="utf-8")
        kept.write_text(json.dumps(figures()), encoding="utf-8")
        browser = driver.chromium.launch(
            executable_path=options.chromium, args=bench_dashboard.FLAGS
        )
        with bench_dashboard.running(app, BOUND_FIGURES=str(kept)) as (url, server):
            for texts, shown in ((0, 0), (N_TEXTS, 0), (0, 1), (N_TEXTS, 1)):
                visit = pages_timed.Visit(browser, server)
                visit.open(f"{url}/?texts={texts}&figures={shown}", brains=False)
                act = pages_timed._choose
                found = [
                    visit.act(act(visit, "Subject", one))
                    for one in ("S2", "S1") * (options.repeats // 2 + 1)
                ]
                visit.context.close()
                print(
                    f"{texts:3d} texts, {2 * shown} figures: {pages_timed.median(found[1:])}",
                    flush=True,
                )
        browser.close()
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
