"""A disk that is full while something leaves: said in words, and nothing half-written stays."""

import errno

import pytest
from kit.results.made_up import put_result

import braindash
from braindash import cli, files
from braindash.errors import StoreError
from braindash.io import store as stores
from braindash.io.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("full") / "store"
    put_result(Store(root), model="toy", subject="S1", space="roi")
    put_result(Store(root), model="toy", subject="S2")
    return Store(root)


WAYS = {
    "a zip file": lambda store, key, place: store.export(key, place / "result.zip"),
    "a report": lambda store, key, place: braindash.report(
        [key], place / "report.html", store=store
    ),
    "figures and data": lambda store, key, place: braindash.take_away(
        braindash.open_result(key, store=store), place / "new", parts=["data"]
    ),
    "a BIDS derivative": lambda store, key, place: braindash.export_bids(
        [braindash.open_result(key, store=store)], place / "bids"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_full_disk_is_said_and_leaves_nothing_behind(store, way, tmp_path, monkeypatch):
    subject = "S2" if way == "a BIDS derivative" else "S1"
    (key,) = [one.key for one in store.entries("encoding") if one.spec["subject"] == subject]
    asked = []

    def full(path):
        asked.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    for home in (files, stores):
        monkeypatch.setattr(home, "flush", full)
    place = tmp_path / "away"
    place.mkdir()
    with pytest.raises(StoreError, match="the disk is full") as caught:
        WAYS[way](store, key, place)
    assert (
        asked and str(tmp_path) in caught.value.message and "Free some space" in caught.value.hint
    )
    assert "choose another store" not in caught.value.hint, "the place was named by the user"
    assert list(place.iterdir()) == []
    monkeypatch.undo()
    WAYS[way](store, key, place)
    assert len(list(place.iterdir())) == 1


def test_a_command_says_it_in_words_wherever_nobody_else_does(monkeypatch, capsys, tmp_path):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "x.toml"))

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = " ".join(capsys.readouterr().err.split())
    assert ended.value.code == 1 and "the disk is full" in told
    assert "x.toml" in told.replace(" ", "") and "Free some space, or choose another place" in told


def test_another_error_of_the_system_is_not_the_disks(monkeypatch):
    def gone():
        raise OSError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(cli, "app", gone)
    with pytest.raises(ConnectionResetError):
        cli.main()
