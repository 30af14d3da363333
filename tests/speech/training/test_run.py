"""Whole training runs of tiny models: what they learn, and what interrupts them."""

import dataclasses
import json
import math
import socket

import numpy as np
import pytest
import torch
from kit.models.tiny_models import save_kind
from kit.models.tuning_stories import N_TARGETS, make_story
from kit.running.spawned import QUICK, SHORT, share_of_two, short_stories

from braindash.core.devices import limited_threads
from braindash.errors import Cancelled, InputError, ResourceError, TuningError
from braindash.specs import AdapterSettings, TuningSettings
from braindash.speech.checkpoints.locate import locate
from braindash.speech.models import open_model
from braindash.speech.training import loop
from braindash.speech.training.loop import Trainer, rate_factor
from braindash.speech.training.run import tune_model


@pytest.fixture(scope="module")
def train():
    return short_stories()


@pytest.fixture(scope="module")
def validation():
    return [make_story(9, "A", "B", seconds=SHORT)]


@pytest.fixture
def tune(folder_of, train, validation, tmp_path):
    """Tune a model, with one thread: of several a library takes more or fewer under load."""

    def run(settings=QUICK, *, name="run", kind="hubert-group", **options):
        options = {"train": train, "validation": validation} | options
        with limited_threads(1):
            return tune_model(
                locate(folder_of(kind)),
                settings=settings,
                folder=tmp_path / name,
                device="cpu",
                **options,
            )

    return run


def weights(tuned):
    return {name: value.detach().clone() for name, value in tuned.network.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert not [name for name in one if not torch.equal(one[name], other[name])]


class StopAfter:
    """Cancels a run in the middle of an epoch."""

    def __init__(self, epoch, n_batches):
        self._epoch, self._left = epoch, n_batches

    def advance(self, done, total, message):
        if message.startswith(f"epoch {self._epoch} "):
            self._left -= 1
            if self._left < 0:
                raise Cancelled


@pytest.mark.parametrize("adapter", [None, AdapterSettings()], ids=["full", "lora"])
def test_a_run_that_was_killed_ends_with_the_same_weights(tune, adapter):
    settings = QUICK.model_copy(update={"adapter": adapter, "mask_share": 0.1})
    whole = tune(settings, name="whole")
    with pytest.raises(Cancelled):
        tune(settings, name="killed", progress=StopAfter(3, 2))
    resumed = tune(settings, name="killed")
    assert_equal(weights(whole), weights(resumed))
    without_time = [
        [dataclasses.replace(record, seconds=0) for record in tuned.state.history]
        for tuned in (whole, resumed)
    ]
    assert without_time[0] == without_time[1]
    assert_equal(weights(whole), weights(tune(settings, name="again")))


def test_a_finished_run_is_not_trained_again(tune, monkeypatch):
    first = tune()
    monkeypatch.setattr(Trainer, "_run_epoch", None)
    assert_equal(weights(first), weights(tune()))


def test_another_seed_gives_other_weights(tune):
    one, other = tune(name="a"), tune(QUICK.model_copy(update={"seed": 1}), name="b")
    assert any((weights(one)[name] != weights(other)[name]).any() for name in weights(one))


@pytest.mark.parametrize("loss", ["mse", "correlation", "mse+cosine"])
@pytest.mark.parametrize("start", ["probe", "random"])
def test_it_learns_what_can_be_learnt(tune, loss, start):
    settings = QUICK.model_copy(
        update={
            "loss": loss,
            "start": start,
            "head_rate": 1e-3 if start == "probe" else 2e-2,
            "epochs": 6,
            "keep": "best",
            "dropout": 0.0,
        }
    )
    stories = [make_story(number, "A", "B") for number in (0, 1, 2, 3, 9)]
    tuned = tune(settings, kind="data2vec", train=stories[:-1], validation=stories[-1:])
    history = tuned.state.history
    assert history[-1].loss < history[1].loss
    assert set(history[0].validation_r) == {"A", "B"}
    assert history[tuned.kept_epoch].score == max(record.score for record in history[1:])
    assert history[tuned.kept_epoch].score > 0.25


def test_what_is_frozen_does_not_move_and_the_rest_does(tune, folder_of):
    from braindash.speech.models import load_encoder

    before = load_encoder(locate(folder_of("hubert-group"))).state_dict()
    after = tune().network.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not [n for n in moved if n.startswith(("feature_extractor", "masked_spec_embed"))]
    for part in ("feature_projection", "encoder.pos_conv_embed", "encoder.layers.1.attention"):
        assert any(name.startswith(part) for name in moved)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_smaller_parts_give_the_same_gradient(tune, at_once, monkeypatch):
    """Subjects with different stories weigh the same in whatever parts a batch is done."""
    seen = []
    original = Trainer._gradients

    def spy(self, batch):
        loss = original(self, batch)
        found = {name: p.grad.clone() for name, p in self._trained.items()}
        seen.append((float(loss), found))
        return loss

    monkeypatch.setattr(Trainer, "_gradients", spy)
    settings = QUICK.model_copy(update={"dropout": 0.0, "epochs": 1, "batch_rows": 60})
    tune(settings, name="all", n_at_once=100)
    reference, seen[:] = list(seen), []
    tune(settings, name="parts", n_at_once=at_once)
    loss, gradients = seen[0]
    assert loss == pytest.approx(reference[0][0], rel=1e-5)
    whole = sum(float(wanted.square().sum()) for wanted in reference[0][1].values()) ** 0.5
    for name, wanted in reference[0][1].items():
        # A part that counts wrongly changes some by a tenth; rounding grows on the way back.
        assert float((gradients[name] - wanted).norm()) <= 1e-4 * whole


def test_the_loss_is_the_mean_over_rows_targets_and_subjects(tune, train, monkeypatch):
    seen = []
    original = Trainer._step

    def spy(self, batch, *rest):
        self.network.eval()
        with torch.no_grad():
            expected = []
            for subject in self.network.subjects:
                errors = []
                for segment in batch:
                    story = train[segment.story]
                    if subject not in story.responses:
                        continue
                    span = slice(segment.first, segment.first + 6)
                    y = story.responses[subject][span].astype(np.float64)
                    features = self.network(self._train.inputs.take([segment]))[0]
                    p = self.network.head(subject)(features).double().numpy()
                    errors.append((p - (y - y.mean(0))) ** 2)
                if errors:
                    expected.append(np.mean(errors))
        self.network.train()
        loss = original(self, batch, *rest)
        seen.append((loss, np.mean(expected)))
        return loss

    monkeypatch.setattr(Trainer, "_step", spy)
    tune(QUICK.model_copy(update={"dropout": 0.0, "epochs": 1}))
    for found, expected in seen:
        assert found == pytest.approx(expected, rel=1e-4)


def test_memory_that_runs_out_halves_the_parts(tune, monkeypatch, caplog):
    accumulated, gradients, losses = Trainer._accumulated, Trainer._gradients, []

    def short(self, batch, own):
        if self.n_at_once > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return accumulated(self, batch, own)

    def spy(self, batch):
        losses.append(float(gradients(self, batch)))
        return torch.tensor(losses[-1])

    monkeypatch.setattr(Trainer, "_gradients", spy)
    settings = QUICK.model_copy(update={"dropout": 0.0, "epochs": 1})
    tune(settings, name="enough", n_at_once=2)
    wanted, losses[:] = list(losses), []
    monkeypatch.setattr(Trainer, "_accumulated", short)
    tune(settings, name="short", n_at_once=8)
    assert "going on with 4 segments at once" in caplog.text
    assert "going on with 2 segments at once" in caplog.text
    # The steps before have changed each loss: a part lost or counted twice would show.
    assert len(wanted) > 2
    assert losses == pytest.approx(wanted, rel=1e-5)


def test_one_segment_that_does_not_fit_is_said(tune, monkeypatch):
    def never(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "_accumulated", never)
    with pytest.raises(ResourceError, match="no memory for one segment"):
        tune()


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes differ"), torch.linalg.LinAlgError("singular matrix")]
)
def test_other_errors_are_not_taken_for_memory(tune, monkeypatch, error):
    def broken(*_):
        raise error

    monkeypatch.setattr(Trainer, "_accumulated", broken)
    with pytest.raises(type(error), match=str(error)):
        tune()


def diverging(monkeypatch, epoch):
    original = Trainer._accumulated
    calls = []

    def accumulated(self, batch, own):
        calls.append(1)
        loss = original(self, batch, own)
        return loss * float("nan") if len(calls) > epoch * self._n_batches + 1 else loss

    monkeypatch.setattr(Trainer, "_accumulated", accumulated)


def test_a_loss_that_is_no_number_keeps_the_last_good_epoch(tune, monkeypatch):
    two = tune(QUICK.model_copy(update={"epochs": 4}), name="reference")
    diverging(monkeypatch, 2)
    tuned = tune(name="diverged")
    assert tuned.kept_epoch == 2
    assert "the loss is not finite in epoch 3, step 2 of" in tuned.stopped
    assert "stories story-" in tuned.stopped
    assert tuned.outcome()["stopped"] == tuned.stopped
    assert math.isfinite(tuned.state.history[-1].loss)
    assert tuned.state.history[2].loss == two.state.history[2].loss


def test_a_loss_that_is_no_number_at_once_is_an_error(tune, monkeypatch):
    diverging(monkeypatch, 0)
    with pytest.raises(TuningError, match="before any epoch was finished") as caught:
        tune()
    assert "encoder_rate" in caught.value.hint


def test_predictions_that_are_no_numbers_end_training(tune, monkeypatch):
    scores = iter([0.1, 0.2, math.nan])
    monkeypatch.setattr(loop, "validation_r", lambda *_: dict.fromkeys(("A", "B"), next(scores)))
    tuned = tune()
    assert (tuned.state.epoch, tuned.kept_epoch) == (1, 1)
    assert tuned.stopped == "the predictions are not finite after epoch 2"
    monkeypatch.setattr(loop, "validation_r", lambda *_: {"A": math.nan, "B": 0.0})
    with pytest.raises(TuningError, match="base model's predictions"):
        tune(name="other")


def test_training_stops_when_validation_r_no_longer_rises(tune, monkeypatch):
    scores = iter([0.1, 0.2, 0.3, 0.25, 0.28, 0.9])
    monkeypatch.setattr(loop, "validation_r", lambda *_: dict.fromkeys(("A", "B"), next(scores)))
    settings = QUICK.model_copy(update={"epochs": 9, "patience": 2, "keep": "best"})
    tuned = tune(settings)
    assert (tuned.state.epoch, tuned.kept_epoch) == (4, 2)
    assert tuned.stopped == "validation r has not risen for 2 epochs"


def test_the_rate_rises_and_falls_linearly():
    factors = [rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[0] == 0.1 and factors[9] == factors[10] == 1.0
    np.testing.assert_allclose(np.diff(factors[:10]), 0.1)
    np.testing.assert_allclose(np.diff(factors[10:]), -1 / 90)
    assert factors[-1] > 0
    assert rate_factor(0, 5, 0.0) == 1.0


@pytest.mark.parametrize("kind", ["wav2vec2-group", "hubert-stable", "wavlm-group", "data2vec"])
@pytest.mark.parametrize("adapter", [None, AdapterSettings()], ids=["full", "lora"])
def test_a_tuned_model_is_opened_like_any_other(tune, kind, adapter, tmp_path, sound):
    settings = QUICK.model_copy(update={"epochs": 1, "adapter": adapter})
    tuned = tune(settings, kind=kind)
    files = tuned.save(tmp_path / "out", {"spec": {"a": 1}})
    check_opened(tuned, files, sound)
    assert (files.base is not None) == (adapter is not None)
    assert files.fingerprint != tuned.files.fingerprint


@pytest.mark.parametrize("adapter", [None, AdapterSettings()], ids=["full", "lora"])
def test_a_run_that_changed_nothing_is_told_apart(tune, adapter):
    """An adapter of it would be refused when it is opened."""
    changes = {"epochs": 1, "adapter": adapter}
    assert tune(QUICK.model_copy(update=changes), name="good").learned()
    assert not tune(QUICK.model_copy(update=changes | {"encoder_rate": 1e-30})).learned()


def check_opened(tuned, files, sound):
    record = json.loads((files.folder / "tuning.json").read_text())
    assert record["spec"] == {"a": 1} and record["kept_epoch"] == 1
    assert record["fingerprint"] == files.fingerprint
    assert [epoch["epoch"] for epoch in record["history"]] == [0, 1]
    opened = open_model(files.folder, device="cpu")
    wave = sound[None, :32000]
    found = opened.encoder.layer_frames(opened.encoder.embed(wave), slice(None))[0, :, -1]
    encoder = tuned.network.encoder.eval()
    with torch.no_grad():
        wanted = encoder(opened.encoder.front.inputs(wave)).last_hidden_state[0].numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-4 * wanted.std())


def test_a_tuned_whisper_is_saved_whole(tune, tmp_path, sound):
    import transformers

    tuned = tune(QUICK.model_copy(update={"epochs": 1}), kind="whisper")
    files = tuned.save(tmp_path / "out", {"spec": {"a": 1}})
    check_opened(tuned, files, sound)
    whole = transformers.AutoModel.from_pretrained(files.folder)
    for name, value in tuned.network.encoder.state_dict().items():
        assert torch.equal(whole.encoder.state_dict()[name], value)


def test_an_untrained_base_is_tuned_too(folder_of, train, validation, tmp_path):
    settings = QUICK.model_copy(update={"epochs": 1})
    files = locate(f"untrained:{folder_of('whisper')}@3")
    options = {"folder": tmp_path / "run", "device": "cpu"}
    tuned = tune_model(files, train, validation, settings, **options)
    assert tuned.save(tmp_path / "out", {}).seed is None
    adapted = settings.model_copy(update={"adapter": AdapterSettings()})
    with pytest.raises(InputError, match="untrained control"):
        tune_model(files, train, validation, adapted, **options)


def test_nothing_is_overwritten(tune, tmp_path):
    tuned = tune(QUICK.model_copy(update={"epochs": 1}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        tuned.save(tmp_path / "out", {})


def test_what_cannot_be_tuned_is_refused(tune, train, validation, tmp_path, folder_of):
    with pytest.raises(InputError, match="trained on and validated on"):
        tune(validation=[train[0]])
    with pytest.raises(InputError, match="no story to validate on"):
        tune(validation=[])
    with pytest.raises(InputError, match="subjects and targets differ"):
        tune(validation=[make_story(9, "A")])
    one = [
        dataclasses.replace(s, responses={"A": s.responses["A"][:, :1]})
        for s in (train[1], make_story(9, "A"))
    ]
    correlation = QUICK.model_copy(update={"loss": "correlation"})
    with pytest.raises(InputError, match="patterns over targets"):
        tune(correlation, train=one[:1], validation=one[1:])
    with pytest.raises(InputError, match="nothing to tune"):
        tune_model(locate("acoustic:logmel"), train, validation, QUICK, folder=tmp_path)
    with pytest.raises(InputError, match="bf16"):
        tune(QUICK.model_copy(update={"precision": "bf16"}))


def test_targets_must_be_the_same_in_every_story(tune, train):
    story = train[1]
    fewer = dataclasses.replace(story, responses={"A": story.responses["A"][:, :3]})
    with pytest.raises(InputError, match=f"3 targets in 'story-1' and {N_TARGETS} elsewhere"):
        tune(train=[train[0], fewer])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bf16_on_a_gpu_is_near_float32(folder_of, train, validation, tmp_path):
    losses = {}
    for precision in ("float32", "bf16"):
        settings = QUICK.model_copy(update={"precision": precision, "dropout": 0.0, "epochs": 1})
        tuned = tune_model(
            locate(folder_of("hubert-group")),
            train,
            validation,
            settings,
            folder=tmp_path / precision,
            device="cuda",
        )
        losses[precision] = tuned.state.history[1].loss
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path, tune, folder_of):
    from safetensors.torch import load_file
    from torch.multiprocessing import spawn

    folder = save_kind("hubert-group", tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Not forked: a child would wait for ever for the threads that torch has started here.
    spawn(share_of_two, args=(folder, tmp_path, port), nprocs=2)
    first, second = (load_file(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    assert_equal(first, second)
    alone = tune(QUICK.model_copy(update={"epochs": 2, "dropout": 0.0}), name="alone")
    kept = max((tmp_path / "run" / "epochs").glob("epoch-*/state.json"))
    together = json.loads(kept.read_text())["history"]
    for one, two in zip(alone.state.history[1:], together[1:], strict=True):
        assert two["loss"] == pytest.approx(one.loss, rel=1e-3)
        assert two["validation_r"] == pytest.approx(one.validation_r, abs=2e-3)


# ---- budgets and heads ---------------------------------------------------------------------------


def test_steps_are_exactly_so_many_and_nothing_stops_them(tune, monkeypatch):
    """A model and its control then have the same, whatever the validation says."""
    per_epoch = tune(QUICK.model_copy(update={"epochs": 1}), name="one").state.step
    done = []
    original = Trainer._step

    def counted(self, batch, step, *rest):
        done.append(rate_factor(step, rest[1], self.settings.warm_up))
        return original(self, batch, step, *rest)

    monkeypatch.setattr(Trainer, "_step", counted)
    n_steps = 2 * per_epoch + 1
    settings = TuningSettings(**QUICK.model_dump(exclude={"patience"}) | {"steps": n_steps})
    assert settings.patience is None and settings.keep == "last"
    tuned = tune(settings, name="steps")
    assert len(done) == n_steps == tuned.state.step == tuned.kept_steps
    assert tuned.kept_epoch == tuned.state.epoch == 3 and tuned.stopped == ""
    assert tuned.outcome()["steps"] == {"trained": n_steps, "kept": n_steps}
    assert tuned.state.facts["n_epochs"] == 3
    # The rate falls to its end over these steps, and an interrupted run goes on to the same.
    assert done[-1] == pytest.approx(rate_factor(n_steps - 1, n_steps, settings.warm_up))
    with pytest.raises(Cancelled):
        tune(settings, name="killed", progress=StopAfter(3, 0))
    assert_equal(weights(tuned), weights(tune(settings, name="killed")))


@pytest.mark.parametrize("head", ["shared", "bottleneck"])
def test_other_heads_learn_and_go_on_after_an_interruption(tune, head):
    def alike(number):
        story = make_story(number, "A", "B", seconds=SHORT)
        same = {name: values[:, :N_TARGETS] for name, values in story.responses.items()}
        return dataclasses.replace(story, responses=same)

    options = {"train": [alike(0), alike(1)], "validation": [alike(9)]}
    calm = {"dropout": 0.0, "encoder_rate": 1e-4, "epochs": 4}
    settings = QUICK.model_copy(update={"head": head, "bottleneck": 3} | calm)
    whole = tune(settings, name="whole", **options)
    history = whole.state.history
    assert history[-1].loss < history[1].loss and set(history[0].validation_r) == {"A", "B"}
    names = {name for name in whole.network.trained() if name.startswith("heads.")}
    last = {"shared": {"0"}, "bottleneck": {"bottleneck", "0", "1"}}[head]
    assert {name.split(".")[1] for name in names} == last
    with pytest.raises(Cancelled):
        tune(settings, name="killed", progress=StopAfter(2, 1), **options)
    assert_equal(weights(whole), weights(tune(settings, name="killed", **options)))


def test_a_shared_head_needs_the_same_targets(tune):
    with pytest.raises(InputError, match="same targets of all subjects"):
        tune(QUICK.model_copy(update={"head": "shared"}))
