"""What the page about taking away tells a reader to type, on a stored result."""

import pandas as pd
from kit.documents import ROOT, Reader
from kit.results.made_up import put_result

from braindash.exports.figures import FORMATS
from braindash.exports.tables import TABLE_FORMATS
from braindash.io.store import Store

PAGE = ROOT / "docs" / "take-away.md"


def test_the_page_runs_from_its_first_block_to_its_last(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    key = put_result(store, ceiling=False, resampled=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAINDASH_STORE", str(store.root))
    somebody = Reader(tmp_path, monkeypatch, {"KEY": key})
    somebody.read(PAGE)
    assert somebody.names["image"].shape == (20484, 1)
    assert {one.suffix for one in (tmp_path / "figures").iterdir()} == {".svg"}
    assert len(pd.read_parquet(tmp_path / "data" / "curves-r.parquet"))
    heads = {one.name for one in (tmp_path / "derivative").iterdir()}
    assert {"dataset_description.json", "README", "participants.tsv", "sub-S1"} <= heads


def test_every_format_is_named():
    text = PAGE.read_text()
    assert all(f"`.{form}`" in text for form in (*FORMATS, *TABLE_FORMATS))
