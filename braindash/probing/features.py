"""The step that gives the features of labelled units: from the store, or computed and kept."""

import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from braindash.errors import InputError
from braindash.io.dataset.audio import load_audio
from braindash.io.entries import common_provenance
from braindash.io.store import Entry, Store
from braindash.probing.plan import ProbingPlan, UnitFeatures
from braindash.progress import Progress, shared
from braindash.speech.acoustic.spaces import ACOUSTIC
from braindash.speech.checkpoints.locate import ModelFiles

if TYPE_CHECKING:
    from braindash.speech.acoustic.model import AcousticModel
    from braindash.speech.models import SpeechModel

    Opened = SpeechModel | AcousticModel

UnitEntries = Mapping[str, Entry]
"""Stored features of units, by their keys."""
_KIND = "unit-features"
# Time of an acoustic space beside a model's, per second of audio.
_ACOUSTIC_SHARE = 0.05


def stored_units(plan: ProbingPlan, store: Store) -> dict[str, Entry]:
    """Return what the store has of the features that a plan needs, by their keys."""
    found = {one.key: store.get_or_none(_KIND, one.key) for one in plan.extractions}
    return {key: entry for key, entry in found.items() if entry is not None}


def extract_units(
    plan: ProbingPlan, found: UnitEntries, store: Store, progress: Progress
) -> UnitEntries:
    """Compute the features of a plan's units that are not there yet; each group is kept at once.

    Parameters
    ----------
    plan : ProbingPlan
        What to compute.
    found : mapping of str to Entry
        From :func:`stored_units`.
    store : Store
        Gets one entry per group of recordings and kind of units.
    progress : Progress
        Told of every group.

    Returns
    -------
    mapping of str to Entry
        All features of the plan, by their keys.
    """
    entries = dict(found)
    passes = _passes([one for one in plan.extractions if one.key not in entries])
    named = [
        f"{members[0].model.name}, {members[0].group.title} ({number}/{len(passes)}): "
        for number, members in enumerate(passes, start=1)
    ]
    spans = shared(progress, [_cost(members[0]) for members in passes], named)
    opened: dict[str, Opened] = {}
    for members, span in zip(passes, spans, strict=True):
        first = members[0]
        if first.model.fingerprint not in opened:
            opened = {first.model.fingerprint: _opened(plan, first.model)}
        model = opened[first.model.fingerprint]
        entries |= _extract_group(plan, model, members, store, span)
    return entries


def _passes(missing: Sequence[UnitFeatures]) -> list[list[UnitFeatures]]:
    """Put together what one run of a model over the same recordings gives, model by model."""

    def place(one: UnitFeatures) -> tuple[str, tuple[str, ...]]:
        return one.model.fingerprint, one.group.names

    return [list(members) for _, members in groupby(sorted(missing, key=place), key=place)]


def _cost(one: UnitFeatures) -> float:
    """Weigh a pass by its seconds of audio; acoustic features are much quicker."""
    return one.group.seconds * (_ACOUSTIC_SHARE if one.model.family == ACOUSTIC else 1.0)


def _opened(plan: ProbingPlan, model: ModelFiles) -> "Opened":
    from braindash.speech.models import open_model

    return open_model(model, device=plan.request.device)


def _extract_group(
    plan: ProbingPlan,
    model: "Opened",
    members: list[UnitFeatures],
    store: Store,
    progress: Progress,
) -> dict[str, Entry]:
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
    return {
        one.key: _put(plan, one, part, count, store, seconds)
        for one, part, count in zip(members, parts, counts, strict=True)
    }


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
        _KIND,
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
    return common_provenance(model, strategy, plan.data_name, plan.simulated, seconds)
