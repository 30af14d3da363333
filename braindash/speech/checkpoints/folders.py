"""Read the folder of a checkpoint, without torch: configuration, preprocessing, weights."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from braindash.errors import ModelError
from braindash.files import digest_json, parse_json, refuse_placeholder
from braindash.remembered.digests import digest_input
from braindash.speech.checkpoints.families import MODEL_TYPES, NOT_OPENED, Family
from braindash.speech.checkpoints.sizes import check_sizes, without_null

SAMPLE_RATE_HZ = 16000
# Samples from one frame of Whisper's encoder to the next.
PADDED_HOP = 320

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
UNQUANTISED = (
    "Features of rounded weights are other features, and reading them needs a library of the "
    "method. Give the model that it was made from, or its weights as float32, bf16 or fp16 "
    "(transformers: `model.dequantize()`, then `save_pretrained(FOLDER)`)."
)
_OTHER_WEIGHTS = "transformers_weights"
_QUANTISED = "quantization_config"
_LISTED = 6
# What other programs write beside a configuration, and what to do with it.
_OTHER_FILES: Mapping[str, str] = MappingProxyType(
    {
        "tf_model.h5": "weights of TensorFlow",
        "flax_model.msgpack": "weights of JAX",
        "*.gguf": "quantised weights of llama.cpp or whisper.cpp",
        "ggml-*.bin": "quantised weights of whisper.cpp",
        "*.onnx": "a graph of ONNX",
        "*.nemo": "an archive of NeMo",
        "*.mlmodelc": "a model of Core ML",
        "*.pth": "a state dictionary",
        "*.pt": "a state dictionary, or a checkpoint of fairseq",
        "*.ckpt": "a checkpoint of Lightning",
    }
)
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
        text = path.read_text(encoding="utf-8-sig")
        content = parse_json(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read: {error}", hint="Copy or download the model again."
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object", hint="Copy or download the model again.")
    return content


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is larger than any number that is computed with")
    return value


def read_config(folder: Path) -> dict[str, Any]:
    """Read ``config.json`` as it is.

    Raises
    ------
    ModelError
        When there is none, it sends transformers to other weights than the usual ones, or the
        weights are quantised.
    """
    if not os.path.lexists(folder / "config.json"):
        # A trainer's folder holds one per checkpoint, a folder of models one per model.
        inside = sorted({path.parent.name for path in folder.glob("*/*config.json")})
        held = ", ".join(inside[:_LISTED]) + (", ..." if len(inside) > _LISTED else "")
        raise ModelError(
            f"{folder} has no config.json"
            + (f", but folders that have one: {held}" if held else ""),
            hint=f"Give one of these folders. {FOLDER_HINT}" if held else FOLDER_HINT,
        )
    config = read_json(folder / "config.json")
    # transformers would load that file, while the fingerprint is that of the usual one.
    if config.get(_OTHER_WEIGHTS) is not None:
        raise ModelError(
            f"{folder / 'config.json'} sets {_OTHER_WEIGHTS} to {config[_OTHER_WEIGHTS]!r}",
            hint=f"Name the weights model.safetensors and take {_OTHER_WEIGHTS} out.",
        )
    if config.get(_QUANTISED):
        settings = config[_QUANTISED]
        method = settings.get("quant_method") if isinstance(settings, Mapping) else None
        raise ModelError(
            f"the weights in {folder} are quantised ({method or 'by an unnamed method'}), says its "
            "config.json",
            hint=UNQUANTISED,
        )
    return config


def find_family(folder: Path, config: Mapping[str, Any]) -> Family:
    """Look up the family that ``config.json`` names, and check the sizes that it tells.

    Raises
    ------
    ModelError
        When braindash knows no such family, or a size is missing or none that a model has.
    """
    where, name = folder / "config.json", config.get("model_type")
    if not (isinstance(name, str) and name in MODEL_TYPES):
        raise _unknown_type(where, config)
    family = MODEL_TYPES[name]
    encoder = encoder_config(config, family)
    for key in (family.n_blocks_key, family.width_key):
        if encoder.get(key) is None:
            raise ModelError(
                f"{where} sets {key} to {encoder.get(key)!r}",
                hint="Copy or download the model again: a speech model tells its size there.",
            )
    check_sizes(str(where), without_null(encoder), family)
    return family


def _unknown_type(where: Path, config: Mapping[str, Any]) -> ModelError:
    """Say what a configuration is of; never suggest that its type be changed to another."""
    name = config.get("model_type")
    opened = f"braindash opens the model types {', '.join(MODEL_TYPES)}."
    if not isinstance(name, str):
        named = config.get("architectures")
        made = f" It was written for {', '.join(map(str, named))}." if named else ""
        return ModelError(
            f"{where} names no model type (model_type is {name!r})",
            hint="Copy or download config.json again, from the model that the weights belong to: "
            f"transformers writes the type into it.{made} {opened}",
        )
    if name in NOT_OPENED:
        return ModelError(
            f"{where} names the model type {name!r}, which braindash does not open: "
            f"{NOT_OPENED[name]}",
            hint=f"Choose another model. {opened}",
        )
    return ModelError(
        f"{where} names the model type {name!r}, which braindash cannot open",
        hint=f"{opened} Leave model_type as it is: under another name the weights would not fit.",
    )


def encoder_config(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the encoder's own configuration, also where it is part of a larger model's.

    Raises
    ------
    ModelError
        When the part is no JSON object.
    """
    if not family.part or family.part not in config:
        return dict(config)
    part = config[family.part]
    if not isinstance(part, Mapping):
        raise ModelError(
            f"config.json sets {family.part} to {part!r}",
            hint="Copy or download the model again: the encoder's configuration stands there.",
        )
    return dict(part)


def common_names(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return the encoder's configuration, with its size under the same names for every family."""
    own = without_null(encoder_config(config, family))
    size = {"num_hidden_layers": family.n_blocks_key, "hidden_size": family.width_key}
    return own | {name: own[key] for name, key in size.items()}


def find_weights(
    folder: Path, family: Family | None = None, *, present: bool = True
) -> tuple[Path, ...]:
    """List the files that hold the weights.

    Parameters
    ----------
    folder : Path
    family : Family, optional
        Of the audio tower of a larger model, only the parts that hold some of the tower are
        listed, and only these must be there.
    present : bool, default True
        Whether they must be there.

    Raises
    ------
    ModelError
        When there are none, parts are missing, or a file is only a pointer to the weights.
    """
    first = next((folder / name for name in WEIGHTS if os.path.lexists(folder / name)), None)
    if first is None:
        found = _other_files(folder)
        raise ModelError(
            f"{folder} has a configuration but no weights (looked for {', '.join(WEIGHTS)})"
            + (f"; it holds {found}" if found else ""),
            hint=f"{FOLDER_HINT} A state dictionary of brain-tuning is taken over by `braindash "
            "import-checkpoint`. braindash never starts from random weights, unless you ask for "
            "them (untrained:FOLDER).",
        )
    prefixes = () if family is None or not family.tower else family.parents[:-1]
    files = _parts(first, prefixes) if first.name.endswith(".index.json") else (first,)
    for path in files if present else ():
        check_weights(path)
    return files


def _other_files(folder: Path) -> str:
    found = {path.name: what for glob, what in _OTHER_FILES.items() for path in folder.glob(glob)}
    return ", ".join(f"{name} ({what})" for name, what in found.items())


def _parts(index: Path, prefixes: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Files that the index of a model in several parts names; all lie next to it."""
    named = read_json(index).get("weight_map")
    named = named if isinstance(named, dict) else {}
    mine = {name: part for name, part in named.items() if name.startswith(prefixes)}
    # Where no name has a prefix, the encoder was saved alone.
    names = list((mine if prefixes and mine else named).values())
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


def whole_fingerprint(
    config: Mapping[str, Any],
    normalise: bool,
    weights: tuple[Path, ...],
    scale: Mapping[str, Any],
) -> str:
    """Digest of configuration, normalisation and the bytes of the weights."""
    # Names of the parts play no part: the same tensors under other file names are the same model.
    digests = sorted(digest_input(path) for path in weights)
    parts = {"config": computed_part(config), "normalise": normalise, "weights": digests}
    return digest_json(parts | ({"scale": dict(scale)} if scale else {}))
