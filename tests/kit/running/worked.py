"""Jobs done here and now, as the worker does them."""

from braindash.errors import BraindashError
from braindash.io.store import Store
from braindash.jobs.queue import Job, JobQueue
from braindash.progress import NoProgress
from braindash.work.kinds import run_job


def work_one(store: Store) -> Job:
    """Do the job that waits longest; an error is written and raised."""
    table = JobQueue(store.root).table
    job = table.claim()
    try:
        made = run_job(job.command, job.request, store.root, NoProgress())
    except BraindashError as error:
        table.finish(job, "failed", error=error.message, hint=error.hint)
        raise
    table.finish(job, "done", result=made)
    return job
