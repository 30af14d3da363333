"""The import rules of the package, held against its own source."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "braindash"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]

BASE = {"errors", "progress", "digest", "specs", "environment"}
# For each part of the package: the other parts it may import, besides the base.
ALLOWED = {
    "core": set(),
    "demo": {"core"},
    "io": {"core", "demo"},
    "speech": {"core"},
    "requests": {"core"},
    "probe_tasks": {"core"},
    "plan": {"core", "io", "probe_tasks", "requests", "speech"},
    "steps": {"core", "io", "plan", "speech"},
    "results": {"core", "io", "probe_tasks", "speech"},
    "pipeline": {"core", "io", "plan", "requests", "results", "speech", "steps", "__init__"},
    "preflight": {"io", "plan", "requests", "results", "speech"},
    "api": {"io", "pipeline", "requests", "results", "speech"},
    "jobs": {"jobtable"},
    "jobtable": set(),
    "worker": {"io", "jobs", "jobtable", "pipeline"},
    "launch": {"io", "jobs", "plan", "requests", "speech"},
    "cli": {
        "io",
        "jobs",
        "launch",
        "pipeline",
        "preflight",
        "probe_tasks",
        "requests",
        "results",
        "speech",
        "__init__",
    },
    "views": {"core", "io", "probe_tasks", "results"},
    "ui": {
        "io",
        "jobs",
        "launch",
        "plan",
        "preflight",
        "probe_tasks",
        "requests",
        "results",
        "views",
        "__init__",
    },
    "__init__": set(),
}
# Heavy packages and the only places that may import them.
HOMES = {
    "streamlit": {"ui"},
    "transformers": {"speech"},
    "peft": {"speech"},
    "accelerate": {"speech"},
    "torch": {"core", "speech", "worker"},
    "plotly": {"views"},
}


def imports(path: Path) -> set[str]:
    """Every module a file imports, at any depth, outside TYPE_CHECKING blocks."""
    tree = ast.parse(path.read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_part_imports_only_what_it_may(path):
    own = part(path)
    assert own == "__init__" or own in ALLOWED or own in BASE, f"{own} has no rule: add one"
    allowed = ALLOWED.get(own, set()) | BASE | {own}
    for name in imports(path):
        if name == "braindash" or not name.startswith("braindash."):
            continue
        used = name.split(".")[1]
        if not (PACKAGE / used).is_dir() and not (PACKAGE / f"{used}.py").is_file():
            used = "__init__"  # a name of the package itself, such as __version__
        assert used in allowed, f"{path.relative_to(ROOT)} imports {name}; {own} may not"


def test_no_module_needs_itself():
    """No circle of imports, at any depth."""

    def module(path: Path) -> str:
        return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    modules = {module(path): path for path in SOURCES}
    # The package itself imports its public names when they are asked for.
    graph = {
        name: (imports(path) & set(modules)) - {"braindash", name} for name, path in modules.items()
    }
    graph["braindash"] = set()
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_packages_stay_at_home(path):
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or part(path) in homes, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_pages_reach_the_package_through_ui(path):
    allowed = {
        "ui",
        "views",
        "probe_tasks",
        "results",
        "launch",
        "preflight",
        "plan",
        "requests",
        "jobs",
        "io",
    } | BASE
    for name in imports(path):
        assert name.split(".")[0] not in {"torch", "transformers", "h5py", "plotly"}
        if name.startswith("braindash."):
            assert name.split(".")[1] in allowed, f"{path.name} imports {name}"


def test_importing_braindash_is_light():
    code = (
        "import sys, braindash, braindash.io.store, braindash.jobs, braindash.specs;"
        "print([m for m in ('torch','transformers','streamlit','nilearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_planning_and_pages_need_no_torch():
    code = (
        "import sys, braindash.launch, braindash.preflight, braindash.results.comparison;"
        "print([m for m in ('torch','transformers') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_both_dependency_lists_name_the_same_required_packages():
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = {re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]}
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {re.split(r"[<>=\[]", x)[0] for x in lines if x and not x.startswith(("#", "-"))}
    assert pinned - {"pytest"} <= ranges
    assert "torch==2.13.0" in lines


def test_no_file_or_function_grows_too_long():
    for path in [*SOURCES, *SCRIPTS]:
        text = path.read_text()
        assert text.count("\n") <= 450, f"{path} has more than 450 lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                length = node.end_lineno - node.lineno + 1 - docstring.count("\n")
                assert length <= 75, f"{path}: {node.name} has {length} lines"


def test_nothing_unsafe_is_used():
    banned = (
        "allow_pickle=True",
        "weights_only=False",
        "trust_remote_code=True",
        "unsafe_allow_html",
    )
    for path in [*SOURCES, *SCRIPTS]:
        text = path.read_text()
        assert not [word for word in banned if word in text], path
        assert "pickle" not in imports(path) and "joblib" not in imports(path), path


def test_no_two_test_files_share_a_name():
    """pytest would refuse to collect the second of them."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
