"""The page Probes in a real browser, on results that were computed."""

import pytest
from kit.data.spoken_corpus import make_corpus

from braindash.io.store import Store
from braindash.probing.run import run_probing
from braindash.requests import ProbeRequest, build_request

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def store(tmp_path_factory, tiny_model):
    """A tiny model and its two controls, probed on a corpus of tones."""
    folder = tmp_path_factory.mktemp("probes")
    corpus = make_corpus(folder / "corpus", n_recordings=5, n_words=36)
    root = folder / "store"
    for model in (str(tiny_model), f"untrained:{tiny_model}@1", "acoustic:logmel"):
        request = build_request(
            ProbeRequest,
            data=corpus.manifest,
            model=model,
            tasks=("energy", "mfcc", "voicing", "phone", "word"),
            n_shuffles=2,
            n_bootstraps=30,
        )
        run_probing(request, Store(root))
    return root


def settled(page):
    """Wait for both figures, and for the script to have ended."""
    page.wait_for_selector(".js-plotly-plot .heatmaplayer image, .js-plotly-plot .hm image")
    page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length >= 2")


def test_a_visitor_sees_the_map_chooses_a_task_and_shares_the_address(store, serve, page):
    problems, lost = [], []
    page.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
    page.on("response", lambda answer: lost.append(answer.url) if answer.status >= 400 else None)
    server = serve(store)
    page.goto(f"{server.url}/probes")
    settled(page)
    rows = page.locator(".js-plotly-plot").first.locator(".ytick text").all_text_contents()
    assert rows == ["Energy", "MFCC", "Voicing", "Phone", "Word identity"]
    assert "SIMULATED" in page.locator(".js-plotly-plot .annotation-text").all_text_contents()
    page.get_by_text("z over layers", exact=True).first.click()
    page.wait_for_function("() => location.search.includes('scale=')")
    page.goto(page.url + "&task=phone")
    settled(page)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.js-plotly-plot .ytitle')]"
        ".some(e => e.textContent.startsWith('Phone: Balanced accuracy'))"
    )
    legend = page.locator(".js-plotly-plot").nth(1).locator(".legendtext").all_text_contents()
    assert "acoustic:logmel" in legend and "chance: shuffled labels" in legend
    assert page.traffic.hosts == {"127.0.0.1"}
    # Streamlit looks for its server below the page's own address first.
    assert all("/probes/_stcore/" in url for url in lost), lost
    assert not page.traffic.errors
    assert not [text for text in problems if not text.startswith("Failed to load resource")]
