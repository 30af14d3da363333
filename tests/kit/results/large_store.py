"""A store of 500 results, 40 subjects and 25 layers that nobody computed, for lists and menus.

``python tests/kit/results/large_store.py FOLDER`` writes one in a few seconds: few arrays are
drawn, and results share them as links to one file. Everything in it is stamped simulated.
"""

import os
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np

if __name__ == "__main__":  # run as a script: the kit is a package beside its folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from braindash.encoding.result import EncodingResult
from braindash.files import digest_file, digest_json, write_json
from braindash.io.store import Store
from kit.results.made_up import made_up_result, made_up_statistics

N_LAYERS = 25
N_SUBJECTS = 40
MODELS = (
    *("hubert-base", "hubert-base-tuned", "hubert-base-tuned-lora", "hubert-large"),
    *("wav2vec2-base", "wav2vec2-large", "wavlm-base-plus", "wavlm-large", "whisper-small"),
    *("data2vec-audio-base", "untrained:hubert-base@0", "untrained:hubert-base@1"),
)
# Of a second data set with fewer subjects.
N_MORE = 20
_DRAWN = 6
_SEEN = 0.1  # a score above it is significant
# Where along the layers a region is predicted best, 0 to 1, and how well.
_PEAKS = {
    "primary_auditory": (0.15, 0.5),
    "early_auditory": (0.25, 0.45),
    "superior_temporal": (0.45, 0.4),
    "lateral_temporal": (0.6, 0.3),
    "late_language": (0.7, 0.3),
    "angular_gyrus": (0.8, 0.22),
    "ifg_mfg": (0.75, 0.2),
    "early_visual": (0.5, 0.02),
}


@dataclass(frozen=True)
class Written:
    """Arrays on disk that several results share."""

    file: Path
    digest: str


def drawn_result(seed: int) -> EncodingResult:
    """Draw one result whose regions peak at their own depth, with noise between vertices."""
    made = made_up_result(seed=seed, n_layers=N_LAYERS)
    rng = np.random.default_rng(seed)
    depth = np.linspace(0, 1, N_LAYERS)[:, None]
    r = made.dataset["r"].values
    r[np.isfinite(r)] = 0
    values = 0.02 * rng.standard_normal(r.shape[1])[None].repeat(N_LAYERS, axis=0)
    for name, (peak, height) in _PEAKS.items():
        if name in made.masks:
            curve = height * np.exp(-(((depth - peak) / 0.35) ** 2))
            values[:, made.masks[name]] += curve * (1 + 0.1 * rng.standard_normal())
    r += np.clip(values, -0.2, 0.8).astype(np.float32)
    statistics = made_up_statistics(rng, r, made.masks, made.dataset["ceiling"].values)
    q = np.where(r > _SEEN, 0.001, statistics["q"])
    best = np.nan_to_num(r, nan=-1).argmax(axis=0)
    arrays = statistics.assign(
        q=(("layer", "target"), np.where(np.isnan(r), np.nan, q).astype(np.float32)),
        preferred_layer=("target", np.where(np.isnan(r).all(axis=0), -1, best).astype(np.int16)),
    )
    return replace(made, dataset=made.dataset.assign(arrays.data_vars))


def make_large_store(root: Path, *, models=MODELS, n_subjects=N_SUBJECTS, n_more=N_MORE) -> Store:
    """Write the store; results of one model differ between subjects."""
    store, first = Store(root), []
    for seed in range(_DRAWN):
        made = drawn_result(seed)
        parts = {"spec": made.spec, "provenance": made.provenance, "dataset": made.dataset}
        folder = Store(root / "drawn").put("encoding", made.key, **parts).folder
        first.append((made, Written(folder / "result.nc", digest_file(folder / "result.nc"))))
    rows = [
        (model, f"sub-{n + 1:02d}", "made up") for model, n in product(models, range(n_subjects))
    ]
    rows += [(MODELS[n % 5], f"P{n // 5 + 1}", "made up, second") for n in range(n_more)]
    for place, (model, subject, data) in enumerate(rows):
        made, arrays = first[(place * 7 + place // n_subjects) % _DRAWN]
        told = made.provenance | {
            "model": {"name": model, "fingerprint": digest_json(model)},
            "data": {"name": data, "simulated": True},
            "created": f"2026-11-{1 + place % 28:02d}T10:{place % 60:02d}:00+00:00",
        }
        _link(store, replace(made, spec=made.spec | {"subject": subject}, provenance=told), arrays)
    return store


def _link(store: Store, made: EncodingResult, arrays: Written) -> None:
    key = digest_json([made.spec, made.provenance])
    folder = store.root / "encoding" / key
    folder.mkdir(parents=True)
    os.link(arrays.file, folder / "result.nc")
    write_json(folder / "spec.json", made.spec, sort_keys=True)
    write_json(folder / "provenance.json", made.provenance, sort_keys=True)
    digests = {name: digest_file(folder / name) for name in ("spec.json", "provenance.json")}
    write_json(folder / "checksums.json", digests | {"result.nc": arrays.digest}, sort_keys=True)


if __name__ == "__main__":
    made = make_large_store(Path(sys.argv[1]))
    print(f"{len(made.entries('encoding'))} results in {made.root}")
