"""What the page about several machines tells is what the program does."""

import re
import runpy
import sys

import typer
from kit.documents import ROOT, blocks, commands

from braindash.cli import app
from braindash.cluster import pulling
from braindash.jobs.claims import LOCAL_SECONDS, PATIENCE, SHARED_SECONDS
from braindash.jobs.shared import MOST_FAILURES

PAGE = ROOT / "docs" / "cluster.md"
TEXT = " ".join(PAGE.read_text().split())
COMMANDS = typer.main.get_command(app).commands


def options(command) -> set[str]:
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)}


def known(words: list[str]) -> set[str]:
    """Options of a line's command; behind ``submit`` also those of what is handed over."""
    command = COMMANDS[words[1]]
    found = options(command)
    if words[1] == "submit":
        inner = COMMANDS[words[2]]
        found |= options(inner.commands["run"] if words[2] == "study" else inner)
    return found


def test_every_command_has_the_options_of_the_program():
    typed = [line for one in blocks(PAGE) for line in commands(one.text)]
    assert len(typed) >= 8
    for line in typed:
        words = line.split()
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= known(words), line


def test_every_option_of_submit_and_worker_is_told():
    for name in ("submit", "worker", "doctor"):
        for option in options(COMMANDS[name]):
            if option.startswith("--"):
                assert f"{option}" in TEXT, f"{name} {option}"


def test_numbers_are_those_of_the_program():
    assert f"after {PATIENCE * SHARED_SECONDS:.0f} seconds" in TEXT
    assert f"on a local disk after {PATIENCE * LOCAL_SECONDS:.0f}" in TEXT
    assert MOST_FAILURES == 3 and "after three failures" in TEXT
    assert pulling.IDLE_SECONDS == 600 and "(`--idle-minutes`, 10)" in TEXT
    named = re.findall(r"--kinds ([a-z,-]+)", TEXT)
    told = {kind for one in named for kind in one.split(",")}
    assert told | {"tuning"} == set(pulling.PART_KINDS)


def test_the_plan_on_paper_is_what_its_script_prints(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cluster_plan.py"])
    runpy.run_path(str(ROOT / "benchmarks" / "large" / "cluster_plan.py"), run_name="__main__")
    assert " ".join(capsys.readouterr().out.split()) in TEXT
