"""Build step: the wheel carries the dashboard's scripts inside the package.

``app.py``, ``pages/`` and ``.streamlit/`` stand at the top of the checkout and nowhere else; in a
wheel they lie in ``braindash/dashboard/``. Everything else is declared in ``pyproject.toml``.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithDashboard(build_py):
    """Copies the scripts beside the package's own files; an editable installation copies none."""

    def run(self) -> None:
        """Copy the package, then the scripts."""
        super().run()
        for target, source in self._dashboard().items():
            self.mkpath(str(Path(target).parent))
            self.copy_file(source, target, preserve_mode=False)

    def get_source_files(self) -> list[str]:
        """List what a source distribution must hold."""
        return [*super().get_source_files(), *self._dashboard().values()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """List what is made."""
        return [*super().get_outputs(include_bytecode), *self._dashboard()]

    def get_output_mapping(self) -> dict[str, str]:
        """Say which file each of them is a copy of."""
        return super().get_output_mapping() | self._dashboard()

    def _dashboard(self) -> dict[str, str]:
        if self.editable_mode:
            return {}
        scripts = [Path("app.py"), Path(".streamlit/config.toml"), *Path("pages").rglob("*.py")]
        target = Path(self.build_lib, "braindash", "dashboard")
        return {str(target / script): str(script) for script in sorted(scripts)}


setup(cmdclass={"build_py": BuildWithDashboard})
