"""What the demo's probes are asked about: recordings, and the categories of their nouns."""

import os
from pathlib import Path

from braindash.demo import PROBE_STORIES, TEST_STORIES, load_lexicon

UNHEARD_STORIES = PROBE_STORIES + TEST_STORIES
"""Stories that no model of the demo was trained or tuned on."""

_CATEGORIES = "noun-categories.csv"


def demo_categories(folder: Path | str) -> Path:
    """Write the category of every noun of the demo as a table; give its path.

    Verbs and adjectives are left out: they stand elsewhere in a sentence, so that a probe could
    tell their categories by grammar alone.
    """
    lexicon = load_lexicon()
    nouns = [f"{word},{name}" for name in lexicon.noun_categories for word in lexicon.words(name)]
    path, text = Path(folder) / _CATEGORIES, "\n".join(["word,category", *nouns]) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    return path
