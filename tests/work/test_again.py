"""A result is computed again from its record, beside the stored one, and compared with it."""

import json
import shlex
import shutil

import numpy as np
import pytest
from kit.data.toy_lab import SHORT_STORIES, make_lab
from kit.results.made_up import put_result
from typer.testing import CliRunner

from braindash.cli import app
from braindash.encoding.result import EncodingResult
from braindash.errors import InputError, StoreError
from braindash.files import write_json
from braindash.io.asked import asked, manifest_of, read_asked
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.work.again import find_kept, plan_again, run_again
from braindash.work.kinds import run


@pytest.fixture(scope="module")
def made(tmp_path_factory, quick_model):
    """A lab with one result in its store."""
    folder = tmp_path_factory.mktemp("again")
    lab = make_lab(folder / "lab", quick_model, seconds=SHORT_STORIES)
    store = Store(folder / "store")
    request = build_request(
        EncodeRequest, data=lab.manifest, model=str(lab.model), subject="A", strategy="chunk",
        alphas=(1.0, 100.0), n_permutations=0, n_bootstraps=20, threads=1,
    )  # fmt: skip
    return lab, store, run(request, store)


@pytest.fixture
def copied(made, tmp_path):
    """The same store and data, to be changed."""
    lab, store, result = made
    shutil.copytree(store.root, tmp_path / "store")
    shutil.copytree(lab.folder, tmp_path / "moved")
    return tmp_path / "moved", Store(tmp_path / "store"), result.key


def again(store, key, data, **options):
    planned = plan_again(store, key, {"data": str(data)}).on("cpu", 1)
    return run_again(planned, store, **options)


def test_the_record_has_what_was_asked_and_no_machine(made):
    lab, _, result = made
    told = read_asked(result.provenance)
    assert told.command == "encode" and told.request["data"] == str(lab.manifest.resolve())
    assert told.manifest == lab.manifest.read_text() == manifest_of(result.provenance)
    assert not {"device", "threads", "keep_frames"} & told.request.keys()
    assert told.request["alphas"] == [1.0, 100.0] and told.request["model"] == str(lab.model)


def test_a_long_manifest_is_kept_small_and_whole(made):
    lab, _, _ = made
    request = EncodeRequest(data=lab.manifest, model="m", subject="A")
    text = "# ä line\n" * 20_000
    told = asked(request, model="m", revision=None, manifest=text)
    assert len(json.dumps(told)) < 3000 and manifest_of(told) == text
    told["asked"]["manifest"] = {"deflated": "no"}
    with pytest.raises(ValueError, match="cannot be read"):
        manifest_of(told)


def test_the_numbers_are_the_same_and_the_stored_result_stays(copied):
    folder, store, key = copied
    before = {path: path.read_bytes() for path in store.folder("encoding", key).iterdir()}
    found = again(store, key, folder / "manifest.toml", keep_features=True)
    assert found.identical and found.differences["r"] == 0 and found.folder is None
    assert {path: path.read_bytes() for path in before} == before
    assert not (store.root / "rerun" / key).exists()
    assert list((store.root / "features").iterdir()), "features that were there stay"


def test_numbers_that_differ_are_kept_beside(copied, monkeypatch):
    folder, store, key = copied
    from braindash.encoding import run as running

    true = running.pearson_r
    monkeypatch.setattr(running, "pearson_r", lambda *given: true(*given) * np.float32(0.9))
    found = again(store, key, folder / "manifest.toml", keep_features=True)
    assert not found.equal and found.differences["r"] > 0.01
    assert "NOT equal" in found.lines()[0] and found.as_dict()["kept_in"] == str(found.folder)
    kept = EncodingResult.load(Store(found.folder).get("encoding", key))
    stored = EncodingResult.load(store.get("encoding", key))
    np.testing.assert_allclose(kept.r, stored.r * 0.9, atol=1e-6)


def test_a_damaged_result_gets_its_place_back(copied):
    folder, store, key = copied
    place = store.folder("encoding", key)
    good = EncodingResult.load(store.get("encoding", key)).r
    (place / "result.nc").write_bytes(b"torn")
    assert find_kept(store, key[:8]).problem  # which moved it to the quarantine
    assert not place.exists() and find_kept(store, key[:8]).problem == "it is in quarantine"
    found = again(store, key[:8], folder / "manifest.toml")
    assert not found.differences and "nothing whole to compare" in found.lines()[0]
    np.testing.assert_array_equal(EncodingResult.load(store.get("encoding", key)).r, good)
    # One that is listed as damaged: a file that every result has is gone.
    (place / "checksums.json").unlink()
    again(store, key, folder / "manifest.toml")
    np.testing.assert_array_equal(EncodingResult.load(store.get("encoding", key)).r, good)


def test_data_that_changed_are_named(copied):
    folder, store, key = copied
    path = folder / "responses" / "A" / "fox.hf5"
    path.write_bytes((folder / "responses" / "A" / "stone.hf5").read_bytes())
    with pytest.raises(InputError, match=r"'fox' differs in .*responses \(\w{6} -> \w{6}\)"):
        plan_again(store, key, {"data": str(folder / "manifest.toml")})
    shutil.rmtree(folder / "responses")
    with pytest.raises(InputError, match="cannot be computed again") as caught:
        plan_again(store, key, {"data": str(folder / "manifest.toml")})
    assert "--data" in caught.value.hint


def test_a_comment_in_the_manifest_is_told_and_changes_nothing(copied):
    folder, store, key = copied
    manifest = folder / "manifest.toml"
    manifest.write_text(manifest.read_text() + "# later\n")
    planned = plan_again(store, key, {"data": str(manifest)})
    assert "+# later" in planned.notes[0]
    with pytest.raises(InputError, match="no path labels"):
        plan_again(store, key, {"labels": "x"})


def test_older_results_and_odd_records_say_what_to_do(copied):
    _, store, _ = copied
    older = put_result(store)
    with pytest.raises(StoreError, match="no record of its request") as caught:
        plan_again(store, older)
    assert "braindash encode --data MANIFEST --model toy-model" in caught.value.hint
    odd = put_result(store, model="<b> $(rm x); 'y'")
    with pytest.raises(StoreError, match="no record of its request") as caught:
        plan_again(store, odd)
    command = caught.value.hint.split("`")[1]
    assert shlex.split(command)[4:] == ["--model", "<b> $(rm x); 'y'", "..."], (
        "a shell runs nothing"
    )
    with pytest.raises(StoreError, match="0 results"):
        plan_again(store, "ffff")
    features = next((store.root / "features").iterdir()).name
    with pytest.raises(StoreError, match="names features"):
        plan_again(store, features)


@pytest.mark.parametrize("record", [[], {"command": "encode"}, {"command": 1, "request": {}}])
def test_a_record_that_is_none_is_an_error_in_words(copied, record):
    _, store, key = copied
    path = store.folder("encoding", key) / "provenance.json"
    write_json(path, json.loads(path.read_text()) | {"asked": record})
    with pytest.raises(StoreError, match="record of"):
        plan_again(store, key)


def test_the_command_says_what_it_would_do_and_writes_the_manifest(copied, monkeypatch, made):
    folder, store, key = copied
    monkeypatch.setenv("BRAINDASH_STORE", str(store.root))
    data = ["--data", str(folder / "manifest.toml")]
    dry = CliRunner().invoke(app, ["rerun", key[:8], "--dry-run", "--json", *data])
    assert dry.exit_code == 0 and json.loads(dry.stdout)["request"]["subject"] == "A"
    file = folder / "as-it-was.toml"
    done = CliRunner().invoke(app, ["rerun", key[:8], "--write-manifest", str(file)])
    assert done.exit_code == 0 and file.read_text() == made[0].manifest.read_text()
    done = CliRunner().invoke(app, ["rerun", key[:8], "--keep-features", "--json", *data])
    assert done.exit_code == 0 and json.loads(done.stdout)["identical"] is True
