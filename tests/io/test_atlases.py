import numpy as np
import pytest
from nibabel import freesurfer

from braindash.errors import InputError
from braindash.io.atlases import (
    LABEL_GROUPS,
    REGION_NAMES,
    SPHERE_LABEL,
    Labels,
    Sphere,
    mni_to_fsaverage,
    published_spheres,
    read_label_file,
    region_masks,
    sphere_mask,
)
from braindash.io.surfaces import HEMISPHERES, coarsen, load_surface, medial_wall

N_TARGETS = 20484


def write_annot(path, label_names, labels):
    colours = np.array([[i + 1, 2 * i + 1, 3, 0, 0] for i in range(len(label_names))])
    freesurfer.write_annot(str(path), labels, colours, label_names, fill_ctab=True)


def annot_pair(folder, plain_names, n_vertices, index, *, hcp_style):
    paths = []
    for letter in "LR":
        names = [f"{letter}_{name}_ROI" if hcp_style else name for name in plain_names]
        paths.append(folder / f"{letter.lower()}h.test.annot")
        write_annot(paths[-1], ["???", *names], index)
    assert len(index) == n_vertices
    return read_label_file(*paths)


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
    masks = region_masks("fsaverage5", N_TARGETS)
    assert tuple(masks) == REGION_NAMES
    for name, mask in masks.items():
        assert mask.shape == (N_TARGETS,) and mask.dtype == bool
        assert mask[:10242].sum() > 20 and mask[10242:].sum() > 20, name
    union = masks["angular_gyrus"] | masks["lateral_temporal"] | masks["ifg_mfg"]
    np.testing.assert_array_equal(masks["late_language"], union)
    assert not (masks["primary_auditory"] & ~masks["early_auditory"]).any()
    assert not (masks["early_visual"] & (union | masks["early_auditory"])).any()


def test_region_masks_are_copies():
    region_masks("fsaverage5", N_TARGETS)["ifg_mfg"][:] = True
    assert not region_masks("fsaverage5", N_TARGETS)["ifg_mfg"].all()


def test_region_masks_of_a_finer_mesh_agree_at_shared_vertices():
    fine = region_masks("fsaverage6", 81924)
    for name, mask in region_masks("fsaverage5", N_TARGETS).items():
        differ = coarsen(fine[name], "fsaverage6") != mask
        assert differ.sum() <= 2, name
        assert 3 * mask.sum() < fine[name].sum() < 5 * mask.sum()


def test_other_spaces_have_no_regions_and_wrong_sizes_are_refused():
    assert region_masks("subject01-volume", 1000) == {}
    with pytest.raises(InputError, match="20484 targets"):
        region_masks("fsaverage5", 1000)


def hcp_names():
    return sorted({label for group in LABEL_GROUPS.values() for label in group} | {"STSvp"})


def test_hcp_labels_become_groups_by_name(tmp_path):
    names = hcp_names()
    index = np.random.default_rng(0).integers(0, len(names) + 1, 10242)
    labels = annot_pair(tmp_path, names, 10242, index, hcp_style=True)
    assert set(labels.names) == set(names)
    masks = region_masks("fsaverage5", N_TARGETS, labels)
    assert set(masks) == set(LABEL_GROUPS)
    both = np.concatenate([index, index])
    for region, group in LABEL_GROUPS.items():
        wanted = [names.index(label) + 1 for label in group]
        np.testing.assert_array_equal(masks[region], np.isin(both, wanted))


def test_corrected_groups_hold_what_their_names_say():
    assert LABEL_GROUPS["early_visual"] == ("V1", "V2")
    assert LABEL_GROUPS["visual_word_form"] == ("PH", "TE2p")
    assert set(LABEL_GROUPS["angular_gyrus"]) < set(LABEL_GROUPS["late_language"])


def test_other_parcellations_give_one_region_per_label(tmp_path):
    index = np.arange(10242) % 3
    labels = annot_pair(tmp_path, ["banks", "Medial_wall"], 10242, index, hcp_style=False)
    masks = region_masks("fsaverage5", N_TARGETS, labels)
    assert list(masks) == ["banks"]
    np.testing.assert_array_equal(masks["banks"], np.tile(index == 1, 2))


def test_labels_of_a_finer_mesh_are_cut(tmp_path):
    index = np.arange(40962) % 2
    labels = annot_pair(tmp_path, ["odd"], 40962, index, hcp_style=False)
    masks = region_masks("fsaverage5", N_TARGETS, labels)
    np.testing.assert_array_equal(masks["odd"], np.tile(np.arange(10242) % 2 == 1, 2))


def test_labels_of_a_coarser_mesh_are_refused():
    labels = Labels(("a",), np.zeros(N_TARGETS, dtype=np.int32), "coarse.annot")
    with pytest.raises(InputError, match=r"coarse\.annot"):
        region_masks("fsaverage6", 81924, labels)


def test_unlabelled_vertices_belong_to_no_region(tmp_path):
    index = np.where(np.arange(10242) < 100, 1, -1)
    labels = annot_pair(tmp_path, ["spot"], 10242, index, hcp_style=False)
    assert region_masks("fsaverage5", N_TARGETS, labels)["spot"].sum() == 200


def test_broken_and_mismatched_annotations_are_refused(tmp_path):
    broken = tmp_path / "lh.broken.annot"
    broken.write_bytes(b"not an annotation")
    with pytest.raises(InputError, match=r"lh\.broken\.annot"):
        read_label_file(broken, broken)
    with pytest.raises(InputError, match=r"missing\.annot"):
        read_label_file(tmp_path / "missing.annot", broken)
    small = tmp_path / "lh.small.annot"
    write_annot(small, ["???", "a"], np.zeros(7, dtype=int))
    with pytest.raises(InputError, match="7 vertices"):
        read_label_file(small, small)
