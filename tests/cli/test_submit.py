"""``braindash submit`` and ``braindash worker``, with stand-ins for Slurm's commands."""

import json

import numpy as np
import pytest
import torch
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.machines.slurm import StandIn
from kit.results.lab_study import write_study
from kit.running.job_tools import wait_for
from typer.testing import CliRunner

from braindash.cli import app
from braindash.io.store import Store
from braindash.jobs.shared import SharedJobs
from braindash.requests import EncodeRequest, build_request
from braindash.work.kinds import run

RUN = CliRunner()
FAST = ["--strategy", "chunk", "--alphas", "1,100", "--bootstraps", "5"]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    made = StandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", made.path())
    return made


@pytest.fixture
def short_lab(tmp_path, quick_model):
    return make_lab(tmp_path / "lab", quick_model, seconds=SHORT_STORIES)


def words(lab, *more, kind="encode"):
    given = ["submit", kind, "--data", lab.manifest, "--model", lab.model]
    given += ["--store", lab.folder.parent / "store", *more]
    return [str(one) for one in given]


def asked(lab, *more):
    return words(lab, "--subject", "A", *FAST, *more)


def test_an_array_makes_what_one_machine_makes(short_lab, stand_in, tmp_path):
    """To the last bit, with as many threads."""
    done = RUN.invoke(app, asked(short_lab, "--slurm", "--array", "1", "--cpus", "1", "--json"))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    store = Store(tmp_path / "store")
    shared = SharedJobs(store.root)
    wait_for(lambda: shared.job(told["key"]).state == "done", "the array", 120.0)
    (entry,) = store.entries("encoding")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        request = build_request(
            EncodeRequest,
            data=short_lab.manifest,
            model=str(short_lab.model),
            subject="A",
            strategy="chunk",
            alphas=(1.0, 100.0),
            n_bootstraps=5,
        )
        expected = run(request, Store(tmp_path / "one"))
    finally:
        torch.set_num_threads(before)
    assert entry.key == expected.key
    with entry.open() as found:
        for name, values in expected.dataset.data_vars.items():
            np.testing.assert_array_equal(found[name].values, values.values, err_msg=name)
    wait_for(lambda: "its jobs have ended" in stand_in.printed(told["slurm"]), "the workers")
    log = RUN.invoke(app, ["jobs", "log", told["key"][:6], "--store", str(store.root)])
    assert "done in" in log.output and "layer 1 of" in log.output
    again = RUN.invoke(app, asked(short_lab, "--slurm"))
    assert "already" in again.output or "Nothing to do" in again.output
    listed = RUN.invoke(app, ["jobs", "list", "--store", str(store.root), "--json"])
    assert [(row["state"], row["progress"]) for row in json.loads(listed.stdout)] == [
        ("done", "100%")
    ]


def test_without_slurm_the_job_waits_for_workers_that_anybody_starts(short_lab):
    done = RUN.invoke(app, asked(short_lab))
    assert done.exit_code == 0, done.output
    key = done.stdout.split("\t")[0]
    assert f"--job {key[:8]}" in " ".join(done.output.split())
    store = str(short_lab.folder.parent / "store")
    (row,) = json.loads(RUN.invoke(app, ["jobs", "list", "--store", store, "--json"]).stdout)
    assert row["state"] == "queued" and "no worker is at work" in row["message"]
    assert RUN.invoke(app, ["jobs", "cancel", key[:8], "--store", store]).exit_code == 0
    (row,) = json.loads(RUN.invoke(app, ["jobs", "list", "--store", store, "--json"]).stdout)
    assert row["state"] == "cancelled"
    told = RUN.invoke(app, ["worker", "--job", key, "--store", store])
    assert told.exit_code == 0 and "0 parts made" in told.output
    assert RUN.invoke(app, ["jobs", "retry", key[:8], "--store", store]).exit_code == 0
    early = ["worker", "--job", key, "--store", store, "--kinds", "tuning"]
    assert "nothing of its jobs is left" in RUN.invoke(app, early).output


def test_a_dry_run_prints_the_script_and_does_nothing(short_lab, stand_in):
    more = ["--slurm", "--dry-run", "--array", "4", "--time", "2:00:00", "--gpus", "1"]
    done = RUN.invoke(app, asked(short_lab, *more))
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("#!/bin/sh\n") and "#SBATCH --array=0-3" in done.stdout
    assert not (short_lab.folder.parent / "store" / "cluster").exists()
    assert not [*stand_in.state.iterdir()]


def test_a_study_is_one_job_of_all_its_results(short_lab, stand_in):
    path = write_study(short_lab)
    store = str(short_lab.folder.parent / "store")
    done = RUN.invoke(app, ["submit", "study", str(path), "--store", store, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["title"] == "A toy study" and told["parts"] > 8 and told["slurm"] is None
    job = SharedJobs(store).get(told["key"])
    assert len(job.requests) == 4 and len(job.made["keys"]) == 4
    assert RUN.invoke(app, ["study", "show", str(path), "--store", store]).exit_code == 0


def test_a_tuning_is_one_part(short_lab):
    more = ["--subjects", "A", "--targets", "all", "--epochs", "1"]
    done = RUN.invoke(app, words(short_lab, *more, "--json", kind="tune"))
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["parts"] == 1


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--time", "soon", "--slurm"], "no time limit"),
        (["--time", "1", "--slurm", "--dry-run"], "too short"),
        (["--slurm", "--array", "0"], "array"),
        (["--dry-run"], "--slurm"),
        (["--nonsense"], "nonsense"),
        (["--check"], "--check"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_shared(short_lab, more, told):
    done = RUN.invoke(app, asked(short_lab, *more))
    assert done.exit_code != 0 and told in f"{done.output} {done.exception}"
    assert not (short_lab.folder.parent / "store" / "cluster").exists()


def test_a_tuning_on_several_gpus_that_cannot_be_planned_is_refused_at_once(short_lab, stand_in):
    more = ["--targets", "all", "--epochs", "1", "--slurm", "--gpus", "2"]
    done = RUN.invoke(app, words(short_lab, "--subjects", "nobody", *more, kind="tune"))
    assert done.exit_code != 0 and "nobody" in f"{done.output} {done.exception}"
    assert not [*stand_in.state.iterdir()], "nothing was handed to sbatch"
    done = RUN.invoke(app, words(short_lab, "--subjects", "A", *more, "--dry-run", kind="tune"))
    assert done.exit_code == 0 and "--num_processes 2" in done.stdout, done.output


@pytest.mark.slow
def test_a_tuning_on_several_gpus_that_is_stored_already_is_not_handed_over(short_lab, stand_in):
    asked_for = ("--subjects", "A", "--targets", "all", "--epochs", "1", "--device", "cpu")
    alone = words(short_lab, *asked_for, kind="tune")[1:]
    done = RUN.invoke(app, alone)
    assert done.exit_code == 0, done.output
    more = ("--slurm", "--gpus", "2")
    done = RUN.invoke(app, words(short_lab, *asked_for, *more, kind="tune"))
    assert done.exit_code == 0 and "Nothing to do" in done.output, done.output
    assert not [*stand_in.state.iterdir()], "nothing was handed to sbatch"


def test_an_unknown_kind_is_refused():
    done = RUN.invoke(app, ["submit", "dream"])
    assert done.exit_code == 2 and "encode, probe, tune, study" in " ".join(
        done.output.replace("│", " ").split()
    )


def test_a_worker_without_the_store_says_so(tmp_path):
    done = RUN.invoke(app, ["worker", "--store", str(tmp_path / "nowhere")])
    assert done.exit_code == 1 and "there is no store" in str(done.exception)
