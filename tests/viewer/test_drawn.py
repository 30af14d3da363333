"""What is drawn of large and of strange meshes, and what value every drawn vertex has."""

import numpy as np
import pytest
from kit.spaces.files import icosphere, random_mapper
from kit.spaces.results import clusters, matrix_of, own_brain

from braindash.errors import InputError
from braindash.io.spaces.surface_map import SurfaceMap, main_columns
from braindash.io.surfaces import coarsen, load_surface
from braindash.viewer.blobs import MapSet, geometry_blob, map_blob
from braindash.viewer.drawn import can_show, drawable, drawn, thinned
from braindash.viewer.packing import unpack


def shown(values, surface):
    return MapSet(
        values=values,
        names=["one"],
        label="r",
        vmin=0.0,
        vmax=1.0,
        threshold=0.0,
        space="native-volume",
        surface=surface,
    )


@pytest.mark.parametrize("levels", [3, 4])
def test_a_thinned_mesh_is_closed_and_made_of_its_own_vertices(levels):
    mesh = icosphere(levels)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(mesh.coordinates))  # no mesh is as regular as this one's order
    place = np.argsort(order)
    mixed = type(mesh)(mesh.coordinates[order], place[mesh.faces].astype(np.int32))
    flat = mixed.faces[mixed.coordinates[mixed.faces[:, 0], 2] > 0]
    vertices, faces, on_flat = thinned(mixed, flat, most=len(order) // 2)
    assert len(vertices) < len(order) // 2 and len(np.unique(faces)) == len(vertices)
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    each, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 2).all(), "every edge has two faces"
    assert len(vertices) - len(each) + len(faces) == 2, "a sphere stays one"
    points = mixed.coordinates[vertices]
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c)
    assert (outwards > 0).mean() > 0.99
    upper = points[faces].mean(axis=1)[:, 2]
    assert on_flat[upper > 25].all() and not on_flat[upper < -25].any()


def test_a_small_mesh_is_drawn_whole():
    mesh = icosphere(2)
    vertices, faces, on_flat = thinned(mesh)
    assert vertices.tolist() == list(range(162)) and not on_flat.any()
    np.testing.assert_array_equal(faces, mesh.faces)


def test_fsaverage_is_drawn_coarsely_or_finely_and_a_click_names_its_vertex():
    assert drawable("fsaverage5") == ("fsaverage5",)
    assert drawable("fsaverage") == drawable("fsaverage6") == ("fsaverage5", "fsaverage6")
    assert drawable("roi") == ()
    values = np.arange(2 * 163842, dtype=np.float32)
    for mesh, count in (("fsaverage5", 10242), ("fsaverage6", 40962)):
        one = drawn("fsaverage", len(values), mesh=mesh)
        np.testing.assert_array_equal(one.values(values), coarsen(values, "fsaverage", mesh))
        assert one.targets[count] == 163842, "the first vertex on the right"
        header, arrays = unpack(geometry_blob(one.geometry))
        assert arrays["sulc_left"].shape == (count,) and arrays["faces"].max() == count - 1
        assert ("flat" in header["shapes"]) == (mesh == "fsaverage5")
    with pytest.raises(InputError, match="cannot be drawn"):
        drawn("fsaverage5", 20484, mesh="fsaverage6")
    with pytest.raises(InputError, match="no surface here"):
        drawn("native-volume", 12)


def test_targets_of_a_mapper_are_drawn_on_fsaverage():
    matrix = random_mapper(9, 327684)
    surface = SurfaceMap(matrix, "fsaverage", 163842, "by a mapper")
    assert can_show("native-volume", 9, surface) and not can_show("native-volume", 8, surface)
    values = np.random.default_rng(0).normal(size=(2, 9)).astype(np.float32)
    for mesh in drawable("native-volume", surface):
        one = drawn("native-volume", 9, surface, mesh)
        expected = coarsen(surface.values(values), "fsaverage", mesh)
        np.testing.assert_array_equal(one.values(values), expected)
        main = coarsen(main_columns(surface.matrix), "fsaverage", mesh)
        np.testing.assert_array_equal(one.targets, main)


def own_surface(n=50):
    targets = clusters("fsaverage5", n)
    return SurfaceMap(
        matrix_of(targets, n), "own", 10242, "by a transform", own_brain("fsaverage5")
    )


def test_native_meshes_have_their_own_geometry_and_no_flat_surface():
    surface = own_surface()
    assert drawable("native-volume", surface) == ("own",)
    one = drawn("native-volume", 50, surface)
    header, arrays = unpack(geometry_blob(one.geometry))
    assert header["shapes"] == ["inflated", "pial", "white"]
    for shape in header["shapes"]:
        points = load_surface(shape)["right"].coordinates * np.float32([1.0, 0.9, 1.05])
        points = points - (points.max(axis=0) + points.min(axis=0)) / 2
        read = arrays[f"{shape}_right"] * header["scale_mm"][f"{shape}_right"] / 32767
        np.testing.assert_allclose(read, points, atol=0.01)
    values = np.random.default_rng(0).random((1, 50)).astype(np.float32)
    maps = shown(values, one)
    told, packed = unpack(map_blob(maps))
    span = told["high"] - told["low"]
    expected = values[0][clusters("fsaverage5", 50)]
    np.testing.assert_allclose(
        told["low"] + packed["maps"][0] / 254 * span, expected, atol=span / 254
    )


def test_a_thinned_native_mesh_keeps_the_values_of_its_vertices(monkeypatch):
    monkeypatch.setattr("braindash.viewer.drawn.thinned.__defaults__", (None, 4000))
    surface = own_surface()
    one = drawn("native-volume", 50, surface)
    left, right = one.geometry.counts
    assert left < 4000 and right < 4000 and not one.numbered
    points = surface.shapes["pial"]["left"].coordinates
    places = {tuple(point): place for place, point in enumerate(points.tolist())}
    drawn_points = one.geometry.shapes["pial"]["left"].tolist()
    kept = [places[tuple(point)] for point in drawn_points]
    np.testing.assert_array_equal(one.targets[:left], clusters("fsaverage5", 50)[kept])
