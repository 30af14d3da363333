"""Run windows of audio through a speech model and keep a few frames of every layer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

# Added to the variance by the preprocessor of every model that normalises its input.
_VARIANCE_FLOOR = np.float32(1e-7)


def normalised(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bring each window to zero mean and unit variance.

    In single precision, like the models' own preprocessor: measured against a float64 run of the
    model, double precision here is no closer, but its other rounding costs a factor of 5 in the
    agreement with features computed through the preprocessor.

    Parameters
    ----------
    windows : float32 array of shape (n_windows, n_samples)

    Returns
    -------
    float32 array of shape (n_windows, n_samples)
        ``(x - mean(x)) / sqrt(var(x) + 1e-7)``.
    """
    mean = windows.mean(axis=1, keepdims=True)
    variance = windows.var(axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (windows - mean) / np.sqrt(variance + _VARIANCE_FLOOR)
    return scaled


def layer_frames(
    module: nn.Module,
    windows: NDArray[np.float32],
    frames: slice,
    layers: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Compute the chosen frames of the chosen layers for a batch of equally long windows.

    Layer 0 is the input of the first transformer block, layer i the output of block i, and the
    last layer what the encoder returns: behind its final layer norm, where it has one.

    Parameters
    ----------
    module : torch.nn.Module
        Bare speech encoder in eval mode, with ``encoder.layers``. One call at a time.
    windows : float32 array of shape (n_windows, n_samples)
        Audio at 16 kHz, normalised already where the model wants it.
    frames : slice
        Frames to keep.
    layers : sequence of int, optional
        Layers to keep, in this order; None keeps all.

    Returns
    -------
    float32 array of shape (n_windows, n_frames, n_layers, n_features)
    """
    wanted = range(n_layers(module)) if layers is None else layers
    device = next(module.parameters()).device
    with torch.inference_mode(), _full_precision(device), _tapped(module, frames, wanted) as kept:
        module(torch.from_numpy(windows).to(device))
        stacked = torch.stack([kept[layer] for layer in wanted], dim=2)
        return stacked.float().cpu().numpy()


def n_layers(module: nn.Module) -> int:
    """Count the layers of an encoder: the input of its first block and one per block."""
    return len(_blocks(module)) + 1


def _blocks(module: nn.Module) -> Sequence[nn.Module]:
    blocks: Sequence[nn.Module] = module.encoder.layers  # type: ignore[union-attr, assignment]
    return blocks


@contextmanager
def _tapped(
    module: nn.Module, frames: slice, wanted: Sequence[int]
) -> Iterator[dict[int, torch.Tensor]]:
    """Collect the wanted layers' frames during the block's forward passes."""
    kept: dict[int, torch.Tensor] = {}
    blocks = _blocks(module)

    def keep(layer: int, hidden: Any) -> None:
        hidden = hidden[0] if not isinstance(hidden, torch.Tensor) else hidden
        # A copy, so that the other frames' memory is free again at once.
        kept[layer] = hidden[:, frames].clone()

    def tap(source: nn.Module, layer: int) -> Any:
        return source.register_forward_hook(lambda _, __, output: keep(layer, output))

    handles = [tap(blocks[layer - 1], layer) for layer in wanted if 0 < layer < len(blocks)]
    if 0 in wanted:
        handles.append(blocks[0].register_forward_pre_hook(lambda _, inputs: keep(0, inputs[0])))
    if len(blocks) in wanted:
        handles.append(tap(module.encoder, len(blocks)))  # type: ignore[arg-type]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep CUDA convolutions in true float32: TF32, their default, loses three digits."""
    if device.type != "cuda":
        yield
        return
    with torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    ):
        yield
