"""The step that gives the features of labelled units: from the store, or computed and kept."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from braindash.errors import InputError
from braindash.io.dataset.audio import load_audio
from braindash.io.entries import common_provenance
from braindash.io.store import Entry, Store
from braindash.probing.plan import ProbingPlan, UnitFeatures
from braindash.progress import Progress, shared
from braindash.speech.checkpoints.locate import ModelFiles

if TYPE_CHECKING:
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel

    Opened = SpeechModel | AcousticModel

UnitEntries = Mapping[str, Entry]
"""Stored features of units, by their keys."""
UNIT_FEATURES = "unit-features"


class UnitExtraction:
    """Makes features of units; one model is open at a time.

    Parameters
    ----------
    plan : ProbingPlan
        Says how.
    store : Store
        Gets one entry per group of recordings and kind of units.
    """

    def __init__(self, plan: ProbingPlan, store: Store) -> None:
        self._plan, self._store = plan, store
        self._opened: tuple[str, Opened] | None = None

    def put(self, members: Sequence[UnitFeatures], progress: Progress) -> list[Entry]:
        """Compute features of one pass and keep them.

        Parameters
        ----------
        members : sequence of UnitFeatures
            Of one model and one group of recordings.
        progress : Progress
            Told of every window.

        Returns
        -------
        list of Entry
            One per member.
        """
        # torch and transformers are needed from here on, so planning and cached runs stay light.
        from braindash.speech.models import open_model

        files = members[0].model
        if self._opened is None or self._opened[0] != files.fingerprint:
            self._opened = None  # before another is opened
            self._opened = files.fingerprint, open_model(files, device=self._plan.request.device)
        return _extract_group(self._plan, self._opened[1], members, self._store, progress)

    def close(self) -> None:
        """Let go of the model; it is opened again when features are asked for."""
        self._opened = None


def _extract_group(
    plan: ProbingPlan,
    model: "Opened",
    members: Sequence[UnitFeatures],
    store: Store,
    progress: Progress,
) -> list[Entry]:
    """Run one model over a group of recordings, for the units of one kind or of several."""
    from braindash.speech.unit_features import unit_features

    started = time.monotonic()
    group = members[0].group
    tables = [one.units.of(group) for one in members]
    parts: list[list[np.ndarray]] = [[] for _ in members]
    counts: list[list[np.ndarray]] = [[] for _ in members]
    spans = shared(progress, [1.0] * len(group.names))
    for name, path, span in zip(group.names, group.paths, spans, strict=True):
        own = [table[table["recording"] == name] for table in tables]
        if not sum(map(len, own)):
            continue
        try:
            pooled = unit_features(
                model,
                load_audio(path),
                np.concatenate([table["start"] for table in own]),
                np.concatenate([table["end"] for table in own]),
                strategy=plan.request.strategy,
                progress=span,
            )
        except InputError as error:
            raise InputError(f"{path}: {error.message}", hint=error.hint) from error
        edges = np.cumsum([len(table) for table in own])[:-1]
        for place, features in enumerate(np.split(pooled.features, edges, axis=1)):
            parts[place].append(features)
        for place, n_frames in enumerate(np.split(pooled.n_frames, edges)):
            counts[place].append(n_frames)
    seconds = time.monotonic() - started
    return [
        _put(plan, one, part, count, store, seconds)
        for one, part, count in zip(members, parts, counts, strict=True)
    ]


def _put(
    plan: ProbingPlan,
    one: UnitFeatures,
    parts: list[np.ndarray],
    counts: list[np.ndarray],
    store: Store,
    seconds: float,
) -> Entry:
    features = np.concatenate(parts, axis=1)
    dataset = xr.Dataset(
        {
            "features": (("layer", "unit", "feature"), features),
            "n_frames": ("unit", np.concatenate(counts)),
        },
        coords={"layer": np.arange(len(features))},
    )
    return store.put(
        UNIT_FEATURES,
        one.key,
        spec=one.spec.canonical(),
        provenance=probing_provenance(plan, one.model, seconds)
        | {"recordings": list(one.group.names), "units": one.units.name},
        dataset=dataset,
        chunks={"features": (1, *features.shape[1:])},
    )


def probing_provenance(plan: ProbingPlan, model: ModelFiles, seconds: float) -> dict[str, Any]:
    """Say how something was made of a model's features, as JSON values."""
    strategy = plan.features(model, plan.units[0])[0].spec.strategy
    made = common_provenance(model, strategy, plan.data_name, plan.simulated, seconds)
    return made | {"left_out": dict(plan.request.left_out)}
