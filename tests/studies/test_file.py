"""The file of a study: what is wrong with it is said together, with the place and what is near."""

from pathlib import Path

import pytest
from kit.results.made_up_study import study_text

from braindash.errors import InputError
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.studies.file import (
    StudyTables,
    parse_study,
    read_study,
    settings_of,
    vain_problems,
)

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


@pytest.mark.parametrize("value", ["1979-05-27", "nan", "[1.0, inf]", "{at = 07:32:00}"])
def test_a_value_of_a_sweep_that_no_record_can_hold_is_refused(value):
    sweep = f'[[sweeps]]\nname = "s"\nsetting = "alphas"\nvalues = [1, {value}]\n[figures]'
    told = refusal("[figures]", sweep)
    assert "[[sweeps]] 's' values has" in told and "numbers that are finite" in told


def test_of_a_list_with_a_bad_item_the_item_alone_is_named():
    told = refusal("[figures]", '[[tune]]\nname = "t"\nsubjects = ["S1"]\nranks = [0]\n[figures]')
    assert "ranks = 0 is not allowed" in told and "at least 1 item" not in told
    many = "".join(f'[[models]]\nname = "m{one}"\nmodel = "m"\n' for one in range(9))
    told = refusal("[figures]", f"{many}[figures]")
    assert "at most 12 items, not 14" in told and len(told) < 400, "not the whole list"
    assert "tuple" not in refusal('model = "base"', 'model = "base"\ntuned_on = 1').lower()


@pytest.mark.parametrize(
    ("more", "said", "next_step"),
    [
        ('[figures]\ntask = "phoen"', "task = 'phoen' is no probing task", "mean 'phone'"),
        (
            '[probe]\ntasks = ["mfcc", "word"]\n[figures]\ntask = "phone"',
            "'phone' is none of [probe] tasks",
            "Allowed: 'mfcc', 'word'",
        ),
        (
            '[[comparisons]]\na = "tuned"\nb = "log-mel"\n[[models]]\nname = "log-mel"\n'
            'model = "acoustic:logmel"\nencode = false',
            "'log-mel', which has encode = false",
            "let it encode",
        ),
        (
            '[[comparisons]]\na = "tuned"\nb = "base"\n[[comparisons]]\na = "base"\nb = "tuned"',
            "names 'base' and 'tuned' 2 times",
            "adjusted for itself",
        ),
        (
            '[[sweeps]]\nname = "s"\nsetting = "delays"\nvalues = [[1], [2]]\n'
            "encode = {delays = [3]}",
            "encode sets 'delays', which the sweep varies",
            "Leave it out",
        ),
        (
            '[[sweeps]]\nname = "s"\nsetting = "train_share"\nvalues = [0.5, 1.0, 1]\n'
            "encode = {train_draw = 3}",
            "encode sets 'train_draw'",
            "",
        ),
        (
            '[[sweeps]]\nname = "s"\nsetting = "train_share"\nvalues = [0.5, 1.0, 1]',
            "values has 1 twice",
            "each value once",
        ),
    ],
)
def test_what_a_file_asks_for_in_vain_is_named_but_its_record_is_read(more, said, next_step):
    text = GOOD
    if "[figures]" in more:
        text = text.replace('[figures]\nshown = ["late_language", "primary_auditory"]\n', "")
    if "[probe]" in more:
        text = text.replace("[probe]\n", "")
    tables = parse_study(f"{text}\n{more}\n", PLACE)
    found = list(vain_problems(tables))
    assert any(said in one.message and next_step in one.hint for one in found), found
    assert not list(vain_problems(parse_study(GOOD, PLACE)))


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
