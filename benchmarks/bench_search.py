"""The search for penalties beside scoring them all: how many are scored, and what is missed.

``python benchmarks/bench_search.py`` takes some minutes. Most targets are noise; a share of them
are of rare kinds, which follow strong, weak or middling directions of the features. For each share,
number of penalties, form and score to choose by: penalties scored for a target, the share of
targets whose score is that of the best penalty (within 1e-5), the same among the rare ones, the
largest loss, and the CPU seconds of scoring all over those of the search.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from braindash.core.ridge.model import RidgeCV
from braindash.core.timing import delayed

ALPHAS = {17: np.logspace(0, 8, 17), 10: np.logspace(1, 4, 10)}
SHARES = (0.03, 0.0075, 0.0015, 0.0)
EQUAL = 1e-5
# Directions of the features by size, how strongly targets follow them, and their noise.
KINDS = ((slice(0, 3), 30.0, 1.0), (slice(-30, None), 8.0, 0.3), (slice(20, 60), 8.0, 0.5))


def simulate(
    seed: int, share: float, n_targets: int, n_rows: int = 600, n_features: int = 64
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32], NDArray[np.int64]]:
    """Draw correlated features, noise, and rare targets; give these targets' columns too."""
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n_features, n_features)) / np.arange(1, n_features + 1)
    X = rng.standard_normal((n_rows, n_features)) @ mixing.T
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    groups = np.arange(n_rows) * 5 // n_rows
    design = delayed(X.astype(np.float32), groups=groups)
    directions = np.linalg.svd(design, full_matrices=False)[0]
    Y = rng.standard_normal((n_rows, n_targets)).astype(np.float32)
    n_each = round(share * n_targets / len(KINDS))
    rare = rng.permutation(n_targets)[: n_each * len(KINDS)].reshape(len(KINDS), n_each)
    for own, (some, gain, noise) in zip(rare, KINDS, strict=True):
        shown = directions[:, some]
        signal = shown @ rng.standard_normal((shown.shape[1], n_each))
        Y[:, own] = gain * signal + noise * Y[:, own]
    return X, groups, Y, rare.ravel()


def measure(
    share: float, n_alphas: int, method: str, metric: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Fit by the search and by scoring all, for some seeds."""
    scored, equal, rare_equal, worst, spent = [], [], [], 0.0, {"auto": 0.0, "full": 0.0}
    for seed in range(options.seeds):
        X, groups, Y, rare = simulate(seed, share, options.targets)
        found = {}
        for search in spent:
            plan = RidgeCV(
                X, groups, alphas=ALPHAS[n_alphas], method=method, metric=metric, search=search,
                device="cpu", threads=1,
            )  # fmt: skip
            started = time.process_time()
            found[search] = plan.fit(Y)
            spent[search] += time.process_time() - started
        lost = found["full"].best_cv_score - found["auto"].best_cv_score
        scored.append(np.isfinite(found["auto"].cv_score).sum(axis=0).mean())
        equal.append((lost <= EQUAL).mean())
        rare_equal += [(lost[rare] <= EQUAL).mean()] * bool(len(rare))
        worst = max(worst, float(lost.max()))
    return {
        "rare": share,
        "alphas": n_alphas,
        "form": method,
        "metric": metric,
        "scored": float(np.mean(scored)),
        "equal": float(np.mean(equal)),
        "equal, least": float(np.min(equal)),
        "equal of rare": float(np.mean(rare_equal)) if rare_equal else None,
        "largest loss": worst,
        "full over search": spent["full"] / spent["auto"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--targets", type=int, default=8000)
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        measure(share, n_alphas, method, metric, options)
        for share in SHARES
        for n_alphas in ALPHAS
        for method in ("primal", "dual")
        for metric in (("r2", "r") if n_alphas == 17 else ("r2",))
    ]
    for row in rows:
        told = "-" if row["equal of rare"] is None else f"{row['equal of rare']:.3f}"
        print(
            f"{row['rare']:7.2%} rare, {row['alphas']} alphas, {row['form']:6}, "
            f"by {row['metric']:2}: {row['scored']:.2f} scored, {row['equal']:.4%} equal "
            f"(least {row['equal, least']:.3%}), {told} of the rare, "
            f"largest loss {row['largest loss']:.0e}, "
            f"full takes {row['full over search']:.2f}x",
            flush=True,
        )
    if options.json is not None:
        options.json.write_text(json.dumps({"rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
