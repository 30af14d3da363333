"""The dashboard's server, as its command starts and stops it."""

import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
from kit.job_tools import wait_for

from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue

ROOT = Path(__file__).resolve().parents[2]
# Who runs the tests in the background may have Ctrl-C ignored, which children inherit.
BRAINDASH = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('braindash', run_name='__main__')"
)
START_SECONDS = 180  # of a server and a worker, on a machine that has more to do


@pytest.fixture
def port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def start(tmp_path):
    """Start a command of braindash in a folder and a session of its own; ends with the test."""
    started = []

    def run(*arguments):
        told = tmp_path / f"told-{len(started)}.txt"
        command = [sys.executable, "-P", "-c", BRAINDASH, *map(str, arguments)]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        more = {"STREAMLIT_SERVER_HEADLESS": "true", "PYTHONPATH": path}
        with told.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                env=os.environ | more,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        started.append(process)
        return process, told

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.mark.slow
def test_the_demo_tells_address_and_progress_and_its_job_outlives_it(start, tmp_path, port):
    store = tmp_path / "store"
    process, told = start("demo", "--store", store, "--port", port)
    wait_for(
        lambda: re.search(r"^\d+% \w", told.read_text(), re.MULTILINE), "progress", START_SECONDS
    )
    assert f"Dashboard: http://127.0.0.1:{port} (Ctrl-C stops it)" in told.read_text()
    assert answers(port)
    os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C sends, to the server too
    assert process.wait(60) == 0, told.read_text()
    assert not answers(port) and "Traceback" not in told.read_text()
    queue = JobQueue(store)
    (job,) = queue.list()
    assert job.active and queue.worker_alive()
    assert f"braindash jobs cancel {job.key}" in told.read_text()
    queue.cancel(job.key)
    wait_for(lambda: queue.get(job.key).state == "cancelled", "the end of the job", START_SECONDS)


@pytest.mark.slow
def test_a_server_that_is_asked_to_end_takes_its_child_along(start, tmp_path, port):
    process, told = start("app", "--store", tmp_path / "store", "--port", port)
    wait_for(lambda: "Dashboard:" in told.read_text(), "the address", START_SECONDS)
    assert answers(port) and "It listens on" not in told.read_text()
    other, reason = start("app", "--store", tmp_path / "store", "--port", port)
    assert other.wait(60) == 1 and "Address already in use" in reason.read_text()
    process.terminate()
    assert process.wait(60) == 0, told.read_text()
    assert not answers(port) and "goes on" not in told.read_text()


@pytest.mark.slow
def test_listening_for_other_machines_says_what_it_opens(start, tmp_path, port):
    _, told = start("app", "--store", tmp_path / "store", "--port", port, "--address", "0.0.0.0")
    wait_for(lambda: "start jobs" in told.read_text(), "what is open to whom", START_SECONDS)
    assert f"Dashboard: http://127.0.0.1:{port}" in told.read_text()
    assert "It listens on 0.0.0.0: everyone" in told.read_text()


def test_an_address_of_another_machine_is_refused(tmp_path, port):
    from braindash.cli.dashboard import run_dashboard

    with pytest.raises(InputError, match=r"cannot use http://192\.0\.2\.1") as caught:
        run_dashboard(Store(tmp_path), port=port, address="192.0.2.1")
    assert "--port" in caught.value.hint


def test_files_are_watched_only_for_developers(monkeypatch, tmp_path, port):
    """The command that is started; what Streamlit makes of it is Streamlit's."""
    from braindash.cli import dashboard

    asked = []

    class Stopped(Exception):
        pass

    def popen(command, **options):
        asked.append(command)
        raise Stopped

    monkeypatch.setattr(subprocess, "Popen", popen)
    for reload in (False, True):
        with pytest.raises(Stopped):
            dashboard.run_dashboard(Store(tmp_path), port=port, reload=reload)
    usual, watching = (" ".join(command) for command in asked)
    assert "--server.fileWatcherType auto" in watching and "fileWatcher" not in usual
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["fileWatcherType"] == "none"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import braindash.jobs.queue", "POSIX file locks"),
        ("from braindash.cli import main; main()", "inside WSL"),
    ],
)
def test_a_system_without_file_locks_is_refused_at_once(code, told):
    """As on Windows, where there is no module fcntl."""
    hidden = f"import sys; sys.modules['fcntl'] = None; sys.argv = ['braindash', 'list']; {code}"
    command = [sys.executable, "-c", hidden]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and told in done.stderr


def test_installing_is_no_silence():
    """`make demo` on a fresh clone says what it does, and pip shows how far it is."""
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", "demo"]
    # These tests may run under make themselves.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    steps = done.stdout.splitlines()
    assert [step for step in steps if step.startswith("echo")]
    assert not [step for step in steps if "pip" in step and "quiet" in step]
    assert steps[-1].endswith("braindash demo")
