"""Results in region sets: means, intervals, sides, keys and what is kept."""

import h5py
import numpy as np
import pandas as pd
import pytest
from kit.data.region_files import (
    N_SIDE,
    label_home,
    put_hcp,
    write_annot,
    write_cifti,
    write_volume,
)
from kit.data.toy_lab import make_lab
from kit.results.made_up import N_TARGETS, made_up_result
from kit.results.region_results import N_BOOTSTRAPS, N_LAYERS, put_predicted
from scipy import sparse

import braindash
from braindash.encoding.seen import regions_for, regions_spec, stored_regions
from braindash.encoding.several.comparison import Group, compare
from braindash.errors import InputError
from braindash.io.dataset.manifest import load_manifest
from braindash.io.regions.find import auditory_region
from braindash.io.regions.groups import MOUSSA_NEURIPS
from braindash.io.regions.masks import WHOLE, Regions, with_whole
from braindash.io.regions.own import own_regions
from braindash.io.spaces.surface_map import SurfaceMap
from braindash.io.store import Store
from braindash.specs import RegionsSpec
from braindash.work.regions import queue_regions, run_queued_regions

__all__ = ["label_home"]


@pytest.fixture(scope="module")
def made_store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    return root, put_predicted(Store(root)), put_predicted(Store(root), model="other", seed=1)


@pytest.fixture
def store(made_store):
    return Store(made_store[0])


@pytest.fixture
def result(made_store):
    return made_store[1]


def test_the_key_of_region_means_is_pinned():
    spec = RegionsSpec(result="a" * 32, name="hcp-mmp1", masks="b" * 32)
    assert spec.key() == "d6771b42176745f48a6656e9c95dddf0"
    left = np.arange(6) < 3
    masks = with_whole({"a": np.array([1, 0, 0, 1, 0, 0], bool)}, 6)
    assert Regions("x", "", masks, left).digest == "fdcc980dbcf77488e6d0c0e85fa24c71"
    assert Regions("y", "other words", masks, left).digest == "fdcc980dbcf77488e6d0c0e85fa24c71"
    assert Regions("x", "", masks).digest != Regions("x", "", masks, left).digest


def test_discs_of_both_sides_are_what_the_result_has(result, store):
    seen = braindash.with_regions(result, "discs")
    pd.testing.assert_frame_equal(seen.region_intervals(), result.region_intervals())
    assert seen.key == result.key and "published coordinate" in seen.provenance_line()
    again = braindash.region_table(result, "discs")
    both = again[again["hemisphere"] == "both"].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, result.region_intervals())
    # ... and what is computed from the predictions agrees with what the run had stored.
    regions = regions_for(result, "discs")
    with stored_regions(result, regions, store).open() as found:
        columns = found["column"].sel(hemisphere="both").values
        np.testing.assert_array_equal(
            found["region_samples"].values[:, :, columns], result.region_samples.values
        )


def test_means_and_intervals_of_a_set_agree_with_a_direct_computation(result, label_home):
    put_hcp(label_home)
    assert result.region_set == "discs"
    seen = braindash.with_regions(result, "moussa2025-neurips")
    masks = regions_for(result, "moussa2025-neurips").masks
    assert list(seen.masks) == [WHOLE, *MOUSSA_NEURIPS]
    for region in ("primary_auditory", "late_language"):
        for layer in range(N_LAYERS):
            row = seen.region_intervals().query("region == @region and layer == @layer").iloc[0]
            inside = result.r[layer][masks[region]]
            assert row["r"] == pytest.approx(np.nanmean(inside), abs=1e-6)
            assert row["n_targets"] == masks[region].sum()
            assert row["coverage"] == np.isfinite(inside).mean()
            assert row["low"] < row["r"] < row["high"]
    assert seen.samples().shape == (N_BOOTSTRAPS, N_LAYERS, len(seen.masks))
    assert seen.samples(True, "inter-subject").shape == (N_BOOTSTRAPS, N_LAYERS, len(seen.masks))
    # The replicates of both sides are the target-weighted mean of the sides'.
    left, right = (
        braindash.with_regions(result, "moussa2025-neurips", side) for side in ("left", "right")
    )
    name = "late_language"
    counts = [(one.masks[name] & one.valid).sum() for one in (left, right)]
    weighted = np.average(
        [one.samples().sel(region=name).values for one in (left, right)], axis=0, weights=counts
    )
    np.testing.assert_allclose(seen.samples().sel(region=name).values, weighted, atol=1e-5)
    assert left.masks[name][:N_SIDE].any() and not left.masks[name][N_SIDE:].any()
    assert "left hemisphere" in left.provenance_line() and "2510.21520" in left.provenance_line()


def test_they_are_computed_once_and_kept(result, store, label_home, monkeypatch):
    put_hcp(label_home)
    regions = regions_for(result, "auditory-hierarchy")
    assert stored_regions(result, regions, store) is None
    table = braindash.region_table(result, "auditory-hierarchy")
    assert list(table["hemisphere"].unique()) == ["both", "left", "right"]
    assert set(table["region_set"]) == {"auditory-hierarchy"}
    key = regions_spec(result, regions).key()
    assert store.has("regions", key)
    monkeypatch.setattr("braindash.encoding.regions.compute_statistics", None)  # not again
    pd.testing.assert_frame_equal(braindash.region_table(result, "auditory-hierarchy"), table)
    braindash.with_regions(result, "auditory-hierarchy", "right")
    assert [one.key for one in store.entries()].count(result.key) == 1  # and in no list
    with pytest.raises(braindash.BraindashError, match="belong to an encoding result"):
        store.find(key)


def test_other_files_of_a_set_make_another_result(result, store, label_home):
    left, right = put_hcp(label_home)
    first = regions_for(result, "hcp-mmp1")
    key = regions_spec(result, first).key()
    left.write_bytes(left.read_bytes())  # the same content
    assert regions_spec(result, regions_for(result, "hcp-mmp1")).key() == key
    names = ["???", *(f"L_{name}_ROI" for name in first.masks if name != WHOLE)]
    write_annot(left, names, np.zeros(N_SIDE))
    assert regions_spec(result, regions_for(result, "hcp-mmp1")).key() != key
    assert right.is_file()


def test_more_than_a_hundred_regions_have_their_replicates(result, label_home):
    put_hcp(label_home)
    seen = braindash.with_regions(result, "hcp-mmp1")
    table = seen.region_intervals()
    assert len(table) == N_LAYERS * 181 and table["low"].notna().all()
    # Many means are multiplied otherwise; A1 is the primary auditory region of a small set.
    few = braindash.with_regions(result, "moussa2025-neurips").samples()
    np.testing.assert_allclose(
        seen.samples().sel(region="A1").values,
        few.sel(region="primary_auditory").values,
        atol=1e-6,
    )


def test_without_predictions_or_bootstraps_there_are_means_alone(tmp_path, label_home):
    put_hcp(label_home)
    made = made_up_result()
    seen = braindash.with_regions(made, "moussa2025-iclr", store=tmp_path)
    assert seen.regions()["r"].notna().all() and not seen.has_intervals
    assert seen.region_intervals()["low"].isna().all()
    assert "stored predictions" in seen.interval_line() and seen.has_confidence
    with pytest.raises(InputError, match="stored predictions"):
        seen.samples()
    bare = braindash.with_regions(
        made_up_result(resampled=False), "moussa2025-iclr", store=tmp_path
    )
    assert "without bootstraps" in bare.interval_line()


def test_results_are_grouped_and_compared_in_one_set(made_store, label_home):
    put_hcp(label_home)
    one, two = (braindash.with_regions(r, "moussa2025-neurips", "left") for r in made_store[1:])
    pair = compare([one], [two])
    table = pair.regions()
    assert set(table["region"]) == {WHOLE, *MOUSSA_NEURIPS} and table["low"].notna().all()
    group = Group.of([one])
    assert group.region_names == (WHOLE, *MOUSSA_NEURIPS)
    assert set(group.regions()["hemisphere"]) == {"left"}
    with pytest.raises(InputError, match="hemisphere"):
        compare([one], [braindash.with_regions(made_store[2], "moussa2025-neurips")])
    with pytest.raises(InputError, match="region set"):
        compare([one], [braindash.with_regions(made_store[2], "moussa2025-iclr", "left")])
    assert one.identity != two.identity != made_store[2].identity


def test_a_worker_computes_what_a_page_asks_for(result, store, label_home):
    put_hcp(label_home)
    regions = regions_for(result, "language-fedorenko")
    from braindash.jobs.queue import JobQueue

    queue = JobQueue(store.root)
    submit = queue.submit
    job = None

    def without_worker(self, *args, **kwargs):
        return submit(*args, **kwargs | {"start": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobQueue, "submit", without_worker)
        job = queue_regions(result, regions, store)
        assert queue_regions(result, regions, store).key == job.key  # once
    assert job.command == "regions" and job.state == "queued"
    found = run_queued_regions(job.request, store, braindash.progress.NoProgress())
    assert found == {"kind": "regions", "keys": [job.key]}
    assert queue_regions(result, regions, store) is None
    for path in label_home.iterdir():
        path.unlink()
    put_hcp(label_home, "fsaverage6")
    names = ["???", *(f"X{i}" for i in range(180))]
    assert names
    write_annot(next(label_home.glob("lh*")), ["???", "A1"], np.ones(N_SIDE))
    with pytest.raises(InputError):
        run_queued_regions(job.request, store, braindash.progress.NoProgress())


# ---- regions of a data set ------------------------------------------------------------------


def with_table(lab, text):
    manifest = lab.manifest
    manifest.write_text(manifest.read_text() + "\n[regions]\n" + text)
    return load_manifest(manifest)


def test_masks_of_each_subject_and_groups_of_labels(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model)
    for subject, start in (("A", 0), ("B", 5)):
        np.save(lab.folder / f"{subject}_AC.npy", np.isin(np.arange(12), [start, start + 1]))
        with h5py.File(lab.folder / f"{subject}.hdf", "w") as file:
            file["Broca"] = np.arange(12) >= 10
    np.save(lab.folder / "roi.npy", np.arange(12) % 4)
    data = with_table(
        lab,
        'labels = "roi.npy"\nmasks = { AC = "{subject}_AC.npy", Broca = "{subject}.hdf#Broca" }\n'
        'groups = { odd = ["1", "3"] }\n',
    )
    for subject, start in (("A", 0), ("B", 5)):
        regions = own_regions(data, subject, 12)
        assert list(regions.masks) == [WHOLE, "odd", "AC", "Broca"]
        assert np.flatnonzero(regions.masks["AC"]).tolist() == [start, start + 1]
        np.testing.assert_array_equal(regions.masks["odd"], np.arange(12) % 2 == 1)
        assert regions.hemispheres == ("both",)
        mask, note = auditory_region("roi", 12, data=data, subject=subject)
        np.testing.assert_array_equal(mask, regions.masks["AC"])
        assert "AC" in note
    with pytest.raises(InputError, match=r"nobody says which targets"):
        regions.of("left")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "describes no region"),
        ('masks = { AC = "{story}.npy" }', "unknown placeholder {story}"),
        ('labels = ["a.annot", "b.annot", "c.annot"]', "names 3 files"),
        ('labels = ["a", "b"]\nset = "hcp-mmp1"', "both label files and a region set"),
        ('masks = {a = "a.npy"}\nset = "hcp-mmp1"', "used by nothing"),
        ('lables = ["a", "b"]', "unknown field 'lables'"),
    ],
)
def test_a_table_of_regions_is_checked(lab, text, problem):
    with pytest.raises(InputError) as caught:
        with_table(lab, text + "\n")
    assert problem in caught.value.message


def test_regions_that_do_not_fit_are_refused_by_name(lab):
    np.save(lab.folder / "short.npy", np.ones(5))
    data = with_table(lab, 'masks = { AC = "short.npy" }\n')
    with pytest.raises(InputError, match=r"the mask 'AC' has 5 values"):
        own_regions(data, "A", 12)
    (lab.folder / "short.npy").unlink()
    with pytest.raises(InputError, match=r"no file .*short\.npy"):
        own_regions(data, "A", 12)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("groups = { a = [] }", "the group 'a' names no label"),
        ('groups = { "all targets" = ["1"] }', "a region is named 'all targets'"),
        ('masks = { "all targets" = "m.npy" }', "a region is named 'all targets'"),
        ('masks = { a = "m.npy" }\ngroups = { a = ["1"] }', "a mask and a group named 'a'"),
        ('masks = { "2" = "m.npy" }', "the mask '2' is named like a label of roi.npy"),
        ('masks = { "A\u0301" = "m.npy", "\u00c1" = "m.npy" }', "has two masks named"),
        ('groups = { a = ["1"], "a " = ["2"] }', "has two groups named 'a '"),
    ],
)
def test_names_that_would_hide_one_another_and_empty_groups_are_refused(lab, text, problem):
    np.save(lab.folder / "roi.npy", np.arange(12) % 4)
    np.save(lab.folder / "m.npy", np.ones(12))
    data = with_table(lab, f'labels = "roi.npy"\n{text}\n')
    with pytest.raises(InputError, match=problem):
        own_regions(data, "A", 12)


def test_an_empty_mask_is_told(lab, caplog):
    np.save(lab.folder / "none.npy", np.zeros(12))
    np.save(lab.folder / "nan.npy", np.full(12, np.nan))
    np.save(lab.folder / "one.npy", np.eye(12)[0])
    data = with_table(lab, 'masks = { none = "none.npy", nan = "nan.npy", one = "one.npy" }\n')
    own_regions(data, "A", 12)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and all("marks no target" in one for one in told)


def test_one_label_file_of_all_targets_has_whole_numbers_or_names(lab):
    np.save(lab.folder / "roi.npy", np.array([0.5, 1.5, *range(10)]))
    data = with_table(lab, 'labels = "roi.npy"\n')
    with pytest.raises(InputError, match=r"2 of 12 are no whole numbers"):
        own_regions(data, "A", 12)
    np.save(lab.folder / "roi.npy", np.array(["", "AC", "STG"] * 4))
    masks = own_regions(data, "A", 12).masks
    assert list(masks) == [WHOLE, "AC", "STG"] and np.flatnonzero(masks["AC"]).tolist()[0] == 1
    np.save(lab.folder / "roi.npy", np.zeros(12))
    with pytest.raises(InputError, match=r"roi\.npy name no region"):
        own_regions(data, "A", 12)


def test_lists_of_vertices_are_of_surfaces(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-volume")
    (lab.folder / "lh.a.label").write_text("#!ascii label\n1\n3 0.0 0.0 0.0 1.0\n")
    (lab.folder / "lh.far.label").write_text("#!ascii label\n1\n9 0.0 0.0 0.0 1.0\n")
    data = with_table(lab, 'masks = { a = "lh.a.label" }\n')
    with pytest.raises(InputError, match="which are no vertices of a left and a right side"):
        own_regions(data, "A", 12)
    lab.edit("native-volume", "native-surface")
    data = load_manifest(lab.manifest)
    assert np.flatnonzero(own_regions(data, "A", 12).masks["a"]).tolist() == [3]
    lab.edit("lh.a.label", "lh.far.label")
    with pytest.raises(InputError, match="names vertex 9, the responses have 6 on the left"):
        own_regions(load_manifest(lab.manifest), "A", 12)


def test_one_annotation_for_both_sides_is_refused_clearly(lab):
    write_annot(lab.folder / "lh.annot", ["???", "a"], [0, 1])
    data = with_table(lab, 'labels = "lh.annot"\n')
    with pytest.raises(InputError, match=r"names one file, lh\.annot, which is of one hemisphere"):
        own_regions(data, "A", 12)


def test_own_files_in_the_wrong_order_or_not_fetched_are_refused(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-surface")
    for side in ("lh", "rh"):
        (lab.folder / f"{side}.spot.label").write_text("#!ascii label\n1\n3 0.0 0.0 0.0 1.0\n")
        write_annot(lab.folder / f"{side}.annot", ["???", "a"], [0, 1, 1, 0, 1, 0])
        (lab.folder / f"{side}.far.label").symlink_to(".git/annex/objects/x")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 9\n"
    (lab.folder / "lh.lfs.label").write_text(pointer)
    manifest = lab.manifest.read_text()
    for text, problem in (
        ('labels = ["rh.annot", "lh.annot"]', "its name is of the"),
        ('masks = { a = ["rh.spot.label", "lh.spot.label"] }', "its name is of the"),
        ('masks = { a = ["lh.spot.label", "lh.spot.label"] }', "its name is of the"),
        ('masks = { a = "lh.far.label" }', "not fetched with git-annex"),
        ('masks = { a = "lh.lfs.label" }', "Git LFS"),
    ):
        lab.manifest.write_text(manifest)
        with pytest.raises(InputError, match=problem):
            own_regions(with_table(lab, text + "\n"), "A", 12)
    lab.manifest.write_text(manifest)
    data = with_table(lab, 'masks = { a = ["lh.spot.label", "rh.spot.label"] }\n')
    assert np.flatnonzero(own_regions(data, "A", 12).masks["a"]).tolist() == [3, 9]


def test_annotations_of_a_subject_are_read_on_their_own_mesh(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-surface")
    write_annot(lab.folder / "lh.aparc.annot", ["unknown", "fusiform"], [0, 1, 1, 0, 1])
    write_annot(lab.folder / "rh.aparc.annot", ["unknown", "fusiform"], [1, 0, 0, 0, 0, 0, 1])
    data = with_table(lab, 'labels = ["lh.aparc.annot", "rh.aparc.annot"]\n')
    regions = own_regions(data, "A", 12)
    assert np.flatnonzero(regions.masks["fusiform"]).tolist() == [1, 2, 4, 5, 11]
    assert np.flatnonzero(regions.of("right")["fusiform"]).tolist() == [5, 11]
    assert regions.of("left")[WHOLE].sum() == 5
    for side, index in (("lh", [0, 1, 1, 0, 1]), ("rh", [1, 0, 0, 0, 0, 0, 1])):
        place = lab.folder / f"{side}.aparc.annot"
        write_annot(place, ["unknown", "transversetemporal"], index)
    mask, note = auditory_region("native-surface", 12, data=data, subject="A")
    assert np.flatnonzero(mask).tolist() == [1, 2, 4, 5, 11] and "transversetemporal" in note


def voxels_of(vertices, n_vertices, n_left):
    """Bring voxels to a surface: ``vertices`` are those of each voxel, which may be none."""
    matrix = np.zeros((n_vertices, len(vertices)), dtype=np.float32)
    for voxel, where in enumerate(vertices):
        matrix[list(where), voxel] = 1.0
    return SurfaceMap(sparse.csr_array(matrix), "own", n_left, "by a transform")


def test_a_subjects_own_annotations_and_localisers_are_brought_to_voxels(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-volume")
    write_annot(lab.folder / "lh.aparc.annot", ["unknown", "fusiform", "insula"], [0, 1, 1, 2, 2])
    write_annot(lab.folder / "rh.aparc.annot", ["unknown", "fusiform", "insula"], [1, 0, 2, 2])
    (lab.folder / "lh.a.label").write_text("#!ascii label\n2\n1 0 0 0 1\n2 0 0 0 1\n")
    np.save(lab.folder / "spot.npy", np.arange(9) >= 7)
    # Voxel 1 lies half in the insula, 3 between the sides, 4 to 11 off the surface.
    surface = voxels_of([(1, 2), (0, 3), (7, 8), (4, 5), *[()] * 8], 9, 5)
    data = with_table(
        lab,
        'labels = ["lh.aparc.annot", "rh.aparc.annot"]\n'
        'masks = { a = "lh.a.label", spot = "spot.npy" }\n',
    )
    regions = own_regions(data, "A", 12, surface)
    inside = {name: np.flatnonzero(mask).tolist() for name, mask in regions.masks.items()}
    assert inside == {
        WHOLE: list(range(12)),
        "fusiform": [0, 3],  # of two halves the first label's
        "insula": [1, 2],
        "a": [0],
        "spot": [2],
    }
    assert np.flatnonzero(regions.of("right")[WHOLE]).tolist() == [2]
    assert np.flatnonzero(regions.of("left")["insula"]).tolist() == [1]
    other = voxels_of([(0, 1), *[()] * 11], 20, 10)
    with pytest.raises(InputError, match="have 5 and 4 vertices, the surfaces of the responses 10"):
        own_regions(data, "A", 12, other)


@pytest.mark.parametrize("order", ["xyz", "zyx"])
def test_volumes_of_masks_and_labels_are_read_at_the_voxels_of_the_responses(
    tmp_path, tiny_model, order
):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-volume")
    lab.edit("[responses]", f'[responses]\nmask = "mask.nii.gz"\nmask_order = "{order}"')
    marks = np.zeros((3, 4, 2))
    marks.reshape(-1)[[1, 2, 3, 5, 7, 8, 12, 13, 17, 19, 20, 23]] = 1
    write_volume(lab.folder / "mask.nii.gz", marks)
    spot, atlas = (np.random.default_rng(seed).integers(0, 3, marks.shape) for seed in (0, 1))
    write_volume(lab.folder / "spot.nii.gz", spot[..., None])
    write_volume(lab.folder / "atlas.nii.gz", atlas)
    data = with_table(lab, 'labels = "atlas.nii.gz"\nmasks = { spot = "spot.nii.gz" }\n')
    inside = marks > 0
    taken = [v[inside] if order == "xyz" else v.T[inside.T] for v in (spot, atlas)]
    masks = own_regions(data, "A", 12).masks
    np.testing.assert_array_equal(masks["spot"], taken[0] > 0)
    np.testing.assert_array_equal(masks["2"], taken[1] == 2)
    for values, shift, says in ((spot[:2], 0.0, "has the shape"), (spot, 2.0, "mm beside")):
        write_volume(lab.folder / "spot.nii.gz", values, shift)
        with pytest.raises(InputError, match=says):
            own_regions(data, "A", 12)


def test_cifti_labels_of_both_sides_are_placed_on_their_meshes(tmp_path, tiny_model):
    lab = make_lab(tmp_path / "lab", tiny_model, space="native-surface")
    names = {0: "???", 1: "R_A1_ROI", 2: "L_A1_ROI", 3: "L_V1_ROI"}
    write_cifti(lab.folder / "x.dlabel.nii", [2, 3, 0, 2, 0, 1, 1, 1], 6, names)
    write_cifti(lab.folder / "m.dscalar.nii", [0, 0.5, 0, 0, 0, 0, 0, 0.5], 6)
    data = with_table(lab, 'labels = "x.dlabel.nii"\nmasks = { m = "m.dscalar.nii" }\n')
    regions = own_regions(data, "A", 12)
    assert np.flatnonzero(regions.masks["A1"]).tolist() == [0, 3, 7, 8, 9]
    assert np.flatnonzero(regions.of("right")["A1"]).tolist() == [7, 8, 9]
    assert np.flatnonzero(regions.masks["m"]).tolist() == [1, 9]


def test_groups_of_a_named_set_and_freesurfer_labels_on_fsaverage(
    tmp_path, tiny_model, label_home, result, store
):
    put_hcp(label_home)
    lab = make_lab(tmp_path / "lab", tiny_model)
    text = lab.manifest.read_text().replace('space = "roi"', 'space = "fsaverage5"')
    lab.manifest.write_text(text)
    (lab.folder / "lh.spot.label").write_text(
        "#!ascii label\n2\n3 0.0 0.0 0.0 1.0\n9 0.0 0.0 0.0 1.0\n"
    )
    with_table(
        lab, 'set = "hcp-mmp1"\nmasks = { spot = "lh.spot.label" }\ngroups = { ear = ["A1"] }\n'
    )
    seen = braindash.with_regions(result, "own", data=lab.manifest)
    assert list(seen.masks) == [WHOLE, "ear", "spot"]
    assert np.flatnonzero(seen.masks["spot"]).tolist() == [3, 9]
    table = braindash.region_table(result, data=lab.manifest)  # the usual one: the manifest's
    assert set(table["region_set"]) == {"own"}
    assert set(table[table["hemisphere"] == "right"]["region"]) == {WHOLE, "ear"}
    with pytest.raises(InputError, match="which manifest"):
        braindash.with_regions(result, "own")
    assert len(seen.masks["ear"]) == N_TARGETS


def test_a_run_says_which_manifest_it_read_and_its_key_does_not(lab, tmp_path):
    options = {"strategy": "chunk", "alphas": [1.0], "n_permutations": 0, "n_bootstraps": 10}
    before = braindash.encode(lab.manifest, lab.model, "A", store=tmp_path / "s", **options)
    assert before.manifest == str(lab.manifest.resolve())
    np.save(lab.folder / "AC.npy", np.arange(12) < 3)
    with_table(lab, 'masks = { AC = "AC.npy" }\n')
    after = braindash.encode(lab.manifest, lab.model, "A", store=tmp_path / "s", **options)
    assert after.key == before.key  # a set is part of no encoding's key
    table = braindash.region_table(after)
    assert set(table["region"]) == {WHOLE, "AC"} and table["low"].notna().all()
    assert set(table["hemisphere"]) == {"both"}
