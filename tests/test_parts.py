"""Parts side by side: in order, killed, cancelled, failing, and with no more than there is."""

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kit.running.part_runs import SECONDS, ToyRun

from braindash import parts, process, processes
from braindash.errors import Cancelled, InputError, ResourceError, is_out_of_memory
from braindash.parts import Part, carry_out, count_processes, require_same
from braindash.processes import PartError
from braindash.progress import NoProgress, said_once

TESTS = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes that make parts know the toy runs, and none is left behind."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    before = children()  # other tests of this process may have left some
    yield
    assert children() <= before


@pytest.fixture
def toy(tmp_path):
    return lambda *parts: ToyRun(tmp_path, list(parts))


class Reports:
    def __init__(self, stop_when=lambda reports: False):
        self.shares, self.messages, self._stop_when = [], [], stop_when

    def advance(self, done, total, message):
        self.shares.append(done / total)
        self.messages.append(message)
        if self._stop_when(self):
            raise Cancelled


def children() -> set[int]:
    return {one.pid for one in psutil.Process().children(recursive=True)}


def part(name="a", **changes) -> Part:
    described = {"label": name, "make": None, "done": None, "seconds": SECONDS} | changes
    return Part(name=name, **described)


# ---- which parts, and in which order ------------------------------------------------------------


def test_parts_run_side_by_side_and_each_behind_what_it_needs(toy):
    run = toy(
        {"name": "a", "lasts": 1.0},
        {"name": "b", "lasts": 1.0},
        {"name": "c", "after": ["a", "b"]},
    )
    reports = Reports()
    carry_out([run], reports, cores=2, device="cpu")
    made = run.made()
    assert made["c"]["started"] >= max(made[name]["ended"] for name in "ab")
    assert made["a"]["pid"] != made["b"]["pid"] and os.getpid() not in {
        one["pid"] for one in made.values()
    }
    assert made["a"]["started"] < made["b"]["ended"] and made["b"]["started"] < made["a"]["ended"]
    assert reports.shares == sorted(reports.shares) and reports.shares[-1] == 1
    assert any(text == "part a: sleeping" for text in reports.messages)


def test_side_by_side_each_has_one_thread_and_the_last_one_all(toy):
    run = toy({"name": "a", "lasts": 0.5}, {"name": "b", "lasts": 0.5})
    carry_out([run], NoProgress(), cores=2, device="cpu")
    threads = {name: one["threads"] for name, one in run.made().items()}
    assert threads == {"a": "1", "b": "1", "end": "2"}


def test_the_first_large_part_that_is_waited_for_has_all_cores(toy):
    names = ("a", "b", "c")
    run = toy(*({"name": name, "lasts": 0.3, "large": True} for name in names))
    carry_out([run], NoProgress(), cores=2, device="cpu")
    made = run.made()
    assert [made[name]["threads"] for name in names] == ["2", "1", "1"]
    assert min(made[name]["started"] for name in "bc") >= made["a"]["ended"]


def test_the_first_large_part_waits_for_short_ones_and_not_for_long_ones(toy):
    large = [{"name": name, "lasts": 0.2, "large": True} for name in ("a", "b")]
    run = toy({"name": "short", "lasts": 0.3, "seconds": 1.0}, *large)
    carry_out([run], NoProgress(), cores=2, device="cpu")
    made = run.made()
    assert made["a"]["threads"] == "2" and made["a"]["started"] >= made["short"]["ended"]
    for name in made:
        (run.folder / name).unlink()
    long = toy({"name": "long", "lasts": 1.0}, *large)
    carry_out([long], NoProgress(), cores=2, device="cpu")
    made = long.made()
    assert made["a"]["threads"] == "1" and made["a"]["started"] < made["long"]["ended"]


@pytest.mark.parametrize("cores", [1, 2])
def test_only_what_is_missing_is_made(toy, tmp_path, cores):
    run = toy({"name": "deep"}, {"name": "a", "after": ["deep"]}, {"name": "b"})
    for name in ("deep", "a"):
        (tmp_path / name).write_text("{}")
    carry_out([run], NoProgress(), cores=cores, device="cpu")
    assert {path.stem for path in tmp_path.glob("*.attempts")} == {"b", "end"}
    for name in ("deep", "b"):
        (tmp_path / name).unlink()
    reports = Reports()
    carry_out([run], reports, cores=cores, device="cpu")
    assert not (tmp_path / "b").exists(), "the result is there, so nothing is needed"
    assert reports.messages == ["already computed"]


def test_what_only_finished_parts_need_is_not_made(tmp_path):
    run = ToyRun(tmp_path, [{"name": "deep"}, {"name": "a", "after": ["deep"]}])
    (tmp_path / "a").write_text("{}")
    needing_a = ToyRun(tmp_path, [{"name": "b", "after": ["a"]}])
    listed = [*run.parts()[:2], *needing_a.parts()]
    one = type("Run", (), {"parts": lambda self: listed, "order": run.order})()
    carry_out([one], NoProgress(), cores=1, device="cpu")
    assert {path.stem for path in tmp_path.glob("*.attempts")} == {"b", "end"}


def test_what_two_runs_need_is_made_once(tmp_path):
    runs = [
        ToyRun(tmp_path, [{"name": "shared"}, {"name": name, "after": ["shared"]}])
        for name in ("a", "b")
    ]
    carry_out(runs[:1], NoProgress(), cores=2, device="cpu")
    (tmp_path / "end").unlink()
    carry_out(runs, NoProgress(), cores=2, device="cpu")
    attempts = {path.stem: len(path.read_text().split()) for path in tmp_path.glob("*.attempts")}
    assert attempts == {"shared": 1, "a": 1, "end": 2}, "parts of one name are one part"


def test_one_core_needs_no_process(toy):
    run = toy({"name": "a"}, {"name": "b"})
    carry_out([run], NoProgress(), cores=1, device="cpu")
    assert run.made()["b"]["pid"] == os.getpid()


def test_little_work_needs_no_process(toy):
    run = toy({"name": "a", "seconds": 0.1}, {"name": "b", "seconds": 0.1})
    carry_out([run], NoProgress(), cores=2, device="cpu")
    assert run.made()["b"]["pid"] == os.getpid()


def test_what_an_accelerator_does_quickly_stays_in_this_process(toy, monkeypatch):
    """Requests say "auto", and so does who says nothing: on such a machine that is the GPU."""
    monkeypatch.setattr(parts, "expected_device", lambda asked: "cuda" if asked == "auto" else "")
    run = toy({"name": "a"}, {"name": "b"})
    carry_out([run], NoProgress(), cores=2)
    assert run.made()["b"]["pid"] == os.getpid()


def test_two_parts_take_turns_on_an_accelerator(toy):
    many = [{"name": name, "seconds": 20 * SECONDS, "lasts": 0.3} for name in "abcd"]
    run = toy(*many)
    carry_out([run], NoProgress(), cores=4, device="cuda")
    found = {one["pid"] for name, one in run.made().items() if name in "abcd"}
    assert len(found) == 2 and os.getpid() not in found


def test_a_part_that_lacks_memory_beside_another_is_made_again_alone(toy, caplog):
    run = toy({"name": "a", "lasts": 1.0}, {"name": "b", "does": "crowd"}, {"name": "c"})
    with caplog.at_level(logging.WARNING):
        carry_out([run], NoProgress(), cores=2, device="cpu")
    assert set(run.made()) == {"a", "b", "c", "end"}
    assert "part b: memory was too short for several at once" in caplog.text
    assert run.made()["b"]["started"] >= run.made()["a"]["ended"]


def test_no_more_processes_than_fit_into_memory(monkeypatch):
    def count(memory, cores, work):
        monkeypatch.setattr(parts, "usable_memory", lambda: memory)
        return count_processes(work, cores)

    several = [part(str(number), n_bytes=3e9) for number in range(8)]
    assert count(11e9, 16, several) == 2
    assert count(1e9, 16, several) == 1
    assert count(1e12, 16, several) == 8
    assert count(1e12, 3, several) == 3
    chain = [part(str(number), after=tuple(map(str, range(number)))) for number in range(8)]
    assert count(1e12, 16, chain) == 1


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 8), ("250000 100000", 2), ("", 8)])
def test_a_containers_share_of_cores_and_memory_counts(tmp_path, monkeypatch, quota, cores):
    """A group inherits the limits of those above it."""
    inner = tmp_path / "job" / "step"
    inner.mkdir(parents=True)
    (tmp_path / "job" / "cpu.max").write_text(f"{quota}\n")
    (tmp_path / "job" / "memory.max").write_text("3000000000\n")
    (tmp_path / "job" / "memory.current").write_text("1000000000\n")
    (inner / "memory.max").write_text("max\n")
    (tmp_path / "job" / "memory.stat").write_text("anon 5\ninactive_file 400000000\n")
    (tmp_path / "own").write_text("1:name=systemd:/other\n0::/job/step\n")
    monkeypatch.setattr(process, "_GROUPS", tmp_path)
    monkeypatch.setattr(process, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(psutil, "cpu_count", lambda logical=True: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 8e9}))
    assert process.usable_cores() == cores and process.usable_memory() == 2.4e9


def test_this_machine_has_cores_and_memory():
    assert 1 <= process.usable_cores() <= psutil.cpu_count()
    assert 0 < process.usable_memory() <= psutil.virtual_memory().total


def test_parts_that_wait_for_each_other_are_refused(toy):
    run = toy({"name": "a", "after": ["b"]}, {"name": "b", "after": ["a"]})
    with pytest.raises(ValueError, match="wait for each other"):
        carry_out([run], NoProgress(), device="cpu")


@given(st.data())
def test_any_order_of_parts_is_carried_out_behind_what_each_needs(tmp_path_factory, data):
    count = data.draw(st.integers(1, 7))
    places = data.draw(st.permutations(range(count)))
    pieces = []
    for place in places:
        needed = data.draw(st.lists(st.integers(0, count - 1), max_size=3, unique=True))
        after = [str(one) for one in needed if one < place]
        pieces.append({"name": str(place), "seconds": 0.1, "after": after})
    run = ToyRun(tmp_path_factory.mktemp("toy"), pieces)
    carry_out([run], NoProgress(), device="cpu")
    made = run.made()
    assert set(made) == {*map(str, range(count)), "end"}
    for one in pieces:
        assert all(made[name]["ended"] <= made[one["name"]]["started"] for name in one["after"])


# ---- when something goes wrong ------------------------------------------------------------------


def test_a_killed_process_loses_its_part_alone_and_it_is_made_again(toy, caplog, tmp_path):
    run = toy({"name": "a", "lasts": 1.5}, {"name": "b", "does": "die", "times": 1}, {"name": "c"})
    with caplog.at_level(logging.WARNING):
        carry_out([run], NoProgress(), cores=2, device="cpu")
    assert set(run.made()) == {"a", "b", "c", "end"}
    attempts = {name: len((tmp_path / f"{name}.attempts").read_text().split()) for name in "abc"}
    assert attempts == {"a": 1, "b": 2, "c": 1}
    assert "part b: its process ended (signal 9), and the part is made again" in caplog.text


@pytest.mark.parametrize(("n_lost", "beside"), [(1, True), (2, False)])
def test_the_place_of_a_first_death_comes_back_and_that_of_a_second_does_not(toy, n_lost, beside):
    """One kill may be anybody's doing; more of them mean that memory is short."""
    lost = [{"name": f"lost{n}", "does": "die", "times": 1} for n in range(n_lost)]
    first = [one["name"] for one in lost]
    late = [{"name": f"late{n}", "lasts": 1.0, "after": first} for n in range(3)]
    run = toy(*lost, *late)
    carry_out([run], NoProgress(), cores=2, device="cpu")
    spans = sorted((run.made()[one["name"]] for one in late), key=lambda span: span["started"])
    assert any(after["started"] < before["ended"] for before, after in pairwise(spans)) == beside


def test_a_part_whose_process_dies_twice_is_named_and_the_others_stay(toy):
    run = toy({"name": "a", "lasts": 1.5}, {"name": "b", "does": "die", "times": 9})
    with pytest.raises(ResourceError, match=r"part b: .* ended 2 times, at last with signal 9"):
        carry_out([run], NoProgress(), cores=2, device="cpu")
    assert set(run.made()) == {"a"}


def test_a_process_that_is_killed_while_it_speaks_is_missed_too(toy, tmp_path, monkeypatch):
    """Its last line is no JSON; waiting for the next one would last for ever."""
    torn = tmp_path / "torn.sh"
    torn.write_text('#!/bin/sh\nread order\nprintf \'{"share": 0.5, "mess\'\nkill -9 $$\n')
    torn.chmod(0o755)
    monkeypatch.setattr(processes.sys, "executable", str(torn))
    with pytest.raises(ResourceError, match="ended 2 times, at last with signal 9"):
        carry_out([toy({"name": "a"}, {"name": "b"})], NoProgress(), cores=2, device="cpu")


@pytest.mark.parametrize(
    ("does", "error", "told"),
    [
        ("refuse", InputError, "story 'fox' has no sound"),
        ("break", RuntimeError, "part b: ZeroDivisionError: division by zero"),
        ("swell", MemoryError, "part b: MemoryError: cannot allocate 3 GB"),
        ("resemble", PartError, "part b: OutOfMemoryError: CUDA out of memory"),
    ],
)
def test_an_error_of_a_part_is_raised_here_and_what_is_under_way_is_finished(
    toy, does, error, told, caplog
):
    run = toy(
        {"name": "a", "lasts": 2.0},
        {"name": "b", "does": does},
        {"name": "c", "lasts": 5.0, "after": ["a"]},
    )
    with caplog.at_level(logging.ERROR), pytest.raises(error, match=told) as caught:
        carry_out([run], NoProgress(), cores=2, device="cpu")
    assert set(run.made()) == {"a"}
    if error is InputError:
        assert caught.value.hint == "Add fox.wav."
    else:
        assert "Traceback" in caplog.text
        assert is_out_of_memory(caught.value) == (error is MemoryError)


@pytest.mark.parametrize("does", ["sleep", "stick"])
def test_a_cancelled_run_ends_its_processes(toy, does, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 1.0)
    run = toy(
        {"name": "a"}, {"name": "b", "does": does, "lasts": 60.0}, {"name": "c", "lasts": 60.0}
    )
    reports = Reports(stop_when=lambda one: "a" in run.made() and len(one.shares) > 20)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        carry_out([run], reports, cores=2, device="cpu")
    assert time.monotonic() - started < 30
    assert set(run.made()) == {"a"}


SUBMIT = """
import sys
from kit.running.part_runs import ToyRun
from itertools import pairwise
from pathlib import Path
from braindash.parts import carry_out
from braindash.progress import NoProgress, said_once
run = ToyRun(Path(sys.argv[1]), [{"name": name, "lasts": 60.0} for name in "ab"])
carry_out([run], NoProgress(), cores=2, device="cpu")
"""


def test_processes_end_when_who_asked_is_killed(tmp_path):
    server = subprocess.Popen([sys.executable, "-c", SUBMIT, str(tmp_path)])
    deadline = time.monotonic() + 60
    while len([*tmp_path.glob("*.attempts")]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    makers = psutil.Process(server.pid).children(recursive=True)
    assert len(makers) == 2
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    _, alive = psutil.wait_procs(makers, timeout=20)
    assert not alive


def test_what_a_part_logs_is_heard_and_what_libraries_print_harms_nothing(toy, caplog):
    run = toy({"name": "a", "does": "talk"}, {"name": "b"})
    with caplog.at_level(logging.WARNING):
        carry_out([run], NoProgress(), cores=2, device="cpu")
    assert "a warning of the part" in caplog.text and "b" in run.made()


def test_warnings_of_several_runs_are_said_once(caplog):
    logger = logging.getLogger("braindash.encoding.plan")
    with said_once():
        for _ in range(3):
            logger.warning("one TR holds no audio")
            logger.error("an error is an error")
    logger.warning("one TR holds no audio")
    texts = [record.getMessage() for record in caplog.records]
    assert texts.count("an error is an error") == 3
    assert texts.count("one TR holds no audio") == 2, "once inside, once afterwards"


def test_another_result_than_the_planned_one_is_refused():
    require_same("a" * 32, "a" * 32)
    with pytest.raises(InputError, match="changed while the run aaaaaaaa"):
        require_same("b" * 32, "a" * 32)


def test_auto_is_the_cpu_where_torch_cannot_use_a_gpu(monkeypatch):
    """A driver's tool alone is no device: torch may be built without, or not be shown one."""
    monkeypatch.setattr(process.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    for knows, visible, expected in (
        (True, None, "cuda"), (True, "0,1", "cuda"), (True, "", "cpu"), (True, "-1", "cpu"),
        (False, None, "cpu"),
    ):  # fmt: skip
        monkeypatch.setattr(process, "_torch_knows_cuda", lambda knows=knows: knows)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert process.expected_device("auto") == expected, (knows, visible)
    assert process.expected_device("cuda:1") == "cuda"


def test_whether_torch_was_built_for_cuda_is_read_from_its_own_file():
    process._torch_knows_cuda.cache_clear()
    assert process._torch_knows_cuda() == (torch.version.cuda is not None)


@pytest.mark.parametrize("threads", [1, 3, None])
def test_threads_hold_for_every_part_and_are_given_back(threads, toy, monkeypatch):
    """One process makes parts with as many threads as were asked for, features too."""
    before, seen = torch.get_num_threads(), []

    run = toy({"name": "a", "seconds": 1.0})
    looks = [
        replace(one, make=lambda progress: seen.append(torch.get_num_threads()))
        for one in run.parts()
    ]
    monkeypatch.setattr(run, "parts", lambda: looks)
    carry_out([run], NoProgress(), cores=threads, device="cpu")
    assert set(seen) == {threads or before} and torch.get_num_threads() == before
