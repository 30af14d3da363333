"""What the null panel of the embedded demo scores: nothing, save where it says why.

``python benchmarks/calibration/nulls.py --store FOLDER`` computes the panel of one subject of the
demo in a store (the demo's data are made there first), with all rows and with ``history = "full"``,
and prints the median r of every null over all targets. ``--subject`` takes another one. It fails
where a null that cannot know anything has a median of 0.01 or more and the result does not warn.
"""

import argparse
import sys
from pathlib import Path

import torch

from braindash.demo import MODEL_FOLDER
from braindash.demo.dataset import prepare_demo
from braindash.encoding.nulls.panel import null_panel, null_warnings
from braindash.encoding.result import EncodingResult
from braindash.encoding.run import run_encoding
from braindash.io.regions.masks import WHOLE
from braindash.io.store import Store
from braindash.requests import EncodeRequest
from braindash.specs import HISTORIES, History

# Nulls that hear nothing of the sound; the others are expected above 0.
KNOW_NOTHING = ("constant", "ramp", "onset", "time-shifted")
GOAL = 0.01


def panel_of(store: Store, subject: str, history: History) -> EncodingResult:
    """Score the nulls of the pretrained model for one subject."""
    request = EncodeRequest(
        data=prepare_demo(store.demo_folder),
        model=str(MODEL_FOLDER),
        subject=subject,
        strategy="chunk",
        history=history,
        null_panel=True,
        n_permutations=0,
        n_bootstraps=0,
        threads=1,
    )
    return run_encoding(request, store)


def main() -> int:
    """Print the table; return how many nulls are off without a warning."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--subject", default="S1")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    store, off = Store(asked.store), 0
    print("| history | null | median r | mean r |\n| --- | --- | --- | --- |")
    for history in HISTORIES:
        result = panel_of(store, asked.subject, history)
        table, warnings = null_panel(result), null_warnings(result)
        assert table is not None  # it was asked for
        for row in table[table["region"] == WHOLE].itertuples():
            median = f"{row.null_median:+.4f}" if row.scored else "no score"
            print(f"| {history} | {row.null} | {median} | {row.null_r:+.4f} |")
            too_much = row.null in KNOW_NOTHING and abs(row.null_median) >= GOAL
            off += bool(too_much and not any(row.null in line for line in warnings))
        print("\n".join(f"warning: {line}" for line in warnings))
    return off


if __name__ == "__main__":
    sys.exit(main())
