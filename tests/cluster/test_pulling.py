"""Workers that pull parts: in order, killed, cancelled, out of time, with parts that fail."""

import signal
import threading
import time

import psutil
import pytest
from kit.running.job_tools import wait_for
from kit.running.part_runs import ToyRun
from kit.running.pulled import TESTS, done_lines, kill_group, puller, share, start_worker

from braindash.cluster import pulling
from braindash.errors import InputError, JobError
from braindash.jobs.claims import Holder, held
from braindash.jobs.shared import SharedJobs


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Processes that make parts know the toy runs, and none is left behind."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    yield
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before


def made(root):
    return ToyRun(root / "made", []).made()


def in_thread(worker):
    thread = threading.Thread(target=worker.work)
    thread.start()
    return thread


def test_parts_are_made_in_order_and_the_job_is_done(tmp_path):
    shared = share(tmp_path, {"name": "b", "after": ["a"]}, {"name": "a"}, {"name": "c"})
    assert shared.job("toy").state == "queued"
    outcome = puller(tmp_path).work()
    assert outcome.n_made == 4 and outcome.reason == "its jobs have ended" and not outcome.failed
    times = made(tmp_path)
    assert times["b"]["started"] >= times["a"]["ended"]
    assert times["end"]["started"] >= max(times[name]["ended"] for name in "abc")
    job = shared.job("toy")
    assert (job.state, job.progress, job.asked_by) == ("done", 1.0, "ada")
    assert done_lines(shared, "toy") == dict.fromkeys((*"abc", "end"), 1)
    assert [*shared.log_tail("toy", 99, part="part c").splitlines()][-1].endswith(" s")
    assert not shared.claims_folder("toy").exists()


def test_what_is_there_is_not_made_again(tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a").write_text("{}")
    share(tmp_path, {"name": "a"}, {"name": "b", "after": ["a"]})
    assert puller(tmp_path).work().n_made == 2
    assert not (tmp_path / "made" / "a.attempts").exists()


def test_several_workers_share_parts_and_none_is_made_twice(tmp_path):
    names = [f"p{number}" for number in range(12)]
    shared = share(tmp_path, *({"name": name, "lasts": 0.05} for name in names))
    workers = [puller(tmp_path) for _ in range(2)]
    threads = [in_thread(one) for one in workers]
    for one in threads:
        one.join()
    assert done_lines(shared, "toy") == dict.fromkeys((*names, "end"), 1)
    assert sum(one.outcome.n_made for one in workers) == 13
    assert min(one.outcome.n_made for one in workers) > 0


def test_killed_workers_lose_nothing_and_nothing_is_made_twice(tmp_path):
    names = [f"p{number}" for number in range(16)]
    shared = share(tmp_path, *({"name": name, "lasts": 0.2} for name in names))
    workers = [start_worker(tmp_path) for _ in range(2)]
    lost = set()
    try:
        for place in (0, 1, 0):
            holder = wait_for(
                lambda place=place: held_by(shared, workers[place].pid, lost), "a part under way"
            )
            lost.add(holder.name)
            kill_group(workers[place])
            workers[place] = start_worker(tmp_path)
        wait_for(lambda: shared.job("toy").state == "done", "the job", 60.0)
    finally:
        for one in workers:
            kill_group(one)
    assert set(made(tmp_path)) == {*names, "end"}
    assert max(done_lines(shared, "toy").values()) == 1
    told = shared.failures("toy")
    assert {one.why for failures in told.values() for one in failures} == {"lost"}
    assert set(told) <= lost


def held_by(shared, pid, but):
    """The part that a worker holds, unless its worker was killed over it before."""
    found = [one for one, _ in held(shared.claims_folder("toy")) if not one.made]
    mine = [one for one in found if one.mark.endswith(f"-{pid}") and one.name not in but]
    return mine[0] if mine else None


def test_a_cancelled_job_is_dropped_at_once_whatever_its_parts_do(tmp_path):
    shared = share(tmp_path, {"name": "a", "does": "stick"}, {"name": "b", "does": "stick"})
    worker = puller(tmp_path, processes=2)
    thread = in_thread(worker)
    wait_for(lambda: len(held(shared.claims_folder("toy"))) == 2, "both parts to be begun")
    assert shared.job("toy").state == "running" and "part" in shared.job("toy").message
    shared.cancel("toy")
    asked = time.monotonic()
    thread.join()
    assert time.monotonic() - asked < 10.0
    assert worker.outcome.reason == "its jobs have ended" and worker.outcome.n_made == 0
    assert shared.job("toy").state == "cancelled" and not held(shared.claims_folder("toy"))
    shared.retry("toy")
    assert shared.job("toy").state == "queued"


def test_a_part_that_fails_three_times_is_given_up_and_the_others_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "_REST_SECONDS", 0.01)
    parts = ({"name": "a", "does": "refuse"}, {"name": "b"}, {"name": "c", "after": ["a"]})
    shared = share(tmp_path, *parts)
    outcome = puller(tmp_path).work()
    assert set(made(tmp_path)) == {"b"}
    assert outcome.failed == {"Toy job": "part a: story 'fox' has no sound"}
    job = shared.job("toy")
    assert job.state == "failed" and job.error == "part a: story 'fox' has no sound"
    assert job.hint == "Add fox.wav. Then go on with `braindash jobs retry toy`."
    assert len(shared.failures("toy")["a"]) == 3
    shared.retry("toy")
    assert shared.job("toy").state == "queued" and not shared.failures("toy")


def test_a_process_that_dies_over_a_part_is_a_failure_and_the_worker_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "_REST_SECONDS", 0.01)
    shared = share(tmp_path, {"name": "a", "does": "die", "times": 2}, {"name": "b"})
    assert puller(tmp_path).work().n_made == 3
    told = shared.failures("toy")["a"]
    assert [one.why for one in told] == ["lost"] * 2 and "signal 9" in told[0].error


def test_a_worker_is_gone_before_its_time_and_says_which_part_takes_longer(tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "_RESERVE_SECONDS", 0.2)
    monkeypatch.setattr(pulling, "_GRACE_SECONDS", 0.2)
    shared = share(tmp_path, {"name": "a", "lasts": 60.0})
    started = time.monotonic()
    first = puller(tmp_path, seconds=1.5).work()
    assert time.monotonic() - started < 10.0  # not the sixty seconds of the part
    assert first.reason == "its time is up" and not held(shared.claims_folder("toy"))
    (told,) = shared.failures("toy")["a"]
    assert told.why == "time" and told.ran > 0.5
    second = puller(tmp_path, seconds=1.5).work()
    assert "part a takes longer than" in second.reason and "--max-minutes" in second.reason
    assert second.failed
    assert shared.job("toy").state == "queued", "a worker with more time may make it"


def test_a_worker_that_is_asked_to_end_gives_its_part_back(tmp_path):
    shared = share(tmp_path, {"name": "a", "lasts": 60.0})
    worker = start_worker(tmp_path)
    wait_for((tmp_path / "made" / "a.attempts").exists, "the part to be begun")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0
    assert not held(shared.claims_folder("toy")) and not shared.failures("toy")
    assert "given back" in shared.log_tail("toy")


def test_a_worker_makes_the_kinds_that_it_is_told(tmp_path):
    shared = share(tmp_path, {"name": "features a"}, {"name": "predictions b", "after": []})
    worker = puller(tmp_path, jobs=(), kinds=["features"], idle_seconds=1.5)
    assert worker.work().n_made == 1 and "nothing to do" in worker.outcome.reason
    assert set(made(tmp_path)) == {"features a"}
    assert 0 < shared.job("toy").progress < 1
    with pytest.raises(InputError, match="no kind of part"):
        puller(tmp_path, kinds=["feature"])


def test_a_worker_of_one_kind_and_job_ends_when_none_of_it_is_left_and_not_before(tmp_path):
    share(tmp_path, {"name": "features a"}, {"name": "predictions b", "after": ["features a"]})
    waiting = puller(tmp_path, kinds=["predictions"], idle_seconds=60.0)
    thread = in_thread(waiting)  # what its part stands behind is made by another
    first = puller(tmp_path, kinds=["features"], idle_seconds=60.0).work()
    assert first.n_made == 1 and first.reason == "nothing of its jobs is left to make of: features"
    thread.join()
    assert waiting.outcome.n_made == 1 and "nothing of its jobs is left" in waiting.outcome.reason
    assert set(made(tmp_path)) == {"features a", "predictions b"}
    nothing = puller(tmp_path, kinds=["features"], idle_seconds=60.0).work()
    assert nothing.n_made == 0 and "nothing of its jobs is left" in nothing.reason


def test_without_a_job_a_worker_takes_all_that_come_and_ends_when_idle(tmp_path):
    share(tmp_path, {"name": "a"})
    worker = puller(tmp_path, jobs=(), idle_seconds=2.0)
    thread = in_thread(worker)
    wait_for((tmp_path / "made" / "end").exists, "the first job")
    other = tmp_path / "made" / "other"
    other.mkdir()
    shared = SharedJobs(tmp_path)
    first = shared.get("toy")
    asked = {"command": "toy", "request": {"folder": str(other), "parts": [{"name": "z"}]}}
    shared.add(type(first)("more", "More", "", time.time(), (asked,), (), {}))
    thread.join()
    assert worker.outcome.n_made == 4 and "nothing to do" in worker.outcome.reason
    assert shared.job("more").state == "done"


def test_an_unknown_job_is_refused(tmp_path):
    with pytest.raises(InputError, match="no shared job"):
        puller(tmp_path)


def test_a_job_that_cannot_be_planned_here_is_left_to_others(tmp_path):
    shared = share(tmp_path, {"name": "a"})

    def plan(asked, root):
        raise JobError("the data are not here", hint="Mount them.")

    worker = pulling.Puller(tmp_path, jobs=["toy"], plan=plan)
    with pytest.raises(JobError, match="not here"):
        worker.work()
    assert shared.job("toy").state == "queued" and "not here" in shared.log_tail("toy")
    everything = pulling.Puller(tmp_path, plan=plan, idle_seconds=0.5, tell=lambda text: None)
    assert everything.work().failed == {"Toy job": "the data are not here"}


def test_a_part_marked_as_made_that_is_gone_is_made_again(tmp_path):
    shared = share(tmp_path, {"name": "a"})
    claims = pulling.Claims(shared.claims_folder("toy"), refresh_seconds=0.02)
    claims.take("a", "part a").mark_made()
    assert isinstance(claims.take("a", ""), Holder)
    assert puller(tmp_path).work().n_made == 2
    assert not shared.failures("toy")


def test_a_full_disk_ends_the_worker_and_not_never(tmp_path):
    shared = share(tmp_path, {"name": "a", "does": "refuse"})
    (shared.folder / "toy" / "failed").rmdir()
    (shared.folder / "toy" / "failed").write_text("in the way")
    outcome = puller(tmp_path).work()
    assert "cannot be written" in outcome.reason and outcome.failed
    assert not held(shared.claims_folder("toy"))
