"""How a model's frames lie in its input, from its configuration alone, without torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from braindash.speech.checkpoints.families import Family
from braindash.speech.checkpoints.folders import PADDED_HOP
from braindash.speech.checkpoints.preprocessing import SPECTRAL_HOP, padded_samples, patch_samples

# Values of the published base models, which their files need not repeat.
_CONV_WIDTHS = (512,) * 7
_CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
_CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
# SEW's convolutions, and Moonshine's, which are no setting.
_SEW = (
    (64, 128, 128, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512),
    (10, 3, 1, 3, 1, 3, 1, 3, 1, 2, 1, 2, 1),
    (5, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1),
)
_SEW_SQUEEZE = 2
_MOONSHINE = ((1, 127, 64), (2, 7, 3), (1, 3, 2))
# Sound under one column of the spectrograms that are not padded at the ends.
_COLUMN = 400
_FBANK_STRIDE = 2
_PATCH = {"patch_size": 16, "time_stride": 10, "frequency_stride": 10, "num_mel_bins": 128}

CPU_FRAMES = 4000
"""Frames that a CPU works on at once in training: more are not faster, but take memory."""


@dataclass(frozen=True)
class Geometry:
    """How a model's frames lie in its input; all in samples at 16 kHz.

    Parameters
    ----------
    hop : int
        From one frame to the next.
    first : int
        From the beginning of a window to the time of its first frame: for a convolutional front
        end without padding its receptive field, whose end is the frame's time. For Whisper, whose
        frames stand for 20 ms each and look 200 samples over both ends, the hop.
    padded : int, optional
        Length to which the model pads every window with silence behind the audio (480000 for
        Whisper), and so the longest window; None where a window is as long as its audio.
    middle : float, optional
        From the beginning of a window to the middle of the sound that its first frame sees; by
        default half of ``first``. Parakeet's first frame is centred on the beginning.
    """

    hop: int
    first: int
    padded: int | None = None
    middle: float | None = None

    @property
    def centre(self) -> float:
        """Samples from the beginning of a window to the middle of its first frame."""
        return self.first / 2 if self.middle is None else self.middle

    def n_frames(self, n_samples: int) -> int:
        """Count the frames whose time lies in a window's audio."""
        return max(0, (n_samples - self.first) // self.hop + 1)


def geometry_of(family: Family, config: Mapping[str, Any]) -> Geometry:
    """Compute the geometry of a model.

    Parameters
    ----------
    family : Family
    config : mapping
        The encoder's own configuration.

    Returns
    -------
    Geometry
    """
    if family.front == "whisper":
        return Geometry(PADDED_HOP, PADDED_HOP, padded_samples(config))
    if family.front == "fbank":
        hop = SPECTRAL_HOP * _FBANK_STRIDE
        return Geometry(hop, _COLUMN + SPECTRAL_HOP * (_FBANK_STRIDE - 1))
    if family.front == "nemo":
        # A frame is centred on the first of its columns, and looks 40 samples over their end.
        hop = SPECTRAL_HOP * int(config.get("subsampling_factor", 8))
        return Geometry(hop, hop, middle=0.0)
    if family.front == "patches":
        hop = SPECTRAL_HOP * patch_setting(config, "time_stride")
        first = SPECTRAL_HOP * (patch_setting(config, "patch_size") - 1) + _COLUMN
        return Geometry(hop, first, patch_samples(config))
    hop, first = 1, 1
    for _, kernel, stride in convolutions(family, config):
        first += (kernel - 1) * hop
        hop *= stride
    squeeze = int(config.get("squeeze_factor", _SEW_SQUEEZE)) if family.name == "sew" else 1
    return Geometry(hop * squeeze, first + hop * (squeeze - 1))


def convolutions(family: Family, config: Mapping[str, Any]) -> Iterator[tuple[int, int, int]]:
    """List channels, kernel and stride of every convolution over the waveform.

    Parameters
    ----------
    family : Family
        One whose front end is convolutional.
    config : mapping
        The encoder's own configuration.

    Yields
    ------
    tuple of int
    """
    if family.front == "moonshine":
        width = int(config[family.width_key])
        yield from ((times * width, kernel, stride) for times, kernel, stride in _MOONSHINE)
        return
    usual = _SEW if family.name == "sew" else (_CONV_WIDTHS, _CONV_KERNELS, _CONV_STRIDES)
    names = ("conv_dim", "conv_kernel", "conv_stride")
    given = (config.get(name, value) for name, value in zip(names, usual, strict=True))
    yield from zip(*given, strict=False)


def patch_setting(config: Mapping[str, Any], name: str) -> int:
    """Return ``patch_size``, ``time_stride``, ``frequency_stride`` or ``num_mel_bins`` of AST."""
    return int(config.get(name, _PATCH[name]))


def patch_rows(config: Mapping[str, Any]) -> int:
    """Count the patches of AST that lie above each other in frequency."""
    rest = patch_setting(config, "num_mel_bins") - patch_setting(config, "patch_size")
    return rest // patch_setting(config, "frequency_stride") + 1
