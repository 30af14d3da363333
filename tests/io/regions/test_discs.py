import numpy as np
import pytest

from braindash.errors import InputError
from braindash.io.regions.discs import (
    REGION_NAMES,
    SPHERE_LABEL,
    Sphere,
    disc_masks,
    mni_to_fsaverage,
    published_spheres,
    sphere_mask,
)
from braindash.io.regions.masks import WHOLE, named_masks
from braindash.io.surfaces import HEMISPHERES, coarsen, load_surface, medial_wall

N_TARGETS = 20484


def test_every_sphere_is_sourced_and_in_its_hemisphere():
    spheres = published_spheres()
    assert {sphere.region for sphere in spheres} == set(REGION_NAMES) - {"late_language"}
    for sphere in spheres:
        assert "doi:" in sphere.source
        assert (sphere.mni[0] < 0) == (sphere.hemisphere == "left")
        assert 5 <= sphere.radius_mm <= 15
    assert "published coordinate" in SPHERE_LABEL


def test_coordinates_from_nilearn_are_those_of_its_tables():
    from nilearn.datasets import fetch_coords_dosenbach_2010, fetch_coords_seitzman_2018

    seitzman = fetch_coords_seitzman_2018()
    tables = {
        "Seitzman": (seitzman.rois.to_numpy(), seitzman.networks),
        "Dosenbach": (fetch_coords_dosenbach_2010().rois.to_numpy(), None),
    }
    checked = 0
    for sphere in published_spheres():
        for author, (rois, networks) in tables.items():
            if author not in sphere.source:
                continue
            distance_mm = np.abs(rois - sphere.mni).max(axis=1)
            assert distance_mm.min() < 0.011, sphere
            if networks is not None:
                label = sphere.name.split()[0]
                assert networks[distance_mm.argmin()] == label, sphere
            checked += 1
    assert checked == 14


def test_mni_transform_is_the_published_matrix():
    # FreeSurfer's wiki example: MNI305 (10, -20, 35) is MNI152 (10.695, -18.409, 36.137).
    np.testing.assert_allclose(
        mni_to_fsaverage([10.695, -18.409, 36.137]), [10, -20, 35], atol=0.005
    )
    assert mni_to_fsaverage(np.zeros((4, 3))).shape == (4, 3)


def test_every_disc_lies_around_its_centre():
    mid = {
        side: (load_surface("pial")[side].coordinates + load_surface("white")[side].coordinates) / 2
        for side in HEMISPHERES
    }
    for sphere in published_spheres():
        mask = sphere_mask(sphere)
        start = 0 if sphere.hemisphere == "left" else 10242
        vertices = np.flatnonzero(mask) - start
        assert 10 <= len(vertices) <= 200, sphere
        assert vertices.min() >= 0 and vertices.max() < 10242
        centre = mni_to_fsaverage(sphere.mni)
        distance_mm = np.linalg.norm(mid[sphere.hemisphere] - centre, axis=1)
        assert distance_mm[vertices].max() <= sphere.radius_mm
        assert distance_mm.min() < 5, sphere
        assert distance_mm.argmin() in vertices


def test_discs_are_connected_and_off_the_medial_wall():
    left = load_surface("pial")["left"].faces
    for sphere in published_spheres():
        mask = sphere_mask(sphere)
        assert not (mask & medial_wall()).any()
        if sphere.hemisphere == "right":
            continue
        inside = set(np.flatnonzero(mask).tolist())
        faces = [set(face) & inside for face in left.tolist()]
        reached = {min(inside)}
        while True:
            grown = reached.union(*(face for face in faces if face & reached))
            if grown == reached:
                break
            reached = grown
        assert reached == inside, sphere


def test_a_sphere_away_from_the_cortex_is_refused():
    lost = Sphere("nowhere", "early_visual", "left", (-200.0, 0.0, 0.0), 5.0, "none")
    with pytest.raises(InputError, match="does not touch"):
        sphere_mask(lost)


def test_region_masks_of_fsaverage5():
    masks = disc_masks("fsaverage5")
    assert tuple(masks) == REGION_NAMES
    for name, mask in masks.items():
        assert mask.shape == (N_TARGETS,) and mask.dtype == bool
        assert mask[:10242].sum() > 20 and mask[10242:].sum() > 20, name
    union = masks["angular_gyrus"] | masks["lateral_temporal"] | masks["ifg_mfg"]
    np.testing.assert_array_equal(masks["late_language"], union)
    assert not (masks["primary_auditory"] & ~masks["early_auditory"]).any()
    assert not (masks["early_visual"] & (union | masks["early_auditory"])).any()


def test_named_masks_are_copies_with_all_targets_first():
    assert list(named_masks("fsaverage5", N_TARGETS)) == [WHOLE, *REGION_NAMES]
    named_masks("fsaverage5", N_TARGETS)["ifg_mfg"][:] = True
    assert not named_masks("fsaverage5", N_TARGETS)["ifg_mfg"].all()


def test_region_masks_of_a_finer_mesh_agree_at_shared_vertices():
    fine = disc_masks("fsaverage6")
    for name, mask in disc_masks("fsaverage5").items():
        differ = coarsen(fine[name], "fsaverage6") != mask
        assert differ.sum() <= 2, name
        assert 3 * mask.sum() < fine[name].sum() < 5 * mask.sum()


def test_other_spaces_have_no_regions_and_wrong_sizes_are_refused():
    assert list(named_masks("subject01-volume", 1000)) == [WHOLE]
    with pytest.raises(InputError, match="20484 targets"):
        named_masks("fsaverage5", 1000)
