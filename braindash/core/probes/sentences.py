"""Words of sentences, and how many of them are told wrongly."""

from collections.abc import Sequence
from unicodedata import category, normalize

MARK = "|"
"""Between what tells a sentence from others of its recording, and its text."""


def spoken_words(text: str) -> list[str]:
    """Return the words of a text in small letters, without marks but apostrophes."""
    kept = [
        letter if letter == "'" or category(letter)[0] in "LMN" else " "
        for letter in normalize("NFC", text).casefold().replace("\u2019", "'")
    ]
    return "".join(kept).split()


def word_errors(true: Sequence[str], told: Sequence[str]) -> int:
    """Count the substitutions, deletions and insertions that lead from one to the other."""
    row = list(range(len(told) + 1))
    for number, word in enumerate(true, 1):
        before, row[0] = row[0], number
        for place, other in enumerate(told, 1):
            least = min(row[place] + 1, row[place - 1] + 1, before + (word != other))
            before, row[place] = row[place], least
    return row[-1]
