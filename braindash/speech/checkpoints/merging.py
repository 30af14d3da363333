"""Put a low-rank adapter, as peft saves it, into the weights of its base."""

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import regex

from braindash.core.devices import tell_memory
from braindash.errors import ModelError
from braindash.speech.checkpoints.families import FAMILIES, Family
from braindash.speech.checkpoints.folders import read_json
from braindash.speech.checkpoints.loading import (
    load_pickled_tensors,
    parts_of,
    shortened,
    tell_unexpected,
)
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.checkpoints.places import ADAPTER_CONFIG
from braindash.speech.checkpoints.tensors import unwrapped

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

_PEFT_PREFIX = "base_model.model."
_LORA = "lora_"
_BLOCK = re.compile(r"\.layers?\.(\d+)\.")
# Of a weight's norm: what rounding alone moves when an adapter of zeros is merged.
_ROUNDING = 1e-6
_PATTERN_SECONDS = 1.0
# PiSSA takes the base apart anew when it is loaded, in so many steps; its authors take 16.
_STEPS = re.compile(r"pissa_niter_(\d+)")
_MOST_STEPS = 100


def merge(encoder: "nn.Module", files: ModelFiles) -> "nn.Module":
    """Put a low-rank adapter into the weights, ``W + alpha / r * B A`` and its variants.

    Parameters
    ----------
    encoder : nn.Module
        The base; changed in place.
    files : ModelFiles
        The adapter.

    Returns
    -------
    nn.Module
        The encoder.

    Raises
    ------
    ModelError
        When adapter and base do not belong together, or the adapter changes nothing.
    """
    from peft import LoraConfig, PeftModel, set_peft_model_state_dict

    family = FAMILIES[files.family]
    stored, parent = _adapter_tensors(files, family)
    holder = _held(encoder, parent)
    _require_adapted(files, stored, holder)
    made: Any = LoraConfig  # its class methods are not annotated
    try:
        settings = made.check_kwargs(**_settings(files, stored))
        config = made.from_peft_type(**settings)
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
            f"layers: {shortened(wrong)}",
            hint="Check that base_model_name_or_path names the model it was trained on.",
        )
    tell_deaf(files.name, family, own)
    before = {
        name: weight.detach().clone()
        for name, weight in wrapped.named_parameters()
        if name.endswith(".base_layer.weight")
    }
    unloading: Any = wrapped.merge_and_unload  # it changes the encoder in place
    try:
        unloading()
    except NotImplementedError as error:
        raise ModelError(
            f"the adapter in {files.folder} is of a kind that acts beside the weights: {error}",
            hint="braindash takes adapters that can be put into the weights: LoRA, DoRA and their "
            "rank patterns. Train one of these, or give the base alone.",
        ) from error
    _check_effect(files, stored, holder, before)
    return encoder


def lora_strengths(stored: Mapping[str, "Tensor"]) -> dict[str, float]:
    """Compute how strong an adapter is by block: the Euclidean norm of its ``lora_B``.

    ``lora_B`` is zero before training, so a block whose norm is 0 learned nothing.

    Parameters
    ----------
    stored : mapping of str to Tensor
        The adapter's weights.

    Returns
    -------
    dict of str to float
        By the block's number, counted from 1 as layers are, and "other" for what lies outside
        the blocks; in order.
    """
    squares: dict[int, float] = {}
    for name, tensor in stored.items():
        if "lora_B" in name:
            found = _BLOCK.search(name)
            block = int(found[1]) + 1 if found else 0
            squares[block] = squares.get(block, 0.0) + float(tensor.double().square().sum())
    return {str(block) if block else "other": squares[block] ** 0.5 for block in sorted(squares)}


def strength_words(strengths: Mapping[str, float]) -> str:
    """Say in a line how strong an adapter is by block, and which blocks learned nothing."""
    told = ", ".join(f"{block}: {norm:.3g}" for block, norm in strengths.items())
    silent = [block for block, norm in strengths.items() if not norm]
    nothing = f"; nothing learned in the blocks {', '.join(silent)}" if silent else ""
    return f"|lora_B| by block: {told}{nothing}"


def read_adapter(files: ModelFiles) -> dict[str, "Tensor"]:
    """Read an adapter's weights, safetensors or what peft wrote before 0.7; nothing but tensors.

    Raises
    ------
    ModelError
        When the file is damaged or holds anything else.
    """
    import torch
    from safetensors.torch import load_file

    path = files.weights[-1]
    try:
        read = load_file(path) if path.suffix == ".safetensors" else load_pickled_tensors(path)
        odd = [name for name, value in read.items() if not isinstance(value, torch.Tensor)]
        if odd:
            raise ValueError(f"it holds more than tensors: {shortened(list(map(str, odd)))}")
    except Exception as error:
        # safetensors', zipfile's, torch's and the unpickler's errors share no base class.
        raise ModelError(
            f"{path} cannot be read: {' '.join(str(error).split())[:300]}",
            hint="Copy the adapter again; it is damaged, or holds more than tensors.",
        ) from error
    return {unwrapped(name): tensor for name, tensor in read.items()}


def _check_effect(
    files: ModelFiles,
    stored: Mapping[str, "Tensor"],
    holder: "nn.Module",
    before: Mapping[str, "Tensor"],
) -> None:
    """Refuse an adapter that changes nothing: it was never trained, or saved before that."""
    strengths = lora_strengths(stored)
    logger.info("%s: %s", files.name, strength_words(strengths))
    after = dict(holder.named_parameters())
    changed = any(alters(old, after[_merged_name(name)]) for name, old in before.items())
    others = [name for name in stored if _LORA not in name]
    if not changed and not others:
        strongest = max(strengths.values())
        why = (
            f"the largest |lora_B| of a block is {strongest:.3g}, and no weight of the base moves"
            if strongest
            else "all its lora_B are 0, as they are before training"
        )
        raise ModelError(
            f"the adapter in {files.folder} changes nothing: {why}",
            hint=f"Its features would be those of {_base_name(files)}: give that model, or the "
            "adapter of a later step.",
        )
    silent = [block for block, norm in strengths.items() if norm == 0]
    if silent:
        logger.warning(
            "%s: the adapter changes nothing in the blocks %s", files.name, ", ".join(silent)
        )


def alters(old: "Tensor", new: "Tensor") -> bool:
    """Say whether a weight is another one, beyond what rounding does; NaN is another one."""
    same = float((new - old).norm()) <= _ROUNDING * float(old.norm())
    return not same


def _merged_name(name: str) -> str:
    return name.removeprefix(_PEFT_PREFIX).replace(".base_layer.weight", ".weight")


def _adapter_tensors(files: ModelFiles, family: Family) -> tuple[dict[str, "Tensor"], str]:
    """Read the encoder's share of an adapter, and the name of what the encoder was part of."""
    stored = read_adapter(files)
    for parent in family.parents:
        prefix = f"{_PEFT_PREFIX}{parent}"
        mine = {name: tensor for name, tensor in stored.items() if name.startswith(prefix)}
        if any(_LORA in name for name in mine):
            tell_unexpected(files, sorted(set(stored) - set(mine)))
            return mine, parent
    raise ModelError(
        f"{files.weights[-1]} holds no low-rank weights of a {family.name} encoder: "
        f"{shortened(sorted(stored))}",
        hint=f"Names of peft begin with {_PEFT_PREFIX!r}; check that base and adapter belong "
        "together.",
    )


def _settings(files: ModelFiles, stored: Mapping[str, "Tensor"]) -> dict[str, Any]:
    """Read an adapter's settings, with its layers named one by one in place of patterns.

    Which layers are adapted is what the weights say, and of which rank: memory is taken for no
    other. Patterns of ranks and scales are matched here as peft does, but with an end: one from
    elsewhere may be made to take years.
    """
    path = files.folder / ADAPTER_CONFIG
    settings = read_json(path)
    names = (name.removeprefix(_PEFT_PREFIX).partition(f".{_LORA}") for name in stored)
    layers = sorted({layer for layer, found, _ in names if found})
    if isinstance(settings.get("target_modules"), str) or settings.get("layers_pattern"):
        settings["target_modules"] = layers
        settings["layers_to_transform"] = settings["layers_pattern"] = None
    if isinstance(settings.get("exclude_modules"), str):
        settings["exclude_modules"] = None
    for field in ("rank_pattern", "alpha_pattern"):
        patterns = settings.get(field)
        if isinstance(patterns, dict):
            try:
                settings[field] = _by_layer(patterns, layers)
            except (TimeoutError, regex.error) as error:
                raise ModelError(
                    f"{path}: a pattern in {field} cannot be matched: {error}",
                    hint="Name the layers in place of patterns, or simplify these.",
                ) from error
    _require_ranks(path, settings, stored)
    steps = _STEPS.fullmatch(str(settings.get("init_lora_weights")))
    if steps and (len(steps[1]) > 9 or int(steps[1]) > _MOST_STEPS):
        raise ModelError(
            f"{path} asks for {steps[1][:20]} steps of PiSSA to begin with",
            hint=f"At most {_MOST_STEPS} are taken. Write the adapter as plain LoRA: peft's "
            "save_pretrained does that with path_initial_model_for_weight_conversion.",
        )
    return settings


def _require_ranks(path: Path, settings: Mapping[str, Any], stored: Mapping[str, "Tensor"]) -> None:
    """Refuse a rank above that of the weights, before room is made for it."""
    ranks = settings.get("rank_pattern")
    for name, tensor in stored.items():
        layer, found, which = name.removeprefix(_PEFT_PREFIX).partition(f".{_LORA}")
        if not found or not which.startswith(("A", "embedding_A")) or not tensor.ndim:
            continue
        said = settings.get("r")
        if isinstance(ranks, dict):
            said = ranks.get(re.escape(layer), said)
        if isinstance(said, int | float) and said > tensor.shape[0]:
            raise ModelError(
                f"{path} says the rank {said:g} for {layer}, whose weights have the rank "
                f"{tensor.shape[0]}",
                hint="Settings and weights are of two adapters: copy both again.",
            )


def _by_layer(patterns: Mapping[str, Any], layers: Iterable[str]) -> dict[str, Any]:
    """Give each layer the value of the first pattern that fits the end of its name."""
    found: dict[str, Any] = {}
    for layer in layers:
        for pattern, value in patterns.items():
            if regex.match(rf"(.*\.)?({pattern})$", layer, timeout=_PATTERN_SECONDS):
                found[re.escape(layer)] = value
                break
    return found


def _require_adapted(
    files: ModelFiles, stored: Mapping[str, "Tensor"], holder: "nn.Module"
) -> None:
    """Refuse an adapter of a head or a decoder alone, which leaves the encoder as it is."""
    names = {name.removeprefix(_PEFT_PREFIX).partition(f".{_LORA}")[0] for name in stored}
    if names.isdisjoint(name for name, _ in holder.named_modules()):
        raise ModelError(
            f"the adapter in {files.folder} adapts nothing of the encoder of {_base_name(files)}, "
            f"but {', '.join(parts_of(sorted(names)))}",
            hint=f"If {_base_name(files)} is the model it was trained on, its features are those "
            "of that model: give it instead. Otherwise correct base_model_name_or_path.",
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
