"""Probe trials of the demo's model on recordings that are kept for this choice alone.

    python scripts/choose_demo_model.py WORLD NAME=FOLDER [NAME=FOLDER ...]

The recordings are the ``choice`` stories of ``make_demo_corpus.py``: no model hears them, no probe
that the demo shows is fitted or scored on them, and nobody listens to them in the simulation. No
brain score plays a part. Prints every task by layer, with the layer of its peak and how far the
last layer is below it, as a share of the peak above chance.
"""

import argparse
import json
import logging
from pathlib import Path

import pandas as pd

import braindash
from braindash.cli.options import progress_bar
from braindash.demo.requests import demo_categories

logger = logging.getLogger("choose_demo_model")

TASKS = ("phone", "word", "category", "mfcc")


def scores(name: str, folder: str, world: Path) -> pd.DataFrame:
    """Probe one model."""
    with progress_bar() as bar:
        result = braindash.probe(
            folder,
            labels="textgrid",
            labels_path=world,
            recordings=("demo_choice_*",),
            tasks=TASKS,
            categories=demo_categories(world),
            store=world / "store",
            progress=bar,
        )
    return result.table().assign(model=name)


def peaks(table: pd.DataFrame) -> pd.DataFrame:
    """Tell each task's curve, the layer of its peak and what the last layer lost of it."""
    rows = []
    for (model, task), one in table.groupby(["model", "task"], sort=False):
        curve = one.set_index("layer")["score"]
        above = curve.max() - one["chance_shuffled"].mean()
        rows.append(
            {
                "model": model,
                "task": task,
                "curve": " ".join(f"{score:.3f}" for score in curve),
                "peak": curve.idxmax(),
                "lost": (curve.max() - curve.iloc[-1]) / above,
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Probe the models of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="folder of stories")
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    models = dict(model.split("=", 1) for model in arguments.models)
    tables = [scores(name, folder, arguments.world) for name, folder in models.items()]
    table = pd.concat(tables, ignore_index=True)
    logger.info("%s", peaks(table).round(3).to_string(index=False))
    path = arguments.world / "choice.json"
    rows = json.loads(table.to_json(orient="records"))
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
