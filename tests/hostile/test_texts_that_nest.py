"""JSON and TOML that nest without an end, or are longer than anybody reads."""

import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash import files
from braindash.errors import InputError
from braindash.files import parse_json, parse_toml
from braindash.io import entries
from braindash.io.dataset.manifest import load_manifest
from braindash.io.entries import FILES, read_object
from braindash.io.labels.gentle import read_tiers
from braindash.io.layouts.find import manifest_of
from braindash.io.store import Store
from braindash.speech.checkpoints.folders import read_json

DEPTH = 100_000
DEEP_JSON = ("[" * DEPTH + "]" * DEPTH, '{"a":' * DEPTH + "1" + "}" * DEPTH)
DEEP_TOML = ("a = " + "[" * DEPTH + "]" * DEPTH, "a = " + "{b=" * DEPTH + "1" + "}" * DEPTH)


@pytest.mark.parametrize("text", DEEP_JSON, ids=["lists", "objects"])
def test_deep_json_is_refused_by_every_reader(text, tmp_path):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(text)
    path = tmp_path / "a.json"
    path.write_text(text)
    for read in (read_json, lambda path: read_tiers(path, [])):
        with pytest.raises(Exception, match=r"cannot be read|no JSON|deeply"):
            read(path)
    with pytest.raises(ValueError, match=r"a\.json"):
        read_object(path)


@pytest.mark.parametrize("text", DEEP_TOML, ids=["lists", "tables"])
def test_deep_toml_is_refused_and_is_no_manifest(text, tmp_path):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_toml(text)
    path = tmp_path / "manifest.toml"
    path.write_text(text)
    with pytest.raises(InputError, match="is no manifest: it is nested too deeply"):
        load_manifest(path)
    path.rename(tmp_path / "other.toml")
    with pytest.raises(InputError):  # it is passed over, and nothing else is there
        manifest_of(tmp_path)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=20))
def test_json_comes_back_as_it_was(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize("digits", ["9" * 309, "-" + "9" * 400, "9" * 5000])
def test_whole_numbers_beyond_every_float_are_refused_wherever_they_stand(digits, tmp_path):
    for parse, text in ((parse_json, '{"a": [{"b": %s}]}'), (parse_toml, "a = [{b = %s}]")):
        with pytest.raises(ValueError, match="digits"):
            parse(text % digits)
        assert parse(text % digits[:300])["a"][0]["b"] == int(digits[:300])
    path = tmp_path / "a.json"
    words = [{"word": "a", "case": "success", "start": 0, "end": 1}]
    path.write_text(json.dumps({"words": words}).replace("0", digits))
    with pytest.raises(InputError, match="digits"):
        read_tiers(path, [])


def test_toml_comes_back_as_it_was():
    assert parse_toml("a = [true, 1, 1.5, 2026-11-30, {b = 'x'}]")["a"][:3] == [True, 1, 1.5]


def test_what_is_too_long_is_not_parsed(monkeypatch):
    monkeypatch.setattr(files, "_LONGEST_TEXT", 1 << 20)
    for parse in (parse_json, parse_toml):
        with pytest.raises(ValueError, match="longer than 1 MB"):
            parse(" " * (2 << 20))


def test_a_record_that_becomes_gigabytes_is_neither_read_nor_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(entries, "_LONGEST_RECORD", 1 << 20)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.writestr(f"encoding/{'0' * 32}/{name}", b" " * (2 << 20))
    with pytest.raises(InputError, match="longer than any record"):
        Store(tmp_path / "store").import_(path)
    (tmp_path / "provenance.json").write_bytes(b" " * (2 << 20))
    with pytest.raises(ValueError, match="longer than any record"):
        read_object(tmp_path / "provenance.json")
