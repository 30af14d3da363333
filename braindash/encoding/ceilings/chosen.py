"""What the threshold on a noise ceiling chose in a stored result, and what chance would choose."""

from collections.abc import Sequence

import numpy as np

from braindash.core.ceiling_selection import (
    Selecting,
    Selection,
    ceiling_selection,
    signal_share,
)
from braindash.core.statistics.words import counted
from braindash.encoding.result import EncodingResult

# A perfect model within this of 1 needs no word.
_TOLD_BIAS = 0.02


def selection_line(result: EncodingResult, ceiling: str | None = None) -> str:
    """Say what a perfect model's mean r / ceiling would be, and how many targets cross by chance.

    Parameters
    ----------
    result : EncodingResult
        Any.
    ceiling : str, optional
        One of its ceilings; the default one when left out.

    Returns
    -------
    str
        Empty without a ceiling, and for one that was given; of those that others' data are part of,
        that nothing is simulated.
    """
    name = ceiling or result.ceiling_name
    if name in (None, "given"):
        return ""
    if name != "repeats":
        return (
            f"targets are chosen by a noisy ceiling ({name}); how much that moves the mean is not "
            "simulated for it"
        )
    n_repeats = result.provenance.get("n_repeats")
    if n_repeats is None:
        return (
            "targets are chosen by a noisy ceiling; how much that moves the mean is not stated, as "
            "the result does not say how many repeats there were"
        )
    values = result.named_ceiling(name)[result.valid]
    threshold = result.ceiling_threshold(name)
    share = signal_share(values, int(n_repeats))
    if not np.isfinite(share):
        return ""
    shape, other = (result.n_scored_rows, int(n_repeats), threshold), _selecting(result)
    by_chance = ceiling_selection(*shape, 0.0, selected=other)
    here = ceiling_selection(*shape, share, selected=other)
    above = int(result.divided(name)[result.valid].sum())
    expected = by_chance.crossing * len(values)
    return (
        f"{counted(above, 'target')} of {len(values):,} {_by(result, threshold)}; without any "
        "signal "
        f"{expected:,.0f} would cross by chance ({by_chance.crossing:.0%}); {_perfect(here)} "
        f"(simulated: {n_repeats} repeats, {result.n_scored_rows} rows, {share:.0%} signal, as the "
        "median target has)"
    )


def selections_line(results: Sequence[EncodingResult], ceiling: str | None = None) -> str:
    """Say the same of several results: of each its own line, named by subject where they differ.

    Parameters
    ----------
    results : sequence of EncodingResult
        Of one subject or several.
    ceiling : str, optional
        One of their ceilings; the default one of each when left out.
    """
    told = {one.subject: selection_line(one, ceiling) for one in results}
    lines = list(dict.fromkeys(line for line in told.values() if line))
    if len(lines) < 2:
        return "".join(lines)
    return "; ".join(f"{subject}: {line}" for subject, line in told.items() if line)


def _by(result: EncodingResult, threshold: float) -> str:
    if result.selection == "same":
        return f"above {threshold:g}"
    return f"with a {result.chosen_line('repeats')}"


def _selecting(result: EncodingResult) -> Selecting | None:
    """Return the shape of other data that chose the targets."""
    if result.selection == "same":
        return None
    told = result.provenance["selecting"]
    return Selecting(told["n_rows"], told["n_repeats"], result.selection == "training")


def _perfect(found: Selection) -> str:
    if not np.isfinite(found.ratio):
        return "hardly any target with the median's signal crosses at all"
    bias = "unbiased" if abs(found.ratio - 1) <= _TOLD_BIAS else "biased by this choice"
    return f"a perfect model's mean r / ceiling would be {found.ratio:.2f} ({bias})"
