"""The store: whole results or none, checksums, quarantine, parts, moving between machines."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
import xarray as xr
from kit.results.stored import KEY, PROVENANCE, SPEC, dataset, parts_of, put, write_at_once

from braindash.errors import AccessError, InputError, StoreError
from braindash.files import digest_file
from braindash.io import store as store_module
from braindash.io.store import Store, default_root
from braindash.process import process_mark
from braindash.sharing import asking


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_what_is_put_comes_back_with_its_spec_and_provenance(store):
    entry = put(store)
    assert entry.spec == SPEC and entry.provenance == PROVENANCE
    with entry.open() as found:
        xr.testing.assert_identical(found.load(), dataset())
    assert store.has("encoding", KEY)
    assert [e.key for e in store.entries()] == [KEY]
    assert not list((store.root / "tmp").iterdir())


def test_what_a_killed_program_was_writing_goes_with_the_next_write(store):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = process_mark().partition("-")[0]
    marks = [f"{here}-{ended.pid}", process_mark(), f"elsewhere-{ended.pid}", str(ended.pid)]
    folders = [store.root / "tmp" / f"{mark}-x" for mark in marks]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "half").write_text("")
    put(store)
    assert sorted((store.root / "tmp").iterdir()) == sorted(folders[1:])


@pytest.mark.parametrize("beneath", ["", "in/it"])
def test_a_file_is_no_store(tmp_path, beneath):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes\.txt is a file, and a store is a folder"):
        Store(tmp_path / "notes.txt" / beneath)


def test_an_absent_result_is_an_error_that_says_what_to_do(store):
    with pytest.raises(StoreError, match="no encoding result") as caught:
        store.get("encoding", KEY)
    assert "braindash list" in caught.value.hint


@pytest.mark.parametrize("key", ["../../etc", "ABCDEF0123", "abc", ""])
def test_keys_that_are_not_keys_never_reach_the_file_system(store, key):
    with pytest.raises(StoreError, match="not the name of a result"):
        store.folder("encoding", key)


@pytest.mark.parametrize("name", ["result.nc", "spec.json", "provenance.json"])
def test_a_damaged_result_is_quarantined_and_can_be_computed_again(store, name):
    entry = put(store)
    path = entry.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"damaged.*quarantine") as caught:
        store.get("encoding", KEY)
    assert "computed anew" in caught.value.hint
    assert not store.has("encoding", KEY)
    assert len(list((store.root / "quarantine").iterdir())) == 1
    put(store)
    assert store.get("encoding", KEY).key == KEY


def damaged(store):
    entry = put(store)
    (entry.folder / "spec.json").write_text("{}")
    return entry.folder


def test_who_only_looks_writes_nothing_and_moves_nothing(store, tmp_path, monkeypatch):
    folder = damaged(store)
    looks = asking.Visitor("eve", "viewer", "this dashboard is read-only")
    monkeypatch.setattr(asking, "_source", lambda: looks)
    with pytest.raises(StoreError, match=f"damaged .* it stays in {folder}"):
        store.get("encoding", KEY)
    assert store.has("encoding", KEY) and not (store.root / "quarantine").exists()
    other = Store(tmp_path / "other")
    with pytest.raises(AccessError, match="may not write to the store here: this dashboard is"):
        put(other)
    assert not other.root.exists()


def test_a_damaged_result_on_a_read_only_disk_is_told_and_stays(store, monkeypatch):
    folder = damaged(store)

    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(store_module.os, "rename", refuse)
    with pytest.raises(StoreError, match=f"is damaged .* it stays in {folder}"):
        store.get("encoding", KEY)
    assert folder.is_dir() and store.get_or_none("encoding", KEY) is None


def test_a_missing_file_counts_as_damage(store):
    entry = put(store)
    entry.result_file.unlink()
    assert store.get_or_none("encoding", KEY) is None
    assert not store.has("encoding", KEY)


def test_a_second_writer_of_the_same_key_discards_its_own(store):
    put(store, seed=0)
    entry = put(store, seed=1)
    with entry.open() as found:
        xr.testing.assert_identical(found.load(), dataset(0))
    assert not list((store.root / "tmp").iterdir())


def test_two_processes_may_write_the_same_result_at_once(store):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    writers = [
        context.Process(target=write_at_once, args=(str(store.root), barrier)) for _ in range(2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert store.get("encoding", KEY).spec == SPEC


def test_an_interrupted_write_leaves_nothing_behind(store, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module.os, "rename", fail)
    with pytest.raises(KeyboardInterrupt):
        put(store)
    assert not store.has("encoding", KEY)
    assert not list((store.root / "tmp").iterdir())


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EACCES, "may not write")],
)
def test_disk_problems_are_named(store, monkeypatch, number, reason):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store_module.os, "rename", fail)
    with pytest.raises(StoreError, match=reason) as caught:
        put(store)
    assert "--store" in caught.value.hint
    assert not store.has("encoding", KEY)


def test_too_little_space_is_refused_before_anything_is_written(store, monkeypatch):
    usage = store_module.shutil.disk_usage(store.root.parent)._replace(free=10)
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StoreError, match="full"):
        put(store)


def test_a_file_where_the_store_should_be_is_named(tmp_path):
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(StoreError, match="is a file"):
        put(Store(tmp_path / "occupied"))


def test_parts_survive_until_the_result_replaces_them(store):
    store.put_part("encoding", KEY, "layer-000", dataset(1))
    store.put_part("encoding", KEY, "layer-001", dataset(2))
    found = parts_of(store, "encoding", KEY)
    assert sorted(found) == ["layer-000", "layer-001"]
    xr.testing.assert_identical(found["layer-001"], dataset(2))
    put(store)
    assert parts_of(store, "encoding", KEY) == {}


def test_a_torn_part_is_dropped(store):
    store.put_part("encoding", KEY, "layer-000", dataset(1))
    store.put_part("encoding", KEY, "layer-001", dataset(2))
    torn = next((store.root / "parts").rglob("layer-000.*.nc"))
    torn.write_bytes(torn.read_bytes()[:-100])
    assert list(parts_of(store, "encoding", KEY)) == ["layer-001"]
    assert not torn.exists()


def test_a_result_moves_to_another_store(store, tmp_path):
    put(store)
    file = store.export(KEY[:6], tmp_path)
    other = Store(tmp_path / "other")
    entry = other.import_(file)
    assert entry.spec == SPEC
    with entry.open() as found:
        xr.testing.assert_identical(found.load(), dataset())


@pytest.mark.parametrize("kind", ["a file", "a link to itself"])
def test_a_folder_of_results_that_cannot_be_looked_into_is_listed_and_stops_nothing(store, kind):
    put(store)
    place = store.root / "probing"
    if kind == "a file":
        place.write_text("no folder")
    else:
        place.symlink_to(place)
    (damaged,) = store.damaged()
    assert (damaged.kind, damaged.folder) == ("probing", place)
    assert damaged.problem.startswith("it cannot be looked into: ")
    assert [entry.key for entry in store.entries()] == [KEY]
    assert store.find(KEY[:6]).key == KEY


def put_predictions(store: Store, key: str = KEY):
    return store.put("predictions", key, spec=SPEC, provenance=PROVENANCE, dataset=dataset(3))


def test_predictions_move_only_when_asked_for(store, tmp_path):
    put(store)
    put_predictions(store)
    assert [entry.kind for entry in store.entries()] == ["encoding"]
    alone, both = Store(tmp_path / "alone"), Store(tmp_path / "both")
    alone.import_(store.export(KEY, tmp_path / "alone.zip"))
    entry = both.import_(store.export(KEY, tmp_path / "both.zip", with_predictions=True))
    assert entry.kind == "encoding" and both.has("encoding", KEY)
    assert both.has("predictions", KEY) and not alone.has("predictions", KEY)
    with both.get("predictions", KEY).open() as found:
        xr.testing.assert_identical(found.load(), dataset(3))


def test_predictions_that_are_not_there_cannot_be_exported(store, tmp_path):
    put(store)
    with pytest.raises(StoreError, match="no predictions result"):
        store.export(KEY, tmp_path, with_predictions=True)


def test_two_results_of_other_kinds_or_keys_are_no_export(store, tmp_path):
    put(store)
    put_predictions(store, key="f" * 32)
    file = tmp_path / "pair.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for entry in [*store.entries("encoding"), *store.entries("predictions")]:
            for path in entry.folder.iterdir():
                archive.write(path, f"{entry.kind}/{entry.key}/{path.name}")
    with pytest.raises(InputError, match="exactly one result"):
        Store(tmp_path / "other").import_(file)


# ---- results of other versions ---------------------------------------------------------------


# What every specification of the first version holds.
FIRST = {
    "space": "roi",
    "train": [{"name": "a", "first_row": 0, "last_row": 9}],
    "test": [{"name": "b", "first_row": 0, "last_row": 9}],
    "score_from_row": [0],
    "delays": [1, 2],
    "alphas": [1.0],
    "folds": "story",
    "metric": "r2",
}


def put_version(store, version, key="00ff" * 8):
    """A result that says another version."""
    return store.put(
        "encoding",
        key,
        spec=SPEC | FIRST | {"version": version},
        provenance=PROVENANCE,
        dataset=dataset(),
    )


def test_results_of_an_older_version_are_listed_opened_and_moved(store, tmp_path):
    put(store)
    old = put_version(store, 1)
    assert {entry.key for entry in store.entries()} == {KEY, old.key}
    assert store.get("encoding", old.key).spec["version"] == 1
    other = Store(tmp_path / "other")
    assert other.import_(store.export(old.key, tmp_path / "old.zip")).key == old.key
    assert store.count_newer() == 0


def test_results_of_a_newer_version_are_neither_listed_nor_opened(store, tmp_path):
    put(store)
    new = "00ff" * 8
    with pytest.raises(StoreError, match="version 99"):  # written, but not for this braindash
        put_version(store, 99)
    folder = store.folder("encoding", new)
    assert [entry.key for entry in store.entries()] == [KEY]
    assert [entry.key for entry in store.entries("encoding")] == [KEY]
    assert store.count_newer() == 1
    for look in (lambda: store.get("encoding", new), lambda: store.find(new[:8])):
        with pytest.raises(StoreError, match=r"is of version 99.*reads versions up to 3") as caught:
            look()
        assert "Update braindash" in caught.value.hint
    assert folder.is_dir(), "it is newer, not damaged"
    file = tmp_path / "new.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"encoding/{new}/{path.name}")
    other = Store(tmp_path / "other")
    with pytest.raises(StoreError, match="version"):
        other.import_(file)
    assert not other.has("encoding", new)


def test_export_wants_one_result(store, tmp_path):
    put(store)
    put(store, key="0123456789abcdef" + "0" * 16)
    with pytest.raises(StoreError, match="2 results"):
        store.export("01234567", tmp_path)
    with pytest.raises(StoreError, match="four digits"):
        store.export("012", tmp_path)


def test_what_is_exported_names_no_place_of_this_machine(store, tmp_path):
    place = {"manifest": "/home/somebody/lab/manifest.toml"}
    record = PROVENANCE | {"data": PROVENANCE["data"] | place, "request": ["~/a/b c"]}
    store.put("encoding", KEY, spec=SPEC, provenance=record, dataset=dataset())
    file = store.export(KEY, tmp_path / "one.zip")
    other = Store(tmp_path / "other")
    told = other.import_(file).provenance
    assert told["data"] == PROVENANCE["data"] | {"manifest": "…/manifest.toml"}
    assert told["request"] == ["…/b c"]
    assert store.get("encoding", KEY).provenance["data"] == record["data"], "the store's own stays"
    again = other.export(KEY, tmp_path / "two.zip")
    with zipfile.ZipFile(again) as one, zipfile.ZipFile(file) as two:
        assert {name: one.read(name) for name in one.namelist()} == {
            name: two.read(name) for name in two.namelist()
        }


def test_a_tampered_export_is_refused(store, tmp_path):
    put(store)
    file = store.export(KEY, tmp_path / "one.zip")
    tampered = tmp_path / "tampered.zip"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tampered, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("spec.json"):
                content = json.dumps({"kind": "encoding", "subject": "S9"}).encode()
            new.writestr(name, content)
    with pytest.raises(InputError, match="damaged"):
        Store(tmp_path / "other").import_(tampered)


def test_an_imported_result_that_leads_elsewhere_is_refused(store, tmp_path):
    put(store)
    file, outside = store.export(KEY, tmp_path / "one.zip"), tmp_path / "outside.h5"
    with h5py.File(outside, "w") as other:
        other["secret"] = np.ones(3)
    changed, leading = tmp_path / "result.nc", tmp_path / "leading.zip"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(leading, "w") as new:
        contents = {name: old.read(name) for name in old.namelist()}
        (result,) = [name for name in contents if name.endswith(".nc")]
        changed.write_bytes(contents[result])
        with h5py.File(changed, "a") as made:
            made["secret"] = h5py.ExternalLink(str(outside), "/secret")
        contents[result] = changed.read_bytes()
        (sums,) = [name for name in contents if name.endswith("checksums.json")]
        told = json.loads(contents[sums]) | {"result.nc": digest_file(changed)}
        contents[sums] = json.dumps(told).encode()
        for name, content in contents.items():
            new.writestr(name, content)
    with pytest.raises(InputError, match=r"a link to .*outside\.h5"):
        Store(tmp_path / "other").import_(leading)


@pytest.mark.parametrize(
    "names",
    [
        ["encoding/../../evil/spec.json"],
        ["encoding/0123456789abcdef/spec.json", "/etc/passwd"],
        ["readme.txt"],
    ],
)
def test_a_foreign_zip_is_refused_and_writes_nothing(tmp_path, names):
    file = tmp_path / "foreign.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    with pytest.raises(InputError, match="exactly one result"):
        Store(tmp_path / "store").import_(file)
    assert not (tmp_path / "evil").exists()


def test_the_default_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINDASH_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("BRAINDASH_STORE")
    assert default_root().name == "cache"
