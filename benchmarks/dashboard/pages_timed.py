"""Time what a visitor waits for on the pages of a running dashboard, in a real browser.

A page or a control is at rest when nothing of the document has changed for a while and the server
has nothing more to say; the time is that of the last change. Graphics, server and browser share the
machine, so CPU seconds stand beside each time, of the server's process and of the page's main
thread: they are nobody else's.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

import psutil

QUIET_MS = 700
# Notes when the document changed last. The viewer's own parts are behind shadow roots, which no
# observer of the document sees: its attribute says when it is drawn.
WATCH = """() => {
  window.changedLast = performance.now();
  new MutationObserver(() => { window.changedLast = performance.now(); })
    .observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
AT_REST = """([since, quiet]) => {
  const app = document.querySelector('.stApp');
  return app && app.dataset.testScriptState !== 'running' && window.changedLast > since
    && performance.now() - window.changedLast > quiet;
}"""
VIEWER = ".braindash-viewer[data-ready]"
# Pages with what has to be there, in the order of the goals.
PAGES = ("", "layers", "cortex", "compare", "probes")
MEAN_OF_40 = "?model=hubert-base&compare=hubert-base-tuned&subject=all+subjects"
WITH_BRAINS = ("", "cortex", "compare")


@dataclass(frozen=True)
class Waited:
    """What one visit or one control took: seconds, bytes, CPU seconds of server and page."""

    seconds: float
    n_bytes: int
    cpu: float
    page_cpu: float
    surface: float = float("nan")

    def __str__(self) -> str:
        first = "" if self.surface != self.surface else f", brains after {self.surface:.2f} s"
        cpu = f"CPU s: server {self.cpu:.2f}, page {self.page_cpu:.2f}"
        return f"{self.seconds:.2f} s{first}, {self.n_bytes / 1e3:.0f} KB, {cpu}"


def median(found: list[Waited]) -> Waited:
    """Return the medians of several."""
    columns = zip(*map(astuple, found), strict=True)
    seconds, n_bytes, *rest = (statistics.median(column) for column in columns)
    return Waited(seconds, int(n_bytes), *rest)


class Visit:
    """A visitor's page of one server: its traffic, and when it is at rest."""

    def __init__(self, browser, server: psutil.Process) -> None:
        self.context = browser.new_context(viewport={"width": 1440, "height": 1000})
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)
        self.page.add_init_script(f"({WATCH})()")
        self.server, self.frames = server, []
        self.inside = self.context.new_cdp_session(self.page)
        self.inside.send("Performance.enable", {"timeDomain": "threadTicks"})
        for kind in ("framesent", "framereceived"):
            self.page.on(
                "websocket",
                lambda s, kind=kind: s.on(kind, lambda frame: self.frames.append(len(frame))),
            )

    def _cpu(self) -> tuple[float, float]:
        used = self.server.cpu_times()
        found = self.inside.send("Performance.getMetrics")["metrics"]
        own = next(one["value"] for one in found if one["name"] == "TaskDuration")
        return used.user + used.system, own

    @contextmanager
    def _counted(self) -> Iterator[dict[str, float]]:
        before, found = (sum(self.frames), self._cpu()), {}
        yield found
        found["n_bytes"] = sum(self.frames) - before[0]
        after = self._cpu()
        # The browser counts anew where another document took the page's place.
        page_cpu = after[1] - before[1][1] if after[1] > before[1][1] else after[1]
        found |= {"cpu": after[0] - before[1][0], "page_cpu": page_cpu}

    def open(self, url: str, *, brains: bool) -> Waited:
        """Go to an address; wait until it is at rest."""
        with self._counted() as counted:
            self.page.goto(url, wait_until="commit")
            surface = float("nan")
            if brains:
                self.page.wait_for_selector(VIEWER)
                surface = self.page.evaluate("performance.now()") / 1e3
            self.page.get_by_role("heading", level=1).wait_for()
            seconds = self._rest(0)
        seconds = seconds if surface != surface else max(seconds, surface)
        return Waited(seconds, surface=surface, **counted)

    def act(self, do: Callable[[], None]) -> Waited:
        """Use a control; wait until the page is at rest."""
        self._rest(0)
        with self._counted() as counted:
            start = self.page.evaluate("performance.now()")
            do()
            seconds = self._rest(start)
        return Waited(seconds, **counted)

    def _rest(self, since: float) -> float:
        """Wait until nothing changes any more; give the seconds to the last change."""
        self.page.wait_for_function(AT_REST, arg=[since, QUIET_MS])
        return (self.page.evaluate("window.changedLast") - since) / 1e3


def opening(browser, server: psutil.Process, url: str, query: str, repeats: int):
    """Open every page on a warm server, in browsers that were never there, and once more in them.

    A browser that comes for the first time has half a megabyte of Streamlit and the whole of plotly
    to read and to compile, which it keeps.
    """
    for page in PAGES:
        first, again = [], []
        for _ in range(repeats + 1):  # the first one warms the server
            visit = Visit(browser, server)
            for found in (first, again):
                found.append(visit.open(f"{url}/{page}{query}", brains=page in WITH_BRAINS))
            visit.context.close()
        name = page or "overview"
        yield f"open {name}, warm server, new browser", median(first[1:]), "brains first"
        yield f"open {name}, warm server, again", median(again[1:]), "2 s, brains first"


def _switch(visit: Visit, name: str) -> Callable[[], None]:
    def act() -> None:
        visit.page.get_by_text(name, exact=True).first.click()

    return act


def _choose(visit: Visit, label: str, option: str) -> Callable[[], None]:
    def act() -> None:
        visit.page.get_by_role("combobox", name=label).first.click()
        visit.page.get_by_role("option", name=option).first.click()

    return act


# Page, what is used, and what it is; then menus of the selection bar.
CONTROLS = (
    ("layers", "Intervals", "the curves and those on their axis"),
    ("layers", "Ceiling lines", "the curves and those on their axis"),
    ("layers", "Relative depth", "the curves and those on their axis"),
    ("probes", "Intervals", "one task"),
    ("overview", "Group by data set", "the list of results"),
)
BAR = (("", "Subject"), ("layers", "Subject"), ("cortex", "Subject"), ("compare", "Subject"))


def controls(browser, server: psutil.Process, url: str, query: str, repeats: int):
    """Use controls of single figures, then the selection bar, on warm pages."""
    for page, name, what in CONTROLS:
        visit = Visit(browser, server)
        visit.open(f"{url}/{page}{query}", brains=False)
        found = [visit.act(_switch(visit, name)) for _ in range(2 * repeats)]
        visit.context.close()
        yield f"control {name} on {page}: {what}", median(found[1:]), "0.4 s"
    for page, label in BAR:
        visit = Visit(browser, server)
        visit.open(f"{url}/{page}{query}", brains=page in WITH_BRAINS)
        found = [
            visit.act(_choose(visit, label, option)) for option in ("S2", "S1") * (repeats + 1)
        ]
        visit.context.close()
        yield f"selection bar, {label} on {page or 'overview'}", median(found[2:]), "0.8 s"


def list_of_results(browser, server: psutil.Process, url: str, repeats: int):
    """Open and filter a list of 500 results; open means of 40 subjects."""
    visit = Visit(browser, server)
    yield "open overview, 500 results, new server", visit.open(url, brains=True), ""
    found = [visit.open(url, brains=True) for _ in range(repeats)]
    yield "open overview, 500 results, warm server", median(found), "2 s, brains first"

    def type_words(words: str) -> Callable[[], None]:
        def act() -> None:
            visit.page.get_by_label("Filter").fill(words)
            visit.page.keyboard.press("Enter")

        return act

    found = [visit.act(type_words(words)) for words in ("wavlm", "hubert", "large sub-07")]
    yield "filter 500 results", median(found), "0.4 s"
    visit.context.close()
    for page in ("", "layers", "compare"):
        visit, found = Visit(browser, server), []
        for _ in range(repeats + 1):
            found.append(visit.open(f"{url}/{page}{MEAN_OF_40}", brains=page in WITH_BRAINS))
        visit.context.close()
        what = f"open {page or 'overview'}, two models, mean of 40 subjects, 25 layers"
        yield f"{what}, first time", found[0], ""
        yield f"{what}, again", median(found[1:]), "2 s, brains first"


def idle_memory(browser, server: psutil.Process, url: str, query: str, count: int = 12) -> float:
    """Return the megabytes that a session takes while nobody uses it, of ``count`` more of them."""
    pages = [f"{url}/{page}{query}" for page in ("", "layers", "cortex", "compare")]
    visits = []
    for page in pages:  # what all sessions share is in memory then
        visits.append(Visit(browser, server))
        visits[-1].open(page, brains=False)
    before = server.memory_info().rss
    for place in range(count):
        visits.append(Visit(browser, server))
        visits[-1].open(pages[place % len(pages)], brains=False)
    time.sleep(1)
    grown = (server.memory_info().rss - before) / 1e6 / count
    for visit in visits:
        visit.context.close()
    return max(0.0, grown)
