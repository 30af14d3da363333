"""Every way from targets to vertices, against slow loops that share nothing with it."""

import nibabel
import numpy as np
import pytest
import soundfile
from kit.spaces.files import (
    COORD,
    VOXELS,
    own_meshes,
    put_freesurfer,
    put_gifti,
    put_mapper,
    put_mask,
    put_pycortex,
    put_schaefer,
    random_mapper,
    shell_mask,
)
from scipy import sparse

from braindash.io.dataset.manifest import load_manifest
from braindash.io.dataset.responses import load_responses
from braindash.io.spaces.find import plan_surface
from braindash.io.spaces.mappers import read_mapper
from braindash.io.spaces.meshes import (
    freesurfer_files,
    nearest_on_sphere,
    pycortex_files,
    read_surface,
    read_surfaces,
    shape_of,
)
from braindash.io.spaces.parcels import read_parcels
from braindash.io.spaces.surface_map import (
    from_dataset,
    main_columns,
    to_dataset,
    weighted_means,
)
from braindash.io.spaces.volumes import (
    column_numbers,
    read_mask,
    read_transform,
    through_standard_space,
    through_transform,
)
from braindash.io.surfaces import HEMISPHERES, load_surface

N_TARGETS = 60


def slow_means(matrix, values):
    """Average row by row, with plain loops over the stored weights."""
    dense = matrix.toarray()
    found = np.full((len(values), len(dense)), np.nan)
    for one, row in enumerate(values):
        for vertex in range(len(dense)):
            pairs = [(w, x) for w, x in zip(dense[vertex], row, strict=True) if w and x == x]
            if pairs:
                found[one, vertex] = sum(w * x for w, x in pairs) / sum(w for w, _ in pairs)
    return found


# ---- mappers --------------------------------------------------------------------------------


def test_means_renormalise_over_the_voxels_that_have_a_value():
    rng = np.random.default_rng(1)
    matrix = random_mapper(30, 200)
    values = rng.normal(size=(4, 30))
    values[:, :7] = np.nan
    values[2, 20:] = np.nan  # a layer of its own
    found = weighted_means(matrix, values)
    np.testing.assert_allclose(found, slow_means(matrix, values), rtol=1e-5)
    assert np.isnan(found).any() and np.isfinite(found).any()
    only = matrix.toarray()[:, :7].sum(axis=1) == matrix.toarray().sum(axis=1)
    assert np.isnan(found[0][only]).all()


def test_the_main_target_has_the_largest_weight():
    matrix = random_mapper(30, 200)
    dense = matrix.toarray()
    expected = [int(row.argmax()) if row.any() else -1 for row in dense]
    assert main_columns(matrix).tolist() == expected


def test_a_mapper_is_read_whole_and_weighs(tmp_path):
    matrix = random_mapper(N_TARGETS)
    scaled = sparse.csr_array(sparse.diags_array(np.linspace(0.5, 2, 20484)) @ matrix)
    one = read_mapper(put_mapper(tmp_path / "m.hdf", scaled), "voxel_to_fsaverage", N_TARGETS)
    assert (one.mesh, one.n_left, one.n_targets) == ("fsaverage5", 10242, N_TARGETS)
    values = np.random.default_rng(0).normal(size=N_TARGETS)
    expected = matrix @ values
    expected[np.diff(matrix.indptr) == 0] = np.nan
    np.testing.assert_allclose(one.values(values), expected, atol=1e-5)


def test_a_mapper_to_fsaverage_gives_the_nested_vertices_of_fsaverage5(tmp_path):
    matrix = random_mapper(N_TARGETS, 327684)
    one = read_mapper(put_mapper(tmp_path / "m.hdf", matrix), "voxel_to_fsaverage", N_TARGETS)
    values = np.random.default_rng(0).normal(size=(2, N_TARGETS))
    fine, coarse = one.values(values), one.common_values(values)
    assert one.mesh == "fsaverage7"
    np.testing.assert_array_equal(coarse[:, :10242], fine[:, :10242])
    np.testing.assert_array_equal(coarse[:, 10242:], fine[:, 163842 : 163842 + 10242])


@pytest.mark.parametrize("form", ["npz", "scipy", "big-endian"])
def test_mappers_of_other_forms(tmp_path, form):
    matrix, path = random_mapper(N_TARGETS), tmp_path / "m.npz"
    parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    parts["shape"] = np.array(matrix.shape)
    if form == "npz":
        np.savez(path, **{f"to_fs_{name}": values for name, values in parts.items()})
    elif form == "scipy":
        sparse.save_npz(path, matrix)
    else:
        path = put_mapper(tmp_path / "m.h5", matrix, "to_fs")
        import h5py

        with h5py.File(path, "r+") as file:
            for name, values in parts.items():
                del file[f"to_fs_{name}"]
                kind = ">f8" if name == "data" else ">i8"
                file[f"to_fs_{name}"] = values.astype(kind)
    one = read_mapper(path, "to_fs", N_TARGETS)
    np.testing.assert_allclose(one.matrix.toarray(), matrix.toarray(), atol=1e-6)


# ---- meshes ---------------------------------------------------------------------------------


def test_surfaces_of_every_form_are_the_same(tmp_path):
    meshes = own_meshes()
    mesh = meshes["pial"]["left"]
    put_gifti(tmp_path / "pia_lh.gii", mesh)
    np.savez(tmp_path / "pia_lh.npz", pts=mesh.coordinates, polys=mesh.faces)
    put_freesurfer(tmp_path / "fs", meshes)
    for path in ("pia_lh.gii", "pia_lh.npz", "fs/surf/lh.pial"):
        found = read_surface(tmp_path / path)
        np.testing.assert_allclose(found.coordinates, mesh.coordinates, atol=1e-4)
        np.testing.assert_array_equal(found.faces, mesh.faces)


def test_the_registered_sphere_gives_the_nearest_vertex_both_ways(tmp_path):
    meshes = own_meshes()
    folder = put_freesurfer(tmp_path / "fs", meshes)
    own = read_surfaces(freesurfer_files(folder))
    assert own.counts == (642, 162)
    start, rng = 0, np.random.default_rng(0)
    for place, side in enumerate(HEMISPHERES):
        mine = meshes["sphere.reg"][side].coordinates.astype(float)
        theirs = load_surface("sphere")[side].coordinates.astype(float)
        mine /= np.linalg.norm(mine, axis=1)[:, None]
        theirs /= np.linalg.norm(theirs, axis=1)[:, None]
        for vertex in rng.choice(10242, 200):
            far = np.linalg.norm(mine - theirs[vertex], axis=1)
            assert far[own.nearest[place * 10242 + vertex] - start] <= far.min() + 1e-6
        for vertex in range(0, len(mine), 7):
            far = np.linalg.norm(theirs - mine[vertex], axis=1)
            assert far[own.nearest_common[start + vertex] - place * 10242] <= far.min() + 1e-6
        start += len(mine)


def test_radii_of_spheres_do_not_matter():
    ball = load_surface("sphere")["left"].coordinates[:200]
    one, _ = nearest_on_sphere(ball, ball[:50])
    two, _ = nearest_on_sphere(3.7 * ball, ball[:50])
    assert one.tolist() == two.tolist() == list(range(50))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("S1200.L.very_inflated_MSMAll.32k_fs_LR.surf.gii", "inflated"),
        ("sub-1_hemi-L_midthickness.surf.gii", "midthickness"),
        ("pia_lh.gii", "pial"),
        ("lh.pial", "pial"),
        ("wm_lh.npz", "white"),
        ("lh.sphere", "sphere"),
        ("flat_lh.gii", "flat"),
        ("left.surf.gii", "midthickness"),
    ],
)
def test_shapes_are_read_from_names(tmp_path, name, shape):
    assert shape_of(tmp_path / name) == shape


# ---- volumes --------------------------------------------------------------------------------


def slow_columns(mask, order):
    """Number voxels one by one, with the loops in the order of the axes."""
    numbers, count = {}, 0
    x, y, z = (range(size) for size in mask.shape)
    if order == "xyz":
        walk = ((i, j, k) for i in x for j in y for k in z)
    else:
        walk = ((i, j, k) for k in z for j in y for i in x)
    for place in walk:
        if mask[place]:
            numbers[place] = count
            count += 1
    return numbers


@pytest.mark.parametrize("order", ["xyz", "zyx"])
def test_columns_are_numbered_in_the_order_of_the_reader(order):
    mask = shell_mask()
    numbers, expected = column_numbers(mask, order), slow_columns(mask, order)
    data = np.random.default_rng(0).normal(size=VOXELS)
    cut = data[mask] if order == "xyz" else data.T[mask.T]
    for place in np.ndindex(VOXELS):
        assert numbers[place] == expected.get(place, -1)
        if mask[place]:
            assert cut[numbers[place]] == data[place]


@pytest.mark.parametrize("form", ["gii", "npz"])
def test_a_transform_gives_each_vertex_the_voxel_of_its_middle(tmp_path, form):
    meshes, mask = own_meshes(), shell_mask()
    put_pycortex(tmp_path / "S1", meshes, mask, form=form)
    put_freesurfer(tmp_path / "fs", meshes)
    own = read_surfaces(pycortex_files(tmp_path / "S1", tmp_path / "fs"))
    place = tmp_path / "S1/transforms/S1_auto"
    read, _ = read_mask(place / "mask_thick.nii.gz")
    one = through_transform(
        own, read_transform(place / "matrices.xfm"), column_numbers(read, "zyx")
    )
    numbers = slow_columns(mask, "zyx")
    found, vertex = main_columns(one.matrix), 0
    for side in HEMISPHERES:
        white, pial = (meshes[name][side].coordinates for name in ("white", "pial"))
        for a, b in zip(white.astype(float), pial.astype(float), strict=True):
            at = COORD @ [*((a + b) / 2), 1]
            key = tuple(round(float(value)) for value in at[:3])
            assert found[vertex] == numbers.get(key, -1)
            vertex += 1
    assert (found >= 0).sum() > 200 and (found < 0).any()
    values = np.arange(one.n_targets, dtype=float)
    common = one.common_values(values)
    for vertex in range(0, 20484, 997):
        mine = found[own.nearest[vertex]]
        assert (np.isnan(common[vertex]) and mine < 0) or common[vertex] == mine
    assert "registered sphere" in one.note


def test_a_subject_without_spheres_has_their_own_mesh_only(tmp_path):
    put_pycortex(tmp_path / "UTS09", own_meshes(), shell_mask())
    own = read_surfaces(pycortex_files(tmp_path / "UTS09"))
    mask, _ = read_mask(tmp_path / "UTS09/transforms/S1_auto/mask_thick.nii.gz")
    one = through_transform(own, COORD, column_numbers(mask, "zyx"))
    assert not one.reaches_common and "sphere" not in one.note


def test_the_approximate_way_is_nilearns(tmp_path):
    from nilearn.surface import vol_to_surf

    rng = np.random.default_rng(0)
    affine = np.array([[8.0, 0, 0, -90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
    shape = (23, 28, 24)
    data = rng.normal(size=shape).astype(np.float32)
    path = put_mask(tmp_path / "mask.nii.gz", np.ones(shape, dtype=bool), affine)
    mask, read = read_mask(path)
    one = through_standard_space(read, column_numbers(mask, "xyz"), "MNI152NLin2009cAsym")
    found = np.split(one.values(data[mask]), 2)
    image = nibabel.Nifti1Image(data, affine)
    for side, part in zip(HEMISPHERES, found, strict=True):
        pial, white = (load_surface(kind)[side] for kind in ("pial", "white"))
        expected = vol_to_surf(
            image,
            (pial.coordinates.copy(), pial.faces.copy()),
            inner_mesh=(white.coordinates.copy(), white.faces.copy()),
            kind="depth",
            depth=np.linspace(0, 1, 10),
            interpolation="linear",
        )
        np.testing.assert_allclose(part, expected, atol=1e-4)
    assert "approximate" in one.note
    colin = through_standard_space(read, column_numbers(mask, "xyz"), "MNIColin27")
    assert "Colin27, which is not MNI152" in colin.note


def test_volumes_without_a_mask_know_where_their_voxels_are(tmp_path):
    affine = np.array([[8.0, 0, 0, -90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
    size, n_targets = (23, 28, 24), 23 * 28 * 24
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(8000), 8000)
    (tmp_path / "m.toml").write_text(
        '[dataset]\nname = "lab"\naudio_dir = "."\n[timing]\ntr = 1.0\n[responses]\n'
        'path = "{story}.nii.gz"\nspace = "native-volume"\nvolume_space = "MNIColin27"\n'
        '[[subjects]]\nid = "S"\n[splits]\ntest = ["a"]\n'
    )
    series = np.random.default_rng(0).normal(size=(*size, 3)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(series, affine), tmp_path / "a.nii.gz")
    dataset = load_manifest(tmp_path / "m.toml")
    found = plan_surface(dataset, "S", n_targets)
    mask = np.ones(size, dtype=bool)
    one = through_standard_space(affine, column_numbers(mask, "xyz"), "MNIColin27")
    values = load_responses(dataset.responses("S", "a"))[1]
    np.testing.assert_array_equal(found.surface.values(values), one.values(series[..., 1][mask]))
    assert "Colin27, which is not MNI152" in found.surface.note
    assert plan_surface(dataset, "S", n_targets - 1) is None
    affine[:3, 3] = 1000.0  # nowhere near a brain
    nibabel.save(nibabel.Nifti1Image(series, affine), tmp_path / "a.nii.gz")
    assert plan_surface(load_manifest(tmp_path / "m.toml"), "S", n_targets) is None


# ---- parcels --------------------------------------------------------------------------------


def test_parcels_are_painted_in_the_order_of_the_tables(tmp_path):
    left, right = put_schaefer(tmp_path, 12)
    one = read_parcels(left, right, 24)
    values = np.arange(24, dtype=float)
    painted, vertex = one.values(values), 0
    for place, path in enumerate((left, right)):
        labels, _, _ = nibabel.freesurfer.read_annot(str(path))
        for label in labels:
            expected = np.nan if label == 0 else label - 1 + 12 * place
            np.testing.assert_equal(painted[vertex], np.float32(expected))
            vertex += 1


def test_parcels_by_name_follow_the_list_of_columns(tmp_path):
    left, right = put_schaefer(tmp_path, 12)
    names = [f"7Networks_{side}_Vis_{n}" for n in range(12, 0, -1) for side in ("RH", "LH")]
    (tmp_path / "names.txt").write_text("\n".join(names))
    table = "0 Background 0 0 0 0\n" + "".join(
        f"{number}\t{name}\t1\t2\t3\t0\n" for number, name in enumerate(names, 1)
    )
    (tmp_path / "lut.txt").write_text(table)
    plain = read_parcels(left, right, 24)
    for file in ("names.txt", "lut.txt"):
        one = read_parcels(left, right, 24, tmp_path / file)
        order = [
            12 * name.startswith("7Networks_RH") + int(name.split("_")[-1]) - 1 for name in names
        ]
        values = np.random.default_rng(0).normal(size=24)
        np.testing.assert_array_equal(one.values(values[order]), plain.values(values))


# ---- kept -----------------------------------------------------------------------------------


def test_a_surface_map_is_read_as_it_was_written(tmp_path):
    meshes, mask = own_meshes(), shell_mask()
    put_pycortex(tmp_path / "S1", meshes, mask)
    put_freesurfer(tmp_path / "fs", meshes)
    own = read_surfaces(pycortex_files(tmp_path / "S1", tmp_path / "fs"))
    one = through_transform(own, COORD, column_numbers(mask, "zyx"))
    to_dataset(one).to_netcdf(tmp_path / "map.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as stored:
        again = from_dataset(stored.load())
    assert (again.mesh, again.n_left, again.note) == (one.mesh, one.n_left, one.note)
    assert (again.matrix != one.matrix).nnz == 0 and again.matrix.dtype == np.float32
    for name in ("depth", "nearest", "nearest_common"):
        np.testing.assert_array_equal(getattr(again, name), getattr(one, name))
    assert list(again.shapes) == list(one.shapes) == ["inflated", "pial", "white"]
    for shape, sides in one.shapes.items():
        for side, mesh in sides.items():
            np.testing.assert_array_equal(again.shapes[shape][side].coordinates, mesh.coordinates)
            np.testing.assert_array_equal(again.shapes[shape][side].faces, mesh.faces)
