"""`braindash index`, and data that are given as a folder."""

import json
import shutil

import numpy as np
import pytest
from kit.layouts.arrays import denizenslab, lebel
from kit.layouts.common import N_FOLLOWERS
from kit.layouts.surfaces import fmriprep
from typer.testing import CliRunner

import braindash
from braindash.cli import app
from braindash.errors import InputError

RUN = CliRunner()


def run(*arguments):
    done = RUN.invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_index_tells_what_is_found_and_writes_the_manifest(tmp_path):
    made = denizenslab(tmp_path, subjects=("01",))
    path = tmp_path / "new/m.toml"
    told = run("index", made.folder, "--audio", made.audio, "--write", path)
    assert "Licence: CC0" in told and "subject01: story_01" in told and f"Written: {path}" in told
    dataset = braindash.load_manifest(path)
    assert dataset.tables.dataset.layout == "denizenslab"
    assert "../sounds" in path.read_text()


def test_index_as_json_says_whether_it_can_be_used(tmp_path):
    made = denizenslab(tmp_path, subjects=("01",))
    document = json.loads(run("index", made.folder, "--json"))
    assert document["ready"] is False and document["manifest_text"] is None
    assert document["layout"] == "denizenslab" and document["missing"]
    document = json.loads(run("index", made.folder, "--audio", made.audio, "--json"))
    assert document["ready"] and document["subjects"]["subject01"] == document["stories"]
    assert "[[runs]]" in document["manifest_text"]


@pytest.mark.parametrize(("make", "subject"), [(lebel, "UTS01"), (fmriprep, "sub-01")])
def test_encode_gives_one_key_for_folder_and_manifest_wherever_they_lie(tmp_path, make, subject):
    made = make(tmp_path / "one")
    wanted = {"alphas": (1.0, 1e2), "n_permutations": 0, "n_bootstraps": 0, "threads": 1}
    store = tmp_path / "store"
    first = braindash.encode(made.folder, "acoustic:energy", subject, store=store, **wanted)
    shutil.move(made.folder, tmp_path / "two")
    run("index", tmp_path / "two", "--write", tmp_path / "m.toml")
    again = braindash.encode(tmp_path / "m.toml", "acoustic:energy", subject, store=store, **wanted)
    assert again.key == first.key
    # Those that follow the sound are predicted: rows and sound stand at the same time.
    best = np.sort(np.nan_to_num(first.dataset["r"].values[0]))
    assert best[-N_FOLLOWERS] > 0.6


def test_a_read_only_folder_of_data_is_enough(tmp_path):
    made = fmriprep(tmp_path, subjects=("01",))
    made.folder.chmod(0o555)
    try:
        assert braindash.load_manifest(made.folder).subjects == ("sub-01",)
    finally:
        made.folder.chmod(0o755)


def test_no_folder_and_no_layout(tmp_path):
    for folder, says in ((tmp_path / "none", "does not exist"), (tmp_path, "in no layout")):
        with pytest.raises(InputError, match=says):
            RUN.invoke(app, ["index", str(folder)], catch_exceptions=False)
