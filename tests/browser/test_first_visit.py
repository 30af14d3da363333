"""A browser that was never here gets its brains first, and its figures in every case."""

import pytest
from kit.results.made_up import put_result
from streamlit.proto.BackMsg_pb2 import BackMsg

from braindash.io.store import Store
from braindash.ui.surfaces import LONGEST_WAIT_SECONDS

pytestmark = pytest.mark.browser
FIGURE = ".js-plotly-plot"
_PATIENCE = 180_000  # ms, of a server that has imported nothing yet
PAGE = "/?model=toy-model&subject=S1"
# Notes when the viewer has drawn for the first time: it is behind a shadow root.
WATCH = """() => {
  window.came = {};
  const look = () => {
    for (const one of document.querySelectorAll('.stApp *')) {
      if (one.shadowRoot?.querySelector('.braindash-viewer[data-ready]')) {
        window.came.brains = performance.now();
        return;
      }
    }
    requestAnimationFrame(look);
  };
  document.addEventListener('DOMContentLoaded', look);
}"""
# A machine with much else to do takes longer to its first frame than figures would wait.
PATIENT = """() => {
  const own = window.setTimeout;
  window.setTimeout = (act, ms, ...rest) => own(act, ms === %d ? 20 * ms : ms, ...rest);
}"""
LOADED = """() => performance.getEntriesByType('resource')
  .find((one) => one.name.includes('/PlotlyChart')).startTime"""


@pytest.fixture(scope="module")
def url(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("visit") / "store"
    put_result(Store(root), model="toy-model", subject="S1")
    return serve(root).url


def watched(page):
    """Keep what a page asks of its server: runs of the page and of its parts."""
    asked = {"page": 0, "part": 0}

    def note(frame):
        message = BackMsg.FromString(frame)
        if message.WhichOneof("type") == "rerun_script":
            asked["part" if message.rerun_script.fragment_id else "page"] += 1

    page.on("websocket", lambda socket: socket.on("framesent", note))
    page.add_init_script(f"({WATCH})()")
    return asked


def test_figures_come_with_the_viewers_word_and_the_next_time_at_once(page, url):
    asked = watched(page)
    page.add_init_script(f"({PATIENT % (1000 * LONGEST_WAIT_SECONDS)})()")
    page.goto(url + PAGE)
    page.locator(FIGURE).first.wait_for(timeout=_PATIENCE)
    came = page.evaluate("window.came")
    assert came["brains"] < page.evaluate(LOADED), "plotly is not even loaded before"
    page.wait_for_timeout(500)
    assert asked["part"] >= 1, "the figure's part of the page is drawn when the viewer says so"
    assert asked["page"] == 1, "the page itself runs once"
    assert not page.traffic.errors

    again = page.context.new_page()
    asked = watched(again)
    again.goto(url + PAGE)
    again.locator(FIGURE).first.wait_for(timeout=_PATIENCE)
    again.wait_for_timeout(500)
    assert asked["page"] == 1 and not asked["part"], "nothing waits where somebody was before"


def test_all_figures_come_of_a_page_with_several(page, serve, tmp_path):
    for seed, model in enumerate(("toy-model", "toy-tuned")):
        put_result(Store(tmp_path / "store"), model=model, subject="S1", seed=seed)
    asked = watched(page)
    # The page waits for all three before its brains are drawn.
    page.add_init_script(
        "const own = DecompressionStream; let until = 0; window.DecompressionStream = class {"
        " constructor(kind) { const one = new own(kind); until ||= performance.now() + 6000;"
        "  const late = new TransformStream({ start: () => new Promise((done) =>"
        "   setTimeout(done, Math.max(0, until - performance.now()))) });"
        "  this.writable = one.writable; this.readable = one.readable.pipeThrough(late); } };"
    )
    page.goto(f"{serve(tmp_path / 'store').url}/compare?{PAGE[2:]}&compare=toy-tuned&target=9000")
    page.locator(FIGURE).first.wait_for(timeout=_PATIENCE)
    page.locator(FIGURE).nth(2).wait_for(timeout=20_000)
    assert asked["page"] == 1 and asked["part"] >= 3


def test_figures_come_where_there_is_no_webgl(chromium_without_webgl, url):
    page = chromium_without_webgl.new_context().new_page()
    watched(page)
    page.goto(url + PAGE)
    page.locator(FIGURE).first.wait_for(timeout=_PATIENCE)
    page.get_by_text("here is a static picture").wait_for(timeout=_PATIENCE)


def test_figures_come_though_the_viewer_never_draws(page, url):
    watched(page)
    # Bytes that never unpack: neither a frame nor an error.
    page.add_init_script(
        "window.DecompressionStream = class { constructor() {"
        " this.writable = new WritableStream(); this.readable = new ReadableStream(); } };"
    )
    page.goto(url + PAGE)
    page.locator(FIGURE).first.wait_for(timeout=_PATIENCE)
    assert "brains" not in page.evaluate("window.came")
