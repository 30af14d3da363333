"""Mappers, pycortex and FreeSurfer subjects, masks and label files: tiny, in their true forms."""

import json
from pathlib import Path

import h5py
import nibabel
import numpy as np
from nibabel.freesurfer import write_annot, write_geometry, write_morph_data
from scipy import sparse

from braindash.io.surfaces import HEMISPHERES, Mesh, load_surface, subdivide

VOXELS = (9, 8, 7)
"""Size of the volume (x, y, z): no two are equal, so that a wrong order of axes is seen."""
COORD = np.array([[0.05, 0, 0, 4.0], [0, 0.05, 0, 3.5], [0, 0, 0.06, 3.0], [0, 0, 0, 1]])
"""From mm of the surfaces to voxel numbers."""


def put_mapper(path: Path, matrix: sparse.csr_array, name: str = "voxel_to_fsaverage", **more):
    """Write a mapper as denizenslab's: four arrays, and masks of regions beside them."""
    arrays = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    arrays["shape"] = np.array(matrix.shape)
    with h5py.File(path, "w") as file:
        for part, values in arrays.items():
            file[f"{name}_{part}"] = values
        for key, values in more.items():
            file[key] = values
    return path


def random_mapper(n_targets: int, n_rows: int = 20484, seed: int = 0) -> sparse.csr_array:
    """Make a mapper in which a vertex has one to three voxels, or none."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, n_rows)
    rows = np.repeat(np.arange(n_rows), counts)
    columns = rng.integers(0, n_targets, len(rows))
    weights = rng.uniform(0.2, 1.0, len(rows))
    matrix = sparse.csr_array((weights, (rows, columns)), shape=(n_rows, n_targets))
    matrix.sum_duplicates()
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    scaled = sparse.diags_array(1 / np.where(sums > 0, sums, 1)) @ matrix
    return sparse.csr_array(scaled)


# ---- meshes ---------------------------------------------------------------------------------


def icosphere(levels: int) -> Mesh:
    """Return a sphere of radius 100: an icosahedron whose faces are split some times."""
    golden = (1 + 5**0.5) / 2
    points = [
        *([0, a, b * golden] for a in (-1, 1) for b in (-1, 1)),
        *([a, b * golden, 0] for a in (-1, 1) for b in (-1, 1)),
        *([b * golden, 0, a] for a in (-1, 1) for b in (-1, 1)),
    ]
    from scipy.spatial import ConvexHull

    corners = np.array(points, dtype=np.float32)
    faces = ConvexHull(corners).simplices.astype(np.int32)
    a, b, c = (corners[faces[:, place]] for place in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a) < 0
    faces[inward] = faces[inward][:, ::-1]
    mesh = Mesh(corners, faces)
    for _ in range(levels):
        mesh = subdivide(mesh)
        length = np.linalg.norm(mesh.coordinates, axis=1, keepdims=True)
        mesh = Mesh((mesh.coordinates / length).astype(np.float32), mesh.faces)
    return Mesh((100 * mesh.coordinates).astype(np.float32), mesh.faces)


def own_meshes(seed: int = 0) -> dict[str, dict[str, Mesh]]:
    """Make a subject: two bumpy spheres of other sizes, as white, pial, inflated and sphere.reg."""
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, Mesh]] = {
        name: {} for name in ("white", "pial", "inflated", "sphere.reg")
    }
    for side, levels, shift in (("left", 3, -30.0), ("right", 2, 30.0)):
        ball = icosphere(levels)
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        turned = (ball.coordinates @ turn).astype(np.float32)
        if np.linalg.det(turn) < 0:
            turned = -turned  # keeps the faces' sides
        grown = 1 + 0.1 * np.sin(turned[:, :1] / 20)
        middle = 0.5 * turned * grown + [shift, 0, 0]
        outward = turned / 100
        for name, place in {
            "white": middle - 2 * outward,
            "pial": middle + 2 * outward,
            "inflated": turned,
            "sphere.reg": turned,
        }.items():
            found[name][side] = Mesh(place.astype(np.float32), ball.faces)
    return found


def put_gifti(path: Path, mesh: Mesh) -> Path:
    """Write a surface as GIFTI."""
    parts = [
        nibabel.gifti.GiftiDataArray(mesh.coordinates, intent="NIFTI_INTENT_POINTSET"),
        nibabel.gifti.GiftiDataArray(mesh.faces, intent="NIFTI_INTENT_TRIANGLE"),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.gifti.GiftiImage(darrays=parts), path)
    return path


def put_pycortex(folder: Path, meshes, mask: np.ndarray, *, form: str = "gii") -> Path:
    """Write a subject of a pycortex store with the transform "S1_auto"."""
    surfaces = folder / "surfaces"
    surfaces.mkdir(parents=True)
    for name, shape in (("wm", "white"), ("pia", "pial"), ("inflated", "inflated")):
        for short, side in zip(("lh", "rh"), HEMISPHERES, strict=True):
            mesh = meshes[shape][side]
            if form == "gii":
                put_gifti(surfaces / f"{name}_{short}.gii", mesh)
            else:
                path = surfaces / f"{name}_{short}.npz"
                np.savez(path, pts=mesh.coordinates, polys=mesh.faces)
    info = folder / "surface-info"
    info.mkdir()
    depths = {side: np.sin(meshes["white"][side].coordinates[:, 1] / 9) for side in HEMISPHERES}
    np.savez(info / "sulcaldepth.npz", **depths)
    place = folder / "transforms" / "S1_auto"
    place.mkdir(parents=True)
    affine = np.diag([2.0, 2.0, 2.5, 1.0])
    document = {"coord": COORD.tolist(), "magnet": (affine @ COORD).tolist()}
    (place / "matrices.xfm").write_text(json.dumps(document))
    put_mask(place / "mask_thick.nii.gz", mask, affine)
    return folder


def put_freesurfer(folder: Path, meshes) -> Path:
    """Write a subject's FreeSurfer folder: surf with white, pial, inflated, sphere.reg and sulc."""
    surf = folder / "surf"
    surf.mkdir(parents=True)
    for name, sides in meshes.items():
        for short, side in zip(("lh", "rh"), HEMISPHERES, strict=True):
            write_geometry(
                str(surf / f"{short}.{name}"), sides[side].coordinates, sides[side].faces
            )
    for short, side in zip(("lh", "rh"), HEMISPHERES, strict=True):
        depth = np.cos(meshes["white"][side].coordinates[:, 2] / 9)
        write_morph_data(str(surf / f"{short}.sulc"), depth.astype(np.float32))
    return folder


def put_mask(path: Path, mask: np.ndarray, affine: np.ndarray) -> Path:
    """Write a mask as NIfTI."""
    nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), affine), path)
    return path


def shell_mask(seed: int = 0) -> np.ndarray:
    """Mark about two thirds of the voxels."""
    return np.random.default_rng(seed).random(VOXELS) < 0.65


def put_schaefer(folder: Path, n_side: int, *, seed: int = 0) -> tuple[Path, Path]:
    """Write annotations as Schaefer's: a background, then parcels whose names tell the side."""
    paths = []
    for short, letter, side in (("lh", "LH", "left"), ("rh", "RH", "right")):
        points = load_surface("sphere")[side].coordinates
        rng = np.random.default_rng(seed + (short == "rh"))
        centres = points[rng.choice(len(points), n_side, replace=False)]
        labels = np.argmin(((points[:, None] - centres) ** 2).sum(axis=2), axis=1) + 1
        labels[:300] = 0  # the medial wall
        names = ["Background+FreeSurfer_Defined_Medial_Wall"]
        names += [f"7Networks_{letter}_Vis_{place}" for place in range(1, n_side + 1)]
        numbers = np.arange(n_side + 1)
        colours = np.stack([numbers + 1, numbers % 7, numbers % 5, 0 * numbers, 0 * numbers], 1)
        path = folder / f"{short}.Schaefer2018_{2 * n_side}Parcels_7Networks_order.annot"
        write_annot(str(path), labels, colours.astype(np.int32), names, fill_ctab=True)
        paths.append(path)
    return paths[0], paths[1]
