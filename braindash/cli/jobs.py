"""Commands about background jobs."""

from typing import Annotated

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
)
from braindash.work.kinds import COMMANDS

KindOption = Annotated[str | None, typer.Option(help=f"Only {', '.join(COMMANDS)}.")]

app = typer.Typer(help="Watch and stop background jobs.", no_args_is_help=True)


@app.command(name="list")
def list_jobs(
    store: StoreOption = None,
    kind: KindOption = None,
    model: ModelFilter = None,
    subject: SubjectFilter = None,
    as_json: JsonOption = False,
) -> None:
    """List the background jobs of a store, the newest first; in a pipe one line each, with tabs."""
    from braindash.jobs.queue import JobQueue

    if kind is not None and kind not in COMMANDS:
        raise typer.BadParameter(f"{kind!r} is none of {', '.join(COMMANDS)}", param_hint="--kind")
    queue = JobQueue(open_store(store).root)
    jobs = [
        job
        for job in queue.list(limit=None)
        if (kind is None or job.command == kind)
        and matches(str(job.request.get("model", "")), job.request, model, subject)
    ]
    rows = [
        {
            "key": job.key,
            "title": job.title,
            "state": "damaged" if job.damage else job.state,
            "progress": f"{job.progress:.0%}",
            "message": job.error or job.message,
            "asked_by": job.asked_by,
        }
        for job in jobs
    ]
    if as_json:
        print_json(rows)
    else:
        print_rows(["key", "title", "state", "progress", "message", "asked_by"], rows)
    waiting = sum(job.active for job in jobs)
    if waiting and not queue.worker_alive():
        notes.print(
            f"{waiting} of these jobs wait, and no worker is alive: the next command that queues "
            "work, or the page Jobs, starts one."
        )


@app.command(name="cancel")
def cancel_job(
    key: Annotated[str, typer.Argument(help="The job's key.")], store: StoreOption = None
) -> None:
    """Ask a background job to stop; its finished parts are kept."""
    from braindash.jobs.queue import JobQueue

    JobQueue(open_store(store).root).cancel(key)
