"""Results in a subject's own space with a surface map, that nobody computed."""

import numpy as np
from scipy import sparse

from braindash.files import digest_json
from braindash.io.spaces.surface_map import SurfaceMap, to_dataset
from braindash.io.store import Store
from braindash.io.surface_links import SURFACES, link_surface
from braindash.io.surfaces import HEMISPHERES, Mesh, load_surface
from kit.results.made_up import made_up_arrays, made_up_spec

PLANTED = 0.55


def put_on_surface(
    store: Store,
    surface: SurfaceMap,
    where: np.ndarray,
    *,
    space: str,
    model: str = "toy",
    subject: str = "S1",
) -> str:
    """Store a result whose targets ``where`` score well in the last layer; gives its key."""
    spec = made_up_spec(subject, space, ceiling=False, statistics=False).canonical()
    rng = np.random.default_rng(0)
    dataset = made_up_arrays(rng, space, surface.n_targets, ceiling=False, statistics=False)
    r = 0.02 * rng.random(dataset["r"].shape).astype(np.float32)
    r[-1, where] = PLANTED
    dataset["r"] = (("layer", "target"), r)
    provenance = {
        "created": "2026-11-23T10:00:00+00:00",
        "seconds": 1.0,
        "versions": {"braindash": "0.1.0"},
        "strategy": "exact",
        "model": {"name": model, "fingerprint": digest_json(model)},
        "data": {"name": f"made up {space}", "simulated": True},
        "warnings": [],
    }
    key = digest_json([spec, model, surface.note])
    store.put("encoding", key, spec=spec, provenance=provenance, dataset=dataset)
    named = digest_json(surface.note)
    store.put(SURFACES, named, spec={}, provenance={}, dataset=to_dataset(surface))
    link_surface(store.root, key, named)
    return key


def clusters(space: str, n_targets: int, seed: int = 0) -> np.ndarray:
    """Give every vertex of an fsaverage mesh the nearest of some targets, as voxels lie."""
    rng = np.random.default_rng(seed)
    from scipy.spatial import cKDTree

    found, start = [], 0
    for side, count in zip(HEMISPHERES, (n_targets - n_targets // 2, n_targets // 2), strict=True):
        points = load_surface("sphere", space)[side].coordinates
        centres = points[rng.choice(len(points), count, replace=False)]
        found.append(cKDTree(centres).query(points)[1] + start)
        start += count
    return np.concatenate(found)


def matrix_of(targets: np.ndarray, n_targets: int) -> sparse.csr_array:
    """Make the matrix that gives each vertex its target."""
    rows = np.arange(len(targets))
    shape = (len(targets), n_targets)
    return sparse.csr_array((np.ones(len(rows), dtype=np.float32), (rows, targets)), shape=shape)


def own_brain(space: str) -> dict[str, dict[str, Mesh]]:
    """Take the surfaces of an fsaverage mesh as those of a subject, squeezed a little."""
    return {
        shape: {
            side: Mesh(
                (mesh.coordinates * np.float32([1.0, 0.9, 1.05])).astype(np.float32), mesh.faces
            )
            for side, mesh in load_surface(shape, space).items()
        }
        for shape in ("inflated", "pial", "white")
    }
