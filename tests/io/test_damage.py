"""Results that are damaged or odd: listed apart with their path, and never in the way of others."""

import json
import zipfile
from pathlib import Path

import pytest
from kit.results.made_up import made_up_spec
from kit.results.stored import KEY, PROVENANCE, SPEC, put

from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, StoreError
from braindash.io.store import Store, digest_file

GOOD = "0f" * 16
ODD = {
    "a list": ("spec.json", "[]"),
    "null": ("spec.json", "null"),
    "no JSON": ("spec.json", "{"),
    "not UTF-8": ("spec.json", b'{"subject": "\xff"}'),
    "too deep": ("spec.json", "[" * 200_000),
    "no subject": ("spec.json", json.dumps({"kind": "encoding"})),
    "subject is a number": ("spec.json", json.dumps(SPEC | {"subject": 1})),
    "provenance is a list": ("provenance.json", "[]"),
    "provenance is empty": ("provenance.json", "{}"),
    "model is a string": ("provenance.json", json.dumps(PROVENANCE | {"model": "hubert"})),
    "half a specification": ("spec.json", json.dumps(SPEC | {"version": 3, "space": "roi"})),
    "created is no date": (
        "provenance.json",
        json.dumps(PROVENANCE | {"created": "yesterday"}),
    ),
    "half a character": ("spec.json", json.dumps(SPEC | {"note": "a\ud800b"})),
    "half a first version": ("spec.json", '{"version": 1, "subject": "S1", "subjects": 5}'),
    "half a second version": (
        "spec.json",
        json.dumps({"version": 2, "subject": "S1", "members": 3}),
    ),
    "no data": ("provenance.json", json.dumps(PROVENANCE | {"data": None})),
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def make_odd(store: Store, name: str, content: str | bytes, key: str = KEY):
    """Store a result and put something else into one of its files, with a checksum that fits."""
    folder = put(store, key).folder
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    checksums = json.loads((folder / "checksums.json").read_text())
    checksums[name] = digest_file(folder / name)
    (folder / "checksums.json").write_text(json.dumps(checksums))
    return folder


@pytest.mark.parametrize("what", ODD)
def test_an_odd_result_is_listed_apart_and_the_good_one_as_ever(store, what):
    name, content = ODD[what]
    folder = make_odd(store, name, content)
    put(store, GOOD)
    assert [entry.key for entry in store.entries()] == [GOOD]
    (one,) = store.damaged()
    assert (one.kind, one.key, one.folder) == ("encoding", KEY, folder)
    assert name.split(".")[0] in one.problem
    assert store.find(GOOD[:8]).key == GOOD
    with pytest.raises(StoreError, match="is damaged") as caught:
        store.find(KEY[:8])
    assert str(folder) in caught.value.message and folder.is_dir(), "looking moves nothing"


@pytest.mark.parametrize("what", ODD)
def test_an_odd_result_is_computed_anew_when_it_is_asked_for(store, what):
    make_odd(store, *ODD[what])
    assert store.get_or_none("encoding", KEY) is None
    assert put(store).spec == SPEC and store.damaged() == []


@pytest.mark.parametrize("what", ODD)
def test_an_odd_result_is_not_imported(store, tmp_path, what):
    folder = make_odd(store, *ODD[what])
    file = tmp_path / "odd.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"encoding/{KEY}/{path.name}")
    other = Store(tmp_path / "other")
    with pytest.raises(InputError, match="is damaged") as caught:
        other.import_(file)
    assert "Export it again" in caught.value.hint and not other.has("encoding", KEY)


@pytest.mark.parametrize("name", ["result.nc", "spec.json", "provenance.json", "checksums.json"])
def test_a_folder_in_the_place_of_a_file_is_damage(store, tmp_path, name):
    folder = put(store).folder
    (folder / name).unlink()
    (folder / name).mkdir()
    put(store, GOOD)
    assert [entry.key for entry in store.entries()] == [GOOD]
    assert [one.key for one in store.damaged()] == [KEY]
    assert store.get_or_none("encoding", KEY) is None
    assert store.export(GOOD, tmp_path / "good.zip").is_file()


@pytest.mark.parametrize("missing", ["spec.json", "provenance.json", "checksums.json"])
def test_a_result_that_was_copied_by_half_is_listed_and_replaced(store, missing):
    folder = put(store).folder
    (folder / missing).unlink()
    (one,) = store.damaged()
    assert one.problem == f"{missing} is missing" and store.entries() == []
    store.get_or_none("encoding", KEY)
    assert put(store).key == KEY and store.damaged() == []


def test_checksums_that_are_a_list_are_damage(store):
    (put(store).folder / "checksums.json").write_text("[]")
    with pytest.raises(StoreError, match=r"checksums\.json is JSON, but no object"):
        store.get("encoding", KEY)


def test_a_folder_that_may_not_be_looked_into_is_listed_as_such(store, monkeypatch):
    """A colleague's umask may be 077: Python 3.11 raises what later versions call "not there"."""
    folder, known = put(store).folder, Path.exists

    def exists(path):
        if path.parent == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return known(path)

    monkeypatch.setattr(Path, "exists", exists)
    (one,) = store.damaged("encoding")
    assert one.key == KEY and "ermission denied" in one.problem
    assert store.entries("encoding") == []


def test_a_whole_result_takes_the_place_of_a_damaged_one(store, tmp_path):
    """What another writer left is kept only when it is whole."""
    entry = put(store)
    file = store.export(KEY, tmp_path / "whole.zip")
    (entry.folder / "result.nc").write_bytes(b"torn")
    assert store.import_(file).key == KEY
    with store.get("encoding", KEY).open() as found:
        assert found.sizes
    assert len(list((store.root / "quarantine").iterdir())) == 1


def test_folders_that_are_no_results_are_told_from_damaged_ones(store):
    folder = put(store).folder
    folder.rename(folder.with_name("my copy"))
    (folder.parent / "notes").mkdir()
    (folder.parent / "read me.txt").write_text("mine")
    (one,) = store.damaged("encoding")
    assert one.key == "my copy" and "no key" in one.problem
    assert store.damaged("probing") == []


def test_a_result_of_a_newer_braindash_is_not_damaged_however_it_looks(store):
    folder = make_odd(store, "spec.json", json.dumps({"version": 99, "subjects": ["S1"]}))
    assert store.damaged() == [] and store.entries() == [] and store.count_newer() == 1
    with pytest.raises(StoreError, match="version 99"):
        store.get("encoding", KEY)
    assert folder.is_dir()


def test_a_field_that_a_newer_braindash_added_is_no_damage(store):
    spec = made_up_spec("S1", "roi", ceiling=True, statistics=True).canonical()
    folder = make_odd(store, "spec.json", json.dumps(spec | {"added_later": 1}))
    assert store.damaged() == [] and store.get("encoding", KEY).folder == folder
    with pytest.raises(StoreError, match="added_later") as caught:
        EncodingResult.load(store.get("encoding", KEY))
    assert "Update braindash" in caught.value.hint


def test_predictions_with_an_odd_result_are_not_imported(store, tmp_path):
    folder = make_odd(store, "provenance.json", "[]")
    file = tmp_path / "odd.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"encoding/{KEY}/{path.name}")
            archive.write(path, f"predictions/{KEY}/{path.name}")
    with pytest.raises(InputError, match="is damaged"):
        Store(tmp_path / "other").import_(file)


def test_a_zip_whose_content_is_torn_is_damaged(store, tmp_path):
    put(store)
    file = store.export(KEY, tmp_path / "one.zip")
    content = bytearray(file.read_bytes())
    content[content.index(b"result.nc") + 200] ^= 0xFF
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match="is damaged"):
        Store(tmp_path / "other").import_(file)
