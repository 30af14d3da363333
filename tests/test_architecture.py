"""The import rules of the package, held against its own source."""

import ast
import graphlib
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "braindash"
SOURCES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]

BASE = {
    "defaults",
    "errors",
    "files",
    "names",
    "parts",
    "plugins",
    "process",
    "processes",
    "progress",
    "references",
    "remembered",
    "requests",
    "sharing",
    "specs",
}
# Parts that several others build on, the lower ones first; an arrow goes only to the left.
KINDS = {"encoding", "probing", "tuning"}
DATA = {"core", "io", "speech"}
SHARED = {"stories"}
CHECKING = {"checking"}
STUDIES = {"studies"}
READING = {
    "result",
    "panel",
    "chosen",
    "card",
    "record",
    "kinds",
    "image",
    "groups",
    "group_maps",
    "comparison",
    "seen",
    "tested",
    "planned",
    "shares",
    "unfinished",
    "heard",
    "picture",
    "tasks",
    "units",
    "questions",
    "plan",
    "costs",
    "kept",
    "prediction",
    "several",
    "controls",
}
RUNNING = {
    "run",
    "features",
    "responses",
    "statistics",
    "lowlevel",
    "scored",
    "subject_sums",
    "within",
    "ask",
    "data",
    "teachers",
    "regions",
    "differences",
    "keep",
    "predict",
}
# For each part of the package: the other parts it may import, besides the base.
ALLOWED = {
    "core": set(),
    "io": {"core", "__init__"},
    "speech": {"core"},
    "checking": {"core", "io"},
    "stories": DATA,
    **dict.fromkeys(KINDS, DATA | SHARED),
    "studies": DATA | SHARED | KINDS,
    "demo": DATA | SHARED | KINDS | STUDIES,
    "jobs": set(),
    "work": DATA | SHARED | KINDS | CHECKING | STUDIES | {"demo", "jobs"},
    "cluster": {"io", "jobs", "work"},
    "doctor": {"core", "io", "demo", "jobs", "work", "__init__"},
    "viewer": {"core", "io"},
    "views": {"core", "io", "viewer"} | KINDS | CHECKING | STUDIES,
    "exports": {"core", "io", "speech", "viewer", "views", "__init__"} | KINDS | STUDIES,
    "ui": DATA
    | SHARED
    | KINDS
    | CHECKING
    | STUDIES
    | {"demo", "jobs", "work", "cluster", "viewer", "views", "exports", "__init__"},
    "cli": DATA
    | SHARED
    | KINDS
    | CHECKING
    | STUDIES
    | {"demo", "jobs", "work", "cluster", "doctor", "exports", "__init__"},
    "api": DATA | SHARED | KINDS | {"demo", "work", "exports"},
    # The homes of the public names: for type checkers, and imported when first used.
    "__init__": DATA | KINDS | CHECKING | STUDIES | {"api", "demo", "exports", "work"},
    "__main__": {"cli"},
}
# Who may import the running side of a kind of analysis.
RUNNERS = {"work", "api", "demo"}
# Heavy packages and the only places that may import them.
HOMES = {
    "streamlit": {"ui"},
    "transformers": {"speech"},
    "peft": {"speech"},
    "accelerate": {"speech"},
    "torch": {"core", "speech"},
    "plotly": {"views"},
    "distributed": {"cluster"},
    "dask_jobqueue": {"cluster"},
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


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_kind_is_read_without_what_runs_it(kind):
    """Reading a result, or planning, never imports what computes; no kind imports another."""
    files = {path.stem for path in (PACKAGE / kind).rglob("*.py")} - {"__init__"}
    assert files <= READING | RUNNING, "say on which side a new file stands"
    for path in SOURCES:
        own = part(path)
        if own in RUNNERS or (own == kind and path.stem in RUNNING):
            continue
        for name in imports(path):
            if name.startswith(f"braindash.{kind}."):
                side = next((one for one in name.split(".")[2:] if one in files), "")
                assert side not in RUNNING, f"{path.relative_to(ROOT)} imports {name}"


def test_core_knows_no_files_and_no_specifications():
    allowed = {"core", "errors", "progress", "defaults"}
    for path in (PACKAGE / "core").rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("braindash.")}
        assert used <= allowed, f"{path.relative_to(ROOT)} imports {used - allowed}"
        assert not [name for name in imports(path) if name.split(".")[0] == "pydantic"]


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
    allowed = {"ui", "views", "viewer", "exports", "work", "jobs", "cluster", "io", "demo"}
    allowed |= KINDS | CHECKING | STUDIES | BASE
    for name in imports(path):
        assert name.split(".")[0] not in {"torch", "transformers", "h5py", "plotly"}
        if name.startswith("braindash."):
            assert name.split(".")[1] in allowed, f"{path.name} imports {name}"


def test_importing_braindash_is_light():
    code = (
        "import sys, braindash, braindash.io.store, braindash.jobs.queue, braindash.specs;"
        "print([m for m in ('torch','transformers','streamlit','nilearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_what_is_shown_and_taken_away_loads_no_torch():
    """Pages, views and exports read results; the first page would wait for it."""
    code = (
        "import sys, pkgutil, importlib\n"
        "for name in ('views', 'exports', 'studies', 'viewer', 'jobs', 'ui'):\n"
        "    package = importlib.import_module(f'braindash.{name}')\n"
        "    for one in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(one.name)\n"
        "        if 'torch' in sys.modules: sys.exit(f'{one.name} loads torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr.splitlines()[-1]


def test_planning_and_the_command_line_load_nothing_heavy():
    code = (
        "import sys, braindash.work.submit, braindash.encoding.several.comparison, braindash.cli;"
        "print([m for m in ('torch','transformers','scipy.stats','scipy.signal','sklearn',"
        "'matplotlib','nilearn','streamlit') if m in sys.modules])"
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


def test_no_function_grows_too_long():
    for path in [*SOURCES, *SCRIPTS]:
        text = path.read_text()
        if text.count("\n") > 600:
            warnings.warn(f"{path.relative_to(ROOT)} has more than 600 lines", stacklevel=1)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node) or ""
                length = node.end_lineno - node.lineno + 1 - docstring.count("\n")
                assert length <= 70, f"{path}: {node.name} has {length} lines"


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


def test_what_others_wrote_has_one_home_that_reads_and_one_that_shows_it():
    """Depth and length are looked at in one place, and so is what a terminal would obey."""
    homes = {
        "json.load": {"files.py"},
        "tomllib.load": {"files.py"},
        "nibabel.load(": {"io/images/loading.py", "io/surfaces.py"},  # the second opens its own
        "typer.echo(": {"cli/options.py", "cli/__init__.py"},  # the second tells the version
    }
    for word, allowed in homes.items():
        found = {str(path.relative_to(PACKAGE)) for path in SOURCES if word in path.read_text()}
        assert found <= allowed, word


def test_rooms_are_few_and_not_too_small():
    small = [
        path for path in SOURCES if path.name != "__init__.py" and path.read_text().count("\n") < 60
    ]
    assert len(small) <= 12, small
    beside = [path for name in ("tests", "benchmarks", "scripts", "pages")
              for path in (ROOT / name).rglob("*.py")]  # fmt: skip
    for folder in {path.parent for path in [*SOURCES, *beside]}:
        # What Python asks for is no room.
        files = [path for path in folder.glob("*.py") if path.stem not in ("__init__", "__main__")]
        assert len(files) <= 14, f"{folder} holds {len(files)} files: it wants a family"


@pytest.mark.campaign
def test_one_command_enters_few_files(lab, tmp_path):
    """What somebody has to know to follow one encoding from the command line to its result."""
    command = [sys.executable, ROOT / "scripts" / "count_files.py", "encode", "--data"]
    command += [lab.manifest, "--model", lab.model, "--subject", "A", "--strategy", "chunk"]
    command += ["--alphas", "1,100", "--permutations", "19", "--bootstraps", "10"]
    done = subprocess.run(
        [*map(str, command), "--store", str(tmp_path)], capture_output=True, text=True, check=True
    )
    *files, total = done.stdout.strip().splitlines()
    count = int(total.removesuffix(" files entered"))
    # 45, then what makes parts, what knows the machine's cores and memory, the one home of HDF5,
    # the rule for names, the reader of sound that counts, what an array is and which of its rows
    # are censored, what finds the regions whose means are printed, the protocols of papers, what
    # asks whether targets come to a surface, what remembers digests, the check of data, and what
    # opens one array, stacks hearings of it and leaves out columns, the prewhitened test, kept
    # frames, the null panel, marks of censored rows, what judges a model's size, what a fit holds
    # in memory, the remembered numbers of rows, records of requests (96 by then), who asks, what
    # tells a space of words, and the costs of a plan.
    assert count <= 99, done.stdout
    assert sum("functions" in line for line in files) == count
