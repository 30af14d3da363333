"""Results in a subject's own space on the cortex: from the manifest to the map and the regions."""

import shutil
from functools import cache

import numpy as np
import pytest
from kit.data.toy_lab import N_TARGETS, Lab, make_lab
from kit.spaces.files import (
    own_meshes,
    put_freesurfer,
    put_mapper,
    put_mask,
    put_pycortex,
    random_mapper,
)
from scipy import sparse

import braindash
from braindash.cli.encode import result_document
from braindash.encoding.seen import regions_for
from braindash.errors import InputError
from braindash.io.dataset.check import check_subject
from braindash.io.dataset.manifest import load_manifest
from braindash.io.regions.discs import disc_masks
from braindash.io.regions.find import auditory_region
from braindash.io.regions.masks import WHOLE
from braindash.io.spaces.kept import surface_key
from braindash.io.store import Store
from braindash.viewer.blobs import map_blob
from braindash.viewer.packing import unpack
from braindash.views.maps import MapChoice, make_map

SETTINGS = {"strategy": "chunk", "alphas": (1.0, 100.0)}
SETTINGS |= {"n_permutations": 0, "n_bootstraps": 10, "block_rows": 5}


@cache
def local_mapper() -> sparse.csr_array:
    """A mapper in which voxel 3 is all of the auditory cortex, and nothing else."""
    matrix = random_mapper(N_TARGETS).tolil()
    matrix[:, [3]] = 0
    inside = np.flatnonzero(disc_masks("fsaverage5")["early_auditory"])
    matrix[inside] = 0
    matrix[inside, 3] = 1.0
    matrix = sparse.csr_array(matrix)
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(1 / np.where(sums > 0, sums, 1)) @ matrix)


def volume_lab(folder, model) -> Lab:
    """A lab of voxels, whose subject A has a mapper."""
    lab = make_lab(folder, model, space="native-volume")
    mask = np.arange(N_TARGETS) < 4
    put_mapper(lab.folder / "A_mappers.hdf", local_mapper(), AC=mask.astype(float))
    return lab


WITH_MAPPER = 'units = 12\nmapper = "{subject}_mappers.hdf"'


def encode(lab, store, subject="A"):
    return braindash.encode(lab.manifest, lab.model, subject, store=store, **SETTINGS)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory, tiny_model):
    """The lab, the store, the result without a mapper, and the same one with it."""
    folder = tmp_path_factory.mktemp("voxels")
    lab = volume_lab(folder / "lab", tiny_model)
    plain = encode(lab, folder / "store")
    assert plain.surface is None
    lab.edit("units = 12", WITH_MAPPER)
    return lab, folder / "store", plain, encode(lab, folder / "store")


def test_a_mapper_that_is_named_later_gives_the_same_result_a_map(encoded):
    _, root, plain, mapped = encoded
    assert plain.key == mapped.key
    assert [one.key for one in Store(root).entries("encoding")] == [plain.key]
    np.testing.assert_array_equal(plain.r, mapped.r)
    surface = mapped.surface
    values = surface.values(mapped.r)
    assert (surface.mesh, values.shape) == ("fsaverage5", (mapped.n_layers, 20484))
    dense = local_mapper().toarray()
    known = np.isfinite(mapped.r).all(axis=0)
    assert 0 < known.sum() < N_TARGETS
    weight = dense[:, known].sum(axis=1)
    expected = dense[:, known] @ mapped.r[0, known] / np.where(weight > 0, weight, np.nan)
    np.testing.assert_allclose(values[0], expected, rtol=1e-4)


def test_a_new_result_names_its_map_in_its_provenance(encoded, tmp_path):
    lab, root, _, mapped = encoded
    shutil.copytree(root, tmp_path / "new")
    for kind in ("encoding", "surfaces", "surface-of"):
        shutil.rmtree(tmp_path / "new" / kind)
    result = encode(lab, tmp_path / "new")
    assert result.provenance["surface"] == surface_key(result) == surface_key(mapped)
    assert result.key == mapped.key


def test_regions_are_means_over_the_vertices_that_have_a_value(encoded):
    _, _, _, mapped = encoded
    seen = braindash.with_regions(mapped, "discs")
    table = seen.regions().set_index(["layer", "region"])
    vertices = mapped.surface.common_values(mapped.r)
    for name, mask in disc_masks("fsaverage5").items():
        inside = vertices[:, mask]
        row = table.loc[1, name]
        # Voxels without a score are missing as a whole: vertices with some of them count less.
        assert row["r"] == pytest.approx(np.nanmean(inside[1]), abs=0.02)
        assert row["n_targets"] == mask.sum() and 0 < row["coverage"] <= 1
        whole = local_mapper().toarray()[mask]
        known = np.isfinite(mapped.r).all(axis=0)
        assert row["coverage"] == pytest.approx(whole[:, known].sum() / mask.sum(), abs=1e-4)
        exact = whole[:, known] @ mapped.r[1, known]
        assert row["r"] == pytest.approx(exact.sum() / whole[:, known].sum(), abs=1e-5)
    assert table.loc[0, WHOLE]["r"] == pytest.approx(np.nanmean(mapped.r[0]), abs=1e-6)
    assert "own mapper" in seen.provenance_line()


def test_the_document_of_a_mapped_result_has_regions_unasked(encoded):
    lab, root, _, mapped = encoded
    told = result_document(mapped, Store(root), data=lab.manifest)["regions"]
    assert {one["hemisphere"] for one in told} == {"both", "left", "right"}
    assert {one["region"] for one in told} == set(disc_masks("fsaverage5")) | {WHOLE}


def test_intervals_of_mapped_regions_hold_their_means(encoded):
    _, _, _, mapped = encoded
    seen = braindash.with_regions(mapped, "discs")
    assert seen.has_intervals
    samples = seen.samples()
    region, layer = "primary_auditory", 1
    weights = regions_for(mapped, "discs").members()[region]
    mean = seen.regions().query("region == @region and layer == @layer")["r"].item()
    drawn = samples.sel(region=region).values[:, layer]
    assert drawn.min() - 0.1 < mean < drawn.max() + 0.1
    assert weights.sum() == pytest.approx(
        local_mapper()[disc_masks("fsaverage5")[region]].sum(), abs=1e-3
    )
    left = braindash.with_regions(mapped, "discs", hemisphere="left")
    size = left.regions().set_index("region").loc[region, "n_targets"].iloc[0]
    assert size == disc_masks("fsaverage5")[region][:10242].sum()


def test_localisers_of_the_mapper_file_are_regions(encoded):
    lab, _, _, mapped = encoded
    text = lab.manifest.read_text()
    try:
        own = '[regions]\nmasks = {AC = "{subject}_mappers.hdf#AC"}\n\n[splits]'
        lab.edit("[splits]", own)
        seen = braindash.with_regions(mapped, "own", data=lab.manifest)
        assert seen.masks["AC"].tolist() == [True] * 4 + [False] * 8
        found = auditory_region("native-volume", 12, data=lab.manifest, subject="A")
        assert found is not None and found[0].sum() == 4
    finally:
        lab.manifest.write_text(text)


def test_the_auditory_cortex_is_found_by_the_mapper(encoded):
    lab, _, _, _ = encoded
    mask, note = auditory_region("native-volume", N_TARGETS, data=lab.manifest, subject="A")
    assert np.flatnonzero(mask).tolist() == [3] and "early_auditory" in note
    assert auditory_region("native-volume", N_TARGETS, data=lab.manifest, subject="B") is None


def test_maps_are_on_the_surface_and_say_by_what(encoded):
    _, _, _, mapped = encoded
    seen = braindash.with_regions(mapped, "discs")
    shown = make_map(MapChoice(), seen)
    header, arrays = unpack(map_blob(shown.maps))
    low, high = header["low"], header["high"]
    expected = mapped.surface.values(mapped.r)
    bytes_ = arrays["maps"].astype(float)
    read = np.where(bytes_ == 255, np.nan, low + bytes_ / 254 * (high - low))
    np.testing.assert_allclose(read, expected, atol=(high - low) / 254)
    assert "voxels by the data set's own mapper" in shown.note
    discs = disc_masks("fsaverage5")
    for bit, name in enumerate(shown.maps.regions):
        on = (arrays["regions"][:20484] >> bit) & 1
        np.testing.assert_array_equal(on.astype(bool), discs[name])
    picked = shown.maps.drawn.targets
    assert picked[np.isfinite(expected[0])].min() >= 0
    preferred = make_map(MapChoice("preferred"), seen).maps
    values = np.unique(preferred.drawn.values(preferred.values, nearest=True))
    assert set(values[np.isfinite(values)]) <= set(range(mapped.n_layers))


def test_an_export_takes_the_map_along(encoded, tmp_path):
    _, root, _, mapped = encoded
    file = Store(root).export(mapped.key, tmp_path)
    other = Store(tmp_path / "other")
    entry = other.import_(file)
    again = braindash.open_result(entry.key, store=tmp_path / "other")
    np.testing.assert_array_equal(again.surface.values(again.r), mapped.surface.values(mapped.r))
    with_predictions = Store(root).export(mapped.key, tmp_path / "all.zip", with_predictions=True)
    third = Store(tmp_path / "third")
    third.import_(with_predictions)
    seen = braindash.with_regions(braindash.open_result(entry.key, store=third.root), "discs")
    assert seen.has_intervals


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("columns", "has 11 columns, the responses have 12"),
        ("rows", "mesh of unknown size"),
        ("turned", "transposed"),
        ("missing", "there is no mapper"),
        ("truncated", "cannot be read"),
        ("key", "has no array"),
        ("object", "not numbers"),
        ("indices", "outside its 12 columns"),
        ("placeholder", "datalad get"),
    ],
)
def test_a_mapper_that_cannot_be_used_is_told_before_anything_is_computed(
    tmp_path, tiny_model, fault, told
):
    lab = volume_lab(tmp_path / "lab", tiny_model)
    lab.edit("units = 12", WITH_MAPPER)
    path = lab.folder / "A_mappers.hdf"
    content = path.read_bytes()
    path.unlink()
    if fault == "columns":
        put_mapper(path, random_mapper(11))
    elif fault == "rows":
        put_mapper(path, random_mapper(12, 5000))
    elif fault == "turned":
        put_mapper(path, random_mapper(12).T.tocsr())
    elif fault == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif fault == "key":
        put_mapper(path, random_mapper(12), "voxel_to_flatmap")
    elif fault == "object":
        put_mapper(path, random_mapper(12))
        _replace(path, "data", np.array(["a", "b"], dtype="S3"))
    elif fault == "indices":
        matrix = random_mapper(12)
        put_mapper(path, matrix)
        _replace(path, "indices", matrix.indices + 1)
    elif fault == "placeholder":
        path.symlink_to(".git/annex/objects/xx/yy/MD5E-s1--abc.hdf")
    with pytest.raises(InputError) as caught:
        encode(lab, tmp_path / "store")
    assert told in str(caught.value)
    assert not (tmp_path / "store").exists() or not list((tmp_path / "store").glob("*/*/*"))


def _replace(path, part, values):
    import h5py

    with h5py.File(path, "r+") as file:
        del file[f"voxel_to_fsaverage_{part}"]
        file[f"voxel_to_fsaverage_{part}"] = values


# ---- other ways, as the manifest says them ------------------------------------------------------


def check(lab, subject="A"):
    return check_subject(load_manifest(lab.manifest), subject)


def test_voxels_without_a_way_are_told(tmp_path, tiny_model):
    lab = volume_lab(tmp_path / "lab", tiny_model)
    [warning] = [one for one in check(lab).warnings if "no map of the cortex" in one]
    assert "mapper" in warning


def mask_of(n_voxels):
    mask = np.zeros((4, 3, 2), dtype=bool)
    mask.ravel()[:n_voxels] = True
    return mask


def test_a_transform_and_its_misfits(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-volume")
    put_pycortex(lab.folder / "db" / "A", own_meshes(), mask_of(N_TARGETS))
    put_freesurfer(lab.folder / "fs" / "A", own_meshes())
    fields = 'units = 12\npycortex = "db/{subject}"\ntransform = "S1_auto"'
    lab.edit("units = 12", f'{fields}\nfreesurfer = "fs/{{subject}}"')
    assert not any("no map" in one for one in check(lab).warnings)
    put_mask(lab.folder / "db/A/transforms/S1_auto/mask_thick.nii.gz", mask_of(13), np.eye(4))
    with pytest.raises(InputError, match="13 voxels, the responses have 12 columns"):
        check(lab)
    lab.edit("S1_auto", "S2")
    with pytest.raises(InputError, match="has no transform 'S2'"):
        check(lab)


def test_native_vertices_and_a_mesh_of_another_size(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-surface")
    put_freesurfer(lab.folder / "fs", own_meshes())
    lab.edit("units = 12", 'units = 12\nfreesurfer = "fs"')
    with pytest.raises(InputError, match="642 and 162 vertices, the responses have 12 columns"):
        check(lab)


def test_parcels_that_are_too_many_are_told(tmp_path, tiny_model):
    from kit.spaces.files import put_schaefer

    lab = make_lab(tmp_path / "lab", tiny_model)
    left, right = put_schaefer(lab.folder, 7)
    lab.edit('space = "roi"', f'space = "roi"\nparcels = ["{left.name}", "{right.name}"]')
    with pytest.raises(InputError, match="7 labels on the left and 7 on the right"):
        check(lab)
    left, right = put_schaefer(lab.folder, 6)
    text = lab.manifest.read_text().replace("Schaefer2018_14Parcels", "Schaefer2018_12Parcels")
    lab.manifest.write_text(text)
    check(lab)


def test_unknown_places_in_templates_are_told(tmp_path, tiny_model):
    lab = volume_lab(tmp_path / "lab", tiny_model)
    lab.edit("units = 12", 'units = 12\nmapper = "{person}.hdf"')
    with pytest.raises(InputError, match=r"unknown placeholder \{person\}"):
        load_manifest(lab.manifest)
