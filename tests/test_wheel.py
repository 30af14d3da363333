"""A wheel, installed without the checkout, is the whole program.

That it computes the demo and shows it: tests/browser/test_journey.py.
"""

import re
import tarfile
import zipfile
from pathlib import Path

import pytest
from kit.wheel import Installed, install_wheel

import braindash

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 18

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    return install_wheel(tmp_path_factory.mktemp("wheel"))


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
