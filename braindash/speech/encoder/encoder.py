"""Run windows of audio through a speech model and keep a few frames of every layer."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from braindash.core.devices import tell_memory
from braindash.speech.checkpoints.locate import Precision
from braindash.speech.encoder.front import Front, front_of, normalised
from braindash.speech.encoder.transformer import Block, RelativeBias, blocks_of, run_blocks

__all__ = ["Encoder", "layer_frames", "n_layers", "normalised"]

logger = logging.getLogger(__name__)

_MIXED = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Of a layer's standard deviation. Rounding differs by 1e-5; another computation by far more.
_AGREEMENT = 1e-3
_TRIAL_FRAMES = 8


class Encoder:
    """The layers of an encoder, from as few products as give exactly them.

    Front end and blocks are run one by one, the last block for the kept frames only. The first
    thing done is to compare all layers with transformers' own answer to a short noise: where they
    differ (another version of transformers, a variant never met), transformers runs the model.

    Parameters
    ----------
    module : torch.nn.Module
        Bare encoder in eval mode, float32.
    precision : {"float32", "bf16", "fp16"}, default "float32"
        Arithmetic; the others are torch's autocast, for CUDA devices.

    Attributes
    ----------
    front : Front
    own_loop : bool
        False where transformers runs the model.
    """

    def __init__(self, module: nn.Module, precision: Precision = "float32") -> None:
        self.front: Front = front_of(module)
        self._module = module
        self._device = next(module.parameters()).device
        self._precision: Precision = "float32"
        self._blocks, self._bias = _described(module)
        self.own_loop = bool(self._blocks) and self._agrees()
        self._precision = precision

    @property
    def shareable(self) -> bool:
        """Whether windows that overlap can share the front end."""
        return self.own_loop and self.front.local

    def embed(self, windows: NDArray[np.float32]) -> Tensor:
        """Prepare windows for :meth:`layer_frames`.

        Parameters
        ----------
        windows : float32 array of shape (n_windows, n_samples)
            Audio at 16 kHz, normalised already where the model wants it.

        Returns
        -------
        Tensor
            Frames before the positions are added, (n_windows, n_frames, n_features); where
            transformers runs the model, its input.
        """
        with self._computing():
            embedded = self.front.embed(windows) if self.own_loop else self.front.inputs(windows)
        # Mixed precision is for products; sums along the layers stay float32.
        return embedded.float()

    def layer_frames(
        self, embedded: Tensor, frames: slice, layers: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Compute the chosen frames of the chosen layers.

        Parameters
        ----------
        embedded : Tensor
            From :meth:`embed`.
        frames : slice
            Frames to keep.
        layers : sequence of int, optional
            Layers to keep, in this order; None keeps all.

        Returns
        -------
        float32 array of shape (n_windows, n_frames, n_layers, n_features)
        """
        wanted = range(n_layers(self._module)) if layers is None else layers
        with self._computing():
            if self.own_loop:
                kept = run_blocks(
                    self._blocks, self.front.begin(embedded), frames, wanted, self._bias
                )
                if len(self._blocks) in wanted:
                    kept[len(self._blocks)] = self._finished(kept[len(self._blocks)])
            else:
                kept = _hooked_frames(self._module, embedded, frames, wanted)
            stacked = torch.stack([kept[layer].float() for layer in wanted], dim=2)
        return stacked.cpu().numpy()

    def _finished(self, hidden: Tensor) -> Tensor:
        """Apply the final layer norm of the encoder, where it lies behind the last block."""
        if not self._blocks[0].before:
            return hidden
        normed: Tensor = _stack_of(self._module).layer_norm(hidden)
        return normed

    @contextmanager
    def _computing(self) -> Iterator[None]:
        mixed = _MIXED.get(self._precision)
        cast = torch.autocast(self._device.type, mixed) if mixed else nullcontext()
        with torch.inference_mode(), _full_precision(self._device), cast:
            yield

    def _agrees(self) -> bool:
        """Compare every layer of a short noise with transformers' own."""
        geometry = self.front.geometry
        n_samples = geometry.first + (_TRIAL_FRAMES - 1) * geometry.hop
        noise = np.random.default_rng(0).standard_normal((1, n_samples), dtype=np.float32)
        every = slice(None)
        self.own_loop = True
        try:
            own = self.layer_frames(self.embed(noise), every)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            tell_memory(error, "a short trial of the model")
            logger.warning("transformers runs the model itself, which is slower: %s", error)
            return False
        wanted = layer_frames(self._module, noise, every)
        spread = wanted.std(axis=(0, 1, 3), keepdims=True) + np.finfo(np.float32).tiny
        # NaN, from damaged weights, is no difference; the probe finds it.
        if own.shape == wanted.shape and not (np.abs(own - wanted) / spread > _AGREEMENT).any():
            return True
        logger.warning("transformers runs the model itself, which is slower: its layers differ")
        return False


def layer_frames(
    module: nn.Module,
    windows: NDArray[np.float32],
    frames: slice,
    layers: Sequence[int] | None = None,
) -> NDArray[np.float32]:
    """Compute the chosen frames of the chosen layers as transformers itself runs the model.

    Layer 0 is the input of the first transformer block, layer i the output of block i, and the
    last layer what the encoder returns: behind its final layer norm, where it has one.

    Parameters
    ----------
    module : torch.nn.Module
        Bare speech encoder in eval mode. One call at a time.
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
    with torch.inference_mode(), _full_precision(device):
        kept = _hooked_frames(module, front_of(module).inputs(windows), frames, wanted)
        return torch.stack([kept[layer] for layer in wanted], dim=2).float().cpu().numpy()


def n_layers(module: nn.Module) -> int:
    """Count the layers of an encoder: the input of its first block and one per block."""
    return len(_stack_of(module).layers) + 1


def _stack_of(module: Any) -> Any:
    """Where the blocks lie: Whisper's encoder is its own, the others have one inside."""
    return getattr(module, "encoder", module)


def _described(module: nn.Module) -> tuple[list[Block], RelativeBias | None]:
    try:
        blocks = blocks_of(module)
    except AttributeError as error:
        logger.warning("transformers runs the model itself, which is slower: %s", error)
        return [], None
    relative = hasattr(blocks[0].attention, "rel_attn_embed")
    return blocks, RelativeBias(blocks[0].attention) if relative else None


def _hooked_frames(
    module: nn.Module, inputs: Tensor, frames: slice, wanted: Sequence[int]
) -> dict[int, Tensor]:
    """Collect the wanted layers' frames while transformers runs the model."""
    kept: dict[int, Tensor] = {}
    stack = _stack_of(module)
    blocks = stack.layers

    def keep(layer: int, hidden: Any) -> None:
        hidden = hidden if isinstance(hidden, torch.Tensor) else hidden[0]
        # A copy, so that the other frames' memory is free again at once.
        kept[layer] = hidden[:, frames].clone()

    def tap(source: nn.Module, layer: int) -> Any:
        return source.register_forward_hook(lambda _, __, output: keep(layer, output))

    handles = [tap(blocks[layer - 1], layer) for layer in wanted if 0 < layer < len(blocks)]
    if 0 in wanted:
        handles.append(blocks[0].register_forward_pre_hook(lambda _, inputs: keep(0, inputs[0])))
    if len(blocks) in wanted:
        handles.append(tap(stack, len(blocks)))
    try:
        module(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return kept


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
