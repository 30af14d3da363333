"""Whether the sizes that a configuration tells can be those of a speech model, without torch.

A damaged or made-up configuration asks for more memory than there is, or for a model that hears
nothing. What it asks for is judged from the numbers alone, before anything is built.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from braindash.errors import ModelError
from braindash.speech.checkpoints.families import Family

# Several times what the largest published model of any family has.
_BLOCKS = (1, 512)
_WIDTH = (1, 32768)
_INNER = (1, 262144)
_RANGES: dict[str, tuple[int, int]] = {
    "adapter_attn_dim": (1, 32768),
    "conv_depthwise_kernel_size": (1, 1024),
    "conv_kernel_size": (1, 1024),
    "conv_pos_kernel_size": (1, 4096),
    "feature_projection_input_dim": (1, 8192),
    "frequency_stride": (1, 512),
    "left_max_position_embeddings": (0, 65536),
    "max_bucket_distance": (1, 1_000_000),
    "max_length": (1, 65536),
    "max_source_positions": (1, 65536),
    "num_buckets": (2, 1_000_000),
    "num_conv_pos_embedding_groups": (1, 32768),
    "num_conv_pos_embeddings": (1, 4096),
    "num_mel_bins": (1, 1024),
    "patch_size": (1, 512),
    "right_max_position_embeddings": (0, 65536),
    "squeeze_factor": (1, 64),
    "subsampling_conv_channels": (1, 8192),
    "subsampling_conv_kernel_size": (1, 64),
    "subsampling_conv_stride": (1, 16),
    "subsampling_factor": (1, 64),
    "time_stride": (1, 512),
}
_LISTS: Mapping[str, tuple[int, int]] = {
    "conv_dim": (1, 8192),
    "conv_kernel": (1, 4096),
    "conv_stride": (1, 4096),
}
# Of the layers behind the encoder that some checkpoints have (add_adapter).
_BEHIND: Mapping[str, tuple[int, int]] = {
    "num_adapter_layers": (0, 64),
    "adapter_kernel_size": (1, 1024),
    "adapter_stride": (1, 1024),
    "output_hidden_size": (1, 32768),
}
# Sizes whose null has a meaning of its own.
_OPTIONAL = frozenset({"adapter_attn_dim"})
_CONVOLUTIONS = 16
# Of the waveform's front end: from one frame to the next, and the sound under one frame, in
# samples at 16 kHz. Denser frames would need more memory for attention than any machine has.
_HOP = (80, 16000)
_FIELD = 32000
_WEIGHTS = 2e10
_HINT = "Copy or download config.json again, from the model that it belongs to; nothing was built."


def without_null(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out sizes that are null: the family's usual ones are meant, as where they are absent.

    Parameters
    ----------
    config : mapping
        The encoder's own configuration.
    """
    sizes = (_RANGES.keys() | _LISTS.keys() | _BEHIND.keys()) - _OPTIONAL
    return {key: value for key, value in config.items() if value is not None or key not in sizes}


def check_sizes(where: str, config: Mapping[str, Any], family: Family) -> None:
    """Refuse a configuration whose sizes no speech model has.

    Parameters
    ----------
    where : str
        Path of the file, for the message.
    config : mapping
        The encoder's own configuration.
    family : Family

    Raises
    ------
    ModelError
        Names the field and what is allowed.
    """
    for key, value, (low, high) in _numbers(config, family):
        if not _is_whole(value) or not low <= value <= high:
            raise _refused(where, key, value, f"a whole number from {low} to {high}")
    width, heads = config[family.width_key], config.get(family.heads_key)
    if heads is not None and width % heads:
        raise _refused(where, family.heads_key, heads, f"a divisor of the width {width}")
    if family.front == "waveform":
        _check_convolutions(where, config, width)
    if family.front == "patches" and config.get("patch_size", 16) > config.get("num_mel_bins", 128):
        raise _refused(where, "patch_size", config["patch_size"], "at most num_mel_bins")
    n_weights = config[family.n_blocks_key] * width * (4 * width + 2 * _inner(config, family))
    if n_weights > _WEIGHTS:
        raise ModelError(
            f"{where} asks for {n_weights / 1e9:.0f} billion weights",
            hint=f"No speech model has more than {_WEIGHTS / 1e9:.0f} billion. {_HINT}",
        )


def _numbers(
    config: Mapping[str, Any], family: Family
) -> Iterator[tuple[str, Any, tuple[int, int]]]:
    """Yield every number that is there, with its range."""
    yield family.n_blocks_key, config.get(family.n_blocks_key), _BLOCKS
    yield family.width_key, config.get(family.width_key), _WIDTH
    ranges = _RANGES | {family.heads_key: _WIDTH, family.inner_key: _INNER}
    if config.get("add_adapter"):
        ranges |= _BEHIND
    for key, allowed in ranges.items():
        if config.get(key) is not None:
            yield key, config[key], allowed


def _check_convolutions(where: str, config: Mapping[str, Any], width: int) -> None:
    given = {key: config[key] for key in _LISTS if config.get(key) is not None}
    for key, values in given.items():
        low, high = _LISTS[key]
        good = isinstance(values, list | tuple) and 1 <= len(values) <= _CONVOLUTIONS
        if not good or not all(_is_whole(value) and low <= value <= high for value in values):
            allowed = f"up to {_CONVOLUTIONS} whole numbers from {low} to {high}"
            raise _refused(where, key, values, allowed)
    if len({len(values) for values in given.values()}) > 1:
        raise ModelError(
            f"{where} gives {', '.join(f'{len(v)} values of {k}' for k, v in given.items())}",
            hint=f"Every convolution has one of each. {_HINT}",
        )
    groups = config.get("num_conv_pos_embedding_groups")
    if groups is not None and width % groups:
        name = "num_conv_pos_embedding_groups"
        raise _refused(where, name, groups, f"a divisor of the width {width}")
    if "conv_kernel" in given and "conv_stride" in given:
        _check_frames(where, given["conv_kernel"], given["conv_stride"])


def _check_frames(where: str, kernels: list[int], strides: list[int]) -> None:
    hop, field = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    low, high = _HOP
    if not low <= hop <= high or field > _FIELD:
        raise ModelError(
            f"{where} sets conv_kernel and conv_stride so that a frame hears {field} samples and "
            f"comes every {hop}",
            hint=f"At most {_FIELD} samples, every {low} to {high}, at 16 kHz. {_HINT}",
        )


def _inner(config: Mapping[str, Any], family: Family) -> int:
    given = config.get(family.inner_key)
    return int(given if given is not None else 4 * config[family.width_key])


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refused(where: str, key: str, value: Any, allowed: str) -> ModelError:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}..."
    return ModelError(f"{where} sets {key} to {shown}", hint=f"It must be {allowed}. {_HINT}")
