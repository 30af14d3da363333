"""What pages let a visitor take away: offered when it is asked for, and equal to what is shown."""

import io
import json
import zipfile
from xml.etree import ElementTree as ET

import nibabel
import numpy as np
import pandas as pd
import pytest
from kit.results.made_up import made_up_result, put_result
from kit.results.made_up_probing import put_probing
from kit.results.statistics_store import ROI
from kit.site.pages import run, takes

from braindash.exports.source import Source
from braindash.io.store import Store
from braindash.ui import take_away

SOURCE = Source("Scores", "made up", ("details",), ("k" * 32,), True)
ASKED = {
    "explore/overview": {"stages"},
    "explore/layers": {"curves", "regions", "difference", "stages", "probing"},
    "explore/compare": {"scatter", "layers-3-3", "difference", "stages"},
    "explore/probes": {"tasks", "task", "depths", "encoding", "above-chance"},
}


@pytest.fixture
def pair(empty_root):
    """Two models in a space without a surface, and probes of one of them."""
    store = Store(empty_root)
    for seed, model in enumerate(("toy", "tuned")):
        put_result(store, model=model, **ROI, seed=seed)
    put_probing(store, model="toy")
    return empty_root


def files_of(taken):
    """Make every file that a control offers, by what stands on its button."""
    offers = take_away._offers(taken, SOURCE)
    return {name: (file, make()) for name, (file, make) in offers.items()}


def names_in(archive: bytes) -> set[str]:
    return set(zipfile.ZipFile(io.BytesIO(archive)).namelist())


@pytest.mark.parametrize("page", ASKED)
def test_every_figure_of_a_page_can_be_taken_away(pair, page, monkeypatch):
    offered = takes(monkeypatch)
    query = {} if page == "explore/probes" else {"model": "toy", "compare": "tuned"}
    app = run(page, **query)
    assert not app.exception and not app.error
    assert ASKED[page] <= set(offered), set(offered)
    for taken in offered.values():
        assert taken.simulated and taken.keys and taken.title
        offers = take_away._offers(taken, SOURCE)
        assert ("SVG" in offers) == (taken.figure is not None)
        table = pd.read_parquet(io.BytesIO(offers["Parquet"][1]()))
        assert len(table) and table["simulated"].all()
        again = pd.read_csv(io.BytesIO(offers["CSV"][1]()))
        assert list(again.columns) == list(table.columns) and len(again) == len(table)
        if taken.figure is not None:
            ET.fromstring(offers["SVG"][1]())


def test_what_is_offered_is_made_when_it_is_asked_for(pair):
    app = run("explore/layers", model="toy")
    assert not app.get("download_button"), "closed: nothing is offered yet"
    app.session_state["take_curves"] = True
    app.run()
    assert not app.exception
    labels = [one.proto.label for one in app.get("download_button")]
    assert labels == ["SVG", "PDF", "PNG", "CSV", "Parquet", "All"]
    assert all(one.proto.deferred_file_id for one in app.get("download_button"))


def test_everything_of_a_figure_is_one_archive(pair, monkeypatch):
    offered = takes(monkeypatch)
    run("explore/layers", model="toy")
    file, content = files_of(offered["curves"])["All"]
    stem = file.removesuffix(".zip")
    assert stem.startswith("braindash-") and stem.endswith("-curves")
    forms = ("svg", "pdf", "png", "csv", "parquet", "json")
    assert names_in(content) == {f"{stem}.{form}" for form in forms}
    told = json.loads(zipfile.ZipFile(io.BytesIO(content)).read(f"{stem}.json"))
    assert told == SOURCE.document()


def test_maps_leave_as_they_are_shown(filled_root, monkeypatch):
    offered = takes(monkeypatch)
    query = {"model": "toy-model", "subject": "S1", "map": "significant", "layer": "2"}
    app = run("explore/cortex", **query, target="9000")
    assert not app.exception and {"maps", "target"} <= set(offered)
    offers = take_away._offers(offered["maps"], SOURCE)
    archive = zipfile.ZipFile(io.BytesIO(offers["GIFTI"][1]()))
    image = nibabel.GiftiImage.from_bytes(archive.read("map-significant_hemi-L.func.gii"))
    result = made_up_result(model="toy-model", subject="S1", seed=0)
    expected = np.where(result.significant(0.05), result.r, np.nan)[:, :10242]
    np.testing.assert_array_equal(np.stack(image.agg_data()), expected)
    assert "SVG" in offers and "CSV" not in offers


def test_linked_maps_leave_with_their_difference(filled_root, monkeypatch):
    offered = takes(monkeypatch)
    query = {"model": "toy-model", "compare": "toy-tuned", "subject": "S1"}
    assert not run("explore/compare", **query, hold="A1B2").exception
    files = names_in(take_away._offers(offered["maps"], SOURCE)["GIFTI"][1]())
    assert "map-A-minus-B_hemi-R.func.gii" in files and len(files) == 9
    offered.clear()
    assert not run("explore/overview", **query).exception
    assert {"brains", "panels"} <= set(offered)
    assert {"SVG", "PNG", "GIFTI"} <= set(take_away._offers(offered["brains"], SOURCE))


def test_a_region_set_leaves_as_picture_table_and_map(empty_root, monkeypatch):
    offered = takes(monkeypatch)
    assert not run("explore/data").exception
    ((name, taken),) = offered.items()
    assert name.startswith("regions-")
    offers = take_away._offers(taken, SOURCE)
    assert {"SVG", "CSV", "GIFTI"} <= set(offers)
    archive = zipfile.ZipFile(io.BytesIO(offers["GIFTI"][1]()))
    sides = [
        nibabel.GiftiImage.from_bytes(archive.read(f"{name}_hemi-{side}.func.gii")).agg_data()
        for side in "LR"
    ]
    numbers = np.concatenate(sides)
    assert set(np.unique(numbers[np.isfinite(numbers)])) <= set(taken.table["number"])
