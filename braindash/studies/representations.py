"""What the layers of a study's models hold, from the features that are stored with its results.

Rows are those of the stories of an encoding, z-scored within each story as the regression sees
them; of long recordings evenly spaced ones are taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from braindash.core.representations.dimension import APART_ROWS, dimension
from braindash.core.representations.similarity import debiased_cka, layer_changes
from braindash.core.scores import zscore
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.progress import NoProgress, Progress
from braindash.studies.results import StudyResults

MOST_ROWS = 1000
"""Rows that are compared, at most: evenly spaced ones of all stories."""


@dataclass(frozen=True)
class StoredFeatures:
    """Features of one model at some rows.

    Attributes
    ----------
    layers : tuple of float32 array, each of shape (n_rows, n_features)
        Z-scored within each story.
    stories : int array of shape (n_rows,)
        Story of each row.
    names : tuple of (str, int)
        Name and number of rows of each story.
    step : int
        Every so many rows one was taken.
    simulated : bool
    """

    layers: tuple[NDArray[np.float32], ...]
    stories: NDArray[np.intp]
    names: tuple[tuple[str, int], ...]
    step: int
    simulated: bool

    @property
    def n_rows(self) -> int:
        """Rows that are compared."""
        return len(self.stories)

    def line(self) -> str:
        """Say in a few words of which rows these are."""
        every = "" if self.step == 1 else f", every {self.step}th"
        n_stories = len(self.names)
        told = f"{n_stories} {'story' if n_stories == 1 else 'stories'}"
        return f"{self.n_rows} rows of {told}{every}, z-scored within each"


def feature_keys(result: EncodingResult) -> dict[str, str]:
    """Return the keys of the features that an encoding result was made from, by story."""
    return {one["name"]: one["features"] for one in (*result.spec["train"], *result.spec["test"])}


def has_features(result: EncodingResult, store: Store) -> bool:
    """Say whether all of these features are in a store, without reading them."""
    return all(store.has("features", key) for key in feature_keys(result).values())


def stored_features(
    result: EncodingResult, store: Store, *, most_rows: int = MOST_ROWS
) -> StoredFeatures | None:
    """Read the features that an encoding result was made from.

    Parameters
    ----------
    result : EncodingResult
        Names them.
    store : Store
        Holds them, or does not: an exported result comes without.
    most_rows : int, default 1000
        Rows to take, at most.

    Returns
    -------
    StoredFeatures or None
        None where those of a story are not there.
    """
    told = feature_keys(result)
    entries = [store.get_or_none("features", key) for key in told.values()]
    known = [one for one in entries if one is not None]
    if len(known) < len(entries):
        return None
    counts = [int(one.spec["times"]["n_rows"]) for one in known]
    step = -(-sum(counts) // most_rows)
    parts, stories, first = [], [], 0
    for place, (entry, count) in enumerate(zip(known, counts, strict=True)):
        rows = np.arange(-first % step, count, step)
        first += count
        features = entry.read("features")
        parts.append([np.asarray(zscore(one), dtype=np.float32)[rows] for one in features])
        stories.append(np.full(len(rows), place))
    layers = tuple(np.concatenate(one) for one in zip(*parts, strict=True))
    names = tuple(zip(told, counts, strict=True))
    return StoredFeatures(layers, np.concatenate(stories), names, step, result.simulated)


def features_of(
    results: StudyResults, preset: str, store: Store
) -> tuple[dict[str, StoredFeatures], list[str]]:
    """Read the features of every model of a study, each of one subject's rows.

    Returns
    -------
    found : dict of str to StoredFeatures
        By model, those of the first model's rows.
    notes : list of str
        Which models are left out, and why.
    """
    found: dict[str, StoredFeatures] = {}
    notes = []
    for name, group in results.of(preset).items():
        own = stored_features(group.first, store)
        if own is None:
            notes.append(f"{name} is left out: its features are not in the store.")
        elif found and own.names != next(iter(found.values())).names:
            notes.append(f"{name} is left out: its rows are of other stories.")
        else:
            found[name] = own
    return found, notes


def similarity_table(
    features: dict[str, StoredFeatures],
    pairs: Iterable[tuple[str, str]],
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Compare every layer of a model with every layer of another, or of itself, by debiased CKA.

    Parameters
    ----------
    features : dict of str to StoredFeatures
        On the same rows.
    pairs : iterable of (str, str)
        Models A and B; others than those of ``features`` are passed over.
    progress : Progress, optional
        Told of every pair.

    Returns
    -------
    pandas.DataFrame
        ``model_a``, ``layer_a``, ``model_b``, ``layer_b``, ``cka``, ``n_rows``, ``simulated``.
    """
    report = progress or NoProgress()
    wanted = [pair for pair in dict.fromkeys(pairs) if set(pair) <= features.keys()]
    parts = []
    for number, (a, b) in enumerate(wanted):
        report.advance(number, len(wanted), f"similarity of {a} and {b}")
        one, two = features[a], features[b]
        found = debiased_cka(one.layers, two.layers)
        places = np.indices(found.shape)
        parts.append(
            pd.DataFrame(
                {
                    "model_a": a,
                    "layer_a": places[0].ravel(),
                    "model_b": b,
                    "layer_b": places[1].ravel(),
                    "cka": found.ravel(),
                    "n_rows": one.n_rows,
                    "simulated": one.simulated,
                }
            )
        )
    columns = ["model_a", "layer_a", "model_b", "layer_b", "cka", "n_rows", "simulated"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def dimension_table(features: dict[str, StoredFeatures]) -> pd.DataFrame:
    """Estimate of how many dimensions every layer is.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``layer``, ``depth``, ``two_nn`` (intrinsic dimension), ``participation``
        (ratio), ``n_rows``, ``simulated``; see
        :func:`braindash.core.representations.dimension.dimension`.
    """
    rows = []
    for name, own in features.items():
        apart = max(1, -(-APART_ROWS // own.step))  # in rows that are left
        for layer, table in enumerate(own.layers):
            found = dimension(table, own.stories, apart=apart)
            rows.append(
                {
                    "model": name,
                    "layer": layer,
                    "depth": layer / max(1, len(own.layers) - 1),
                    "two_nn": found.two_nn,
                    "participation": found.participation,
                    "n_rows": own.n_rows,
                    "simulated": own.simulated,
                }
            )
    return pd.DataFrame(rows)


def drift_table(
    features: dict[str, StoredFeatures], pairs: Iterable[tuple[str, str]]
) -> tuple[pd.DataFrame, list[str]]:
    """Say how far each layer of a tuned model is from the same layer of its base.

    Parameters
    ----------
    features : dict of str to StoredFeatures
        On the same rows.
    pairs : iterable of (str, str)
        A tuned model, and its base.

    Returns
    -------
    table : pandas.DataFrame
        ``model``, ``base``, ``layer``, ``depth``, ``drift`` (1 - debiased CKA), ``distance`` (of
        the change over the base's, in z-scored units), ``n_rows``, ``simulated``.
    notes : list of str
        Which pairs have other layers.
    """
    rows, notes = [], []
    for name, base in pairs:
        if not {name, base} <= features.keys():
            continue
        after, before = features[name], features[base]
        try:
            changes = layer_changes(before.layers, after.layers)
        except InputError as error:
            notes.append(f"{name} and {base}: {error.message}.")
            continue
        rows += [
            {
                "model": name,
                "base": base,
                "layer": layer,
                "depth": layer / max(1, len(changes) - 1),
                "drift": one.drift,
                "distance": one.distance,
                "n_rows": after.n_rows,
                "simulated": after.simulated or before.simulated,
            }
            for layer, one in enumerate(changes)
        ]
    return pd.DataFrame(rows), notes
