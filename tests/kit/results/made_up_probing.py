"""Probing results that nobody computed: for pages and figures."""

from pathlib import Path

import numpy as np
import xarray as xr

from braindash.files import digest_json
from braindash.io.store import Store
from braindash.probing.result import ProbingResult
from braindash.probing.tasks import PROBE_TASKS
from braindash.specs import ProbeTaskSpec, ProbingSpec, UnitsSpec

TASKS = ("energy", "mfcc", "phone", "word", "category")
N_SAMPLES = 30


def made_up_spec(model: str, tasks=TASKS, **settings) -> ProbingSpec:
    """Specify a result that nobody computed."""
    units = UnitsSpec(
        name="phone",
        n_units=300,
        units=("a" * 32,),
        features=(digest_json(model),),
        sound=("c" * 32,),
    )
    asked = tuple(
        ProbeTaskSpec(
            name=name,
            units=PROBE_TASKS[name].units,
            problem=PROBE_TASKS[name].problem,
            labels=digest_json(name),
            apart="recording",
            metric=PROBE_TASKS[name].metric,
            balanced=PROBE_TASKS[name].balanced,
            method="ridge",
        )
        for name in tasks
    )
    fields = {"n_shuffles": 5, "n_bootstraps": N_SAMPLES} | settings
    return ProbingSpec(labels="b" * 32, units=(units,), tasks=asked, **fields)


def made_up_probing(
    *, model="toy-model", tasks=TASKS, n_layers=4, draw=0, fingerprint=None, **settings
) -> ProbingResult:
    """Make one result, stamped simulated; scores rise with depth for later tasks."""
    rng = np.random.default_rng(draw)
    slope = np.linspace(-0.2, 0.2, len(tasks))[:, None]
    score = 0.6 + slope * np.linspace(-1, 1, n_layers) + rng.normal(0, 0.01, (len(tasks), n_layers))
    samples = score[:, None] + rng.normal(0, 0.02, (len(tasks), N_SAMPLES, n_layers))
    majority = np.array([0.0 if PROBE_TASKS[name].metric == "r2" else 0.2 for name in tasks])
    by_layer = ("task", "layer")
    dataset = xr.Dataset(
        {
            "score": (by_layer, score),
            "low": (by_layer, score - 0.05),
            "high": (by_layer, score + 0.05),
            "alpha": (by_layer, np.ones_like(score)),
            "chance_majority": ("task", majority),
            "chance_shuffled": (by_layer, np.repeat(majority[:, None] + 0.01, n_layers, axis=1)),
            "chance_shuffled_sd": (by_layer, np.full_like(score, 0.01)),
            "samples": (("task", "sample", "layer"), samples.astype(np.float32)),
        },
        coords={"task": list(tasks), "layer": np.arange(n_layers)},
    )
    facts = {
        "classes": ["a", "b"],
        "n_pieces": 12,
        "n_train": 180,
        "n_validation": 60,
        "n_test": 60,
        "split": "by recording, seed 0: 6 / 2 / 2 recordings",
        "bootstrap": "12 test recordings",
        "level": "recording",
        "warnings": [],
    }
    provenance = {
        "created": "2026-11-23T10:00:00+00:00",
        "seconds": 1.0,
        "versions": {"braindash": "0.1.0"},
        "strategy": "chunk",
        "model": {"name": model, "fingerprint": fingerprint or digest_json(model)},
        "data": {"name": "made up", "simulated": True},
        "tasks": dict.fromkeys(tasks, facts),
        "recordings": 10,
        "labels": "nobody",
        "warnings": [],
    }
    spec = made_up_spec(model, tasks, **settings).canonical()
    key = digest_json([spec, model, draw])
    return ProbingResult(key, Path("probing") / key, spec, provenance, dataset)


def put_probing(store: Store, **options) -> ProbingResult:
    """Store one made-up result."""
    made = made_up_probing(**options)
    store.put("probing", made.key, spec=made.spec, provenance=made.provenance, dataset=made.dataset)
    return made
