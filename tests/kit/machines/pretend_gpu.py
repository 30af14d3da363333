"""A GPU that is none: tensors that say cuda:0, compute on the CPU and mix with nothing else.

With :func:`pretend_gpu` a CPU build of torch has a device "cuda" whose tensors refuse what those of
a real one refuse: arithmetic with tensors of the CPU, numpy, pickle. What is computed is what the
CPU computes, so results have to be equal to the last bits; where and how often the host waits for
the device is counted. It stands for nothing else: no memory limit, no streams, no other rounding.

A wrapper subclass holds the numbers; two modes catch what makes tensors and what asks for the
device by name; some lines of C++ register a device guard that does nothing, for torch's own
device of other makers, which a CPU build lets have backward passes.
"""

import ctypes
import inspect
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("cuda:0")
MEMORY = (60 << 30, 80 << 30)  # free and all
NAME = "pretended"
HIDDEN = f"{NAME}:0"  # what torch takes them for: a CPU build has no backward pass on cuda
_GUARD = """
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
namespace {
using namespace c10;
constexpr auto KIND = DeviceType::PrivateUse1;
struct Guard : impl::NoOpDeviceGuardImpl<KIND> {
  Device getDevice() const override { return Device(KIND, 0); }
  Device exchangeDevice(Device) const override { return getDevice(); }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, getDevice()); }
  Stream exchangeStream(Stream) const noexcept override { return getStream(getDevice()); }
  void record(void**, const Stream&, const DeviceIndex, const EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);
struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return true; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
} hooks;
const bool registered = (at::RegisterPrivateUse1HooksInterface(&hooks), true);
}
"""
# Operations that need a number of the device on the host, besides copies.
_WAITS = {
    *("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::equal"),
    *("aten::nonzero", "aten::masked_select", "aten::unique_dim", "aten::_unique2"),
}
_PHYSICAL = {"aten::_conj": "conj_physical", "aten::_neg_view": "neg"}
# A real device lets indices come from the CPU, for what is on the device.
_INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}


class Log:
    """What happened on the device: operations by name, copies, and waits of the host.

    ``fails`` is asked about every operation by its name and may raise, as a full memory does.
    """

    def __init__(self) -> None:
        self.operations: Counter[str] = Counter()
        self.waits: Counter[str] = Counter()
        self.from_cpu = 0
        self.fails: Callable[[str], None] | None = None
        self.is_real = False

    @property
    def n_waits(self) -> int:
        """How often the host waited for the device."""
        return sum(self.waits.values())

    def note(self, name: str, *, waits: bool = False) -> None:
        """Count an operation."""
        if self.fails is not None:
            self.fails(name)
        self.operations[name] += 1
        if waits:
            self.waits[f"{name.removeprefix('aten::')} at {_place()}"] += 1


def _place() -> str:
    """Name the innermost line of the package that runs."""
    frame = inspect.currentframe()
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if "braindash" in file.parts and "tests" not in file.parts:
            return f"{file.parent.name}/{file.name}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"


class Pretend(torch.Tensor):
    """A tensor of the device; ``held`` has its numbers."""

    held: torch.Tensor
    device_log: Log

    @staticmethod
    def __new__(cls, held: torch.Tensor, log: Log) -> "Pretend":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=HIDDEN,
            layout=held.layout,
            requires_grad=held.requires_grad,
        )
        made.held, made.device_log = held.detach(), log
        return made

    @property
    def device(self) -> torch.device:
        return DEVICE

    @property
    def is_cuda(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Pretend({self.held!r})"

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor "
            "to host memory first."
        )

    __array__ = numpy

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a tensor of the pretended device is not written")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        found = next(one for one in tree_leaves((args, kwargs)) if isinstance(one, Pretend))
        return _computed(found.device_log, func, args, kwargs or {})


def _is_device(device: Any) -> bool:
    return device is not None and torch.device(device).type in ("cuda", NAME)


def _inner(value: Any) -> Any:
    return value.held if isinstance(value, Pretend) else value


def _computed(log: Log, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute one operation of the device on the CPU."""
    name = func._schema.name
    leaves = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
    own = [one for one in leaves if isinstance(one, Pretend)]
    if name == "aten::_to_copy":
        return _copied(log, func, args, kwargs)
    if name in ("aten::_conj", "aten::_neg_view"):  # a lazy view would be lost with the wrapper
        log.note(name)
        return Pretend(getattr(torch, _PHYSICAL[name])(args[0].held), log)
    if name in ("aten::copy_", "aten::set_"):
        _copy_into(log, name, *args[:2])
        return args[0]
    others = [one for one in leaves if not isinstance(one, Pretend) and one.dim()]
    if own and others:
        _check_mixed(name, args)
    log.note(name, waits=name in _WAITS or _asks_for_a_mask(name, args))
    asked = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
    if "device" in kwargs and not _is_device(kwargs["device"]):
        asked["device"] = kwargs["device"]
    found = func(*tree_map(_inner, args), **tree_map(_inner, asked))
    if not own and not _is_device(kwargs.get("device")):
        return found
    return tree_map(_wrapped(log, func, args, kwargs), found)


def _copied(log: Log, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Copy between the devices, or to another type."""
    asked = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
    wanted = kwargs.get("device")
    was = isinstance(args[0], Pretend)
    stays = _is_device(wanted) if wanted is not None else was
    log.note("aten::_to_copy", waits=was and not stays)
    log.from_cpu += stays and not was
    found = func(*tree_map(_inner, args), **asked)
    return Pretend(found, log) if stays else found


def _copy_into(log: Log, name: str, target: torch.Tensor, source: torch.Tensor) -> None:
    from_device = isinstance(source, Pretend) and not isinstance(target, Pretend)
    log.note(name, waits=from_device)
    log.from_cpu += isinstance(target, Pretend) and not isinstance(source, Pretend)
    getattr(_inner(target), name.removeprefix("aten::"))(_inner(source))


def _check_mixed(name: str, args: Any) -> None:
    if name in _INDEXING and isinstance(args[0], Pretend):
        return
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 "
        f"and cpu! ({name})"
    )


def _asks_for_a_mask(name: str, args: Any) -> bool:
    """Tell whether an index is a mask, which the device has to count for the host."""
    return name in _INDEXING and any(
        isinstance(one, Pretend) and one.dtype == torch.bool for one in tree_leaves(args[1])
    )


def _wrapped(log: Log, func: Any, args: Any, kwargs: dict[str, Any]) -> Callable[[Any], Any]:
    """Give back what wraps results; what was written to keeps its wrapper."""
    written = {}
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is None or not argument.alias_info.is_write:
            continue
        given = args[place] if place < len(args) else kwargs.get(argument.name)
        written |= {id(one.held): one for one in tree_leaves(given) if isinstance(one, Pretend)}

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or isinstance(value, Pretend):
            return value
        known = written.get(id(value))
        return Pretend(value, log) if known is None else known

    return wrap


class _Made(TorchDispatchMode):
    """Catch what makes tensors on the device out of nothing."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        own = any(isinstance(one, Pretend) for one in tree_leaves((args, kwargs)))
        if own or _is_device(kwargs.get("device")):
            return _computed(self.log, func, args, kwargs)
        return func(*args, **kwargs)


class _Watched(TorchDispatchMode):
    """Count what happens on a real device."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = (one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor))
        if _is_device(kwargs.get("device")) or any(one.is_cuda for one in given):
            self.log.note(func._schema.name)
        return func(*args, **kwargs)


class _ToDevice(torch.autograd.Function):
    """Copy to the device, and gradients back."""

    @staticmethod
    def forward(ctx, tensor, log, dtype):
        ctx.dtype, ctx.was_there = tensor.dtype, isinstance(tensor, Pretend)
        return Pretend(_inner(tensor).detach().to(dtype or tensor.dtype, copy=True), log)

    @staticmethod
    def backward(ctx, gradient):
        back = gradient.to(ctx.dtype)
        return (back if ctx.was_there else back.cpu()), None, None


class _Asked(TorchFunctionMode):
    """Catch what asks for the device before torch looks for a driver."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.Tensor.to and (asked := self._asked(args, kwargs)):
            return self._to_device(args[0], *asked)
        if func is torch.Tensor.cuda:
            return self._to_device(args[0], None, False)
        if func is torch.Tensor.tolist and isinstance(args[0], Pretend):
            self.log.note("tolist", waits=True)
            return args[0].held.tolist()
        if getattr(func, "__name__", "") in ("tensor", "as_tensor", "asarray"):
            if _is_device(kwargs.get("device")):
                del kwargs["device"]
                return self._to_device(func(*args, **kwargs), None, False)
        elif func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__):
            args = (args[0], self._placed(args[0], args[1]), *args[2:])
        if isinstance(kwargs.get("device"), str) and _is_device(kwargs["device"]):
            kwargs["device"] = DEVICE
        return func(*args, **kwargs)

    def _asked(self, args: Any, kwargs: dict[str, Any]) -> tuple[torch.dtype | None, bool] | None:
        """Tell the type of ``tensor.to(device, ...)`` and whether a copy is made, if it is ours."""
        rest = [*args[1:], kwargs.get("device"), kwargs.get("dtype"), kwargs.get("other")]
        devices = [one for one in rest if isinstance(one, str | torch.device)]
        devices += [one.device for one in rest if isinstance(one, torch.Tensor)]
        if not devices or not _is_device(devices[0]):
            return None
        types = [one for one in rest if isinstance(one, torch.dtype)]
        types += [one.dtype for one in rest if isinstance(one, torch.Tensor)]
        return (types[0] if types else None), bool(kwargs.get("copy"))

    def _to_device(self, tensor: torch.Tensor, dtype: torch.dtype | None, copy: bool) -> Any:
        same = dtype is None or dtype == tensor.dtype
        if isinstance(tensor, Pretend) and same and not copy:
            return tensor
        self.log.note("to", waits=False)
        self.log.from_cpu += not isinstance(tensor, Pretend)
        if tensor.requires_grad and torch.is_grad_enabled():
            return _ToDevice.apply(tensor, self.log, dtype)
        return Pretend(_inner(tensor).detach().to(dtype or tensor.dtype, copy=True), self.log)

    def _placed(self, tensor: Any, key: Any) -> Any:
        """Bring lists of places to the device, as torch does itself there."""
        if not isinstance(tensor, Pretend):
            return key
        keys = key if isinstance(key, tuple) else (key,)
        keys = tuple(
            self._to_device(torch.tensor(one), None, False) if isinstance(one, list) else one
            for one in keys
        )
        return keys if isinstance(key, tuple) else keys[0]


@contextmanager
def real_gpu() -> Iterator[Log]:
    """Watch the device that is there, without telling when the host waits for it."""
    log = Log()
    log.is_real = True
    with _Watched(log):
        yield log


def build_guard(folder: Path) -> Path | None:
    """Compile the device guard into a folder; None where there is no compiler."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        return None
    torch_folder = Path(torch.__file__).parent
    source, made = folder / "guard.cpp", folder / "guard.so"
    source.write_text(_GUARD)
    command = [compiler, "-O1", "-std=c++20", "-shared", "-fPIC", f"-I{torch_folder / 'include'}"]
    command += [str(source), f"-L{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu", "-o", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    return made


def load_guard(file: Path) -> None:
    """Register the guard with this process, once; nothing else there sees a new device."""
    ctypes.CDLL(str(file))
    if not hasattr(torch, NAME):
        torch.utils.rename_privateuse1_backend(NAME)
        torch._register_device_module(NAME, SimpleNamespace(is_available=lambda: False))


@contextmanager
def pretend_gpu() -> Iterator[Log]:
    """Give torch a device "cuda" inside; the guard has to be loaded."""
    log = Log()
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: "pretended",
        "get_device_capability": lambda *_: (9, 0),
        "is_bf16_supported": lambda *_, **__: True,
        "mem_get_info": lambda *_: MEMORY,
        "memory_allocated": lambda *_: 0,
        "max_memory_allocated": lambda *_: 0,
        "reset_peak_memory_stats": lambda *_: None,
        "synchronize": lambda *_: log.note("synchronize", waits=True),
        "empty_cache": lambda: None,
        "manual_seed": lambda _: None,
        "manual_seed_all": lambda _: None,
        "_lazy_init": lambda: None,
    }
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with ExitStack() as stack:
            for name, answer in answers.items():
                stack.enter_context(patch.object(torch.cuda, name, answer))
            # Tensors made in inference mode have no version, which wrappers need.
            stack.enter_context(patch.object(torch, "inference_mode", _no_gradients))
            # Backward passes stay in this thread, where the modes are.
            stack.enter_context(torch.autograd.set_multithreading_enabled(False))
            stack.enter_context(_Made(log))
            stack.enter_context(_Asked(log))
            yield log
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)


def _no_gradients(mode: Any = True) -> Any:
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else torch.enable_grad()
