"""All jobs of a store: those of this machine's queue, and those that machines share."""

from dataclasses import replace
from pathlib import Path

from braindash.cluster.slurm import arrays, cancel_arrays, in_queue
from braindash.jobs.queue import JobQueue
from braindash.jobs.shared import SharedJobs
from braindash.jobs.table import Job


class AllJobs:
    """Lists, stops, continues and quotes jobs, wherever they are worked on.

    Parameters
    ----------
    root : path
        The store's folder.

    Attributes
    ----------
    queue : JobQueue
        Of this machine.
    shared : SharedJobs
        Of all machines that see the store.
    """

    def __init__(self, root: Path | str) -> None:
        self.queue, self.shared = JobQueue(root), SharedJobs(root)

    def list(self, limit: int | None = 100) -> list[Job]:
        """List jobs, the newest first; at most so many of the queue."""
        both = [*self.queue.list(limit=limit), *self.shared.list()]
        return sorted(both, key=lambda job: -job.created)

    def get(self, key: str) -> Job:
        """Describe one job; of a shared one also the first digits name it.

        Of a shared job that nobody works on it says what Slurm tells of its array.
        """
        found = self.shared.find(key)
        return self.queue.get(key) if found is None else self._with_array(self.shared.job(found))

    def cancel(self, key: str) -> None:
        """Stop a job; a shared one also leaves the queue of Slurm, and its workers drop its parts.

        Raises
        ------
        BraindashError
            There is no such job; or its array could not be cancelled, while its workers stop.
        """
        found = self.shared.find(key)
        if found is None:
            self.queue.cancel(key)
            return
        self.shared.cancel(found)
        if numbers := arrays(self.shared, found):
            cancel_arrays(numbers)

    def retry(self, key: str) -> Job:
        """Let a job that failed or was cancelled go on."""
        found = self.shared.find(key)
        if found is None:
            return self.queue.retry(key)
        self.shared.retry(found)
        return self.get(found)

    def log_tail(self, key: str, n_lines: int = 50, part: str = "") -> str:
        """Read the end of what was said about a job; of a shared one, of some parts alone."""
        found = self.shared.find(key)
        if found is None:
            return self.queue.log_tail(key, n_lines)
        return self.shared.log_tail(found, n_lines, part)

    def _with_array(self, job: Job) -> Job:
        numbers = arrays(self.shared, job.key) if job.state == "queued" else []
        told = in_queue(numbers) if numbers else None
        if told is None:
            return job
        named = f"Slurm job {', '.join(numbers)}"
        if told:
            return replace(job, message=f"{named}: {told}")
        again = "is over or was cancelled, and parts are left: submit it again, and it goes on"
        return replace(job, message=f"{named} {again}")
