"""Brain-tune the demo's model on the simulated subjects' training stories.

    python scripts/tune_demo_model.py WORLD --ship
    python scripts/tune_demo_model.py WORLD --method lora --ship
    python scripts/tune_demo_model.py WORLD --control shuffled --ship --steps-of TUNED
    python scripts/tune_demo_model.py WORLD --control text --ship --steps-of TUNED

WORLD is where ``make_demo_corpus.py`` put the stories, TUNED the folder of the tuned model that
ships. This is ``braindash tune`` with the settings below: they were chosen on the validation story;
no test story plays a part. A run that was stopped goes on after its last epoch. ``--ship`` puts the
model into the package, without the paths of this machine and, but for controls, with the losses of
a short run that can be repeated from the package alone; the cards of the models that ship are
written anew, since each names the controls beside it.
"""

import argparse
import json
import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from demo_world import text_vectors, tuning_data

import braindash
from braindash.cli.options import progress_bar
from braindash.demo import (
    ADAPTER_FOLDER,
    MODEL_FOLDER,
    SHUFFLED_FOLDER,
    TEXT_FOLDER,
    TRAIN_STORIES,
    TUNED_FOLDER,
)
from braindash.demo.dataset import prepare_demo
from braindash.demo.requests import SUBJECTS
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.speech.checkpoints.locate import ADAPTER_CONFIG
from braindash.tuning.card import write_card
from braindash.tuning.record import read_record
from braindash.tuning.result import TuningResult

logger = logging.getLogger("tune_demo_model")

SETTINGS: dict[str, Any] = {
    "targets": "train-repeats",
    "threshold": 0.4,
    "limit": 1500,
    "segment_trs": 31,
    "attention_trs": 3,
    "batch_rows": 27,
    "encoder_rate": 6e-4,
    "head_rate": 5e-4,
    "mask_share": 0.05,
    "epochs": 15,
    "patience": 5,
}
# Adapters hold few weights and start from nothing: they need larger steps.
ADAPTER_SETTINGS: dict[str, Any] = {"method": "lora", "rank": 8, "encoder_rate": 2e-3}
# A run of seconds on stories that ship; the first story's repeats choose its targets.
CHECK: dict[str, Any] = {"train": TRAIN_STORIES[:2], "epochs": 2}
METHODS = ("full", "lora")
# By what was tuned how: (control, method).
SHIPPED_FOLDERS = {
    ("none", "full"): TUNED_FOLDER,
    ("none", "lora"): ADAPTER_FOLDER,
    ("shuffled", "full"): SHUFFLED_FOLDER,
    ("text", "full"): TEXT_FOLDER,
}


def settings_of(method: str) -> dict[str, Any]:
    """Return all settings of a method."""
    return SETTINGS | (ADAPTER_SETTINGS if method == "lora" else {})


def further(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a control learns from, and how many steps it has."""
    given: dict[str, Any] = {}
    if arguments.control == "text":
        given["words"] = text_vectors(arguments.world, arguments.world_seed)
    if arguments.steps_of is not None:
        given["steps"] = read_record(arguments.steps_of)["steps"]["kept"]
    return given


def check_record(method: str, manifest: Path, store: Path) -> dict[str, Any]:
    """Tune for a few epochs on shipped stories: what a test can repeat without espeak-ng."""
    settings = settings_of(method) | CHECK
    short = braindash.tune(manifest, MODEL_FOLDER, SUBJECTS, store=store, threads=1, **settings)
    history = [
        {name: epoch[name] for name in ("epoch", "loss", "validation_r")}
        for epoch in short.record["history"]
    ]
    return {"train": list(CHECK["train"]), "history": history}


def ship(result: TuningResult, control: str, method: str) -> Path:
    """Put a tuned model into the package, beside its base."""
    folder = SHIPPED_FOLDERS[control, method]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(result.folder, folder)
    record = json.loads((folder / TUNING_RECORD).read_text(encoding="utf-8"))
    record["base"]["source"] = MODEL_FOLDER.name
    if control == "none":
        with TemporaryDirectory() as place:
            record["check"] = check_record(method, prepare_demo(Path(place) / "demo"), Path(place))
    write_json(folder / TUNING_RECORD, record)
    for one in SHIPPED_FOLDERS.values():
        if (one / TUNING_RECORD).is_file():
            write_card(one)
    if method == "lora":
        config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = f"../{MODEL_FOLDER.name}"
        write_json(folder / ADAPTER_CONFIG, config)
    return folder


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a document as the other records of the package are."""
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Tune with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="folder of stories")
    parser.add_argument("--output", type=Path, help="folder to copy the tuned model to")
    parser.add_argument("--ship", action="store_true", help="put it into the package")
    parser.add_argument("--method", choices=METHODS, default="full")
    parser.add_argument("--control", default="none")
    parser.add_argument(
        "--steps-of", type=Path, help="tuned model whose kept weights took so many steps"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the tuning")
    parser.add_argument("--world-seed", type=int, help="of the subjects; the demo's by default")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.ship and (arguments.control, arguments.method) not in SHIPPED_FOLDERS:
        parser.error("the package has no place for this control and method")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with progress_bar() as bar:
        manifest = tuning_data(arguments.world, arguments.world_seed, bar)
        given = further(arguments)
        result = braindash.tune(
            manifest,
            MODEL_FOLDER,
            SUBJECTS,
            out=arguments.output,
            store=arguments.world / "store",
            progress=bar,
            control=arguments.control,
            seed=arguments.seed,
            threads=arguments.threads,
            **settings_of(arguments.method) | given,
        )
    for epoch in result.record["history"]:
        logger.info("%s", epoch)
    logger.info("%s\n%s", result.line(), result.folder)
    if arguments.ship:
        logger.info("%s", ship(result, arguments.control, arguments.method))


if __name__ == "__main__":
    main()
