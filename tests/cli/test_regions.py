"""The commands about region sets, and results printed in them."""

import json

import numpy as np
import pytest
from kit.data.region_files import N_SIDE, label_home, put_hcp, write_annot
from kit.results.region_results import put_predicted
from typer.testing import CliRunner

from braindash.cli import app
from braindash.errors import InputError
from braindash.io.regions.groups import MOUSSA_ICLR
from braindash.io.regions.sets import SETS
from braindash.io.store import Store

__all__ = ["label_home"]

RUN = CliRunner()


def said(*arguments):
    done = RUN.invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def refused(*arguments) -> InputError:
    done = RUN.invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, InputError), done.output
    return done.exception


@pytest.fixture(scope="module")
def made_store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    return store.root, put_predicted(store)


def test_every_set_is_listed_with_what_it_needs(label_home):
    lines = {line.split("\t")[0]: line for line in said("regions").splitlines()}
    assert set(SETS) <= set(lines)
    assert lines["discs"].endswith("ready") and "lh.HCPMMP1.annot" in lines["hcp-mmp1"]
    documents = {one["name"]: one for one in json.loads(said("regions", "--json"))}
    assert set(documents) == set(lines)
    hcp = documents["hcp-mmp1"]
    assert not hcp["ready"] and hcp["fetched_on_consent"] and len(hcp["regions"]) == 180
    assert [one["path"] for one in hcp["files"]] == [None, None]
    put_hcp(label_home)
    hcp = json.loads(said("regions", "show", "hcp-mmp1", "--json"))
    assert hcp["ready"] and hcp["files"][0]["path"].endswith("lh.HCPMMP1.annot")


def test_a_set_is_shown_with_its_licence_and_its_labels(label_home):
    shown = said("regions", "show", "moussa2025-iclr")
    assert "WU-Minn HCP" in shown and "not here; from https" in shown
    assert f"late_language: {', '.join(MOUSSA_ICLR['late_language'])}" in shown
    assert "every label of its files is a region" in said("regions", "show", "destrieux")
    assert "region set 'hcp'" in refused("regions", "show", "hcp").message


def test_nothing_is_fetched_before_the_licence_is_accepted(label_home):
    error = refused("regions", "fetch", "hcp-mmp1")
    assert "--accept-licence" in error.hint and not list(label_home.iterdir())
    assert "does not fetch" in refused("regions", "fetch", "lana-10", "--accept-licence").message
    put_hcp(label_home)
    assert len(said("regions", "fetch", "hcp-mmp1").splitlines()) == 2  # there already


def test_label_files_are_taken_over(label_home, tmp_path):
    index = np.arange(N_SIDE) % 2
    left, right = (write_annot(tmp_path / f"{s}.annot", ["???", "ear"], index) for s in "lr")
    assert len(said("regions", "add", "my-ears", left, right).splitlines()) == 2
    assert "my-ears" in said("regions")
    assert "no label file" in refused("regions", "add", "x", left, tmp_path / "none.annot").message


def test_a_result_is_printed_in_a_set_and_a_side(made_store, label_home):
    root, result = made_store
    put_hcp(label_home)
    options = ("--store", root, "--regions", "moussa2025-iclr")
    shown = said("show", result.key[:8], *options, "--hemisphere", "left")
    assert "left hemisphere" in shown and "visual_word_form" in shown
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line}
    assert lines["late_language"][-1].endswith("%") and lines["region"] == ["region"]
    document = json.loads(said("show", result.key[:8], *options, "--json"))
    assert document["region_set"] == "moussa2025-iclr"
    rows = document["regions"]
    assert {row["hemisphere"] for row in rows} == {"both", "left", "right"}
    right = json.loads(said("show", result.key[:8], *options, "--json", "--hemisphere", "right"))
    assert right["regions"] == [row for row in rows if row["hemisphere"] == "right"]
    both = [row["region"] for row in rows if row["hemisphere"] == "both"]
    assert len(both) == 2 * (1 + len(MOUSSA_ICLR)) and set(both) > set(MOUSSA_ICLR)
    assert all(row["low"] is not None and 0 <= row["coverage"] <= 1 for row in rows)


def test_what_cannot_be_shown_is_said(made_store, label_home):
    root, result = made_store
    key = result.key[:8]
    lacking = refused("show", key, "--store", root, "--regions", "hcp-mmp1")
    assert "lh.HCPMMP1.annot" in lacking.message
    wrong = RUN.invoke(app, ["show", key, "--store", str(root), "--hemisphere", "middle"])
    assert wrong.exit_code == 2 and "middle" in wrong.output
    assert "which manifest" in refused("show", key, "--store", root, "--regions", "own").message


def test_encode_refuses_a_set_that_is_not_here_before_it_computes(lab, label_home, tmp_path):
    options = ["--data", lab.manifest, "--model", lab.model, "--subject", "A", "--store", tmp_path]
    assert "lh.HCPMMP1.annot" in refused("encode", *options, "--regions", "hcp-mmp1").message
    assert "describes no regions" in refused("encode", *options, "--regions", "own").message
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('labels = "roi.npy"\ngroups = { a = ["1", "9"] }', "has no label '9'"),
        ('labels = "roi.npy"\ngroups = { a = [] }', "the group 'a' names no label"),
        ('masks = { a = "absent.npy" }', "there is no file"),
        ('masks = { a = "short.npy" }', "the mask 'a' has 5 values"),
        ('set = "nope"\ngroups = { a = ["A1"] }', "there is no region set 'nope'"),
    ],
)
@pytest.mark.parametrize("subject", ["A", "mean"])
def test_encode_checks_regions_of_a_manifest_before_it_computes(
    lab, label_home, tmp_path, text, problem, subject
):
    np.save(lab.folder / "roi.npy", np.arange(12) % 4)
    np.save(lab.folder / "short.npy", np.ones(5))
    lab.manifest.write_text(lab.manifest.read_text() + f"\n[regions]\n{text}\n")
    options = ["--data", lab.manifest, "--model", lab.model, "--subject", subject, "--check"]
    error = refused("encode", *options, "--store", tmp_path, "--regions", "own")
    assert problem in error.message
    assert problem in refused("encode", *options, "--store", tmp_path).message  # the usual set
