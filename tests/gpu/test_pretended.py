"""The pretended device refuses what a real one refuses, and counts what the host waits for."""

import numpy as np
import pytest
import torch
from kit.machines.pretend_gpu import Pretend

pytestmark = pytest.mark.gpu


def on_device(values) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values, dtype=np.float32), device="cuda")


def test_tensors_say_where_they_are_and_compute(pretended):
    one = on_device([1, 2, 3])
    made = torch.ones(3, device="cuda") * one + torch.zeros_like(one)
    assert isinstance(made, Pretend) and made.device == torch.device("cuda:0")
    assert made.cpu().numpy().tolist() == [1, 2, 3]
    made += 1
    made[1:] = 0
    assert made.tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    ("mix", "words"),
    [
        (lambda a: a + torch.ones(3), "two devices"),
        (lambda a: torch.ones(2, 3) @ a, "two devices"),
        (lambda a: torch.ones(3)[a.long() * 0], "two devices"),
        (lambda a: torch.cat([a, torch.ones(3)]), "two devices"),
        (lambda a: torch.where(torch.ones(3) > 0, a, 0.0), "two devices"),
        (lambda a: a.numpy(), "can't convert cuda"),
        (np.asarray, "can't convert cuda"),
    ],
    ids=["sum", "product", "index", "cat", "where", "numpy", "asarray"],
)
def test_what_is_not_on_one_device_is_refused(pretended, mix, words):
    with pytest.raises((RuntimeError, TypeError), match=words):
        mix(on_device([1, 2, 3]))


def test_what_a_real_device_takes_from_the_cpu_is_taken(pretended):
    one = on_device([1, 2, 3])
    assert (one * torch.tensor(2.0)).tolist() == [2, 4, 6], "a number without dimension"
    assert one[torch.tensor([2, 0])].tolist() == [3, 1], "indices"
    one.copy_(torch.ones(3))
    assert one.tolist() == [1, 1, 1]


def test_waits_of_the_host_are_counted(pretended):
    one = on_device([1, 2, 3])
    assert pretended.n_waits == 0 and pretended.from_cpu == 1
    (one * 2).sum()
    assert pretended.n_waits == 0
    float(one.sum())
    bool((one > 0).all())
    one[one > 1]
    one.cpu()
    assert pretended.n_waits == 4


def test_gradients_flow_through_the_device_and_back(pretended):
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = (weight.to("cuda") * on_device([3, 4])).square().sum()
    loss.backward()
    assert weight.grad is not None and weight.grad.tolist() == [18, 64]
    own = on_device([1, 2]).requires_grad_()
    (own**2).sum().backward()
    assert isinstance(own.grad, Pretend) and own.grad.tolist() == [2, 4]


def test_memory_can_end(pretended):
    def full(name):
        if name == "aten::mm":
            raise torch.OutOfMemoryError("CUDA out of memory")

    pretended.fails = full
    with pytest.raises(torch.OutOfMemoryError):
        torch.ones(2, 2, device="cuda") @ torch.ones(2, 2, device="cuda")
