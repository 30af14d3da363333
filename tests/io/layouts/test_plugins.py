"""Layouts that other packages bring along."""

import sys

import pytest
from kit.layouts.common import Made
from kit.plugins import put_plugin

from braindash.io.dataset.manifest import load_manifest
from braindash.io.layouts import find
from braindash.io.layouts.index import index_folder

# What the documentation tells an author to write.
EXAMPLE = find.__doc__.split("of a module ::")[1].split("\n\nof a distribution")[0]
MODULE = "\n".join(line.removeprefix("    ") for line in EXAMPLE.strip("\n").splitlines()) + "\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    def put(module=MODULE, name="our-lab"):
        folder = put_plugin(
            tmp_path / "site",
            module,
            point="braindash.datasets:LAYOUT",
            name=name,
            distribution="our_package",
        )
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, "our_package", raising=False)
        find.known_layouts.cache_clear()

    yield put
    find.known_layouts.cache_clear()


def test_a_layout_of_another_package_is_asked_first(tmp_path, installed):
    installed()
    made = Made(tmp_path / "lab")
    made.sound(made.folder / "tale.wav", 20.0)
    (made.folder / "our_lab.txt").write_text("here")
    (made.folder / "S1_tale.npy").write_bytes(b"")
    found = index_folder(made.folder)
    assert found.layout == "our-lab" and found.subjects == {"S1": ("tale",)}
    assert find.known_layouts()["our-lab"].plugin == "our_package 0.2.0"
    dataset = load_manifest(made.folder)
    assert (
        dataset.name == "Our lab" and dataset.responses("S1", "tale").paths[0].name == "S1_tale.npy"
    )


@pytest.mark.parametrize(
    ("module", "name", "says"),
    [
        ("LAYOUT = 3\n", "our-lab", "it is int, not Layout"),
        (MODULE, "other", "both must be one name"),
        (MODULE, "bids", "has a layout of this name"),
    ],
)
def test_a_layout_that_cannot_be_used_is_left_out_and_told(installed, caplog, module, name, says):
    installed(module, name)
    assert name not in set(find.known_layouts()) - set(find.LAYOUTS)
    assert says in caplog.text
