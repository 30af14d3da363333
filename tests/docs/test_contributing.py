"""The recipes of CONTRIBUTING.md, followed in a copy of the repository."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from kit.data.toy_lab import make_lab
from kit.documents import ROOT, Block, blocks

RECIPES = ("Add a feature space", "Add a probing task", "Add a layout", "Add a page")
COPIED = ("braindash", "pages", "docs", "tests", "scripts", ".streamlit")
DIRECTIVE = re.compile(r"# (in (?P<name>\S+)|(?P<end>at the end)|(?P<imports>after the imports))\n")
RATE = 16_000
EVERY_COMMAND = """
import json, sys
from streamlit.testing.v1 import AppTest
from braindash.cli import app
for arguments in json.loads(sys.argv[1]):
    app(arguments, standalone_mode=False)
    print(end="\\f", flush=True)
page = AppTest.from_file("app.py", default_timeout=60).switch_page("pages/explore/counts.py").run()
assert not page.exception, page.exception
print(json.dumps([one.value for one in page.title]))
"""


def recipe(title: str) -> list[Block]:
    """Blocks of one section that are files or parts of files."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    if title == "Add a page":  # its last block has a heading of its own
        section = text.partition(f"## {title}\n")[2]
    return [one for one in blocks(ROOT / "CONTRIBUTING.md") if one.title and one.text in section]


def follow(block: Block, root: Path) -> None:
    """Do what a block says: write a file, or add lines to one."""
    path, found = root / block.title, DIRECTIVE.match(block.text)
    if found is None:
        assert not path.exists(), f"{block.title} is there already"
        path.write_text(block.text)
        return
    old, new = path.read_text(), block.text[found.end() :]
    if found["end"]:
        path.write_text(f"{old.rstrip()}\n\n\n{new}")
    elif found["imports"]:
        lines = old.splitlines(keepends=True)
        tree = ast.parse(old).body
        last = max(one.end_lineno for one in tree if isinstance(one, ast.Import | ast.ImportFrom))
        path.write_text("".join([*lines[:last], new, *lines[last:]]))
    else:
        path.write_text(with_row(old, found["name"], new))


def with_row(source: str, name: str, row: str) -> str:
    """Add a row to a registry: the last tuple of one that is made of rows, a dict, or a list."""
    place = container(ast.parse(source), name)
    lines = source.splitlines(keepends=True)
    end = sum(map(len, lines[: place.end_lineno - 1])) + place.end_col_offset - 1
    before = source[:end].rstrip()
    comma = "" if before.endswith((",", "(", "[", "{")) else ","
    return f"{before}{comma}\n{row.rstrip()},\n{source[end:]}"


def container(tree: ast.Module, name: str) -> ast.expr:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and f'"{key.value}"' == name:
                    return value
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == name:
                inside = list(ast.walk(node.value))
                rows = [one.iter for one in inside if isinstance(one, ast.comprehension)]
                plain = [one for one in inside if isinstance(one, ast.Dict | ast.List)]
                return next(iter([*rows, *plain]))
    raise AssertionError(f"there is no registry {name}")


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The repository with every recipe followed."""
    root = tmp_path_factory.mktemp("copy")
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, root)
    for title in RECIPES:
        assert recipe(title), f"{title} has no steps"
        for block in recipe(title):
            follow(block, root)
    return root


def run(copy: Path, *arguments: object) -> str:
    """Run Python with the copy's package."""
    environment = os.environ | {"PYTHONPATH": str(copy), "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, check=False, cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_every_recipe_of_the_file_is_followed():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert tuple(re.findall(r"^## (Add .*)$", text, re.MULTILINE)) == RECIPES


@pytest.mark.slow
def test_what_the_recipes_made_passes_style_architecture_and_reference(copy):
    named = {block.title for title in RECIPES for block in recipe(title)}
    python = [name for name in named if name.endswith(".py")]
    run(copy, "-m", "ruff", "format", *python)
    run(copy, "-m", "ruff", "check", "--fix", *python)
    rules = ("test_no_module_needs_itself", "test_no_function_grows_too_long")
    tests = [f"tests/test_architecture.py::{name}" for name in rules]
    tests += ["tests/docs/test_reference.py", "tests/docs/test_dashboard.py", "-k", "not shows"]
    assert " passed" in run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


def write_levels(folder: Path, rng: np.random.Generator) -> Path:
    """Utterances in a folder that is laid out like CREMA-D; the level is how loud they are."""
    folder.mkdir()
    for actor in range(1001, 1013):
        for take, level in enumerate(("LO", "MD", "HI")):
            noise = (0.02 + 0.1 * take) * rng.normal(size=RATE)
            soundfile.write(folder / f"{actor}_DFA_ANG_{level}.wav", noise, RATE)
    return folder


def write_named(folder: Path, rng: np.random.Generator) -> Path:
    """Two words of twelve speakers, one low and one high."""
    for speaker in range(12):
        for word, hertz in (("low", 200), ("high", 3000)):
            place = folder / f"s{speaker}" / f"{word}_1.wav"
            place.parent.mkdir(parents=True, exist_ok=True)
            tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
            soundfile.write(place, 0.1 * tone + 0.01 * rng.normal(size=RATE), RATE)
    return folder


@pytest.fixture(scope="module")
def documents(copy, tmp_path_factory, quick_model) -> dict[str, dict]:
    """What the copy's commands print, and its new page: most of the process's time is imports."""
    folder, rng = tmp_path_factory.mktemp("asked"), np.random.default_rng(0)
    lab = make_lab(folder / "lab", quick_model)
    levels, named = write_levels(folder / "corpus", rng), write_named(folder / "named", rng)
    encode = ("encode", "--data", lab.manifest, "--subject", "A", "--alphas", "1,100")
    none = ("--permutations", "0", "--bootstraps", "0")
    probe = ("probe", "--model", "acoustic:logmel", "--shuffles", "2", "--bootstraps", "20")
    asked = {
        "space": (*encode, "--model", "acoustic:zerocrossings", *none),
        "task": (*probe, "--labels", "crema-d", "--labels-path", levels, "--tasks", "level"),
        "layout": (*probe, "--labels", "named-files", "--labels-path", named, "--tasks", "command"),
    }
    common = ("--json", "--store", folder / "store")
    commands = [[str(one) for one in (*words, *common)] for words in asked.values()]
    told = run(copy, "-c", EVERY_COMMAND, json.dumps(commands)).split("\f")
    return dict(zip((*asked, "titles"), map(json.loads, told), strict=True))


@pytest.mark.slow
def test_the_space_scores_a_subject(documents):
    document = documents["space"]
    assert document["model"] == "acoustic:zerocrossings" and len(document["regions"]) == 1


@pytest.mark.slow
def test_the_task_is_asked_and_the_layout_is_read(documents):
    assert documents["task"]["scores"][0]["score"] > 0.8, "levels are loudness here"
    assert documents["layout"]["scores"][0]["score"] == 1.0


@pytest.mark.slow
def test_the_page_stands_in_the_navigation_and_runs(documents):
    assert "Counts" in documents["titles"]
