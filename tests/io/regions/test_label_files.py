"""Label files as other programs write them: what is a label, what is told, and what is refused."""

import gzip
import struct

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.data.region_files import write_annot, write_cifti, write_label_gii

from braindash.errors import InputError
from braindash.io.regions.label_files import read_labels_of, read_values, read_vertices
from braindash.io.regions.parcellation import read_parcellation

NAMES = ["???", "A1", "STG"]


def annot(path, pairs, table, *, new=True, gaps=1):
    """Write an annotation by hand: any vertices, any colours, numbers of the table with gaps."""
    text = b"made by hand\0"
    parts = [struct.pack(">i", len(pairs)), *(struct.pack(">2i", *pair) for pair in pairs)]
    parts.append(struct.pack(">i", 1))
    head = (-2, gaps * len(table), len(text)) if new else (len(table), len(text))
    parts += [struct.pack(f">{len(head)}i", *head), text]
    parts += [struct.pack(">i", len(table))] if new else []
    for number, (name, colour) in enumerate(table):
        raw = name.encode() + b"\0"
        parts += [struct.pack(">i", gaps * number)] if new else []
        parts += [struct.pack(">i", len(raw)), raw]
        parts.append(struct.pack(">4i", colour & 255, colour >> 8 & 255, colour >> 16, 0))
    path.write_bytes(b"".join(parts))
    return path


def names_of(path):
    codes, table = read_labels_of(path)
    return [table.get(code, "") for code in codes.tolist()]


TABLE = [("???", 255), ("A1", 256), ("STG", 65536)]


@pytest.mark.parametrize("new", [True, False])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_annotation_says_what_is_at_each_vertex_in_any_order(tmp_path_factory, new, data):
    labels = data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=30))
    order = data.draw(st.permutations(range(len(labels))))
    gaps = data.draw(st.integers(1, 3)) if new else 1
    pairs = [(vertex, TABLE[labels[vertex]][1]) for vertex in order]
    path = annot(tmp_path_factory.mktemp("a") / "lh.a.annot", pairs, TABLE, new=new, gaps=gaps)
    assert names_of(path) == [TABLE[label][0] for label in labels]


def test_annotations_are_read_as_nibabel_reads_them(tmp_path):
    index = np.random.default_rng(0).integers(-1, 3, 50)
    path = write_annot(tmp_path / "lh.a.annot", NAMES, index)
    codes, _, names = nibabel.freesurfer.read_annot(str(path))
    assert names_of(path) == [names[code].decode() if code >= 0 else "" for code in codes]


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        ([(0, 256), (1, 256), (7, 256)], "has 3 vertices and names vertex 7"),
        ([(0, 256), (-1, 256), (2, 256)], "names vertex -1"),
        ([(0, 256), (0, 65536), (2, 256)], "names vertex 0 twice"),
    ],
)
def test_vertices_that_cannot_be_are_refused(tmp_path, pairs, problem):
    with pytest.raises(InputError, match=problem):
        read_labels_of(annot(tmp_path / "a.annot", pairs, TABLE))


def test_colours_without_a_name_are_no_label_and_told(tmp_path, caplog):
    path = annot(tmp_path / "a.annot", [(0, 256), (1, 300), (2, 0), (3, 301)], TABLE)
    assert names_of(path) == ["A1", "", "", ""]
    assert "2 of 4 vertices have colours that its table does not name" in caplog.text


def test_a_colour_of_two_regions_is_refused_where_it_is_used(tmp_path):
    table = [*TABLE, ("V1", 256), ("unknown", 255)]
    with pytest.raises(InputError, match="one colour for several labels: 'A1', 'V1'"):
        read_labels_of(annot(tmp_path / "a.annot", [(0, 256), (1, 65536)], table))
    assert names_of(annot(tmp_path / "b.annot", [(0, 255), (1, 65536)], table))[1] == "STG"


def test_annotations_that_end_early_or_have_no_names_are_refused(tmp_path):
    whole = annot(tmp_path / "a.annot", [(0, 256), (1, 65536)], TABLE).read_bytes()
    for size in (5, 11, 25, 44, len(whole) - 3):
        (tmp_path / "cut.annot").write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"cut\.annot cannot be read .*ends early"):
            read_labels_of(tmp_path / "cut.annot")
    (tmp_path / "cut.annot").write_bytes(whole[:20] + struct.pack(">i", 0))
    with pytest.raises(InputError, match="no table of label names"):
        read_labels_of(tmp_path / "cut.annot")


def gifti(path, arrays, table=None):
    labels = nibabel.gifti.GiftiLabelTable()
    for key, name in (table or {}).items():
        one = nibabel.gifti.GiftiLabel(key, 0.1, 0.2, 0.3, 1.0)
        one.label = name
        labels.labels.append(one)
    intent = "NIFTI_INTENT_LABEL" if table else "NIFTI_INTENT_NONE"
    darrays = [
        nibabel.gifti.GiftiDataArray(np.asarray(values), intent=intent, meta={"Name": name})
        for name, values in arrays.items()
    ]
    nibabel.save(nibabel.gifti.GiftiImage(labeltable=labels, darrays=darrays), path)
    return path


def test_two_maps_in_one_file_are_refused_with_their_names(tmp_path):
    one, two = np.arange(4, dtype=np.int32) % 2, np.ones(4, dtype=np.int32)
    path = gifti(tmp_path / "l.label.gii", {"MMP": one, "Yeo": two}, {0: "???", 1: "A1"})
    with pytest.raises(InputError, match=r"holds 2 maps \(MMP, Yeo\)"):
        read_labels_of(path)
    maps = {"first": one.astype(np.float32), "second": two.astype(np.float32)}
    with pytest.raises(InputError, match=r"holds 2 maps \(first, second\)"):
        read_values([gifti(tmp_path / "m.func.gii", maps)])


def test_keys_without_a_name_are_no_label_and_told(tmp_path, caplog):
    keys = np.array([0, 1, 5, 5, 9], dtype=np.int32)
    path = gifti(tmp_path / "l.label.gii", {"a": keys}, {0: "???", 1: " A1 "})
    assert names_of(path) == ["???", "A1", "", "", ""]
    assert "3 of 5 vertices have codes that its table does not name (5, 9)" in caplog.text


@pytest.mark.parametrize("form", ["npy", "nii", "mgz", "gii"])
def test_fractions_are_no_labels(tmp_path, form):
    values = np.array([0, 1, 1.5, 2, np.nan, 2.25], dtype=np.float32)
    path = tmp_path / f"lh.a.{'label.gii' if form == 'gii' else form}"
    whole = np.where(np.arange(6) % 3 == 2, 0, values)
    for numbers, is_whole in ((values, False), (whole, True)):
        if form == "npy":
            np.save(path, numbers)
        elif form == "gii":
            table = {0: "???", 1: "one", 2: "two"}
            gifti(path, {"a": numbers}, table)
        else:
            image = {"nii": nibabel.Nifti1Image, "mgz": nibabel.MGHImage}[form]
            nibabel.save(image(numbers.reshape(-1, 1, 1), np.eye(4)), path)
        if is_whole:
            codes, _ = read_labels_of(path)
            assert np.flatnonzero(codes == 1).tolist() == [1]
            assert np.flatnonzero(codes == 2).tolist() == [3]
        else:
            with pytest.raises(InputError, match=r"2 of 6 are no whole numbers \(such as 1\.5\)"):
                read_labels_of(path)


def test_an_array_may_hold_the_names(tmp_path):
    np.save(tmp_path / "lh.npy", np.array(["A1", "", "unknown", "STG", "A1"]))
    assert names_of(tmp_path / "lh.npy") == ["A1", "", "unknown", "STG", "A1"]
    np.save(tmp_path / "c.npy", np.ones(3, dtype=np.complex64))
    with pytest.raises(InputError, match="complex64, no labels"):
        read_labels_of(tmp_path / "c.npy")


def test_columns_beside_each_other_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((6, 2)))
    np.save(tmp_path / "sides.npy", np.arange(12).reshape(2, 6))
    for read in (read_labels_of, lambda path: read_values([path])):
        with pytest.raises(InputError, match="2 columns of 6 values"):
            read(tmp_path / "a.npy")
    assert read_values([tmp_path / "sides.npy"]).tolist() == list(range(12))


def test_files_without_a_vertex_in_a_region_are_refused(tmp_path, caplog):
    index = np.arange(9) % 3
    full = write_annot(tmp_path / "full.annot", NAMES, index)
    none = [write_annot(tmp_path / f"{side}.none.annot", NAMES, 0 * index) for side in ("lh", "rh")]
    with pytest.raises(InputError, match="have no vertex in any region"):
        read_parcellation(*none)
    read_parcellation(full, none[1])
    assert "no vertex of the right hemisphere is in a region" in caplog.text
    caplog.clear()
    more = write_annot(tmp_path / "more.annot", [*NAMES, "V1"], index)
    assert read_parcellation(more, full).names == ("A1", "STG", "V1")
    assert "1 of 3 labels are at no vertex: V1" in caplog.text


def test_one_file_for_both_sides_is_refused_and_a_copy_told(tmp_path, caplog):
    path = write_annot(tmp_path / "both.annot", NAMES, np.arange(9) % 3)
    link = tmp_path / "link.annot"
    link.symlink_to(path)
    values = tmp_path / "mask.npy"
    np.save(values, np.arange(9) % 2)
    for one, other in ((path, path), (path, link)):
        with pytest.raises(InputError, match="given as the left and as the right hemisphere"):
            read_parcellation(one, other)
    with pytest.raises(InputError, match="given as the left and as the right hemisphere"):
        read_values([values, values])
    assert not caplog.text
    copy = tmp_path / "copy.annot"
    copy.write_bytes(path.read_bytes())
    read_parcellation(path, copy)
    assert "both hemispheres have the same at every vertex" in caplog.text


def test_labels_that_would_be_one_region_are_refused(tmp_path, caplog):
    index = np.arange(9) % 3
    right = write_label_gii(tmp_path / "r.gii", NAMES, index)
    with pytest.raises(InputError, match="'A1' and 'A1_ROI' would be one region, 'A1'"):
        read_parcellation(write_label_gii(tmp_path / "l.gii", ["?", "A1", "A1_ROI"], index), right)
    sided = write_label_gii(tmp_path / "s.gii", ["???", "L_A1_ROI", "L_A1"], index)
    with pytest.raises(InputError, match="'L_A1' and 'L_A1_ROI' would be one region"):
        read_parcellation(sided, right)
    twice = write_label_gii(tmp_path / "t.gii", ["???", "A1", "A1"], index)
    assert read_parcellation(twice, right).masks["A1"].sum() == 9
    assert "2 labels are named 'A1': they are one region" in caplog.text


def test_accents_and_blanks_make_no_other_region(tmp_path):
    index = np.arange(9) % 3
    left = write_label_gii(tmp_path / "l.gii", ["???", "aire\u0301a", "b "], index)
    right = write_label_gii(tmp_path / "r.gii", ["???", "air\u00e9a", "b"], index)
    assert read_parcellation(left, right).names == ("air\u00e9a", "b")


def test_lists_of_vertices_hold_as_many_as_they_say(tmp_path):
    path = tmp_path / "lh.spot.label"
    rows = "".join(f"{vertex}  -1.0  2.0  3.0 0.0\n" for vertex in (5, 2, 5))
    path.write_text(f"#!ascii label  , from subject A vox2ras=TkReg\n3\n{rows}")
    assert read_vertices(path).tolist() == [2, 5]
    for count, problem in ((4, "ends early: it promises 4"), (2, "promises 2 .* lists 3")):
        path.write_text(f"#!ascii label\n{count}\n{rows}")
        with pytest.raises(InputError, match=problem):
            read_vertices(path)
    path.write_text(f"#!ascii label\n4\n{rows}-1 0.0 0.0 0.0 0.0\n")
    with pytest.raises(InputError, match=r"1 of 4 points .* belong to no vertex"):
        read_vertices(path)
    path.write_text("#!ascii label\n0\n")
    assert read_vertices(path).size == 0
    for text in ("#!ascii label\n", "#!ascii label\nmany\n", "#!ascii label\n1\nx 0 0 0 0\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="cannot be read as a FreeSurfer label"):
            read_vertices(path)


# ---- what Workbench and nilearn write --------------------------------------------------------


def test_cifti_maps_are_read_by_their_own_index(tmp_path):
    codes = [1, 2, 0, 0, 2, 9]
    names = {0: "???", 1: "A1", 2: "STG"}
    path = write_cifti(tmp_path / "x.dlabel.nii", codes, 5, names)
    left, right = ["A1", "STG", "???", "???", "???"], ["???", "STG", "", "???", "???"]
    assert names_of(path) == left + right
    values = read_values([write_cifti(tmp_path / "x.dscalar.nii", [1, 2, 3, 4], 3)])
    np.testing.assert_array_equal(values, [1, 2, np.nan, 3, 4, np.nan])
    with pytest.raises(InputError, match=r"holds 2 maps \(map 0, map 1\)"):
        read_values([write_cifti(tmp_path / "y.dscalar.nii", np.ones((2, 4)), 3)])
    with pytest.raises(InputError, match="no table of label names"):
        read_labels_of(write_cifti(tmp_path / "z.dlabel.nii", codes, 5))
    for pair in ((path, path), (path, tmp_path / "other.dlabel.nii")):
        pair[1].write_bytes(path.read_bytes())
        with pytest.raises(InputError, match="which holds both hemispheres"):
            read_parcellation(*pair)


def test_gifti_is_read_packed_too(tmp_path):
    plain = write_label_gii(tmp_path / "lh.a.label.gii", NAMES, [0, 1, 2])
    (tmp_path / "lh.a.label.gii.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert names_of(tmp_path / "lh.a.label.gii.gz") == names_of(plain)


@pytest.mark.parametrize(
    "name", ["s1.{}.mmp.label.gii", "mask_{}.label.gii", "s_{}_mask.label.gii"]
)
def test_sides_in_names_as_workbench_writes_them_are_known(tmp_path, name):
    paths = [
        write_label_gii(tmp_path / name.format(side), NAMES, index)
        for side, index in (("L", [0, 1, 2]), ("R", [1, 2, 0]))
    ]
    assert read_parcellation(*paths).n_left == 3
    with pytest.raises(InputError, match="its name is of the right one"):
        read_parcellation(*paths[::-1])
