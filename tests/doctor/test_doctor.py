"""The doctor: each fault has its line, and nothing stays behind."""

import http.server
import json
import os
import threading

import pytest
from huggingface_hub import constants
from kit.machines.slurm import StandIn
from typer.testing import CliRunner

from braindash.cli import app
from braindash.core.devices import Accelerator, TorchBuild
from braindash.doctor import Finding, checks, machine, places, selftest, worst
from braindash.doctor.checks import CHECKS, examine
from braindash.doctor.machine import about_devices
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.disks import FileSystem

RUN = CliRunner()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def levels(findings):
    return {one.name: one.level for one in findings}


def test_here_nothing_fails_and_every_line_says_what_to_do(tmp_path):
    done = RUN.invoke(app, ["doctor", "--store", str(tmp_path / "store"), "--json"])
    told = json.loads(done.stdout)
    found = [Finding(**one) for one in told["findings"]]
    assert done.exit_code == 0 and told["level"] == worst(found) != "fail", done.stdout
    assert {"braindash", "packages", "machine", "torch", "store", "claims", "jobs", "hub", "Slurm",
            "Dask", "self-test"} <= {one.name for one in found}  # fmt: skip
    assert all(bool(one.todo) == (one.level != "ok") for one in found)
    assert not (tmp_path / "store").exists()
    lines = [one.line() for one in found]
    assert all(line[:4].strip() in ("ok", "warn", "fail") for line in lines)


def test_it_can_be_quick(tmp_path, monkeypatch):
    monkeypatch.setitem(checks.CHECKS, "self-test", None)
    done = RUN.invoke(app, ["doctor", "--store", str(tmp_path), "--quick"])
    assert done.exit_code == 0 and "ok    braindash: braindash" in done.output
    assert not [*tmp_path.iterdir()]


def test_what_fails_is_told_by_the_exit_status_and_the_rest_is_looked_at(store, monkeypatch):
    def broken(store):
        raise ZeroDivisionError("a bug")

    def refused(store):
        raise InputError("no disk", hint="Buy one.")

    chosen = {"one": broken, "two": refused, "three": lambda store: iter([Finding("x", "ok", "")])}
    monkeypatch.setattr(checks, "CHECKS", chosen)
    found = list(examine(store.root))
    assert levels(found) == {"one": "fail", "two": "fail", "x": "ok"}
    assert "a bug" in found[0].text and found[1].todo == "Buy one."
    assert RUN.invoke(app, ["doctor", "--store", str(store.root)]).exit_code == 1


def test_the_worst_level_counts():
    assert worst([]) == "ok"
    assert worst([Finding("", level, "") for level in ("warn", "fail", "ok")]) == "fail"


def test_packages_of_other_versions_and_missing_ones_are_named(monkeypatch):
    asked = ["numpy>=99", "torch>=2; extra == 'more'", "nowhere-to-be-found>=1", "h5py>=3"]
    monkeypatch.setattr(machine, "requires", lambda name: asked)
    found = list(machine.look_at_versions())[-1]
    assert found.level == "fail" and "nowhere-to-be-found is missing" in found.text
    assert "is not >=99" in found.text and "h5py" not in found.text


GPU = Accelerator(0, "NVIDIA A100", "sm_80", 80 * 10**9, 79 * 10**9, True)


@pytest.mark.parametrize(
    ("devices", "cuda", "driver", "level", "told"),
    [
        ((), "", False, "ok", "none"),
        ((), "", True, "warn", "built for the CPU"),
        ((), "12.8", True, "fail", "sees no GPU"),
        ((GPU,), "12.8", True, "ok", "80 GB"),
        ((Accelerator(0, "old", "sm_35", 10, 10, False),), "12.8", True, "fail", "sm_35"),
        ((Accelerator(0, "busy", "sm_80", 10, 1, True),), "12.8", True, "warn", "busy"),
    ],
)
def test_accelerators_are_judged(devices, cuda, driver, level, told):
    build = TorchBuild("2.13.0", cuda, 2, devices)
    first, second = about_devices(build, has_driver=driver)
    assert first.level == "ok" and second.level == level and told in second.text


def test_little_memory_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "usable_memory", lambda: 1e9)
    (found,) = machine.look_at_memory()
    assert found.level == "warn" and "1.0 GB" in found.text


class Usage:
    def __init__(self, free):
        self.free = free


@pytest.mark.parametrize(("free", "level"), [(1e8, "fail"), (5e9, "warn"), (1e12, "ok")])
def test_room_for_results_is_judged(store, monkeypatch, free, level):
    monkeypatch.setattr(places.shutil, "disk_usage", lambda place: Usage(free))
    assert levels(places.look_at_store(store.root))["store"] == level


def test_a_store_of_several_machines_is_told_and_its_jobs_are_elsewhere(
    store, monkeypatch, tmp_path
):
    shared = FileSystem("nfs4", "/")
    monkeypatch.setattr(places, "file_system", lambda path: shared)
    found = {one.name: one for one in places.look_at_store(store.root)}
    assert "nfs4" in found["store"].text and "several machines may share it" in found["claims"].text
    (jobs,) = places.look_at_jobs(store.root)
    assert jobs.level == "warn" and "--jobs" in jobs.todo


def test_disks_without_claims_and_locks_fail(store, monkeypatch):
    monkeypatch.setattr(places, "creation_problems", lambda folder: ["O_EXCL does not hold"])
    monkeypatch.setattr(places, "lock_problems", lambda folder: ["a file can be locked twice"])
    assert levels(places.look_at_store(store.root))["claims"] == "fail"
    (jobs,) = places.look_at_jobs(store.root)
    assert jobs.level == "fail" and "locked twice" in jobs.text


def test_a_folder_that_may_not_be_written_fails(store, monkeypatch):
    monkeypatch.setattr(places.os, "access", lambda path, mode: False)
    assert levels(places.look_at_store(store.root)) == {"store": "fail"}
    assert levels(places.look_at_jobs(store.root)) == {"jobs": "fail"}


def test_a_file_where_a_folder_is_wanted_is_told_as_one(tmp_path):
    (tmp_path / "store").touch()
    for look, name in ((places.look_at_store, "store"), (places.look_at_jobs, "jobs")):
        for root in (tmp_path / "store", tmp_path / "store" / "in it"):
            (found,) = look(root)
            assert (found.name, found.level) == (name, "fail") and "is no folder" in found.text


def test_offline_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(places, "_reached", lambda address: pytest.fail("asked"))
    (found,) = places.look_at_hub()
    assert found.level == "ok" and "offline" in found.text


@pytest.mark.parametrize("status", [200, 404, None])
def test_the_hub_is_reached_or_not(monkeypatch, status):
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *given):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    if status is None:
        server.server_close()
    else:
        threading.Thread(target=server.handle_request, daemon=True).start()
    (found,) = places.look_at_hub()
    assert found.level == ("warn" if status is None else "ok")
    server.server_close()


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(places, "_HUB_SECONDS", -0.9)
    ended = threading.Event()

    def silent(*given, **more):
        ended.wait(30)
        raise OSError("nobody waits for this")

    monkeypatch.setattr(places.urllib.request, "urlopen", silent)
    assert "no answer" in places._reached("http://127.0.0.1:9")
    ended.set()


@pytest.mark.parametrize(
    "address", ["nonsense", "ftp://127.0.0.1:1/x", "http://[::1", "http://x:y"]
)
def test_an_address_of_a_hub_that_is_none_is_told_at_once(address):
    assert "no answer" not in places._reached(address)


def test_slurm_that_fails_is_told_in_its_words(tmp_path, monkeypatch):
    made = StandIn(tmp_path / "slurm")
    (made.bin / "sbatch").write_text("#!/bin/sh\nprintf 'no conf \\377 here' >&2; exit 1\n")
    monkeypatch.setenv("PATH", f"{made.bin}{os.pathsep}/bin")
    found = {one.name: one for one in places.look_at_schedulers()}["Slurm"]
    assert found.level == "fail" and "no conf \ufffd here" in found.text


def test_slurm_is_found_by_its_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert levels(places.look_at_schedulers())["Slurm"] == "ok"
    made = StandIn(tmp_path / "slurm")
    (made.bin / "sbatch").write_text("#!/bin/sh\necho slurm 24.05.1\n")
    monkeypatch.setenv("PATH", f"{made.bin}{os.pathsep}/bin")
    found = {one.name: one for one in places.look_at_schedulers()}
    assert found["Slurm"].text == "slurm 24.05.1"
    (made.bin / "srun").unlink()
    assert levels(places.look_at_schedulers())["Slurm"] == "warn"


def test_dask_of_versions_that_do_not_belong_together_is_a_warning(monkeypatch):
    numbers = {"dask": "2026.8.0", "distributed": "2026.7.0"}

    def version(name):
        if name not in numbers:
            raise places.PackageNotFoundError(name)
        return numbers[name]

    monkeypatch.setattr(places, "version", version)
    assert places._dask().level == "warn"
    numbers.clear()
    assert places._dask().level == "ok" and "not installed" in places._dask().text


def test_wrong_scores_and_errors_fail_the_self_test(monkeypatch):
    monkeypatch.setattr(selftest, "_encoded", lambda folder: [[0.01, 0.02], [0.0, 0.1]])
    (found,) = selftest.look_at_encoding()
    assert found.level == "fail" and "expected above" in found.text

    def broken(folder):
        raise InputError("no model", hint="Install it again.")

    monkeypatch.setattr(selftest, "_encoded", broken)
    (found,) = selftest.look_at_encoding()
    assert found.level == "fail" and found.todo == "Install it again."


def test_every_check_is_in_the_table():
    assert list(CHECKS) == [
        "packages", "machine", "torch", "store", "jobs", "hub", "schedulers", "self-test",
    ]  # fmt: skip
