"""The page Studies: its file is a study, its commands are there, its figures are all there are."""

import re
from pathlib import Path

import typer
from kit.documents import ROOT, blocks, commands

from braindash.cli import app
from braindash.exports.studies.items import FIGURES
from braindash.probing.tasks import PROBE_TASKS
from braindash.studies.file import parse_study

PAGE = ROOT / "docs" / "studies.md"


def test_the_file_on_the_page_is_a_study():
    [text] = [one.text for one in blocks(PAGE) if one.title == "study.toml"]
    tables = parse_study(text, Path("study.toml"))
    assert tables.pairs[1] == ("brain-tuned", "block-shuffled fMRI")
    assert set(tables.probe["tasks"]) <= set(PROBE_TASKS)


def test_every_figure_has_its_row_and_no_other():
    rows = re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert rows == list(FIGURES)


def test_the_commands_on_the_page_take_what_it_gives_them():
    root = typer.main.get_command(app)
    for block in (one for one in blocks(PAGE) if one.language == "sh"):
        for command in commands(block.text):
            _, *words = command.split()
            if words[0] == "study":
                inner = root.commands["study"].commands[words[1]]
                inner.make_context("study", list(words[2:]), resilient_parsing=False)
