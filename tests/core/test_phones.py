"""Alphabets of phones: TIMIT's 39 groups, manners, and what is a word."""

from collections import Counter

import pytest

from braindash.core.phones import (
    ARPABET,
    ARTICULATION_OF,
    MANNER_OF,
    MANNERS,
    SILENCE,
    TIMIT_PHONES,
    fold_timit,
    is_word,
    phones_of,
)
from braindash.errors import InputError

# The 61 labels of TIMIT's phoncode.doc, by its own headings.
STOPS = "b d g p t k dx q"
CLOSURES = "bcl dcl gcl pcl tcl kcl"
AFFRICATES = "jh ch"
FRICATIVES = "s sh z zh f th v dh"
NASALS = "m n ng em en eng nx"
GLIDES = "l r w y hh hv el"
VOWELS = "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h"
OTHERS = "pau epi h#"
ALL = f"{STOPS} {CLOSURES} {AFFRICATES} {FRICATIVES} {NASALS} {GLIDES} {VOWELS} {OTHERS}".split()


def test_61_labels_become_39_groups():
    assert len(ALL) == len(set(ALL)) == 61
    groups = Counter(fold_timit(label) for label in ALL)
    assert groups.pop(None) == 1 and fold_timit("q") is None
    assert len(groups) == 39 and set(groups) == {*TIMIT_PHONES, SILENCE}
    assert groups[SILENCE] == 9  # six closures, pau, epi, h#
    # Lee and Hon's classes of more than one label, but for silence.
    shared = {phone: number for phone, number in groups.items() if number > 1 and phone != SILENCE}
    assert shared == {
        "aa": 2, "ah": 3, "er": 2, "hh": 2, "ih": 2, "l": 2, "m": 2, "n": 3, "ng": 2, "sh": 2,
        "uw": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "folded"),
    [("AO", "aa"), ("ax-h", "ah"), (" ix ", "ih"), ("zh", "sh"), ("H#", "sil"), ("dx", "dx")],
)
def test_single_foldings(label, folded):
    assert fold_timit(label) == folded


def test_folding_agrees_with_arpabet_where_both_are_defined():
    """The folded label is the same phone, but for what Lee and Hon do not tell apart."""
    for label in set(ALL) - set(CLOSURES.split()) - {"q"}:
        folded = fold_timit(label)
        if folded == SILENCE:
            assert phones_of(label) == ()
        elif label not in ("ao", "zh"):
            assert phones_of(label) == phones_of(folded)


@pytest.mark.parametrize("label", ["", "xx", "AH0", "sil"])
def test_labels_that_timit_has_not_are_refused(label):
    with pytest.raises(InputError, match="no phone of TIMIT"):
        fold_timit(label)


def test_every_phone_has_one_manner():
    assert set(MANNER_OF) == set(ARPABET)
    for phone in ARPABET:
        assert ARTICULATION_OF[phone] & set(MANNERS) == {MANNER_OF[phone]}
    assert Counter(MANNER_OF.values()) == {
        "vowel": 15, "fricative": 9, "stop": 6, "approximant": 4, "nasal": 3, "affricate": 2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "word"),
    [("The", True), ("a", True), ("", False), (" ", False), ("SIL", False), ("<unk>", False),
     ("{SL}", False), ("[noise]", False), ("o'clock", True), ("(", True)],
)  # fmt: skip
def test_words_and_pauses(label, word):
    assert is_word(label) is word


@pytest.mark.parametrize(
    ("label", "phones"),
    [("AH0_B", ("AH",)), ("dh_S", ("DH",)), ("ɹ_I", ("R",)), ("SIL_S", ()), ("sil_B", ())],
)
def test_the_place_of_a_phone_in_its_word_is_cut_off(label, phones):
    assert phones_of(label) == phones


def test_tones_of_other_alphabets_are_no_stress():
    for label in ("i3", "ao4", "uang5"):
        with pytest.raises(InputError, match="unknown"):
            phones_of(label)
    assert phones_of("i3", ipa=True) == ("IY",)  # beside letters that IPA alone has
