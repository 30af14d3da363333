"""The International Phonetic Alphabet: which letters a label is made of, and how they sound.

The rule, for the dictionaries of forced aligners in any language: marks of length, stress, tone,
syllables, aspiration, release, and of secondary or shifted articulation are taken off, ligatures
and tie bars are opened, letters that Praat writes in ASCII are read; what English has, in any of
its accents, is folded to ARPABET; other letters of the alphabet, affricates, diphthongs and nasal
vowels stay as they are.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_NASAL, _HOOK = "\u0303", "\u02de"
# One sign for what is written in several ways.
_SPELLINGS = {
    "g": "ɡ",
    "ʦ": "ts",
    "ʣ": "dz",
    "ʧ": "tʃ",
    "ʤ": "dʒ",
    "ʨ": "tɕ",
    "ʥ": "dʑ",
    "ǝ": "ə",
    "ε": "ɛ",
    "ɩ": "ɪ",
    "ɷ": "ʊ",
    "ꭓ": "χ",
}
# What Praat writes where it keeps to ASCII: a back-slash and two signs; its marks are no letters.
_PRAAT = dict(
    pair.split("=")
    for pair in """
    i-=ɨ u-=ʉ mt=ɯ ic=ɪ yc=ʏ hs=ʊ o/=ø e-=ɘ o-=ɵ rh=ɤ sw=ə ef=ɛ oe=œ er=ɜ kb=ɞ vt=ʌ ct=ɔ ae=æ at=ɐ
    Oe=ɶ as=ɑ ab=ɒ sr=ɚ t.=ʈ d.=ɖ j-=ɟ j.=ɟ gs=ɡ gc=ɢ ?-=ʡ ?g=ʔ mj=ɱ n.=ɳ nj=ɲ ng=ŋ nc=ɴ ff=ɸ bf=β
    tf=θ dh=ð sh=ʃ zh=ʒ s.=ʂ z.=ʐ cc=ɕ zc=ʑ c,=ç jc=ʝ gf=ɣ cf=χ ri=ʁ h-=ħ 9e=ʕ hc=ʜ 9-=ʢ h^=ɦ vs=ʋ
    rt=ɹ r.=ɻ ht=ɥ wt=ʍ ml=ɰ bc=ʙ rc=ʀ fh=ɾ rl=ɺ f.=ɽ l-=ɬ lz=ɮ l~=ɫ l.=ɭ yt=ʎ lc=ʟ hj=ɧ b^=ɓ d^=ɗ
    j^=ʄ g^=ɠ G^=ʛ O.=ʘ |1=ǀ |2=ǁ |-=ǂ :f=ː .f=ˑ '1=ˈ '2=ˌ hr=\u02de ~^=\u0303
    """.split()  # noqa: RUF001
)
_PRAAT_MARKS = "|v 0v vv Tv T^ T( T) -v +v :v ~v Nv Uv Dv nv 3v cv mv 0^ '^ -^ `^ v^ ^^ :^ N^ cn"
_PRAAT |= dict.fromkeys([*_PRAAT_MARKS.split(), "lip", "li"], "")
_BACKSLASHED = re.compile(r"\\(lip|..)")
# Signs of spelling that make another letter of it, on these letters: no marks of the alphabet.
_OTHER_LETTERS = {
    "\u0308": "aou",  # diaeresis
    "\u030c": "cdnrstz",  # caron
    "\u0301": "cnsz",  # acute
    "\u0327": "gklnst",  # cedilla
    "\u0328": "aeiou",  # ogonek
    "\u0307": "cegz",  # dot
}

# ɿ ʅ ʮ ʯ, ᴇ ᴀ and below ȶ ȡ ȵ ȴ are letters of sinologists.
_VOWELS = {
    "front high": "iɪ",
    "front high rounded": "yʏ",
    "front mid": "eɛᴇ",
    "front mid rounded": "øœ",
    "front low": "aæ",
    "front low rounded": "ɶ",
    "central high": "ɨᵻɿʅ",
    "central high rounded": "ʉʮʯ",
    "central mid": "əɘɜʌ",
    "central mid rounded": "ɵɞ",
    "central mid rhotic": "ɚɝ",
    "central low": "ɐᴀ",
    "back high": "ɯ",
    "back high rounded": "uʊ",
    "back mid": "ɤ",
    "back mid rounded": "oɔ",
    "back low": "ɑ",
    "back low rounded": "ɒ",
}
# Retroflex and alveolo-palatal count as postalveolar, uvular as velar, pharyngeal as glottal; taps
# and trills as approximants, implosives and clicks as stops.
_CONSONANTS = {
    "stop labial": "pƥʘ",
    "voiced stop labial": "bɓ",
    "stop dental": "ǀ",  # noqa: RUF001 - a letter of the alphabet
    "stop alveolar": "tƭǃ",  # noqa: RUF001
    "stop lateral alveolar": "ǁ",
    "voiced stop alveolar": "dɗ",
    "stop postalveolar": "ʈ",
    "voiced stop postalveolar": "ɖᶑ",
    "stop palatal": "cƈȶǂ",
    "voiced stop palatal": "ɟʄȡ",
    "stop velar": "kƙqʠ",
    "voiced stop velar": "ɡɠɢʛ",
    "stop glottal": "ʡ",
    "fricative labial": "fɸ",
    "voiced fricative labial": "vβ",
    "fricative dental": "θ",
    "voiced fricative dental": "ð",
    "fricative alveolar": "s",
    "voiced fricative alveolar": "z",
    "fricative lateral alveolar": "ɬꞎ",
    "voiced fricative lateral alveolar": "ɮ",
    "fricative postalveolar": "ʃʂɕɧʆ",
    "voiced fricative postalveolar": "ʒʐʑʓ",
    "fricative palatal": "ç",
    "voiced fricative palatal": "ʝ",
    "fricative velar": "xχ",
    "voiced fricative velar": "ɣʁ",
    "fricative glottal": "hħʜ",
    "voiced fricative glottal": "ɦʕʢ",
    "voiced nasal labial": "mɱ",
    "voiced nasal alveolar": "n",
    "voiced nasal postalveolar": "ɳ",
    "voiced nasal palatal": "ɲȵ",
    "voiced nasal velar": "ŋɴ",
    "voiced approximant lateral alveolar": "lɫɺ",
    "voiced approximant lateral postalveolar": "ɭ",
    "voiced approximant lateral palatal": "ʎȴ",
    "voiced approximant lateral velar": "ʟ",
    "voiced approximant alveolar rhotic": "ɹrɾɼ",
    "voiced approximant postalveolar rhotic": "ɻɽ",
    "voiced approximant velar rhotic": "ʀ",
    "voiced approximant labial": "ʋʙⱱ",
    "voiced approximant labial velar rounded": "w",
    "approximant labial velar rounded": "ʍ",
    "voiced approximant palatal": "j",
    "voiced approximant palatal rounded": "ɥ",
    "voiced approximant velar": "ɰ",
}
_LETTERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        letter: frozenset(f"{kind} {made}".split())
        for kind, table in (("voiced vowel", _VOWELS), ("", _CONSONANTS))
        for made, letters in table.items()
        for letter in letters
    }
)
_GLIDES = frozenset("jwɥɹɰ")
_CLICKS = frozenset("ʘǀǃǁǂ")

# Broad transcription of General American; rhotic vowels and syllabic consonants of one label are
# two phones. Then how aligners write other accents, and what these accents say for a phone.
_ENGLISH = {
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
    "əm": "AH M",
    "ən": "AH N",
    "ju": "Y UW",
    "b": "B",
    "tʃ": "CH",
    "d": "D",
    "ɾ": "D",
    "ð": "DH",
    "f": "F",
    "ɡ": "G",
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
    "a": "AE",
    "e": "EY",
    "o": "OW",
    "ɒ": "AA",
    "ʉ": "UW",
    "ɨ": "IH",
    "aw": "AW",
    "ɑʊ": "AW",
    "æʊ": "AW",
    "æw": "AW",
    "aj": "AY",
    "ɑɪ": "AY",
    "ɑj": "AY",
    "ej": "EY",
    "ɛɪ": "EY",
    "ɛj": "EY",
    "ow": "OW",
    "əw": "OW",
    "əʊ": "OW",
    "ɔj": "OY",
    "oj": "OY",
    "oɪ": "OY",
    "əɹ": "ER",
    "ɜɹ": "ER",
    "eə": "EH",
    "ɛə": "EH",
    "ɪə": "IH",
    "ʊə": "UH",
    "ɫ": "L",
    "ʎ": "L",
    "ɱ": "M",
    "ɲ": "N",
    "ɾ" + _NASAL: "N",
    "ɽ" + _NASAL: "N",
    "c": "K",
    "ɟ": "G",
    "ç": "HH",
    "ɦ": "HH",
    "ʈ": "T",
    "ɖ": "D",
    "ʋ": "V",
    "ʍ": "W",
    "ɻ": "R",
    "ɓ": "B",
    "ɗ": "D",
    "ɠ": "G",
    "kp": "P",
    "ɡb": "B",
}


def uses_ipa(labels: Iterable[str]) -> bool:
    """Say whether labels are of this alphabet: one of them has a letter that no other has."""
    return any(
        (ord(letter) > 127 and letter in _LETTERS) or letter in "ʔːˈˌ˥˦˧˨˩"
        for label in labels
        for letter in unicodedata.normalize("NFC", _unslashed(label))
    )


def fold_ipa(label: str) -> tuple[str, ...] | None:
    """Translate a label by the rule of this module.

    Parameters
    ----------
    label : str
        Such as ``"ɾ̃ʲ"``, ``"a˥˩"`` or ``"t͡ɕʰ"``.

    Returns
    -------
    tuple of str, or None
        Phones of ARPABET where English has the sound, none for a glottal stop; else the letters
        that are left, as one. None where that is no phone of this alphabet.
    """
    letters = _letters_of(label)
    if letters is None:
        return None
    if letters in _ENGLISH:
        return tuple(_ENGLISH[letters].split())
    return (unicodedata.normalize("NFC", letters),) if _is_phone(letters) else None


def articulation(phone: str) -> frozenset[str] | None:
    """Say how a phone of :func:`fold_ipa` that ARPABET lacks is made; None where nobody knows.

    A diphthong is made as it begins, an affricate is one from its place on.
    """
    letters = unicodedata.normalize("NFD", phone).replace("c\u0327", "ç").replace(_NASAL, "")
    if not _is_phone(letters):
        return None
    made = [_LETTERS[letter] for letter in letters]
    if len(made) == 1:
        return made[0]
    if "vowel" in made[0]:
        return made[0] | {"diphthong"}
    if "stop" in made[0] and "fricative" in made[1]:
        return made[1] - {"fricative", "voiced"} | {"affricate"} | (made[0] & {"voiced"})
    if letters[-1] in _CLICKS:  # what stands before one is its voice
        return made[-1] | (made[0] & {"voiced"})
    if "nasal" in made[0] and len(made) > 2:
        return articulation(letters[1:])
    return made[-1]


def _unslashed(label: str) -> str:
    """Write Praat's back-slashed signs as the letters that they stand for."""
    if "\\" not in label:
        return label
    return _BACKSLASHED.sub(lambda found: _PRAAT.get(found[1], found[0]), label)


def _letters_of(label: str) -> str | None:
    """Take the marks off a label; None where signs of spelling make other letters of it."""
    text = unicodedata.normalize("NFD", _unslashed(label.strip())).replace("c\u0327", "ç")
    for one, other in (("ə" + _HOOK, "ɚ"), ("ɜ" + _HOOK, "ɝ"), (_HOOK, "ɹ")):
        text = text.replace(one, other)
    kept = ""
    for sign in text:
        if sign == _NASAL or unicodedata.category(sign) in ("Ll", "Lo"):
            kept += _SPELLINGS.get(sign, sign)
        elif unicodedata.category(sign) in ("Lu", "Lt") or (
            kept and kept[-1] in _OTHER_LETTERS.get(sign, "")
        ):
            return None
    if len(kept) > 1 and kept.strip("ʔ"):  # beside another sound it is a mark, like ˀ
        kept = kept.strip("ʔ")
    return kept or None


def _is_phone(letters: str) -> bool:
    """Say whether letters without marks are one sound of some language."""
    plain = letters.replace(_NASAL, "")
    if not plain or any(letter not in _LETTERS for letter in plain):
        return False
    made = [_LETTERS[letter] for letter in plain]
    if len(made) == 1:
        return True
    if len(set(plain)) < len(plain) or len(plain) > 3:
        return False
    if "vowel" in made[0]:  # a diphthong
        return all("vowel" in one or at in _GLIDES for one, at in zip(made, plain, strict=True))
    if "nasal" in made[0] and len(plain) > 2:  # a prenasalised affricate
        return "stop" in made[1] and _is_phone(plain[1:])
    if len(plain) > 2:
        return False
    first, second = made
    affricate = {"stop", "nasal"} & first and "fricative" in second and "glottal" not in second
    doubled = {"stop", "nasal"} & first and {"stop", "nasal"} & second
    glide = plain[0] in _GLIDES and "vowel" in second
    return bool(affricate or doubled) or glide
