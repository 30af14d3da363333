"""The page Architecture says what the house is and what its rules are."""

import importlib.util
import re

from kit.documents import ROOT

TEXT = (ROOT / "docs" / "architecture.md").read_text()


def rows(title: str) -> dict[str, set[str]]:
    """First cell -> the code in the second cell, of the table of a section."""
    section = TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip().strip("`"): set(re.findall(r"`(\w+)`", cells[1])) for cells in lines}


def test_every_part_of_the_package_has_its_row_and_no_other():
    parts = {
        f"braindash/{path.name}{'/' * path.is_dir()}"
        for path in (ROOT / "braindash").iterdir()
        if path.suffix == ".py" or (path.is_dir() and list(path.glob("*.py")))
    }
    named = {name for name in rows("The house") if name.startswith("braindash/")}
    assert named == parts


def test_the_rules_on_the_page_are_those_that_are_tested():
    path = ROOT / "tests" / "test_architecture.py"
    spec = importlib.util.spec_from_file_location("rules", path)
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    told = rows("Who may import whom")
    assert told == {part: set(allowed) for part, allowed in rules.ALLOWED.items()}
    base = TEXT.partition("the base (")[2].partition(")")[0]
    assert set(re.findall(r"`(\w+)`", base)) == rules.BASE
