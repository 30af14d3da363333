"""The page Data says what a folder holds, and writes its manifest."""

import shutil

import pytest
from kit.layouts.arrays import lebel
from kit.results.made_up_store import empty_root
from kit.site.pages import run, texts

from braindash.io.dataset.manifest import load_manifest

__all__ = ["empty_root"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = lebel(tmp_path_factory.mktemp("data"), subjects=("UTS01",))
    (made.folder / "stimuli/souls.wav").unlink()
    return made.folder


def test_a_folder_is_told_and_its_manifest_is_written_and_chosen(
    empty_root, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("BRAINDASH_ROOTS", "/")
    app = run("explore/data")
    app.text_input(key="index_folder").input(str(folder)).run()
    assert not app.exception
    told = texts(app)
    assert "LeBel" in told and "CC0" in told and "Missing:" in told and "souls" in told
    table = next(one.value for one in app.dataframe if "which" in one.value)
    assert table["subject"].tolist() == ["UTS01"] and table["stories"].tolist() == [3]
    assert any('layout = "lebel"' in one.value for one in app.code)
    path = tmp_path / "m.toml"
    (place,) = [one for one in app.text_input if one.label == "Manifest to write"]
    place.input(str(path)).run()
    app.button(key="index_write_it").click().run()
    assert not app.exception and any(str(path) in one.value for one in app.success)
    assert load_manifest(path).subjects == ("UTS01",)
    assert app.text_input(key="manifest").value == str(path)
    app.button(key="index_write_it").click().run()
    assert any("is there already" in one.value for one in app.error)


def test_folders_outside_and_unknown_ones_are_told(empty_root, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINDASH_ROOTS", str(tmp_path))
    app = run("explore/data")
    app.text_input(key="index_folder").input(str(folder)).run()
    assert not app.exception and any("outside the folders" in one.value for one in app.error)
    app.text_input(key="index_folder").input(str(tmp_path)).run()
    assert not app.exception and any("in no layout" in one.value for one in app.error)
    shutil.copytree(folder, tmp_path / "lab")
    (tmp_path / "lab/manifest.toml").write_text("[dataset]")
    app.text_input(key="index_folder").input(str(tmp_path / "lab")).run()
    assert not app.exception and any("is missing" in one.value for one in app.error)
