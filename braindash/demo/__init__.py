"""The demo world: synthetic stories, a tiny speech model, and simulated subjects.

Everything here is made up. It shows that the pipeline can find an effect that was put in; it is
no evidence about brains.
"""

from dataclasses import dataclass
from pathlib import Path

from braindash.files import parse_json

DEMO_FOLDER = Path(__file__).parent
AUDIO_FOLDER = DEMO_FOLDER / "audio"
ANNOTATION_FOLDER = DEMO_FOLDER / "textgrids"
MODEL_FOLDER = DEMO_FOLDER / "models" / "tiny-hubert"
TUNED_FOLDER = DEMO_FOLDER / "models" / "tiny-hubert-tuned"
ADAPTER_FOLDER = DEMO_FOLDER / "models" / "tiny-hubert-tuned-lora"
SHUFFLED_FOLDER = DEMO_FOLDER / "models" / "tiny-hubert-control-shuffled"
TEXT_FOLDER = DEMO_FOLDER / "models" / "tiny-hubert-control-text"

TRAIN_STORIES = tuple(f"demo_train_{number:02d}" for number in range(1, 6))
VALID_STORIES = ("demo_valid_01",)
TEST_STORIES = ("demo_test_01",)
PROBE_STORIES = tuple(f"demo_probe_{number:02d}" for number in range(1, 5))
STORIES_WITH_RESPONSES = TRAIN_STORIES + VALID_STORIES + TEST_STORIES
SHIPPED_STORIES = STORIES_WITH_RESPONSES + PROBE_STORIES


@dataclass(frozen=True)
class Lexicon:
    """The words of the demo's stories.

    Attributes
    ----------
    category_of : dict of str to str
        Category of every content word.
    categories : tuple of str
        All categories, in a fixed order.
    noun_categories : tuple of str
        The categories whose words are nouns.
    function_words : frozenset of str
        Words that carry no category.
    """

    category_of: dict[str, str]
    categories: tuple[str, ...]
    noun_categories: tuple[str, ...]
    function_words: frozenset[str]

    def words(self, category: str) -> tuple[str, ...]:
        """List the words of one category, in the order of the file."""
        return tuple(word for word, name in self.category_of.items() if name == category)


def load_lexicon() -> Lexicon:
    """Read the demo's lexicon (package data ``lexicon.json``)."""
    raw = parse_json((DEMO_FOLDER / "lexicon.json").read_text(encoding="utf-8"))
    return Lexicon(
        category_of={word: name for name, words in raw["categories"].items() for word in words},
        categories=tuple(raw["categories"]),
        noun_categories=tuple(raw["noun_categories"]),
        function_words=frozenset(raw["function_words"]),
    )
