"""What the embedded demo asks for: its models, its subjects, the requests and what names them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from braindash.demo import (
    ADAPTER_FOLDER,
    MODEL_FOLDER,
    PROBE_STORIES,
    SHUFFLED_FOLDER,
    TEST_STORIES,
    TEXT_FOLDER,
    TUNED_FOLDER,
    load_lexicon,
)
from braindash.files import digest_json, replace_text
from braindash.requests import EncodeRequest, ProbeRequest
from braindash.specs import current_version
from braindash.speech.checkpoints.locate import locate

GENERATOR_VERSION = 4
"""Rises with every change of the stories, of the simulation or of the layout."""

DEMO_MODELS: Mapping[str, Path] = MappingProxyType(
    {
        folder.name: folder
        for folder in (MODEL_FOLDER, TUNED_FOLDER, ADAPTER_FOLDER, SHUFFLED_FOLDER, TEXT_FOLDER)
    }
)
"""The speech models that ship: pretrained, tuned to the simulated subjects with all weights and by
adapters, and two controls, tuned to responses in another order and to the words alone."""

SCORED_MODELS = (MODEL_FOLDER, TUNED_FOLDER)
"""Those whose scores the demo computes, before and after brain-tuning; all are in the menus."""

SUBJECTS = ("S1", "S2", "S3")

UNHEARD_STORIES = PROBE_STORIES + TEST_STORIES
"""Stories that no model of the demo was trained or tuned on."""

MANIFEST_NAME = "manifest.toml"
_CATEGORIES = "noun-categories.csv"
_VECTORS = "word-categories.txt"


def demo_requests(manifest: Path) -> list[EncodeRequest]:
    """Return the encoding runs of the embedded demo: every subject, before and after tuning."""
    return [
        EncodeRequest(
            data=manifest,
            model=str(folder),
            subject=subject,
            strategy="chunk",
            low_level="residual",
        )
        for subject in SUBJECTS  # one after the other: the first can be compared early
        for folder in SCORED_MODELS
    ]


def demo_probe_requests(manifest: Path) -> list[ProbeRequest]:
    """Return the probing runs of the embedded demo: before and after tuning, and the controls.

    The recordings are those that no model of the demo was trained or tuned on. Controls are a
    model of the same form with random weights, and the log-mel spectrum.
    """
    folders = [str(folder) for folder in SCORED_MODELS]
    models = [*folders, f"untrained:{folders[0]}", "acoustic:logmel"]
    return [
        ProbeRequest(
            data=manifest,
            model=model,
            recordings=UNHEARD_STORIES,
            categories=manifest.parent / _CATEGORIES,
            strategy="chunk",
        )
        for model in models
    ]


def demo_categories(folder: Path | str) -> Path:
    """Write the category of every noun of the demo as a table; give its path.

    Verbs and adjectives are left out: they stand elsewhere in a sentence, so that a probe could
    tell their categories by grammar alone.
    """
    lexicon = load_lexicon()
    nouns = [f"{word},{name}" for name in lexicon.noun_categories for word in lexicon.words(name)]
    path, text = Path(folder) / _CATEGORIES, "\n".join(["word,category", *nouns]) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        replace_text(path, text)
    return path


def demo_word_vectors(folder: Path | str) -> Path:
    """Write a vector for every content word of the demo, its category one of n; give the file."""
    lexicon = load_lexicon()
    rows = {name: place for place, name in enumerate(lexicon.categories)}
    lines = [
        " ".join([word, *("01"[place == rows[category]] for place in range(len(rows)))])
        for word, category in sorted(lexicon.category_of.items())
    ]
    path, text = Path(folder) / _VECTORS, "\n".join(lines) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        replace_text(path, text)
    return path


def demo_identity() -> str:
    """Name what the demo computes: it changes with its data, its models and the computation."""
    models = {folder.name: locate(str(folder)).fingerprint for folder in SCORED_MODELS}
    asked = [*demo_requests(Path(MANIFEST_NAME)), *demo_probe_requests(Path(MANIFEST_NAME))]
    return digest_json(
        {
            "task": "demo",
            "generator": GENERATOR_VERSION,
            "models": models,
            "encoding": current_version("encoding"),
            "probing": current_version("probing"),
            "settings": [
                one.model_dump(mode="json", exclude={"data", "model", "categories"})
                for one in asked
            ],
        }
    )
