"""Time series of neuroimaging as responses: GIFTI, CIFTI-2 and NIfTI, several hearings, columns."""

import nibabel
import numpy as np
import pytest
from kit.layouts.common import write_gifti, write_mask, write_volumes
from kit.layouts.surfaces import N_TARGETS, write_dtseries
from nibabel.gifti import GiftiDataArray, GiftiImage

from braindash.errors import InputError
from braindash.io.dataset import stacking
from braindash.io.dataset.responses import (
    ResponseSource,
    digest,
    load_ceiling,
    load_repeats,
    load_responses,
    row_blocks,
    shape,
)

ROWS = np.random.default_rng(0).standard_normal((5, 642)).astype(np.float32)
SIZE = (3, 4, 2)


def read(*paths, **more):
    return load_responses(ResponseSource(tuple(paths), **more))


# ---- GIFTI --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["ASCII", "B64BIN", "B64GZ"])
@pytest.mark.parametrize("one", [False, True])
def test_gifti_of_every_encoding_gives_rows_of_vertices(tmp_path, encoding, one):
    write_gifti(tmp_path / "a.func.gii", ROWS, encoding, one=one)
    np.testing.assert_allclose(read(tmp_path / "a.func.gii"), ROWS, atol=1e-5)


def test_gifti_of_the_other_byte_order(tmp_path):
    path = tmp_path / "a.func.gii"
    write_gifti(path, ROWS, "B64BIN")
    text = path.read_text()
    import base64
    import re

    def turned(match):
        values = np.frombuffer(base64.b64decode(match[1]), "<f4").astype(">f4")
        return f"<Data>{base64.b64encode(values.tobytes()).decode()}</Data>"

    text = re.sub(r"<Data>([^<]*)</Data>", turned, text).replace("LittleEndian", "BigEndian")
    path.write_text(text)
    np.testing.assert_array_equal(read(path), ROWS)


def test_two_dimensions_of_a_known_mesh_stand_in_either_order(tmp_path):
    for name, array in (("a", ROWS), ("b", ROWS.T)):
        data = GiftiDataArray(array, intent="NIFTI_INTENT_TIME_SERIES", datatype="float32")
        nibabel.save(GiftiImage(darrays=[data]), tmp_path / f"{name}.gii")
        np.testing.assert_array_equal(read(tmp_path / f"{name}.gii"), ROWS)


def test_hemispheres_are_joined_and_read_by_columns(tmp_path):
    write_gifti(tmp_path / "l.gii", ROWS)
    write_gifti(tmp_path / "r.gii", -ROWS)
    source = ResponseSource((tmp_path / "l.gii", tmp_path / "r.gii"))
    whole = np.concatenate([ROWS, -ROWS], axis=1)
    np.testing.assert_array_equal(load_responses(source), whole)
    np.testing.assert_array_equal(load_responses(source, slice(600, 700)), whole[:, 600:700])
    assert [first for first, _ in row_blocks(source, slice(1, 5))] == [1]


@pytest.mark.parametrize(
    ("intent", "says"),
    [("NIFTI_INTENT_POINTSET", "coordinates"), ("NIFTI_INTENT_LABEL", "holds labels")],
)
def test_surfaces_and_labels_are_no_responses(tmp_path, intent, says):
    kind = "int32" if "LABEL" in intent else "float32"
    data = GiftiDataArray(np.zeros((642, 3), kind), intent=intent, datatype=kind)
    nibabel.save(GiftiImage(darrays=[data]), tmp_path / "a.gii")
    with pytest.raises(InputError, match=says):
        read(tmp_path / "a.gii")


def test_gifti_that_is_cut_or_keeps_its_values_elsewhere(tmp_path):
    path = tmp_path / "a.func.gii"
    write_gifti(path, ROWS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read"):
        read(path)
    path.write_bytes(content.replace(b"GZipBase64Binary", b"ExternalFileBinary"))
    with pytest.raises(InputError, match="in another file"):
        read(path)


# ---- CIFTI-2 ------------------------------------------------------------------------------------


def test_the_cortex_of_grayordinates_is_placed_by_its_own_index(tmp_path):
    rows = ROWS[:, :N_TARGETS]
    write_dtseries(tmp_path / "a.dtseries.nii", rows, n_left=300, n_right=200)
    found = read(tmp_path / "a.dtseries.nii")
    assert found.shape == (5, 64984)
    np.testing.assert_array_equal(found[:, 32492 - 300 : 32492 - 300 + N_TARGETS], rows)
    assert np.isnan(found[:, : 32492 - 300]).all()
    assert np.isnan(found[:, 32492 : 64984 - 200]).all()
    assert not (found == 77).any(), "the thalamus is left out"
    np.testing.assert_array_equal(
        load_responses(ResponseSource((tmp_path / "a.dtseries.nii",)), slice(32190, 32200)),
        found[:, 32190:32200],
    )


# ---- NIfTI --------------------------------------------------------------------------------------


def test_voxels_of_a_mask_come_in_the_order_of_numpy(tmp_path):
    rows = ROWS[:, :24]
    write_volumes(tmp_path / "a.nii.gz", rows, SIZE)
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz"), rows)
    write_mask(tmp_path / "mask.nii.gz", SIZE, 7)
    masked = ResponseSource((tmp_path / "a.nii.gz",), mask=tmp_path / "mask.nii.gz")
    assert shape(masked) == (5, 7)
    np.testing.assert_array_equal(load_responses(masked), rows[:, :7])
    assert digest(masked) != digest(ResponseSource((tmp_path / "a.nii.gz",)))


def test_masks_of_another_grid_and_empty_ones_are_refused(tmp_path):
    write_volumes(tmp_path / "a.nii", ROWS[:, :24], SIZE)
    write_mask(tmp_path / "small.nii", (3, 4, 1), 7)
    with pytest.raises(InputError, match=r"mask .* has the shape \(3, 4, 1\)"):
        read(tmp_path / "a.nii", mask=tmp_path / "small.nii")
    write_mask(tmp_path / "none.nii", SIZE, 0)
    with pytest.raises(InputError, match="marks no voxel"):
        read(tmp_path / "a.nii", mask=tmp_path / "none.nii")
    image = nibabel.Nifti1Image(np.ones(SIZE, np.uint8), np.diag([2.0, 2, 2, 1]))
    nibabel.save(image, tmp_path / "beside.nii")
    with pytest.raises(InputError, match=r"lies \d"):
        read(tmp_path / "a.nii", mask=tmp_path / "beside.nii")
    with pytest.raises(InputError, match="four dimensions"):
        read(tmp_path / "none.nii")


def test_volumes_that_are_cut_are_refused(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_volumes(path, np.tile(ROWS, (40, 1))[:, :24], SIZE)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read"):
        read(path)


# ---- several hearings ---------------------------------------------------------------------------


def test_several_files_are_repeats_and_their_mean_the_response(tmp_path):
    np.save(tmp_path / "a.npy", ROWS)
    longer = np.concatenate([ROWS + 2, ROWS[:1]])
    longer[1] = np.nan
    np.save(tmp_path / "b.npy", longer)
    source = ResponseSource((tmp_path / "a.npy",), more=((tmp_path / "b.npy",),))
    repeats = load_repeats(source)
    np.testing.assert_array_equal(repeats, np.stack([ROWS, longer[:5]]))
    mean = load_responses(source)
    np.testing.assert_allclose(mean[0], ROWS[0] + 1, atol=1e-5)
    np.testing.assert_allclose(mean[1], ROWS[1])  # the other has no numbers there
    np.testing.assert_array_equal(load_responses(source, slice(3, 9)), mean[:, 3:9])
    np.testing.assert_array_equal(load_repeats(source, slice(3, 9)), repeats[..., 3:9])
    np.save(tmp_path / "b.npy", ROWS[:, :-1])
    with pytest.raises(InputError, match="641"):
        load_responses(source)


def test_one_array_of_repeats_is_told_by_its_keys(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["two"], file["one"] = np.stack([ROWS, ROWS + 2]), ROWS[None]
        file["nested"] = np.stack([ROWS, ROWS + 2])[None]
    for key, n_repeats in (("two", 2), ("one", None), ("nested", 2)):
        source = ResponseSource((tmp_path / "a.h5",), key=key, repeats_key=key)
        repeats = load_repeats(source)
        assert (None if repeats is None else len(repeats)) == n_repeats
        expected = ROWS + 1 if n_repeats else ROWS
        np.testing.assert_allclose(load_responses(source), expected, atol=1e-6)


# ---- chosen columns -----------------------------------------------------------------------------


@pytest.fixture
def lebel_story(tmp_path):
    import h5py

    rows = np.random.default_rng(1).standard_normal((30, 20000))
    with h5py.File(tmp_path / "a.hf5", "w") as file:
        file["data"] = rows
        file["individual_repeats"] = np.stack([rows, rows + 1])
    return tmp_path / "a.hf5", rows.astype(np.float32)


@pytest.mark.parametrize("kind", ["mask", "numbers"])
def test_chosen_columns_alone_are_read_in_blocks(lebel_story, tmp_path, monkeypatch, kind):
    path, rows = lebel_story
    chosen = np.array([5, 6, 9, 300, 12000, 12001, 19999])
    marks = np.isin(np.arange(20000), chosen)
    np.save(tmp_path / "columns.npy", marks if kind == "mask" else chosen)
    monkeypatch.setattr(stacking, "_CHOSEN_BYTES", 5 * 20000 * 8)
    sizes = []
    real = stacking.Stored.rows

    def counted(self, place):
        found = real(self, place)
        sizes.append(found.size)
        return found

    monkeypatch.setattr(stacking.Stored, "rows", counted)
    source = ResponseSource(
        (path,), "data", "individual_repeats", units=20000, columns=tmp_path / "columns.npy"
    )
    assert shape(source) == (30, 7)
    np.testing.assert_array_equal(load_responses(source), rows[:, chosen])
    assert max(sizes) <= 5 * 300  # five rows of the widest stretch
    np.testing.assert_array_equal(load_responses(source, slice(2, 5)), rows[:, chosen[2:5]])
    repeats = load_repeats(source)
    np.testing.assert_allclose(repeats[1] - repeats[0], 1.0, atol=1e-5)
    assert digest(source) != digest(ResponseSource((path,), "data", "individual_repeats"))
    np.save(tmp_path / "ceiling.npy", np.linspace(0, 1, 20000))
    assert len(load_ceiling(tmp_path / "ceiling.npy", tmp_path / "columns.npy")) == 7


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.ones(19999, bool), "do not rise|is used|are used"),
        (np.array([3, 2]), "do not rise"),
        (np.array([0, 20000]), "do not rise"),
        (np.zeros(20000, bool), "chooses none"),
        (np.array([0.5, 0.6]), "its shape"),
    ],
)
def test_columns_that_do_not_fit_are_refused(lebel_story, tmp_path, values, says):
    np.save(tmp_path / "columns.npy", values)
    source = ResponseSource((lebel_story[0],), "data", columns=tmp_path / "columns.npy")
    with pytest.raises(InputError, match=says) as caught:
        shape(source)
    assert "20000" in caught.value.hint
