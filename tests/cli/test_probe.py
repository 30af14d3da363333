"""The command ``braindash probe``, its preflight and its job."""

import json

import numpy as np
import pytest
from kit.data.spoken_corpus import make_corpus
from typer.testing import CliRunner

from braindash.cli import app
from braindash.cli import probe as cli_probe
from braindash.errors import InputError
from braindash.io.store import Store
from braindash.jobs.queue import JobQueue
from braindash.probing.plan import plan_probing
from braindash.probing.run import run_probing
from braindash.progress import NoProgress
from braindash.requests import ProbeRequest, build_request
from braindash.work.kinds import preflight, run_job
from braindash.work.submit import submit

RUN = CliRunner()
FEW = ["--shuffles", "2", "--bootstraps", "20"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus") / "toy", n_recordings=4, n_words=12)


def arguments(corpus, model, store, *more):
    given = ["probe", "--data", corpus.manifest, "--model", model, "--store", store, *FEW]
    return [str(one) for one in (*given, "--tasks", "mfcc,phone", *more)]


def request_for(corpus, model, **changes):
    fields = {"data": corpus.manifest, "model": str(model), "tasks": ("mfcc", "phone")}
    return build_request(ProbeRequest, **(fields | {"n_shuffles": 2, "n_bootstraps": 20} | changes))


def test_probe_prints_every_task_and_layer(corpus, tiny_model, tmp_path):
    done = RUN.invoke(app, arguments(corpus, tiny_model, tmp_path, "--json"))
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["kind"] == "probing" and document["simulated"] is True
    assert {(row["task"], row["layer"]) for row in document["scores"]} == {
        (task, layer) for task in ("mfcc", "phone") for layer in range(3)
    }
    assert all(row["low"] is row["high"] is None for row in document["scores"]), "one recording"
    assert document["tasks"]["phone"]["n_test"] > 0
    assert document["intervals"]["phone"].startswith("no intervals (3 recordings are needed)")
    shown = RUN.invoke(app, arguments(corpus, tiny_model, tmp_path)).stdout
    assert "balanced_accuracy" in shown and "SIMULATED DATA" in shown
    listed = json.loads(RUN.invoke(app, ["list", "--store", str(tmp_path), "--json"]).stdout)
    assert {row["of"] for row in listed if row["kind"] == "probing"} == {"mfcc, phone"}
    file = tmp_path / "moved.zip"
    moved = ["export", document["key"][:8], "--to", str(file), "--store", str(tmp_path)]
    assert RUN.invoke(app, moved).exit_code == 0
    other = tmp_path / "other"
    assert RUN.invoke(app, ["import", str(file), "--store", str(other)]).exit_code == 0
    assert Store(other).has("probing", document["key"])


def test_a_folder_of_labels_and_its_options_are_given_by_name(corpus, tiny_model, tmp_path):
    given = ["probe", "--labels", "textgrid", "--labels-path", corpus.grids, "--labels-audio"]
    given += [corpus.audio, "--labels-option", "pauses=yes", "--labels-option", "speaker=(story)"]
    given += ["--labels-option", "tiers=phones:phone", "--model", tiny_model, "--store", tmp_path]
    given += ["--tasks", "manner", "--recordings", "story_*", "--json", *FEW]
    done = RUN.invoke(app, [str(one) for one in given])
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)["tasks"]["manner"]
    assert any("one speaker only" in text for text in facts["warnings"])
    assert RUN.invoke(app, [*map(str, given), "--labels-option", "nonsense"]).exit_code == 2


@pytest.mark.parametrize("value", ["off", "0", "No", "false", "maybe", "2", ""])
def test_flags_of_readers_are_yes_or_no(value, corpus, tiny_model, tmp_path):
    given = ["--labels", "textgrid", "--labels-path", corpus.grids, "--labels-audio", corpus.audio]
    source = ["--data", corpus.manifest] if value == "2" else given
    options = ["--labels-option", f"fold_phones={value}", "--tasks", "phone", "--check"]
    more = ["--model", tiny_model, "--store", tmp_path, *options]
    done = RUN.invoke(app, [str(one) for one in ("probe", *source, *more)])
    if value in ("maybe", "2", ""):
        assert f"fold_phones = {value!r} is neither yes nor no" in str(done.exception)
    else:
        assert done.exit_code == 0, done.output
    assert cli_probe._options([f"pauses={value}"])["pauses"] is not True
    assert cli_probe._options(["pauses=ON", "with_sa=1"]) == {"pauses": True, "with_sa": True}


def test_numbers_of_readers_are_numbers(tmp_path):
    assert cli_probe._options(["phones=61"]) == {"phones": 61}
    command = ["probe", "--labels", "timit", "--labels-path", str(tmp_path)]
    command += ["--model", "acoustic:logmel"]
    for text in ("six", "6²", "6.0", ""):
        done = RUN.invoke(app, [*command, "--labels-option", f"phones={text}", "--check"])
        assert f"phones = {text!r} is no whole number" in str(done.exception)
    done = RUN.invoke(app, [*command, "--labels-option", "phones=40", "--check"])
    assert "phones = 40 is unknown" in str(done.exception)


def test_check_computes_nothing_and_counts_what_is_there(corpus, tiny_model, tmp_path):
    done = RUN.invoke(app, arguments(corpus, tiny_model, tmp_path, "--check", "--json"))
    found = json.loads(done.stdout)
    assert found["cached"] is False and found["features_cached"] == 0
    assert found["seconds"] > 0 and found["memory_needed"] > 0 and found["disk_needed"] > 0
    assert not (tmp_path / "probing").exists() and not (tmp_path / "unit-features").exists()
    store = Store(tmp_path)
    run_probing(request_for(corpus, tiny_model), store)
    after = preflight(request_for(corpus, tiny_model, seed=5), store)
    assert not after.cached and after.features_cached == after.n_stories == 1
    assert after.disk_needed == 0
    assert preflight(request_for(corpus, tiny_model), store).cached


def test_disk_is_counted_from_the_units(corpus, tiny_model, tmp_path):
    """Of 4 bytes: 3 layers x 24 of the model, energy of both kinds, 39 cepstral columns."""
    found = preflight(request_for(corpus, tiny_model), Store(tmp_path))
    from braindash.probing.plan import plan_probing

    frames, phones = (len(one) for one in plan_probing(request_for(corpus, tiny_model)).units)
    assert phones == corpus.n_phones
    assert found.disk_needed == 4 * ((frames + phones) * (3 * 24 + 1) + frames * 39)


def test_a_mistake_is_one_message_with_a_hint(corpus, tiny_model, tmp_path):
    with pytest.raises(InputError, match="no probing task") as caught:
        RUN.invoke(
            app,
            arguments(corpus, tiny_model, tmp_path, "--tasks", "fone"),
            catch_exceptions=False,
        )
    assert "Did you mean 'phone'" in caught.value.hint


def test_a_job_makes_the_same_result_from_any_folder(corpus, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    store = Store(tmp_path / "store")
    direct = run_probing(request_for(corpus, tiny_model), Store(tmp_path / "direct"))
    monkeypatch.chdir(corpus.folder)
    job = submit(request_for(corpus, tiny_model, data="manifest.toml"), store)
    assert job.key == direct.key and job.title.startswith("Probing: tiny-random-hubert")
    assert job.request["data"] == str(corpus.manifest)
    monkeypatch.chdir(tmp_path)
    made = run_job(job.command, job.request, store.root, NoProgress())
    assert made == {"kind": "probing", "keys": [direct.key]}
    with store.get("probing", direct.key).open() as stored:
        np.testing.assert_allclose(stored["score"], direct.dataset["score"], atol=1e-6)


def test_a_probe_job_says_what_it_does_and_not_what_encoding_does(
    corpus, tiny_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    job = submit(request_for(corpus, tiny_model, tasks=("energy",)), Store(tmp_path))
    told = []

    class Recorder:
        def advance(self, done, total, message):
            told.append(message)

    run_job(job.command, job.request, tmp_path, Recorder())
    assert told[0] == "reading the data and the model's files"
    assert not any("manifest" in message or "encoding" in message for message in told)


def test_a_job_of_a_label_folder_carries_absolute_paths(corpus, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    monkeypatch.chdir(corpus.folder)
    fields = {"data": None, "labels": "textgrid", "labels_path": "grids", "tasks": ("category",)}
    options = {"labels_options": {"audio": "audio"}, "categories": "categories.csv"}
    request = request_for(corpus, tiny_model, **fields, **options)
    with pytest.raises(InputError):  # too few words for the semantic task: nothing is queued
        submit(request.model_copy(update={"recordings": ("story_0",)}), Store(tmp_path))
    assert not JobQueue(tmp_path).list()
    job = submit(request, Store(tmp_path))
    assert job.request["labels_path"] == str(corpus.grids)
    assert job.request["labels_options"] == {"audio": str(corpus.audio)}
    assert job.request["categories"] == str(corpus.categories)


def test_a_job_says_what_changed_since_it_was_queued(tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(JobQueue, "ensure_worker", lambda self: False)
    own = make_corpus(tmp_path / "own", n_recordings=4, n_words=12)
    store = Store(tmp_path / "store")
    job = submit(request_for(own, tiny_model), store)
    grid = own.grids / "story_1.TextGrid"
    grid.write_text(grid.read_text().replace('text = "IY"', 'text = "UW"'))
    with pytest.raises(InputError, match="changed after the job was queued") as caught:
        run_job(job.command, job.request, store.root, NoProgress())
    assert "task 'phone' differs in labels" in caught.value.message


def test_mixed_precision_makes_other_features_and_is_refused_on_a_cpu(corpus, tiny_model, tmp_path):
    refused = RUN.invoke(
        app, arguments(corpus, tiny_model, tmp_path, "--precision", "bf16", "--device", "cpu")
    )
    assert isinstance(refused.exception, InputError) and "'bf16'" in refused.exception.message
    usual, mixed = (
        plan_probing(request_for(corpus, tiny_model, precision=precision))
        for precision in ("float32", "fp16")
    )
    assert usual.spec.key() != mixed.spec.key()
