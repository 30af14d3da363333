"""Which weights are trained: all behind the front end, or low-rank adapters."""

import logging
from typing import Any

import torch
from torch import nn

from braindash.errors import InputError
from braindash.specs import AdapterSettings
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.checkpoints.merging import alters
from braindash.speech.models import load_encoder

logger = logging.getLogger(__name__)

# The parts of an encoder that never learn: convolutions over the waveform or spectrogram.
_FRONT_END = ("feature_extractor.", "conv1.", "conv2.", "embed_positions.")
_DROPOUTS = ("dropout", "attention_dropout", "activation_dropout")
_MASK = "masked_spec_embed"
# A change of a weight that no feature shows: of its size, and where it was 0.
_ROUNDING, _UNDERFLOW = 1e-6, 1e-12


def adapted_layers(family: str, settings: AdapterSettings) -> tuple[str, ...]:
    """Name the linear layers that get adapters.

    Raises
    ------
    InputError
        When a layer was asked for whose weights this family reads past the adapter.
    """
    facts = FAMILIES[family]
    layers = settings.layers or facts.adapted
    deaf = sorted(set(layers) & set(facts.deaf_adapters))
    if deaf:
        raise InputError(
            f"adapters on {', '.join(deaf)} would learn nothing: {family} reads these weights "
            "past the adapter",
            hint=f"Adapt {', '.join(facts.adapted)} instead.",
        )
    return layers


def prepare(
    encoder: nn.Module, family: str, adapter: AdapterSettings | None, *, dropout: float, seed: int
) -> Any:
    """Freeze the front end, switch LayerDrop off and set the dropout; add adapters if asked.

    Parameters
    ----------
    encoder : nn.Module
        Bare encoder; changed in place.
    family : str
        Key of :data:`braindash.speech.checkpoints.families.FAMILIES`.
    adapter : AdapterSettings or None
        None: everything behind the front end is trained.
    dropout : float
        Of hidden states, attention and activations; adapters have their own.
    seed : int
        Adapters start from it.

    Returns
    -------
    nn.Module
        The encoder, or peft's wrapper around it.
    """
    config: Any = encoder.config
    for name in ("layerdrop", "encoder_layerdrop"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    if hasattr(encoder, "layerdrop"):
        setattr(encoder, "layerdrop", 0.0)  # noqa: B010
    # Masks are drawn by the network from torch's generator; transformers would ask numpy's.
    config.apply_spec_augment = False
    _set_dropout(encoder, dropout)
    for name, parameter in encoder.named_parameters():
        frozen = name.startswith(_FRONT_END) or name == _MASK
        parameter.requires_grad_(adapter is None and not frozen)
    if adapter is None:
        return encoder
    from peft import LoraConfig, get_peft_model

    layers = adapted_layers(family, adapter)
    settings = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type]  # peft multiplies by it
        lora_dropout=adapter.dropout,
        target_modules=list(layers),
        bias="none",
    )
    found = {name.rpartition(".")[2] for name, part in encoder.named_modules() if _is_linear(part)}
    if set(layers) - found:
        raise InputError(
            f"the model has no linear layers {', '.join(sorted(set(layers) - found))}",
            hint=f"Allowed: {', '.join(sorted(found))}.",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(encoder, settings)


def has_learned(wrapper: Any, files: ModelFiles) -> bool:
    """Say whether training changed what the encoder computes.

    Adapters that change no weight beyond rounding learned nothing: opened, they would be refused.

    Parameters
    ----------
    wrapper : nn.Module
        The bare encoder, or peft's wrapper around it.
    files : ModelFiles
        What it was before.
    """
    adapted = [part for part in wrapper.modules() if hasattr(part, "get_delta_weight")]
    with torch.no_grad():
        if adapted:
            return any(
                alters(part.weight, part.weight + part.get_delta_weight("default"))
                for part in adapted
            )
        before = dict(load_encoder(files).named_parameters())
        return any(
            not torch.allclose(before[name], weight.cpu(), rtol=_ROUNDING, atol=_UNDERFLOW)
            for name, weight in wrapper.named_parameters()
            if weight.requires_grad
        )


def _is_linear(part: nn.Module) -> bool:
    return isinstance(part, nn.Linear)


def _set_dropout(encoder: nn.Module, dropout: float) -> None:
    for part in encoder.modules():
        if isinstance(part, nn.Dropout):
            part.p = dropout
            continue
        for name in _DROPOUTS:
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, dropout)
