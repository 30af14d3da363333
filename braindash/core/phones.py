"""Phones: one alphabet for the labels of several sources, and how each phone is made.

Which labels of a word tier are words is told here too: aligners mark pauses alike in both tiers.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from braindash.core.ipa import articulation, fold_ipa
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
# Kaldi and gentle say where in its word a phone stands: begin, inside, end, single.
_PLACE = re.compile(r"(?<=\w)_[BIES]$")
# A tone of pinyin and the like, which is no stress: their letters are others than those of IPA.
_TONE = re.compile(r"[A-Za-z:]+[3-9]$")
_IN_BRACKETS = re.compile(r"[\[{<(].*[\]}>)]$")


def phones_of(label: str, *, ipa: bool = False) -> tuple[str, ...]:
    """Translate the label of a phone tier.

    Parameters
    ----------
    label : str
        ARPABET with or without stress digits (``"AH0"``), TIMIT's phones (``"ax-h"``, closures
        such as ``"tcl"`` count as their stop) or IPA (``"ɔːɹ"``), by the rule of
        :mod:`braindash.core.ipa`. The place of Kaldi's phones (``"AH0_B"``) is cut off. Labels in
        brackets and the usual marks of pauses and noises are no phones.
    ipa : bool, default False
        Whether a label that stands in several alphabets is IPA's: there "y" is a vowel and "q" a
        stop. :func:`braindash.core.ipa.uses_ipa` tells it from all labels of the data.

    Returns
    -------
    tuple of str
        Members of :data:`ARPABET`, or the letters of a sound that English lacks: one as a rule, two
        for a label such as ``"ɑːɹ"``, none for a pause or a noise.

    Raises
    ------
    InputError
        When the label belongs to none of these alphabets.
    """
    text = _PLACE.sub("", label.strip())
    plain = _STRESS.sub("", text.upper())
    if _IN_BRACKETS.match(text) or (plain in _NO_PHONE and not (ipa and text == "q")):
        return ()
    found = fold_ipa(text) if ipa else None
    if found is None and plain in ARTICULATION_OF:
        return (plain,)
    if found is None and plain in _TIMIT:
        return (_TIMIT[plain],)
    if found is None and not _TONE.match(text):
        found = fold_ipa(text)
    if found is not None:
        return found
    raise InputError(
        f"the phone label {label!r} is unknown",
        hint=f"Allowed are ARPABET ({', '.join(ARPABET)}; with or without stress digits), the "
        "phones of TIMIT and IPA; other sounds and noises go in brackets, such as <noise>.",
    )


def made_as(phone: str) -> frozenset[str]:
    """Say how a phone of :func:`phones_of` is made: some of :data:`ARTICULATIONS`, or nothing."""
    return ARTICULATION_OF.get(phone) or articulation(phone) or frozenset()


def class_of(phone: str, classes: Mapping[str, str]) -> str:
    """Say which class a phone of :func:`phones_of` has.

    Parameters
    ----------
    phone : str
        Of ARPABET, or the letters of another sound.
    classes : mapping of str to str
        :data:`VOICING_OF`, :data:`MANNER_OF` or :data:`PLACE_OF`.

    Returns
    -------
    str
        Empty where it is not known how the phone is made.
    """
    if phone in classes:
        return classes[phone]
    made, names = made_as(phone), set(classes.values())
    if not made:
        return ""
    found = (name for name in (*MANNERS, *PLACES, "voiced") if name in made & names)
    return next(found, "voiceless" if "voiceless" in names else "")


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
