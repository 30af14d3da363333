"""What a model's preprocessor does to the sound, read from its files and checked, without torch."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from braindash.errors import ModelError
from braindash.files import is_number
from braindash.speech.checkpoints.families import Family
from braindash.speech.checkpoints.folders import PADDED_HOP, SAMPLE_RATE_HZ, read_json

logger = logging.getLogger(__name__)

# Samples per column of every spectrogram.
SPECTRAL_HOP = 160
_SPECTRAL_WINDOW = 400
# Of AST's spectrograms: mean and half the scale that AudioSet has, used where a checkpoint has no
# own ones.
_PATCH_SCALE = {"mean": -4.2677393, "std": 4.5689974, "do_normalize": True}
_TOGETHER = "Copy or download the model again: preprocessor and config.json belong together."


def read_normalisation(folder: Path, config: Mapping[str, Any], family: Family) -> bool:
    """Read whether the preprocessor normalises the waveform, and check its other settings.

    Parameters
    ----------
    folder : Path
    config : mapping
        The encoder's own configuration.
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
    usual = family.front == "waveform"
    if not settings:
        done = "windows are normalised" if usual else "the family's usual input is made"
        logger.warning("%s has no preprocessor_config.json: %s", folder, done)
    rate = settings.get("sampling_rate", SAMPLE_RATE_HZ)
    normalise = settings.get("do_normalize", usual)
    if rate != SAMPLE_RATE_HZ or not isinstance(normalise, bool):
        raise ModelError(
            f"{where} asks for sampling_rate {rate!r} and do_normalize {normalise!r}",
            hint=f"braindash runs models at {SAMPLE_RATE_HZ} Hz; do_normalize is true or false.",
        )
    for name, value in _expected(config, family).items():
        if settings.get(name, value) != value:
            raise ModelError(
                f"{where} sets {name} to {settings[name]!r}; for this model it must be {value!r}",
                hint=_TOGETHER,
            )
    # Of the spectrograms, Whisper's alone is made of a waveform that may be normalised.
    return normalise if family.front in ("waveform", "moonshine", "whisper") else False


def read_scale(folder: Path, family: Family) -> dict[str, Any]:
    """Read how the spectrogram is scaled, for the family that leaves it to the checkpoint (AST).

    Parameters
    ----------
    folder : Path
    family : Family

    Returns
    -------
    dict
        ``mean``, ``std`` and ``do_normalize``; empty for all other families.

    Raises
    ------
    ModelError
        When they are no numbers.
    """
    if family.front != "patches":
        return {}
    settings, where = _preprocessor(folder)
    scale = {name: settings.get(name, usual) for name, usual in _PATCH_SCALE.items()}
    numbers = [scale["mean"], scale["std"]]
    if not all(map(is_number, numbers)) or not scale["std"]:
        raise ModelError(
            f"{where} sets mean to {scale['mean']!r} and std to {scale['std']!r}",
            hint="They are two numbers, std not 0. Copy or download the model again.",
        )
    return scale


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


def _expected(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return settings under any other of which the same audio would give another spectrogram."""
    if family.front == "whisper":
        return {
            "feature_size": config.get("num_mel_bins"),
            "chunk_length": padded_samples(config) / SAMPLE_RATE_HZ,
            "hop_length": SPECTRAL_HOP,
            "n_fft": _SPECTRAL_WINDOW,
            "dither": 0.0,
            "padding_value": 0.0,
        }
    if family.front == "nemo":
        return {
            "feature_size": config.get("num_mel_bins", 80),
            "hop_length": SPECTRAL_HOP,
            "win_length": _SPECTRAL_WINDOW,
            "n_fft": 512,
            "preemphasis": 0.97,
        }
    if family.front == "fbank":
        # Two columns side by side enter the model.
        n_bands = config.get("feature_projection_input_dim", 160) // 2
        return {"num_mel_bins": n_bands, "feature_size": n_bands, "stride": 2}
    if family.front == "patches":
        return {
            "num_mel_bins": config.get("num_mel_bins", 128),
            "max_length": config.get("max_length", 1024),
        }
    return {}


def padded_samples(config: Mapping[str, Any]) -> int:
    """Length of the input of Whisper and its like, in samples at 16 kHz (480000 for Whisper).

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


def patch_samples(config: Mapping[str, Any]) -> int:
    """Length of the input of AST, in samples at 16 kHz (163840, 10.24 s)."""
    return int(config.get("max_length", 1024)) * SPECTRAL_HOP
