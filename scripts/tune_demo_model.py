"""Brain-tune the demo's model on the simulated subjects' training stories.

    python scripts/tune_demo_model.py WORLD --output braindash/demo/models/tiny-hubert-tuned
    python scripts/tune_demo_model.py WORLD --method lora --output .../tiny-hubert-adapter
    python scripts/tune_demo_model.py WORLD --control shuffled

WORLD is where ``make_demo_corpus.py`` put the stories. This is ``braindash tune`` with the settings
below: they were chosen on the validation story; no test story plays a part. A run that was stopped
goes on after its last epoch.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

from demo_world import tuning_data

import braindash
from braindash.cli.output import progress_bar
from braindash.demo import MODEL_FOLDER
from braindash.io.demo import SUBJECTS

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


def main() -> None:
    """Tune with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="folder of stories")
    parser.add_argument("--output", type=Path, help="folder to copy the tuned model to")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--control", default="none")
    parser.add_argument("--seed", type=int, default=0, help="of the tuning")
    parser.add_argument("--world-seed", type=int, help="of the subjects; the demo's by default")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = SETTINGS | (ADAPTER_SETTINGS if arguments.method == "lora" else {})
    with progress_bar() as bar:
        manifest = tuning_data(arguments.world, arguments.world_seed, bar)
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
            **settings,
        )
    for epoch in result.record["history"]:
        logger.info("%s", epoch)
    logger.info("%s\n%s", result.line(), result.folder)


if __name__ == "__main__":
    main()
