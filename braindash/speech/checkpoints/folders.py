"""Read the folder of a checkpoint, without torch: configuration, preprocessing, weights."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from braindash.digests import digest_input
from braindash.errors import ModelError, near_match
from braindash.files import digest_json, parse_json, refuse_placeholder
from braindash.speech.checkpoints.families import FAMILIES, Family

logger = logging.getLogger(__name__)

SAMPLE_RATE_HZ = 16000
# Samples from one frame of a padded model (Whisper) to the next, and per column of its spectrogram.
PADDED_HOP = 320
_SPECTRAL_HOP = 160
_SPECTRAL_WINDOW = 400

# What a brain-tuned model's folder tells of its tuning.
TUNING_RECORD = "tuning.json"
CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json")
# Best first: safetensors hold nothing but arrays; transformers reads the others with weights_only.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
FOLDER_HINT = (
    "Give a folder that holds config.json and model.safetensors, as written by "
    "`model.save_pretrained(folder)` or `hf download ID --local-dir FOLDER`."
)
_OTHER_WEIGHTS = "transformers_weights"
# Fields that say how or by whom a checkpoint was written, not what the model computes.
_VOLATILE = frozenset(
    {
        "architectures",
        "attn_implementation",
        "dtype",
        "gradient_checkpointing",
        "id2label",
        "label2id",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "torch_dtype",
        "transformers_version",
    }
)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    ModelError
        When the file cannot be read or holds anything else, or numbers that JSON does not have.
    """
    refuse_placeholder(path, "model file", ModelError)
    try:
        content = parse_json(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", hint="Copy or download the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object", hint="Copy or download the model again.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` as it is.

    Raises
    ------
    ModelError
        When there is none, or it sends transformers to other weights than the usual ones.
    """
    if not os.path.lexists(folder / "config.json"):
        raise ModelError(f"{folder} has no config.json", hint=FOLDER_HINT)
    config = read_json(folder / "config.json")
    # transformers would load that file, while the fingerprint is that of the usual one.
    if config.get(_OTHER_WEIGHTS) is not None:
        raise ModelError(
            f"{folder / 'config.json'} sets {_OTHER_WEIGHTS} to {config[_OTHER_WEIGHTS]!r}",
            hint=f"Name the weights model.safetensors and take {_OTHER_WEIGHTS} out.",
        )
    return config


def find_family(folder: Path, config: Mapping[str, Any]) -> Family:
    """Look up the family that ``config.json`` names, and check that it tells the model's size.

    Raises
    ------
    ModelError
        When braindash knows no such family, or the size is missing.
    """
    name = config.get("model_type")
    if not (isinstance(name, str) and name in FAMILIES):
        raise ModelError(
            f"{folder / 'config.json'} names the model type {name!r}, which braindash cannot open",
            hint=near_match(str(name), FAMILIES),
        )
    family = FAMILIES[name]
    for key in (family.n_blocks_key, family.width_key):
        if not (isinstance(config.get(key), int) and config[key] > 0):
            raise ModelError(
                f"{folder / 'config.json'} sets {key} to {config.get(key)!r}",
                hint="Copy or download the model again: a speech model tells its size there.",
            )
    return family


def common_names(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return a configuration with the model's size under the same names for every family."""
    size = {"num_hidden_layers": family.n_blocks_key, "hidden_size": family.width_key}
    return dict(config) | {name: config[key] for name, key in size.items()}


def read_normalisation(folder: Path, config: Mapping[str, Any], family: Family) -> bool:
    """Read whether the preprocessor normalises the waveform, and check its other settings.

    Parameters
    ----------
    folder : Path
    config : mapping
        Content of ``config.json``.
    family : Family

    Returns
    -------
    bool
        True when each window of audio must be brought to zero mean and unit variance.

    Raises
    ------
    ModelError
        When the model wants audio or a spectrogram that braindash does not make.
    """
    settings, where = _preprocessor(folder)
    if not settings and not family.padded:
        logger.warning("%s has no preprocessor_config.json: windows are normalised", folder)
    rate = settings.get("sampling_rate", SAMPLE_RATE_HZ)
    normalise = settings.get("do_normalize", not family.padded)
    if rate != SAMPLE_RATE_HZ or not isinstance(normalise, bool):
        raise ModelError(
            f"{where} asks for sampling_rate {rate!r} and do_normalize {normalise!r}",
            hint=f"braindash runs models at {SAMPLE_RATE_HZ} Hz; do_normalize is true or false.",
        )
    if family.padded:
        _check_spectrogram(settings, where, config)
    return normalise


def _preprocessor(folder: Path) -> tuple[dict[str, Any], Path]:
    settings: dict[str, Any] = {}
    where = folder / "preprocessor_config.json"
    if where.exists():
        settings = read_json(where)
    if (folder / "processor_config.json").exists():
        # Newer versions of transformers nest the same settings in the processor's file.
        nested = read_json(folder / "processor_config.json")
        nested = nested.get("feature_extractor", nested.get("audio_processor", {}))
        if nested:
            settings, where = nested, folder / "processor_config.json"
    return settings, where


def _check_spectrogram(settings: Mapping[str, Any], where: Path, config: Mapping[str, Any]) -> None:
    """Refuse settings under which the same audio would give another spectrogram."""
    wanted = {
        "feature_size": config.get("num_mel_bins"),
        "chunk_length": padded_samples(config) / SAMPLE_RATE_HZ,
        "hop_length": _SPECTRAL_HOP,
        "n_fft": _SPECTRAL_WINDOW,
        "dither": 0.0,
        "padding_value": 0.0,
    }
    for name, value in wanted.items():
        if settings.get(name, value) != value:
            raise ModelError(
                f"{where} sets {name} to {settings[name]!r}; for this model it must be {value!r}",
                hint="Copy or download the model again: preprocessor and config.json belong "
                "together.",
            )


def padded_samples(config: Mapping[str, Any]) -> int:
    """Length of the input of a padded model, in samples at 16 kHz (480000 for Whisper).

    Raises
    ------
    ModelError
        When the configuration does not tell a whole number of seconds.
    """
    n_positions = config.get("max_source_positions")
    if not isinstance(n_positions, int) or n_positions < 1 or n_positions * PADDED_HOP % 16000:
        raise ModelError(
            f"config.json sets max_source_positions to {n_positions!r}",
            hint="It is a whole number of seconds at 50 positions per second: 1500 for Whisper.",
        )
    return n_positions * PADDED_HOP


def find_weights(folder: Path) -> tuple[Path, ...]:
    """List the files that hold the weights.

    Raises
    ------
    ModelError
        When there are none, parts are missing, or a file is only a pointer to the weights.
    """
    first = next((folder / name for name in WEIGHTS if os.path.lexists(folder / name)), None)
    if first is None:
        raise ModelError(
            f"{folder} has a configuration but no weights (looked for {', '.join(WEIGHTS)})",
            hint=f"{FOLDER_HINT} braindash never starts from random weights, unless you ask for "
            "them (untrained:FOLDER).",
        )
    files = _parts(first) if first.name.endswith(".index.json") else (first,)
    for path in files:
        check_weights(path)
    return files


def _parts(index: Path) -> tuple[Path, ...]:
    """Files that the index of a model in several parts names; all lie next to it."""
    named = read_json(index).get("weight_map")
    names = list(named.values()) if isinstance(named, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise ModelError(
            f"{index} names no weights, or some outside its folder",
            hint="Copy or download the model again.",
        )
    return tuple(index.parent / name for name in sorted(set(names)))


def check_weights(path: Path) -> None:
    """Refuse a file of weights that is missing, or a placeholder of the weights.

    Raises
    ------
    ModelError
    """
    refuse_placeholder(path, "model file", ModelError)
    if not path.is_file():
        raise ModelError(
            f"the weights are incomplete: {path} is missing",
            hint="Copy or download the model again, with all its parts.",
        )


def computed_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that changes what the model computes."""
    return {
        name: value
        for name, value in config.items()
        if name not in _VOLATILE and not name.startswith("_")
    }


def whole_fingerprint(config: Mapping[str, Any], normalise: bool, weights: tuple[Path, ...]) -> str:
    """Digest of configuration, normalisation and the bytes of the weights."""
    # Names of the parts play no part: the same tensors under other file names are the same model.
    digests = sorted(digest_input(path) for path in weights)
    return digest_json(
        {"config": computed_part(config), "normalise": normalise, "weights": digests}
    )
