"""A study as files: every figure with its numbers, one page, and a folder that can be shared."""

import base64
import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kit.results.made_up_study import MODELS, put_study

from braindash.errors import InputError
from braindash.exports.studies.folder import export_study
from braindash.exports.studies.items import (
    FIGURES,
    TITLES,
    StudyFigures,
    default_choice,
)
from braindash.exports.studies.page import study_page
from braindash.io.store import Store
from braindash.studies.file import parse_study
from braindash.studies.record import StudyRecord, open_record
from braindash.studies.results import StudyResults
from braindash.views.studies.bars import region_bars
from braindash.work.studies import exported_results, import_study, require_some

# No two of the same kind: figures with few panels are drawn quickly.
FEW = (MODELS[0], *MODELS[2:])
# Made-up results weigh no low-level features and vary nothing, and regions have no sides:
# tests/studies/test_lowlevel.py, test_sweeps.py and test_maps.py have what does.
ABSENT = (
    *("low-level", "partition", "against-hours", "against-rank", "lags", "context", "efficiency"),
    *("settings", "hemispheres", "tuning-curves"),
)
DRAWN = tuple(name for name in FIGURES if name not in ABSENT)
# Targets that are regions come to no surface: there are tables alone.
WITH_PICTURE = tuple(name for name in DRAWN if name != "group-maps")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def record(root) -> StudyRecord:
    return put_study(root, models=FEW, space="roi", features=True)


@pytest.fixture(scope="module")
def figures(root, record) -> StudyFigures:
    found = StudyResults.open(record, Store(root))
    return StudyFigures(found, default_choice(found), Store(root))


@pytest.fixture(scope="module")
def shared(figures, record, root, tmp_path_factory):
    """The study's folder, drawn once for the tests that read it."""
    return export_study(
        figures,
        record,
        tmp_path_factory.mktemp("out") / "shared",
        formats=["svg"],
        add=lambda folder: exported_results(record, Store(root), folder),
    )


def test_a_scatter_says_how_its_numbers_across_were_found(figures):
    [sizes] = figures.make("against-parameters")
    told = " ".join(sizes.source.details)
    assert "counted from the models' configurations" in told and "few per cent" in told
    assert "beside each other" in told
    asked = replace(figures, task="no such task")
    [probes] = asked.make("against-probe")
    assert probes.table["probe"].notna().any(), "a task that nobody asked is no empty figure"
    assert "share above chance" in " ".join(probes.source.details)


def test_the_file_says_what_is_shown_first(figures, record):
    assert figures.names == DRAWN and tuple(FIGURES) == tuple(TITLES)
    assert figures.chosen.regions == ("all targets",), "none of those asked for is there"
    told = "title = 't'\nname = 'n'\ndata = 'd'\n[[models]]\nname = 'base'\nmodel = 'base'\n"
    told += "[figures]\nlayers = [1]\nscore = 'r_over_ceiling'\nshown = ['no_such']\n"
    other = StudyResults(
        parse_study(told, Path("study.toml")), figures.results.groups, {}, record.models, (), ()
    )
    chosen = default_choice(other)
    assert chosen.layers == (1,) and chosen.normalised


def test_every_figure_has_its_numbers_and_says_where_they_come_from(figures):
    for name in figures.names:
        for item in figures.make(name):
            assert item.source.simulated and item.source.stamped.startswith("SIMULATED DATA")
            assert "study made-up" in item.source.line and item.source.keys == figures.results.keys
            assert item.table is not None and len(item.table)
            assert any("base:" in one for one in item.source.details)
    [bars, *_] = figures.make("bars")
    told = " ".join(bars.source.details)
    assert "Wilcoxon's signed ranks / sign flips / variance" in told and "over 3 tests" in told
    assert "3 subjects, of whom neither of the first two can be below 0.25" in told
    assert "variance components" in told and "relative depth above .5" in told


def test_figures_draw_the_numbers_of_their_tables(figures):
    [curves] = figures.make("curves")
    table = curves.table[curves.table["model"] == "tuned 1"]
    [line] = [one for one in curves.figure.data if one.name == "tuned 1"]
    np.testing.assert_array_equal(line.y, table["alignment"])
    bars, subjects, tests = figures.make("bars")
    [drawn] = [one for one in bars.figure.data if one.name == "tuned 1" and one.yaxis == "y"]
    own = bars.table[bars.table["model"] == "tuned 1"].set_index("region")
    np.testing.assert_array_equal(drawn.y, own.loc[list(figures.chosen.regions), "alignment"])
    [dots] = [one for one in bars.figure.data if one.name == "subjects"]
    np.testing.assert_array_equal(dots.y, subjects.table["alignment"])
    assert len(bars.figure.layout.annotations) == len(tests.table) + 1, "brackets and the stamp"
    colours = {one.name: one.line.color for one in curves.figure.data if one.name}
    assert colours["tuned 1"] == drawn.marker.color, "a model has one colour"


@pytest.mark.parametrize("above", [-0.1, 0.01, 0.03, 0.06, 0.1, 0.2, 3.0])
def test_no_text_of_a_bracket_stands_on_the_dash_of_a_ceiling(figures, above):
    bars, subjects, tests = (one.table for one in figures.make("bars"))
    ceiling = float(bars["high"].max()) + above
    figure = region_bars(
        bars.assign(ceiling=ceiling), subjects, tests, list(figures.chosen.regions)
    )
    step = 0.07 * max(float(bars["high"].max()), float(subjects["alignment"].max()))
    texts = [one.y for one in figure.layout.annotations if " / " in one.text]
    assert len(texts) == len(tests)
    for bottom in texts:  # the letters take about as much as a step
        assert not bottom < ceiling < bottom + step, (bottom, ceiling)


def test_what_the_results_do_not_allow_is_not_offered_and_named(tmp_path):
    record = put_study(tmp_path, models=MODELS[:1], space="roi")
    found = StudyResults.open(record, Store(tmp_path))
    figures = StudyFigures(found, default_choice(found), Store(tmp_path))
    assert figures.names == ("curves", "bars", "probe-curves", "against-probe", "group-maps")
    html = study_page(figures, record).html
    assert "do not allow it: Low level, Variance partition, Tuning curves, Against size" in html
    assert "Further settings, Hemispheres, Transfer, Similarity of layers" in html
    empty = StudyResults.open(record, Store(tmp_path / "none"))
    with pytest.raises(InputError, match="nothing is stored"):
        require_some(record, empty)


def test_the_page_holds_every_figure_and_asks_for_nothing(shared):
    html = (shared / "report.html").read_text()
    pictures = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', html)
    assert len(pictures) == len(WITH_PICTURE)
    for one in pictures:
        assert ET.fromstring(base64.b64decode(one)).tag.endswith("svg")
    assert "A made-up study &lt;b&gt;of &amp; markup&lt;/b&gt;" in html
    assert "<b>of" not in html and "SIMULATED DATA" in html
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', html)
    for name in DRAWN:
        assert f"<h2>{TITLES[name]}</h2>" in html
    assert 'data-file="scores.csv"' in html and 'data-file="study-made-up.json"' in html
    for name, *_ in FEW:
        assert f"<td>{name}</td>" in html


def test_a_study_is_shared_by_its_folder(tmp_path, shared, root, record, figures):
    place = shutil.copytree(shared, tmp_path / "shared")
    names = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert {"report.html", "study.toml", "study.json"} <= names
    assert {f"figures/{name}.svg" for name in WITH_PICTURE} <= names
    assert {f"tables/{name}.parquet" for name in (*DRAWN, "scores", "probes")} <= names
    table = pd.read_parquet(place / "tables/bars-comparisons.parquet")
    assert len(table) == 3
    told = json.loads((place / "tables/bars.json").read_text())
    assert told["columns"]["percent"]["Units"] == "percent"
    assert str(root) not in (place / "study.json").read_text()
    with pytest.raises(InputError, match="is there already"):
        export_study(figures, record, place)

    other = Store(tmp_path / "other")
    again, count = import_study(place, other)
    assert count == len(record.keys) and again.keys == record.keys
    opened = StudyResults.open(open_record("made-up", other), other)
    assert not opened.missing
    here = figures.results.scores()
    pd.testing.assert_frame_equal(opened.scores(), here)
    there = StudyFigures(opened, default_choice(opened), other)
    assert "similarity" not in there.names, "features stay where they were computed"
    with pytest.raises(InputError, match="no shared study"):
        import_study(tmp_path, other)
    (place / "study.json").write_text("{}")
    with pytest.raises(InputError, match="cannot be read"):
        import_study(place, other)
