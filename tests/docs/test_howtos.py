"""What the how-tos tell a reader to run, runs."""

import pytest
from kit.documents import ROOT, blocks, reader

HOW_TOS = ("own-data", "own-model", "brain-tuning")


@pytest.mark.slow
@pytest.mark.parametrize("name", HOW_TOS)
def test_a_how_to_runs_from_its_first_block_to_its_last(name, tmp_path, monkeypatch):
    somebody = reader(tmp_path / "lab", monkeypatch)
    somebody.read(ROOT / "docs" / f"{name}.md")
    assert (tmp_path / "lab" / "results").is_dir()


def test_every_block_has_a_language_that_is_run_or_shown():
    for path in sorted((ROOT / "docs").glob("*.md")):
        assert path.read_text().count("\n```") == 2 * len(blocks(path)), path
        assert {one.language for one in blocks(path)} <= {"sh", "python", "toml", "text"}, path
