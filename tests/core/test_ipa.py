"""The International Phonetic Alphabet of aligners: what folds, what passes, what is no phone."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash.core.ipa import articulation, fold_ipa, uses_ipa
from braindash.core.phones import (
    ARPABET,
    ARTICULATIONS,
    MANNER_OF,
    PLACE_OF,
    VOICING_OF,
    class_of,
    made_as,
    phones_of,
)
from braindash.errors import InputError

# What the Montreal Forced Aligner's English dictionaries hold, versions 2 and 3.
ENGLISH = """a aj aw aː b bʲ c cʰ cʷ d dʒ dʲ d̪ e ej eː f fʲ fʷ h i iː j k kʰ kʷ kp l m mʲ m̩ n n̩
o ow oː p pʰ pʲ pʷ s t tʃ tʰ tʲ tʷ t̪ u uː v vʲ vʷ w z æ ç ð ŋ ɐ ɑ ɑː ɒ ɒː ɔ ɔj ɔː ɖ ɖʲ ə əw ɚ ɛ
ɛː ɜ ɜː ɝ ɟ ɟʷ ɡ ɡb ɡʷ ɪ ɫ ɫ̩ ɱ ɲ ɹ ɾ ɾʲ ɾ̃ ɾ̃ʲ ʃ ʈ ʈʲ ʈʷ ʉ ʉː ʊ ʋ ʎ ʒ θ""".split()
# Of its French, German, Mandarin, Japanese, Swedish, Vietnamese, Portuguese and other dictionaries.
OTHERS = """ɑ̃ ɔ̃ ɛ̃ ø œ y ʁ ɥ ɔʏ øː yː pf ts x ʏ a˥˩ aj˨˩˦ e˧˥ m̩˥ ŋ̍˨˩˦ tsʰ xʷ y˥˩ z̩˦ ʐ̩ ɻ ʂ ɕʷ ʈʂʰ tɕʷ
pʲː ɸʲː ɰ̃ ɴː i̥ ɯ̥ ɨ̥ dʑː ʑ ɾʲː l̪ n̪ t̪ʰ ɧ ɭ ɳ ɵ˥˧ øː˥˩ iə˨ˀ˥ aː˨˩ˀ k̚ ŋm ɓ ɗ ɣ β ʝ ɐ̃ ɐ̃w̃ ĩ õ sˤ tˤ q χ
ħ ʕ ɦ dzʲ tsʼ ɬ""".split()
# The rest of the alphabet's chart, letters of sinologists, and what stands before a stop in Hausa,
# Swahili or Zulu.
OTHERS += "ʡ ʘ ǀ ǃ ǂ ǁʰ ɡǀʱ ŋǃ ɿ˥ ʅ ʮ ʯ ȵ ȶ ȡ ƥ ƭ ᶑ ndʒ ɲdʑ mv nz ɯ˨ˀ˩ʔ".split()  # noqa: RUF001


def test_every_phone_of_english_is_folded():
    for label in ENGLISH:
        found = phones_of(label, ipa=True)
        assert found and set(found) <= set(ARPABET), label


@pytest.mark.parametrize(
    ("label", "phone"),
    [
        ("ɾ̃", "N"),
        ("ɾ̃ʲ", "N"),
        ("əw", "OW"),
        ("ow", "OW"),
        ("a", "AE"),
        ("e", "EY"),
        ("ej", "EY"),
        ("d̪", "D"),
        ("tʰ", "T"),
        ("t͡ʃ", "CH"),
        ("t͜ʃʰ", "CH"),
        ("ʧ", "CH"),
        ("ɝ", "ER"),
        ("ə˞", "ER"),
        ("aɪ̯", "AY"),
        ("ɫ̩", "L"),
        ("i˥˩", "IY"),
        ("ˈɛː", "EH"),
        ("ʁ", "ʁ"),
        ("ʁʷ", "ʁ"),
        ("y", "y"),
        ("ɑ̃", "ɑ̃"),
        ("t͡ɕʰ", "tɕ"),
        ("ts", "ts"),
        ("t͡s", "ts"),
        ("ɔʏ", "ɔʏ"),
        ("ŋ̍˨˩˦", "NG"),
        ("q", "q"),
        ("õ", "õ"),
        ("ʔj", "Y"),
        (r"\sw", "AH"),
        (r"\ng", "NG"),
        (r"\ae", "AE"),
        (r"t\sh", "CH"),
        (r"n\|v", "N"),
        (r"\as\:f", "AA"),
        (r"\as\~^", "ɑ̃"),
        (r"t\lip\cc", "tɕ"),
        ("ʔb", "B"),
    ],
)
def test_what_folds_and_what_passes(label, phone):
    assert phones_of(label, ipa=True) == (phone,)


def test_sounds_of_other_languages_are_one_phone_that_is_made_somehow():
    for label in OTHERS:
        (phone,) = phones_of(label, ipa=True)
        made = made_as(phone)
        assert made and made <= set(ARTICULATIONS), label
        for classes in (MANNER_OF, PLACE_OF, VOICING_OF):
            assert class_of(phone, classes) in set(classes.values()), (label, phone)


@pytest.mark.parametrize(
    ("phone", "manner", "place", "voicing"),
    [
        ("ʁ", "fricative", "velar", "voiced"),
        ("ts", "affricate", "alveolar", "voiceless"),
        ("dʑ", "affricate", "postalveolar", "voiced"),
        ("pf", "affricate", "labial", "voiceless"),
        ("ɑ̃", "vowel", "back", "voiced"),
        ("y", "vowel", "front", "voiced"),
        ("ɲ", "nasal", "palatal", "voiced"),
        ("ɥ", "approximant", "palatal", "voiced"),
        ("ǀ", "stop", "dental", "voiceless"),  # noqa: RUF001
        ("ɡǃ", "stop", "alveolar", "voiced"),  # noqa: RUF001
        ("ndʒ", "affricate", "postalveolar", "voiced"),
        ("AA", "vowel", "back", "voiced"),
        ("xx", "", "", ""),
    ],
)
def test_classes_of_phones(phone, manner, place, voicing):
    found = [class_of(phone, classes) for classes in (MANNER_OF, PLACE_OF, VOICING_OF)]
    assert found == [manner, place, voicing]


@pytest.mark.parametrize("label", ["yy", "blah", "XX", "3", "č", "ö", "ş", "цж", "-", "Ng̊h"])
def test_what_is_no_phone(label):
    assert fold_ipa(label) is None
    with pytest.raises(InputError, match="unknown"):
        phones_of(label)


def test_letters_of_two_alphabets_follow_the_data():
    assert phones_of("y") == ("Y",) and phones_of("y", ipa=True) == ("y",)
    assert phones_of("q") == () and phones_of("q", ipa=True) == ("q",)
    assert phones_of("sil", ipa=True) == phones_of("spn", ipa=True) == phones_of("ʔ") == ()
    assert uses_ipa(["t", "y", "ʁ"]) and uses_ipa(["aː"]) and uses_ipa(["a˥"])
    assert uses_ipa([r"\sw", "y"]) and not uses_ipa([r"C:\xy", "r\\", "y"])
    assert not uses_ipa(["AH0", "y", "sil"]) and not uses_ipa(["ш", "č", "é"])


# Length, stress, tone, ties, release, voice, syllables, place: none makes another phone.
MARKS = "ːˑˈˌʰʷʲˠˤʼˀ˥˦˧˨˩\u0325\u032a\u0329\u032f\u031a\u030d\u033a\u0361"


@given(
    label=st.sampled_from([*ENGLISH, *OTHERS]),
    marks=st.lists(st.sampled_from(MARKS), max_size=4),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_marks_and_forms_of_unicode_change_nothing(label, marks, form):
    marked = unicodedata.normalize(form, label + "".join(marks))
    assert fold_ipa(marked) == fold_ipa(label)


@given(st.text(max_size=6))
def test_any_text_is_folded_or_is_none(text):
    found = fold_ipa(text)
    for phone in found or ():
        assert phone in ARPABET or articulation(phone)
