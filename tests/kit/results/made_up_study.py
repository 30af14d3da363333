"""A store with a study that nobody computed: models, subjects, probes and features, from seeds."""

import numpy as np
import xarray as xr

from braindash.files import digest_json
from braindash.io.store import Store
from braindash.specs import ExtractionSpec, RowTimes, StoryInput
from braindash.studies.file import parse_study
from braindash.studies.record import FOLDER, StudyRecord, take_record
from braindash.studies.study import ModelFacts, Wanted
from kit.results.made_up import N_LAYERS, put_result
from kit.results.made_up_probing import put_probing

SUBJECTS = tuple(f"S{number}" for number in range(1, 7))
# Name, role, base, subject that it was tuned on, and number of weights.
MODELS = (
    ("base", "base", None, (), 95_000_000),
    ("tuned", "tuned", "base", (), 95_000_000),
    ("tuned 1", "tuned", "base", ("S1",), 95_000_000),
    ("tuned 2", "tuned", "base", ("S2",), 95_000_000),
    ("untrained", "control", "base", (), 310_000_000),
)
N_ROWS, N_FEATURES = 40, 8
_HEAD = """
name = "made-up"
title = "A made-up study <b>of & markup</b>"
data = "manifest.toml"

[probe]

[figures]
shown = ["late_language", "primary_auditory"]
"""


def study_text(models=MODELS, more: str = "") -> str:
    """Write the file of the study."""
    parts = [_HEAD.replace("[figures]", f"{more}\n[figures]")]
    for name, role, base, tuned_on, _ in models:
        parts.append(f'[[models]]\nname = "{name}"\nmodel = "{name}"\nrole = "{role}"\n')
        parts.append(f'base = "{base}"\n' if base else "")
        parts.append(f"tuned_on = {list(tuned_on)}\n".replace("'", '"') if tuned_on else "")
    return "".join(parts)


def put_study(
    root,
    *,
    models=MODELS,
    subjects=SUBJECTS[:3],
    space="fsaverage5",
    features=False,
    more: str = "",
) -> StudyRecord:
    """Fill a store with a study's results, and write its record; one probing per model."""
    store, keys = Store(root), {}
    spec_changes = _with_features(store, models) if features else {}
    for place, (name, *_) in enumerate(models):
        for number, subject in enumerate(subjects):
            keys[Wanted("encoding", name, subject, "default")] = put_result(
                store,
                model=name,
                subject=subject,
                seed=20 * place + number,
                space=space,
                **spec_changes.get(name, {}),
            )
        probed = put_probing(store, model=name, draw=place, n_layers=N_LAYERS)
        keys[Wanted("probing", name)] = probed.key
    text = study_text(models, more)
    facts = {
        name: ModelFacts(name, parameters, tuned_on) for name, _, _, tuned_on, parameters in models
    }
    tables = parse_study(text, store.root / "study.toml")
    record = StudyRecord(
        tables, text, str(store.root / "study.toml"), "2026-11-30T07:00:00+00:00", keys, facts
    )
    return take_record(record.document(), store)


def made_up_layers(model: str) -> list[np.ndarray]:
    """Draw a model's features: those of "tuned" are those of "base", moved more in later layers."""
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=(N_ROWS, N_FEATURES)) for _ in range(N_LAYERS)]
    if model == "base":
        return layers
    own = np.random.default_rng(sum(map(ord, model)))
    return [one + 0.3 * layer * own.normal(size=one.shape) for layer, one in enumerate(layers)]


def _with_features(store: Store, models) -> dict[str, dict]:
    """Store features of two stories for every model; gives the stories of its results."""
    changes = {}
    for name, *_ in models:
        layers, half = np.stack(made_up_layers(name)), N_ROWS // 2
        keys = [
            _put_features(store, name, story, layers[:, part])
            for story, part in (("train_a", slice(half)), ("story", slice(half, None)))
        ]
        train, test = (
            StoryInput(name=story, features=key, responses="e" * 32, first_row=0, last_row=90)
            for story, key in zip(("train_a", "story"), keys, strict=True)
        )
        changes[name] = {"train": (train,), "test": (test,)}
    return changes


def _put_features(store: Store, model: str, story: str, array: np.ndarray) -> str:
    times = RowTimes(first=0.0, tr=2.0, n_rows=array.shape[1])
    spec = ExtractionSpec(
        model=digest_json(model),
        audio=digest_json(story),
        times=times,
        strategy="chunk",
        context_seconds=16.0,
        step_seconds=0.1,
    )
    provenance = {
        "created": "2026-11-23T10:00:00+00:00",
        "model": {"name": model, "fingerprint": digest_json(model)},
        "data": {"name": "made up", "simulated": True},
    }
    dataset = xr.Dataset({"features": (("layer", "time", "feature"), array.astype(np.float32))})
    if not store.has("features", spec.key()):
        store.put(
            "features", spec.key(), spec=spec.canonical(), provenance=provenance, dataset=dataset
        )
    return spec.key()


__all__ = ["FOLDER", "MODELS", "SUBJECTS", "made_up_layers", "put_study", "study_text"]
