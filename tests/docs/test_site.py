"""The site is built without a warning, asks nothing of another host, and names real files."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from kit.documents import ROOT, blocks, commands

from braindash.cli import app

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Tags whose address a browser follows without being asked to.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
NUMBER = r"(\d[\d.]*|two|three|four|five|six|seven|eight|nine|ten|twenty)"
MEASURED = re.compile(f"{NUMBER} (times (faster|slower|quicker)|minutes|hours|MB|GB)")
CODE_FILE = re.compile(r"(?:scripts|benchmarks|tests|braindash|pages)/[\w/.-]+\.(?:py|md|sh)")


class Addresses(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in LOADED and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given.get(LOADED[tag]) or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(site):
    pages = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    assert {"index.html", "science.html", "reference/manifest.html", "contributing.html"} <= pages
    text = (site / "reference" / "python.html").read_text()
    assert "regions_intervals" not in text and "region_intervals" in text
    assert ":func:" not in text and ":class:" not in text


@pytest.mark.slow
def test_no_page_loads_anything_of_another_host(site):
    for path in site.rglob("*.html"):
        parser = Addresses()
        parser.feed(path.read_text())
        assert parser.found
        assert not [place for place in parser.found if re.match(r"(https?:)?//", place)], path
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert not re.findall(r"url\([\"']?(?:https?:)?//", styles) and "@import" not in styles


def test_files_that_documents_name_exist():
    for path in DOCUMENTS:
        written = {one.title for one in blocks(path)}  # files that the reader makes
        for name in set(CODE_FILE.findall(path.read_text())) - written:
            assert (ROOT / name).exists(), f"{path.name} names {name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_every_command_exists_with_its_options(path):
    root = typer.main.get_command(app)
    for block in blocks(path):
        lines = commands(block.text) if block.language == "sh" else []
        for line in (line for line in lines if line.startswith("braindash ")):
            command, words, options = root, shlex.split(line)[1:], {"--help"}
            while True:
                options |= {
                    name
                    for parameter in command.params
                    for name in (*parameter.opts, *parameter.secondary_opts)
                }
                inside = getattr(command, "commands", {})
                place = next((at for at, word in enumerate(words) if word in inside), None)
                if place is None:
                    break
                command = inside[words.pop(place)]
            alone = getattr(command, "invoke_without_command", True)
            assert alone, f"{line}: no such command"
            named = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
            assert named <= options, f"{line}: {named - options}"


def test_a_measured_number_names_the_script_that_prints_it():
    for path in DOCUMENTS:
        # A table belongs to the line above it, which says how it was measured.
        for paragraph in re.split(r"\n\s*\n(?!\|)", path.read_text()):
            if MEASURED.search(paragraph):
                assert CODE_FILE.search(paragraph) or "` prints" in paragraph, (
                    f"{path.name}: {paragraph[:200]}"
                )


def test_nothing_is_a_place_of_somebodys_machine():
    for path in DOCUMENTS:
        assert not re.search(r"(?<![\w/])/(work|home|tmp|root)/", path.read_text()), path
