"""The command ``braindash submit``: hands work to other machines, by Slurm or by hand."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from braindash.cli.options import notes, plain, print_json, progress_bar, say, taking_over
from braindash.errors import InputError, ResourceError
from braindash.io.store import Store
from braindash.requests import Request

# Words in front of the options that are passed on.
_COMMANDS = {
    "encode": ("encode",),
    "probe": ("probe",),
    "tune": ("tune",),
    "study": ("study", "run"),
}

KindArgument = Annotated[
    str,
    typer.Argument(
        metavar="KIND ...",
        help=f"{', '.join(_COMMANDS)}; behind it the arguments and options of that command "
        "(`braindash encode --help`), anywhere those of Slurm.",
    ),
]
SlurmOption = Annotated[
    bool, typer.Option("--slurm", help="Start workers as an array of Slurm (sbatch).")
]
DryOption = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="With --slurm: print the script for sbatch, and share and start nothing."
    ),
]
ArrayOption = Annotated[
    int, typer.Option("--array", min=1, max=10_000, help="Workers; each makes parts as they come.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--time",
        help="Time limit of each, as Slurm reads it; workers leave two minutes before. Longer than "
        "the longest part.",
    ),
]
PartitionOption = Annotated[str | None, typer.Option("--partition", help="Of Slurm.")]
AccountOption = Annotated[str | None, typer.Option("--account", help="Of Slurm.")]
MemoryOption = Annotated[
    str | None, typer.Option("--mem", help="Memory of each worker, such as 32G.")
]
CpusOption = Annotated[
    int | None,
    typer.Option("--cpus", min=1, help="Cores of each worker, which makes a part on each."),
]
GpusOption = Annotated[int, typer.Option("--gpus", min=0, help="GPUs of each worker.")]
FurtherOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch", help="A further option of sbatch, such as --sbatch=--constraint=a100."
    ),
]

SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="tls://HOST:PORT",
        help="Let the workers of a running dask.distributed scheduler make the parts (extra "
        "cluster). Plain tcp:// is for this machine alone.",
    ),
]
DaskSlurmOption = Annotated[
    bool,
    typer.Option(
        "--dask-slurm",
        help="Start a Dask cluster in Slurm, with TLS, as the options of Slurm say, and wait until "
        "the job ends; --slurm needs nobody to wait.",
    ),
]
InterfaceOption = Annotated[
    str | None,
    typer.Option(
        "--interface", help="With --dask-slurm: of the network that nodes see each other by, ib0."
    ),
]

SUBMIT_SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True}


def submit(
    context: typer.Context,
    kind: KindArgument,
    slurm: SlurmOption = False,
    dry_run: DryOption = False,
    array: ArrayOption = 1,
    time: TimeOption = None,
    partition: PartitionOption = None,
    account: AccountOption = None,
    memory: MemoryOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = 0,
    further: FurtherOption = None,
    scheduler: SchedulerOption = None,
    dask_slurm: DaskSlurmOption = False,
    interface: InterfaceOption = None,
) -> None:
    """Share work with all machines that see the store, and start workers for it.

    What is missing of the results becomes one job of many parts, which `braindash worker` makes on
    any machine. With --slurm workers are started as an array.
    """
    from braindash.cluster.dask import require_safe
    from braindash.cluster.hand_over import shared_job
    from braindash.cluster.slurm import Allocation

    if kind not in _COMMANDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(_COMMANDS)}", param_hint="KIND")
    if dry_run and not slurm:
        raise typer.BadParameter("it prints the script of --slurm", param_hint="--dry-run")
    if sum((slurm, dask_slurm, scheduler is not None)) > 1:
        told = "--slurm, --dask-slurm and --scheduler are three ways: choose one"
        raise typer.BadParameter(told, param_hint="--scheduler")
    if scheduler is not None:
        require_safe(scheduler)
    allocation = Allocation(
        array=array,
        time=time,
        partition=partition,
        account=account,
        memory=memory,
        cpus=cpus,
        gpus=gpus,
        options=tuple(further or ()),
    )
    allocation.minutes()  # what is wrong with it must not come after the planning
    if gpus > 1 and not (kind == "tune" and slurm):
        raise typer.BadParameter(
            "a worker computes on one GPU: ask for more workers (--array)", param_hint="--gpus"
        )
    carrier = _Carrier(allocation, slurm, dask_slurm, scheduler, interface)

    def take(requests: Sequence[Request], store: Store, as_json: bool, title: str) -> None:
        # What does not fit is said here, not hours later.
        job = shared_job(requests, store, title) if requests else None
        if job is None:
            if as_json:
                print_json({"key": None, "parts": 0})
            notes.print("Nothing to do: every result is stored already.", highlight=False)
        elif gpus > 1:
            _launch(context.args, allocation, dry_run=dry_run, as_json=as_json)
        else:
            _share(job, store, carrier, dry_run=dry_run, as_json=as_json)

    words = [*_COMMANDS[kind], *context.args, "--queue"]
    root: Any = context.find_root().command
    with taking_over(take):
        root.main(words, prog_name="braindash", standalone_mode=False)


def _launch(arguments: Sequence[str], allocation: Any, *, dry_run: bool, as_json: bool) -> None:
    """Start one tuning on several GPUs of a node, which is no job of parts."""
    from braindash.cluster.slurm import submit_script, tuning_script

    text = tuning_script(arguments, allocation)
    if dry_run:
        say(text.rstrip("\n"))
        return
    number = submit_script(text)
    if as_json:
        print_json({"key": None, "slurm": number})
        return
    told = f"Slurm job {number} tunes on {allocation.gpus} GPUs; the page Tuning shows its epochs."
    notes.print(plain(told), highlight=False)


@dataclass(frozen=True)
class _Carrier:
    """Who makes the parts, and what is asked of Slurm for it."""

    allocation: Any
    slurm: bool
    dask_slurm: bool
    scheduler: str | None
    interface: str | None

    def begin(self, shared: Any, key: str, *, fresh: bool) -> dict[str, Any]:
        """Start workers for a shared job; returns what to tell of them."""
        from braindash.cluster import dask, slurm

        if self.slurm:
            return {"slurm": slurm.begin(shared, key, self.allocation, fresh=fresh)}
        try:
            if self.scheduler is not None:
                return {"dask_workers": dask.begin_on_scheduler(shared, key, self.scheduler)}
            if self.dask_slurm:
                with progress_bar() as bar:
                    dask.run_in_slurm(shared, key, self.allocation, bar, self.interface)
        except (InputError, ResourceError):
            if fresh:  # nobody has begun it
                shared.remove(key)
            raise
        return {}

    def told(self, made: Mapping[str, Any], root: Path, key: str) -> str:
        """Say who makes the parts."""
        if "slurm" in made:
            return f"Slurm job {made['slurm']} has {self.allocation.array} workers for them."
        if "dask_workers" in made:
            return f"{made['dask_workers']} workers of Dask make them."
        if self.dask_slurm:
            return "They are made."
        return (
            f"make them with `braindash worker --store {shlex.quote(str(root))} --job {key[:8]}`, "
            "on as many machines as you like."
        )


def _share(job: Any, store: Store, carrier: _Carrier, *, dry_run: bool, as_json: bool) -> None:
    """Share a job, start workers where that is asked for, and say so."""
    from braindash.cluster.slurm import batch_script
    from braindash.jobs.shared import SharedJobs

    if dry_run:
        say(batch_script(store.root, job.key, carrier.allocation).rstrip("\n"))
        return
    shared = SharedJobs(store.root)
    fresh = shared.add(job)
    made = carrier.begin(shared, job.key, fresh=fresh)
    if as_json:
        n_parts = len(job.parts)
        print_json({"key": job.key, "title": job.title, "parts": n_parts, "slurm": None} | made)
        return
    say(f"{job.key}\t{job.title}")
    told = f"{len(job.parts)} parts are shared. {carrier.told(made, store.root, job.key)}"
    told += f" `braindash jobs list` says how far they are, `braindash jobs log {job.key[:8]}` "
    notes.print(plain(f"{told}more."), highlight=False)
