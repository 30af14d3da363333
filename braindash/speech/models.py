"""Open speech models: located, loaded in full or not at all, and probed once.

Acoustic feature spaces are opened here too: they have one layer and nothing to load.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from braindash.core.devices import find_device, tell_memory
from braindash.errors import InputError, ModelError
from braindash.speech.acoustic.model import AcousticModel, open_space
from braindash.speech.acoustic.spaces import ACOUSTIC
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.languages import put_language
from braindash.speech.checkpoints.loading import (
    draw_encoder,
    quiet_transformers,
    read_encoder,
    require_finite,
    shuffle,
)
from braindash.speech.checkpoints.locate import (
    SAMPLE_RATE_HZ,
    ModelFiles,
    Precision,
    locate,
    require_precision,
)
from braindash.speech.checkpoints.merging import merge, read_adapter
from braindash.speech.geometry import Geometry

if TYPE_CHECKING:
    from torch import nn

    from braindash.speech.encoder.encoder import Encoder

__all__ = [
    "AcousticModel",
    "ModelFiles",
    "SpeechModel",
    "locate",
    "open_model",
]


@dataclass(frozen=True, eq=False)
class SpeechModel:
    """A speech model in eval mode, ready for :func:`braindash.speech.features.extract`.

    Parameters
    ----------
    module : torch.nn.Module
        The bare encoder, float32, on ``device``. Use it from one thread at a time.
    encoder : Encoder
        What runs it.
    name : str
        Short name for tables and figures.
    family : str
        Key of :data:`braindash.speech.checkpoints.families.FAMILIES`.
    fingerprint : str
        Digest of configuration, normalisation and weights.
    n_layers : int
        Layers of a feature array: 0 is the input of the first transformer block, 1 to
        ``n_layers - 1`` are the outputs of the blocks (the last one behind the final layer norm).
    n_features : int
        Width of every layer.
    geometry : Geometry
        How frames lie in the audio.
    normalise : bool
        True when each window is brought to zero mean and unit variance.
    n_parameters : int
        Parameters of the encoder.
    device : str
        Where it runs: ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    precision : {"float32", "bf16", "fp16"}
        Its arithmetic.
    """

    module: "nn.Module" = field(repr=False)
    encoder: "Encoder" = field(repr=False)
    name: str
    family: str
    fingerprint: str
    n_layers: int
    n_features: int
    geometry: Geometry
    normalise: bool
    n_parameters: int
    device: str
    precision: Precision

    @property
    def hop_samples(self) -> int:
        """Samples at 16 kHz from one frame to the next."""
        return self.geometry.hop

    @property
    def receptive_field_samples(self) -> int:
        """Samples up to the first frame's time; the shortest input."""
        return self.geometry.first

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return SAMPLE_RATE_HZ / self.geometry.hop


def open_model(
    source: str | Path | ModelFiles, *, device: str = "auto", precision: Precision | None = None
) -> SpeechModel | AcousticModel:
    """Load a speech model and probe it once, or open an acoustic feature space.

    Parameters
    ----------
    source : str, Path or ModelFiles
        Whatever :func:`locate` takes (a local folder, a hub id, ``"untrained:..."``,
        ``"acoustic:NAME"``), or what it returned.
    device : {"auto", "cpu", "cuda", "cuda:N"}, default "auto"
        Where to run; "auto" takes a CUDA device when there is one. Acoustic spaces always run on
        the CPU.
    precision : {"float32", "bf16", "fp16"}, optional
        Arithmetic; by default that of ``source``, float32 for all but a ModelFiles that says
        otherwise. bf16 and fp16 need a CUDA device (on CPUs they are slower than float32).

    Returns
    -------
    SpeechModel or AcousticModel

    Raises
    ------
    ModelError
        When weights are missing, misshapen, damaged or not finite: a model never keeps random
        weights, unless it is an untrained control.
    InputError
        For a device or a precision that cannot be used.
    ResourceError
        When the device is not there.
    """
    files = _located(source, precision)
    if files.family == ACOUSTIC:
        return open_space(files.name)
    if not files.is_speech:
        raise InputError(
            f"{files.name} is made of words, not of sound",
            hint="Use it with `braindash encode` and a manifest whose dataset.alignment_dir holds "
            "TextGrids.",
        )
    chosen = find_device(device)
    require_precision(files, chosen.type)
    module = load_encoder(files).to(chosen).eval()
    encoder = _probed(module, files)
    return SpeechModel(
        module=module,
        encoder=encoder,
        name=files.name,
        family=files.family,
        fingerprint=files.fingerprint,
        n_layers=files.n_layers,
        n_features=files.n_features,
        geometry=encoder.front.geometry,
        normalise=files.normalise,
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        device=str(chosen),
        precision=files.precision,
    )


def load_encoder(files: ModelFiles) -> "nn.Module":
    """Load the bare encoder in float32 on the CPU.

    Raises
    ------
    ModelError
        When weights are missing, misshapen, damaged or not finite: a model never keeps random
        weights, unless it is an untrained control.
    """
    import torch

    # transformers and peft draw numbers that the weights then replace.
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        if files.seed is not None:
            return draw_encoder(files, files.seed)
        whole = _read_whole(files)
        require_finite(whole, files)
        return whole if files.shuffled is None else shuffle(whole, files.shuffled)


def _read_whole(files: ModelFiles) -> "nn.Module":
    """Read a model that has weights, and put into them what changes it."""
    if files.base is None:
        return read_encoder(files)
    encoder = read_encoder(files.base)
    if files.language is None:
        return merge(encoder, files)
    parents = FAMILIES[files.family].parents
    return put_language(encoder, read_adapter(files), files.weights[-1], parents)


def _located(source: str | Path | ModelFiles, precision: Precision | None) -> ModelFiles:
    if not isinstance(source, ModelFiles):
        return locate(source, precision=precision or "float32")
    if precision not in (None, source.precision):
        raise InputError(
            f"the precision {precision!r} was given for a model located with {source.precision!r}",
            hint="Give the precision to `locate`: it is part of the fingerprint.",
        )
    return source


def _probed(module: "nn.Module", files: ModelFiles) -> "Encoder":
    """Run silence of three frames: check layers, width, frame rate and finiteness."""
    from braindash.speech.encoder.encoder import Encoder

    try:
        encoder = Encoder(module, files.precision, files.scale)
        geometry = encoder.front.geometry
        n_samples = geometry.first + 2 * geometry.hop
        silence = np.zeros((1, n_samples), np.float32)
        features = encoder.layer_frames(encoder.embed(silence), slice(0, None))
    except Exception as error:
        tell_memory(error, f"the model in {files.folder}")
        # What a configuration that does not fit together raises differs from family to family.
        raise ModelError(
            f"the model in {files.folder} cannot be run: {type(error).__name__}: "
            f"{' '.join(str(error).split())}",
            hint="Copy or download config.json again, from the model that the weights belong to.",
        ) from error
    _, n_frames, n_layers, n_features = features.shape
    expected = geometry.n_frames(geometry.padded or n_samples)
    if n_frames != expected:
        raise ModelError(
            f"the model in {files.folder} gives {n_frames} frames where its configuration "
            f"promises {expected}",
            hint="Check conv_kernel and conv_stride in config.json.",
        )
    if (n_layers, n_features) != (files.n_layers, files.n_features):
        raise ModelError(
            f"the model in {files.folder} has {n_layers} layers of width {n_features} where its "
            f"configuration promises {files.n_layers} of {files.n_features}",
            hint="Copy or download the model again.",
        )
    if not np.isfinite(features).all():
        raise ModelError(
            f"the model in {files.folder} answers silence with NaN or infinite values",
            hint="Its weights are damaged or were saved after training diverged; use another copy.",
        )
    return encoder
