"""A wheel, installed without the checkout, is the whole program."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

import braindash

ROOT = Path(__file__).resolve().parents[1]
# All that a source distribution is made of; tests and scripts are no part of it.
SOURCES = ["braindash", "pages", ".streamlit", "app.py", "setup.py", "pyproject.toml"]
SOURCES += ["MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"]
MEGABYTES = 12
FIRST_RESULT_SECONDS = 1500

pytestmark = [pytest.mark.slow, pytest.mark.timeout(FIRST_RESULT_SECONDS + 300)]


class Installed(NamedTuple):
    """A virtual environment that has braindash from a wheel."""

    python: Path
    command: Path
    wheel: Path
    sdist: Path
    folder: Path  # where commands are run: neither the checkout nor the package

    def environment(self, **more: str) -> dict[str, str]:
        hidden = {"PYTHONPATH", "BRAINDASH_STORE", "BRAINDASH_ROOTS"}
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return kept | {"STREAMLIT_SERVER_HEADLESS": "true", "COLUMNS": "200"} | more

    def run(self, *command: object) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [self.command, *arguments],
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def _carry_out(*command: object) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    """Build as a release is built, then install into a new environment.

    Its dependencies are those of the environment that the tests run in; files that name further
    folders (``.pth``, as editable installations have them) do not count there.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, source / name)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", source]
    _carry_out(*build)
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    _carry_out(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install"]
    _carry_out(*install, "--no-deps", "--no-index", wheel)
    site = _carry_out(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    there = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    Path(site.strip(), "dependencies.pth").write_text("\n".join(there) + "\n")
    (folder / "elsewhere").mkdir()
    command = python.with_name("braindash")
    return Installed(python, command, wheel, sdist, folder / "elsewhere")


def test_the_wheel_holds_everything_and_nothing_else(installed):
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    tracked = {path.relative_to(ROOT) for path in (ROOT / "braindash").rglob("*")}
    package = {str(p) for p in tracked if (ROOT / p).is_file() and "__pycache__" not in p.parts}
    scripts = [
        ROOT / "app.py",
        ROOT / ".streamlit" / "config.toml",
        *(ROOT / "pages").rglob("*.py"),
    ]
    dashboard = {f"braindash/dashboard/{path.relative_to(ROOT)}" for path in scripts}
    information = f"braindash-{braindash.__version__}.dist-info"
    found = {name for name in names if not name.startswith(f"{information}/")}
    assert found == package | dashboard
    assert f"{information}/licenses/LICENSE" in names
    size = installed.wheel.stat().st_size
    assert size < MEGABYTES * 1e6
    told = re.search(r"the wheel has\s+([\d.]+) MB", (ROOT / "README.md").read_text())
    assert told and abs(float(told[1]) * 1e6 - size) < 0.25e6, f"the wheel has {size / 1e6:.1f} MB"
    with tarfile.open(installed.sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    assert {"app.py", "setup.py", ".streamlit/config.toml", "CHANGELOG.md"} <= sources
    assert not [name for name in sources if name.startswith(("tests", "benchmarks", "docs"))]


def test_the_installed_package_is_used_and_keeps_results_where_it_is_started(installed):
    code = (
        "import braindash; from braindash.cli.dashboard import app_file;"
        "from braindash.io.store import default_root;"
        "print(braindash.__file__, app_file(), default_root(), sep='\\n')"
    )
    package, app, root = map(Path, installed.run(installed.python, "-c", code).splitlines())
    environment = installed.python.parents[1]
    assert package.is_relative_to(environment) and app.is_relative_to(package.parent)
    assert root == installed.folder / "cache"
    # What somebody else left beside the package does not make it a checkout.
    stray = package.parents[1] / "app.py"
    stray.write_text("")
    assert installed.run(installed.python, "-c", code).splitlines()[2] == str(root)
    stray.unlink()
    by_module = installed.run(installed.python, "-m", "braindash", "version")
    assert by_module == installed.run(installed.command, "version") == f"{braindash.__version__}\n"


def test_the_installed_dashboard_has_its_own_configuration(installed):
    """As `streamlit run` reads it: for the app's folder, wherever it is started."""
    code = (
        "from streamlit import config; from braindash.cli.dashboard import app_file;"
        "config._main_script_path = str(app_file()); config.get_config_options(True);"
        "names = ('browser.gatherUsageStats', 'server.enableXsrfProtection',"
        " 'server.fileWatcherType', 'server.address');"
        "print([config.get_option(name) for name in names])"
    )
    found = installed.run(installed.python, "-c", code).splitlines()[-1]
    assert found == "[False, True, 'none', '127.0.0.1']"


def test_the_demo_comes_to_its_first_result_and_the_app_shows_it(installed):
    demo = installed.start("demo", "--headless")
    results = installed.folder / "cache" / "encoding"
    end = time.monotonic() + FIRST_RESULT_SECONDS
    while demo.poll() is None and not [*results.glob("*/checksums.json")]:
        assert time.monotonic() < end, "no result in time"
        time.sleep(1)
    demo.terminate()
    told = demo.communicate(timeout=120)[1]
    assert demo.returncode in (0, -signal.SIGTERM), told
    (first, *_) = results.glob("*/checksums.json")
    assert first.parent.name in installed.run(installed.command, "list", "--json")

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    app = installed.start("app", "--port", str(port))
    try:
        assert app.stderr is not None
        assert url in next(line for line in app.stderr if "Dashboard" in line)
        with urllib.request.urlopen(url, timeout=30) as answer:
            assert answer.status == 200 and b"<title>" in answer.read()
        overview_in_a_browser(url)
    finally:
        app.terminate()
        told = app.communicate(timeout=60)[1]
    assert app.returncode == 0 and "The dashboard is stopped" in told
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


BROWSE = """
import sys
from playwright.sync_api import sync_playwright

with sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    page = browser.new_page()
    page.set_default_timeout(90_000)
    page.goto(sys.argv[2])
    page.get_by_role("heading", name="braindash", exact=True).wait_for()
    page.get_by_text("Newest result").first.wait_for()
    print(page.get_by_test_id("stException").count())
    browser.close()
"""


def overview_in_a_browser(url: str) -> None:
    """Look at the first page; without Debian's chromium only the address was asked."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return
    # In a process of its own: other tests' browser may be open in this one.
    command = [sys.executable, "-c", BROWSE, chromium, url]
    seen = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.strip() == "0"
