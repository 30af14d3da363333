"""The command line, as a user calls it."""

import json
import subprocess
import sys

import pytest
from kit.data.toy_lab import make_lab
from kit.results.made_up import made_up_result, put_old_result
from typer.testing import CliRunner

import braindash
from braindash import cli
from braindash.cli import app
from braindash.errors import InputError, StoreError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue

RUN = CliRunner()


@pytest.fixture
def lab(tmp_path, quick_model):
    """How well the model predicts does not matter here."""
    return make_lab(tmp_path / "lab", quick_model)


def encode_arguments(lab, store, *more):
    arguments = ["encode", "--data", lab.manifest, "--model", lab.model, "--subject", "A"]
    arguments += ["--store", store, "--strategy", "chunk", "--alphas", "1,100", *more]
    return [str(argument) for argument in arguments]


def command(*arguments):
    """Run the real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "braindash", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_encode_prints_key_folder_and_regions_as_json(lab, tmp_path):
    done = RUN.invoke(app, encode_arguments(lab, tmp_path / "store", "--json"))
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document) >= {"key", "folder", "regions", "n_without_score", "simulated"}
    assert document["n_without_score"] == 2 and document["simulated"] is False
    assert {row["layer"] for row in document["regions"]} == {0, 1, 2}
    assert all(row["low"] < row["r"] < row["high"] for row in document["regions"])
    assert len(document["n_significant"]) == 3
    assert document["ceilings"] == ["repeats", "inter-subject"]
    assert "block bootstrap" in document["intervals"]
    assert "would cross by chance" in document["ceiling_bias"]
    assert (tmp_path / "store" / "encoding" / document["key"] / "result.nc").is_file()


def test_a_random_wav2vec2_folder_and_a_real_wav_go_end_to_end(lab, tmp_path):
    """Exact features, stable layer norm, weights that nobody trained: the honest score is low."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(1)
    config = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        # Long frames: every one has a window of its own, as long as the context.
        conv_kernel=(320, 3, 3, 3, 3, 2, 2),
        conv_stride=(160, 2, 2, 2, 2, 2, 2),
        feat_extract_norm="layer",
        conv_bias=True,
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(tmp_path / "random-wav2vec2")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "random-wav2vec2")
    lab.edit('train = "*"', 'train = ["crow"]')
    arguments = encode_arguments(lab, tmp_path / "store", "--json", "--strategy", "exact")
    arguments[arguments.index("--model") + 1] = str(tmp_path / "random-wav2vec2")
    done = RUN.invoke(app, arguments)
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["model"] == "random-wav2vec2" and "features: exact" in document["provenance"]
    scores = [row["r"] for row in document["regions"]]
    assert len(scores) == 3 and all(-1 < score < 1 for score in scores)


def test_several_subjects_are_encoded_together(lab, tmp_path):
    def encode(subject, *more):
        arguments = encode_arguments(lab, tmp_path / "store", *more)
        arguments[arguments.index("--subject") + 1] = subject
        return RUN.invoke(app, arguments)

    needs = json.loads(encode("A, B,A", "--check", "--json").stdout)
    assert list(needs) == ["A", "B"] and not needs["B"]["cached"]
    told = encode("all", "--check").stdout
    assert told.startswith("A:\n    Result ") and "\nB:\n    Result " in told
    documents = json.loads(encode("all", "--json").stdout)
    assert [one["subject"] for one in documents] == ["A", "B"]
    assert [one["key"] for one in documents] == [one["key"] for one in needs.values()]
    assert encode("A,B").stdout.count("2 of 12 targets have no score") == 2
    refused = encode("A,nobody")
    assert isinstance(refused.exception, InputError) and "nobody" in str(refused.exception)


def test_list_export_and_import_move_a_result(lab, tmp_path):
    store, other = tmp_path / "store", tmp_path / "other"
    done = RUN.invoke(app, encode_arguments(lab, store, "--json"))
    key = json.loads(done.stdout)["key"]
    rows = json.loads(RUN.invoke(app, ["list", "--store", str(store), "--json"]).stdout)
    assert [row["key"] for row in rows if row["kind"] == "encoding"] == [key]
    file = tmp_path / "moved.zip"
    assert (
        RUN.invoke(app, ["export", key[:8], "--to", str(file), "--store", str(store)]).exit_code
        == 0
    )
    assert RUN.invoke(app, ["import", str(file), "--store", str(other)]).exit_code == 0
    moved = json.loads(RUN.invoke(app, ["list", "--store", str(other), "--json"]).stdout)
    assert [row["key"] for row in moved] == [key]
    assert key[:8] in RUN.invoke(app, ["list", "--store", str(other)]).stdout
    assert not (other / "predictions").exists()
    again = ["export", key[:8], "--to", str(file), "--store", str(store), "--with-predictions"]
    assert RUN.invoke(app, again).exit_code == 0
    whole = tmp_path / "whole"
    assert RUN.invoke(app, ["import", str(file), "--store", str(whole)]).exit_code == 0
    assert len(list((whole / "predictions").glob("*/result.nc"))) == 1
    moved = json.loads(RUN.invoke(app, ["list", "--store", str(whole), "--json"]).stdout)
    assert [row["kind"] for row in moved] == ["encoding"]


def test_permutations_and_bootstraps_can_be_switched_off(lab, tmp_path):
    options = ["--permutations", "0", "--bootstraps", "0", "--json"]
    done = RUN.invoke(app, encode_arguments(lab, tmp_path / "store", *options))
    document = json.loads(done.stdout)
    assert document["n_significant"] is None and "no intervals" in document["intervals"]
    assert all(row["low"] is None for row in document["regions"])


def test_results_of_an_older_version_are_listed_and_say_so(tmp_path):
    key = put_old_result(Store(tmp_path))
    done = RUN.invoke(app, ["list", "--store", str(tmp_path), "--json"])
    [row] = json.loads(done.stdout)
    assert row["key"] == key and row["older"].startswith("version 1 of 3")


def test_results_of_a_newer_version_are_counted_and_not_listed(tmp_path):
    store = Store(tmp_path)
    made = made_up_result(space="roi")
    spec = made.spec | {"version": 99}
    with pytest.raises(StoreError, match="version 99"):  # written, but not for this braindash
        store.put("encoding", made.key, spec=spec, provenance={}, dataset=made.dataset)
    done = RUN.invoke(app, ["list", "--store", str(tmp_path), "--json"])
    assert json.loads(done.stdout) == []
    assert "Results of a newer braindash, not listed: 1." in " ".join(done.stderr.split())


def test_check_says_what_is_needed_and_computes_nothing(lab, tmp_path):
    done = RUN.invoke(app, encode_arguments(lab, tmp_path / "store", "--check", "--json"))
    found = json.loads(done.stdout)
    assert found["cached"] is False and found["features_cached"] == 0 and found["n_stories"] == 4
    assert found["memory_needed"] > 0 and found["seconds"] > 0
    assert not (tmp_path / "store" / "encoding").exists()
    RUN.invoke(app, encode_arguments(lab, tmp_path / "store"))
    done = RUN.invoke(app, encode_arguments(lab, tmp_path / "store", "--check"))
    assert "Already computed" in done.stdout


def test_a_copy_of_a_model_that_is_tuned_in_the_background_is_refused(lab, tmp_path):
    """It would be forgotten in silence: nobody is left to copy it."""
    options = ["--data", str(lab.manifest), "--model", str(lab.model), "--subjects", "A"]
    options += ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "new"), "--queue"]
    done = RUN.invoke(app, ["tune", *options])
    assert done.exit_code == 2 and "--out" in done.output
    assert not (tmp_path / "store").exists()


def test_what_is_queued_is_a_job_and_computes_nothing_here(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: None)
    store = tmp_path / "store"
    command = encode_arguments(lab, store, "--queue")
    command[command.index("--subject") + 1] = "A,B"
    done = RUN.invoke(app, command)
    assert done.exit_code == 0, done.output
    told = [line.split("\t") for line in done.stdout.splitlines()]
    jobs = JobQueue(store).list()
    assert {key for key, *_ in told} == {job.key for job in jobs} and len(jobs) == 2
    assert {state for _, state, _ in told} == {"queued"}
    assert not (store / "encoding").exists()
    assert {job.request["subject"] for job in jobs} == {"A", "B"}
    both = RUN.invoke(app, [*command, "--check"])
    assert both.exit_code == 2 and "--queue" in both.output


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--subject", "AA"], "What to do"),
        (["--model", "nowhere/no-model"], "local folder"),
        (["--metric", "mse"], "metric"),
    ],
)
def test_a_mistake_is_one_message_and_status_one(
    lab, tmp_path, changes, words, monkeypatch, capsys
):
    arguments = encode_arguments(lab, tmp_path / "store", *changes)
    monkeypatch.setattr(sys, "argv", ["braindash", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    told = capsys.readouterr().err
    assert caught.value.code == 1
    assert words in told and "Traceback" not in told


def test_a_mistake_ends_the_process_with_its_message_alone(tmp_path):
    done = command("encode", "--data", tmp_path / "no.toml", "--model", "m", "--subject", "A")
    assert done.returncode == 1 and not done.stdout
    assert "What to do" in done.stderr and "Traceback" not in done.stderr


def test_numbers_that_are_no_numbers_are_a_usage_error(lab, tmp_path):
    done = RUN.invoke(app, encode_arguments(lab, tmp_path / "store", "--delays", "1,two"))
    assert done.exit_code == 2


def test_an_empty_store_says_what_to_do(tmp_path):
    done = command("list", "--store", tmp_path)
    assert done.returncode == 0 and "braindash demo" in done.stderr


def test_memory_that_runs_out_is_one_message(monkeypatch, capsys):
    def full():
        raise MemoryError("Unable to allocate 7 PiB")

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    told = " ".join(capsys.readouterr().err.split())
    assert caught.value.code == 1 and "does not fit into the memory" in told
    assert "choose a smaller model" in told


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_the_version_is_printed(asked):
    done = RUN.invoke(app, [asked])
    assert done.exit_code == 0 and done.stdout.strip() == braindash.__version__
