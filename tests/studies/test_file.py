"""The file of a study: what is wrong with it is said together, with the place and what is near."""

from pathlib import Path

import pytest
from kit.results.made_up_study import study_text

from braindash.errors import InputError
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.studies.file import StudyTables, parse_study, read_study, settings_of

PLACE = Path("study.toml")
GOOD = study_text()


def refusal(old: str, new: str, text: str = GOOD) -> str:
    assert old in text
    with pytest.raises(InputError) as refused:
        parse_study(text.replace(old, new, 1), PLACE)
    return str(refused.value)


def test_what_the_file_says_is_read():
    tables = parse_study(GOOD, PLACE)
    assert tables.subjects == "all" and tables.presets == ("default",)
    assert [one.name for one in tables.models][:2] == ["base", "tuned"]
    assert ("tuned", "base") in tables.pairs and len(tables.pairs) == 4, "each with its base"
    assert tables.figures.layers == "third-quarter"
    asked = parse_study(GOOD + '[[comparisons]]\na = "tuned"\nb = "untrained"\n', PLACE)
    assert asked.pairs == (("tuned", "untrained"),)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[figures]", "[figure]", "'figure'.*Did you mean 'figures'"),
        ("title =", "tittle =", "Did you mean 'title'"),
        ("title =", "tittle =", "lacks the field 'title'"),
        ('role = "base"', 'rôle = "base"', "TOML"),
        ('role = "base"', 'rol = "base"', r"\[\[models\]\] 'base'.*'rol'.*Did you mean 'role'"),
        ('role = "base"', 'role = "bas"', "Did you mean 'base'"),
        ('name = "made-up"', 'name = "Made up"', "name = 'Made up' is not allowed"),
        ("[probe]", "[probe]\ntask = ['word']", r"\[probe\].*'task'.*Did you mean 'tasks'"),
        ("[probe]", "[encode]\npresett = 1\n[probe]", r"\[encode\].*'presett'"),
        ("[probe]", '[encode]\nsubject = "S1"\n[probe]', r"\[encode\].*'subject'"),
        ('name = "tuned 2"', 'name = "tuned"', "2 models are named 'tuned'"),
        ('base = "base"', 'base = "bse"', "'bse'.*Did you mean 'base'"),
        ("[figures]", '[[comparisons]]\na = "tuned"\nb = "bse"\n[figures]', "names 'bse'"),
        ("[figures]", '[[comparisons]]\na = "base"\nb = "base"\n[figures]', "with itself"),
        ("[figures]", '[figures]\nlayers = "middle"', "layers = 'middle' is not allowed"),
        ("[figures]", "[figures]\nlayers = [-1]", "layers"),
        ('data = "manifest.toml"', 'data = "manifest.toml"\npresets = ["mousa2025-a"]', "presets"),
        ('data = "manifest.toml"', 'data = "m"\nsubjects = []', "subjects"),
    ],
)
def test_a_bad_field_is_named_with_what_is_near(old, new, said):
    import re

    assert re.search(said, refusal(old, new), re.DOTALL), refusal(old, new)


def test_several_problems_are_said_at_once():
    text = GOOD.replace('role = "base"', 'rol = "base"').replace("title =", "titel =")
    told = refusal("[figures]", "[figures]\nscore = 'rr'", text)
    assert "problems" in told and "rol" in told and "titel" in told and "score" in told


def test_more_models_than_colours_are_refused():
    many = tuple((f"m{number}", "other", None, (), 1) for number in range(13))
    with pytest.raises(InputError, match="models"):
        parse_study(study_text(many), PLACE)


def test_a_file_that_is_none_is_said(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_study(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(InputError, match="UTF-8"):
        read_study(tmp_path / "latin.toml")


def test_every_field_has_a_description_and_settings_leave_nothing_twice():
    assert all(one.description for one in StudyTables.model_fields.values())
    encode, probe = settings_of(EncodeRequest), settings_of(ProbeRequest)
    assert not {"model", "subject", "data", "preset", "device"} & set(encode)
    assert {"strategy", "low_level", "keep_weights"} <= set(encode)
    assert {"tasks", "categories", "data", "labels"} <= set(probe) and "model" not in probe


def test_a_text_that_nests_without_end_is_no_study():
    with pytest.raises(InputError, match="is no study"):
        parse_study("a = " + "[" * 100_000, PLACE)
