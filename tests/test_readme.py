"""What the README says is true."""

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
from kit.documents import blocks, commands, is_elsewhere, reader

import braindash
from braindash.io.dataset.tables import read_tables

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = [(one.language, one.text) for one in blocks(ROOT / "README.md")]
COMMANDS = [
    line
    for kind, text in BLOCKS
    if kind == "sh"
    for line in commands(text)
    if line.startswith("braindash ")
]


def test_the_commands_of_make_come_first():
    kind, text = BLOCKS[0]
    assert kind == "sh" and text.startswith("make demo")
    assert "make test" in text.splitlines()[1]
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {line.split()[1] for line in text.splitlines()} <= set(targets)


def test_demo_tune_calls_scripts_that_exist_with_their_options(tmp_path):
    command = ["make", "--dry-run", "demo-tune", f"WORLD={tmp_path / 'world'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [shlex.split(line) for line in done.stdout.splitlines() if "scripts/" in line]
    scripts = [Path(words[1]).name for words in lines]
    tuning = ["tune_demo_model.py"] * 4
    assert scripts == ["make_demo_corpus.py", *tuning, "score_demo.py"]
    after = {words[words.index("--output") + 1].rpartition("/")[2]: words for words in lines[1:-1]}
    assert list(after) == ["tuned", "lora", "shuffled", "text"]
    for control in ("shuffled", "text"):
        at = after[control].index("--steps-of")
        assert after[control][at + 1].endswith("/tuned") and control in after[control]
    for words in lines:
        source = (ROOT / words[1]).read_text()
        assert all(f'"{word}"' in source for word in words if word.startswith("--")), words


def test_the_manifest_of_the_readme_is_valid(tmp_path):
    (text,) = [text for kind, text in BLOCKS if kind == "toml"]
    tomllib.loads(text)
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    tables, problems = read_tables(path)
    assert tables is not None and not problems


@pytest.mark.slow
def test_the_readme_runs_from_its_first_block_to_its_last(tmp_path, monkeypatch):
    assert [line for line in COMMANDS if not is_elsewhere(line)]
    somebody = reader(tmp_path / "lab", monkeypatch)
    somebody.read(ROOT / "README.md")
    assert {"encoding", "probing", "tuning"} <= {
        path.name for path in (tmp_path / "lab" / "results").iterdir()
    }


def test_the_python_names_of_the_readme_exist():
    for _, text in BLOCKS:
        for name in re.findall(r"braindash\.(\w+)\(", text):
            assert hasattr(braindash, name)


def test_every_linked_file_exists():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_the_changelog_and_the_citation_name_this_version():
    assert f"version: {braindash.__version__}" in (ROOT / "CITATION.cff").read_text()
    assert f'version = "{braindash.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_no_entry_of_the_changelog_is_there_twice():
    text = (ROOT / "CHANGELOG.md").read_text()
    entries = [" ".join(one.split()) for one in re.split(r"\n(?=- |#)", text) if one[:1] == "-"]
    assert len(entries) > 50
    assert [one[:60] for one in entries if entries.count(one) > 1] == []
