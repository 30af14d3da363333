"""Which windows of a recording a model sees, which frames of them are kept, and their cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.errors import InputError, near_match
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.folders import SAMPLE_RATE_HZ
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.checkpoints.preprocessing import SPECTRAL_HOP
from braindash.speech.geometry import Geometry, convolutions, geometry_of, patch_rows, patch_setting

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
class Strategy:
    """A named way to cut a recording into windows.

    Parameters
    ----------
    name : str
        Its name in specifications and commands.
    windows : callable
        ``windows(n_samples, geometry, context)`` lists the windows in order of time; the times of
        all kept frames increase strictly. ``context`` is the longest audio of a window in seconds;
        None: the usual one.
    future_seconds : float
        How far behind a kept frame's time the audio may lie that the model saw for it.
    description : str
        One sentence for interfaces.
    grid_seconds : float, optional
        Step of the grid that stands for the frames where they are kept for several subjects'
        rows (:class:`braindash.core.resampling.Spreading`); None where they are kept as they are.
    """

    name: str
    windows: Callable[[int, Geometry, float | None], list[Window]]
    future_seconds: float
    description: str
    grid_seconds: float | None = None


def context_seconds(
    strategy: str, padded_samples: int | None = None, asked: float | None = None
) -> float:
    """Return the longest audio that a model sees at once.

    Parameters
    ----------
    strategy : {"exact", "chunk"}
    padded_samples : int, optional
        :attr:`braindash.speech.checkpoints.locate.ModelFiles.padded_samples` of the model.
    asked : float, optional
        Seconds that were asked for; a padded model sees no more than its input.

    Returns
    -------
    float
        Seconds: 16.1, but for "chunk" the whole input of a padded model, 30 for Whisper. Its
        attention sees the padding, so chunks are full of audio; causal windows keep the context
        of the other models and are padded.
    """
    return _context(strategy, padded_samples, asked) / SAMPLE_RATE_HZ


def step_seconds(strategy: str, asked: float | None = None) -> float:
    """Return the step from one window to the next.

    Parameters
    ----------
    strategy : {"exact", "chunk"}
    asked : float, optional
        Context in seconds that was asked for.

    Returns
    -------
    float
        Seconds: 0.1; of "chunk" 2, or half the context where that is less, so that every frame has
        half of the context before it.
    """
    if strategy == "exact":
        return EXACT_STEP_SECONDS
    return _chunk_step(asked) / SAMPLE_RATE_HZ


def _chunk_step(asked: float | None) -> int:
    if asked is None:
        return _CHUNK_STEP
    return max(1, min(_CHUNK_STEP, round(asked * SAMPLE_RATE_HZ / 2)))


def _context(strategy: str, padded: int | None, asked: float | None = None) -> int:
    if asked is not None:
        context = round(asked * SAMPLE_RATE_HZ)
        return context if padded is None else min(context, padded)
    if padded is None:
        return _WINDOW
    return padded if strategy == "chunk" else min(_WINDOW, padded)


def exact_windows(n_samples: int, geometry: Geometry, context: float | None = None) -> list[Window]:
    """Cut causal windows: one ends at every 0.1 s and holds the 16.1 s before; keep its last frame.

    Near the beginning windows are shorter; the first one holds at least one frame. The kept
    frame's time is the end of its window. Of a padded model the kept frame is the last one mostly
    inside the audio (position 804 of Whisper for 16.1 s), never one of the silence behind it.

    Parameters
    ----------
    n_samples : int
        Length of the recording at 16 kHz.
    geometry : Geometry
    context : float, optional
        Seconds in place of 16.1.

    Returns
    -------
    list of Window
    """
    longest = _context("exact", geometry.padded, context)
    windows = []
    for end in range(_EXACT_STEP, n_samples + 1, _EXACT_STEP):
        start = max(0, end - longest)
        last = geometry.n_frames(end - start) - 1
        if last >= 0:
            kept = slice(last, last + 1)
            windows.append(Window(start, end, kept, np.array([end / SAMPLE_RATE_HZ])))
    return windows


def chunk_windows(n_samples: int, geometry: Geometry, context: float | None = None) -> list[Window]:
    """Cut one window per 2 s and keep every frame of its last 2 s.

    A window holds 16.1 s, or the whole input of a padded model. The last one ends with the
    recording. Every frame of the recording is kept exactly once, on one grid of ``geometry.hop``;
    a frame may have seen the audio up to 2 s behind its time.

    Parameters
    ----------
    n_samples : int
        Length of the recording at 16 kHz.
    geometry : Geometry
    context : float, optional
        Seconds in place of 16.1 and of a padded model's input; windows then step by half of it
        where that is less than 2 s.

    Returns
    -------
    list of Window
    """
    longest, hop = _context("chunk", geometry.padded, context), geometry.hop
    step = _chunk_step(context)
    windows = []
    for previous_end in range(0, n_samples, step):
        end = min(previous_end + step, n_samples)
        # Rounded up to the frame grid, so that all windows' frames fall on the same instants.
        start = -(-max(0, end - longest) // hop) * hop
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
_POSITION_KERNEL, _POSITION_GROUPS = 128, 16
# Where causal windows share the front end: six runs over 1.5 windows and four checks, for about
# 80 windows.
_SHARED_FRONT = 0.17
# Of an encoder in float32 on one ordinary core, in operations per second.
_CORE_RATE = 1.5e10
_BYTES = 4
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
    n_frames = frame_rate_hz(files) * seconds * _tokens_per_frame(files)
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
    family = FAMILIES[files.family]
    local = family.own_loop and files.config.get("feat_extract_norm", "layer") == "layer"
    local = local and not files.padded_samples
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


def window_bytes(files: ModelFiles, strategy: str) -> float:
    """Guess the memory that one window takes beside the weights, in bytes.

    Counted are the hidden states of one block and, where attention is computed in full (positions
    relative to each other), its products of all frames with all.

    Parameters
    ----------
    files : ModelFiles
    strategy : {"exact", "chunk"}
    """
    family = FAMILIES[files.family]
    seconds = (files.padded_samples or 0) / SAMPLE_RATE_HZ or context_seconds(strategy)
    n_tokens = frame_rate_hz(files) * seconds * _tokens_per_frame(files)
    inner = files.config.get(family.inner_key) or 4 * files.n_features
    heads = int(files.config.get(family.heads_key) or 0)
    full = heads * n_tokens if family.conformer or family.name == "wavlm" else 0.0
    return _BYTES * n_tokens * (8.0 * files.n_features + 3.0 * int(inner) + full)


def _front(files: ModelFiles) -> Iterator[_Layer]:
    """List what lies before the first block."""
    family, config, width = FAMILIES[files.family], files.config, files.n_features
    columns = SAMPLE_RATE_HZ / SPECTRAL_HOP
    if family.front == "whisper":
        yield _Layer(3.0 * int(config.get("num_mel_bins", 80)) * width, columns)
        yield _Layer(3.0 * width * width, columns / 2)
    elif family.front == "fbank":
        yield _Layer(float(config.get("feature_projection_input_dim", 160)) * width, columns / 2)
    elif family.front == "nemo":
        yield from _subsampling(config, width)
    elif family.front == "patches":
        n_weights = float(patch_setting(config, "patch_size") ** 2 * width)
        yield _Layer(n_weights, frame_rate_hz(files) * patch_rows(config))
    else:
        yield from _waveform_front(files)


def _tokens_per_frame(files: ModelFiles) -> int:
    """Count what the blocks see for each frame: AST has a patch for each of several bands."""
    patches = FAMILIES[files.family].front == "patches"
    return patch_rows(files.config) if patches else 1


def _subsampling(config: Mapping[str, Any], width: int) -> Iterator[_Layer]:
    """List Parakeet's convolutions over time and frequency, and the projection behind them."""
    channels = int(config.get("subsampling_conv_channels", 256))
    rate, bands = SAMPLE_RATE_HZ / SPECTRAL_HOP / 2, int(config.get("num_mel_bins", 80)) / 2
    yield _Layer(9.0 * channels, rate * bands)
    for _ in range(int(config.get("subsampling_factor", 8)).bit_length() - 2):
        rate, bands = rate / 2, bands / 2
        yield _Layer(channels * (9.0 + channels), rate * bands)
    yield _Layer(channels * bands * width, rate)


def _waveform_front(files: ModelFiles) -> Iterator[_Layer]:
    """List convolutions over the waveform, the projection, and convolutional positions."""
    family, config, width = FAMILIES[files.family], files.config, files.n_features
    channels, rate = 1, float(SAMPLE_RATE_HZ)
    for n_out, kernel, stride in convolutions(family, config):
        rate /= stride
        yield _Layer(float(channels * n_out * kernel), rate)
        channels = n_out
    if family.front == "moonshine":
        return
    yield _Layer(float(channels * width), rate)
    if family.conformer:
        return
    n_layers, kernel = 1, int(config.get("num_conv_pos_embeddings", _POSITION_KERNEL))
    if "conv_pos_kernel_size" in config:  # data2vec has several short ones
        n_layers, kernel = kernel, int(config["conv_pos_kernel_size"])
    groups = int(config.get("num_conv_pos_embedding_groups", _POSITION_GROUPS))
    for _ in range(n_layers):
        yield _Layer(width * width / groups * kernel, rate)


def frame_rate_hz(files: ModelFiles) -> float:
    """Return the frames per second that the blocks see, 50 for most published models."""
    return SAMPLE_RATE_HZ / geometry_of(FAMILIES[files.family], files.config).hop


def _block_weights(files: ModelFiles) -> float:
    """Count the weights of one block's linear layers: four projections and the feed-forward.

    A Conformer's block has one more projection (of positions), two feed-forward parts, and two
    pointwise convolutions, the first of twice the width.
    """
    family = FAMILIES[files.family]
    inner = files.config.get(family.inner_key)
    width = files.n_features
    forward = 2.0 * width * int(inner or 4 * width)
    if family.conformer:
        return 8.0 * width * width + 2.0 * forward
    return 4.0 * width * width + forward
