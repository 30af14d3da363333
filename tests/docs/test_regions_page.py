"""What the page about regions tells a reader to type, on stored results and generated labels."""

import tomllib

from kit.data.region_files import label_home, put_hcp
from kit.documents import ROOT, Reader, blocks
from kit.results.region_results import put_predicted

from braindash.io.dataset.tables import RegionsTable
from braindash.io.store import Store

__all__ = ["label_home"]

PAGE = ROOT / "docs" / "regions.md"


def test_the_page_runs_from_its_first_block_to_its_last(tmp_path, monkeypatch, label_home):
    folder = tmp_path / "lab"
    put_hcp(folder)
    store = Store(folder / "cache")
    one, other = put_predicted(store), put_predicted(store, model="toy-tuned", seed=1)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BRAINDASH_STORE", str(store.root))
    somebody = Reader(folder, monkeypatch, {"KEY": one.key, "OTHER": other.key})
    somebody.read(PAGE)
    assert sorted(path.name for path in label_home.rglob("*.annot")) == [
        "lh.HCPMMP1.annot",
        "rh.HCPMMP1.annot",
    ]
    table = somebody.names["table"]
    assert set(table["hemisphere"]) == {"both", "left", "right"} and table["low"].notna().any()
    assert somebody.names["left"].hemisphere == "left"


def test_its_manifest_is_allowed():
    [block] = [one for one in blocks(PAGE) if one.language == "toml"]
    RegionsTable.model_validate(tomllib.loads(block.text)["regions"])
