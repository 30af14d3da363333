"""A real headless Chromium and a real Streamlit server, for journeys."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kit.site.browser import free_port
from kit.wheel import Installed, install_wheel

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    """The browser; tests are skipped with a message where Debian's chromium is missing."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def chromium_without_webgl(chromium):
    """A second browser that has no WebGL."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-3d-apis"]
    browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=flags)
    yield browser
    browser.close()


@pytest.fixture
def hearing(chromium):
    """Open pages of browsers whose microphone hears a file, over and over."""
    opened = []

    def open_page(path: Path):
        flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        flags = [*FLAGS, *flags, f"--use-file-for-fake-audio-capture={path}"]
        browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=flags)
        opened.append(browser)
        context = browser.new_context(viewport={"width": 1440, "height": 1000})
        context.grant_permissions(["microphone"])
        return new_page(context)

    yield open_page
    for browser in opened:
        browser.close()


class Traffic:
    """Counts the bytes of a page's WebSockets and the hosts it asks."""

    def __init__(self, page):
        self.frames = []
        self.hosts = set()
        self.errors = []
        page.on("websocket", self._watch)
        page.on("request", lambda request: self._ask(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _ask(self, url: str) -> None:
        if host := urlsplit(url).hostname:  # a blob of the page has none
            self.hosts.add(host)

    def _watch(self, socket_):
        socket_.on("framesent", lambda frame: self.frames.append(len(frame)))
        socket_.on("framereceived", lambda frame: self.frames.append(len(frame)))

    @property
    def bytes(self) -> int:
        return sum(self.frames)

    def rest(self, page, seconds: float = 1.5) -> int:
        """Let the page's own last messages pass; give the bytes until then."""
        before = -1
        while before != self.bytes:
            before = self.bytes
            page.wait_for_timeout(1000 * seconds)
        return before


def pytest_collection_modifyitems(items) -> None:
    """Give whoever waits for the whole demo time for it: a slow machine needs a quarter hour."""
    for item in items:
        if "demo" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(2400))


def new_page(context):
    """Open a page that counts its traffic."""
    made = context.new_page()
    made.set_default_timeout(60_000)
    made.traffic = Traffic(made)
    return made


@pytest.fixture
def page(chromium):
    """A fresh page, with its traffic."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    yield new_page(context)
    context.close()


@pytest.fixture
def another_page(chromium):
    """Open pages of other visitors, who share nothing with the first."""
    contexts = []

    def open_page():
        contexts.append(chromium.new_context(viewport={"width": 1440, "height": 1000}))
        return new_page(contexts[-1])

    yield open_page
    for context in contexts:
        context.close()


class Server:
    """A Streamlit server of the app on one store."""

    def __init__(self, store: Path, script: Path):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "braindash.ui.serve", str(script)]
        command += ["--server.port", str(self.port), "--server.headless", "true"]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"BRAINDASH_STORE": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 90
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.url}/_stcore/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Start servers that the tests of a module share; a test that kills one gets another."""
    empty = tmp_path_factory.mktemp("empty")
    servers: dict[tuple[Path, Path], Server] = {}
    started: list[Server] = []

    def start(store: Path = empty, script: Path = APP, *, fresh: bool = False) -> Server:
        known = servers.get((store, script))
        if fresh or known is None or known.process.poll() is not None:
            known = servers[store, script] = Server(store, script)
            started.append(known)
        return known

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Installed:
    """A wheel of this checkout in an environment of its own."""
    return install_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def demo(installed):
    """The real demo, computed once by the installed command: (store folder, printed document)."""
    printed = installed.run(installed.command, "demo", "--headless", "--json", seconds=2000)
    return installed.folder / "cache", json.loads(printed)
