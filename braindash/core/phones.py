"""Phones: one alphabet for the labels of several sources, and how each phone is made.

Which labels of a word tier are words is told here too: aligners mark pauses alike in both tiers.
"""

import re
import unicodedata
from collections.abc import Mapping
from types import MappingProxyType

from braindash.errors import InputError

# The 39 phones of the CMU Pronouncing Dictionary, without stress.
ARPABET = tuple(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W "
    "Y Z ZH".split()
)

ARTICULATIONS = (
    # voicing
    "voiced",
    # manner
    "vowel",
    "approximant",
    "lateral",
    "nasal",
    "stop",
    "fricative",
    "affricate",
    # place of consonants
    "labial",
    "dental",
    "alveolar",
    "postalveolar",
    "palatal",
    "velar",
    "glottal",
    # place of vowels
    "front",
    "central",
    "back",
    "high",
    "mid",
    "low",
    "rounded",
    "diphthong",
    "rhotic",
)

# After Ladefoged and Johnson, A Course in Phonetics (General American). A diphthong has the
# features of where it begins, and "diphthong"; an affricate has a place and a manner of its own.
_MADE = {
    "AA": "voiced vowel back low",
    "AE": "voiced vowel front low",
    "AH": "voiced vowel central mid",
    "AO": "voiced vowel back mid rounded",
    "AW": "voiced vowel central low diphthong",
    "AY": "voiced vowel central low diphthong",
    "EH": "voiced vowel front mid",
    "ER": "voiced vowel central mid rhotic",
    "EY": "voiced vowel front mid diphthong",
    "IH": "voiced vowel front high",
    "IY": "voiced vowel front high",
    "OW": "voiced vowel back mid rounded diphthong",
    "OY": "voiced vowel back mid rounded diphthong",
    "UH": "voiced vowel back high rounded",
    "UW": "voiced vowel back high rounded",
    "B": "voiced stop labial",
    "D": "voiced stop alveolar",
    "G": "voiced stop velar",
    "P": "stop labial",
    "T": "stop alveolar",
    "K": "stop velar",
    "CH": "affricate postalveolar",
    "JH": "voiced affricate postalveolar",
    "DH": "voiced fricative dental",
    "TH": "fricative dental",
    "F": "fricative labial",
    "V": "voiced fricative labial",
    "S": "fricative alveolar",
    "Z": "voiced fricative alveolar",
    "SH": "fricative postalveolar",
    "ZH": "voiced fricative postalveolar",
    "HH": "fricative glottal",
    "M": "voiced nasal labial",
    "N": "voiced nasal alveolar",
    "NG": "voiced nasal velar",
    "L": "voiced approximant lateral alveolar",
    "R": "voiced approximant alveolar rhotic",
    "W": "voiced approximant labial velar rounded",
    "Y": "voiced approximant palatal",
}
ARTICULATION_OF: Mapping[str, frozenset[str]] = MappingProxyType(
    {phone: frozenset(text.split()) for phone, text in _MADE.items()}
)

# Every phone has exactly one of these articulations.
MANNERS = ("vowel", "approximant", "nasal", "stop", "fricative", "affricate")
MANNER_OF: Mapping[str, str] = MappingProxyType(
    {
        phone: next(manner for manner in MANNERS if manner in made)
        for phone, made in ARTICULATION_OF.items()
    }
)
# Where a consonant is made; for a vowel, where the tongue is highest. W, made in two places, counts
# as labial.
PLACES = (
    "labial dental alveolar postalveolar palatal velar glottal front central back".split()
)  # fmt: skip
PLACE_OF: Mapping[str, str] = MappingProxyType(
    {
        phone: next(place for place in PLACES if place in made)
        for phone, made in ARTICULATION_OF.items()
    }
)
VOICING_OF: Mapping[str, str] = MappingProxyType(
    {
        phone: "voiced" if "voiced" in made else "voiceless"
        for phone, made in ARTICULATION_OF.items()
    }
)

# Allophones and closures of TIMIT, folded as by Lee and Hon (1989) as far as ARPABET allows.
_TIMIT = {
    "AX": "AH",
    "AX-H": "AH",
    "AXR": "ER",
    "IX": "IH",
    "UX": "UW",
    "EL": "L",
    "EM": "M",
    "EN": "N",
    "ENG": "NG",
    "NX": "N",
    "DX": "D",
    "HV": "HH",
    "BCL": "B",
    "DCL": "D",
    "GCL": "G",
    "PCL": "P",
    "TCL": "T",
    "KCL": "K",
}
# Pauses, noises and glottal stops: no phone is spoken.
_NO_PHONE = frozenset(
    ["", "SIL", "SP", "SPN", "NSN", "NS", "BR", "LG", "LS", "CG", "SL", "PAU", "EPI", "H#", "Q"]
)
# The International Phonetic Alphabet, broad transcription of General American; rhotic vowels and
# syllabic consonants of one label are two phones.
_IPA = {
    "ɑ": "AA",
    "æ": "AE",
    "ə": "AH",
    "ʌ": "AH",
    "ɐ": "AH",
    "ɔ": "AO",
    "aʊ": "AW",
    "aɪ": "AY",
    "ɛ": "EH",
    "ɚ": "ER",
    "ɜ": "ER",
    "ɝ": "ER",
    "eɪ": "EY",
    "ɪ": "IH",
    "ᵻ": "IH",
    "i": "IY",
    "oʊ": "OW",
    "ɔɪ": "OY",
    "ʊ": "UH",
    "u": "UW",
    "ɑɹ": "AA R",
    "ɔɹ": "AO R",
    "oɹ": "AO R",
    "ɪɹ": "IH R",
    "ɛɹ": "EH R",
    "ʊɹ": "UH R",
    "əl": "AH L",
    "ən": "AH N",
    "b": "B",
    "tʃ": "CH",
    "d": "D",
    "ɾ": "D",
    "ð": "DH",
    "f": "F",
    "ɡ": "G",
    "g": "G",
    "h": "HH",
    "dʒ": "JH",
    "k": "K",
    "l": "L",
    "m": "M",
    "n": "N",
    "ŋ": "NG",
    "p": "P",
    "ɹ": "R",
    "r": "R",
    "s": "S",
    "ʃ": "SH",
    "t": "T",
    "θ": "TH",
    "v": "V",
    "w": "W",
    "j": "Y",
    "z": "Z",
    "ʒ": "ZH",
    "ʔ": "",
    # how the Montreal Forced Aligner writes some of them
    "a": "AE",
    "ɒ": "AA",
    "ʉ": "UW",
    "aw": "AW",
    "aj": "AY",
    "ej": "EY",
    "ow": "OW",
    "ɔj": "OY",
    "ɫ": "L",
    "ʎ": "L",
    "ɱ": "M",
    "ɲ": "N",
    "c": "K",
    "ɟ": "G",
    "ç": "HH",
}
# The 61 labels of TIMIT in the 39 groups of Lee and Hon, "Speaker-independent phone recognition
# using hidden Markov models", IEEE Trans. ASSP 37 (1989): first the labels that stand for
# themselves, then those that are folded. The glottal stop "q" is left out.
SILENCE = "sil"
TIMIT_PHONES = tuple(
    "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w "
    "y z".split()
)
_LEE_HON: Mapping[str, str | None] = MappingProxyType(
    {phone: phone for phone in TIMIT_PHONES}
    | {"ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "ix": "ih", "ux": "uw", "zh": "sh"}
    | {"el": "l", "em": "m", "en": "n", "nx": "n", "eng": "ng", "hv": "hh"}
    | dict.fromkeys("bcl dcl gcl pcl tcl kcl h# pau epi".split(), SILENCE)
    | {"q": None}
)
# Marks of aligners in word tiers; others stand in brackets.
_NO_WORD = frozenset(["", "sp", "sil", "spn"])
_STRESS = re.compile(r"[0-2]$")
_IN_BRACKETS = re.compile(r"[\[{<(].*[\]}>)]$")
# Length, stress, tie bar, aspiration, rounding, palatalisation, dental and syllabic marks.
_IPA_MARKS = str.maketrans("", "", "\u02d0\u02c8\u02cc\u0361\u02b0\u02b7\u02b2\u032a\u0329")


def phones_of(label: str) -> tuple[str, ...]:
    """Translate the label of a phone tier.

    Parameters
    ----------
    label : str
        ARPABET with or without stress digits (``"AH0"``), TIMIT's phones (``"ax-h"``, closures
        such as ``"tcl"`` count as their stop) or broad IPA (``"ɔːɹ"``); in doubt ARPABET. Labels
        in brackets and the usual marks of pauses and noises are no phones.

    Returns
    -------
    tuple of str
        Members of :data:`ARPABET`: one as a rule, two for a label such as ``"ɑːɹ"``, none for a
        pause or a noise.

    Raises
    ------
    InputError
        When the label belongs to none of these alphabets.
    """
    text = label.strip()
    plain = _STRESS.sub("", text.upper())
    if plain in _NO_PHONE or _IN_BRACKETS.match(text):
        return ()
    # Where a letter stands in both alphabets it is the same phone, but for IPA's rare "y".
    if plain in ARTICULATION_OF:
        return (plain,)
    if plain in _TIMIT:
        return (_TIMIT[plain],)
    bare = unicodedata.normalize("NFC", text).translate(_IPA_MARKS)
    if bare in _IPA:
        return tuple(_IPA[bare].split())
    raise InputError(
        f"the phone label {label!r} is unknown",
        hint=f"Allowed are ARPABET ({', '.join(ARPABET)}; with or without stress digits), the "
        "phones of TIMIT and broad IPA; other sounds and noises go in brackets, such as <noise>.",
    )


def fold_timit(label: str) -> str | None:
    """Fold a phone of TIMIT into one of 39 groups.

    Parameters
    ----------
    label : str
        One of the 61 labels of TIMIT's ``.PHN`` files.

    Returns
    -------
    str or None
        One of :data:`TIMIT_PHONES`, :data:`SILENCE` for closures and pauses, or None for the
        glottal stop, which Lee and Hon leave out.

    Raises
    ------
    InputError
        When TIMIT has no such label.
    """
    try:
        return _LEE_HON[label.strip().lower()]
    except KeyError as error:
        raise InputError(
            f"{label!r} is no phone of TIMIT",
            hint=f"The labels of its .PHN files are {', '.join(sorted(_LEE_HON))}.",
        ) from error


def is_word(label: str) -> bool:
    """Say whether the label of a word tier is a word: no pause, and nothing in brackets."""
    text = label.strip().lower()
    return text not in _NO_WORD and not _IN_BRACKETS.match(text)
