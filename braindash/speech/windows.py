"""Which windows of a recording a model sees, which frames of them are kept, and their cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError, near_match
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.folders import PADDED_HOP, SAMPLE_RATE_HZ
from braindash.speech.checkpoints.locate import ModelFiles

WINDOW_SECONDS = 16.1
EXACT_STEP_SECONDS = 0.1
CHUNK_STEP_SECONDS = 2.0
CHUNK_GRID_SECONDS = 0.1
"""Step of the grid to which the frames of chunks, 50 per second, are brought to be kept."""
LEAST_GRID_TR = 1.0
"""Rows closer together are made of the frames themselves: their kernel is too narrow for a grid."""

_WINDOW = round(WINDOW_SECONDS * SAMPLE_RATE_HZ)
_EXACT_STEP = round(EXACT_STEP_SECONDS * SAMPLE_RATE_HZ)
_CHUNK_STEP = round(CHUNK_STEP_SECONDS * SAMPLE_RATE_HZ)


@dataclass(frozen=True, eq=False, slots=True)
class Window:
    """One piece of audio that a model sees at once.

    Parameters
    ----------
    start, end : int
        First sample, and the sample behind the last one.
    frames : slice
        Frames of the model's answer that are kept.
    times : float64 array of shape (n_frames,)
        Time of each kept frame in seconds from the beginning of the recording.
    """

    start: int
    end: int
    frames: slice
    times: NDArray[np.float64]

    @property
    def seconds(self) -> float:
        """Length of the window in seconds."""
        return (self.end - self.start) / SAMPLE_RATE_HZ


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
    """

    hop: int
    first: int
    padded: int | None = None

    def n_frames(self, n_samples: int) -> int:
        """Count the frames whose time lies in a window's audio."""
        return max(0, (n_samples - self.first) // self.hop + 1)


@dataclass(frozen=True)
class Strategy:
    """A named way to cut a recording into windows.

    Parameters
    ----------
    name : str
        Its name in specifications and commands.
    windows : callable
        ``windows(n_samples, geometry)`` lists the windows in order of time; the times of all kept
        frames increase strictly.
    future_seconds : float
        How far behind a kept frame's time the audio may lie that the model saw for it.
    description : str
        One sentence for interfaces.
    grid_seconds : float, optional
        Step of the grid that stands for the frames where they are kept for several subjects'
        rows (:class:`braindash.core.resampling.Spreading`); None where they are kept as they are.
    """

    name: str
    windows: Callable[[int, Geometry], list[Window]]
    future_seconds: float
    description: str
    grid_seconds: float | None = None


def context_seconds(strategy: str, padded_samples: int | None = None) -> float:
    """Return the longest audio that a model sees at once.

    Parameters
    ----------
    strategy : {"exact", "chunk"}
    padded_samples : int, optional
        :attr:`braindash.speech.checkpoints.locate.ModelFiles.padded_samples` of the model.

    Returns
    -------
    float
        Seconds: 16.1, but for "chunk" the whole input of a padded model, 30 for Whisper. Its
        attention sees the padding, so chunks are full of audio; causal windows keep the context
        of the other models and are padded.
    """
    return _context(strategy, padded_samples) / SAMPLE_RATE_HZ


def _context(strategy: str, padded: int | None) -> int:
    if padded is None:
        return _WINDOW
    return padded if strategy == "chunk" else min(_WINDOW, padded)


def exact_windows(n_samples: int, geometry: Geometry) -> list[Window]:
    """Cut causal windows: one ends at every 0.1 s and holds the 16.1 s before; keep its last frame.

    Near the beginning windows are shorter; the first one holds at least one frame. The kept
    frame's time is the end of its window. Of a padded model the kept frame is the last one mostly
    inside the audio (position 804 of Whisper for 16.1 s), never one of the silence behind it.

    Parameters
    ----------
    n_samples : int
        Length of the recording at 16 kHz.
    geometry : Geometry

    Returns
    -------
    list of Window
    """
    context = _context("exact", geometry.padded)
    windows = []
    for end in range(_EXACT_STEP, n_samples + 1, _EXACT_STEP):
        start = max(0, end - context)
        last = geometry.n_frames(end - start) - 1
        if last >= 0:
            kept = slice(last, last + 1)
            windows.append(Window(start, end, kept, np.array([end / SAMPLE_RATE_HZ])))
    return windows


def chunk_windows(n_samples: int, geometry: Geometry) -> list[Window]:
    """Cut one window per 2 s and keep every frame of its last 2 s.

    A window holds 16.1 s, or the whole input of a padded model. The last one ends with the
    recording. Every frame of the recording is kept exactly once, on one grid of ``geometry.hop``;
    a frame may have seen the audio up to 2 s behind its time.

    Parameters
    ----------
    n_samples : int
        Length of the recording at 16 kHz.
    geometry : Geometry

    Returns
    -------
    list of Window
    """
    context, hop = _context("chunk", geometry.padded), geometry.hop
    windows = []
    for previous_end in range(0, n_samples, _CHUNK_STEP):
        end = min(previous_end + _CHUNK_STEP, n_samples)
        # Rounded up to the frame grid, so that all windows' frames fall on the same instants.
        start = -(-max(0, end - context) // hop) * hop
        frame_ends = np.arange(start + geometry.first, end + 1, hop)
        first = int(np.searchsorted(frame_ends, previous_end, side="right"))
        if first < len(frame_ends):
            times = frame_ends[first:] / SAMPLE_RATE_HZ
            windows.append(Window(start, end, slice(first, len(frame_ends)), times))
    return windows


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            Strategy(
                "exact",
                exact_windows,
                0.0,
                "Causal: every 0.1 s the model sees the 16.1 s before and its last frame is kept.",
            ),
            Strategy(
                "chunk",
                chunk_windows,
                CHUNK_STEP_SECONDS,
                "Fast, and not the same features: one 16.1 s window per 2 s (30 s for Whisper), "
                "all frames of its last 2 s are kept, so a frame may have seen up to 2 s of "
                "future audio.",
                CHUNK_GRID_SECONDS,
            ),
        )
    }
)


def find_strategy(name: str) -> Strategy:
    """Look a strategy up by name.

    Raises
    ------
    InputError
        When there is no such strategy.
    """
    if name not in STRATEGIES:
        raise InputError(
            f"there is no feature strategy {name!r}", hint=near_match(name, STRATEGIES)
        )
    return STRATEGIES[name]


def frame_times(windows: Sequence[Window]) -> NDArray[np.float64]:
    """Return the times of all kept frames of some windows in seconds, (n_frames,)."""
    return np.concatenate([window.times for window in windows])


def numbered(windows: Sequence[Window]) -> Iterator[tuple[Window, int]]:
    """Yield each window and how many frames are kept of those before it."""
    first = 0
    for window in windows:
        yield window, first
        first += len(window.times)


# ---- how much work they are, counted from a model's configuration ------------------------------

# Products of convolutions, linear layers and attention count; norms, activations, positions and
# other small tables do not.

# Values of the published base models, which their files need not repeat.
_CONV_WIDTHS = (512,) * 7
_CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
_CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_POSITION_KERNEL, _POSITION_GROUPS = 128, 16
# Where causal windows share the front end: six runs over 1.5 windows and four checks, for about
# 80 windows.
_SHARED_FRONT = 0.17
# Of an encoder in float32 on one ordinary core, in operations per second.
_CORE_RATE = 1.5e10
# Reading a recording, or an acoustic space of it, per second of audio.
_SOUND_SHARE = 0.01


@dataclass(frozen=True)
class _Layer:
    """A linear layer or a convolution: its weights, and how often a second of audio uses them."""

    n_weights: float
    per_second: float


def n_parameters(files: ModelFiles) -> float:
    """Count a model's parameters, to a few per cent; 0 for an acoustic space.

    Parameters
    ----------
    files : ModelFiles

    Returns
    -------
    float
    """
    if files.family not in FAMILIES:
        return 0.0
    front, blocks = list(_front(files)), _block_weights(files) * (files.n_layers - 1)
    return sum(layer.n_weights for layer in front) + blocks


def window_products(files: ModelFiles, seconds: float, *, shared: bool = False) -> float:
    """Count the multiplications (each with its addition) of one window.

    Parameters
    ----------
    files : ModelFiles
    seconds : float
        Length of the window's audio; a padded model sees its whole input nevertheless.
    shared : bool, default False
        True for a window whose front end others share.

    Returns
    -------
    float
    """
    if files.family not in FAMILIES:
        return 0.0
    if files.padded_samples is not None:
        seconds = files.padded_samples / SAMPLE_RATE_HZ
    front = sum(layer.n_weights * layer.per_second for layer in _front(files)) * seconds
    n_frames = frame_rate_hz(files) * seconds
    attention = 2.0 * n_frames * files.n_features
    blocks = n_frames * (_block_weights(files) + attention) * (files.n_layers - 1)
    return front * (_SHARED_FRONT if shared else 1.0) + blocks


def extraction_products(files: ModelFiles, audio_seconds: float, strategy: str) -> float:
    """Count the multiplications of a recording's features.

    Parameters
    ----------
    files : ModelFiles
    audio_seconds : float
        Length of the recording.
    strategy : {"exact", "chunk", "frames"}
        "frames", of acoustic spaces, is no work worth counting.

    Returns
    -------
    float
    """
    if files.family not in FAMILIES or strategy == "frames":
        return 0.0
    step = CHUNK_STEP_SECONDS if strategy == "chunk" else EXACT_STEP_SECONDS
    window = min(audio_seconds, context_seconds(strategy, files.padded_samples))
    local = files.config.get("feat_extract_norm", "layer") == "layer" and not files.padded_samples
    shared = strategy == "exact" and local and files.precision == "float32"
    return audio_seconds / step * window_products(files, window, shared=shared)


def extraction_seconds(files: ModelFiles, audio_seconds: float, strategy: str) -> float:
    """Guess how long features of a recording take on one ordinary core; parameters as above."""
    products = extraction_products(files, audio_seconds, strategy)
    return audio_seconds * _SOUND_SHARE + 2.0 * products / _CORE_RATE


def frames_bytes(files: ModelFiles, audio_seconds: float, strategy: str) -> float:
    """Say how large the kept frames of a recording are; parameters as above, no acoustic space."""
    step = find_strategy(strategy).grid_seconds or EXACT_STEP_SECONDS
    return 4.0 * files.n_layers * files.n_features * audio_seconds / step


def _front(files: ModelFiles) -> Iterator[_Layer]:
    """List what lies before the first block."""
    config, width = files.config, files.n_features
    if files.padded_samples is not None:
        columns = 2.0 * SAMPLE_RATE_HZ / PADDED_HOP
        yield _Layer(3.0 * int(config.get("num_mel_bins", 80)) * width, columns)
        yield _Layer(3.0 * width * width, columns / 2)
        return
    channels, rate = 1, float(SAMPLE_RATE_HZ)
    for n_out, kernel, stride in _convolutions(files):
        rate /= stride
        yield _Layer(float(channels * n_out * kernel), rate)
        channels = n_out
    yield _Layer(float(channels * width), rate)
    n_layers, kernel = 1, int(config.get("num_conv_pos_embeddings", _POSITION_KERNEL))
    if "conv_pos_kernel_size" in config:  # data2vec has several short ones
        n_layers, kernel = kernel, int(config["conv_pos_kernel_size"])
    groups = int(config.get("num_conv_pos_embedding_groups", _POSITION_GROUPS))
    for _ in range(n_layers):
        yield _Layer(width * width / groups * kernel, rate)


def _convolutions(files: ModelFiles) -> Iterator[tuple[int, int, int]]:
    """Return the channels, the kernel and the stride of every convolution of the front end."""
    config = files.config
    return zip(
        config.get("conv_dim", _CONV_WIDTHS),
        config.get("conv_kernel", _CONV_KERNELS),
        config.get("conv_stride", _CONV_STRIDES),
        strict=False,
    )


def frame_rate_hz(files: ModelFiles) -> float:
    """Return the frames per second that the blocks see, 50 for all published models."""
    if files.padded_samples is not None:
        return SAMPLE_RATE_HZ / PADDED_HOP
    rate = float(SAMPLE_RATE_HZ)
    for _, _, stride in _convolutions(files):
        rate /= stride
    return rate


def _block_weights(files: ModelFiles) -> float:
    """Count the weights of one block's linear layers: four projections and the feed-forward."""
    padded = files.padded_samples is not None
    inner = files.config.get("encoder_ffn_dim" if padded else "intermediate_size")
    width = files.n_features
    return 4.0 * width * width + 2.0 * width * int(inner or 4 * width)
