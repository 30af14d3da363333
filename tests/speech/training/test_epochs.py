import errno

import pytest
import torch

from braindash.errors import InputError, ResourceError
from braindash.speech.training import epochs as checkpoint
from braindash.speech.training.epochs import (
    EpochRecord,
    KeptEpochs,
    TrainingState,
    flat_optimiser,
    restore_optimiser,
)


def record(epoch, score):
    return EpochRecord(epoch, None if epoch == 0 else 1.0 / epoch, {"A": score}, 0.5)


def tensors(value):
    return {"a/weight": torch.full((2, 3), float(value)), "heads.0.mean": torch.zeros(3)}


def save(kept, state):
    kept.save(state, tensors(state.epoch), {"step/x": torch.tensor(float(state.epoch))})


@pytest.fixture
def kept(tmp_path):
    return KeptEpochs(tmp_path / "epochs", "run")


def folders(kept):
    return sorted(path.name for path in kept.folder.iterdir())


def test_the_last_and_the_best_epoch_stay(kept):
    state = TrainingState(facts={"penalties": {"A": 0.1}})
    for epoch, score in enumerate([0.5, 0.1, 0.3, 0.2]):
        state.history.append(record(epoch, score))
        state.step = 10 * epoch
        save(kept, state)
    assert folders(kept) == ["epoch-0002", "epoch-0003"]
    found = kept.load()
    assert found == state and found.best.epoch == 2
    assert torch.equal(kept.weights(2)["a/weight"], tensors(2)["a/weight"])
    assert kept.optimiser(3)["step/x"] == 3.0


def test_the_start_is_best_only_while_nothing_is_trained():
    state = TrainingState([record(0, 0.9)])
    assert state.best.epoch == 0
    state.history.append(record(1, 0.1))
    assert state.best.epoch == 1


@pytest.mark.parametrize("file", ["weights.safetensors", "state.json"])
def test_a_damaged_epoch_is_not_gone_on_from(kept, file, caplog):
    state = TrainingState([record(0, 0.1)])
    save(kept, state)
    state.history += [record(1, 0.3)]
    save(kept, state)
    state.history += [record(2, 0.2)]
    save(kept, state)
    path = kept.folder / "epoch-0002" / file
    path.write_bytes(path.read_bytes()[:-9])
    assert kept.load().epoch == 1
    assert "damaged" in caplog.text and folders(kept) == ["epoch-0001"]


def test_nothing_kept_is_no_state(kept):
    assert kept.load() is None


def test_another_run_is_refused(kept):
    save(kept, TrainingState([record(0, 0.1)]))
    with pytest.raises(InputError, match="another training run"):
        KeptEpochs(kept.folder, "other").load()


@pytest.mark.parametrize("file", ["weights.safetensors", "optimiser.safetensors", "state.json"])
def test_a_full_disk_keeps_the_epoch_before(kept, file, monkeypatch):
    state = TrainingState([record(0, 0.1)])
    save(kept, state)
    original = checkpoint._write

    def full(path, content):
        if path.name == file:
            path.write_bytes(b"torn")
            raise OSError(errno.ENOSPC, "No space left on device")
        if isinstance(next(iter(content.values())), torch.Tensor):
            original(path, content)

    monkeypatch.setattr(checkpoint, "_write", full)
    if file == "state.json":
        monkeypatch.setattr(checkpoint, "write_json", full)
    state.history.append(record(1, 0.2))
    with pytest.raises(ResourceError, match="the disk is full; epoch 0 is kept"):
        save(kept, state)
    assert folders(kept) == ["epoch-0000"]
    assert kept.load().epoch == 0


def test_what_safetensors_says_of_a_full_disk_is_understood(kept, monkeypatch):
    from safetensors import SafetensorError

    def full(*_):
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(ResourceError, match="the disk is full"):
        save(kept, TrainingState([record(0, 0.1)]))


def test_the_optimisers_state_comes_back_bit_by_bit():
    def make():
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def step(layer, optimiser):
        optimiser.zero_grad()
        layer(torch.ones(2, 4)).square().sum().backward()
        optimiser.step()

    one, optimiser = make()
    step(one, optimiser)
    flat = flat_optimiser(optimiser, dict(one.named_parameters()))
    flat = {name: value.clone() for name, value in flat.items()}
    weights = {name: value.detach().clone() for name, value in one.named_parameters()}
    step(one, optimiser)
    other, resumed = make()
    other.load_state_dict(weights)
    restore_optimiser(resumed, dict(other.named_parameters()), flat)
    step(other, resumed)
    assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


def test_the_record_holds_no_nan(kept):
    with pytest.raises(ValueError, match="JSON"):
        save(kept, TrainingState([record(0, float("nan"))]))
    assert kept.load() is None
