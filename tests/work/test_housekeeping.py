"""What a store holds, what may go, and that nothing else goes."""

import json
import os
import time

import pytest
from kit.results.made_up import put_result
from kit.results.stored import PROVENANCE, dataset
from kit.running.pulled import share
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError, StoreError
from braindash.io.entries import predictions_key
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.process import process_mark
from braindash.work.housekeeping import (
    LEFTOVERS,
    REMADE,
    Item,
    belongings,
    prunable,
    remove,
    shares,
)

RUN = CliRunner()
OLD = 3 * 24 * 3600


@pytest.fixture
def store(tmp_path):
    """Two results; to the first belong regions, weights, what they foretold, and a difference."""
    store = Store(tmp_path / "store")
    for number in (0, 1):
        put_result(store, model=f"m{number}", subject="S1", seed=number)
    first, second = in_order(store)
    beside = {
        "regions": {"result": first.key, "name": "x"},
        "weights": {"fit": predictions_key(first), "layer": 1},
        "difference": {"a": second.key, "b": first.key},
    }
    for number, (kind, spec) in enumerate(beside.items()):
        store.put(kind, f"{number}" * 32, spec=spec, provenance=PROVENANCE, dataset=dataset())
    store.put(
        "sounds", "9" * 32, spec={"weights": "1" * 32}, provenance=PROVENANCE, dataset=dataset()
    )
    store.put("frames", "8" * 32, spec={}, provenance=PROVENANCE, dataset=dataset())
    return store


def in_order(store):
    return sorted(store.entries("encoding"), key=lambda one: one.provenance["model"]["name"])


def keys(store, kind):
    return {path.name for path in (store.root / kind).glob("*/")}


def run(store, *words):
    done = RUN.invoke(app, [*words, "--store", str(store.root)])
    assert done.exit_code == 0, done.output
    return done.output


def test_sizes_are_those_of_the_files(store):
    found = {share.name: share for share in shares(store)}
    files = [path for path in (store.root / "encoding").rglob("*") if path.is_file()]
    assert found["encoding"].n == 2
    assert found["encoding"].n_bytes == sum(path.stat().st_blocks * 512 for path in files)
    assert list(found) == sorted(found, key=lambda name: -found[name].n_bytes)
    told = run(store, "store", "size")
    assert "encoding results (2" in told and str(store.root) in told
    assert {one["name"] for one in json.loads(run(store, "store", "size", "--json"))} == set(found)


@pytest.mark.parametrize("seconds", ["1e400", "NaN", "-5", "true", "9" * 400])
def test_odd_times_in_a_record_take_none(store, seconds):
    for path in store.root.glob("*/*/provenance.json"):
        told = json.loads(path.read_text()) | {"seconds": "here"}
        path.write_text(json.dumps(told).replace('"here"', seconds))
    assert all(share.seconds == 0 for share in shares(store))
    assert "encoding results (2" in run(store, "store", "size")
    run(store, "store", "size", "--json")


def test_a_result_goes_with_what_is_kept_for_it_alone(store):
    first, second = sorted(
        store.entries("encoding"), key=lambda one: one.provenance["model"]["name"]
    )
    items = belongings(store, first)
    assert items[-1].place == first.folder  # an interrupted removal leaves a result
    told = run(store, "store", "remove", first.key[:8], "--dry-run")
    assert "Would be free" in told and first.folder.exists()
    free = remove(store, items)
    assert free == sum(item.n_bytes for item in items)
    assert keys(store, "encoding") == {second.key}
    for kind in ("regions", "weights", "difference", "sounds"):
        assert not keys(store, kind), kind
    assert keys(store, "frames") and not any((store.root / "tmp").iterdir())
    assert remove(store, items) == 0  # somebody was first: no error
    run(store, "store", "remove", second.key)
    assert not keys(store, "encoding")


def test_predictions_that_another_result_needs_stay(store):
    first, second = store.entries("encoding")
    place = second.folder / "provenance.json"
    shared = json.loads(place.read_text()) | {"predictions": predictions_key(first)}
    place.write_text(json.dumps(shared))
    (second,) = [one for one in store.entries("encoding") if one.key == second.key]
    for one in (first, second):
        assert not [item for item in belongings(store, one) if "predictions" in item.what]


def test_only_leftovers_go_unasked(store):
    for kind in LEFTOVERS:
        (store.root / kind / "x").mkdir(parents=True)
        os.utime(store.root / kind / "x", (time.time() - OLD,) * 2)
    before = {kind: keys(store, kind) for kind in ("encoding", "frames", "regions")}
    assert "Free now" in run(store, "store", "prune")
    assert all(keys(store, kind) == there for kind, there in before.items())
    assert not keys(store, "quarantine") and not keys(store, "tmp")
    run(store, "store", "prune", "--kinds", "frames")
    assert not keys(store, "frames") and keys(store, "encoding") == before["encoding"]


def test_what_programs_write_to_stays(store):
    """A young folder may be another machine's, an old one that of a program which still runs."""
    names = ("1-young", f"{process_mark()}-old", "x-old")
    places = [store.root / "tmp" / name for name in names]
    places.append(store.root / "parts" / "encoding" / ("0" * 32))
    for place in places:
        place.mkdir(parents=True)
    for place in places[1:3]:
        os.utime(place, (time.time() - OLD,) * 2)
    assert [item.place for item in prunable(store, ("tmp", "parts"))] == [places[2]]
    os.utime(places[3], (time.time() - OLD,) * 2)
    assert len(prunable(store, ("tmp", "parts"))) == 2
    assert prunable(store, ("tmp", "parts"), older_than=30) == []


def test_of_shared_jobs_goes_what_is_over(store):
    """What waits, what works and what ended today stays, and results always do."""
    for key in ("done", "waits", "fresh", "failed", "cancelled"):
        shared = share(store.root, {"name": "a"}, key=key)
    shared.finish("done")
    shared.finish("fresh")
    shared.finish("failed", "part a: no sound", "Add it.")
    shared.cancel("cancelled")
    for folder in shared.folder.iterdir():
        if folder.name != "fresh":
            os.utime(folder, (time.time() - OLD,) * 2)
    over = {item.place.name for item in prunable(store, ("cluster",))}
    assert over == {"done", "failed", "cancelled"}
    assert not prunable(store), "not unasked"
    before = keys(store, "encoding")
    run(store, "store", "prune", "--kinds", "cluster")
    assert shared.job_keys() == ["fresh", "waits"] and keys(store, "encoding") == before


@pytest.mark.parametrize("kind", ["encoding", "predictions", "../x", "frame"])
def test_what_is_needed_cannot_be_pruned(kind, store):
    with pytest.raises(InputError, match="nothing that can be pruned") as caught:
        prunable(store, (kind,))
    assert all(one in caught.value.hint for one in REMADE) or "frames" in caught.value.hint


def test_nothing_outside_goes_and_a_refusal_is_told(store, tmp_path, monkeypatch):
    outside = tmp_path / "mine"
    outside.mkdir()
    with pytest.raises(StoreError, match="is not in the store"):
        remove(store, [Item(outside, "mine", 1, 0.0)])
    (entry, *_) = store.entries("encoding")

    def refusing(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "rename", refusing)
    with pytest.raises(StoreError, match="cannot be removed"):
        remove(store, belongings(store, entry))
    assert outside.exists() and entry.folder.exists()


def test_a_tuned_model_is_not_removed_by_its_record(store):
    made = store.put(
        "tuning",
        "7" * 32,
        spec={"subjects": ["S1"]},
        provenance=PROVENANCE | {"model_folder": "models/x"},
        dataset=dataset(),
    )
    with pytest.raises(StoreError, match="record of a tuned model"):
        belongings(store, made)


# ---- jobs from the command line -----------------------------------------------------------------


def test_a_failed_job_is_queued_again_and_its_log_is_shown(tmp_path):
    store = Store(tmp_path / "store")
    queue = JobQueue(store.root, worker_command=["true"])
    queue.submit("encode", "abc", {}, "a title", start=False)
    queue.cancel("abc")
    queue.log_path("abc").write_text("one\ntwo\x1b[31m\nthree\n")
    told = run(store, "jobs", "log", "abc", "--lines", "2")
    assert "a title: cancelled" in told and told.endswith("two\\x1b[31m\nthree\n")
    assert "one" not in told
    done = RUN.invoke(app, ["jobs", "log", "nothing", "--store", str(store.root)])
    assert done.exit_code and "nothing" in str(done.exception)


def test_a_cancelled_job_is_retried_by_command(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: None)
    queue = JobQueue(store.root)
    queue.submit("encode", "abc", {}, "a title")
    queue.cancel("abc")
    assert run(store, "jobs", "retry", "abc") == "abc\tqueued\ta title\n"
    assert queue.get("abc").state == "queued"
