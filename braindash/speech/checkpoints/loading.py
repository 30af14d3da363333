"""Load the bare encoder of a checkpoint: in full or not at all, in float32."""

import importlib
import logging
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braindash.core.devices import tell_memory
from braindash.errors import ModelError
from braindash.speech.checkpoints.families import FAMILIES, Family
from braindash.speech.checkpoints.folders import WEIGHTS, encoder_config, read_config
from braindash.speech.checkpoints.locate import ModelFiles
from braindash.speech.checkpoints.sizes import without_null
from braindash.speech.checkpoints.tensors import (
    WRAPPERS,
    read_header,
    read_tensors,
    refuse_rounded,
    unwrapped,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

_LISTED_KEYS = 6
# Fields of heads and decoders. Where transformers wants a number, older versions wrote null.
_OF_HEADS = frozenset({"vocab_size", "pad_token_id", "bos_token_id", "eos_token_id", "num_labels"})
# What suited the machine that wrote the file: transformers chooses for this one.
_OF_MACHINES = frozenset({"attn_implementation", "_attn_implementation"})
_TOWER_PARTS = frozenset({"conv1", "conv2", "embed_positions", "layers", "layer_norm"})
_SAVE_AGAIN = (
    "They would stay random, so the model is refused. Save it again with "
    "`model.save_pretrained(folder)`, or check that config.json belongs to it."
)


def encoder_class(family: Family) -> Any:
    """Return transformers' class of the bare encoder."""
    return getattr(importlib.import_module(family.module), family.class_name)


def shortened(names: list[str]) -> str:
    """List the first few names for an error message."""
    shown = ", ".join(names[:_LISTED_KEYS])
    return shown if len(names) <= _LISTED_KEYS else f"{shown} and {len(names) - _LISTED_KEYS} more"


def model_config(files: ModelFiles) -> Any:
    """Make transformers' configuration of the bare encoder.

    Raises
    ------
    ModelError
        When transformers refuses it.
    """
    import transformers

    family = FAMILIES[files.family]
    own = without_null(encoder_config(read_config(files.folder), family))
    given = {
        name: value
        for name, value in own.items()
        if name not in _OF_MACHINES and (value is not None or name not in _OF_HEADS)
    }
    try:
        return getattr(transformers, family.config_name).from_dict(given)
    except Exception as error:
        # What a broken configuration raises differs from family to family.
        raise _no_model(files, error) from error


def read_encoder(files: ModelFiles) -> "nn.Module":
    """Read the weights into the family's class; refuse everything that would stay random.

    Parameters
    ----------
    files : ModelFiles
        A whole model, no adapter and no untrained control.

    Raises
    ------
    ModelError
    """
    import torch

    family = FAMILIES[files.family]
    if family.tower:
        return _read_tower(files, family)
    # transformers itself takes one parent off: that of the family's whole models.
    parents = "|".join(parent.replace(".", r"\.") for parent in family.parents if parent)
    mapped = family.class_name.endswith("Encoder")
    config = model_config(files)
    try:
        state = _own_state(files)
        module: nn.Module
        module, report = encoder_class(family).from_pretrained(
            files.folder if state is None else None,
            config=config,
            state_dict=state,
            dtype=torch.float32,
            output_loading_info=True,
            local_files_only=True,
            weights_only=True,
            key_mapping={f"^({parents})": ""} if mapped else None,
            # Listed in the report and refused below, with names and shapes.
            ignore_mismatched_sizes=True,
        )
    except ModelError:
        raise
    except Exception as error:
        tell_memory(error, f"the model in {files.folder}")
        # Damaged weights raise errors of many kinds: safetensors', zipfile's, torch's and others.
        raise ModelError(
            f"the model in {files.folder} cannot be loaded: {type(error).__name__}: {error}",
            hint="Copy or download the model again; the file is probably damaged or cut short.",
        ) from error
    _check_report(files, family, report)
    return module


def _own_state(files: ModelFiles) -> "dict[str, Tensor] | None":
    """Read weights that transformers would not find; None where it finds them itself.

    Their names may begin with those of a wrapper from inside which they were saved, and the index
    of a model in parts with a byte order mark.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    safe = [path for path in files.weights if path.suffix == ".safetensors"]
    for path in files.weights:
        if path not in safe:
            state |= _flat(load_pickled_tensors(path), path)
            refuse_rounded({name: str(one.dtype) for name, one in state.items()}, path)
    names = set(state)
    for path in safe:
        with safe_open(path, framework="pt") as opened:
            names.update(opened.keys())
    found = sorted({prefix for name in names for prefix in WRAPPERS.findall(name)})
    if not found and not _is_marked(files):
        return None
    for path in safe:
        state |= load_file(path)
    if found:
        logger.warning(
            "%s: the names of the weights begin with %s, which a wrapper wrote there when the "
            "model was saved; it is taken off",
            files.folder,
            " and ".join(found),
        )
    return {unwrapped(name): tensor for name, tensor in state.items()}


def _is_marked(files: ModelFiles) -> bool:
    """Say whether the index of a model in parts begins with a byte order mark."""
    index = next((name for name in WEIGHTS if (files.folder / name).exists()), "")
    if not index.endswith(".json"):
        return False
    with (files.folder / index).open("rb") as stream:
        return stream.read(len(BOM_UTF8)) == BOM_UTF8


def _flat(content: Any, path: Path) -> "dict[str, Tensor]":
    """Refuse a training's checkpoint under the name of a model's weights."""
    import torch

    if isinstance(content, Mapping) and any(isinstance(v, torch.Tensor) for v in content.values()):
        return dict(content)
    held = shortened(list(map(str, content))) if isinstance(content, Mapping) else type(content)
    raise ModelError(
        f"{path} holds no weights by name, but {held}",
        hint="It is what a training program wrote. `braindash import-checkpoint FILE --base MODEL` "
        "takes the weights out of it.",
    )


def load_pickled_tensors(path: Path) -> Any:
    """Read what ``torch.save`` wrote, without running any code that it names.

    Parameters
    ----------
    path : Path

    Returns
    -------
    object
        Tensors, numbers, texts and containers of them; tensors stay on the disk until they are
        used, where the file allows it.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:
        # Files that torch wrote before 1.6 cannot be mapped.
        return torch.load(path, map_location="cpu", weights_only=True)


def _read_tower(files: ModelFiles, family: Family) -> "nn.Module":
    """Read the audio tower of a larger model, and nothing else of its files."""
    import torch

    with torch.device("meta"):
        module: nn.Module = encoder_class(family)(model_config(files))
    own = module.state_dict()
    found: dict[str, Tensor] = {}
    misshapen, others = [], []
    for path in files.weights:
        if path.suffix != ".safetensors":
            raise ModelError(
                f"the audio tower in {files.folder} is stored in {path.name}",
                hint="The towers of large models are read from safetensors, of which a part can "
                "be read alone. Save the model again with `model.save_pretrained(FOLDER)`.",
            )
        header = read_header(path)
        short_names = {name: _tower_name(name, family) for name in header}
        wanted = {name: short for name, short in short_names.items() if short in own}
        others += [name for name in header if name not in wanted]
        for name, tensor in read_tensors(path, {name: header[name] for name in wanted}):
            short = wanted[name]
            if tensor.shape != own[short].shape:
                misshapen.append((short, tensor.shape, own[short].shape))
            found[short] = tensor
    report = {
        "missing_keys": set(own) - set(found),
        "mismatched_keys": misshapen,
        "unexpected_keys": others,
    }
    _check_report(files, family, report)
    module.load_state_dict(found, assign=True)
    return module


def _tower_name(name: str, family: Family) -> str | None:
    """Return a weight's name inside the tower; None for the weights of the other parts."""
    plain = unwrapped(name)
    for parent in family.parents[:-1]:
        if plain.startswith(parent):
            return plain.removeprefix(parent)
    # A tower saved alone has no parent's name before it.
    return plain if plain.split(".")[0] in _TOWER_PARTS else None


def _check_report(files: ModelFiles, family: Family, report: Mapping[str, Any]) -> None:
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
                f"{shortened(keys)}",
                hint=_SAVE_AGAIN,
            )
    tell_unexpected(files, sorted(report["unexpected_keys"]))


def tell_unexpected(files: ModelFiles, unexpected: list[str]) -> None:
    """Log which weights have no place in the encoder.

    Parameters
    ----------
    files : ModelFiles
    unexpected : list of str
        Names.
    """
    if not unexpected:
        return
    # A head or a decoder is left out on purpose; a block of the encoder hardly ever.
    family = FAMILIES[files.family]
    usual = family.tower or not any("encoder.layers." in f"encoder.{key}" for key in unexpected)
    logger.log(
        logging.INFO if usual else logging.WARNING,
        "%s: %d weights have no place in the encoder and are left out: %s",
        files.name,
        len(unexpected),
        ", ".join(unexpected if not family.tower else parts_of(unexpected)),
    )


def parts_of(names: Iterable[str]) -> list[str]:
    """Name the parts of a model that weights belong to: what stands before the first number."""
    found = dict.fromkeys(re.split(r"\.\d+\.|\.(?=[^.]+$)", name)[0] for name in names)
    return list(found)


def require_finite(module: "nn.Module", files: ModelFiles) -> None:
    """Refuse NaN and infinite weights: not every input shows them.

    Raises
    ------
    ModelError
        Names them.
    """
    unread = FAMILIES[files.family].never_read
    bad = [
        name
        for name, weight in module.state_dict().items()
        if name.rpartition(".")[2] not in unread and not bool(weight.isfinite().all())
    ]
    if bad:
        raise ModelError(
            f"the model in {files.folder} has NaN or infinite values in {len(bad)} of its weights: "
            f"{shortened(bad)}",
            hint="They are damaged or were saved after training diverged; use another copy.",
        )


# Untrained controls -----------------------------------------------------------------------------


def draw_encoder(files: ModelFiles, seed: int) -> "nn.Module":
    """Make the model as transformers initialises it, on the CPU; sets torch's seed.

    Raises
    ------
    ModelError
        When no model can be made of the configuration.
    """
    import torch

    config = model_config(files)
    try:
        torch.manual_seed(seed)
        module: nn.Module = encoder_class(FAMILIES[files.family])(config)
    except Exception as error:
        tell_memory(error, f"an untrained model like the one in {files.folder}")
        raise _no_model(files, error) from error
    return module.float()


def shuffle(module: "nn.Module", seed: int) -> "nn.Module":
    """Put the weights of every tensor into another order: their sizes stay, what they know goes."""
    import torch

    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weights in sorted(module.named_parameters()):
            order = torch.randperm(weights.numel(), generator=draw)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return module


def _no_model(files: ModelFiles, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())
    return ModelError(
        f"no model can be made of the configuration in {files.folder}: "
        f"{type(error).__name__}: {reason}",
        hint="Copy or download config.json again.",
    )


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
