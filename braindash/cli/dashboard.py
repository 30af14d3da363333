"""The dashboard's server, started from the command line."""

import http.client
import importlib.util
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

from braindash.cli.options import notes, plain
from braindash.errors import InputError, ResourceError
from braindash.io.store import LISTED_KINDS, Store, checkout
from braindash.jobs.queue import Job, JobQueue
from braindash.process import import_path
from braindash.progress import spoken_duration
from braindash.sharing.exposure import Exposed, exposure
from braindash.sharing.place import Place
from braindash.sharing.roles import read_roles
from braindash.sharing.settings import Sharing, folders_to_name
from braindash.sharing.sign_in import (
    SignIn,
    find_secrets,
    read_sign_in,
    require_packages,
    require_same_place,
)

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
    place: Place,
    *,
    shared: Sharing | None = None,
    secrets: Path | None = None,
    reload: bool = False,
    follow: str | None = None,
) -> int:
    """Serve the dashboard until it is stopped; jobs go on without it.

    Parameters
    ----------
    store : Store
        The results to show.
    place : Place
        Where it listens, and where visitors find it.
    shared : Sharing, optional
        Who may do what; by default everybody who reaches it may do all.
    secrets : Path, optional
        The file that sign-in needs, where it is not in one of the usual places.
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
        When the port is taken, the address is none of this machine's, or visitors could not sign
        in.
    ResourceError
        When the server does not start.
    """
    queue, shared = JobQueue(store.root), shared or Sharing()
    options = _prepared(store, place, shared, secrets)
    command = [*_command(place, shared, reload), *options]
    environment = {"BRAINDASH_STORE": str(store.root)} | shared.environment()
    with _server(command, place, environment, quiet=not reload) as server:
        try:
            _await_answer(server, place)
            notes.print(
                f"Dashboard: {place.url or place.local_url} (Ctrl-C stops it)", highlight=False
            )
            if follow is not None:
                _follow(queue, follow, server)
            return server.wait()
        except KeyboardInterrupt:
            _say_what_goes_on(queue)
            return 0


def _prepared(store: Store, place: Place, shared: Sharing, secrets: Path | None) -> list[str]:
    """Check how it is shared and say what that exposes; return the server's options for it."""
    roles, sign_in, options = None, None, []
    if shared.roles is not None:
        require_packages()
        roles, file = read_roles(shared.roles), find_secrets(secrets)
        sign_in = read_sign_in(file, place.port)
        require_same_place(sign_in, place)
        options = ["--secrets.files", str(file)]
    elif secrets is not None:
        raise InputError("--secrets is given, but nobody signs in", hint="Give --roles FILE too.")
    if shared.read_only:
        options += ["--server.maxUploadSize", "0"]
    n_results = sum(1 for kind in LISTED_KINDS for _ in (store.root / kind).glob("*/"))
    exposed = Exposed(store.root, n_results, folders_to_name(store.root))
    for line in exposure(place, shared, roles, exposed):
        notes.print(plain(line), style="bold yellow", soft_wrap=True)
    if sign_in is not None:
        _say_where_to_sign_in(sign_in, place)
    return options


def _say_where_to_sign_in(sign_in: SignIn, place: Place) -> None:
    notes.print(
        plain(f"Visitors sign in at {sign_in.origin}{place.path}; at no other address."),
        highlight=False,
        soft_wrap=True,
    )


def _command(place: Place, shared: Sharing, reload: bool) -> list[str]:
    """Return what starts the server."""
    command = [sys.executable, "-P", "-m", "braindash.ui.serve", "--until-input-ends"]
    command += [str(app_file())]
    command += ["--server.address", place.address, "--server.port", str(place.port)]
    for host in place.hosts:
        command += ["--server.allowedHosts", host]
    if place.url:  # a proxy need not pass on the name that it was asked by
        command += ["--server.baseUrlPath", place.path.strip("/")]
        command += ["--server.corsAllowedOrigins", place.origin]
    if place.url or not place.is_own or not shared.open_to_all:
        # No browser is opened here, and what Streamlit would write for a developer who looks from
        # this machine it writes for nobody: behind a proxy every visitor comes from it.
        command += ["--server.headless", "true"]
    if reload:
        return [*command, "--server.fileWatcherType", "auto"]
    return [*command, "--logger.level", "warning"]


@contextmanager
def _server(
    command: list[str], place: Place, environment: dict[str, str], *, quiet: bool
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the server; stop it at the end, also when this process is asked to end."""
    if importlib.util.find_spec("streamlit") is None:
        raise InputError("streamlit is not installed", hint="pip install -r requirements.txt")
    _require_free(place)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Its own greeting would name the address a second time; developers' prints are kept.
    output = subprocess.DEVNULL if quiet else None
    # Its input stays open as long as this process lives: killed, it leaves no server behind.
    server = subprocess.Popen(
        command,
        env=os.environ | import_path() | environment,
        stdin=subprocess.PIPE,
        stdout=output,
    )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
        signal.signal(signal.SIGTERM, before)


def _require_free(place: Place) -> None:
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    try:
        with socket.socket(family) as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((place.address, place.port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the dashboard cannot use {place.local_url}: {reason}",
            hint="Perhaps another dashboard is open there: stop it, or choose another --port.",
        ) from error


def _await_answer(server: subprocess.Popen[bytes], place: Place) -> None:
    end = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        # Not through a proxy that the environment names for the world outside.
        connection = http.client.HTTPConnection(place.reachable, place.port, timeout=2)
        with suppress(OSError, http.client.HTTPException):
            connection.request("GET", f"{place.path}/_stcore/health")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(_LOOK_SECONDS / 2)
    status = server.poll()
    ended = f"ended with status {status}" if status is not None else "does not answer"
    raise ResourceError(
        f"the dashboard's server {ended}",
        hint="What it wrote above says why.",
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
