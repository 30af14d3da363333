"""A clock that jumps by up to a day changes no result, ends no work and hides no dead worker."""

import os
import time
from dataclasses import replace
from pathlib import Path

import kit
import pytest
from kit.chaos import KINDS, assert_equal_to, jobs, make_work
from kit.job_tools import wait_for

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
    wait_for(lambda: jobs(work)[0]["state"] == "running", "a worker", 60)
    job = jobs(work)[0]
    work.jobs("cancel", job["key"])
    began = time.monotonic()
    wait_for(lambda: jobs(work)[0]["state"] in ("cancelled", "done"), "an end", 60)
    ended = time.monotonic() - began
    if jobs(work)[0]["state"] == "cancelled":
        assert work.finish("--queue").returncode == 0
    wait_for(lambda: jobs(work)[0]["state"] == "done", "the end", 300)
    assert jobs(work)[0]["attempt"] <= 2
    assert_equal_to(whole, work)
    print(f"\n{work.kind}: cancelled within {ended:.1f} s under a clock that jumps")
