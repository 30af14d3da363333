"""From windows of audio to the input of the first transformer block, for every family."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from braindash.speech.checkpoints.families import FAMILIES, Family, family_of
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.encoder.spectra import whole_front
from braindash.speech.geometry import Geometry, geometry_of

# Added to the variance by the preprocessor of every model that normalises its input.
VARIANCE_FLOOR = np.float32(1e-7)
# Frames that the convolutions make at once on a CPU: their intermediate results, 13 MB for the
# usual front end, stay in the cache and in memory that is used again. Whole windows take new
# memory from the system each time, which costs up to a third of their time.
_BLOCK_FRAMES = 100


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
    scaled: NDArray[np.float32] = (windows - mean) / np.sqrt(variance + VARIANCE_FLOOR)
    return scaled


class Front(Protocol):
    """What lies before the first transformer block."""

    geometry: Geometry
    local: bool

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Return what transformers' own model takes for these windows."""

    def embed(self, windows: NDArray[np.float32]) -> Tensor:
        """Return the frames before positions are added, (n_windows, n_frames, n_features)."""

    def begin(self, embedded: Tensor) -> Tensor:
        """Add positions: give the input of the first block, of the same shape."""

    def frames(self, hidden: Tensor) -> Tensor:
        """Return a layer's frames, of what transformers gives for it."""


class ConvolutionalFront:
    """Convolutions over the waveform, projection and convolutional positions (wav2vec 2.0).

    Attributes
    ----------
    geometry : Geometry
    local : bool
        True when a frame depends on the audio of its own receptive field alone, so that windows
        can share it. Group normalisation looks at the whole window.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._layers = module.feature_extractor.conv_layers
        self._convolutions = [layer.conv for layer in self._layers]
        groups = [part for part in self._layers.modules() if isinstance(part, nn.GroupNorm)]
        self._norm = groups[0] if groups else None
        self.local = not groups
        self.geometry = geometry_of(family_in(module), module.config.to_dict())

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Return the waveforms, (n_windows, n_samples)."""
        return torch.from_numpy(windows).to(_device_of(self._module))

    def embed(self, windows: NDArray[np.float32]) -> Tensor:
        """Run convolutions and projection, on a CPU in blocks of frames.

        Parameters
        ----------
        windows : float32 array of shape (n_windows, n_samples)

        Returns
        -------
        Tensor of shape (n_windows, n_frames, n_features)
        """
        return self._in_blocks(windows, self._projected)

    def convolve(self, windows: NDArray[np.float32]) -> Tensor:
        """Run the convolutions alone: what brain-tuning keeps of a front end that it freezes.

        Parameters
        ----------
        windows : float32 array of shape (n_windows, n_samples)

        Returns
        -------
        Tensor of shape (n_windows, n_frames, n_channels)
            Input of the projection.
        """
        return self._in_blocks(windows, lambda hidden: hidden)

    def _in_blocks(
        self, windows: NDArray[np.float32], finish: Callable[[Tensor], Tensor]
    ) -> Tensor:
        waves = self.inputs(windows)
        n_frames = self.geometry.n_frames(waves.shape[1])
        if n_frames == 0:
            raise ValueError(f"{waves.shape[1]} samples make no frame")
        affine = None if self._norm is None else self._group_norm(waves)
        step = _BLOCK_FRAMES if waves.device.type == "cpu" else n_frames
        blocks = []
        for first in range(0, n_frames, step):
            last = min(first + step, n_frames) - 1
            start, end = first * self.geometry.hop, last * self.geometry.hop + self.geometry.first
            blocks.append(finish(self._frames(waves[:, start:end], affine)))
        return torch.cat(blocks, dim=1)

    def begin(self, embedded: Tensor) -> Tensor:
        """Add the convolutional positions, and normalise where the family does so here."""
        encoder = self._module.encoder
        hidden = embedded + encoder.pos_conv_embed(embedded)
        stable = getattr(self._module.config, "do_stable_layer_norm", False)
        begun: Tensor = hidden if stable else encoder.layer_norm(hidden)
        return begun

    def frames(self, hidden: Tensor) -> Tensor:
        """Return a layer's frames, which are what transformers gives."""
        return hidden

    def _frames(self, waves: Tensor, affine: tuple[Tensor, Tensor] | None) -> Tensor:
        hidden = waves[:, None]
        for layer in self._layers:
            if affine is not None and layer is self._layers[0]:
                scale, shift = affine
                hidden = layer.activation(torch.addcmul(shift, layer.conv(hidden), scale))
            else:
                hidden = layer(hidden)
        return hidden.transpose(1, 2)

    def _projected(self, hidden: Tensor) -> Tensor:
        projected = self._module.feature_projection(hidden)
        frames: Tensor = projected[0] if isinstance(projected, tuple) else projected
        return frames

    def _group_norm(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """Express the normalisation of the first layer's channels over the window as a x + b.

        The first convolution is linear, so mean and variance of its channels follow from mean
        ``m`` and covariance ``C`` of the short pieces of waveform that it sees: for filter ``w``
        they are ``w m + bias`` and ``w C w'``. So blocks of frames can be made one by one. Where
        filters are fewer than their taps, their outputs are the shorter way.

        Returns
        -------
        scale, shift : Tensor of shape (n_windows, n_channels, 1)
        """
        convolution, norm = self._convolutions[0], self._norm
        if norm is None or norm.num_groups != norm.num_channels or convolution.in_channels != 1:
            raise ValueError("the first layer does not normalise each channel by itself")
        filters = convolution.weight[:, 0].double()
        if len(filters) < filters.shape[1]:
            mean, variance = _moments_of_outputs(waves, convolution)
        else:
            pieces = waves.double().unfold(1, convolution.kernel_size[0], convolution.stride[0])
            middle = pieces.mean(dim=1, keepdim=True)
            centred = pieces - middle
            covariance = centred.transpose(1, 2) @ centred / pieces.shape[1]
            mean = (middle @ filters.T)[:, 0]
            variance = ((filters @ covariance) * filters).sum(dim=2)
        scale = norm.weight.double() / torch.sqrt(variance + norm.eps)
        if convolution.bias is not None:
            mean = mean + convolution.bias.double()
        shift = norm.bias.double() - scale * mean
        return scale.float()[:, :, None], shift.float()[:, :, None]


def _moments_of_outputs(waves: Tensor, convolution: nn.Conv1d) -> tuple[Tensor, Tensor]:
    """Mean and variance of each filter's output without its bias, (n_windows, n_channels) each."""
    # Without the waveform's own level, single precision is enough for what is left.
    level = waves.mean(dim=1, keepdim=True)
    weight, stride = convolution.weight, convolution.stride
    outputs = functional.conv1d((waves - level)[:, None], weight, stride=stride)
    mean = outputs.mean(dim=2).double()
    variance = outputs.square_().mean(dim=2).double() - mean.square()
    return mean + level.double() * weight.double().sum(dim=(1, 2)), variance


class PaddedFront:
    """Log-mel spectrogram of 30 s and two convolutions (Whisper, and the towers made of it)."""

    def __init__(self, module: Any) -> None:
        import transformers

        preprocessor: Any = transformers.WhisperFeatureExtractor  # its class is not annotated
        self._module = module
        self.local = False
        self.geometry = geometry_of(family_in(module), module.config.to_dict())
        n_samples = self.geometry.padded or 0
        self._spectrogram = preprocessor(
            feature_size=module.config.num_mel_bins,
            chunk_length=n_samples // SAMPLE_RATE_HZ,
        )

    def inputs(self, windows: NDArray[np.float32]) -> Tensor:
        """Pad with silence and make spectrograms, (n_windows, n_bands, n_columns)."""
        device = _device_of(self._module)
        # Mixed precision is for the model: the spectrogram enters it as it always does.
        with torch.autocast(device.type, enabled=False):
            made = self._spectrogram(
                list(windows),
                sampling_rate=SAMPLE_RATE_HZ,
                return_tensors="np",
                device=str(device),
            ).input_features
        return torch.from_numpy(made).to(device)

    def embed(self, windows: NDArray[np.float32]) -> Tensor:
        """Run the convolutions and add the positions, (n_windows, n_positions, n_features)."""
        module = self._module
        hidden = functional.gelu(module.conv1(self.inputs(windows)))
        hidden = functional.gelu(module.conv2(hidden)).transpose(1, 2)
        placed: Tensor = hidden + module.embed_positions.weight
        return placed

    def begin(self, embedded: Tensor) -> Tensor:
        """Return the frames as they are: their positions are in them already."""
        return embedded

    def frames(self, hidden: Tensor) -> Tensor:
        """Return a layer's frames, which are what transformers gives."""
        return hidden


def front_of(module: Any, scale: Mapping[str, Any] | None = None) -> Front:
    """Make the front end of a bare encoder of transformers.

    Parameters
    ----------
    module : nn.Module
    scale : mapping, optional
        :attr:`braindash.speech.checkpoints.locate.ModelFiles.scale`.
    """
    family = family_in(module)
    if family.front == "whisper":
        return PaddedFront(module)
    if family.own_loop:
        return ConvolutionalFront(module)
    return whole_front(module, family, scale or {})


def family_in(module: Any) -> Family:
    """Look up the family of a bare encoder; wav2vec 2.0 for a class that is not known."""
    bare = module.get_base_model() if hasattr(module, "get_base_model") else module
    return family_of(type(bare).__name__) or FAMILIES["wav2vec2"]


def _device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
