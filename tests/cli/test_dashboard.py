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
from kit.running.job_tools import wait_for
from typer.testing import CliRunner

from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.sharing.place import Place
from braindash.sharing.settings import Sharing

ROOT = Path(__file__).resolve().parents[2]
# Who runs the tests in the background may have Ctrl-C ignored, which children inherit.
BRAINDASH = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "runpy.run_module('braindash', run_name='__main__')"
)
FAULT = re.compile("Traceback|Fatal")  # what Python prints when it ends badly
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
    assert not answers(port) and not FAULT.search(told.read_text())
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
    assert answers(port) and "It will listen on" not in told.read_text()
    other, reason = start("app", "--store", tmp_path / "store", "--port", port)
    assert other.wait(60) == 1 and "Address already in use" in reason.read_text()
    process.terminate()
    assert process.wait(60) == 0, told.read_text()
    assert not answers(port) and "goes on" not in told.read_text()
    assert not FAULT.search(told.read_text()), told.read_text()


@pytest.mark.slow
def test_listening_for_other_machines_says_what_it_opens_before_it_does(start, tmp_path, port):
    _, told = start("app", "--store", tmp_path / "store", "--port", port, "--address", "0.0.0.0")
    wait_for(lambda: "starts jobs" in told.read_text(), "what is open to whom", START_SECONDS)
    assert not answers(port) and "Dashboard:" not in told.read_text()
    wait_for(lambda: "Dashboard:" in told.read_text(), "the address", START_SECONDS)
    said = told.read_text()
    assert f"Dashboard: http://127.0.0.1:{port} " in said and answers(port)
    assert said.index("It will listen on 0.0.0.0: whoever") < said.index("Dashboard:")
    assert "WITHOUT SIGN-IN" in said and "--read-only" in said


@pytest.mark.slow
def test_a_server_whose_command_is_killed_ends_too(start, tmp_path, port):
    """Whoever starts it again would find its port taken otherwise."""
    process, told = start("app", "--store", tmp_path / "store", "--port", port)
    wait_for(lambda: "Dashboard:" in told.read_text(), "the address", START_SECONDS)
    process.kill()
    process.wait(60)
    wait_for(lambda: not answers(port), "the end of the server", 30)


def test_a_shared_server_is_told_how_it_is_shared(monkeypatch, tmp_path, port):
    """The command and the environment that are started; the pages' tests have what they do."""
    from braindash.cli import dashboard

    asked = {}

    class Stopped(Exception):
        pass

    def popen(command, **options):
        asked.update(command=" ".join(command), environment=options["env"])
        raise Stopped

    monkeypatch.setattr(subprocess, "Popen", popen)
    monkeypatch.setenv("BRAINDASH_ROLES", "/somewhere/else.toml")
    place = Place(port=port, url="https://lab.example/brain")
    with pytest.raises(Stopped):
        dashboard.run_dashboard(Store(tmp_path), place, shared=Sharing(read_only=True))
    assert asked["environment"]["BRAINDASH_READ_ONLY"] == "1"
    assert asked["environment"]["BRAINDASH_ROLES"] == "", "what was said is what counts"
    for option in (
        "--server.baseUrlPath brain",
        "--server.allowedHosts lab.example",
        "--server.allowedHosts localhost",
        "--server.corsAllowedOrigins https://lab.example",
        "--server.maxUploadSize 0",
        "--server.headless true",
    ):
        assert option in asked["command"]
    with pytest.raises(Stopped):
        dashboard.run_dashboard(Store(tmp_path), Place("0.0.0.0", port))
    assert "allowedHosts" not in asked["command"] and "UploadSize" not in asked["command"]
    assert "headless true" in asked["command"], "others come"
    with pytest.raises(Stopped):
        dashboard.run_dashboard(Store(tmp_path), Place(port=port))
    assert "allowedHosts 127.0.0.1" in asked["command"] and "headless" not in asked["command"]
    with pytest.raises(InputError, match="nobody signs in") as caught:
        dashboard.run_dashboard(Store(tmp_path), place, secrets=tmp_path / "secrets.toml")
    assert "--roles" in caught.value.hint


def test_what_nobody_could_sign_in_with_is_refused_before_anything_listens(tmp_path, monkeypatch):
    from braindash.cli import app, dashboard

    monkeypatch.setattr(dashboard, "require_packages", lambda: None)
    monkeypatch.setattr(dashboard, "_server", None)  # would be an error of another kind
    roles, secrets = tmp_path / "roles.toml", tmp_path / "secrets.toml"
    command = ["app", "--store", str(tmp_path), "--roles", str(roles), "--secrets", str(secrets)]
    for write, what in (
        (lambda: None, "file of roles"),
        (lambda: roles.write_text('default = "viewer"'), "file of secrets"),
        (lambda: secrets.write_text("[auth]"), "lacks redirect_uri, cookie_secret"),
    ):
        write()
        problem = CliRunner().invoke(app, command).exception
        assert isinstance(problem, InputError) and what in problem.message
    wrong = CliRunner().invoke(app, ["app", "--url", "lab.example"]).exception
    assert isinstance(wrong, InputError) and "https://lab.example/brain" in wrong.hint


def test_an_address_of_another_machine_is_refused(tmp_path, port):
    from braindash.cli.dashboard import run_dashboard

    with pytest.raises(InputError, match=r"cannot use http://192\.0\.2\.1") as caught:
        run_dashboard(Store(tmp_path), Place("192.0.2.1", port))
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
            dashboard.run_dashboard(Store(tmp_path), Place(port=port), reload=reload)
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
