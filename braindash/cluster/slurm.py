"""Slurm: a script that starts workers as an array, and what submits, finds and stops it."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from braindash.errors import BraindashError, InputError, JobError, ResourceError
from braindash.jobs.shared import FOLDER, SharedJobs
from braindash.process import import_path

# Slurm's commands wait for a controller that may be busy.
_COMMAND_SECONDS = 60.0
_LOOK_SECONDS = 10.0
# Before Slurm's own end: what a worker needs to give its claims back, and to start.
_MARGIN_MINUTES = 2.0
_TIME = re.compile(
    r"(?P<minutes>\d+)(:(?P<seconds>\d\d?))?"
    r"|(?P<h>\d+):(?P<m>\d\d?):(?P<s>\d\d?)"
    r"|(?P<days>\d+)-(?P<dh>\d\d?)(:(?P<dm>\d\d?)(:(?P<ds>\d\d?))?)?"
)
_NUMBER = re.compile(r"([0-9]+)(;\S+)?")
_PLAIN = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True)
class Allocation:
    """What is asked of Slurm for every worker.

    Attributes
    ----------
    array : int
        Workers.
    time : str or None
        As Slurm reads it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S.
    partition, account, memory : str or None
    cpus : int or None
        Cores of each.
    gpus : int
        Of each.
    options : tuple of str
        Further options of ``sbatch``, such as ``--constraint=a100``.
    """

    array: int = 1
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    memory: str | None = None
    cpus: int | None = None
    gpus: int = 0
    options: tuple[str, ...] = ()

    def minutes(self) -> float | None:
        """Return how long Slurm lets a worker run; None where it is the partition's default."""
        return None if self.time is None else _minutes(self.time)


def _minutes(time: str) -> float:
    found = _TIME.fullmatch(time.strip())
    if found is None or len(time) > 20:
        raise InputError(
            f"{time!r} is no time limit of Slurm",
            hint="Give minutes (90), hours:minutes:seconds (4:00:00) or days-hours (1-12).",
        )
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    hours = 24 * part["days"] + part["dh"] + part["h"]
    return 60 * hours + part["minutes"] + part["m"] + part["dm"] + (
        part["seconds"] + part["s"] + part["ds"]
    ) / 60  # fmt: skip


def worker_minutes(minutes: float) -> float:
    """Return after how long a worker leaves that Slurm ends after ``minutes``.

    Raises
    ------
    InputError
        It is too short for anything.
    """
    left = minutes - _MARGIN_MINUTES
    if left <= 0.5:
        raise InputError(
            f"a time limit of {minutes:g} minutes is too short: a worker needs about two of them "
            "to start and to give its work back",
            hint="Give --time more than that, and longer than the longest part.",
        )
    return left


def script(allocation: Allocation, command: Sequence[str], *, name: str, output: Path) -> str:
    """Write the batch script of an array whose tasks all run one command.

    Parameters
    ----------
    allocation : Allocation
    command : sequence of str
        Run as a job step, so that Slurm's signals reach it.
    name : str
        As ``squeue`` shows it.
    output : Path
        Folder of what the tasks print.

    Returns
    -------
    str
        What ``sbatch`` takes.
    """
    lines = [
        f"--job-name={name}",
        f"--array=0-{allocation.array - 1}",
        "--ntasks=1",
        f"--output={output}/slurm-%A_%a.out",
        "--open-mode=append",
        "--requeue",
        *_asked(allocation),
        *allocation.options,
    ]
    for line in lines:
        if "\n" in line or "\r" in line:
            raise InputError(f"{line!r} is no option of sbatch", hint="Give one option in a line.")
    path = import_path()
    variables = [f"export {name}={shlex.quote(value)}" for name, value in path.items()]
    return "\n".join(
        [
            "#!/bin/sh",
            *(f"#SBATCH {line}" for line in lines),
            *variables,
            f"exec srun --ntasks=1 {shlex.join(command)}",
            "",
        ]
    )


def _asked(allocation: Allocation) -> list[str]:
    found = {
        "time": allocation.time,
        "partition": allocation.partition,
        "account": allocation.account,
        "mem": allocation.memory,
        "cpus-per-task": allocation.cpus,
        "gpus": allocation.gpus or None,
    }
    return [f"--{name}={value}" for name, value in found.items() if value is not None]


def worker_command(root: Path, key: str, allocation: Allocation) -> list[str]:
    """Return the command of a worker of one job within an allocation."""
    command = [sys.executable, "-P", "-m", "braindash", "worker"]
    command += ["--store", str(root), "--job", key]
    minutes = allocation.minutes()
    if minutes is not None:
        command += ["--max-minutes", f"{worker_minutes(minutes):g}"]
    return command


def batch_script(root: Path, key: str, allocation: Allocation) -> str:
    """Write the batch script of the workers of one shared job.

    Parameters
    ----------
    root : Path
        The store's folder.
    key : str
        Of the job.
    allocation : Allocation
    """
    command = worker_command(root, key, allocation)
    output = root / FOLDER / key / "logs"
    return script(allocation, command, name=f"braindash-{key[:8]}", output=output)


def begin(shared: SharedJobs, key: str, allocation: Allocation, *, fresh: bool) -> str:
    """Start workers for a shared job; returns the number of the Slurm job.

    A job that is ``fresh`` and for which no worker can be started is not kept.

    Raises
    ------
    ResourceError, JobError
        There is no Slurm here, or it refuses.
    """
    try:
        number = submit_script(batch_script(shared.root, key, allocation))
    except BraindashError:
        if fresh:
            shared.remove(key)
        raise
    shared.carry(key, {"slurm": [*arrays(shared, key), number]})
    return number


def arrays(shared: SharedJobs, key: str) -> list[str]:
    """List the numbers of the Slurm jobs that were started for a shared job."""
    told = shared.carrier(key).get("slurm")
    named = told if isinstance(told, list) else []
    return [one for one in named if isinstance(one, str) and _PLAIN.fullmatch(one)]


def tuning_script(arguments: Sequence[str], allocation: Allocation) -> str:
    """Write the batch script of one tuning on several GPUs, a process on each.

    Slurm tells the processes some minutes before their time is up, and queues the job again: the
    same command goes on after the last finished epoch.

    Parameters
    ----------
    arguments : sequence of str
        Of ``braindash tune``.
    allocation : Allocation
        Of one node; its ``array`` is not used.
    """
    launch = [sys.executable, "-m", "accelerate.commands.launch"]
    launch += ["--num_machines", "1", "--num_processes", str(allocation.gpus)]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [*launch, "-m", "braindash", "tune", *arguments]
    one = replace(allocation, array=1, options=("--nodes=1", *allocation.options))
    return script(one, command, name="braindash-tune", output=Path.cwd())


def submit_script(text: str) -> str:
    """Hand a script to ``sbatch``; returns the number of the Slurm job.

    Raises
    ------
    ResourceError
        There is no Slurm here.
    JobError
        Slurm refuses, or says something that is no number.
    """
    program = shutil.which("sbatch")
    if program is None:
        raise ResourceError(
            "sbatch is not on this machine, so no Slurm job can be started from here",
            hint="Log in to a node of the cluster that has it; or leave --slurm out, and start "
            "`braindash worker` where you like.",
        )
    done = _run([program, "--parsable"], text, _COMMAND_SECONDS)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise JobError(
            f"Slurm refuses the job: {said}",
            hint="Change what is asked of it (--partition, --account, --time, --gpus, --mem, "
            "--sbatch); `sinfo` and `sacctmgr show assoc user=$USER` say what you may ask for.",
        )
    found = _NUMBER.fullmatch(done.stdout.strip())
    if found is None:
        raise JobError(
            f"sbatch answers {done.stdout.strip()[:200]!r}, which is no number of a job",
            hint="Look with `squeue --me` whether the job is there; `braindash jobs cancel` stops "
            "its workers in any case.",
        )
    return found[1]


def _run(command: Sequence[str], text: str, seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # of what the cluster's keepers let it say
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise JobError(
            f"{command[0]} does not answer within {seconds:.0f} s",
            hint="Slurm's controller may be down: try again later.",
        ) from error
    except OSError as error:
        raise ResourceError(
            f"{command[0]} cannot be run: {error}", hint="Ask whoever keeps the cluster."
        ) from error


def in_queue(numbers: Sequence[str]) -> str | None:
    """Say how many tasks of Slurm jobs wait and run; None where nobody can be asked.

    Returns
    -------
    str or None
        Such as ``"2 running, 14 pending"``; empty where Slurm does not know them any more.
    """
    program = shutil.which("squeue")
    if program is None:
        return None
    command = [program, "--noheader", "--array", "--format=%T", f"--jobs={','.join(numbers)}"]
    try:
        done = _run(command, "", _LOOK_SECONDS)
    except (JobError, ResourceError):
        return None
    if done.returncode:  # "Invalid job id specified": it was forgotten
        return "" if "nvalid job id" in done.stderr else None
    states = [line.strip().lower() for line in done.stdout.splitlines() if line.strip()]
    return ", ".join(f"{states.count(one)} {one}" for one in dict.fromkeys(states))


def cancel_arrays(numbers: Sequence[str]) -> None:
    """Take Slurm jobs out of their queue, and end their tasks.

    Raises
    ------
    ResourceError, JobError
        There is no Slurm here, or it refuses, as when a job is another user's.
    """
    told = " ".join(numbers)
    program = shutil.which("scancel")
    if program is None:
        raise ResourceError(
            f"scancel is not on this machine: the array {told} stays in the queue, and each of its "
            "workers ends as soon as it begins",
            hint=f"Run `scancel {told}` on a node of the cluster.",
        )
    done = _run([program, *numbers], "", _COMMAND_SECONDS)
    if done.returncode and "nvalid job id" not in done.stderr:
        raise JobError(
            f"Slurm does not cancel the array {told}: {done.stderr.strip()}",
            hint="Its workers stop all the same; ask its owner for `scancel`.",
        )
