"""The embedded study: the demo's models and controls, as the file that a lab would write."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template

from braindash.demo import ADAPTER_FOLDER, MODEL_FOLDER, TUNED_FOLDER
from braindash.demo.dataset import prepare_demo
from braindash.demo.requests import UNHEARD_STORIES, demo_categories
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
name = "untrained"
model = $untrained
role = "control"
base = "pretrained"

[[models]]
name = "log-mel"
model = "acoustic:logmel"
role = "control"
encode = false

[[comparisons]]
a = "brain-tuned"
b = "pretrained"

[[comparisons]]
a = "brain-tuned, adapters"
b = "pretrained"

[[comparisons]]
a = "pretrained"
b = "untrained"

[figures]
task = "word"
"""
)


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
    path, text = manifest.parent / STUDY_FILE, _text(categories)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        replace_text(path, text)
    return Study.load(path)


def _text(categories: Path) -> str:
    told: Mapping[str, object] = {
        "recordings": list(UNHEARD_STORIES),
        "categories": categories.name,
        "model": str(MODEL_FOLDER),
        "tuned": str(TUNED_FOLDER),
        "adapter": str(ADAPTER_FOLDER),
        "untrained": f"untrained:{MODEL_FOLDER}",
    }
    # Strings and lists of TOML are those of JSON.
    return _TEXT.substitute({name: json.dumps(one) for name, one in told.items()})
