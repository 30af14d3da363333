"""Run windows of audio through a speech model and keep a few frames of every layer."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from braindash.core.devices import tell_memory
from braindash.speech.checkpoints.locate import Precision
from braindash.speech.encoder.front import Front, family_in, front_of, normalised

logger = logging.getLogger(__name__)

_EVERY_FRAME = slice(None)


@dataclass(frozen=True)
class Block:
    """One transformer block under the same names for every family.

    Attributes
    ----------
    attention : nn.Module
        With ``q_proj``, ``k_proj``, ``v_proj``, ``out_proj`` and ``num_heads``.
    attention_norm, output_norm : nn.Module
        Layer norms at the attention and at the feed-forward part.
    feed_forward : callable
    before : bool
        True when the norms lie before attention and feed-forward (``x + f(norm(x))``, the
        stable-layer-norm models and Whisper), False when behind (``norm(x + f(x))``).
    adapter : nn.Module or None
        Added behind the feed-forward part (language adapters of MMS checkpoints).
    """

    attention: Any
    attention_norm: nn.Module
    output_norm: nn.Module
    feed_forward: Callable[[Tensor], Tensor]
    before: bool
    adapter: nn.Module | None = None

    def run(self, hidden: Tensor, frames: slice, bias: "RelativeBias | None") -> Tensor:
        """Compute the chosen frames of the output.

        Parameters
        ----------
        hidden : Tensor of shape (n_windows, n_frames, n_features)
            Output of the block before, all frames.
        frames : slice
            Frames to compute.
        bias : RelativeBias or None

        Returns
        -------
        Tensor of shape (n_windows, n_chosen, n_features)
        """
        if self.before:
            seen = self.attention_norm(hidden)
            attended = hidden[:, frames] + self._attend(seen, frames, bias)
            output: Tensor = attended + self.feed_forward(self.output_norm(attended))
        else:
            attended = hidden[:, frames] + self._attend(hidden, frames, bias)
            attended = self.attention_norm(attended)
            output = self.output_norm(attended + self.feed_forward(attended))
        return output if self.adapter is None else output + self.adapter(output)

    def _attend(self, seen: Tensor, frames: slice, bias: "RelativeBias | None") -> Tensor:
        asking = seen[:, frames]
        answer = functional.scaled_dot_product_attention(
            self._heads(self.attention.q_proj(asking)),
            self._heads(self.attention.k_proj(seen)),
            self._heads(self.attention.v_proj(seen)),
            attn_mask=None if bias is None else bias.of(self.attention, asking, frames),
        )
        joined: Tensor = self.attention.out_proj(answer.transpose(1, 2).flatten(2))
        return joined

    def _heads(self, values: Tensor) -> Tensor:
        return _split(values, self.attention.num_heads)


class RelativeBias:
    """WavLM's bias of the attention by distance, gated by what the asking frame holds.

    Gated relative position bias of Chen et al. 2022 (arXiv 2110.13900), in the form of the
    published checkpoints: the embedding of distances belongs to the first block and serves all.

    Parameters
    ----------
    first : nn.Module
        Attention of the first block.
    """

    def __init__(self, first: Any) -> None:
        self._first = first
        self._distances = torch.empty(0)
        self._made_for: tuple[int, torch.device, int] | None = None

    def of(self, attention: Any, asking: Tensor, frames: slice) -> Tensor:
        """Compute what is added to the products of queries and keys.

        Parameters
        ----------
        attention : nn.Module
            Attention of the block.
        asking : Tensor of shape (n_windows, n_chosen, n_features)
        frames : slice
            The chosen frames.

        Returns
        -------
        Tensor of shape (n_windows, n_heads, n_chosen, n_frames)
        """
        projected = attention.gru_rel_pos_linear(_split(asking, attention.num_heads))
        gates = torch.sigmoid(projected.reshape(*projected.shape[:-1], 2, 4).sum(-1))
        update, reset = gates.chunk(2, dim=-1)
        gate = update * (reset * attention.gru_rel_pos_const - 1.0) + 2.0
        added: Tensor = gate * self._distances[:, frames].to(gate.dtype)
        return added

    def prepare(self, n_frames: int, device: torch.device) -> None:
        """Look the embedding of all distances up; kept for the next windows of this length."""
        # The version counts changes of the weights in place.
        wanted = (n_frames, device, self._first.rel_attn_embed.weight._version)
        if self._made_for != wanted:
            self._distances = self._first.compute_bias(n_frames, n_frames)
            self._made_for = wanted


def _split(values: Tensor, n_heads: int) -> Tensor:
    """Return each head its features: (n_windows, n_heads, n_frames, n_features / n_heads)."""
    return values.view(*values.shape[:2], n_heads, -1).transpose(1, 2)


def run_blocks(
    blocks: Sequence[Block],
    hidden: Tensor,
    frames: slice,
    layers: Sequence[int],
    bias: RelativeBias | None = None,
) -> dict[int, Tensor]:
    """Run as many blocks as needed and keep the chosen frames of the chosen layers.

    Parameters
    ----------
    blocks : sequence of Block
    hidden : Tensor of shape (n_windows, n_frames, n_features)
        Input of the first block.
    frames : slice
        Frames to keep.
    layers : sequence of int
        0 is the input of the first block, i the output of block i.
    bias : RelativeBias, optional

    Returns
    -------
    dict of int to Tensor
        Per layer, (n_windows, n_chosen, n_features).
    """
    last = max(layers)
    if bias is not None and last > 0:
        bias.prepare(hidden.shape[1], hidden.device)
    # Copies, so that the other frames' memory is free again at once.
    kept = {0: hidden[:, frames].clone()} if 0 in layers else {}
    for layer, block in enumerate(blocks[:last], start=1):
        if layer == last:
            kept[layer] = block.run(hidden, frames, bias)
        else:
            hidden = block.run(hidden, _EVERY_FRAME, bias)
            if layer in layers:
                kept[layer] = hidden[:, frames].clone()
    return kept


def blocks_of(module: Any) -> list[Block]:
    """Describe the blocks of a wav2vec 2.0-like encoder or of Whisper's.

    Parameters
    ----------
    module : nn.Module
        A bare encoder of transformers.

    Returns
    -------
    list of Block

    Raises
    ------
    AttributeError
        When the blocks are not built as in the versions of transformers this was written for.
    """
    if hasattr(module, "embed_positions"):
        return [
            Block(
                attention=layer.self_attn,
                attention_norm=layer.self_attn_layer_norm,
                output_norm=layer.final_layer_norm,
                feed_forward=_FeedForward(layer),
                before=True,
            )
            for layer in module.layers
        ]
    before = bool(getattr(module.config, "do_stable_layer_norm", False))
    return [
        Block(
            attention=layer.attention,
            attention_norm=layer.layer_norm,
            output_norm=layer.final_layer_norm,
            feed_forward=layer.feed_forward,
            before=before,
            adapter=getattr(layer, "adapter_layer", None),
        )
        for layer in module.encoder.layers
    ]


@dataclass(frozen=True)
class _FeedForward:
    """Whisper's feed-forward part, which is no module of its own there."""

    layer: Any

    def __call__(self, hidden: Tensor) -> Tensor:
        expanded = self.layer.activation_fn(self.layer.fc1(hidden))
        answer: Tensor = self.layer.fc2(expanded)
        return answer


__all__ = ["Encoder", "layer_frames", "n_layers", "normalised"]


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
    scale : mapping, optional
        :attr:`braindash.speech.checkpoints.locate.ModelFiles.scale`.

    Attributes
    ----------
    front : Front
    own_loop : bool
        False where transformers runs the model.
    """

    def __init__(
        self,
        module: nn.Module,
        precision: Precision = "float32",
        scale: Mapping[str, Any] | None = None,
    ) -> None:
        self.front: Front = front_of(module, scale)
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
                kept = _hooked_frames(self._module, self.front, embedded, frames, wanted)
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
        front = front_of(module)
        kept = _hooked_frames(module, front, front.inputs(windows), frames, wanted)
        return torch.stack([kept[layer] for layer in wanted], dim=2).float().cpu().numpy()


def n_layers(module: nn.Module) -> int:
    """Count the layers of an encoder: the input of its first block and one per block."""
    return len(_stack_of(module).layers) + 1


def _stack_of(module: Any) -> Any:
    """Where the blocks lie: Whisper's encoder is its own, the others have one inside."""
    return getattr(module, "encoder", module)


def _described(module: nn.Module) -> tuple[list[Block], RelativeBias | None]:
    if not family_in(module).own_loop:
        return [], None
    try:
        blocks = blocks_of(module)
    except AttributeError as error:
        logger.warning("transformers runs the model itself, which is slower: %s", error)
        return [], None
    relative = hasattr(blocks[0].attention, "rel_attn_embed")
    return blocks, RelativeBias(blocks[0].attention) if relative else None


def _hooked_frames(
    module: nn.Module, front: Front, inputs: Tensor, frames: slice, wanted: Sequence[int]
) -> dict[int, Tensor]:
    """Collect the wanted layers' frames while transformers runs the model."""
    kept: dict[int, Tensor] = {}
    stack = _stack_of(module)
    blocks = stack.layers
    last, rule = len(blocks), family_in(module).last

    def keep(layer: int, hidden: Any) -> None:
        hidden = hidden if isinstance(hidden, torch.Tensor) else hidden[0]
        if layer == last and rule == "normed":
            hidden = stack.layer_norm(hidden)
        # A copy, so that the other frames' memory is free again at once.
        kept[layer] = front.frames(hidden)[:, frames].clone()

    def tap(source: nn.Module, layer: int) -> Any:
        return source.register_forward_hook(lambda _, __, output: keep(layer, output))

    handles = [tap(blocks[layer - 1], layer) for layer in wanted if 0 < layer < last]
    if 0 in wanted:
        handles.append(blocks[0].register_forward_pre_hook(lambda _, inputs: keep(0, inputs[0])))
    if last in wanted:
        handles.append(tap(stack if rule == "stack" else blocks[-1], last))
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
