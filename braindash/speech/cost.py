"""How much work a model's features are, counted from its configuration, without torch.

What is counted are the products of convolutions, linear layers and attention; norms and
activations are left out, and so are positions and other small tables among the parameters.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.folders import PADDED_HOP, SAMPLE_RATE_HZ
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.windows import CHUNK_STEP_SECONDS, EXACT_STEP_SECONDS, context_seconds

# Values of the published base models, which their files need not repeat.
_CONV_WIDTHS = (512,) * 7
_CONV_KERNELS = (10, 3, 3, 3, 3, 2, 2)
_CONV_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_POSITION_KERNEL, _POSITION_GROUPS = 128, 16
# Where causal windows share the front end: six runs over 1.5 windows and four checks, for about
# 80 windows.
_SHARED_FRONT = 0.17


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
