"""Maps that leave: nibabel and nilearn read what the result holds, vertex by vertex."""

import json
from functools import cache

import nibabel
import numpy as np
import pytest
from kit.results.made_up import made_up_result
from kit.spaces.files import own_meshes
from kit.spaces.results import clusters
from nilearn.surface import load_surf_data
from scipy import sparse

from braindash.encoding.maps.kinds import MAP_KINDS, available_maps, map_values
from braindash.errors import InputError
from braindash.exports.gifti import map_files, maps_of, set_maps
from braindash.exports.source import source_of
from braindash.io.gifti import surface_gifti
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.spaces.vertices import vertices_of
from braindash.io.surfaces import SPACES, load_surface
from braindash.views.maps import MapChoice, make_map

HALF = SPACES["fsaverage5"]


@cache
def result():
    return made_up_result(model="org/a <b> model")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    for what in available_maps(result()):
        maps = maps_of(result(), what)
        for name, content in map_files(maps, what, source_of(result(), maps.title)).items():
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("what", MAP_KINDS)
def test_other_programs_read_the_numbers_of_the_result(written, what):
    if what not in available_maps(result()):
        assert what == "q_best", "the made-up result has all but this"
        return
    values = map_values(result(), what)
    for letter, own in (("L", values[:, :HALF]), ("R", values[:, HALF:])):
        path = written / f"{what}_hemi-{letter}.func.gii"
        read = load_surf_data(path).reshape(HALF, -1)
        np.testing.assert_array_equal(read.T, own)
        image = nibabel.load(path)
        names = [array.meta["Name"] for array in image.darrays]
        layers = [f"layer {layer}" for layer in range(4)]
        assert names == (layers if MAP_KINDS[what].by_layer else ["all layers"])
        side = {"L": "CortexLeft", "R": "CortexRight"}[letter]
        assert image.meta["AnatomicalStructurePrimary"] == side
        assert (
            image.meta["Source"].startswith("SIMULATED DATA")
            and "a <b> model" in image.meta["Source"]
        )
    told = json.loads((written / f"{what}.json").read_text())
    assert told["Units"] and told["simulated"] is True and told["keys"] == [result().key]


def test_nothing_is_a_nan_and_no_preferred_layer_is_minus_one(written):
    read = load_surf_data(written / "preferred_layer_hemi-L.func.gii")
    assert np.isnan(read[:25]).all() and set(np.unique(read[25:])) == {0, 1, 2, 3}
    image = nibabel.load(written / "p_hemi-L.func.gii")
    assert {nibabel.nifti1.intent_codes.label[one.intent] for one in image.darrays} == {"p value"}


def test_the_image_of_nilearn_is_the_map():
    image = result().surface_image(layer=2)
    r = result().r
    np.testing.assert_array_equal(image.data.parts["left"][:, 0], r[2, :HALF])
    np.testing.assert_array_equal(image.data.parts["right"][:, 0], r[2, HALF:])
    every = result().surface_image(what="r_over_ceiling", ceiling="inter-subject", shape="pial")
    assert every.shape == (2 * HALF, 4)
    np.testing.assert_array_equal(
        every.data.parts["left"].T,
        result().scores(True, "inter-subject")[:, :HALF].astype(np.float32),
    )
    faces = every.mesh.parts["left"].faces
    np.testing.assert_array_equal(faces, load_surface("pial")["left"].faces)
    assert result().surface_image(what="preferred_layer").shape == (2 * HALF, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"what": "t"}, "no map 't'"),
        ({"what": "q_best"}, "computed without"),
        ({"layer": 4}, "no layer 4"),
        ({"layer": -1}, "no layer -1"),
        ({"what": "ceiling", "layer": 1}, "one of all layers"),
        ({"shape": "puffed"}, "no surface 'puffed'"),
    ],
)
def test_what_there_is_not_is_refused(options, named):
    with pytest.raises(InputError, match=named):
        result().surface_image(**options)


def test_targets_without_a_surface_are_refused_with_what_to_do():
    with pytest.raises(InputError, match="'roi' have no surface") as told:
        made_up_result(space="roi").surface_image()
    assert "mapper" in told.value.hint


# ---- other spaces ---------------------------------------------------------------------------


def voxels(n_targets: int = 50) -> SurfaceMap:
    """Voxels whose mapper leads to fsaverage5; the last ones lead nowhere."""
    nearest = clusters("fsaverage5", n_targets - 5)
    ones = np.ones(len(nearest), dtype=np.float32)
    matrix = sparse.csr_array((ones, (np.arange(2 * HALF), nearest)), (2 * HALF, n_targets))
    return SurfaceMap(matrix, "fsaverage5", HALF, "voxels by a mapper")


def test_voxels_are_written_on_the_mesh_that_their_mapper_leads_to():
    surface = voxels()
    mapped = vertices_of("native-volume", 50, surface)
    values = np.arange(50, dtype=np.float32)[None]
    values[0, 3] = np.nan
    sides = mapped.sides(values)
    expected = surface.values(values)
    np.testing.assert_array_equal(np.concatenate([sides["left"], sides["right"]], axis=1), expected)
    assert np.isnan(expected).any() and mapped.note == "voxels by a mapper"
    with pytest.raises(InputError):
        vertices_of("native-volume", 49, surface)


def test_own_surfaces_travel_with_their_maps(tmp_path):
    shapes, n_left = own_shapes()
    total = n_left + len(shapes["pial"]["right"].coordinates)
    matrix = sparse.csr_array(sparse.eye_array(total, dtype=np.float32))
    surface = SurfaceMap(matrix, "own", n_left, "the subject's own vertices", shapes)
    mapped = vertices_of("native", total, surface)
    assert mapped.shapes == tuple(shapes)
    sides = mapped.sides(np.arange(total, dtype=np.float32), nearest=True)
    assert len(sides["left"]) == n_left and sides["right"][0] == n_left
    path = tmp_path / "lh.surf.gii"
    path.write_bytes(surface_gifti(mapped.meshes("pial")["left"], "left", "pial"))
    points, faces = nibabel.load(path).agg_data(("pointset", "triangle"))
    np.testing.assert_array_equal(points, shapes["pial"]["left"].coordinates)
    np.testing.assert_array_equal(faces, shapes["pial"]["left"].faces)


def own_shapes():
    meshes = own_meshes()
    shapes = meshes if "pial" in meshes else {"pial": meshes}
    return shapes, len(shapes["pial"]["left"].coordinates)


def test_maps_as_a_page_shows_them_keep_what_is_masked():
    shown = make_map(MapChoice("significant"), result())
    written = set_maps(shown.maps, result().n_targets, None)
    kept = result().significant(0.05)
    for side, own in (("left", kept[:, :HALF]), ("right", kept[:, HALF:])):
        np.testing.assert_array_equal(np.isfinite(written.sides[side]), own)
    assert "q ≤ 0.05" in written.title
