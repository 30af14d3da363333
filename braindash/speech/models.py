"""Open speech models: located, loaded in full or not at all, and probed once.

Acoustic feature spaces are opened here too: they have one layer and nothing to load.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from braindash.errors import InputError, ModelError, ResourceError
from braindash.speech.acoustics import AcousticModel, open_space
from braindash.speech.families import FAMILIES, Family
from braindash.speech.files import ModelFiles, locate
from braindash.speech.spaces import ACOUSTIC

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["AcousticModel", "ModelFiles", "SpeechModel", "locate", "open_model"]

logger = logging.getLogger(__name__)

_LISTED_KEYS = 6


@dataclass(frozen=True, eq=False)
class SpeechModel:
    """A speech model in eval mode, ready for :func:`braindash.speech.features.extract`.

    Parameters
    ----------
    module : torch.nn.Module
        The bare encoder, float32, on ``device``. Use it from one thread at a time.
    name : str
        Short name for tables and figures.
    family : str
        Key of :data:`braindash.speech.families.FAMILIES`.
    fingerprint : str
        Digest of configuration, normalisation and weights.
    n_layers : int
        Layers of a feature array: 0 is the input of the first transformer block, 1 to
        ``n_layers - 1`` are the outputs of the blocks (the last one behind the final layer norm).
    n_features : int
        Width of every layer.
    hop_samples : int
        Samples at 16 kHz from one frame to the next.
    receptive_field_samples : int
        Samples that one frame of the convolutional front end covers; the shortest input.
    normalise : bool
        True when each window is brought to zero mean and unit variance.
    n_parameters : int
        Parameters of the encoder.
    device : str
        Where it runs: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    """

    module: "nn.Module" = field(repr=False)
    name: str
    family: str
    fingerprint: str
    n_layers: int
    n_features: int
    hop_samples: int
    receptive_field_samples: int
    normalise: bool
    n_parameters: int
    device: str


def open_model(
    source: str | Path | ModelFiles, *, device: str = "auto"
) -> SpeechModel | AcousticModel:
    """Load a speech model and probe it once, or open an acoustic feature space.

    Parameters
    ----------
    source : str, Path or ModelFiles
        A local folder, a hub id, ``"acoustic:NAME"``, or what :func:`locate` returned.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default "auto"
        Where to run; "auto" takes a CUDA device when there is one. Acoustic spaces always run on
        the CPU.

    Returns
    -------
    SpeechModel or AcousticModel

    Raises
    ------
    ModelError
        When weights are missing, misshapen, damaged or not finite: a model never keeps random
        weights.
    ResourceError
        When the device is not there.
    """
    files = source if isinstance(source, ModelFiles) else locate(source)
    if files.family == ACOUSTIC:
        return open_space(files.name)
    chosen = _device(device)
    module = _load(files).to(chosen).eval()
    hop, field_samples = _front_end(module.config)
    n_layers, n_features = _probe(module, files, hop, field_samples)
    return SpeechModel(
        module=module,
        name=files.name,
        family=files.family,
        fingerprint=files.fingerprint,
        n_layers=n_layers,
        n_features=n_features,
        hop_samples=hop,
        receptive_field_samples=field_samples,
        normalise=files.normalise,
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        device=str(chosen),
    )


def _device(name: str) -> "torch.device":
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise InputError(
            f"there is no device {name!r}", hint="Allowed: 'auto', 'cpu', 'cuda' and 'cuda:N'."
        )
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"the device {name!r} was asked for, but torch sees {torch.cuda.device_count()} "
            "CUDA devices",
            hint="Use device='auto' or 'cpu', or install a CUDA build of torch.",
        )
    return torch.device(name)


def _load(files: ModelFiles) -> "nn.Module":
    """Read the weights into the family's class; refuse everything that would stay random."""
    import torch
    import transformers

    family = FAMILIES[files.family]
    try:
        with _quiet_transformers():
            module: nn.Module
            module, report = getattr(transformers, family.class_name).from_pretrained(
                files.folder,
                dtype=torch.float32,
                output_loading_info=True,
                local_files_only=True,
                weights_only=True,
                # Listed in the report and refused below, with names and shapes.
                ignore_mismatched_sizes=True,
            )
    except Exception as error:
        # Damaged weights raise errors of many kinds: safetensors', zipfile's, torch's and others.
        raise ModelError(
            f"the model in {files.folder} cannot be loaded: {type(error).__name__}: {error}",
            hint="Copy or download the model again; the file is probably damaged or cut short.",
        ) from error
    _check_report(files, family, report)
    return module


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Silence transformers' own progress bar and load report: ours names what matters."""
    from transformers.utils import logging

    chatter: Any = logging  # its functions are not annotated

    verbosity, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if bars:
            chatter.enable_progress_bar()


def _check_report(files: ModelFiles, family: Family, report: dict[str, Any]) -> None:
    missing = sorted(
        key for key in report["missing_keys"] if key.rpartition(".")[2] not in family.never_read
    )
    mismatched = [
        f"{key} ({tuple(found)} instead of {tuple(wanted)})"
        for key, found, wanted in sorted(report["mismatched_keys"])
    ]
    other = list(report.get("error_msgs") or [])
    for problem, keys in (("lacks", missing), ("misshapes", mismatched), ("breaks", other)):
        if keys:
            raise ModelError(
                f"the model in {files.folder} {problem} {len(keys)} of its weights: "
                f"{_shortened(keys)}",
                hint="They would stay random, so the model is refused. Save it again with "
                "`model.save_pretrained(folder)`, or check that config.json belongs to it.",
            )
    unexpected = sorted(report["unexpected_keys"])
    if unexpected:
        # A head is left out on purpose; a block of the encoder hardly ever.
        usual = not any("encoder.layers." in key for key in unexpected)
        logger.log(
            logging.INFO if usual else logging.WARNING,
            "%s: %d weights have no place in the encoder and are left out: %s",
            files.name,
            len(unexpected),
            ", ".join(unexpected),
        )


def _shortened(keys: list[str]) -> str:
    shown = ", ".join(keys[:_LISTED_KEYS])
    return shown if len(keys) <= _LISTED_KEYS else f"{shown} and {len(keys) - _LISTED_KEYS} more"


def _front_end(config: Any) -> tuple[int, int]:
    """Hop and receptive field of the convolutional front end, in samples."""
    hop, receptive_field = 1, 1
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        receptive_field += (kernel - 1) * hop
        hop *= stride
    return hop, receptive_field


def _probe(
    module: "nn.Module", files: ModelFiles, hop: int, receptive_field: int
) -> tuple[int, int]:
    """Run silence of three frames: count layers and width, check frame rate and finiteness."""
    from braindash.speech.forward import layer_frames

    silence = np.zeros((1, receptive_field + 2 * hop), np.float32)
    features = layer_frames(module, silence, slice(None))
    _, n_frames, n_layers, n_features = features.shape
    if n_frames != 3:
        raise ModelError(
            f"the model in {files.folder} gives {n_frames} frames where its configuration "
            "promises 3",
            hint="Check conv_kernel and conv_stride in config.json.",
        )
    if not np.isfinite(features).all():
        raise ModelError(
            f"the model in {files.folder} answers silence with NaN or infinite values",
            hint="Its weights are damaged or were saved after training diverged; use another copy.",
        )
    return n_layers, n_features
