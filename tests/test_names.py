"""One rule for names and folders, and one for placeholders."""

import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from braindash import names as listing
from braindash.cli.options import say
from braindash.errors import InputError, ModelError, printable
from braindash.files import evicted_in, find_placeholder, refuse_placeholder
from braindash.names import (
    Spellings,
    existing,
    files_in,
    folded,
    given_path,
    is_hidden,
    named_like,
)


def touched(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    return path


def names(folder: Path, **options) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_in(folder, **options)]


# ---- folders --------------------------------------------------------------------------------


def test_what_systems_leave_is_passed_over(tmp_path):
    for name in ("a.wav", "b/c.WAV"):
        touched(tmp_path / name)
    for name in ("._a.wav", ".DS_Store", "Thumbs.db", "b/desktop.ini", "__MACOSX/b/._c.wav",
                 "@eaDir/a.wav", "~$labels.xlsx", ".git/annex/x.wav", "Icon\r"):  # fmt: skip
        touched(tmp_path / name)
    assert names(tmp_path) == ["a.wav", "b/c.WAV"]
    assert names(tmp_path, deep=False) == ["a.wav"]
    assert named_like(files_in(tmp_path), "*.wav") == [tmp_path / "a.wav", tmp_path / "b/c.WAV"]
    assert not is_hidden("a._wav")


def test_links_to_folders_are_followed_and_circles_end(tmp_path):
    touched(tmp_path / "disk2" / "TRAIN" / "x.wav")
    touched(tmp_path / "data" / "own" / "y.wav")
    (tmp_path / "data" / "TRAIN").symlink_to(tmp_path / "disk2" / "TRAIN")
    (tmp_path / "disk2" / "TRAIN" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data" / "own")
    assert names(tmp_path / "data") == ["TRAIN/x.wav", "own/y.wav"]


def test_links_that_lead_to_each_other_are_links_to_nothing(tmp_path):
    touched(tmp_path / "x.wav")
    (tmp_path / "self.wav").symlink_to("self.wav")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for deep in (True, False):
        assert names(tmp_path, deep=deep) == ["a", "b", "self.wav", "x.wav"]
    assert "a link to nothing" in find_placeholder(tmp_path / "self.wav").what


def test_a_link_that_was_copied_as_text_is_followed_and_told(tmp_path, caplog):
    touched(tmp_path / "disk2" / "TRAIN" / "x.wav")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "TRAIN").write_text("../disk2/TRAIN\n")
    (tmp_path / "data" / "README").write_text("read this / that")
    found = files_in(tmp_path / "data")
    assert [path.name for path in found] == ["x.wav", "README"]
    assert found[0].is_file() and "copied as text" in caplog.text


def test_names_that_are_no_utf8_are_told(tmp_path, caplog):
    touched(tmp_path / "a.wav")
    try:
        with open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb") as stream:
            stream.write(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert names(tmp_path) == ["a.wav"]
    assert "1 names in" in caplog.text and r"caf\xe9.wav" in caplog.text


def test_errors_can_always_be_printed():
    error = InputError("no caf\udce9.wav", hint="rename caf\udce9.wav")
    for text in (str(error), error.message, error.hint):
        assert r"caf\xe9.wav" in text and text.encode()
    assert printable("café") == "café"


@given(st.text() | st.text("\x1b[31m\udce9\ud800\u202e\r\n\t\x9b", max_size=9))
def test_a_text_from_a_file_moves_no_cursor_and_can_be_written(text):
    shown = printable(text)
    shown.encode()  # no half of a character
    odd = {one for one in shown if unicodedata.category(one) == "Cc"} - {"\n", "\t"}
    assert not odd and not set(shown) & set("\u202a\u202b\u202c\u202d\u202e")
    assert printable(shown) == shown
    assert all(one in shown for one in text if one.isprintable())


def test_a_name_with_colours_is_listed_without(capsys):
    """Names in a store's files are other people's."""
    say("\x1b[2Jgone\x07")
    assert capsys.readouterr().out == "\\x1b[2Jgone\\x07\n"


def test_a_folder_that_may_not_be_read_is_told(tmp_path, caplog):
    touched(tmp_path / "a.wav")
    touched(tmp_path / "shut" / "b.wav")
    (tmp_path / "shut").chmod(0)
    try:
        if os.access(tmp_path / "shut", os.R_OK):
            pytest.skip("this user may read everything")
        assert names(tmp_path) == ["a.wav"] and "may not be read" in caplog.text
    finally:
        (tmp_path / "shut").chmod(0o700)


def test_what_vanishes_while_folders_are_listed_is_not_there(tmp_path, monkeypatch):
    """Other programs write beside: a folder is gone, or a file."""
    for name in ("a.wav", "gone/b.wav", "short", "stays/c.wav"):
        touched(tmp_path / name)
    is_folder = listing._is_folder

    def removing(entry):
        found = is_folder(entry)
        if entry.name == "gone":
            shutil.rmtree(entry.path)
        if entry.name == "short":
            os.unlink(entry.path)
        return found

    monkeypatch.setattr(listing, "_is_folder", removing)
    assert names(tmp_path) == ["a.wav", "short", "stays/c.wav"]
    with pytest.raises(FileNotFoundError):
        names(tmp_path / "never")


# ---- spellings ------------------------------------------------------------------------------


@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20))
def test_a_name_is_met_in_any_form_of_its_accents(name):
    for form in ("NFC", "NFD"):
        assert folded(unicodedata.normalize(form, name)) == folded(name)


def test_a_name_is_met_where_only_one_can_be_meant(tmp_path):
    decomposed = unicodedata.normalize("NFD", "café")
    known = Spellings({decomposed: 1, "Fox": 2, "fox": 3, "Well": 4})
    assert known["café"] == 1 and known["WELL"] == 4 and known["fox"] == 3
    assert known.name_of("FOX") is None and "FOX" not in known and len(known) == 4
    touched(tmp_path / "S1" / f"{decomposed}.NPY")
    assert existing(tmp_path / "s1" / "café.npy") == tmp_path / "S1" / f"{decomposed}.NPY"
    assert existing(tmp_path / "S1" / "other.npy") == tmp_path / "S1" / "other.npy"


def test_every_folder_of_a_path_is_met_in_any_spelling(tmp_path):
    written = Path("données") / "été" / "É3" / "ü0.wav"
    decomposed = [unicodedata.normalize("NFD", name) for name in written.parts]
    there = touched(tmp_path.joinpath(*decomposed))
    assert existing(tmp_path / written) == there
    assert given_path(written, tmp_path) == there
    touched(tmp_path / "Données" / "été" / "É3" / "ü0.wav")
    assert existing(tmp_path / written) == tmp_path / written, "two folders may be meant"


# ---- paths that people write ----------------------------------------------------------------


def test_paths_are_read_as_they_are_meant(tmp_path, monkeypatch):
    clip = touched(tmp_path / "clips" / "a b#1.wav")
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("clips/a b#1.wav", "clips\\a b#1.wav", " clips/a b#1.wav ", "Clips/A B#1.WAV",
                 "~/clips/a b#1.wav", f"file://{tmp_path}/clips/a%20b#1.wav",
                 f"file://localhost{clip}", str(Path(f"file://{clip}"))):  # fmt: skip
        assert given_path(text, tmp_path) == clip, text
    assert given_path("Clips", tmp_path, exact=True) == tmp_path / "Clips"
    odd = touched(tmp_path / "a\\b.wav")  # a back-slash is a letter like all others here
    assert given_path("a\\b.wav", tmp_path) == odd


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("C:\\data\\a.wav", "a path of a Windows drive"),
        ("D:/data/a.wav", "a path of a Windows drive"),
        ("https://lab.org/a.wav", "is an address"),
        ("file://server/a.wav", "names a file of the computer 'server'"),
        ("~nobody-of-this-name/a.wav", "who is not known here: '~nobody-of-this-name'"),
        ("x" * 300 + ".wav", "has 304 bytes: no file name"),
        ("a\0b.wav", "zero byte"),
        ("a/" * 5000 + "b.wav", "no path can be longer"),
    ],
)
def test_paths_that_lead_nowhere_are_refused_with_the_reason(text, says):
    with pytest.raises(InputError) as caught:
        given_path(text)
    assert says in caught.value.message


# ---- placeholders ---------------------------------------------------------------------------

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
STANDING = {
    "git-lfs": (LFS, "Git LFS pointer", "git lfs pull"),
    "git-annex": ("/annex/objects/MD5E-s12--0a1b.wav\n", "pointer of git-annex", "datalad get"),
    "empty": ("", "is empty", "download it again"),
    "git-lfs behind a mark": ("\ufeff" + LFS, "Git LFS pointer", "git lfs pull"),
    "dvc": ("outs:\n- md5: 0a1b\n  size: 12\n  path: a.wav\n", "a stub of DVC", "dvc pull"),
    "not found": ("404: Not Found", "what a server said in place", "the address"),
    "json error": ('{"error": "Invalid credentials"}\n', "Invalid credentials", "a login"),
    "xml error": ("<Error><Code>AccessDenied</Code></Error>", "a web page", "download it again"),
    "few zeros": ("\0" * 40, "nothing but zero bytes", "download it again"),
    "zeros": ("\0" * 9000, "nothing but zero bytes", "download it again"),
    "xet": ("# xet version 0\nfilesize = 12\nhash = '0a'\n", "a Xet pointer", "hf download"),
    "link of Cygwin": ("!<symlink>\ufeffr\0e\0a\0l\0", "a link or shortcut", "Copy the file"),
    "link of macOS": ("XSym\n0011\n0a1b\n../real.wav\n   ", "a link or shortcut", "Copy the file"),
    "alias": ("book\0\0\0\0mark\0\0\0\0", "a link or shortcut", "Copy the file"),
    "copied link": ("../real.wav", "copied as a line of text: ../real.wav", "Copy the file"),
    "page": ("<!DOCTYPE html>\n<html><body>Log in", "a web page", "login"),
}


@pytest.mark.parametrize("kind", STANDING)
def test_what_stands_for_a_file_is_told_with_what_fetches_it(tmp_path, kind):
    content, says, hint = STANDING[kind]
    path = tmp_path / "a.wav"
    path.write_text(content)
    with pytest.raises(ModelError) as caught:
        refuse_placeholder(path, "model file", ModelError)
    assert "model file" in caught.value.message and says in caught.value.message
    assert hint.lower() in caught.value.hint.lower()


@pytest.mark.parametrize(
    ("target", "says", "hint"),
    [
        ("../.git/annex/objects/zK/1w/MD5E-s1--0.wav", "git-annex or DataLad", "datalad get"),
        ("../../blobs/0a1b2c", "the cache of a model hub", "hf download"),
        ("elsewhere.wav", "a link to nothing: elsewhere.wav", "Copy the file"),
    ],
)
def test_links_to_nothing_say_whose_they_are(tmp_path, target, says, hint):
    path = tmp_path / "a.wav"
    path.symlink_to(target)
    found = find_placeholder(path)
    assert says in found.what and hint in found.hint


def test_a_stub_of_dvc_stands_for_its_file(tmp_path):
    (tmp_path / "a.wav.dvc").write_text("outs:\n- md5: 0a1b\n  path: a.wav\n")
    assert "DVC" in find_placeholder(tmp_path / "a.wav").what
    assert evicted_in(tmp_path) == [tmp_path / "a.wav"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "clips/a.wav"),
        ("blank.csv", "\n \n"),
        ("a.txt", "the 404 not found page\n"),
        ("a.json", '{"words": [], "message": 1'),
        ("a.mp3", "\0" * 9000 + "ID3"),
        ("a.wav.dvc", "outs:\n- md5: 0a1b\n"),
    ],
)
def test_what_is_like_a_placeholder_is_none(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert find_placeholder(tmp_path / name) is None


def test_a_stub_of_icloud_stands_for_its_file(tmp_path):
    (tmp_path / ".a.wav.icloud").write_bytes(b"bplist00")
    assert "iCloud" in find_placeholder(tmp_path / "a.wav").what


def test_the_files_of_stubs_of_icloud_are_listed_where_they_are_not_here(tmp_path):
    for name in (".b.wav.icloud", ".a.npy.icloud", ".c.wav.icloud", "c.wav", ".icloud", "..icloud"):
        (tmp_path / name).touch()
    assert evicted_in(tmp_path) == [tmp_path / "a.npy", tmp_path / "b.wav"]
    assert all("iCloud" in find_placeholder(path).what for path in evicted_in(tmp_path))


def test_files_that_are_there_are_no_placeholders(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY" + bytes(200))
    assert find_placeholder(path) is None
    assert find_placeholder(tmp_path / "missing.npy") is None
    assert find_placeholder(tmp_path) is None
    assert find_placeholder(Path()) is None and find_placeholder(Path("/")) is None
