"""Commands about background jobs."""

from typing import Annotated

import typer

from braindash.cli.options import JsonOption, StoreOption, open_store
from braindash.cli.output import print_json, print_table

app = typer.Typer(help="Watch and stop background jobs.", no_args_is_help=True)


@app.command(name="list")
def list_jobs(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the background jobs of a store."""
    from braindash.jobs.queue import JobQueue

    rows = [
        {
            "key": job.key,
            "title": job.title,
            "state": job.state,
            "progress": f"{job.progress:.0%}",
            "message": job.error or job.message,
        }
        for job in JobQueue(open_store(store).root).list()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(["key", "title", "state", "progress", "message"], rows)


@app.command(name="cancel")
def cancel_job(
    key: Annotated[str, typer.Argument(help="The job's key.")], store: StoreOption = None
) -> None:
    """Ask a background job to stop; its finished parts are kept."""
    from braindash.jobs.queue import JobQueue

    JobQueue(open_store(store).root).cancel(key)
