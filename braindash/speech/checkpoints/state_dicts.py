"""Read the state dictionary of a brain-tuned model: nothing but tensors, under transformers' names.

The published code saves an encoder inside a module of its own, often wrapped by ``DataParallel`` or
``torch.compile``, with a linear head to the voxels. With low-rank adapters and with Whisper the
same tensors stand in the file twice, under the names of two parents. RABBiT (arXiv 2607.05171) and
what Lightning writes put the state dictionary into a larger one. Some files hold adapters alone.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braindash.core.devices import tell_memory
from braindash.errors import InputError
from braindash.speech.checkpoints.merging import lora_strengths
from braindash.speech.checkpoints.tensors import unwrapped

if TYPE_CHECKING:
    from torch import Tensor

_HEAD = "linear"
# What peft writes before the names of the model that it adapts, wherever that model lies.
_ADAPTED = re.compile(r"(?:.+\.)?base_model\.model\.(?P<name>.+)")
# Where a training script puts the state dictionary in a larger one.
_CONTAINERS = ("state_dict", "model_state_dict", "model")
# Of RABBiT: where the encoder lies, in this and in the first version, and what follows it.
_HOLDERS = ("backbone.backbone.", "lora_wav2vec.", "ssl_model.wav2vec2.")
_RABBIT = (*_HOLDERS, "ssl_model.", "temporal_brain_encoder.")
_FOLLOWING = frozenset(
    {
        "decoder",
        "input_norm",
        "input_proj",
        "position_encoder",
        "query_embed",
        "roi_readouts",
        "ssl_model",
        "temporal_brain_encoder",
    }
)
# First part of a name -> the family that stands there and the prefix that transformers writes.
_BRANCHES = {
    "wav2vec": ("wav2vec2", ""),
    "wav2vec2": ("wav2vec2", ""),
    "hubert": ("hubert", ""),
    "wavlm": ("wavlm", ""),
    "data2vec": ("data2vec-audio", ""),
    "data2vec_audio": ("data2vec-audio", ""),
    "unispeech": ("unispeech", ""),
    "unispeech_sat": ("unispeech-sat", ""),
    "whisper_encoder": ("whisper", "encoder."),
    "whisper_model": ("whisper", ""),
}
# With these the names of an encoder begin where no parent tells its family: the base does.
_INNER = re.compile(
    r"(?:(?P<parent>.+?)\.)??"
    r"(?P<name>(?:feature_extractor|feature_projection|masked_spec_embed|encoder|decoder)\b.*"
    r"|(?P<bare>(?:conv1|conv2|embed_positions|layers|layer_norm)\..+))"
)
_ENCODER = re.compile(r"feature_|masked_spec_embed|encoder|decoder|conv[12]|embed_pos|layer|lora_")
# transformers' own heads.
_HEADS = frozenset(
    {"classifier", "lm_head", "proj_out", "project_hid", "project_q", "projector", "quantizer"}
)
_LORA = re.compile(r"(?P<layer>.+)\.lora_(?P<side>[AB])(\.(?P<adapter>[^.]+))?\.weight")
_LISTED = 6


@dataclass
class StateDict:
    """What stands in the file.

    Attributes
    ----------
    path : Path
        The file.
    tensors : dict of str to Tensor
        The model's weights, under the names of transformers.
    families : set of str
        Families that the names tell: one, or none where only adapted names stand in the file.
    head_shape : tuple of int or None
        (targets, width) of the linear head, which is left out.
    n_duplicates : int
        Second copies of tensors, equal to the first, that are left out.
    lora_rank : int or None
        Rank of the adapters, once they are folded in.
    lora_layers : tuple of str
        Names of the adapted layers.
    lora_b : dict of str to float
        Euclidean norm of the adapters' ``lora_B`` by block.
    left_out : tuple of str
        Parts that follow the encoder, besides the head, and what lies beside the state dictionary.
    """

    path: Path
    tensors: dict[str, "Tensor"] = field(default_factory=dict)
    families: set[str] = field(default_factory=set)
    head_shape: tuple[int, ...] | None = None
    n_duplicates: int = 0
    lora_rank: int | None = None
    lora_layers: tuple[str, ...] = ()
    lora_b: dict[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_state_dict(path: Path) -> StateDict:
    """Read a checkpoint and sort its tensors into model, second copies and head.

    Parameters
    ----------
    path : Path
        What ``torch.save(model.state_dict(), path)`` wrote.

    Returns
    -------
    StateDict

    Raises
    ------
    InputError
        The file is missing, damaged, holds anything but tensors, weights of unknown parents, or
        two copies of a weight that differ.
    """
    found, unknown = StateDict(path), []
    unparented: list[tuple[str, Tensor]] = []
    tensors, beside = _load_tensors(path)
    following: dict[str, None] = dict.fromkeys(beside)
    rabbit = any(name.startswith(_RABBIT) for name in tensors)
    left_out = _HEADS | (_FOLLOWING if rabbit else frozenset())
    for whole, tensor in tensors.items():
        inside = _inside(whole, rabbit)
        name = whole if inside is None else inside
        branch, _, rest = name.partition(".")
        if inside is None and branch == _HEAD and rest in ("weight", "bias"):
            if rest == "weight":
                found.head_shape = tuple(tensor.shape)
        elif branch in _BRANCHES and rest:
            family, prefix = _BRANCHES[branch]
            found.families.add(family)
            _add(found, prefix + rest, tensor)
        elif inside is not None:
            unparented.append((inside, tensor))
        elif branch in left_out:
            following[branch] = None
        else:
            unknown.append(whole)
    for name, tensor in unparented:
        _add(found, _whole_name(name, found.families), tensor)
    adopted = {} if found.families or rabbit else _under_one_parent(unknown)
    for whole, name in adopted.items():
        _add(found, name, tensors[whole])
    unknown = [name for name in unknown if name not in adopted]
    found.left_out = tuple(following)
    if unknown or not found.tensors:
        raise _unknown(path, unknown)
    return found


def _under_one_parent(names: list[str]) -> dict[str, str]:
    """Name the weights of an encoder saved alone, or inside a module of any name, as in its model.

    Returns
    -------
    dict of str to str
        Empty where they lie under several parents: which of them is meant is not guessed.
    """
    matches = {name: found for name in names if (found := _INNER.fullmatch(name))}
    if len({found["parent"] for found in matches.values()}) != 1:
        return {}
    return {
        name: f"encoder.{found['bare']}" if found["bare"] else found["name"]
        for name, found in matches.items()
    }


def complete(found: StateDict, base: Mapping[str, "Tensor"]) -> bool:
    """Take all other weights from the base, in place, where the file holds adapters alone.

    Parameters
    ----------
    found : StateDict
    base : mapping of str to Tensor
        The base's weights.

    Returns
    -------
    bool
        Whether the file holds adapters alone.
    """
    matches = [_LORA.fullmatch(name) for name in found.tensors]
    if not all(matches):
        return False
    adapted = {match["layer"] for match in matches if match}
    for name, tensor in base.items():
        layer, _, last = name.rpartition(".")
        inside = f"{layer}.base_layer.{last}" if layer in adapted else name
        found.tensors[inside] = tensor.clone()
    return True


def _unknown(path: Path, names: list[str]) -> InputError:
    what = f"{len(names)} unknown weights: {shortened(names)}" if names else "no model"
    return InputError(
        f"the checkpoint {path} holds {what}",
        hint=f"Known are the models {', '.join(_BRANCHES)}, models that peft adapted (names with "
        "base_model.model.), one encoder alone or inside a module of any name, and the head "
        f"{_HEAD}, each with or without module. and _orig_mod. before it. Save "
        "`model.state_dict()` without other heads.",
    )


def _inside(name: str, rabbit: bool) -> str | None:
    """Return a weight's name in an encoder whose parent does not tell its family."""
    adapted = _ADAPTED.fullmatch(name)
    if adapted:
        return adapted["name"]
    holders = _HOLDERS if rabbit else ()
    return next((name.removeprefix(one) for one in holders if name.startswith(one)), None)


def fold_adapters(found: StateDict, alpha: float | None, default: float) -> float | None:
    """Replace ``W``, ``A`` and ``B`` by ``W + alpha / rank * B @ A`` (Hu et al. 2022), in place.

    Parameters
    ----------
    found : StateDict
        Its tensors, ``lora_rank``, ``lora_layers`` and ``lora_b`` are changed.
    alpha : float or None
        What the user gave.
    default : float
        Alpha where the user gave none.

    Returns
    -------
    float or None
        The alpha that was used; None where there is nothing to fold.

    Raises
    ------
    InputError
        An adapter is incomplete, misshapen or not the only one of its layer, ranks differ, or
        alpha was given for a checkpoint without adapters.
    """
    sides: dict[str, dict[str, str]] = {}
    for name in found.tensors:
        if match := _LORA.fullmatch(name):
            taken = sides.setdefault(match["layer"], {}).setdefault(match["side"], name)
            if taken != name:
                raise _bad_adapter(found.path, f"{match['layer']} has more than one adapter")
    if not sides:
        if alpha is not None:
            raise InputError(
                f"lora_alpha = {alpha} was given, but {found.path} holds no low-rank adapters",
                hint="Leave it out.",
            )
        return None
    used = default if alpha is None else float(alpha)
    found.lora_b = lora_strengths(found.tensors)
    ranks = {_fold_layer(found, layer, names, used) for layer, names in sides.items()}
    if len(ranks) > 1:
        raise _bad_adapter(found.path, f"they have the ranks {sorted(ranks)}")
    found.lora_rank, found.lora_layers = ranks.pop(), tuple(sides)
    return used


def shortened(names: Sequence[object]) -> str:
    """List the first few names for an error message."""
    shown = ", ".join(map(str, names[:_LISTED]))
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def _load_tensors(path: Path) -> tuple[dict[str, "Tensor"], tuple[str, ...]]:
    """Read names and tensors, take wrappers' prefixes off; name what lies beside them."""
    import torch

    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "missing"
        raise InputError(f"the checkpoint {path} is {kind}", hint="Give the path of a .pth file.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        tell_memory(error, f"the checkpoint {path}")
        # zipfile's, torch's and the unpickler's errors share no base class.
        raise _unreadable(path, error) from error
    if not isinstance(state, Mapping) or not state:
        raise _no_state(path, f"a {type(state).__name__} of no tensors")
    state, beside = _contained(state)
    odd = [
        name
        for name, value in state.items()
        if not (isinstance(name, str) and isinstance(value, torch.Tensor))
    ]
    if odd:
        raise _no_state(path, f"entries that are no tensors: {shortened(odd)}")
    tensors = {unwrapped(name): tensor for name, tensor in state.items()}
    if len(tensors) != len(state):
        raise _no_state(path, "the same names with and without 'module.' or '_orig_mod.'")
    return _without_common_parent(tensors), beside


def _without_common_parent(tensors: dict[str, "Tensor"]) -> dict[str, "Tensor"]:
    """Take off what a training program writes before all names, such as ``model.``."""
    first = {name.partition(".")[0] for name in tensors}
    while len(first) == 1 and not _is_known(*first):
        (parent,) = first
        tensors = {name.removeprefix(f"{parent}."): tensor for name, tensor in tensors.items()}
        first = {name.partition(".")[0] for name in tensors}
    return tensors


def _is_known(part: str) -> bool:
    """Say whether the first part of a name tells something, so that it is not taken off."""
    adapted = part in ("base_model", "lora_model")
    rabbit = any(one.startswith(f"{part}.") for one in _RABBIT)
    return adapted or rabbit or part in _BRANCHES or bool(_ENCODER.match(part)) or part == _HEAD


def _contained(state: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
    """Return the state dictionary inside a larger one, and the names of what lies beside it."""
    for name in _CONTAINERS:
        inner = state.get(name)
        if isinstance(inner, Mapping) and inner:
            return inner, tuple(str(other) for other in state if other != name)
    return state, ()


def _whole_name(name: str, families: set[str]) -> str:
    """Name an adapted weight as in the whole model: Whisper's encoder may be adapted alone."""
    alone = families == {"whisper"} and not name.startswith(("encoder.", "decoder."))
    return f"encoder.{name}" if alone else name


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split())
    # What torch says of a class or function that the file asks for, in so many words.
    if "unsupported global" in reason.lower() or "unsupported class" in reason.lower():
        return InputError(
            f"the checkpoint {path} holds Python objects besides tensors, whose code would have to "
            "run to read it",
            hint="braindash reads tensors only. Where you trust the file, load it elsewhere and "
            "save `model.state_dict()` alone.",
        )
    return InputError(
        f"the checkpoint {path} ({path.stat().st_size} bytes) cannot be read: "
        f"{type(error).__name__}: {reason[:200]}",
        hint="It must be what `torch.save(model.state_dict(), FILE)` writes. If it was, copy it "
        "again: it is probably damaged or cut short.",
    )


def _no_state(path: Path, found: str) -> InputError:
    return InputError(
        f"the checkpoint {path} is no state dictionary: it holds {found}",
        hint="Save `model.state_dict()` alone, without optimiser or settings.",
    )


def _add(found: StateDict, name: str, tensor: "Tensor") -> None:
    if name not in found.tensors:
        found.tensors[name] = tensor
        return
    first = found.tensors[name]
    found.n_duplicates += 1
    # Copies that both hold NaN are refused with all NaN, not here.
    same = first.shape == tensor.shape and bool(
        ((first == tensor) | (first.isnan() & tensor.isnan())).all()
    )
    if not same:
        raise InputError(
            f"the checkpoint {found.path} holds two copies of {name!r} that differ",
            hint="In the published files they are one tensor under two names. Save the state "
            "dictionary of the model that you mean alone.",
        )


def _fold_layer(found: StateDict, layer: str, names: Mapping[str, str], alpha: float) -> int:
    """Fold one layer and give its rank."""
    tensors = found.tensors
    weight = tensors.pop(f"{layer}.base_layer.weight", None)
    if set(names) != {"A", "B"} or weight is None:
        raise _bad_adapter(found.path, f"{layer} lacks lora_A, lora_B or its base_layer")
    down, up = tensors.pop(names["A"]).float(), tensors.pop(names["B"]).float()
    fits = down.ndim == up.ndim == weight.ndim == 2 and down.shape[0] == up.shape[1]
    if not fits or (up.shape[0], down.shape[1]) != tuple(weight.shape):
        shapes = [tuple(tensor.shape) for tensor in (weight, down, up)]
        raise _bad_adapter(found.path, f"W, A and B of {layer} have the shapes {shapes}")
    tensors[f"{layer}.weight"] = weight.float() + (alpha / len(down)) * (up @ down)
    bias = tensors.pop(f"{layer}.base_layer.bias", None)
    if bias is not None:
        tensors[f"{layer}.bias"] = bias
    return len(down)


def _bad_adapter(path: Path, reason: str) -> InputError:
    return InputError(
        f"the low-rank adapters of {path} cannot be folded in: {reason}",
        hint="Fold them in where the model was trained (peft: `merge_and_unload()`) and save the "
        "state dictionary of the whole model.",
    )
