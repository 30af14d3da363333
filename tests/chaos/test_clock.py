"""A clock that jumps by up to a day changes no result, ends no work and hides no dead worker."""

import os
import time
from dataclasses import replace
from pathlib import Path

import kit
import pytest
from kit.running.chaos import KINDS, all_done, assert_equal_to, jobs, make_work
from kit.running.job_tools import wait_for

pytestmark = [pytest.mark.campaign, pytest.mark.timeout(3600)]
JUMPING = str(Path(kit.__path__[0]) / "jumping_clock")


@pytest.fixture(scope="module", params=KINDS)
def whole(request, tmp_path_factory, quick_model):
    work = make_work(request.param, tmp_path_factory.mktemp(request.param), quick_model)
    done = work.finish()
    assert done.returncode == 0, done.stderr
    return work


def jumping(work, store: Path):
    """The same work where every process has such a clock."""
    path = os.pathsep.join([JUMPING, os.environ.get("PYTHONPATH", "")])
    return replace(work.elsewhere(store), environment=work.environment | {"PYTHONPATH": path})


def test_a_command_computes_the_same(whole, tmp_path):
    work = jumping(whole, tmp_path / "store")
    done = work.finish()
    assert done.returncode == 0, done.stderr
    assert_equal_to(whole, work)


def test_a_job_runs_to_its_end_and_a_cancelled_one_ends(whole, tmp_path):
    work = jumping(whole, tmp_path / "store")
    assert work.finish("--queue").returncode == 0
    wait_for(lambda: any(job["state"] != "queued" for job in jobs(work)), "a worker", 60)
    began = time.monotonic()
    for job in jobs(work):
        work.jobs("cancel", job["key"])
    wait_for(lambda: all(job["state"] in ("cancelled", "done") for job in jobs(work)), "an end", 60)
    ended = time.monotonic() - began
    assert work.finish("--queue").returncode == 0
    wait_for(lambda: all_done(work), "the end", 300)
    assert all(job["attempt"] <= 2 for job in jobs(work))
    assert_equal_to(whole, work)
    print(f"\n{work.kind}: cancelled within {ended:.1f} s under a clock that jumps")
