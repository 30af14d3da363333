"""Word vectors as text and as arrays; nothing is unpickled."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from kit.data.label_files import write_text

from braindash.errors import InputError
from braindash.io.labels.words import read_word_vectors

LINES = ("the 0.5 -1.25 3e-2", "cat 1 2 3", "naïve -0.5 0 7")
VECTORS = np.array([[0.5, -1.25, 0.03], [1, 2, 3], [-0.5, 0, 7]], np.float32)


def check(vectors) -> None:
    assert vectors.words == ("the", "cat", "naïve") and vectors.warnings == ()
    assert vectors.vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors.vectors, VECTORS)


def test_text_forms(tmp_path):
    check(read_word_vectors(write_text(tmp_path / "glove.txt", *LINES)))
    check(read_word_vectors(write_text(tmp_path / "w2v.vec", "3 3", *(f"{x} " for x in LINES))))
    check(read_word_vectors(write_text(tmp_path / "bom.txt", *LINES, encoding="utf-8-sig")))
    (tmp_path / "windows.txt").write_bytes("\r\n".join(LINES).encode())
    check(read_word_vectors(tmp_path / "windows.txt"))
    for end in ("", "\r"):
        (tmp_path / "old_mac.txt").write_bytes(("\r".join(LINES) + end).encode())
        check(read_word_vectors(tmp_path / "old_mac.txt"))


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays(compressed, tmp_path):
    words = np.array(["the", "cat", "naïve"])
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "v.npz", words=words, vectors=VECTORS.astype(np.float64))
    check(read_word_vectors(tmp_path / "v.npz"))
    kept = read_word_vectors(tmp_path / "v.npz", vocabulary=["CAT", "dog"])
    assert kept.words == ("cat",) and kept.vectors.tolist() == [[1, 2, 3]]


def test_words_with_spaces_and_strange_line_marks(tmp_path):
    lines = ("a 1 2 3", ". . . 4 5 6", "\u0085 7 8 9", "x\u2028y 1 1 1", "\u00a0 2 2 2")
    vectors = read_word_vectors(write_text(tmp_path / "v.txt", *lines))
    assert vectors.words == ("a", ". . .", "\u0085", "x\u2028y", "\u00a0")
    assert vectors.vectors[:, 0].tolist() == [1, 4, 7, 1, 2]


@pytest.mark.parametrize(
    "line",
    ["cat 0.4 0.5 0.6 dog 0.7 0.8 0.9", "cat 4 5 6 dog 7 8 9", "cat 1e-3 7 8 9", "cat 0.5 7 8 9"],
)
def test_lines_that_were_joined_are_refused(tmp_path, line):
    path = write_text(tmp_path / "v.txt", "the 1 2 3", line)
    for vocabulary in (None, {"the"}):
        with pytest.raises(InputError, match="line 2 is no word vector: numbers stand within"):
            read_word_vectors(path, vocabulary=vocabulary)
    named = write_text(tmp_path / "n.txt", "the 1 2 3", "route 66 4 5 6", "Der 1. FC 7 8 9")
    assert read_word_vectors(named).words == ("the", "route 66", "Der 1. FC")


def test_only_the_vocabulary_is_kept(tmp_path):
    path = write_text(tmp_path / "v.txt", *LINES, "The 9 9 9")
    vectors = read_word_vectors(path, vocabulary={"THE", "dog"})
    assert vectors.words == ("the", "The")
    with pytest.raises(InputError, match="none of the words"):
        read_word_vectors(path, vocabulary=["dog"])


def test_look_up(tmp_path):
    path = write_text(tmp_path / "v.txt", *LINES, "Cat 9 9 9", "Paris 4 4 4")
    found, known = read_word_vectors(path).of(["Cat", "CAT", "paris", "dog", "cat"])
    assert known.tolist() == [True, True, True, False, True]
    assert found[:, 0].tolist() == [9, 1, 4, 0, 1]
    empty, none = read_word_vectors(path).of([])
    assert empty.shape == (0, 3) and none.shape == (0,)


def test_words_that_stand_twice_are_taken_once(tmp_path):
    vectors = read_word_vectors(write_text(tmp_path / "v.txt", *LINES, "cat 8 8 8", "dog 1 1 1"))
    assert vectors.words == ("the", "cat", "naïve", "dog")
    assert vectors.vectors[1].tolist() == [1, 2, 3]
    assert vectors.warnings == ("1 words stand twice; their first vectors are taken",)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["the 1 2 3", "cat 1 2"], "line 2 is no word vector: 3 fields, not a word and 3 numbers"),
        (["the 1 2 3", "cat 1 x 3"], "line 2 is no word vector: could not convert"),
        (["the 1 2 3", "cat 1 nan 3"], "not finite, such as those of 'cat'"),
        (["the 1 2 3", "cat 1 1e99 3"], "not finite"),
        (["4 3", *LINES], "promises 4 words in its first line and holds 3"),
        (["the", "cat"], "line 1 is no word vector"),
        (["the\0 1 2 3"], "line 1 is no word vector: it is no text"),
        ([""], "holds no word vectors"),
    ],
)
def test_damaged_text_is_named(lines, says, tmp_path):
    with pytest.raises(InputError, match=says):
        read_word_vectors(write_text(tmp_path / "v.txt", *lines))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_word_vectors(tmp_path / "no.txt")
    (tmp_path / "v.bin").write_bytes(b"3 3\nthe " + VECTORS.tobytes() + b"\xff\xfe")
    with pytest.raises(InputError, match=r"no text in UTF-8|no word vector"):
        read_word_vectors(tmp_path / "v.bin")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_word_vectors(tmp_path / "cut.npz")
    np.save(tmp_path / "one.npy", VECTORS)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(InputError, match="cannot be read"):
        read_word_vectors(tmp_path / "one.npz")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"vectors": VECTORS}, "words"),
        ({"words": np.array(["a"]), "vectors": VECTORS}, r"shape \(1,\)"),
        ({"words": np.array([1, 2, 3]), "vectors": VECTORS}, "int64"),
        ({"words": np.array(["a", "b", "c"]), "vectors": np.array(["x", "y", "z"])}, "<U1"),
        ({"words": np.array(["a", "b", "c"]), "vectors": VECTORS[:, 0]}, r"shape \(3,\)"),
    ],
)
def test_arrays_of_another_form_are_refused(arrays, says, tmp_path):
    np.savez(tmp_path / "v.npz", **arrays)
    with pytest.raises(InputError, match=says):
        read_word_vectors(tmp_path / "v.npz")


class Trap:
    """Would create a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_objects_are_never_unpickled(tmp_path):
    words = np.array([Trap(tmp_path / "sprung"), "b", "c"], dtype=object)
    np.savez(tmp_path / "v.npz", words=words, vectors=VECTORS)
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_word_vectors(tmp_path / "v.npz")
    assert "dtype=str" in caught.value.hint
    assert not (tmp_path / "sprung").exists()


def test_a_word_with_broken_bytes_is_left_out_and_told(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(b"4 2\nthe 1 2\n\xe5\x98x 3 4\ncaf\xc3\xa9 5 6\nend\t7 8\n")
    vectors = read_word_vectors(path)
    assert vectors.words == ("the", "café", "end")
    assert vectors.warnings == ("1 words are no UTF-8 and are left out: line 3",)
    np.testing.assert_array_equal(vectors.vectors[2], [7, 8])
    path.write_bytes("caf\u00e9 1 2\nna\u00eff 3 4\n".encode("latin-1"))
    with pytest.raises(InputError, match="no text in UTF-8: 2 of 2 lines"):
        read_word_vectors(path)


@pytest.mark.parametrize("line", ["dog 1 2", "dog 1", "dog"])
@pytest.mark.parametrize("vocabulary", [None, {"the"}, {"dog", "the"}])
def test_a_line_of_fewer_numbers_is_refused_by_its_number(line, vocabulary, tmp_path):
    path = write_text(tmp_path / "v.txt", *LINES, line, "end 7 7 7")
    with pytest.raises(InputError, match="line 4 is no word vector"):
        read_word_vectors(path, vocabulary=vocabulary)


def test_packed_files_are_told_as_such(tmp_path):
    path = tmp_path / "v.txt"
    path.write_bytes(gzip.compress(b"a 1 2 3\nb 1 2 3\n"))
    with pytest.raises(InputError, match="compressed by gzip"):
        read_word_vectors(path)


def test_whole_numbers_of_two_joined_lines_are_noticed(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("a 1 2 3\nb 1 2 3c 4 5 6\nd 1 2 3\n")
    with pytest.raises(InputError, match=r"line 2 .*are two lines joined"):
        read_word_vectors(path)
