"""What choosing targets by one ceiling or another does to a perfect model's mean r / ceiling.

``python benchmarks/calibration/ceilings.py`` simulates targets that are all alike, chosen by the
ceiling that divides, by that of every second presentation, and by that of a training story of
300 rows which was presented as often; half a minute. ``--write`` puts the table into the page
Science.
"""

import argparse

import numpy as np
from written import replaced

from braindash.core.ceiling_selection import Selecting, ceiling_selection

THRESHOLD, TRAINING_ROWS, N_SEEDS = 0.4, 300, 4
# Rows, presentations, share of signal.
CASES = (
    (150, 2, 0.05),
    (150, 4, 0.05),
    (300, 2, 0.1),
    (300, 4, 0.03),
    (300, 10, 0.03),
    (150, 10, 0.1),
)


def found(rows: int, repeats: int, share: float, selected: Selecting | None) -> str:
    """Return the mean over seeds, with the share of targets that are chosen."""
    made = [
        ceiling_selection(rows, repeats, THRESHOLD, share, seed, selected=selected)
        for seed in range(N_SEEDS)
    ]
    ratio = np.mean([one.ratio for one in made])
    return f"{ratio:.2f} ({np.mean([one.crossing for one in made]):.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="into the page Science")
    options = parser.parse_args()
    lines = [
        "| rows, presentations, signal | chosen by the same | by halves | by a training story |",
        "| --- | --- | --- | --- |",
    ]
    for rows, repeats, share in CASES:
        halves = Selecting(rows, repeats // 2, other_story=False)
        training = Selecting(TRAINING_ROWS, repeats, other_story=True)
        told = [
            found(rows, repeats, share, None),
            found(rows, repeats, share, halves) if repeats >= 4 else "not possible",
            found(rows, repeats, share, training),
        ]
        lines.append(f"| {rows}, {repeats}, {share:.0%} | {' | '.join(told)} |")
    print("\n".join(lines))
    if options.write:
        replaced("ceilings", lines)


if __name__ == "__main__":
    main()
