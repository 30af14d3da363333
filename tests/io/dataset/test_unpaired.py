"""Stories of which only half is there are told, by a run as by the check of the data."""

import pytest

from braindash.checking.structure import look
from braindash.io.dataset.check import check_subject

EVERY = ('valid = ["tree"]', 'valid = ["tree"]\ntrain = "*"')


def told(lab, *changes):
    dataset = lab.load(EVERY, *changes)
    said = check_subject(dataset, "S1").warnings
    found = look(dataset, "S1").findings
    # One home: both say the same, once.
    for text in said:
        if "sound" in text:
            assert sum(text.startswith(one.message) for one in found) == 1, text
    return said


def test_whole_stories_are_not_spoken_of(lab):
    assert not any("no responses" in text or "recording" in text for text in told(lab))


@pytest.mark.parametrize("ending", [".gz", "\n", " "])
def test_sound_whose_responses_have_another_name_is_told(lab, ending):
    path = lab.responses("S1", "alpha")
    path.rename(path.with_name(path.name + ending))
    [text] = [text for text in told(lab) if "no responses" in text]
    assert text.startswith("1 story has sound but no responses of 'S1' (left out): 'alpha';")
    assert f"near them lie {path.name + ending!r}" in text


def test_responses_without_sound_are_told(lab):
    lab.audio("alpha").unlink()
    lab.audio("beta").rename(lab.audio("beta").with_name("beta .flac"))
    said = told(lab)
    [text] = [text for text in said if "no recording" in text]
    assert "2 stories have responses of 'S1' but no recording" in text
    assert "'alpha', 'beta'" in text
    assert any("sound but no responses" in text and "'beta '" in text for text in said)


def test_responses_that_are_read_by_another_spelling_are_not_spoken_of(lab):
    lab.audio("alpha").rename(lab.audio("alpha").with_name("ALPHA.FLAC"))
    assert not any("no recording" in text or "no responses" in text for text in told(lab))


@pytest.mark.parametrize("ending", [".m4a", ".WMA", ".wav ", ".aiff"])
def test_sound_that_is_not_looked_at_is_named(lab, ending):
    path = lab.audio("alpha")
    path.rename(path.with_name(f"alpha{ending}"))
    said = told(lab)
    assert any("not looked at" in text and repr(f"alpha{ending}") in text for text in said)
    assert any("no recording" in text and "'alpha'" in text for text in said)


def test_sound_that_no_split_asks_for_is_not_told(lab):
    lab.responses("S1", "alpha").unlink()
    train = (EVERY[0], EVERY[0] + '\ntrain = ["beta", "gamma"]')
    dataset = lab.load(train)
    said = [*check_subject(dataset, "S1").warnings]
    said += [one.message for one in look(dataset, "S1").findings]
    assert not any("no responses" in text for text in said)


def test_a_file_that_is_another_storys_is_not_given_away(lab):
    other = lab.audio("alpha").with_name("Alpha.flac")
    other.write_bytes(lab.audio("beta").read_bytes())
    dataset = lab.load(EVERY)
    assert "Alpha" not in dataset.stories("S1") and "alpha" in dataset.stories("S1")
    assert any("no responses" in text and "'Alpha'" in text for text in told(lab))
    # Alone, it is the same story in another spelling.
    lab.audio("alpha").unlink()
    assert "Alpha" in lab.load(EVERY).stories("S1")
