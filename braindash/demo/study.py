"""The embedded study: the demo's models and controls, as the file that a lab would write."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from braindash.demo import (
    ADAPTER_FOLDER,
    MODEL_FOLDER,
    SHUFFLED_FOLDER,
    TEXT_FOLDER,
    TUNED_FOLDER,
)
from braindash.demo.dataset import prepare_demo
from braindash.demo.requests import UNHEARD_STORIES, demo_categories, demo_word_vectors
from braindash.files import replace_text
from braindash.io.store import Store
from braindash.progress import NoProgress, Progress
from braindash.studies.study import Study

STUDY_FILE = "study.toml"
_TEXT = Template(
    """\
# The embedded study (simulated data): what `braindash study run demo` computes.
name = "demo"
title = "Brain-tuning in the embedded demo"
note = "Synthetic speech and simulated subjects: it shows what was put in, not what brains do."
data = "manifest.toml"

[encode]
strategy = "chunk"
low_level = "residual"

[probe]
recordings = $recordings
categories = $categories
strategy = "chunk"

[[models]]
name = "pretrained"
model = $model
role = "base"

[[models]]
name = "brain-tuned"
model = $tuned
role = "tuned"
base = "pretrained"

[[models]]
name = "brain-tuned, adapters"
model = $adapter
role = "tuned"
base = "pretrained"
probe = false

[[models]]
name = "tuned to shuffled responses"
model = $shuffled
role = "control"
base = "pretrained"

[[models]]
name = "tuned to words"
model = $text
role = "control"
base = "pretrained"

[[models]]
name = "untrained"
model = $untrained
role = "control"
base = "pretrained"

[[models]]
name = "log-mel"
model = "acoustic:logmel"
role = "control"
encode = false

[[models]]
name = "word categories"
model = $words
role = "other"
probe = false

[[comparisons]]
a = "brain-tuned"
b = "pretrained"

[[comparisons]]
a = "brain-tuned, adapters"
b = "pretrained"

[[comparisons]]
a = "brain-tuned"
b = "tuned to shuffled responses"

[[comparisons]]
a = "brain-tuned"
b = "tuned to words"

[[comparisons]]
a = "pretrained"
b = "untrained"

# What is varied has intervals of fewer samples, and no test of every target.
[[sweeps]]
name = "low-level"
setting = "low_level_space"
values = $spaces
models = ["pretrained", "brain-tuned"]
encode = $quick

[[sweeps]]
name = "lags"
setting = "delays"
values = [[0], [1], [2], [3], [4], [5]]
models = ["pretrained"]
encode = $quick

[[sweeps]]
name = "context"
setting = "context_seconds"
values = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]
models = ["pretrained"]
encode = $quick

[[sweeps]]
name = "efficiency"
setting = "train_share"
values = [0.2, 0.6, 1.0]
draws = 2
models = ["pretrained", "brain-tuned"]
encode = $quick

[figures]
task = "word"
"""
)
# Each of the low-level spaces of arXiv 2410.09230, then all of them together.
_SPACES = ("spectrum", "diphones", "triphones", "articulation")


def demo_study(store: Store, progress: Progress | None = None) -> Study:
    """Prepare the embedded demo's data, write its study's file beside them, and load it.

    Parameters
    ----------
    store : Store
        In whose folder ``demo`` the data lie.
    progress : Progress, optional
        Told of every story.
    """
    manifest = prepare_demo(store.demo_folder, progress or NoProgress())
    categories = demo_categories(manifest.parent)
    words = demo_word_vectors(manifest.parent)
    path, text = manifest.parent / STUDY_FILE, _text(categories, words)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        replace_text(path, text)
    return Study.load(path)


def _text(categories: Path, words: Path) -> str:
    spaces = [f"acoustic:{name}" for name in _SPACES]
    told: Mapping[str, object] = {
        "recordings": list(UNHEARD_STORIES),
        "categories": categories.name,
        "words": f"words:{words.name}",
        "model": str(MODEL_FOLDER),
        "tuned": str(TUNED_FOLDER),
        "adapter": str(ADAPTER_FOLDER),
        "shuffled": str(SHUFFLED_FOLDER),
        "text": str(TEXT_FOLDER),
        "untrained": f"untrained:{MODEL_FOLDER}",
        "spaces": [*spaces, "+".join(spaces)],
    }
    # Strings and lists of TOML are those of JSON.
    texts = {name: json.dumps(one) for name, one in told.items()}
    return _TEXT.substitute(texts | {"quick": "{n_permutations = 0, n_bootstraps = 200}"})
