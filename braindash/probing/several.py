"""Mean and standard error of probing scores over models that were asked the same."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from braindash.errors import InputError
from braindash.probing.result import ProbingResult


def probing_mean(results: Sequence[ProbingResult]) -> pd.DataFrame:
    """Average the scores of several models, as papers show tuned models.

    The standard error is ``sd / sqrt(n)`` over the n models, ``sd`` with n - 1: it says how much
    models differ, as those tuned to other subjects or from other seeds do, not how sure a score is.

    Parameters
    ----------
    results : sequence of ProbingResult
        Two or more, with equal ``questions``, as many layers, and no result twice.

    Returns
    -------
    pandas.DataFrame
        One row per layer of every task that all of them have: ``task``, ``layer``, ``mean``,
        ``se``, ``n_models``, ``metric``, ``models`` and ``simulated``.

    Raises
    ------
    InputError
        When they are fewer, were asked otherwise, or have other layers.
    """
    if len({one.key for one in results}) < max(2, len(results)):
        raise InputError(
            f"{len({one.key for one in results})} different results were given",
            hint="A mean over models needs two or more, each once.",
        )
    first = results[0]
    for one in results[1:]:
        if one.questions != first.questions or one.n_layers != first.n_layers:
            raise InputError(
                f"{first.model} and {one.model} have no mean",
                hint="Probe all with the same labels, tasks, metric and seed; they need as many "
                "layers.",
            )
    tables = []
    for task in (name for name in first.tasks if all(name in one.tasks for one in results)):
        scores = np.stack([one.score(task) for one in results])
        tables.append(
            pd.DataFrame(
                {
                    "task": task,
                    "layer": np.arange(first.n_layers),
                    "mean": scores.mean(axis=0),
                    "se": scores.std(axis=0, ddof=1) / np.sqrt(len(results)),
                    "n_models": len(results),
                    "metric": first.metric(task),
                    "models": ", ".join(one.model for one in results),
                    "simulated": any(one.simulated for one in results),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
