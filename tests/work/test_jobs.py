"""Real encoding jobs in a real worker: killed for real, they lose at most one part."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kit.data.toy_lab import QUICK, SHORT_STORIES, make_lab, save_tiny_hubert

from braindash.encoding.result import EncodingResult
from braindash.encoding.run import run_encoding
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.progress import NoProgress
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import run_job
from braindash.work.submit import submit, submit_demo

PATIENCE_SECONDS = 300


@pytest.fixture
def lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A store whose worker, which loads torch first, serves one test after the other."""
    return Store(tmp_path_factory.mktemp("served") / "store")


@pytest.fixture
def request_a(lab):
    return build_request(
        EncodeRequest,
        data=lab.manifest,
        model=str(lab.model),
        subject="A",
        strategy="exact",
        alphas=(1.0, 100.0),
        n_permutations=100,
        n_bootstraps=100,
        threads=1,  # processes of its own would each load the libraries again
    )


def wait_until(condition, what: str):
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE_SECONDS} s for {what}")


def feature_files(store: Store) -> dict[str, int]:
    return {e.key: e.result_file.stat().st_mtime_ns for e in store.entries("features")}


@pytest.mark.slow
def test_a_killed_worker_loses_at_most_one_story(request_a, served, tmp_path):
    store = served
    queue = JobQueue(store.root)
    job = submit(request_a, store)
    wait_until(lambda: len(feature_files(store)) >= 1, "the first story")
    running = queue.get(job.key)
    os.kill(running.pid, signal.SIGKILL)
    kept = feature_files(store)
    assert not store.has("encoding", job.key)
    wait_until(queue.ensure_worker, "a successor")
    done = wait_until(lambda: (j := queue.get(job.key)).state == "done" and j, "the end")
    assert done.attempt == 2 and done.result["keys"] == [job.key]
    after = feature_files(store)
    assert {key: after[key] for key in kept} == kept, "finished stories were computed again"
    undisturbed = run_encoding(request_a, Store(tmp_path / "other"))
    resumed = EncodingResult.load(store.get("encoding", job.key))
    np.testing.assert_allclose(resumed.r, undisturbed.r, atol=1e-6)


def test_the_job_survives_the_process_that_submitted_it(request_a, served):
    code = (
        "import sys, time; from braindash.requests import EncodeRequest;"
        "from braindash.work.submit import submit; from braindash.io.store import Store;"
        "submit(EncodeRequest.model_validate_json(sys.argv[1]), Store(sys.argv[2]));"
        "print('submitted', flush=True); time.sleep(600)"
    )
    quick = request_a.model_copy(update={"strategy": "chunk"})
    arguments = [sys.executable, "-c", code, quick.model_dump_json(), str(served.root)]
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline().strip() == "submitted"
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    queue = JobQueue(served.root)
    wait_until(lambda: queue.list()[0].state == "done", "the end")
    assert served.has("encoding", queue.list()[0].key)


def test_equal_requests_are_one_job_and_a_mistake_queues_nothing(request_a, store, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    first = submit(request_a, store)
    second = submit(request_a.model_copy(update={"threads": 2}), store)
    assert first.key == second.key and len(JobQueue(store.root).list()) == 1
    with pytest.raises(InputError):
        submit(request_a.model_copy(update={"subject": "nobody"}), store)
    assert len(JobQueue(store.root).list()) == 1


def test_a_cancelled_job_goes_on_from_its_parts(request_a, served, tmp_path):
    queue, before = JobQueue(served.root), len(feature_files(served))
    model = save_tiny_hubert(tmp_path / "other-model", seed=1, **QUICK)
    job = submit(request_a.model_copy(update={"model": str(model)}), served)
    wait_until(lambda: len(feature_files(served)) > before, "the first story")
    queue.cancel(job.key)
    wait_until(lambda: queue.get(job.key).state == "cancelled", "the stop")
    kept = feature_files(served)
    assert len(kept) < before + 4
    queue.retry(job.key)
    wait_until(lambda: queue.get(job.key).state == "done", "the end")
    after = feature_files(served)
    assert {key: after[key] for key in kept} == kept


def test_a_failing_job_says_what_to_do(lab, request_a, served):
    queue = JobQueue(served.root)
    job = submit(request_a.model_copy(update={"delays": (1, 2)}), served)
    # the data go away between submission and run
    (lab.folder / "audio" / "fox.wav").unlink()
    ended = wait_until(lambda: not (j := queue.get(job.key)).active and j, "the failure")
    assert ended.state == "failed" and "fox" in ended.error and ended.hint


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lab: (lab.folder / "audio" / "fox.wav").unlink(), "train story 'fox' is gone"),
        (
            lambda lab: (lab.folder / "audio" / "crow.flac").write_bytes(
                (lab.folder / "audio" / "well.wav").read_bytes()
            ),
            "train story 'crow' differs in features",
        ),
        (lambda lab: lab.edit('test = ["well"]', 'test = ["fox"]'), "test story 'well' is gone"),
        (
            lambda lab: (lab.folder / "responses" / "B" / "well.hf5").unlink(),
            "other subjects of the ceiling: B (",
        ),
        (
            lambda lab: lab.edit('zscored = "none"', 'zscored = "run"'),
            "standardise_responses was True, is False",
        ),
    ],
)
def test_a_job_never_makes_another_result_than_the_one_it_was_queued_for(
    lab, request_a, store, monkeypatch, change, told
):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    job = submit(request_a, store)
    change(lab)
    with pytest.raises(InputError, match="changed after the job was queued") as caught:
        run_job("encode", job.request, store.root, NoProgress())
    assert told in caught.value.message and "submit the request again" in caught.value.hint
    assert not list(store.entries("features")) and not list(store.entries("encoding"))


def test_a_job_finds_its_files_from_any_working_directory(lab, request_a, store, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.chdir(lab.folder)
    model = os.path.relpath(lab.model)
    relative = request_a.model_copy(update={"data": Path("manifest.toml"), "model": model})
    job = submit(relative, store)
    assert job.request["data"] == str(lab.manifest) and job.request["model"] == str(lab.model)
    assert submit(request_a, store).key == job.key


def test_the_demo_is_submitted_once(store, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    assert submit_demo(store).key == submit_demo(store).key
    assert len(JobQueue(store.root).list()) == 1


@pytest.mark.parametrize(
    ("control", "seed"), [("untrained", ""), ("untrained", "@3"), ("shuffled", "@3")]
)
def test_a_control_is_found_from_any_working_directory(
    lab, request_a, store, monkeypatch, control, seed
):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.chdir(lab.folder)
    given = f"{control}:{os.path.relpath(lab.model)}{seed}"
    job = submit(request_a.model_copy(update={"model": given}), store)
    assert job.request["model"] == f"{control}:{lab.model}{seed or '@0'}"
    monkeypatch.chdir(store.root.parent)
    again = EncodeRequest.model_validate({k: v for k, v in job.request.items() if k != "promised"})
    assert submit(again, store).key == job.key
