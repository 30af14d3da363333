"""The transformer blocks of every family, run for as few frames as are needed.

A frame of a block's output needs the keys and values of all frames, but only its own query. So
the last block that is asked for runs its queries, and the feed-forward behind them, for the kept
frames alone: exactly the same numbers from a fraction of the products.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    """Give each head its features: (n_windows, n_heads, n_frames, n_features / n_heads)."""
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
