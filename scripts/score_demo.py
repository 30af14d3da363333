"""Score the demo's models on test stories that played no part in any choice.

    python scripts/score_demo.py WORLD NAME=FOLDER [NAME=FOLDER ...] [--world-seed N]

The first model is the base; every other is compared with it, and every tuned model with every
control, subject by subject, on the stories of ``demo_world.scoring_data``. Prints two regions at
the last layer, by how much late language gained more than primary auditory there, and probes (noun
categories with words that the probe has not learnt from); writes all layers and regions to
WORLD/scores-scoring-SEED.json.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
from demo_world import scoring_data

import braindash
from braindash.cli.options import progress_bar
from braindash.core.statistics.bootstrap import interval
from braindash.demo.requests import SUBJECTS, demo_categories
from braindash.progress import said_once
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.tuning.record import read_record

logger = logging.getLogger("score_demo")

REGIONS = ("late_language", "primary_auditory")
ENCODING: dict[str, Any] = {"strategy": "chunk", "n_permutations": 0}
# Recordings that no tuning has heard.
PROBE: dict[str, Any] = {
    "tasks": ("category", "word", "phone", "mfcc"),
    "recordings": ("demo_probe_*", "demo_test_*", "demo_pretrain_*"),
}


def encode_all(
    models: dict[str, str], manifest: Path, store: Path, threads: int
) -> dict[str, list[Any]]:
    """Encode every subject with every model."""
    found: dict[str, list[Any]] = {}
    settings = ENCODING | {"threads": threads}
    with progress_bar() as bar:
        for name, folder in models.items():
            found[name] = [
                braindash.encode(manifest, folder, subject, store=store, progress=bar, **settings)
                for subject in SUBJECTS
            ]
    return found


def pairs_of(models: dict[str, str]) -> list[tuple[str, str]]:
    """List what is compared: all with the first model, then what was tuned with each control."""
    base, *others = models
    tuned = [name for name in others if (Path(models[name]) / TUNING_RECORD).is_file()]
    controls = {name for name in tuned if read_record(Path(models[name]))["control"] != "none"}
    return [(name, base) for name in others] + [
        (name, control) for name in tuned for control in tuned
        if name not in controls and control in controls
    ]  # fmt: skip


def differences(encoded: dict[str, list[Any]], pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Tabulate the first of each pair minus the second: each subject, and the mean of all."""
    tables = []
    for name, other in pairs:
        for subject, one, than in zip(SUBJECTS, encoded[name], encoded[other], strict=True):
            pair = braindash.compare([one], [than])
            tables.append(pair.regions().assign(model=name, minus=other, subject=subject))
        both = braindash.compare(encoded[name], encoded[other])
        tables.append(both.regions().assign(model=name, minus=other, subject="all"))
    return pd.concat(tables, ignore_index=True)


def last_layer(result: Any) -> "pd.Series[float]":
    """Return the mean r of every region."""
    table = result.regions()
    return table[table["layer"] == table["layer"].max()].set_index("region")["r"]


def contrasts(encoded: dict[str, list[Any]], pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """Take the change of the second of REGIONS from that of the first, at the last layer."""
    rows = []
    for name, base in pairs:
        for one, other in zip(encoded[name], encoded[base], strict=True):
            # the replicates of both models draw the same test rows
            drawn = (one.region_samples - other.region_samples).isel(layer=-1)
            drawn = drawn.sel(region=REGIONS[0]) - drawn.sel(region=REGIONS[1])
            low, high = interval(drawn.values, n_units=one.n_blocks)
            change = last_layer(one) - last_layer(other)
            rows.append(
                {
                    "model": name,
                    "minus": base,
                    "subject": one.subject,
                    "contrast": change[REGIONS[0]] - change[REGIONS[1]],
                    "low": float(low),
                    "high": float(high),
                }
            )
    return pd.DataFrame(rows)


def probe_all(models: dict[str, str], manifest: Path, store: Path) -> pd.DataFrame:
    """Probe every model, of semantic categories with nouns that the probe has not learnt from."""
    table = demo_categories(manifest.parent)
    with progress_bar() as bar, said_once():
        found = [
            braindash.probe(folder, manifest, categories=table, store=store, progress=bar, **PROBE)
            .table()
            .assign(model=name)
            for name, folder in models.items()
        ]
    return pd.concat(found, ignore_index=True)


def main() -> None:
    """Score the models of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", type=Path, help="folder of stories")
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER", help="the base first")
    parser.add_argument("--world-seed", type=int, help="of the subjects; the demo's by default")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if len(arguments.models) < 2:
        parser.error("give the base and at least one model to compare with it")
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logger.setLevel(logging.INFO)
    models = dict(model.split("=", 1) for model in arguments.models)
    store = arguments.world / "store"
    with progress_bar() as bar:
        manifest = scoring_data(arguments.world, arguments.world_seed, bar)
    encoded = encode_all(models, manifest, store, arguments.threads)
    pairs = pairs_of(models)
    table, contrast = differences(encoded, pairs), contrasts(encoded, pairs)
    last = table[(table["layer"] == table["layer"].max()) & table["region"].isin(REGIONS)]
    columns = ["model", "minus", "subject", "region", "a", "b", "difference", "low", "high"]
    logger.info("last layer\n%s", last[columns].round(3).to_string(index=False))
    logger.info("change of %s minus %s\n%s", *REGIONS, contrast.round(3).to_string(index=False))
    probed = probe_all(models, manifest, store)
    shown = ["model", "task", "layer", "score", "low", "high", "chance_shuffled"]
    logger.info("probes\n%s", probed[shown].round(3).to_string(index=False))
    document = {
        "base": pairs[0][1],
        "models": models,
        "contrasts": json.loads(contrast.to_json(orient="records")),
        "encoding": json.loads(table.to_json(orient="records")),
        "probing": json.loads(probed.to_json(orient="records")),
    }
    path = arguments.world / f"scores-{manifest.parent.name}.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    logger.info("%s", path)


if __name__ == "__main__":
    main()
