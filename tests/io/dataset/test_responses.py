import os
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from braindash.errors import InputError
from braindash.files import digest_file, digest_json
from braindash.io.dataset.responses import (
    ResponseSource,
    digest,
    load_repeats,
    load_responses,
    repeats_shape,
    shape,
)

N_ROWS, N_TARGETS, N_REPEATS = 12, 30, 4


@pytest.fixture
def repeats(rng):
    values = rng.standard_normal((N_REPEATS, N_ROWS, N_TARGETS))
    values[:, :, [3, 17]] = np.nan
    return values


@pytest.fixture
def hdf5(tmp_path, repeats):
    """Write a file like those of the public story data: float64, contiguous, NaN columns."""
    path = tmp_path / "wheretheressmoke.hf5"
    with h5py.File(path, "w") as file:
        file["data"] = repeats.mean(axis=0)
        file["individual_repeats"] = repeats
    return path


def source_of(*paths, **options):
    return ResponseSource(
        paths=paths, **({"key": "data", "repeats_key": "individual_repeats"} | options)
    )


def test_hdf5_is_read_as_float32_with_nan_kept(hdf5, repeats):
    responses = load_responses(source_of(hdf5))

    assert responses.dtype == np.float32
    np.testing.assert_array_equal(responses, repeats.mean(axis=0).astype(np.float32))
    assert np.isnan(responses[:, [3, 17]]).all()


def test_repeats_are_read_with_their_shape(hdf5, repeats):
    source = source_of(hdf5)

    assert shape(source) == (N_ROWS, N_TARGETS)
    assert repeats_shape(source) == (N_REPEATS, N_ROWS, N_TARGETS)
    np.testing.assert_array_equal(load_repeats(source), repeats.astype(np.float32))


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "<i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_any_real_type_and_order(tmp_path, rng, dtype, order):
    values = np.asarray(100 * rng.standard_normal((5, 7)), dtype=dtype, order=order)
    np.save(tmp_path / "a.npy", values)

    responses = load_responses(ResponseSource(paths=(tmp_path / "a.npy",)))

    assert responses.dtype == np.float32
    np.testing.assert_array_equal(responses, values.astype(np.float32))


def test_what_stands_behind_the_array_of_npy_is_not_lost(tmp_path, rng):
    path = tmp_path / "a.npy"
    values = rng.standard_normal((5, 7))
    with path.open("wb") as stream:
        np.save(stream, values)
        np.save(stream, values)
    with pytest.raises(InputError, match=r"shape \(5, 7\), where a second array begins"):
        load_responses(ResponseSource(paths=(path,)))
    np.save(path, values)
    with path.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputError, match="goes on for 4 bytes behind its array"):
        load_responses(ResponseSource(paths=(path,)))


def test_npy_has_no_repeats_unless_a_file_of_its_own_holds_them(tmp_path, repeats):
    np.save(tmp_path / "mean.npy", repeats.mean(axis=0))
    np.save(tmp_path / "repeats.npy", repeats)
    path = tmp_path / "mean.npy"

    assert load_repeats(source_of(path)) is None
    assert load_repeats(source_of(path, repeats_paths=(tmp_path / "none.npy",))) is None
    found = load_repeats(source_of(path, repeats_paths=(tmp_path / "repeats.npy",)))
    np.testing.assert_array_equal(found, repeats.astype(np.float32))


def test_a_single_presentation_is_no_repeat(tmp_path, repeats):
    with h5py.File(tmp_path / "one.hf5", "w") as file:
        file["data"] = repeats[0]
        file["individual_repeats"] = repeats[:1]
    assert repeats_shape(source_of(tmp_path / "one.hf5")) is None
    assert load_repeats(source_of(tmp_path / "one.hf5")) is None


@pytest.mark.parametrize("key", ["soft", "hard", "/runs/all", "aaa"])
def test_repeats_behind_a_link_are_read(tmp_path, repeats, key):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"], file["runs/all"] = repeats.mean(axis=0), repeats
        file["soft"], file["hard"] = h5py.SoftLink("/runs/all"), file["runs/all"]
        file["aaa"] = file["runs/all"]
        file["far"] = h5py.ExternalLink("b.h5", "/x")
        file["one"] = repeats[:1]
    source = source_of(path, repeats_key=key)
    assert repeats_shape(source) == (N_REPEATS, N_ROWS, N_TARGETS)
    assert repeats_shape(source_of(path, repeats_key="nope")) is None
    for look in (repeats_shape, load_repeats):
        with pytest.raises(InputError, match=r"a link to b\.h5"):
            look(source_of(path, repeats_key="far"))
        with pytest.raises(InputError, match="'runs' is a group"):
            look(source_of(path, repeats_key="runs"))


def test_repeats_that_were_once_missed_enter_the_digest(tmp_path, repeats):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"], file["all"] = repeats.mean(axis=0), repeats
        file["soft"] = h5py.SoftLink("/all")

    def as_before(key):
        return digest_json(
            {
                "files": [digest_file(path)],
                "key": "data",
                "repeats_files": [],
                "repeats_key": key,
            }
        )

    for key in ("all", "/all", "nope", None):
        assert digest(source_of(path, repeats_key=key)) == as_before(key)
    assert digest(source_of(path, repeats_key="soft")) != as_before("soft")


def test_compressed_and_nested_arrays(tmp_path, rng):
    values = rng.standard_normal((20, 50))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("run/bold", data=values, chunks=(5, 10), compression="gzip")
    found = load_responses(ResponseSource(paths=(tmp_path / "x.h5",), key="run/bold"))
    np.testing.assert_array_equal(found, values.astype(np.float32))


def test_hdf5_is_known_by_its_content_not_by_its_name(hdf5, tmp_path):
    renamed = tmp_path / "responses.dat"
    shutil.copy(hdf5, renamed)
    np.testing.assert_array_equal(
        load_responses(source_of(renamed)), load_responses(source_of(hdf5))
    )


@pytest.fixture(scope="module")
def two_hemispheres(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hemispheres")
    rng = np.random.default_rng(5)
    left, right = rng.standard_normal((3, 6, 8)), rng.standard_normal((3, 6, 11))
    with h5py.File(folder / "L.hf5", "w") as file:
        file["data"], file["individual_repeats"] = left[0], left
    np.save(folder / "R.npy", right[0])
    np.save(folder / "R_repeats.npy", right)
    with h5py.File(folder / "R.hf5", "w") as file:
        file["data"], file["individual_repeats"] = right[0], right
    return folder, np.concatenate([left, right], axis=2).astype(np.float32)


@settings(max_examples=60)
@given(
    start=st.one_of(st.none(), st.integers(-25, 25)),
    stop=st.one_of(st.none(), st.integers(-25, 25)),
)
@pytest.mark.parametrize("right", ["R.hf5", "R.npy"])
def test_column_blocks_across_hemispheres_equal_numpy_slices(two_hemispheres, right, start, stop):
    folder, both = two_hemispheres
    source = source_of(folder / "L.hf5", folder / right)
    columns = slice(start, stop)

    np.testing.assert_array_equal(load_responses(source, columns), both[0][:, columns])


def test_repeats_of_both_hemispheres_in_column_blocks(two_hemispheres):
    folder, both = two_hemispheres
    source = source_of(folder / "L.hf5", folder / "R.hf5")
    blocks = [load_repeats(source, slice(i, i + 5)) for i in range(0, 19, 5)]
    np.testing.assert_array_equal(np.concatenate(blocks, axis=2), both)


def test_hemispheres_of_different_length_are_refused(two_hemispheres, tmp_path):
    folder, _ = two_hemispheres
    np.save(tmp_path / "short.npy", np.zeros((5, 11)))
    with pytest.raises(InputError, match=r"hemispheres.*\[6, 5\]"):
        shape(source_of(folder / "L.hf5", tmp_path / "short.npy"))


def test_steps_in_columns_are_refused(hdf5):
    with pytest.raises(InputError, match="step 2"):
        load_responses(source_of(hdf5), slice(0, 10, 2))


def test_absent_key_lists_what_the_file_holds(hdf5):
    with pytest.raises(InputError, match=r"'dat' does not exist.*data \(12, 30\)") as caught:
        shape(source_of(hdf5, key="dat"))
    assert "Did you mean 'data'?" in caught.value.hint


def test_a_group_is_no_array(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["run/bold"] = np.zeros((3, 4))
    with pytest.raises(InputError, match=r"'run' is a group.*run/bold \(3, 4\)"):
        shape(ResponseSource(paths=(tmp_path / "x.h5",), key="run"))


def test_hdf5_needs_a_key(hdf5):
    with pytest.raises(InputError, match="no key is given") as caught:
        shape(source_of(hdf5, key=None))
    assert "responses.key" in caught.value.hint


def test_three_dimensions_are_refused_with_the_place_for_repeats(hdf5):
    with pytest.raises(InputError, match=r"\(4, 12, 30\), but 2 dimensions") as caught:
        shape(source_of(hdf5, key="individual_repeats", repeats_key=None))
    assert "repeats_path" in caught.value.hint


def test_repeats_of_another_length_are_refused(tmp_path, repeats):
    with h5py.File(tmp_path / "x.hf5", "w") as file:
        file["data"] = repeats[0]
        file["individual_repeats"] = repeats[:, :-1]
    with pytest.raises(InputError, match=r"\(4, 11, 30\), the responses \(12, 30\)"):
        load_repeats(source_of(tmp_path / "x.hf5"))


def test_repeats_with_axes_in_another_order_are_refused(tmp_path, repeats):
    np.save(tmp_path / "mean.npy", repeats[0])
    np.save(tmp_path / "repeats.npy", repeats.transpose(1, 2, 0))
    source = source_of(tmp_path / "mean.npy", repeats_paths=(tmp_path / "repeats.npy",))
    with pytest.raises(InputError, match=r"\(12, 30, 4\)") as caught:
        load_repeats(source)
    assert "(n_repeats, 12, 30)" in caught.value.hint


def test_transposed_array_is_recognised(tmp_path, rng):
    np.save(tmp_path / "t.npy", rng.standard_normal((N_TARGETS, N_ROWS)))
    with pytest.raises(InputError, match="looks transposed"):
        shape(source_of(tmp_path / "t.npy", units=N_TARGETS))


def test_another_number_of_targets_than_promised(hdf5):
    with pytest.raises(InputError, match="holds 30 targets, but the manifest says units = 31"):
        load_responses(source_of(hdf5, units=31))
    assert shape(source_of(hdf5, units=30)) == (N_ROWS, N_TARGETS)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.hf5 is missing"):
        shape(source_of(tmp_path / "none.hf5"))


def test_unfetched_annex_file(tmp_path):
    os.symlink(".git/annex/objects/x", tmp_path / "a.hf5")
    with pytest.raises(InputError, match="git annex get"):
        shape(source_of(tmp_path / "a.hf5"))


def test_truncated_hdf5(hdf5):
    content = hdf5.read_bytes()
    hdf5.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_responses(source_of(hdf5))
    assert "copy it again" in caught.value.hint


def test_damaged_chunk_inside_hdf5(tmp_path, rng):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "data", data=rng.standard_normal((40, 40)), chunks=(40, 40), fletcher32=True
        )
        where = data.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 100] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load_responses(source_of(path))


@pytest.mark.parametrize("keep", [20, 200])
def test_truncated_npy(tmp_path, rng, keep):
    np.save(tmp_path / "a.npy", rng.standard_normal((10, 10)))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:keep])
    with pytest.raises(InputError, match="cannot be read"):
        shape(source_of(tmp_path / "a.npy"))


def test_python_objects_are_never_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{"a": 1}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects") as caught:
        load_responses(source_of(tmp_path / "a.npy"))
    assert "allow_pickle=False" in caught.value.hint


@pytest.mark.parametrize("values", [np.full((2, 2), "a"), np.ones((2, 2), complex)])
def test_arrays_that_are_no_real_numbers(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match="not real numbers"):
        shape(source_of(tmp_path / "a.npy"))


def test_text_in_hdf5_is_no_response(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = [["a", "b"]]
    with pytest.raises(InputError, match="not real numbers"):
        shape(source_of(tmp_path / "x.h5"))


@pytest.mark.parametrize("size", [(0, 4), (4, 0)])
def test_empty_array(tmp_path, size):
    np.save(tmp_path / "a.npy", np.zeros(size))
    with pytest.raises(InputError, match="is empty"):
        shape(source_of(tmp_path / "a.npy"))


def test_other_formats_name_the_allowed_ones(tmp_path):
    np.savez(tmp_path / "a.npz", data=np.zeros((3, 3)))
    with pytest.raises(InputError, match="none of the formats that are read") as caught:
        shape(source_of(tmp_path / "a.npz"))
    assert ".hf5" in caught.value.hint


def test_digest_follows_content_and_keys_not_places(hdf5, tmp_path):
    first = digest(source_of(hdf5))
    copy = tmp_path / "elsewhere.hf5"
    shutil.copy(hdf5, copy)

    assert digest(source_of(copy)) == first
    assert digest(source_of(copy, units=30, score_from_row=5)) == first
    assert digest(source_of(copy, key="individual_repeats")) != first
    with h5py.File(copy, "r+") as file:
        file["data"][0, 0] += 1e-6
    assert digest(source_of(copy)) != first


def test_digest_depends_on_the_repeats_file_and_the_order_of_hemispheres(two_hemispheres):
    folder, _ = two_hemispheres
    left, right = folder / "L.hf5", folder / "R.npy"
    assert digest(source_of(left, right)) != digest(source_of(right, left))
    assert digest(source_of(right)) != digest(
        source_of(right, repeats_paths=(folder / "R_repeats.npy",))
    )


def test_digest_of_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="missing"):
        digest(source_of(tmp_path / "none.npy"))
