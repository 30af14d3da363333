"""The dashboard's server, started from the command line."""

import http.client
import importlib.util
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as RichBar

from braindash.cli.options import LOOPBACK, PORT, notes, plain
from braindash.errors import InputError, ResourceError
from braindash.io.store import Store, checkout
from braindash.jobs.queue import Job, JobQueue
from braindash.process import import_path
from braindash.progress import spoken_duration

_START_SECONDS = 120.0
_STOP_SECONDS = 10.0
_LOOK_SECONDS = 0.5
# Between two lines about a job where there is no terminal to draw a bar on.
_LINE_SECONDS = 10.0


def app_file() -> Path:
    """Find the dashboard's start-up script: of this installation, or of the checkout.

    Raises
    ------
    InputError
        When neither has one.
    """
    # Where the build puts it (setup.py); a checkout has no such folder.
    installed = Path(__file__).resolve().parents[1] / "dashboard" / "app.py"
    if installed.is_file():
        return installed
    folder = checkout()
    if folder is None:
        raise InputError(
            f"this installation of braindash lacks the dashboard: there is no {installed}",
            hint="Install it again, from a wheel or a checkout (pip install --force-reinstall).",
        )
    return folder / "app.py"


def run_dashboard(
    store: Store,
    *,
    port: int = PORT,
    address: str = LOOPBACK,
    reload: bool = False,
    follow: str | None = None,
) -> int:
    """Serve the dashboard until it is stopped; jobs go on without it.

    Parameters
    ----------
    store : Store
        The results to show.
    port : int, default 8501
        TCP port.
    address : str, default "127.0.0.1"
        Bound address; the default keeps the dashboard on this machine.
    reload : bool, default False
        Draw pages again when their files change.
    follow : str, optional
        Key of a job whose progress is told in the terminal.

    Returns
    -------
    int
        The server's exit status; 0 when it was interrupted.

    Raises
    ------
    InputError
        When the port is taken or the address is none of this machine's.
    ResourceError
        When the server does not start.
    """
    queue = JobQueue(store.root)
    with _server(store, port, address, reload) as server:
        try:
            _await_answer(server, address, port)
            _announce(address, port)
            if follow is not None:
                _follow(queue, follow, server)
            return server.wait()
        except KeyboardInterrupt:
            _say_what_goes_on(queue)
            return 0


@contextmanager
def _server(
    store: Store, port: int, address: str, reload: bool
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server; stop it at the end, also when this process is asked to end."""
    if importlib.util.find_spec("streamlit") is None:
        raise InputError("streamlit is not installed", hint="pip install -r requirements.txt")
    _require_free(address, port)
    command = [sys.executable, "-P", "-m", "braindash.ui.serve", str(app_file())]
    command += ["--server.address", address, "--server.port", str(port)]
    if reload:
        command += ["--server.fileWatcherType", "auto"]
    else:
        command += ["--logger.level", "warning"]
    environment = os.environ | import_path() | {"BRAINDASH_STORE": str(store.root)}
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Its own greeting would name the address a second time; developers' prints are kept.
    output = None if reload else subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, stdout=output)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
        signal.signal(signal.SIGTERM, before)


def _require_free(address: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((address, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the dashboard cannot use {_url(address, port)}: {reason}",
            hint="Perhaps another dashboard is open there: stop it, or choose another --port.",
        ) from error


def _url(address: str, port: int) -> str:
    """Write where a browser on this machine finds the dashboard."""
    own = _reachable(address)
    return f"http://[{own}]:{port}" if ":" in own else f"http://{own}:{port}"


def _reachable(address: str) -> str:
    """Name an address of this machine that a server answers at which listens on ``address``."""
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(address, address)


def _await_answer(server: subprocess.Popen[bytes], address: str, port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        # Not through a proxy that the environment names for the world outside.
        connection = http.client.HTTPConnection(_reachable(address), port, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/_stcore/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(_LOOK_SECONDS / 2)
    status = server.poll()
    ended = f"ended with status {status}" if status is not None else "does not answer"
    raise ResourceError(
        f"the dashboard's server {ended}",
        hint="What it wrote above says why.",
    )


def _announce(address: str, port: int) -> None:
    notes.print(f"Dashboard: {_url(address, port)} (Ctrl-C stops it)", highlight=False)
    with suppress(ValueError):
        if ipaddress.ip_address(address).is_loopback:
            return
    if address != "localhost":
        notes.print(
            plain(
                f"It listens on {address}: everyone who reaches this machine's port {port} can "
                "read the results, name files (BRAINDASH_ROOTS says which) and start jobs."
            ),
            style="bold yellow",
        )


def _follow(queue: JobQueue, key: str, server: subprocess.Popen[bytes]) -> None:
    """Tell a job's progress and the time that remains, until it ends or the server does."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[remaining]}"),
    )
    told = time.monotonic() - _LINE_SECONDS
    with RichBar(*columns, console=notes, transient=True, disable=not notes.is_terminal) as bar:
        row = bar.add_task("starting", total=1.0, remaining="")
        while (job := queue.get(key)).active and server.poll() is None:
            queue.ensure_worker()
            message, left = job.message or "waiting for a worker", _remaining(job)
            bar.update(row, completed=job.progress, description=plain(message), remaining=left)
            if bar.disable and time.monotonic() - told >= _LINE_SECONDS:
                told = time.monotonic()
                line = f"{job.progress:.0%} {message}{left and ', '}{left}"
                notes.print(plain(line), highlight=False, soft_wrap=True)
            time.sleep(_LOOK_SECONDS)
    if job.state == "done":
        notes.print(plain(f"{job.title}: computed."), highlight=False)
    elif not job.active:
        reason = job.error or f"the job was {job.state}"
        notes.print(plain(f"{job.title}: {reason}. {job.hint or ''}"), highlight=False)


def _remaining(job: Job) -> str:
    seconds = job.eta_seconds()
    return "" if seconds is None else f"about {spoken_duration(seconds)} left"


def _say_what_goes_on(queue: JobQueue) -> None:
    """Say that the server is stopped, and which jobs are not."""
    notes.print("The dashboard is stopped.")
    for job in queue.list(states=("queued", "running")):
        notes.print(
            plain(
                f"{job.title} goes on in the background: `braindash jobs list` shows it, "
                f"`braindash jobs cancel {job.key}` stops it."
            ),
            highlight=False,
            soft_wrap=True,
        )
