"""A wheel of this checkout, built and installed as somebody else would."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# All that a source distribution is made of; tests and scripts are no part of it.
SOURCES = ["braindash", "pages", ".streamlit", "app.py", "setup.py", "pyproject.toml"]
SOURCES += ["MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"]


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

    def run(self, *command: object, seconds: float = 300) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
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


def install_wheel(folder: Path) -> Installed:
    """Build as a release is built, then install into a new environment.

    Its dependencies are those of the environment that the tests run in; files that name further
    folders (``.pth``, as editable installations have them) do not count there.
    """
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
