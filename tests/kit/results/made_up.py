"""Encoding results that nobody computed: for pages, viewers and comparisons."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

from braindash.core.scores import normalised_score, region_means
from braindash.encoding.result import EncodingResult
from braindash.files import digest_json
from braindash.io.regions.masks import named_masks
from braindash.io.store import Store
from braindash.specs import EncodingSpec, OtherResponses, StatisticsSettings, StoryInput

N_LAYERS = 4
N_TARGETS = 20484
N_SAMPLES = 40
CEILINGS = ("repeats", "inter-subject")


def made_up_spec(subject: str, space: str, *, ceiling: bool, statistics: bool) -> EncodingSpec:
    """Specify a result that nobody computed."""
    story = StoryInput(
        name="story", features="f" * 32, responses="e" * 32, first_row=0, last_row=90
    )
    count = N_SAMPLES if statistics else 0
    return EncodingSpec(
        subject=subject,
        space=space,
        train=(story.model_copy(update={"name": "train_a"}),),
        test=(story,),
        score_from_row=(0,),
        standardise_responses=False,
        delays=(1, 2, 3, 4),
        alphas=(1.0, 100.0),
        ceilings=CEILINGS if ceiling else (),
        other_subjects=(OtherResponses(subject="S9", responses=("d" * 32,)),) if ceiling else (),
        statistics=StatisticsSettings(
            n_permutations=count,
            n_bootstraps=count,
            scheme="blocks",
            best_of_layers=False,
            confidence="share",
        ),
    )


def made_up_arrays(
    rng, space: str, n_targets: int, *, ceiling: bool, statistics: bool, n_layers: int = N_LAYERS
):
    """Draw the arrays of an encoding result; 25 targets have no score."""
    r = rng.uniform(0, 0.6, size=(n_layers, n_targets)).astype(np.float32)
    r[:, :25] = np.nan
    best = np.nan_to_num(r, nan=-1).argmax(axis=0)
    preferred = np.where(np.isnan(r).all(axis=0), -1, best).astype(np.int16)
    layers = ("layer", "target")
    dataset = xr.Dataset(
        {
            "r": (layers, r),
            "alpha": (layers, np.ones_like(r)),
            "cv_score": (layers, r / 2),
            "preferred_layer": ("target", preferred),
        },
        coords={"layer": np.arange(n_layers)},
    )
    tops = rng.uniform(0.5, 0.9, (len(CEILINGS), n_targets)).astype(np.float32)
    if ceiling:
        dataset["ceiling"] = (("ceiling_kind", "target"), tops)
        dataset = dataset.assign_coords(ceiling_kind=list(CEILINGS))
    if statistics:
        dataset = dataset.merge(made_up_statistics(rng, r, named_masks(space, n_targets), tops))
        dataset = dataset if ceiling else dataset.drop_dims("ceiling_kind")
    return dataset


def made_up_statistics(rng, r, masks, tops):
    """Draw p values and replicates that scatter around the region means."""
    p = np.where(np.isnan(r), np.nan, rng.uniform(0, 1, r.shape) ** 4).astype(np.float32)
    share = np.where(np.isnan(r).all(axis=0), np.nan, rng.uniform(0.3, 1, r.shape[1]))

    def replicates(values):
        means = region_means(values, masks)["value"].to_numpy().reshape(len(values), -1)
        noise = rng.normal(0, 0.02, (N_SAMPLES, *means.shape))
        return (means + noise).astype(np.float32)

    dims = ("sample", "layer", "region")
    normalised = np.stack([replicates(normalised_score(r, top)) for top in tops])
    return xr.Dataset(
        {
            "p": (("layer", "target"), p),
            "q": (("layer", "target"), np.minimum(1, 2 * p)),
            "preferred_share": ("target", share.astype(np.float32)),
            "region_samples": (dims, replicates(r)),
            "region_ceiling_samples": (("ceiling_kind", *dims), normalised),
        },
        coords={"region": list(masks), "ceiling_kind": list(CEILINGS)},
    )


def made_up_result(
    *,
    model="toy-model",
    subject="S1",
    ceiling=True,
    resampled=True,
    seed=0,
    space="fsaverage5",
    n_layers=N_LAYERS,
    **settings,
) -> EncodingResult:
    """Make one encoding result, stamped simulated; ``settings`` change its specification."""
    n_targets = N_TARGETS if space == "fsaverage5" else 30
    parts = {"ceiling": ceiling, "statistics": resampled}
    spec = made_up_spec(subject, space, **parts).model_copy(update=settings).canonical()
    provenance = {
        "created": "2026-11-23T10:00:00+00:00",
        "seconds": 1.0,
        "versions": {"braindash": "0.1.0"},
        "strategy": "exact",
        "model": {"name": model, "fingerprint": digest_json(model)},
        "data": {"name": "made up", "simulated": True},
        "warnings": [],
    }
    key = digest_json([spec, model, seed])
    rng = np.random.default_rng(seed)
    dataset = made_up_arrays(rng, space, n_targets, n_layers=n_layers, **parts)
    return EncodingResult(key, Path("encoding") / key, spec, provenance, dataset)


_MADE = TemporaryDirectory(prefix="braindash-made-up-")
_FOLDERS: dict[str, Path] = {}


def put_result(store: Store, **options) -> str:
    """Store one made-up result; gives its key. It is made once in a process, then copied."""
    name = repr(sorted(options.items()))
    if name not in _FOLDERS:
        made = made_up_result(**options)
        _FOLDERS[name] = (
            Store(_MADE.name)
            .put(
                "encoding",
                made.key,
                spec=made.spec,
                provenance=made.provenance,
                dataset=made.dataset,
            )
            .folder
        )
    folder = _FOLDERS[name]
    place = store.root / "encoding" / folder.name
    shutil.copytree(folder, place, copy_function=shutil.copy, dirs_exist_ok=True)
    return folder.name


def put_old_result(store: Store) -> str:
    """Store a result as version 1 did: one ceiling without a name, no statistics."""
    made = made_up_result(space="roi")
    added = ("ceilings", "other_subjects", "statistics")
    spec = {name: value for name, value in made.spec.items() if name not in added}
    spec |= {"version": 1, "ceiling": "repeats"}
    arrays = made.dataset[["r", "alpha", "cv_score"]]
    arrays = arrays.assign(ceiling=made.dataset["ceiling"].sel(ceiling_kind="repeats", drop=True))
    key = digest_json(spec)
    store.put("encoding", key, spec=spec, provenance=made.provenance, dataset=arrays)
    return key
