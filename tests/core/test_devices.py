import torch

from braindash.core.devices import find_device


def test_devices(monkeypatch):
    assert find_device("cpu") == torch.device("cpu")
    for present, kind in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda present=present: present)
        assert find_device("auto") == torch.device(kind)
