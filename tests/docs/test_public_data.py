"""The commands of the page about public data run on folders in these layouts."""

import re
from functools import partial

import pytest
from kit.documents import ROOT, blocks, commands
from kit.layouts.arrays import algonauts, denizenslab, lebel
from kit.layouts.surfaces import fmriprep, narratives, petit_prince
from typer.testing import CliRunner

from braindash.cli import app
from braindash.io.layouts.find import LAYOUTS

PAGE = ROOT / "docs" / "public-data.md"
# What a block names -> who makes it.
MAKERS = {
    "denizenslab": partial(denizenslab, subjects=("01",)),
    "ds003020": partial(lebel, subjects=("UTS01",)),
    "narratives": narratives,
    "ds003643": partial(petit_prince, languages=("EN",)),
    "friends": algonauts,
    "study": partial(fmriprep, subjects=("01",)),
}


def block_of(folder):
    found = [b.text for b in blocks(PAGE) if re.search(rf"index {folder}\b", b.text)]
    assert len(found) == 1
    return found[0]


def test_every_layout_that_is_read_has_a_section():
    text = PAGE.read_text()
    for name, layout in LAYOUTS.items():
        if layout.smallest.startswith(("not read", "a pickle")):
            continue
        assert f"\n## {name}\n" in text


@pytest.mark.parametrize("folder", MAKERS)
def test_the_commands_of_a_layout_run(folder, tmp_path, monkeypatch):
    made = MAKERS[folder](tmp_path / "made")
    monkeypatch.chdir(tmp_path)
    made.folder.rename(tmp_path / folder)
    if made.audio is not None:
        named = re.search(r"--audio (\S+)", block_of(folder))[1]
        made.audio.rename(tmp_path / named)
    for command in commands(block_of(folder)):
        arguments = command.split()[1:]
        if arguments[0] == "encode":
            place = arguments.index("--model") + 1
            arguments = [*arguments[:place], "acoustic:energy", *arguments[place + 1 :], "--check"]
            arguments += ["--store", str(tmp_path / "store")]
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
