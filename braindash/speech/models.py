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
from braindash.speech.checkpoints.locate import (
    SAMPLE_RATE_HZ,
    ModelFiles,
    Precision,
    locate,
    require_precision,
)
from braindash.speech.windows import Geometry

if TYPE_CHECKING:
    from torch import nn

    from braindash.speech.encoder.encoder import Encoder
import importlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from braindash.speech.checkpoints.families import FAMILIES, Family
from braindash.speech.checkpoints.locate import ADAPTER_WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

_LISTED_KEYS = 6
_PEFT_PREFIX = "base_model.model."
_LORA = "lora_"


def load_encoder(files: ModelFiles) -> "nn.Module":
    """Load the bare encoder in float32 on the CPU.

    Raises
    ------
    ModelError
        When weights are missing, misshapen or damaged: a model never keeps random weights, unless
        it is an untrained control.
    """
    import torch

    # transformers and peft draw numbers that the weights then replace.
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        if files.seed is not None:
            return _draw(files, files.seed)
        module = _read(files) if files.base is None else _merge(_read(files.base), files)
        return module if files.shuffled is None else _shuffle(module, files.shuffled)


def encoder_class(family: Family) -> Any:
    """Return transformers' class of the bare encoder."""
    return getattr(importlib.import_module(family.module), family.class_name)


def _read(files: ModelFiles) -> "nn.Module":
    """Read the weights into the family's class; refuse everything that would stay random."""
    import torch

    family = FAMILIES[files.family]
    # transformers itself takes one parent off: that of the family's whole models.
    parents = "|".join(parent.replace(".", r"\.") for parent in family.parents if parent)
    try:
        module: nn.Module
        module, report = encoder_class(family).from_pretrained(
            files.folder,
            dtype=torch.float32,
            output_loading_info=True,
            local_files_only=True,
            weights_only=True,
            key_mapping={f"^({parents})": ""} if family.padded else None,
            # Listed in the report and refused below, with names and shapes.
            ignore_mismatched_sizes=True,
        )
    except Exception as error:
        tell_memory(error, f"the model in {files.folder}")
        # Damaged weights raise errors of many kinds: safetensors', zipfile's, torch's and others.
        raise ModelError(
            f"the model in {files.folder} cannot be loaded: {type(error).__name__}: {error}",
            hint="Copy or download the model again; the file is probably damaged or cut short.",
        ) from error
    _check_report(files, family, report)
    return module


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
    _tell_unexpected(files, sorted(report["unexpected_keys"]))


def _tell_unexpected(files: ModelFiles, unexpected: list[str]) -> None:
    if not unexpected:
        return
    # A head or a decoder is left out on purpose; a block of the encoder hardly ever.
    usual = not any("encoder.layers." in f"encoder.{key}" for key in unexpected)
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


# Untrained controls -----------------------------------------------------------------------------


def _draw(files: ModelFiles, seed: int) -> "nn.Module":
    """Make the model as transformers initialises it, on the CPU; sets torch's seed."""
    import torch
    import transformers

    family = FAMILIES[files.family]
    try:
        config = getattr(transformers, family.config_name).from_pretrained(
            files.folder, local_files_only=True
        )
        torch.manual_seed(seed)
        module: nn.Module = encoder_class(family)(config)
    except Exception as error:
        tell_memory(error, f"an untrained model like the one in {files.folder}")
        # What a broken configuration raises differs from family to family.
        raise ModelError(
            f"no model can be made of the configuration in {files.folder}: "
            f"{type(error).__name__}: {error}",
            hint="Copy or download config.json again.",
        ) from error
    return module.float()


def _shuffle(module: "nn.Module", seed: int) -> "nn.Module":
    """Put the weights of every tensor into another order: their sizes stay, what they know goes."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weights in sorted(module.named_parameters()):
            order = torch.randperm(weights.numel(), generator=draw)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return module


# Adapters ---------------------------------------------------------------------------------------


def _merge(encoder: "nn.Module", files: ModelFiles) -> "nn.Module":
    """Put a low-rank adapter into the weights, ``W + alpha / r * B A`` and its variants."""
    from peft import LoraConfig, PeftModel, set_peft_model_state_dict

    family = FAMILIES[files.family]
    stored, parent = _adapter_tensors(files, family)
    holder = _held(encoder, parent)
    try:
        config = LoraConfig.from_pretrained(str(files.folder))
        config.modules_to_save = [
            name for name in config.modules_to_save or () if _has_part(holder, name)
        ] or None
        wrapped = PeftModel(holder, config)
        outcome: Any = set_peft_model_state_dict(wrapped, stored)
    except Exception as error:
        tell_memory(error, f"the adapter in {files.folder} with its base")
        # peft's own errors are of many kinds, from names that fit nothing to shapes.
        raise ModelError(
            f"the adapter in {files.folder} does not fit its base {_base_name(files)}: "
            f"{type(error).__name__}: {error}",
            hint="Check that base_model_name_or_path names the model it was trained on, of the "
            "same size.",
        ) from error
    own = {name for name, _ in wrapped.named_parameters() if _LORA in name}
    missing = sorted(own & set(outcome.missing_keys))
    if missing or not own or outcome.unexpected_keys:
        wrong = missing or sorted(outcome.unexpected_keys) or ["no layer has an adapter"]
        raise ModelError(
            f"the adapter in {files.folder} and its base {_base_name(files)} do not have the same "
            f"layers: {_shortened(wrong)}",
            hint="Check that base_model_name_or_path names the model it was trained on.",
        )
    tell_deaf(files.name, family, own)
    merge: Any = wrapped.merge_and_unload  # it changes the encoder in place
    merge()
    return encoder


def _adapter_tensors(files: ModelFiles, family: Family) -> tuple[dict[str, "Tensor"], str]:
    """Read the encoder's share of an adapter, and the name of what the encoder was part of."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = files.folder / ADAPTER_WEIGHTS
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", hint="Copy the adapter again; it is damaged."
        ) from error
    for parent in family.parents:
        prefix = f"{_PEFT_PREFIX}{parent}"
        mine = {name: tensor for name, tensor in stored.items() if name.startswith(prefix)}
        if any(_LORA in name for name in mine):
            _tell_unexpected(files, sorted(set(stored) - set(mine)))
            return mine, parent
    raise ModelError(
        f"{path} holds no low-rank weights of a {family.name} encoder: "
        f"{_shortened(sorted(stored))}",
        hint=f"Names of peft begin with {_PEFT_PREFIX!r}; check that base and adapter belong "
        "together.",
    )


def _held(encoder: "nn.Module", parent: str) -> "nn.Module":
    """Put the encoder where it lay when the adapter was trained, such as ``model.encoder``."""
    from torch import nn

    held = encoder
    for part in reversed(parent.split(".")[:-1]):
        outer = nn.Module()
        outer.add_module(part, held)
        held = outer
    return held


def _has_part(holder: "nn.Module", name: str) -> bool:
    return any(part == name or part.endswith(f".{name}") for part, _ in holder.named_modules())


def tell_deaf(name: str, family: Family, weights: Iterable[str]) -> None:
    """Warn when adapters sit where the family does not hear them while they are trained.

    Parameters
    ----------
    name : str
        What the adapters belong to, for the message.
    family : Family
    weights : iterable of str
        Names of adapted layers, or of their weights.
    """
    parts = {part for weight in weights for part in weight.split(".")}
    deaf = sorted(parts.intersection(family.deaf_adapters))
    if deaf:
        logger.warning(
            "%s: %s reads the weights of %s past the adapter, so training there through "
            "transformers and peft had no effect; they are merged as stored. Adapt the "
            "feed-forward layers (intermediate_dense, output_dense) instead.",
            name,
            family.name,
            ", ".join(deaf),
        )


def _base_name(files: ModelFiles) -> str:
    return files.base.name if files.base is not None else files.name


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' own progress bar and load report: ours names what matters."""
    from transformers.utils import logging as chatter_of_transformers

    chatter: Any = chatter_of_transformers  # its functions are not annotated
    verbosity, bars = chatter.get_verbosity(), chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(verbosity)
        if bars:
            chatter.enable_progress_bar()


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
    from braindash.speech.encoder.encoder import Encoder

    chosen = find_device(device)
    require_precision(files, chosen.type)
    module = load_encoder(files).to(chosen).eval()
    encoder = Encoder(module, files.precision)
    n_layers, n_features = _probe(encoder, files)
    return SpeechModel(
        module=module,
        encoder=encoder,
        name=files.name,
        family=files.family,
        fingerprint=files.fingerprint,
        n_layers=n_layers,
        n_features=n_features,
        geometry=encoder.front.geometry,
        normalise=files.normalise,
        n_parameters=sum(parameter.numel() for parameter in module.parameters()),
        device=str(chosen),
        precision=files.precision,
    )


def _located(source: str | Path | ModelFiles, precision: Precision | None) -> ModelFiles:
    if not isinstance(source, ModelFiles):
        return locate(source, precision=precision or "float32")
    if precision not in (None, source.precision):
        raise InputError(
            f"the precision {precision!r} was given for a model located with {source.precision!r}",
            hint="Give the precision to `locate`: it is part of the fingerprint.",
        )
    return source


def _probe(encoder: "Encoder", files: ModelFiles) -> tuple[int, int]:
    """Run silence of three frames: count layers and width, check frame rate and finiteness."""
    geometry = encoder.front.geometry
    n_samples = geometry.first + 2 * geometry.hop
    silence = np.zeros((1, n_samples), np.float32)
    features = encoder.layer_frames(encoder.embed(silence), slice(0, None))
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
    return n_layers, n_features
