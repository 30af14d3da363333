"""Two hundred parts, four workers, ten kills: what the page on clusters tells."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from kit.data.toy_lab import QUICK, SHORT_STORIES, make_lab, save_tiny_hubert
from kit.running.job_tools import wait_for
from kit.running.pulled import TESTS, done_lines, kill_group, puller, share

from braindash.cluster.hand_over import shared_job
from braindash.io.store import Store
from braindash.jobs.claims import held
from braindash.jobs.shared import SharedJobs
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import run_all

SUBJECTS = tuple("ABCDEFGH")
N_LAYERS, N_WORKERS, N_KILLS, N_QUICK = 24, 4, 10, 200


def start(root, key):
    command = [sys.executable, "-m", "braindash", "worker", "--store", str(root), "--job", key]
    command += ["--processes", "1", "--threads", "1"]
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    return subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    )


def one_at_work(shared, key, workers, lost):
    """A worker in the middle of a part that was not lost twice before."""
    for holder, _ in held(shared.claims_folder(key)):
        for place, worker in enumerate(workers):
            if (
                not holder.made
                and holder.mark.endswith(f"-{worker.pid}")
                and lost.get(holder.name, 0) < 2
            ):
                return place, holder.name
    return None


@pytest.mark.campaign
def test_ten_kills_among_two_hundred_parts_lose_nothing(tmp_path):
    model = save_tiny_hubert(tmp_path / "model", n_layers=N_LAYERS - 1, **QUICK)
    lab = make_lab(tmp_path / "lab", model, subjects=SUBJECTS, seconds=SHORT_STORIES)
    fields = {"data": lab.manifest, "model": str(model), "strategy": "chunk", "device": "cpu"}
    fields |= {"alphas": (1.0, 100.0), "n_bootstraps": 5}
    requests = [build_request(EncodeRequest, subject=one, **fields) for one in SUBJECTS]
    store = Store(tmp_path / "store")
    shared = SharedJobs(store.root)
    job = shared_job(requests, store)
    shared.add(job)
    assert len(job.parts) >= 200
    draw, lost, began = random.Random(0), {}, time.monotonic()
    workers = [start(store.root, job.key) for _ in range(N_WORKERS)]
    try:
        for number in range(N_KILLS):
            time.sleep(draw.uniform(0.0, 4.0))
            place, name = wait_for(
                lambda: one_at_work(shared, job.key, workers, lost), "a part under way", 120.0
            )
            lost[name] = lost.get(name, 0) + 1
            if number % 2:
                kill_group(workers[place])  # with its processes, as a machine does
            else:
                os.kill(workers[place].pid, signal.SIGKILL)
                workers[place].wait()
            workers[place] = start(store.root, job.key)
        wait_for(lambda: shared.job(job.key).state == "done", "the job", 900.0)
    finally:
        for one in workers:
            kill_group(one)
    took = time.monotonic() - began
    times = done_lines(shared, job.key)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = run_all(requests, Store(tmp_path / "one"))
    finally:
        torch.set_num_threads(before)
    entries = {entry.key: entry for entry in store.entries("encoding")}
    assert set(entries) == {one.key for one in expected}
    for one in expected:
        with entries[one.key].open() as found:
            for name, values in one.dataset.data_vars.items():
                np.testing.assert_array_equal(found[name].values, values.values, err_msg=name)
    twice = [name for name, count in times.items() if count > 1]
    print(
        f"\n{len(job.parts)} parts, {N_WORKERS} workers, {N_KILLS} kills: "
        f"{len(job.parts) - len(times)} finished by a process whose worker was gone, "
        f"{len(twice)} stored twice, all bit-equal, {took:.0f} s"
    )
    assert not twice
    assert not [*(store.root / "parts").rglob("*.nc")]


@pytest.mark.campaign
def test_what_a_part_costs_beside_its_work(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    shared = share(tmp_path, *({"name": f"p{number}"} for number in range(N_QUICK)))
    started = time.monotonic()
    puller(tmp_path).work()
    each = (time.monotonic() - started) / (N_QUICK + 1)
    print(f"\n{1000 * each:.1f} ms for each of {N_QUICK} parts that do nothing")
    assert shared.job("toy").state == "done"
