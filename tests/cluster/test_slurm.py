"""Slurm: what is asked of it, what it refuses, and what becomes of its arrays."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.machines.slurm import StandIn
from kit.running.job_tools import wait_for
from kit.running.pulled import share

from braindash.cluster import slurm
from braindash.cluster.all_jobs import AllJobs
from braindash.cluster.slurm import Allocation, batch_script, begin, worker_minutes
from braindash.errors import InputError, JobError, ResourceError


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    made = StandIn(tmp_path / "slurm")
    monkeypatch.setenv("PATH", made.path())
    return made


@pytest.fixture
def root(tmp_path):
    return tmp_path / "a store"


@pytest.fixture
def shared(root):
    return share(root, {"name": "a"})


@pytest.fixture
def quiet(monkeypatch):
    """Tasks that only say what they were started with."""
    command = ["echo", "made by", "braindash"]
    monkeypatch.setattr(slurm, "worker_command", lambda root, key, allocation: command)


@pytest.mark.parametrize(
    ("time", "minutes"),
    [("90", 90), ("90:30", 90.5), ("4:00:00", 240), ("1-12", 2160), ("1-12:30", 2190),
     ("2-00:00:30", 2880.5), ("0:10:00", 10)],
)  # fmt: skip
def test_times_are_read_as_slurm_reads_them(time, minutes):
    assert Allocation(time=time).minutes() == minutes


@pytest.mark.parametrize("time", ["", "4h", "1:2:3:4", "-5", "1-", "1e3", "3²", "9" * 30, "1-2-3"])
def test_what_is_no_time_is_refused(time):
    with pytest.raises(InputError, match="no time limit of Slurm"):
        Allocation(time=time).minutes()


def test_workers_leave_before_slurm_ends_them_and_need_some_time():
    assert worker_minutes(60) == 58 and Allocation().minutes() is None
    with pytest.raises(InputError, match="too short"):
        worker_minutes(2)


def test_the_script_asks_for_what_was_asked_for(root):
    asked = Allocation(8, "2:00:00", "gpu", "lab", "32G", 4, 1, ("--constraint=a100",))
    text = batch_script(root, "ab" * 16, asked)
    lines = text.splitlines()
    given = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert lines[0] == "#!/bin/sh"
    asked_for = "array=0-7 time=2:00:00 partition=gpu account=lab mem=32G cpus-per-task=4 gpus=1"
    asked_for += " constraint=a100 requeue"
    assert {f"--{one}" for one in asked_for.split()} <= set(given)
    words = shlex.split(lines[-1])
    assert words[:3] == ["exec", "srun", "--ntasks=1"] and "worker" in words
    assert words[words.index("--store") + 1] == str(root)
    assert words[words.index("--max-minutes") + 1] == "118"
    bare = batch_script(root, "ab" * 16, Allocation())
    assert "--max-minutes" not in bare and "--time" not in bare and "--gpus" not in bare
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
def test_a_folder_of_any_name_stays_one_word(name):
    try:
        text = batch_script(Path("/data") / name, "ab" * 16, Allocation())
    except InputError:
        assert set(name) & set("\r\n")
        return
    command = text.rpartition("exec srun")[2]
    words = shlex.split(command)
    assert words[words.index("--store") + 1] == str(Path("/data") / name)


def test_an_option_with_a_line_end_is_refused(root):
    with pytest.raises(InputError, match="no option of sbatch"):
        batch_script(root, "ab" * 16, Allocation(options=("--mem=1G\nrm -rf x",)))


def test_an_array_is_begun_and_its_number_kept(stand_in, shared, quiet):
    number = begin(shared, "toy", Allocation(array=3), fresh=True)
    assert shared.carrier("toy") == {"slurm": [number]}
    wait_for(lambda: stand_in.printed(number).count("made by braindash") == 3, "three tasks")


def test_a_tuning_on_several_gpus_is_one_task_with_a_process_on_each():
    given = ["--data", "my data.toml", "--setting", "rank=4"]
    asked = Allocation(array=9, gpus=4, time="12:00:00")
    text = slurm.tuning_script(given, asked)
    assert "#SBATCH --array=0-0\n" in text and "#SBATCH --gpus=4\n" in text
    assert "#SBATCH --nodes=1\n" in text and "#SBATCH --requeue\n" in text
    words = shlex.split(text.splitlines()[-1])
    assert words[words.index("--num_processes") + 1] == "4"
    assert words[-6:] == ["braindash", "tune", *given]


def test_without_sbatch_nothing_is_shared_and_the_error_says_what_to_do(
    shared, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ResourceError, match="sbatch is not on this machine"):
        begin(shared, "toy", Allocation(), fresh=True)
    assert shared.job_keys() == []


@pytest.mark.parametrize("fresh", [True, False])
def test_what_slurm_refuses_is_told_in_its_words(stand_in, shared, quiet, fresh):
    stand_in.refuse("sbatch: error: Invalid account or account/partition combination specified")
    with pytest.raises(JobError, match="Invalid account") as told:
        begin(shared, "toy", Allocation(account="others"), fresh=fresh)
    assert "--account" in told.value.hint
    assert shared.job_keys() == ([] if fresh else ["toy"]), "what others work on stays"


def test_words_of_slurm_that_are_no_utf8_are_told(stand_in, shared, quiet):
    (stand_in.state / "refuses").write_bytes(b"Zugriff verweigert f\xfcr\x1b[31m gpu")
    with pytest.raises(JobError, match=r"verweigert f\ufffdr\\x1b\[31m gpu"):
        begin(shared, "toy", Allocation(), fresh=False)


def test_an_answer_that_is_no_number_is_refused(stand_in, shared, quiet):
    stand_in.say("Welcome to the cluster!")
    with pytest.raises(JobError, match="Welcome"):
        begin(shared, "toy", Allocation(), fresh=True)


def test_the_name_of_a_cluster_behind_the_number_is_left_out(stand_in, shared, quiet):
    stand_in.say("4712;fat-cluster\n")
    assert begin(shared, "toy", Allocation(), fresh=True) == "4712"


def test_commands_that_hang_are_given_up(stand_in, shared, monkeypatch):
    (stand_in.bin / "sbatch").write_text("#!/bin/sh\nsleep 60\n")
    monkeypatch.setattr(slurm, "_COMMAND_SECONDS", 0.2)
    with pytest.raises(JobError, match="does not answer"):
        begin(shared, "toy", Allocation(), fresh=True)


def test_a_list_says_what_slurm_knows_of_an_array(stand_in, root, shared, quiet):
    jobs = AllJobs(root)
    assert "no worker is at work on it" in jobs.get("toy").message
    stand_in.hold()
    number = begin(shared, "toy", Allocation(array=2), fresh=True)
    assert jobs.get("toy").message == f"Slurm job {number}: 2 pending"
    subprocess.run(["scancel", number], check=True)  # by somebody who knows no braindash
    told = jobs.get("toy").message
    assert told.startswith(f"Slurm job {number} is over or was cancelled") and "submit" in told
    shared.carry("toy", {"slurm": ["99"]})
    assert "is over or was cancelled" in jobs.get("toy").message, "Slurm forgot it"
    for odd in (["9; rm x"], ["--me"], "4711", [4711], None):
        shared.carry("toy", {"slurm": odd})
        assert "no worker" in jobs.get("toy").message


def test_arrays_that_were_started_later_are_cancelled_too(stand_in, root, shared, quiet):
    stand_in.hold()
    numbers = [begin(shared, "toy", Allocation(), fresh=False) for _ in range(2)]
    assert len(set(numbers)) == 2
    AllJobs(root).cancel("toy")
    assert [slurm.in_queue([one]) for one in numbers] == ["", ""]


def test_cancelling_takes_the_array_out_of_the_queue(stand_in, root, shared, quiet):
    stand_in.hold()
    number = begin(shared, "toy", Allocation(), fresh=True)
    AllJobs(root).cancel("toy")
    assert shared.job("toy").state == "cancelled" and slurm.in_queue([number]) == ""


def test_an_array_of_another_user_is_told_and_the_workers_stop_all_the_same(
    stand_in, root, shared, quiet
):
    begin(shared, "toy", Allocation(), fresh=True)
    stand_in.refuse("scancel: error: Kill job error on job id 4711: Access/permission denied")
    with pytest.raises(JobError, match="permission denied"):
        AllJobs(root).cancel("toy")
    assert shared.job("toy").state == "cancelled"
