"""Label files: what is read of every form, against nibabel's own reading."""

import re

import h5py
import nibabel
import numpy as np
import pytest
from kit.data.region_files import N_SIDE, patches, put_hcp, write_annot, write_label_gii

from braindash.errors import InputError
from braindash.io.regions.groups import HCP_LABELS
from braindash.io.regions.label_files import read_values
from braindash.io.regions.parcellation import read_parcellation
from braindash.io.surfaces import SPACES, load_surface


def by_nibabel(paths, name):
    """Targets of a label, read the direct way."""
    sides = []
    for path in paths:
        codes, _, names = nibabel.freesurfer.read_annot(str(path))
        names = [one.decode() for one in names]
        sides.append(codes == next(i for i, one in enumerate(names) if f"_{name}_" in one))
    return np.concatenate(sides)


@pytest.mark.parametrize("form", ["annot", "gii"])
@pytest.mark.parametrize("prefix", [True, False])
def test_hcp_labels_are_matched_by_name_on_both_sides(tmp_path, form, prefix):
    found = read_parcellation(*put_hcp(tmp_path, form=form, prefix=prefix))
    assert set(found.names) == set(HCP_LABELS) and len(HCP_LABELS) == 180
    assert found.n_left == N_SIDE and len(found.index) == 2 * N_SIDE
    for side, start in (("left", 0), ("right", N_SIDE)):
        wanted = patches(180, side) == 1 + HCP_LABELS.index("A1")
        np.testing.assert_array_equal(found.masks["A1"][start : start + N_SIDE], wanted)


@pytest.mark.parametrize(
    ("left", "right", "case"),
    [
        ("L_{}_ROI-lh", "R_{}_ROI-rh", str),
        ("{}_L", "{}_R", str.upper),
        ("L_{}_ROI ", "R_{}_ROI ", str.lower),
        ("{}", "{}", str.upper),
    ],
)
def test_labels_of_other_programs_are_those_of_the_set(tmp_path, left, right, case):
    index = patches(len(HCP_LABELS), "left")
    paths, plain = [], []
    for side, form in (("lh", left), ("rh", right)):
        names = ["???", *(case(form.format(name)) for name in HCP_LABELS)]
        paths.append(write_label_gii(tmp_path / f"{side}.label.gii", names, index))
        plain.append(write_label_gii(tmp_path / f"{side}.p.label.gii", ["???", *HCP_LABELS], index))
    found = read_parcellation(*paths).spelled_as(HCP_LABELS)
    true = read_parcellation(*plain)
    assert set(found.names) == set(HCP_LABELS)
    for name in HCP_LABELS:
        np.testing.assert_array_equal(found.masks[name], true.masks[name])


def test_labels_that_may_be_two_or_are_of_the_other_side_stay_as_they_are(tmp_path):
    index = patches(2, "left")
    for names in (["???", "A1", "a1"], ["???", "A1_R", "V1_R"]):
        paths = [
            write_label_gii(tmp_path / f"{side}.label.gii", names, index) for side in ("lh", "rh")
        ]
        found = read_parcellation(*paths)
        assert found.spelled_as(["A1", "V1"]) is found


def test_annotations_say_what_nibabel_says(tmp_path):
    paths = put_hcp(tmp_path)
    masks = read_parcellation(*paths).masks
    for name in ("A1", "V1", "55b", "TPOJ1", "9-46d", "H"):
        np.testing.assert_array_equal(masks[name], by_nibabel(paths, name))
    assert not np.any([masks[name] for name in HCP_LABELS], axis=0).all()  # the medial wall


def test_a_finer_mesh_is_cut_and_a_coarser_one_takes_the_nearest_vertex(tmp_path):
    fine = read_parcellation(*put_hcp(tmp_path / "fine", "fsaverage6"))
    coarse = fine.on("fsaverage5")
    n_fine = SPACES["fsaverage6"]
    np.testing.assert_array_equal(coarse.index[:N_SIDE], fine.index[:N_SIDE])
    np.testing.assert_array_equal(coarse.index[N_SIDE:], fine.index[n_fine : n_fine + N_SIDE])
    again = coarse.on("fsaverage6")
    points = load_surface("sphere", "fsaverage6")["right"].coordinates
    seeds = load_surface("sphere")["right"].coordinates
    rng = np.random.default_rng(0)
    for vertex in rng.choice(n_fine, 40, replace=False):
        distance_mm = np.linalg.norm(seeds - points[vertex], axis=1)
        nearest = np.flatnonzero(distance_mm <= distance_mm.min() + 1e-3)  # a midpoint has two
        assert again.index[n_fine + vertex] in coarse.index[N_SIDE + nearest]


def test_what_is_no_region_names_none(tmp_path):
    names = ["unknown", "Medial_wall", "G_temp_sup-G_T_transv", "S_front_inf", "???"]
    index = np.arange(N_SIDE) % 5
    paths = [write_annot(tmp_path / f"{side}.annot", names, index) for side in ("lh", "rh")]
    found = read_parcellation(*paths)
    assert found.names == ("G_temp_sup-G_T_transv", "S_front_inf")  # S_ is no side
    assert (found.index == -1).sum() == 2 * np.isin(index, [0, 1, 4]).sum()


def test_vertices_without_a_label_belong_to_no_region(tmp_path):
    index = np.where(np.arange(N_SIDE) < 100, 1, -1)
    paths = [write_annot(tmp_path / f"{side}.annot", ["???", "spot"], index) for side in "lr"]
    assert read_parcellation(*paths).masks["spot"].sum() == 200


def test_the_sides_may_have_different_tables(tmp_path):
    left = write_annot(tmp_path / "l.annot", ["???", "a", "b"], np.arange(N_SIDE) % 3)
    right = write_label_gii(tmp_path / "r.label.gii", ["b", "???", "c"], np.arange(N_SIDE) % 3)
    masks = read_parcellation(left, right).masks
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "a": N_SIDE // 3,
        "b": 2 * (N_SIDE // 3),
        "c": N_SIDE // 3,
    }
    assert not masks["a"][N_SIDE:].any() and not masks["c"][:N_SIDE].any()


def test_numbers_are_labels_too(tmp_path):
    for side in "lr":
        np.save(tmp_path / f"{side}.npy", np.arange(N_SIDE) % 3)
    found = read_parcellation(tmp_path / "l.npy", tmp_path / "r.npy")
    assert set(found.names) == {"1", "2"}
    np.save(tmp_path / "l.npy", np.linspace(0, 1, N_SIDE))
    with pytest.raises(InputError, match="no labels"):
        read_parcellation(tmp_path / "l.npy", tmp_path / "r.npy")


def test_files_that_cannot_be_read_are_named(tmp_path):
    broken = tmp_path / "lh.broken.annot"
    broken.write_bytes(b"not an annotation")
    with pytest.raises(InputError, match=r"lh\.broken\.annot"):
        read_parcellation(broken, broken)
    with pytest.raises(InputError, match=r"missing\.annot"):
        read_parcellation(tmp_path / "missing.annot", broken)
    (tmp_path / "labels.txt").write_text("A1")
    with pytest.raises(InputError, match="no label file that can be read"):
        read_parcellation(tmp_path / "labels.txt", broken)
    surface = tmp_path / "lh.pial.gii"
    values = nibabel.gifti.GiftiDataArray(np.zeros(9, dtype=np.float32))
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[values]), surface)
    with pytest.raises(InputError, match="no table of label names"):
        read_parcellation(surface, surface)
    small = [
        write_annot(tmp_path / f"{side}.small.annot", ["???", "a"], np.ones(7)) for side in "lr"
    ]
    with pytest.raises(InputError, match="14 targets are no fsaverage mesh"):
        read_parcellation(*small).on("fsaverage5")
    none = [
        write_annot(tmp_path / f"{side}.none.annot", ["???", "unknown"], np.zeros(7))
        for side in "lr"
    ]
    with pytest.raises(InputError, match="name no region"):
        read_parcellation(*none)


def test_values_come_from_every_usual_form(tmp_path):
    values = np.arange(6, dtype=np.float32)
    np.save(tmp_path / "a.npy", values)
    data = nibabel.gifti.GiftiDataArray(values)
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[data]), tmp_path / "a.func.gii")
    nibabel.save(nibabel.MGHImage(values.reshape(-1, 1, 1), np.eye(4)), tmp_path / "a.mgz")
    nibabel.save(nibabel.Nifti1Image(values.reshape(1, -1, 1), np.eye(4)), tmp_path / "a.nii.gz")
    with h5py.File(tmp_path / "a.hdf", "w") as file:
        file["AC"] = values > 2
        file["far"] = h5py.ExternalLink("b.hdf", "AC")
        file["group/inner"] = values
    for name in ("a.npy", "a.func.gii", "a.mgz", "a.nii.gz"):
        np.testing.assert_array_equal(read_values([tmp_path / name]), values, err_msg=name)
    np.testing.assert_array_equal(read_values([f"{tmp_path}/a.hdf#AC"]), values > 2)
    np.testing.assert_array_equal(read_values([f"{tmp_path}/a.hdf#group/inner"]), values)
    assert len(read_values([tmp_path / "a.npy", tmp_path / "a.mgz"])) == 12
    with pytest.raises(InputError, match=r"link to b\.hdf"):
        read_values([f"{tmp_path}/a.hdf#far"])
    for key in ("absent", "group", ""):
        with pytest.raises(InputError, match="has no array"):
            read_values([f"{tmp_path}/a.hdf#{key}"])
    nibabel.save(nibabel.Nifti1Image(np.zeros((3, 4, 5)), np.eye(4)), tmp_path / "v.nii")
    with pytest.raises(InputError, match="volume of 3 x 4 x 5"):
        read_values([tmp_path / "v.nii"])
    with pytest.raises(InputError, match="no file"):
        read_values([tmp_path / "none.npy"])


def test_arrays_of_other_files_and_placeholders_are_refused(tmp_path):
    data = nibabel.gifti.GiftiDataArray(np.arange(6, dtype=np.int32))
    written = nibabel.gifti.GiftiImage(darrays=[data]).to_xml().decode()
    (tmp_path / "other.bin").write_bytes(np.arange(6, dtype="<i4").tobytes())
    outside = written.replace('ExternalFileName=""', 'ExternalFileName="other.bin"')
    outside = re.sub('Encoding="[^"]*"', 'Encoding="ExternalFileBinary"', outside)
    for name in ("lh.far.label.gii", "far.func.gii"):
        (tmp_path / name).write_text(outside)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    for name in ("lh.lfs.annot", "lfs.npy"):
        (tmp_path / name).write_text(pointer)
    with pytest.raises(InputError, match="values in another file"):
        read_parcellation(tmp_path / "lh.far.label.gii", tmp_path / "lh.far.label.gii")
    with pytest.raises(InputError, match="values in another file"):
        read_values([tmp_path / "far.func.gii"])
    with pytest.raises(InputError, match="Git LFS"):
        read_parcellation(tmp_path / "lh.lfs.annot", tmp_path / "lh.lfs.annot")
    with pytest.raises(InputError, match="Git LFS"):
        read_values([tmp_path / "lfs.npy"])


def test_hemispheres_in_the_wrong_order_are_refused(tmp_path):
    index = np.arange(N_SIDE) % 3
    for kind, names in {
        "hcp": ["{0}_V1_ROI", "{0}_A1_ROI"],
        "schaefer": ["7Networks_{0}H_Vis_1", "7Networks_{0}H_Default_Temp_1"],
        "aparc": ["ctx-{1}h-bankssts", "ctx-{1}h-cuneus"],
    }.items():
        left, right = (
            write_annot(
                tmp_path / f"{kind}_{place}.annot",  # the name says no side
                ["???", *(name.format(letter, letter.lower()) for name in names)],
                index,
            )
            for place, letter in enumerate("LR")
        )
        assert read_parcellation(left, right).n_left == N_SIDE
        for wrong in ((right, left), (left, left), (right, right)):
            with pytest.raises(InputError, match="all its labels are of the"):
                read_parcellation(*wrong)
    # What a table names beside what the vertices have, and labels of both sides, say nothing.
    both = [
        write_annot(tmp_path / f"both_{side}.annot", ["???", "L_a", "R_a"], index) for side in "01"
    ]
    assert read_parcellation(*both).names == ("a",)
    table = ["???", "L_a", "R_a"]
    left = write_annot(tmp_path / "all_0.annot", table, np.where(index == 2, 0, index))
    right = write_annot(tmp_path / "all_1.annot", table, np.where(index == 1, 0, index))
    assert read_parcellation(left, right).masks["a"][:N_SIDE].sum() == (index == 1).sum()
    with pytest.raises(InputError, match="all its labels are of the"):
        read_parcellation(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("lh.a.npy", "rh.a.npy"),
        ("left.npy", "right.npy"),
        ("LH_LanA_n804.npy", "RH_LanA_n804.npy"),
        ("sub-1.lh.npy", "sub-1.rh.npy"),
        ("tpl-fsaverage_hemi-L_desc-MMP_dseg.npy", "tpl-fsaverage_hemi-R_desc-MMP_dseg.npy"),
    ],
)
def test_files_named_after_the_other_side_are_refused(tmp_path, left, right):
    for name in (left, right):
        np.save(tmp_path / name, np.arange(N_SIDE) % 3)
    files = tmp_path / left, tmp_path / right
    assert len(read_parcellation(*files).index) == len(read_values(files)) == 2 * N_SIDE
    for wrong in (files[::-1], files[:1] * 2):
        for read in (lambda two: read_parcellation(*two), read_values):
            with pytest.raises(InputError, match="its name is of the"):
                read(wrong)


def test_links_that_were_not_fetched_are_told(tmp_path):
    for name in ("lh.far.annot", "far.npy"):
        (tmp_path / name).symlink_to(".git/annex/objects/aa/MD5E-s1--x")
    with pytest.raises(InputError, match="not fetched with git-annex"):
        read_parcellation(tmp_path / "lh.far.annot", tmp_path / "rh.far.annot")
    with pytest.raises(InputError, match="not fetched with git-annex"):
        read_values([tmp_path / "far.npy"])
