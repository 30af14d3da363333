"""Take over brain-tuned checkpoints: a training script's ``.pth`` becomes a clean model folder.

Read are the state dictionaries that the published brain-tuning code writes (arXiv 2410.09230 and
2510.21520): an encoder inside a module of its own, often wrapped by ``DataParallel``, with a linear
head to the voxels, as a whole or as low-rank adapters; and those of RABBiT (arXiv 2607.05171).
Nothing but tensors is ever unpickled.
"""

import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braindash.core.devices import tell_memory
from braindash.errors import InputError, ModelError
from braindash.files import new_folder, write_json
from braindash.names import given_path
from braindash.remembered.digests import digest_input
from braindash.speech.checkpoints.copying import check_free, give_mode
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.folders import CONFIGS
from braindash.speech.checkpoints.loading import quiet_transformers
from braindash.speech.checkpoints.locate import ModelFiles, locate
from braindash.speech.checkpoints.merging import strength_words, tell_deaf
from braindash.speech.checkpoints.state_dicts import (
    StateDict,
    complete,
    fold_adapters,
    read_state_dict,
    shortened,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

RECORD_FILE = "conversion.json"
# Of the published adapters; the files hold the rank (the shape of lora_A) but not alpha.
LORA_ALPHA = 32.0

_PUBLISHED_BASES = {
    "wav2vec2": "facebook/wav2vec2-base or facebook/wav2vec2-base-960h",
    "hubert": "facebook/hubert-base-ls960",
    "whisper": "openai/whisper-small",
}
# Whole models where FAMILIES names the bare encoder: an encoder that transformers saves alone
# comes back with random weights.
_WHOLE_MODELS = {"whisper": "WhisperModel"}
# What the encoder in eval mode never reads, and what training leaves as it was.
_NEVER_READ = re.compile(r"(.*\.)?masked_spec_embed|decoder\..*")
_FRONT_END = re.compile(r"feature_extractor\..*|encoder\.(conv1|conv2|embed_positions)\..*")
_SPELLINGS = (
    ("parametrizations.weight.original0", "weight_g"),
    ("parametrizations.weight.original1", "weight_v"),
)


@dataclass(frozen=True)
class Conversion:
    """What was made of what; kept beside the model as ``conversion.json``.

    Attributes
    ----------
    checkpoint, checkpoint_digest : str
        Name and digest of the file that was read.
    base, base_fingerprint : str
        The model it was trained from, which gives configuration and preprocessing.
    base_revision : str or None
        Commit of a base from the hub.
    family : str
        Key of :data:`braindash.speech.checkpoints.families.FAMILIES`.
    form : str
        ``"whole"`` or ``"lora"``.
    fingerprint : str
        Fingerprint of the model that was written.
    n_tensors : int
        Tensors of the model.
    n_equal_to_base : int
        Those with exactly the base's values.
    front_end_equal : bool
        Whether the convolutional front end, which the published training freezes, is the base's.
        Where it is not, the checkpoint was probably trained from another model.
    relative_change : float
        ``|tuned - base| / |base|`` over all weights that the encoder reads (Euclidean norms).
    from_base : tuple of str
        Tensors that the file lacks and the encoder never reads, taken from the base.
    head_shape : tuple of int or None
        (targets, width) of the linear head, which is left out.
    n_duplicates : int
        Second copies of tensors, equal to the first, that were left out.
    lora_rank : int or None
    lora_alpha : float or None
        Adapters are folded in as ``W + lora_alpha / lora_rank * B @ A``.
    n_lora_layers : int
    left_out : tuple of str
        Parts behind the encoder, besides the head, and what lies beside the state dictionary.
    adapters_alone : bool
        Whether the file holds no other weights than adapters: all others are the base's.
    lora_b : mapping of str to float
        Euclidean norm of the adapters' ``lora_B`` by block; 0 before training.
    """

    checkpoint: str
    checkpoint_digest: str
    base: str
    base_revision: str | None
    base_fingerprint: str
    family: str
    form: str
    fingerprint: str
    n_tensors: int
    n_equal_to_base: int
    front_end_equal: bool
    relative_change: float
    from_base: tuple[str, ...]
    head_shape: tuple[int, ...] | None
    n_duplicates: int
    lora_rank: int | None
    lora_alpha: float | None
    n_lora_layers: int
    left_out: tuple[str, ...] = ()
    adapters_alone: bool = False
    lora_b: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON has it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say in a few lines what was done."""
        revision = f" at {self.base_revision}" if self.base_revision else ""
        said = [
            f"{self.checkpoint}: {self.n_tensors} weights of the family {self.family}, base "
            f"{self.base}{revision}",
            f"{self.n_equal_to_base} of them are the base's own; over all, the weights moved by "
            f"{self.relative_change:.2%}",
        ]
        if self.form == "lora":
            said.append(
                f"adapters of {self.n_lora_layers} layers are folded in (rank {self.lora_rank}, "
                f"alpha {self.lora_alpha:g}); {strength_words(self.lora_b)}"
            )
        if self.adapters_alone:
            said.append("the file holds adapters alone: all other weights are the base's")
        if self.head_shape is not None:
            said.append(f"left out: the linear head to {self.head_shape[0]} targets")
        if self.left_out:
            said.append(f"left out: {', '.join(self.left_out)}")
        if self.n_duplicates:
            said.append(f"left out: second copies of {self.n_duplicates} weights")
        if self.from_base:
            said.append(f"taken from the base: {len(self.from_base)} weights that are never read")
        return said


def import_checkpoint(
    file: Path | str,
    *,
    base: Path | str,
    out: Path | str,
    revision: str | None = None,
    lora_alpha: float | None = None,
) -> Conversion:
    """Convert a brain-tuned checkpoint to a folder that every part of braindash opens.

    Parameters
    ----------
    file : path
        State dictionary that ``torch.save`` wrote.
    base : path or str
        Local folder or hub id of the model that was tuned: its configuration and preprocessing
        are taken over, and the weights are compared with its own.
    out : path
        Folder to write; must not exist, or be empty.
    revision : str, optional
        Branch, tag or commit of a base from the hub.
    lora_alpha : float, optional
        Scale of low-rank adapters, :data:`LORA_ALPHA` by default.

    Returns
    -------
    Conversion
        Also written to ``out`` as ``conversion.json``.

    Raises
    ------
    InputError
        The file is missing, damaged, holds anything but tensors, does not belong to the base, or
        holds adapters that were never trained; ``out`` is taken.
    ModelError
        The base cannot be found or loaded.
    """
    file, out = given_path(file), given_path(out, exact=True)
    check_free(out)
    found = read_state_dict(file)
    files = locate(base, revision)
    _check_family(found, files)
    module = load_whole(files)
    before = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
    alone = complete(found, before)
    alpha = fold_adapters(found, lora_alpha, LORA_ALPHA)
    tensors = _respelled(found.tensors, before)
    from_base = _check_names(tensors, before, file)
    _check_values(tensors, before, file)
    module.load_state_dict(tensors | {name: before[name] for name in from_base})
    record = Conversion(
        checkpoint=file.name,
        checkpoint_digest=digest_input(file),
        base=files.name,
        base_revision=files.revision,
        base_fingerprint=files.fingerprint,
        family=files.family,
        form="lora" if found.lora_layers else "whole",
        fingerprint="",
        n_tensors=len(before),
        **_compared(tensors, before),
        from_base=from_base,
        head_shape=found.head_shape,
        n_duplicates=found.n_duplicates,
        lora_rank=found.lora_rank,
        lora_alpha=alpha,
        n_lora_layers=len(found.lora_layers),
        left_out=found.left_out,
        adapters_alone=alone,
        lora_b=found.lora_b,
    )
    _require_moved(record, found, file)
    tell_deaf(file.name, FAMILIES[files.family], found.lora_layers)
    if not record.front_end_equal:
        logger.warning(
            "%s: the convolutional front end differs from that of %s, although brain-tuning "
            "freezes it; was the model tuned from another base?",
            file.name,
            files.name,
        )
    return _write(module, files, record, out)


# The base ---------------------------------------------------------------------------------------


def _require_moved(record: Conversion, found: StateDict, file: Path) -> None:
    """Refuse adapters that change nothing of the base; warn of those beside weights that moved."""
    silent = [block for block, norm in record.lora_b.items() if not norm]
    if silent and len(silent) < len(record.lora_b):
        logger.warning(
            "%s: the adapters change nothing in the blocks %s", file.name, ", ".join(silent)
        )
    if not silent or len(silent) < len(record.lora_b):
        return
    told = f"all lora_B are 0, as they are before training, in {shortened(found.lora_layers)}"
    if record.relative_change > 0:
        logger.warning("%s: %s; other weights differ from the base's", file.name, told)
        return
    raise InputError(
        f"the adapters of {file} change nothing: {told}",
        hint=f"This is {record.base} itself, not a tuned model: give the checkpoint of a later "
        "step. Adapters on layers that the model reads past (WavLM's attention) never train.",
    )


def _check_family(found: StateDict, files: ModelFiles) -> None:
    """Names alone tell wav2vec2 and HuBERT apart: inside, all their weights are called the same."""
    wrong = found.families - {files.family}
    if wrong:
        bases = " or ".join(_PUBLISHED_BASES.get(family, family) for family in sorted(wrong))
        raise InputError(
            f"the checkpoint {found.path} holds a model of the family "
            f"{', '.join(sorted(found.families))}, but the base {files.name} is of the family "
            f"{files.family}",
            hint=f"Give the model that was tuned, such as {bases}.",
        )


def load_whole(files: ModelFiles) -> "nn.Module":
    """Load a model with all that transformers saves of it, Whisper's decoder too.

    Parameters
    ----------
    files : ModelFiles
        A whole model with weights of its own: no adapter and no untrained control.

    Returns
    -------
    nn.Module
        In eval mode, float32; weights that are never read are 0 where the files lack them.

    Raises
    ------
    ModelError
        When weights are missing or damaged.
    """
    import torch
    import transformers

    class_name = _WHOLE_MODELS.get(files.family, FAMILIES[files.family].class_name)
    try:
        with quiet_transformers():
            module: nn.Module
            module, report = getattr(transformers, class_name).from_pretrained(
                files.folder,
                dtype=torch.float32,
                output_loading_info=True,
                local_files_only=True,
                weights_only=True,
            )
    except Exception as error:
        tell_memory(error, f"the base in {files.folder}")
        # Damaged weights raise errors of many kinds: safetensors', zipfile's, torch's and others.
        raise ModelError(
            f"the base in {files.folder} cannot be loaded: {type(error).__name__}: {error}",
            hint="Copy or download it again; the file is probably damaged or cut short.",
        ) from error
    missing = [name for name in report["missing_keys"] if not _NEVER_READ.fullmatch(name)]
    if missing:
        raise ModelError(
            f"the base in {files.folder} lacks {len(missing)} weights: {shortened(missing)}",
            hint="Copy or download the base again.",
        )
    for name in report["missing_keys"]:
        # Never read, so any number will do; the same one each time gives the same fingerprint.
        module.get_parameter(name).data.zero_()
    return module.eval()


def _respelled(tensors: dict[str, "Tensor"], own: Mapping[str, Any]) -> dict[str, "Tensor"]:
    """Name the weight-normalised positional convolution as this version of torch does."""

    def known(name: str) -> str:
        for pair in _SPELLINGS:
            for old, new in (pair, pair[::-1]):
                candidate = name.removesuffix(old) + new
                if name not in own and name.endswith(f".{old}") and candidate in own:
                    return candidate
        return name

    return {known(name): tensor.float() for name, tensor in tensors.items()}


def _check_names(
    tensors: Mapping[str, "Tensor"], own: Mapping[str, "Tensor"], file: Path
) -> tuple[str, ...]:
    """Refuse missing and unexpected weights; list what the base may stand in for."""
    lacking = sorted(set(own) - set(tensors))
    missing = [name for name in lacking if not _NEVER_READ.fullmatch(name)]
    unexpected = sorted(set(tensors) - set(own))
    for problem, names in (("lacks", missing), ("has no place for", unexpected)):
        if names:
            who = f"the checkpoint {file}" if names is missing else "the base"
            raise InputError(
                f"{who} {problem} {len(names)} weights: {shortened(names)}",
                hint="Is it the base that this checkpoint was trained from (of the same size), and "
                "is the file whole? Nothing is filled with random numbers or left out silently.",
            )
    return tuple(lacking)


def _check_values(tensors: Mapping[str, "Tensor"], own: Mapping[str, "Tensor"], file: Path) -> None:
    misshapen = [
        f"{name} ({tuple(tensor.shape)} instead of {tuple(own[name].shape)})"
        for name, tensor in tensors.items()
        if tensor.shape != own[name].shape
    ]
    if misshapen:
        raise InputError(
            f"the checkpoint {file} does not fit the base: {shortened(misshapen)}",
            hint="Give the base that this checkpoint was trained from, of the same size.",
        )
    broken = [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]
    if broken:
        raise InputError(
            f"the checkpoint {file} holds NaN or infinite weights: {shortened(broken)}",
            hint="Its training diverged, or the file is damaged; use an earlier epoch.",
        )


def _compared(tensors: Mapping[str, "Tensor"], own: Mapping[str, "Tensor"]) -> dict[str, Any]:
    equal = {name: bool((tensor == own[name]).all()) for name, tensor in tensors.items()}
    read = [name for name in tensors if not _NEVER_READ.fullmatch(name)]
    change = sum(float((tensors[n] - own[n]).double().square().sum()) for n in read)
    size = sum(float(own[name].double().square().sum()) for name in read)
    return {
        "n_equal_to_base": sum(equal.values()),
        "front_end_equal": all(same for n, same in equal.items() if _FRONT_END.fullmatch(n)),
        "relative_change": (change / size) ** 0.5 if size else float(change > 0),
    }


# Writing ----------------------------------------------------------------------------------------


def save_whole(module: "nn.Module", files: ModelFiles, folder: Path) -> None:
    """Write a model as ``save_pretrained`` does, with the preprocessing of another one."""
    saved: Any = module
    with quiet_transformers():
        saved.save_pretrained(folder)
    for name in CONFIGS[1:]:
        if (files.folder / name).exists():
            shutil.copyfile(files.folder / name, folder / name)


def _write(module: "nn.Module", files: ModelFiles, record: Conversion, out: Path) -> Conversion:
    """Write beside the goal, open the result once as every user will, and move it into place."""
    from braindash.speech.models import open_model

    with new_folder(out) as folder:
        save_whole(module, files, folder)
        opened = open_model(folder, device="cpu")
        record = replace(record, fingerprint=opened.fingerprint)
        write_json(folder / RECORD_FILE, record.as_dict())
        give_mode(folder, folder / RECORD_FILE)
    return record
