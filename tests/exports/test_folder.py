"""A result's files in a folder: whole or absent, with names that any file system takes."""

import errno
import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from kit.results.made_up import made_up_result, put_old_result, put_result
from kit.results.made_up_probing import made_up_probing
from typer.testing import CliRunner

import braindash
from braindash.cli import app
from braindash.errors import InputError, StoreError
from braindash.exports import folder as folders
from braindash.exports.bids import label
from braindash.exports.results import items_of, short_name
from braindash.exports.source import file_name
from braindash.io.store import Store

OLD = Path(__file__).parents[1] / "kit" / "store-0.1.0.zip"
ODD = '../an "odd"/<b>name</b>\nof $x$'


@pytest.fixture(scope="module")
def roi():
    """A result without a surface, of a model with an odd name."""
    return made_up_result(space="roi", model=ODD)


def test_a_result_leaves_with_figures_data_and_where_they_come_from(roi, tmp_path):
    place = braindash.take_away(roi, tmp_path / "new", formats=["svg"])
    names = {one.name for one in place.iterdir()}
    assert {"curves-r.svg", "curves-r.csv", "curves-r.parquet", "curves-r.json"} <= names
    assert not [one for one in names if one.startswith("map-")], "regions of interest have no map"
    table = pd.read_csv(place / "curves-r.csv")
    expected = roi.region_intervals()
    assert list(table["r"]) == pytest.approx(list(expected["r"]), rel=0, abs=0)
    assert table["simulated"].all() and set(table["model"]) == {ODD}
    told = json.loads((place / "curves-r.json").read_text())
    assert told["keys"] == [roi.key] and told["columns"]["low"]["Units"]
    assert "<b>" not in (place / "curves-r.svg").read_text()


def test_maps_and_pictures_are_of_results_with_a_surface(tmp_path):
    result = made_up_result()
    items = {one.name: one for one in items_of(result, layer=1)}
    assert {"map-score-layer-1", "map-preferred", "map-ceiling"} <= set(items)
    place = braindash.take_away(result, tmp_path / "maps", parts=["maps"])
    assert (place / "map-r_hemi-L.func.gii").is_file()
    assert (place / "map-preferred-layer.json").is_file()


def test_a_picture_of_a_map_is_written_with_its_source():
    from braindash.exports.figures import picture_files

    [item] = [one for one in items_of(made_up_result(), layer=1) if one.name == "map-preferred"]
    content = picture_files(item.picture, ["svg"], item.source)["svg"]
    assert b"preferred layer" in content and b"SIMULATED DATA" in content
    assert b"data:image/png;base64" in content and len(content) < 3e6


@pytest.mark.parametrize("what", ["probing", "old encoding", "0.1.0"])
def test_other_kinds_and_results_of_older_versions_leave_too(what, tmp_path):
    if what == "probing":
        found = [made_up_probing()]
    elif what == "old encoding":
        store = Store(tmp_path / "old")
        found = [braindash.open_result(put_old_result(store), store=store)]
    else:
        zipfile.ZipFile(OLD).extractall(tmp_path / "0.1.0")
        store = Store(tmp_path / "0.1.0")
        kinds = ("encoding", "probing", "tuning")
        found = [braindash.open_result(store.entries(one)[0].key, store=store) for one in kinds]
    for one in found:
        place = braindash.take_away(one, tmp_path / short_name(one), parts=["data"])
        files = list(place.glob("*.parquet"))
        assert files and all(len(pd.read_parquet(file)) for file in files)


def test_nothing_half_written_is_left_on_a_full_disk(roi, tmp_path, monkeypatch):
    written = []

    def full(table, form, source):
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(form)
        return b"x"

    monkeypatch.setattr(folders, "table_bytes", full)
    with pytest.raises(StoreError, match="disk is full") as told:
        braindash.take_away(roi, tmp_path / "deep" / "new", parts=["data"])
    assert "nothing was written" in told.value.hint and len(written) == 2
    assert not list((tmp_path / "deep").iterdir())
    monkeypatch.undo()
    assert braindash.take_away(roi, tmp_path / "deep" / "new", parts=["data"]).is_dir()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"parts": ["figure"]}, "no part 'figure'"),
        ({"formats": ["jpeg"]}, "'jpeg'"),
        ({"layer": 9}, "no layer 9"),
        ({"parts": ["maps"]}, "no surface"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_is_written(roi, tmp_path, options, named):
    with pytest.raises(InputError, match=named):
        braindash.take_away(roi, tmp_path / "new", **options)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(roi, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for place in (tmp_path / "full", tmp_path / "full" / "mine.txt"):
        with pytest.raises(InputError, match="is there already"):
            braindash.take_away(roi, place)
    (tmp_path / "empty").mkdir()
    assert braindash.take_away(roi, tmp_path / "empty", parts=["data"]).is_dir()


def test_whoever_stands_in_an_empty_folder_still_stands_there(roi, tmp_path, monkeypatch):
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    before = place.stat().st_ino
    moved = []

    def full(one, to):
        if moved:
            raise OSError(errno.ENOSPC, "No space left on device")
        moved.append(one)
        return move(one, to)

    move = shutil.move
    monkeypatch.setattr(shutil, "move", full)
    with pytest.raises(StoreError, match="disk is full"):
        braindash.take_away(roi, ".", parts=["data"])
    assert moved and Path.cwd() == place and not list(place.iterdir())
    monkeypatch.setattr(shutil, "move", move)
    braindash.take_away(roi, ".", parts=["data"])
    assert place.stat().st_ino == before and Path("curves-r.csv").is_file()
    assert [one.name for one in tmp_path.iterdir()] == ["here"]


def test_names_are_letters_digits_and_hyphens():
    assert file_name(ODD, "S/1") == "an-odd-b-name-b-of-x-S-1"
    assert file_name("..", "/") == "braindash" and len(file_name("a" * 500)) <= 60
    assert label("facebook/hubert-base_ls960") == "facebookhubertbasels960"
    assert label("日本") == "unnamed"
    assert file_name("日本", "S1") == "S1"


# ---- the command ----------------------------------------------------------------------------


def call(*arguments):
    return CliRunner().invoke(app, ["take-away", *map(str, arguments)])


def test_the_command_writes_what_the_function_does(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    keys = [put_result(store, space="roi", subject=subject) for subject in ("S1", "S2")]
    one = call(keys[0][:6], "--to", tmp_path / "one", "--parts", "data", "--store", store.root)
    assert one.exit_code == 0, one.output
    assert (tmp_path / "one" / "curves-r.parquet").is_file()
    both = call(*keys, "--to", tmp_path / "both", "--parts", "figures", "--format", "svg",
                "--store", store.root)  # fmt: skip
    assert both.exit_code == 0, both.output
    folders = both.output.split()
    assert len(folders) == 2 and all((Path(one) / "curves-r.svg").is_file() for one in folders)
    monkeypatch.chdir(tmp_path)
    bids = call(*keys, "--bids", "--store", store.root)
    assert bids.exit_code == 0, bids.output
    assert (tmp_path / f"braindash-bids-{keys[0][:8]}" / "dataset_description.json").is_file()
    again = call(keys[0], "--bids", "--store", store.root)
    assert isinstance(again.exception, InputError)
