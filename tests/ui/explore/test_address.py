"""What anybody may type into the address: every page takes it, and shows what it can."""

import pytest
from kit.results.made_up import N_LAYERS, N_TARGETS, put_result
from kit.results.made_up_probing import put_probing
from kit.site.pages import run

from braindash.io.store import Store
from braindash.views.linked import read_held

MENUS = ("data", "model", "subject", "compare", "score", "ceiling", "set", "hemisphere")
PAGES = {
    "explore/overview": ("result",),
    "explore/layers": (*MENUS, "bands", "lines", "depth", "regions", "tasks"),
    "explore/cortex": (*MENUS, "map", "q", "sure", "depth", "layer", "target"),
    "explore/compare": (*MENUS, "third", "minus", "hold", "layer", "target"),
    "explore/probes": ("data", "model", "result", "scale", "controls", "bands", "depth", "task"),
    "explore/data": ("set", "hemisphere"),
    "compute/run": ("work",),
    "compute/tuning": ("work",),
    "compute/jobs": ("result",),
}
ODD = {
    "no decimal digit": "²",
    "digits of another script": "٣",
    "huge": "9" * 5000,
    "negative": "-1",
    "empty": "",
    "a fraction": "1.5",
    "no number": "nan",
    "endless": "inf",
    "a word": "x",
    "repeated": ["1", "²"],
    "nothing": [],
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A store that every page finds something in."""
    store = Store(tmp_path_factory.mktemp("store"))
    for seed, (model, subject) in enumerate([("toy", "S1"), ("toy", "S2"), ("tuned", "S1")]):
        put_result(store, model=model, subject=subject, seed=seed)
    put_probing(store, model="toy", draw=0)
    return store.root


@pytest.fixture(autouse=True)
def at_root(root, monkeypatch):
    monkeypatch.setenv("BRAINDASH_STORE", str(root))


# What reads the values is tested below with all of them; here that every page reads with it.
ON_PAGES = ("no decimal digit", "huge", "no number", "repeated")


@pytest.mark.parametrize("odd", ON_PAGES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_takes_whatever_the_address_says(page, odd):
    app = run(page, **dict.fromkeys((*PAGES[page], "unknown"), ODD[odd]))
    assert not app.exception, app.exception[0].message
    assert not app.error, app.error[0].value


@pytest.mark.parametrize("odd", ON_PAGES)
def test_the_map_of_preferred_layers_takes_whatever_the_address_says(odd):
    app = run("explore/cortex", map="preferred", sure=ODD[odd], layer=ODD[odd])
    assert not app.exception and not app.error


@pytest.fixture
def read(monkeypatch):
    """Read the layer and the target of an address."""
    from braindash.ui.explore import address

    def layer_and_target(**query):
        monkeypatch.setattr(address.st, "query_params", query)
        return address.layer(N_LAYERS - 1), address.target(N_TARGETS)

    return layer_and_target


@pytest.mark.parametrize("text", [text for text in ODD.values() if isinstance(text, str)])
def test_what_is_no_plain_number_names_nothing(read, text):
    assert read(layer=text, target=text) == (N_LAYERS - 1, None)


def test_plain_numbers_are_read_within_what_there_is(read):
    assert read() == (N_LAYERS - 1, None)
    assert read(layer="0", target="0") == (0, 0)
    assert read(layer="002", target="00123") == (2, 123)
    assert read(layer="77", target=str(N_TARGETS)) == (N_LAYERS - 1, None)


def test_a_panel_is_held_by_plain_digits_alone():
    assert read_held("A3C0", 3) == [3, None, 0]
    assert read_held("A²B٣C-1", 3) == [None, None, None]
