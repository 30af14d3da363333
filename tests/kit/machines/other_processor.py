"""A pytest plugin (``-p kit.machines.other_processor``) that rounds as another processor might.

Instruction sets, libraries and numbers of threads sum in other orders, so that the last bits of
products, sums and decompositions differ, and so do the signs of eigenvectors. A test that this
machine passes may hang on those bits. With the plugin every such result of torch is moved by up to
a unit of rounding of its own size. The move is a function of the bits and the shape of the result
and of the number in the environment's ``OTHER_PROCESSOR``: a computation that is repeated gives the
same, one that is cut into other blocks does not. Child processes compute as they would.
"""

import math
import os
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

WHICH = int(os.environ.get("OTHER_PROCESSOR", "0"))
PRODUCTS = {"mm", "bmm", "mv", "dot", "addmm", "baddbmm"}
SUMS = {"sum", "mean"}
FUNCTIONS = {
    "exp",
    "log",
    "log1p",
    "expm1",
    "tanh",
    "sigmoid",
    "gelu",
    "rsqrt",
    "erf",
    "sin",
    "cos",
}
# Of these no more than the size of the whole result is known.
OTHERS = {
    *("convolution", "convolution_backward", "var", "std", "var_mean", "cumsum", "_fft_r2c"),
    *("linalg_vector_norm", "_softmax", "_softmax_backward_data", "_log_softmax"),
    *("native_layer_norm", "native_layer_norm_backward", "native_group_norm"),
    *("_scaled_dot_product_flash_attention_for_cpu", "linalg_solve_triangular"),
    *("_linalg_solve_ex", "linalg_cholesky_ex", "linalg_inv_ex", "cholesky_inverse"),
    *("_linalg_eigh", "_linalg_svd", "linalg_qr"),
}


def _chance(values: torch.Tensor) -> torch.Tensor:
    """Return a number in (-1, 1) for each value, made of its bits and the tensor's shape."""
    bits = values.contiguous().view(torch.int64 if values.itemsize == 8 else torch.int32).long()
    mixed = (bits + hash((WHICH, *values.shape)) % 2**31) * 6364136223846793005
    mixed = (mixed ^ (mixed >> 31)) * 1442695040888963407
    return ((mixed >> 40) % 2**20 / 2**19 - 1).to(values.dtype)


def _sizes(name: str, func: Any, args: Any, kwargs: Any) -> torch.Tensor | None:
    """Return the sum of the sizes of the terms that make each value of a product or a sum.

    The rounding of a sum is bounded by a multiple of it (Higham 2002, 3.1), in any order.
    """
    if name in SUMS and args[0].is_floating_point():
        return func(args[0].abs(), *args[1:], **kwargs)
    if name in PRODUCTS:  # what is added to the product is no part of its sums
        one, two = args[-2:]
        return torch.matmul(one.abs(), two.abs())
    return None


def _typical(values: torch.Tensor) -> torch.Tensor:
    """Return the sizes of the values, at least that of most; it hardly hangs on a single one."""
    mean = float(values.abs().nan_to_num(0, 0, 0).double().square().mean().sqrt())
    return values.abs().clamp(min=4.0 ** round(math.log(mean, 4)) if mean > 0 else 0.0)


def _move(values: Any, size: torch.Tensor | None) -> None:
    """Move a result, in place, by up to one unit of rounding of the given size."""
    if values.dtype not in (torch.float32, torch.float64) or not values.numel():
        return
    step = torch.finfo(values.dtype).eps * (_typical(values) if size is None else size)
    # Whole numbers are counts, which are exact in any order.
    moved = torch.isfinite(values) & (values != values.round())
    values.add_(torch.where(moved, step.view_as(values) * _chance(values), 0))


class OtherProcessor(TorchDispatchMode):
    """Moves the results of torch's sums, functions and decompositions."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__.rstrip("_")
        if name not in PRODUCTS | SUMS | FUNCTIONS | OTHERS:
            return func(*args, **kwargs)
        size = None if "out" in kwargs else _sizes(name, func, args, kwargs)
        found = func(*args, **kwargs)
        parts = found if isinstance(found, tuple | list) else (found,)
        for part in parts:
            if isinstance(part, torch.Tensor):
                _move(part, part.abs() if name in FUNCTIONS else size)
        if name == "_linalg_eigh" and parts[1].numel():
            parts[1].mul_(torch.where(_chance(parts[0]) > 0, 1.0, -1.0)[..., None, :])
        return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    with OtherProcessor():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Any:
    with OtherProcessor():
        return (yield)
