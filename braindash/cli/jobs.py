"""Commands about background jobs."""

from typing import TYPE_CHECKING, Annotated

import typer

from braindash.cli.options import (
    JsonOption,
    ModelFilter,
    StoreOption,
    SubjectFilter,
    matches,
    notes,
    open_store,
    print_json,
    print_rows,
    say,
)
from braindash.work.kinds import COMMANDS

if TYPE_CHECKING:
    from braindash.jobs.table import Job

KindOption = Annotated[str | None, typer.Option(help=f"Only {', '.join(COMMANDS)}.")]

KeyArgument = Annotated[
    str, typer.Argument(help="The job's key; of one that machines share also its first digits.")
]
PartOption = Annotated[
    str,
    typer.Option(
        "--part",
        help="Of a job that machines share: only parts that have this in their name or title.",
    ),
]

app = typer.Typer(help="Watch, stop and repeat background jobs.", no_args_is_help=True)


@app.command(name="list")
def list_jobs(
    store: StoreOption = None,
    kind: KindOption = None,
    model: ModelFilter = None,
    subject: SubjectFilter = None,
    as_json: JsonOption = False,
) -> None:
    """List the background jobs of a store, the newest first; in a pipe one line each, with tabs."""
    from braindash.cluster.all_jobs import AllJobs

    if kind is not None and kind not in COMMANDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(COMMANDS)}", param_hint="--kind")
    everywhere = AllJobs(open_store(store).root)
    shared = set(everywhere.shared.job_keys())
    jobs = [
        everywhere.get(job.key) if job.key in shared else job
        for job in everywhere.list(limit=None)
        if (kind is None or job.command == kind)
        and matches(str(job.request.get("model", "")), job.request, model, subject)
    ]
    alive = everywhere.queue.worker_alive()

    def state(job: "Job") -> str:
        if job.damage:
            return "damaged"
        left = job.state == "running" and not alive and job.key not in shared
        return "interrupted" if left else job.state

    rows = [
        {
            "key": job.key,
            "title": job.title,
            "state": state(job),
            "progress": f"{job.progress:.0%}",
            "message": job.error or job.message,
            "asked_by": job.asked_by,
            "attempt": job.attempt,
        }
        for job in jobs
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(["key", "title", "state", "progress", "message", "asked_by"], rows)
    waiting = sum(job.active for job in jobs if job.key not in shared)
    if waiting and not alive:
        notes.print(
            f"{waiting} of these jobs wait, and no worker is alive: the next command that queues "
            "work, or the page Jobs, starts one."
        )


@app.command(name="cancel")
def cancel_job(key: KeyArgument, store: StoreOption = None) -> None:
    """Ask a background job to stop; its finished parts are kept."""
    from braindash.cluster.all_jobs import AllJobs

    AllJobs(open_store(store).root).cancel(key)


@app.command(name="retry")
def retry_job(key: KeyArgument, store: StoreOption = None) -> None:
    """Queue a failed or cancelled job again; it goes on after its finished parts."""
    from braindash.cluster.all_jobs import AllJobs

    job = AllJobs(open_store(store).root).retry(key)
    say(f"{job.key}\t{job.state}\t{job.title}")


@app.command(name="log")
def show_log(
    key: KeyArgument,
    n_lines: Annotated[int, typer.Option("--lines", min=1, help="Of the end of the log.")] = 50,
    part: PartOption = "",
    store: StoreOption = None,
) -> None:
    """Print what a job said, the end of it."""
    from braindash.cluster.all_jobs import AllJobs

    jobs = AllJobs(open_store(store).root)
    job = jobs.get(key)
    say(f"{job.title}: {job.state}. {job.error or job.message}".rstrip())
    told = jobs.log_tail(key, n_lines, part)
    if told:
        say(told.rstrip("\n"))
