"""The page Studies: its file is a study, its commands are there, its figures are all there are."""

import re
from pathlib import Path

import typer
from kit.documents import ROOT, blocks, commands

from braindash.cli import app
from braindash.defaults import PRESETS
from braindash.exports.studies.items import FIGURES
from braindash.io.regions.sets import find_set
from braindash.probing.tasks import PROBE_TASKS
from braindash.speech.acoustic.spaces import find_space
from braindash.studies.file import parse_study

PAGE = ROOT / "docs" / "studies.md"
PAPERS = ROOT / "docs" / "reproduce.md"


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


def test_the_sweeps_on_the_page_are_sweeps():
    [study] = [one.text for one in blocks(PAGE) if one.title == "study.toml"]
    [sweeps] = [one.text for one in blocks(PAGE) if one.text.lstrip().startswith("[[sweeps]]")]
    tables = parse_study(f"{study}\n{sweeps}", Path("study.toml"))
    assert [one.name for one in tables.sweeps][:3] == ["lags", "context", "efficiency"]


def test_the_models_that_the_page_tunes_are_models_of_the_study():
    [study] = [one.text for one in blocks(PAGE) if one.title == "study.toml"]
    [tune] = [one.text for one in blocks(PAGE) if one.text.lstrip().startswith("[[tune]]")]
    text = study.replace('subjects = "all"', 'subjects = ["S1", "S2", "S3"]')
    tables = parse_study(f"{text}\n{tune}", Path("study.toml"))
    assert "tuned: shuffled, rank 8, 0.5 h, S2" in tables.variants
    assert len(tables.variants) == (3 + 3 + 1) * 2 * 4
    assert tables.tune[0].varied() == ("hours", "rank")


def test_every_paper_has_a_study_in_its_preset():
    files = {one.title: one.text for one in blocks(PAPERS) if one.title}
    letters = {"paper-a.toml": "a", "paper-b.toml": "b"}
    letters |= {"paper-c.toml": "c", "paper-c-tuning.toml": "c"}
    assert list(files) == list(letters)
    for (name, text), letter in zip(files.items(), letters.values(), strict=True):
        tables = parse_study(text, Path(name))
        assert tables.presets == (f"moussa2025-{letter}",)
        wanted = tables.figures.regions
        assert wanted == PRESETS[tables.presets[0]].region_set
        assert set(tables.figures.shown) <= set(find_set(wanted).region_names)
        if tables.probe is not None:
            assert tables.probe["preset"] == tables.presets[0] and letter == "a"
    asked = list(parse_study(files["paper-b.toml"], Path("b")).sweeps[0].values)
    for spaces in asked:
        for name in spaces.split("+"):
            find_space(name)


def test_the_commands_of_the_papers_are_commands():
    root = typer.main.get_command(app)
    lines = [line for one in blocks(PAPERS) if one.language == "text"
             for line in one.text.splitlines() if line.startswith("braindash ")]  # fmt: skip
    assert len(lines) >= 5
    for line in lines:
        _, name, *words = line.split()
        command = root.commands[name]
        if hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        command.make_context(name, list(words), resilient_parsing=False)
