"""What axe-core finds on every page, in both colour schemes: nothing serious."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from kit.results.made_up import put_result
from kit.results.made_up_probing import put_probing
from kit.results.made_up_story import put_story
from kit.site.browser import settle

from braindash.io.store import Store

pytestmark = pytest.mark.browser
PAGES = {
    "explore": ("", "layers", "cortex", "compare", "probes", "story", "studies"),
    "compute": ("data", "run", "tuning", "jobs"),
}
QUERY = "?model=toy-model&compare=toy-tuned&subject=S1"
SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def url(serve, tmp_path_factory):
    """Serve two made-up models of two subjects, with probes and a story that can be played."""
    root = tmp_path_factory.mktemp("axe")
    store = Store(root / "store")
    for seed, model in enumerate(("toy-tuned", "toy-model")):
        put_story(store, root / "data", model=model, seed=seed, n_layers=3)
        put_result(store, model=model, subject="S2", seed=seed, n_layers=3)
    put_probing(store, model="toy-model", n_layers=3)
    return serve(store.root).url


def found(page) -> list[str]:
    """Return what is serious, with where it is."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]}"
        for one in violations
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def test_it_sees_what_is_wrong_also_behind_shadow_roots(page):
    page.set_content(
        "<html lang='en'><title>t</title><body><main><h1>A</h1><div id='host'></div></main></body>"
    )
    page.evaluate(
        """() => { document.querySelector('#host').attachShadow({ mode: 'open' }).innerHTML =
        '<p style="color: #ccc; background: #fff">pale</p><button></button>'; }"""
    )
    assert {one.split()[0] for one in found(page)} == {"color-contrast", "button-name"}


@pytest.mark.parametrize("part", PAGES)
def test_no_page_has_a_serious_violation(page, url, part):
    wrong = {}
    for name in PAGES[part]:
        page.emulate_media(color_scheme="light")
        page.goto(f"{url}/{name}{QUERY}")
        page.get_by_role("heading", level=1).wait_for()
        page.wait_for_function(
            "() => document.querySelector('.stApp').dataset.testScriptState !== 'running'"
        )
        page.wait_for_timeout(1500)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_timeout(700)
            settle(page)
            if told := found(page):
                wrong[f"{name or 'overview'}, {scheme}"] = told
    assert not wrong, "\n".join(f"{where}: {one}" for where, told in wrong.items() for one in told)
