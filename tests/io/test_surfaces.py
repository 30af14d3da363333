import hashlib

import numpy as np
import pytest

from braindash.errors import InputError
from braindash.io.surfaces import (
    HEMISPHERES,
    KINDS,
    SPACE_NAMES,
    SPACES,
    Mesh,
    adjacency,
    coarsen,
    count_targets,
    load_surface,
    medial_wall,
    subdivide,
    sulcal_depth,
)


def test_space_names_and_counts():
    assert SPACE_NAMES.get("fsaverage") == "fsaverage7"
    assert SPACE_NAMES.get("fsaverage5") == "fsaverage5"
    assert SPACE_NAMES.get("volume") is None
    assert count_targets("fsaverage5") == 20484
    assert count_targets("fsaverage") == 327684
    with pytest.raises(InputError, match="Did you mean 'fsaverage5'"):
        count_targets("fsavrage5")


@pytest.mark.parametrize("kind", ["pial", "white", "inflated", "sphere"])
def test_surfaces_are_closed_spheres(kind):
    for mesh in load_surface(kind).values():
        assert mesh.coordinates.shape == (10242, 3)
        assert mesh.faces.shape == (20480, 3)
        # Euler's formula: V - E + F = 2 for a closed surface without handles.
        edges = {frozenset(pair) for face in mesh.faces for pair in (face[:2], face[1:], face[::2])}
        assert 10242 - len(edges) + 20480 == 2


def test_hemispheres_are_on_their_own_sides():
    pial = load_surface("pial")
    assert pial["left"].coordinates[:, 0].mean() < -20
    assert pial["right"].coordinates[:, 0].mean() > 20


def test_faces_are_counter_clockwise_seen_from_outside():
    for side in HEMISPHERES:
        mesh = load_surface("sphere")[side]
        a, b, c = (mesh.coordinates[mesh.faces[:, i]] for i in range(3))
        outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), a)
        assert (outwards > 0).all()


def test_flat_surface_has_fewer_faces():
    flat = load_surface("flat")
    assert [len(flat[side].faces) for side in HEMISPHERES] == [18654, 18790]


def test_surfaces_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        load_surface("pial")["left"].coordinates[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        sulcal_depth()[0] = 0


def test_unknown_kind_and_flat_of_a_fine_mesh_are_refused():
    with pytest.raises(InputError, match="Did you mean 'inflated'"):
        load_surface("inflatd")
    with pytest.raises(InputError, match="fsaverage5"):
        load_surface("flat", "fsaverage6")


def test_subdivision_of_one_tetrahedron_follows_the_documented_order():
    corners = np.eye(4, 3, dtype=np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]], dtype=np.int32)
    fine = subdivide(Mesh(corners, faces))
    # Edges in the order met: ca=02, bc=12, ab=01 | ca=03, bc=23 | bc=13.
    midpoints = [(0, 2), (1, 2), (0, 1), (0, 3), (2, 3), (1, 3)]
    for new, (p, q) in enumerate(midpoints, start=4):
        np.testing.assert_array_equal(fine.coordinates[new], (corners[p] + corners[q]) / 2)
    assert fine.faces[:4].tolist() == [[0, 6, 4], [0, 4, 7], [0, 7, 6], [1, 9, 5]]
    assert fine.faces[4:7].tolist() == [[4, 5, 2], [6, 5, 4], [6, 1, 5]]


def test_fsaverage5_is_its_own_coarse_mesh_subdivided():
    """Undo one subdivision with sets of neighbours, then redo it: the file's order comes back."""
    mesh = load_surface("sphere")["left"]
    n_coarse = 2562
    old_neighbours: dict[int, set[int]] = {}
    for a, b, c in mesh.faces.tolist():
        for p, q in ((a, b), (b, c), (c, a), (b, a), (c, b), (a, c)):
            if p >= n_coarse and q < n_coarse:
                old_neighbours.setdefault(p, set()).add(q)
    coarse = []
    for a, ab, ca in mesh.faces[: len(mesh.faces) // 4].tolist():
        (b,), (c,) = old_neighbours[ab] - {a}, old_neighbours[ca] - {a}
        coarse.append((a, b, c))
    again = subdivide(Mesh(mesh.coordinates[:n_coarse], np.array(coarse, dtype=np.int32)))
    np.testing.assert_array_equal(again.faces, mesh.faces)
    # On the sphere FreeSurfer's vertex is near the midpoint of the edge that it splits.
    error_mm = np.linalg.norm(again.coordinates - mesh.coordinates, axis=1)
    assert np.median(error_mm) < 3


def test_fsaverage6_faces_are_freesurfers():
    """Digest of ic6's triangles (0-based, int32, little-endian), taken from MNE's icos.fif.gz."""
    faces = load_surface("sphere", "fsaverage6")["right"].faces
    assert faces.shape == (81920, 3)
    assert hashlib.sha256(faces.astype("<i4").tobytes()).hexdigest()[:16] == "aedeee238a28dc7f"


def test_finer_meshes_keep_the_coarse_vertices():
    coarse, fine = load_surface("pial"), load_surface("pial", "fsaverage6")
    for side in HEMISPHERES:
        assert len(fine[side].coordinates) == SPACES["fsaverage6"]
        np.testing.assert_array_equal(fine[side].coordinates[:10242], coarse[side].coordinates)


def test_coarsen_keeps_both_hemispheres():
    values = np.stack([np.arange(81924), -np.arange(81924)])
    cut = coarsen(values, "fsaverage6")
    assert cut.shape == (2, 20484)
    np.testing.assert_array_equal(cut[0, :10242], np.arange(10242))
    np.testing.assert_array_equal(cut[1, 10242:], -np.arange(40962, 40962 + 10242))
    np.testing.assert_array_equal(coarsen(values, "fsaverage6", "fsaverage6"), values)


def test_coarsen_refuses_finer_spaces_and_wrong_sizes():
    with pytest.raises(InputError, match="finer"):
        coarsen(np.zeros(20484), "fsaverage5", "fsaverage6")
    with pytest.raises(InputError, match="20484 targets"):
        coarsen(np.zeros(100), "fsaverage5")


def test_adjacency_matches_a_plain_loop():
    graph = adjacency()
    assert graph.shape == (20484, 20484)
    assert (graph != graph.T).nnz == 0
    assert graph.diagonal().sum() == 0
    right = load_surface("pial")["right"].faces
    vertex = 777
    expected = {int(v) for face in right if vertex in face for v in face} - {vertex}
    row = graph[[10242 + vertex]]
    assert set((row.indices - 10242).tolist()) == expected
    degrees = np.bincount(graph.sum(axis=1).astype(int))
    assert degrees[5] == 24  # twelve icosahedron corners per hemisphere
    assert degrees[6] == 20484 - 24


def test_medial_wall_is_one_patch_at_the_midline():
    wall = medial_wall()
    assert wall.shape == (20484,)
    for start, side, towards_middle in ((0, "left", 1), (10242, "right", -1)):
        patch = wall[start : start + 10242]
        assert 600 < patch.sum() < 890
        x_mm = towards_middle * load_surface("inflated")[side].coordinates[patch, 0]
        assert np.quantile(x_mm, 0.1) > 0  # on the inner face of the inflated hemisphere
        unused = np.ones(10242, dtype=bool)
        unused[load_surface("flat")[side].faces] = False
        assert unused[patch].mean() > 0.85  # the flat surface is cut out around it
    with pytest.raises(ValueError, match="read-only"):
        wall[0] = True


def test_medial_wall_of_a_finer_mesh_agrees_at_shared_vertices():
    fine = medial_wall("fsaverage6")
    np.testing.assert_array_equal(coarsen(fine, "fsaverage6"), medial_wall())
    assert fine.mean() == pytest.approx(medial_wall().mean(), rel=0.1)


def test_sulcal_depth_is_deeper_in_the_sulci():
    depth = sulcal_depth()
    assert depth.shape == (20484,)
    pial = np.concatenate([load_surface("pial")[side].coordinates for side in HEMISPHERES])
    sphere_radius = np.linalg.norm(pial * [1, 0.8, 1], axis=1)
    outer, inner = sphere_radius > 65, sphere_radius < 45
    assert depth[outer].mean() < depth[inner].mean()


def test_what_is_read_from_nilearns_files_is_what_nilearn_gives():
    from nilearn.datasets import load_fsaverage, load_fsaverage_data

    given = load_fsaverage("fsaverage5")
    for kind in KINDS:
        parts = given["white_matter" if kind == "white" else kind].parts
        for side, mesh in load_surface(kind).items():
            np.testing.assert_array_equal(mesh.coordinates, parts[side].coordinates)
            np.testing.assert_array_equal(mesh.faces, parts[side].faces)
    depth = load_fsaverage_data(mesh="fsaverage5", data_type="sulcal").data.parts
    np.testing.assert_array_equal(
        sulcal_depth(), np.concatenate([depth["left"], depth["right"]]).astype(np.float32)
    )
