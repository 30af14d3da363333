"""The import rules of the package, held against its own source."""

import ast
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
    "plan_stories": {"core", "io", "speech"},
    "plan_ceilings": {"io", "plan_stories", "requests", "speech"},
    "plan": {"core", "io", "plan_ceilings", "plan_stories", "requests", "speech"},
    "plan_tuning": {"core", "io", "plan_stories", "requests", "speech"},
    "tuning_data": {"core", "io", "plan_stories", "plan_tuning", "speech"},
    "tuning_records": {"io", "speech"},
    "results": {"core", "io"},
    "statistics": {"core"},
    "encoding": {"core", "io", "plan", "plan_stories", "statistics"},
    "lowlevel": {"core", "encoding", "io", "plan", "plan_stories", "statistics"},
    "shares": {"core", "results"},
    "groups": {"core", "results"},
    "comparison": {"core", "groups", "results"},
    "plan_changes": set(),
    "probe_tasks": {"core"},
    "plan_units": {"io", "probe_tasks"},
    "plan_questions": {"core", "io", "plan_units", "probe_tasks"},
    "plan_probing": {
        "core",
        "io",
        "plan_questions",
        "plan_units",
        "probe_tasks",
        "requests",
        "speech",
    },
    "probing": {"core", "io", "plan_probing", "plan_questions", "plan_units", "speech"},
    "results_probing": {"core", "io", "probe_tasks"},
    "pipeline": {
        "core",
        "encoding",
        "io",
        "lowlevel",
        "plan",
        "plan_changes",
        "plan_probing",
        "plan_stories",
        "probing",
        "plan_tuning",
        "requests",
        "results",
        "results_probing",
        "speech",
        "tuning_data",
        "tuning_records",
        "__init__",
    },
    "preflight": {
        "io",
        "plan",
        "plan_probing",
        "plan_tuning",
        "requests",
        "speech",
        "tuning_records",
    },
    "api": {"io", "requests", "results", "results_probing", "plan", "pipeline", "speech"},
    "jobs": {"jobtable"},
    "jobtable": set(),
    "worker": {"jobs", "jobtable", "pipeline", "io"},
    "launch": {
        "io",
        "jobs",
        "plan",
        "plan_changes",
        "plan_probing",
        "plan_tuning",
        "requests",
        "speech",
    },
    "cli": {
        "io",
        "pipeline",
        "preflight",
        "probe_tasks",
        "launch",
        "jobs",
        "requests",
        "results",
        "speech",
        "__init__",
    },
    "views": {
        "io",
        "core",
        "results",
        "results_probing",
        "groups",
        "comparison",
        "probe_tasks",
        "shares",
    },
    "ui": {
        "io",
        "views",
        "probe_tasks",
        "results",
        "results_probing",
        "comparison",
        "groups",
        "launch",
        "preflight",
        "plan",
        "requests",
        "shares",
        "tuning_records",
        "jobs",
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
        "results_probing",
        "comparison",
        "launch",
        "preflight",
        "plan",
        "requests",
        "shares",
        "tuning_records",
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
        "import sys, braindash.launch, braindash.preflight, braindash.comparison;"
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
