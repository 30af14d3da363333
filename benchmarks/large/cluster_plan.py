"""What a study of public size takes on a cluster, from the rates that were measured on one core.

``python benchmarks/large/cluster_plan.py`` prints the table of docs/cluster.md: parts, hours of one
core, memory and disk of LeBel's subjects with base models, on some nodes, and ten times as many.
Seconds and memory of one subject and model are those of docs/performance.md (``bench_scale.py``);
features are counted, and take what braindash itself expects of an ordinary core (``braindash encode
--check``). Nothing is computed.
"""

import argparse
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from braindash.parts import PROCESS_BYTES
from braindash.speech.windows import extraction_seconds

RATES = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
N_LAYERS, WIDTH, N_TARGETS = 13, 768, 95_556
STORY_ROWS, TR_SECONDS = (350,) * 26 + (361,), 2.0
N_TEST = 361
MEMORY_SHARE = 0.8  # of a node, as braindash.parts leaves room


def measured(what: str) -> float:
    """Read one figure of the page on performance."""
    found = re.search(rf"\| scale: lebel, {what} \| ([\d.]+) \|", RATES.read_text("utf-8"))
    if found is None:
        raise SystemExit(f"{RATES} has no 'scale: lebel, {what}': run bench_scale.py --write")
    return float(found[1])


def base_model() -> Any:
    """Return a base HuBERT, as far as counting needs it."""
    from transformers import HubertConfig

    sizes = {"n_layers": N_LAYERS, "n_features": WIDTH, "padded_samples": None}
    config = HubertConfig().to_dict()
    return SimpleNamespace(family="hubert", config=config, precision="float32", **sizes)


def plan(n_subjects: int, n_models: int, n_nodes: int, cores: int, memory: float) -> list[str]:
    """Return the figures of one study, as cells of a table."""
    n_results, n_stories = n_subjects * n_models, len(STORY_ROWS)
    heard = [(rows + 1) * TR_SECONDS for rows in STORY_ROWS]
    listening = n_models * sum(extraction_seconds(base_model(), s, "chunk") for s in heard)
    fitting = n_results * measured("seconds in one process")
    largest = max(measured("planned GB of a process") * 1e9, PROCESS_BYTES)
    side_by_side = n_nodes * max(1, min(cores, int(MEMORY_SHARE * memory // largest)))
    features = 4.0 * n_models * N_LAYERS * WIDTH * sum(STORY_ROWS)
    predictions = 2.0 * n_results * N_LAYERS * N_TEST * N_TARGETS
    results = 20.0 * n_results * N_LAYERS * N_TARGETS
    n_parts = n_models * n_stories + n_results * (N_LAYERS + 1)
    return [
        f"{n_subjects} subjects, {n_models} models",
        f"{n_parts:,}",
        f"{listening / 3600:.0f} + {fitting / 3600:.0f}",
        f"{largest / 1e9:.1f}",
        f"{side_by_side}",
        f"{(listening + fitting) / side_by_side / 3600:.1f}",
        f"{features / 1e9:.0f} + {predictions / 1e9:.0f} + {results / 1e9:.0f}",
    ]


HEAD = (
    "study",
    "parts",
    "hours of one core: features + fits",
    "GB of memory, largest part",
    "parts at a time",
    "hours",
    "GB of disk: features + predictions + results",
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Print what a study takes on a cluster.")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--cores", type=int, default=32, help="of each node")
    parser.add_argument("--memory", type=float, default=256.0, help="GB of each node")
    asked = parser.parse_args()
    machines = asked.nodes, asked.cores, asked.memory * 1e9
    print(f"| {' | '.join(HEAD)} |\n| {' | '.join('---' for _ in HEAD)} |")
    for n_subjects, n_models in ((8, 12), (8, 120)):
        print(f"| {' | '.join(plan(n_subjects, n_models, *machines))} |")


if __name__ == "__main__":
    main()
