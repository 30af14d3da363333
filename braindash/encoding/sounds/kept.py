"""Weights that are kept beside encoding results: of which layer, and what they were fitted with.

They are an entry of the store of their own, named by the predictions that they reproduce and by
their layer. So a result's key and numbers are the same with and without them, a stored result gets
them later from its stored penalties, and results of the same predictions, which differ in their
statistics alone, share them. A copy or an export of a result, which pages and lists read, stays as
small as it was.
"""

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, StoreError
from braindash.io.entries import Entry, predictions_key, predictions_key_of, read_listed
from braindash.io.store import Store
from braindash.io.weights import WEIGHTS, WeightsReader
from braindash.specs import WeightsSpec, current_version, version_of

BEST = "best"
KeptLayer = int | Literal["best"]


def best_layer(cv_score: ArrayLike) -> int:
    """Return the layer with the best cross-validation score in training.

    The score of a layer is the mean over targets of their held-out metric at the penalty that was
    chosen, over the targets that have one in every layer (a layer without any score is left out);
    of layers that are equal the first one counts. The test story plays no part in it.

    Parameters
    ----------
    cv_score : array of shape (n_layers, n_targets)
        NaN for targets without a fit.

    Raises
    ------
    InputError
        When no target has a score in every layer.
    """
    means = layer_means(cv_score)
    if not np.isfinite(means).any():
        raise InputError(
            "no target has a cross-validation score in every layer, so none is the best",
            hint="Name the layer whose weights are to be kept.",
        )
    return int(np.nanargmax(means))


def layer_means(cv_score: ArrayLike) -> NDArray[np.float64]:
    """Return the mean held-out metric of every layer, as :func:`best_layer` compares them."""
    scores = np.asarray(cv_score, dtype=np.float64)
    scored = np.isfinite(scores).any(axis=1)
    everywhere = np.isfinite(scores[scored]).all(axis=0)
    means = np.full(len(scores), np.nan)
    if everywhere.any():
        means[scored] = scores[scored][:, everywhere].mean(axis=1)
    return means


def require_keepable(asked: KeptLayer, n_layers: int, *, within: bool) -> None:
    """Refuse weights that cannot be: of no such layer, or of a story scored within itself.

    Raises
    ------
    InputError
    """
    if within:
        raise InputError(
            "a story that is scored within itself has as many fits as blocks, each of other rows, "
            "and no weights that could be kept",
            hint="Leave keep_weights out, or use several stories, with one of them as test story.",
        )
    if isinstance(asked, int) and asked >= n_layers:
        raise InputError(
            f"weights of layer {asked} are asked for, but the model has layers 0 to {n_layers - 1}",
            hint="Give one of these, or 'best': the best by cross-validation in training.",
        )


def asked_weights(asked: KeptLayer, result: Entry) -> WeightsSpec:
    """Name the weights that are meant, of a stored result."""
    layer = asked if isinstance(asked, int) else best_layer(result.read("cv_score"))
    return WeightsSpec(fit=predictions_key(result), layer=layer)


# ---- what is in a store --------------------------------------------------------------------------


@dataclass(frozen=True)
class KeptWeights:
    """Weights of one layer of a result.

    Attributes
    ----------
    entry : Entry
        Of kind "weights"; its provenance says what they were fitted with.
    result : str
        Key of the result that they were looked up for; by default that which they were kept for.
        Several results of the same predictions share their weights.
    """

    entry: Entry
    result: str = ""

    def __post_init__(self) -> None:
        if not self.result:
            object.__setattr__(self, "result", str(self.entry.provenance["result"]))

    @property
    def key(self) -> str:
        """Their key in the store."""
        return self.entry.key

    @property
    def layer(self) -> int:
        """The layer."""
        return int(self.entry.spec["layer"])

    @property
    def fit(self) -> dict[str, Any]:
        """What a prediction needs to know of the fit.

        ``tr`` (seconds), ``delays`` (rows), ``high_pass`` (seconds or None), ``strategy``,
        ``precision``, ``units`` of the response, ``space``, ``subject``, ``members``,
        ``n_targets``.
        """
        found: dict[str, Any] = self.entry.provenance["fit"]
        return found

    @property
    def told(self) -> dict[str, Any]:
        """All of the provenance."""
        return self.entry.provenance

    @property
    def tr(self) -> float:
        """Seconds between two rows."""
        return float(self.fit["tr"])

    @property
    def delays(self) -> tuple[int, ...]:
        """Delays of the features, in rows."""
        return tuple(int(one) for one in self.fit["delays"])

    @property
    def n_targets(self) -> int:
        """Number of targets."""
        return int(self.fit["n_targets"])

    @cached_property
    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and spread of the training features, each (n_features,)."""
        reader = WeightsReader(self.entry)
        mean, spread = reader.small("feature_mean"), reader.small("feature_spread")
        return mean.astype(np.float64), spread.astype(np.float64)

    @property
    def training_line(self) -> str:
        """Say to what kind of sounds the weights were fitted."""
        trained = self.told["trained_on"]
        names = trained["stories"]
        listed = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        noun = "story" if len(names) == 1 else "stories"
        return (
            f"fitted to {len(names)} {noun} ({trained['minutes']:.0f} min) of "
            f"{self.told['data']['name']}: {listed}"
        )

    @property
    def precision_line(self) -> str:
        """Say what half precision changes."""
        measured = self.told["float16"]
        return (
            "kept in half precision, which changes predictions of the test story by "
            f"{measured['share_median']:.1g} of their standard deviation (median target; at most "
            f"{measured['share_largest']:.1g})"
        )


def kept_layers(result: EncodingResult, store: Store) -> tuple[int, ...]:
    """Return the layers of a result whose weights are in a store."""
    fit = predictions_key_of(result)
    every = range(result.n_layers)
    return tuple(one for one in every if store.has(WEIGHTS, WeightsSpec(fit=fit, layer=one).key()))


def find_weights(result: EncodingResult, store: Store, layer: int | None = None) -> KeptWeights:
    """Open the weights of a result.

    Parameters
    ----------
    result : EncodingResult
        Of the store.
    store : Store
        Holds the weights.
    layer : int, optional
        Which layer; by default the one that has weights, of several the best by cross-validation.

    Raises
    ------
    InputError
        When there are none, or none of this layer; the hint is the command that makes them.
    StoreError
        When they are damaged.
    """
    kept = kept_layers(result, store)
    if layer is not None and layer not in range(result.n_layers):
        raise InputError(
            f"{result.model} has no layer {layer}",
            hint=f"Its layers are 0 to {result.n_layers - 1}; weights are kept of "
            f"{', '.join(map(str, kept)) or 'none'}.",
        )
    if not kept or (layer is not None and layer not in kept):
        raise _missing(result, store, kept, layer)
    if layer is None:
        means = layer_means(result.dataset["cv_score"].transpose("layer", "target").values)
        layer = max(kept, key=lambda one: (np.nan_to_num(means[one], nan=-np.inf), -one))
    try:
        spec = WeightsSpec(fit=predictions_key_of(result), layer=layer)
        return KeptWeights(store.get(WEIGHTS, spec.key()), result.key)
    except StoreError as error:
        raise StoreError(error.message, hint=f"{keeping_hint(result, layer)}") from error


def keeping_hint(result: EncodingResult, layer: int | None = None) -> str:
    """Say which command keeps a result's weights."""
    manifest = result.manifest or "MANIFEST"
    strategy = result.provenance.get("strategy", "exact")
    how = "" if strategy == "frames" else f" --strategy {strategy}"
    wanted = BEST if layer is None else layer
    older = " It makes a result of today's version, with a key of its own." if result.older else ""
    return (
        "Run the command that made the result again with --keep-weights: what is stored is used, "
        f"and only that layer is fitted. `braindash encode --data {shlex.quote(manifest)} --model "
        f"{shlex.quote(result.model)} --subject {shlex.quote(result.subject)}{how} --keep-weights "
        f"{wanted}`, with all other options that it had.{older}"
    )


def _missing(
    result: EncodingResult, store: Store, kept: tuple[int, ...], layer: int | None
) -> InputError:
    """Say which weights there are instead of those that are wanted."""
    named = f"{result.key[:8]} ({result.model}, {result.subject})"
    if result.spec.get("within"):
        return InputError(
            f"the result {named} was scored within one story: it has as many fits as blocks and "
            "no weights",
            hint="Choose a result that was scored across stories.",
        )
    if kept:
        return InputError(
            f"no weights of layer {layer} of the result {named} are kept, but of "
            f"{', '.join(map(str, kept))}",
            hint=f"Leave the layer out. {keeping_hint(result, layer)}",
        )
    others = _other_versions(predictions_key_of(result), store)
    if others:
        return InputError(
            f"the weights of the result {named} are of version {', '.join(map(str, others))}; this "
            f"braindash reads version {current_version(WEIGHTS)}",
            hint=f"Use the braindash that kept them, or keep them again. {keeping_hint(result)}",
        )
    return InputError(
        f"no weights of the result {named} are kept in {store.root}", hint=keeping_hint(result)
    )


def _other_versions(fit: str, store: Store) -> list[int]:
    """List the versions of weights of the same predictions that this braindash cannot read."""
    found: set[int] = set()
    for folder in Path(store.root, WEIGHTS).glob("*/"):
        entry = read_listed(WEIGHTS, folder)
        if isinstance(entry, Entry) and entry.spec.get("fit") == fit:
            found.add(version_of(WEIGHTS, entry.spec) or 0)
    return sorted(found - {current_version(WEIGHTS)})
