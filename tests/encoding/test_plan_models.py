"""What a plan says of the model: its precision, its context, its weight."""

import shutil
from pathlib import Path

import pytest
from kit.models.tiny_models import WHISPER_SECONDS, save_kind
from typer.testing import CliRunner

from braindash.cli import app
from braindash.encoding.plan import plan_encoding
from braindash.encoding.run import run_encoding
from braindash.errors import InputError, ModelError
from braindash.io.store import Store
from braindash.requests import EncodeRequest, build_request
from braindash.work import needs
from braindash.work.kinds import preflight


def request_for(lab, **changes):
    fields = {"data": lab.manifest, "model": str(lab.model), "subject": "A", "strategy": "chunk"}
    settings = {"alphas": (1.0, 100.0), "n_permutations": 0, "n_bootstraps": 0}
    return build_request(EncodeRequest, **(fields | settings | changes))


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    return save_kind("whisper", tmp_path_factory.mktemp("models") / "tiny-whisper")


def test_precision_makes_another_model_and_other_keys(lab):
    plans = {p: plan_encoding(request_for(lab, precision=p)) for p in ("float32", "bf16", "fp16")}
    assert len({plan.spec.key() for plan in plans.values()}) == 3
    assert len({plan.stories[0].extraction.key() for plan in plans.values()}) == 3
    assert plans["float32"].spec == plan_encoding(request_for(lab)).spec


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("alphas", (-1.0,)),
        ("alphas", ()),
        ("alphas", (0.0, 1.0)),
        ("delays", (1, 1)),
        ("delays", ()),
        ("alphas", (float("inf"), 1.0)),
        ("alphas", (float("nan"), 1.0)),
        ("high_pass", float("inf")),
        ("context_seconds", float("inf")),
    ],
)
def test_what_no_fit_takes_is_refused_before_anything_is_computed(lab, field, value):
    with pytest.raises(InputError, match=r"alphas|delay|high_pass|context_seconds"):
        plan_encoding(request_for(lab, **{field: value}))


def test_mixed_precision_on_a_cpu_is_refused_before_the_start(lab, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"'bf16'.* CPU") as caught:
        plan_encoding(request_for(lab, precision="bf16", device="cpu"))
    assert "float32" in caught.value.hint
    monkeypatch.setattr(needs.shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="CPU"):
        preflight(request_for(lab, precision="bf16"), Store(tmp_path / "store"))
    with pytest.raises(InputError, match=r"precision.*'bf32'"):
        request_for(lab, precision="bf32")


def test_command_passes_precision_and_revision_on(lab, tmp_path):
    arguments = ["encode", "--data", str(lab.manifest), "--model", str(lab.model), "--subject"]
    arguments += ["A", "--store", str(tmp_path / "store"), "--device", "cpu", "--check"]
    done = CliRunner().invoke(app, [*arguments, "--precision", "fp16"])
    assert isinstance(done.exception, InputError) and "fp16" in done.exception.message
    done = CliRunner().invoke(app, [*arguments, "--revision", "v2"])
    assert isinstance(done.exception, InputError) and "revision 'v2'" in done.exception.message


def test_revision_of_a_hub_model_is_asked_for(lab, monkeypatch):
    asked = []

    def snapshot_download(hub_id, *, revision, allow_patterns):
        asked.append((hub_id, revision))
        return str(lab.model)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    plan = plan_encoding(request_for(lab, model="lab/model", revision="v2"))
    assert asked[0] == ("lab/model", "v2") and plan.model.name == "lab/model"
    assert asked[1:] == [("lab/model", lab.model.name)], "the weights of the commit that was found"


def test_hub_that_cannot_be_reached_names_the_local_way(lab):
    with pytest.raises(ModelError, match="nobody/no-such-model") as caught:
        plan_encoding(request_for(lab, model="nobody/no-such-model"))
    assert "--local-dir FOLDER" in caught.value.hint


@pytest.mark.parametrize(
    ("strategy", "context", "step"), [("chunk", WHISPER_SECONDS, 2.0), ("exact", 3.0, 0.1)]
)
def test_context_of_a_padded_model_is_its_own(strategy, context, step, lab, whisper):
    """Three seconds for this tiny one, 16.1 and 30 for the published ones."""
    plan = plan_encoding(request_for(lab, model=str(whisper), strategy=strategy))
    extraction = plan.stories[0].extraction
    assert (extraction.context_seconds, extraction.step_seconds) == (context, step)
    usual = plan_encoding(request_for(lab, strategy=strategy)).stories[0].extraction
    assert (usual.context_seconds, usual.step_seconds) == (16.1, step)


def test_whisper_runs_from_audio_to_scores(lab, whisper, tmp_path):
    result = run_encoding(request_for(lab, model=str(whisper)), Store(tmp_path / "store"))
    assert result.dataset.sizes["layer"] == 3
    assert float(result.dataset["r"].max()) > 0.1


def test_untrained_control_runs_and_is_weighed_like_its_model(lab, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "_product_rate", lambda: 1e9)
    store = Store(tmp_path / "store")
    trained, control = request_for(lab), request_for(lab, model=f"untrained:{lab.model}@1")
    found = [preflight(request, store) for request in (trained, control)]
    assert found[0].seconds == pytest.approx(found[1].seconds)
    assert found[0].memory_needed == pytest.approx(found[1].memory_needed)
    result = run_encoding(control, store)
    assert result.model == f"untrained:{lab.model.name}@1"
    assert preflight(control, store).cached
    assert not preflight(trained, store).cached


def test_estimates_know_the_padding_and_the_gpu(lab, whisper, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "_product_rate", lambda: 1e9)
    store = Store(tmp_path / "store")
    exact = request_for(lab, model=str(whisper), strategy="exact")
    slow = preflight(exact, store)
    chunk = preflight(request_for(lab, model=str(whisper)), store)
    # Twenty times the windows, each of the same padded length.
    assert 10 < slow.seconds / chunk.seconds <= 20.1
    monkeypatch.setattr(needs.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("braindash.process._torch_knows_cuda", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    quick = preflight(exact, store)
    assert quick.device == "cuda" and quick.seconds < slow.seconds / 10


def test_expected_time_is_told_before_the_first_story(lab, tmp_path):
    told = []

    class Listener:
        def advance(self, done, total, message):
            told.append(message)

    run_encoding(request_for(lab), Store(tmp_path / "store"), Listener())
    expected = [message for message in told if "about" in message]
    assert len(expected) == 1 and expected[0].endswith("for 4 stories")
    first_window = next(n for n, message in enumerate(told) if "window" in message)
    assert told.index(expected[0]) < first_window


def test_model_that_moved_between_request_and_run_is_told(lab, tmp_path):
    request = request_for(lab, model=str(tmp_path / "gone"))
    with pytest.raises(ModelError, match="no model folder"):
        plan_encoding(request)
    shutil.copytree(lab.model, tmp_path / "gone")
    assert (
        plan_encoding(request).model.fingerprint
        == plan_encoding(request_for(lab)).model.fingerprint
    )
