"""The model that is tuned: an encoder behind its frozen front end, and heads."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from braindash.specs import TuningHead
from braindash.speech.training.heads import Head, Heads
from braindash.speech.training.stories import SegmentShape

_MASK_FRAMES = 10


class TuningNetwork(nn.Module):
    """Encoder and heads.

    Parameters
    ----------
    encoder : nn.Module
        Bare encoder with its adapters, if any.
    n_targets : mapping of str to int
        By subject.
    shape : SegmentShape
    mask_share : float
        Share of the frames that training hides from the transformer, in spans of 10.
    head, bottleneck, n_clusters
        Of :class:`braindash.speech.training.heads.Heads`.
    """

    pooling: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        n_targets: Mapping[str, int],
        shape: SegmentShape,
        *,
        mask_share: float = 0.0,
        head: TuningHead = "subject",
        bottleneck: int = 100,
        n_clusters: int = 0,
    ) -> None:
        super().__init__()
        config: Any = encoder.config
        self.width = int(config.hidden_size)
        self.encoder: Any = encoder
        self.subjects = tuple(n_targets)
        self.heads = Heads(self.width, n_targets, head, bottleneck, n_clusters)
        self.shape = shape
        self.mask_share = mask_share
        self.register_buffer("pooling", torch.from_numpy(shape.pooling), persistent=False)

    def head(self, subject: str) -> Head:
        """Return the last map of a subject."""
        return self.heads.of(subject)

    def predict(self, pooled: Tensor, subject: str) -> Tensor:
        """Predict a subject's rows, (n, n_targets), from pooled features (..., n_features)."""
        predicted: Tensor = self.heads(pooled.flatten(0, -2), subject)
        return predicted

    def trained(self) -> dict[str, nn.Parameter]:
        """Return what is trained, by name, in a fixed order."""
        return {name: value for name, value in self.named_parameters() if value.requires_grad}

    def forward(self, inputs: Tensor) -> Tensor:
        """Encode segments and average over each row's window.

        Where a segment holds several rows, their mean is taken off: pooled features have a large
        part in common that says nothing about a row.

        Parameters
        ----------
        inputs : Tensor
            From :class:`braindash.speech.training.front.Inputs`.

        Returns
        -------
        Tensor of shape (n_segments, n_rows, n_features), float32
        """
        share = self.mask_share if self.training else 0.0
        hidden = self._heard(inputs) if inputs.ndim == 4 else self._convolved(inputs, share)[0]
        pooled = self.pooling @ hidden[:, : self.shape.n_frames].float()
        return centred(pooled)

    def foretell(self, inputs: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Hide frames from the transformer, and tell which cluster of the sound each is in.

        Parameters
        ----------
        inputs : Tensor
            Output of the convolutions.
        share : float
            Of the frames that are hidden, in eval mode as well.

        Returns
        -------
        logits : Tensor of shape (n_segments, n_frames, n_clusters)
        hidden : Tensor of bool, shape (n_segments, n_frames)
        """
        frames, hidden = self._convolved(inputs, share)
        assert self.heads.clusters is not None  # where frames are hidden there is such a head
        return self.heads.clusters(frames), hidden

    def _convolved(self, inputs: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Run the transformer over output of the convolutions, piece by piece of attention.

        Gives its frames, and which of them it did not hear.
        """
        whole = self.shape.n_frames // self.shape.n_attended * self.shape.n_attended
        parts = []
        if whole:
            pieces = inputs[:, :whole].reshape(-1, self.shape.n_attended, inputs.shape[2])
            frames, masks = self._transformed(pieces, share)
            parts.append((frames.reshape(len(inputs), whole, -1), masks.reshape(-1, whole)))
        if whole < self.shape.n_frames:
            parts.append(self._transformed(inputs[:, whole : self.shape.n_frames], share))
        return torch.cat([f for f, _ in parts], dim=1), torch.cat([m for _, m in parts], dim=1)

    def _transformed(self, frames: Tensor, share: float) -> tuple[Tensor, Tensor]:
        projected = self.encoder.feature_projection(frames)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        heard, mask = self._masked(hidden, share)
        return self.encoder.encoder(heard).last_hidden_state, mask

    def _heard(self, inputs: Tensor) -> Tensor:
        """Run a padded model over spectrograms; what lies in the padding is left out."""
        n_pieces = inputs.shape[1]
        answer = self.encoder(inputs.flatten(0, 1)).last_hidden_state[:, : self.shape.n_attended]
        heard: Tensor = answer.reshape(-1, n_pieces * answer.shape[1], answer.shape[2])
        return heard

    def _masked(self, hidden: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Hide a share of the frames; gives also which."""
        n_windows, n_frames, _ = hidden.shape
        if not share:
            return hidden, torch.zeros(n_windows, n_frames, dtype=torch.bool, device=hidden.device)
        begins = torch.rand(n_windows, n_frames, device=hidden.device) < share / _MASK_FRAMES
        hidden_frames = begins.clone()
        for later in range(1, min(_MASK_FRAMES, n_frames)):
            hidden_frames[:, later:] |= begins[:, :-later]
        filler = getattr(self.encoder, "masked_spec_embed", None)
        value = torch.zeros_like(hidden[0, 0]) if filler is None else filler.to(hidden.dtype)
        return torch.where(hidden_frames[:, :, None], value, hidden), hidden_frames


def centred(rows: Tensor) -> Tensor:
    """Take the mean over a segment's rows off, (n_segments, n_rows, n); one row stays as it is."""
    return rows - rows.mean(dim=1, keepdim=True) if rows.shape[1] > 1 else rows


def responses_of(
    responses: Mapping[str, Any], rows: Sequence[slice], subject: str, device: torch.device
) -> Tensor:
    """Cut one subject's responses to segments of a story, (n_segments, n_rows, n_targets)."""
    values = torch.stack([torch.as_tensor(responses[subject][span]) for span in rows])
    return centred(values.to(device))
