"""dask.distributed as a carrier of workers: each of its workers pulls parts, as anywhere else.

Only the store's folder and a key are sent. What is made, tried again and cancelled is told by the
files of the shared job (:mod:`braindash.jobs.shared`): ``Future.cancel`` stops nothing that runs,
and ``Client.restart`` would drop other people's tasks.
"""

import asyncio
import contextlib
import ipaddress
import logging
import platform
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from braindash.cluster.pulling import Puller
from braindash.cluster.slurm import Allocation, worker_minutes
from braindash.errors import BraindashError, Cancelled, InputError, JobError, ResourceError
from braindash.jobs.shared import SharedJobs
from braindash.progress import Progress

_CONNECT_SECONDS = 20.0
_LOOK_SECONDS = 1.0
_RETRIES = 3
_DEFAULT_MEMORY = "16GB"


def require_safe(address: str) -> str:
    """Refuse addresses at which anybody on the network could run code.

    Parameters
    ----------
    address : str
        Of a scheduler, such as ``tls://node1:8786``; plain ``tcp://`` on this machine only.

    Raises
    ------
    InputError
        It is neither.
    """
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("tls", "tcp") or not host or port is None:
        raise InputError(
            f"{address!r} is no address of a scheduler",
            hint="Give it as tls://HOST:PORT, as the scheduler says it when it starts.",
        )
    if parts.scheme == "tcp" and not _is_here(host):
        raise InputError(
            f"the scheduler at {address} is not protected: whoever reaches it runs code on its "
            "workers in your name",
            hint="Start scheduler and workers with TLS (--tls-ca-file, --tls-cert, --tls-key) and "
            "give tls://HOST:PORT; tcp:// is for this machine alone.",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def pull(root: str, key: str, seconds: float | None = None) -> dict[str, Any]:
    """Pull parts of one job on a worker of Dask; what it returns is for the scheduler's pages."""
    made = Puller(Path(root), jobs=[key], seconds=seconds).work()
    return {"parts": made.n_made, "ended": made.reason, "failed": made.failed}


def sees_store(root: str, key: str) -> tuple[str, bool]:
    """Say on a worker of Dask which machine it is on, and whether it has the store."""
    return platform.node(), SharedJobs(Path(root)).find(key) == key


def begin_on_scheduler(shared: SharedJobs, key: str, address: str) -> int:
    """Let every worker of a running Dask scheduler pull parts of a shared job.

    Nothing has to stay alive here. TLS files are those of Dask's own configuration
    (``distributed.comm.tls``, or ``DASK_DISTRIBUTED__COMM__TLS__CA_FILE`` and its neighbours).

    Parameters
    ----------
    shared : SharedJobs
    key : str
        Of the job.
    address : str
        Of the scheduler.

    Returns
    -------
    int
        How many workers pull.

    Raises
    ------
    InputError
        The address is not protected.
    ResourceError
        Dask is not installed, or no worker has the store.
    JobError
        Nobody answers, or one of another version does.
    """
    where = require_safe(address)
    with _connected(where) as client:
        n_workers = len(_spread(client, shared, key))
        if not n_workers:
            raise _nobody_sees(client, shared, key)
    shared.carry(key, {"dask": where, "workers": n_workers})
    return n_workers


def run_in_slurm(
    shared: SharedJobs, key: str, allocation: Allocation, progress: Progress, interface: str | None
) -> None:
    """Start a Dask cluster in Slurm for one shared job, with TLS, and wait until the job ends.

    Parameters
    ----------
    shared : SharedJobs
    key : str
        Of the job.
    allocation : Allocation
        Of each worker.
    progress : Progress
        Told how far the job is.
    interface : str or None
        Of the network that the nodes see each other by.

    Raises
    ------
    ResourceError, JobError
        As of :func:`begin_on_scheduler`.
    """
    distributed = _imported("distributed")
    jobqueue = _imported("dask_jobqueue")
    minutes = allocation.minutes() or 60.0
    lifetime = worker_minutes(minutes)
    # Workers that end at once would lose what they hold together.
    arguments = ["--lifetime", f"{lifetime:g}m", "--lifetime-stagger", f"{0.05 * lifetime:g}m"]
    gpus = [f"--gpus={allocation.gpus}"] if allocation.gpus else []
    folder = shared.folder / key / "logs"
    try:
        cluster = jobqueue.SLURMCluster(
            security=True,
            processes=1,
            cores=allocation.cpus or 1,
            memory=allocation.memory or _DEFAULT_MEMORY,
            walltime=allocation.time or "01:00:00",
            queue=allocation.partition,
            account=allocation.account,
            interface=interface,
            job_extra_directives=[*gpus, *allocation.options],
            worker_extra_args=arguments,
            shared_temp_directory=str(folder),
            log_directory=str(folder),
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise JobError(
            f"no Dask cluster can be started in Slurm: {error}",
            hint="Look at the options of Slurm; `braindash submit` with --slurm needs no Dask.",
        ) from error
    shared.carry(key, {"dask": "slurm"})
    with cluster, distributed.Client(cluster) as client:
        cluster.adapt(minimum_jobs=allocation.array, maximum_jobs=allocation.array)
        _wait(client, shared, key, progress, seconds=60 * lifetime)


def _wait(client: Any, shared: SharedJobs, key: str, progress: Progress, *, seconds: float) -> None:
    """Let every worker that comes pull parts, until the job has ended."""
    known: set[str] = set()
    while (job := shared.job(key)).active:
        known |= _spread(client, shared, key, but=known, seconds=seconds)
        progress.advance(job.progress, 1.0, job.message)
        time.sleep(_LOOK_SECONDS)
    if job.state == "cancelled":
        raise Cancelled
    if job.state == "failed":
        raise JobError(job.error or "the job failed", hint=job.hint or "See its log.")


def _imported(name: str) -> Any:
    try:
        found = __import__(name)
        logging.getLogger("distributed").setLevel(logging.WARNING)  # after it set its own
        return found
    except ImportError as error:
        raise ResourceError(
            f"{name} is not installed here",
            hint="Install braindash with its extra: `pip install 'braindash[cluster]'`.",
        ) from error


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler of the same version."""
    distributed = _imported("distributed")
    try:
        asyncio.run(_greeted(address))
        client = distributed.Client(
            address, timeout=_CONNECT_SECONDS, set_as_default=False, name="braindash"
        )
    except Exception as error:  # what no scheduler answers ends in errors of any parser of Dask's
        raise JobError(
            f"no scheduler answers at {address}: {error or type(error).__name__}",
            hint="Check that it runs, and that Dask's configuration here names its TLS files.",
        ) from error
    with client:
        try:
            client.get_versions(check=True)
        except (ValueError, ImportError) as error:
            raise JobError(
                f"the scheduler at {address} is of another version: {error}",
                hint="Use one environment on all machines, with `braindash[cluster]` in it.",
            ) from error
        yield client


async def _greeted(address: str) -> None:
    """Exchange greetings with a scheduler within a time, which Dask's client has none for."""
    distributed = _imported("distributed")
    security = distributed.Security().get_connection_args("client")
    told = distributed.comm.connect(address, timeout=_CONNECT_SECONDS, **security)
    comm = await asyncio.wait_for(told, 1.5 * _CONNECT_SECONDS)
    comm.abort()


def _spread(
    client: Any,
    shared: SharedJobs,
    key: str,
    *,
    but: Collection[str] = (),
    seconds: float | None = None,
) -> set[str]:
    """Send a pulling task to each further worker that has the store; it stays when we leave."""
    distributed, root = _imported("distributed"), str(shared.root)
    new = [one for one in client.scheduler_info(n_workers=-1)["workers"] if one not in but]
    having = {one for one, (_, has) in _seen(client, shared, key, new).items() if has}
    for number, address in enumerate(sorted(having)):
        task = client.submit(
            pull,
            root,
            key,
            seconds,
            key=f"braindash-{key}-{number}-{time.time_ns()}",
            pure=False,
            retries=_RETRIES,
            workers=[address],
            allow_other_workers=True,
        )
        distributed.fire_and_forget(task)
    return having


def _seen(
    client: Any, shared: SharedJobs, key: str, workers: Sequence[str]
) -> dict[str, tuple[str, bool]]:
    """Ask workers for their machines, and whether they see the job."""
    if not workers:
        return {}
    try:
        found: dict[str, tuple[str, bool]] = client.run(
            sees_store, str(shared.root), key, workers=list(workers)
        )
    except (BraindashError, ImportError, OSError, RuntimeError) as error:
        raise ResourceError(
            f"the workers of Dask cannot run braindash: {error}",
            hint="Install the same braindash in the environment of its workers.",
        ) from error
    return found


def _nobody_sees(client: Any, shared: SharedJobs, key: str) -> ResourceError:
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    hosts = sorted({host for host, _ in _seen(client, shared, key, workers).values()})
    return ResourceError(
        f"no worker of Dask sees {shared.root} ({', '.join(hosts) or 'there is no worker at all'})",
        hint="Start workers where the store is mounted, on the same path.",
    )
