"""Write a tuned model as a folder that every part of braindash opens like any other."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from braindash.errors import InputError, ResourceError
from braindash.files import new_folder, write_json
from braindash.speech.checkpoints.copying import check_free, give_mode
from braindash.speech.checkpoints.families import FAMILIES
from braindash.speech.checkpoints.folders import TUNING_RECORD
from braindash.speech.checkpoints.loading import quiet_transformers
from braindash.speech.checkpoints.locate import ModelFiles, locate
from braindash.speech.checkpoints.places import CARD
from braindash.speech.checkpoints.published import load_whole, save_whole


def save_tuned(
    tuned: Any,
    files: ModelFiles,
    out: Path,
    record: Mapping[str, Any],
    *,
    adapter: bool,
    describe: Callable[[Mapping[str, Any]], str] | None = None,
) -> ModelFiles:
    """Write a whole model or an adapter, with the record of its tuning beside it.

    Parameters
    ----------
    tuned : nn.Module
        The bare encoder, or peft's wrapper around it.
    files : ModelFiles
        The base.
    out : Path
        Folder to write; it must not exist, or be empty.
    record : mapping
        JSON values; the fingerprint of what was written is added.
    adapter : bool
        Write the adapter alone.
    describe : callable, optional
        Makes the model's card of its record.

    Returns
    -------
    ModelFiles
        The folder, located as a user would.

    Raises
    ------
    InputError
        When the folder is taken.
    ResourceError
        When the disk is full; nothing half-written stays behind.
    """
    check_free(out)
    try:
        with new_folder(out) as folder:
            if adapter:
                _save_adapter(tuned, files, folder)
            else:
                _save_whole(tuned, files, folder)
            fingerprint = locate(folder).fingerprint
            content = dict(record) | {"fingerprint": fingerprint}
            write_json(folder / TUNING_RECORD, content)
            if describe is not None:
                (folder / CARD).write_text(describe(content), encoding="utf-8")
            give_mode(folder, folder / TUNING_RECORD)
    except OSError as error:
        raise ResourceError(
            f"the tuned model cannot be written to {out}: {error.strerror or error}",
            hint="Free some space or give another folder, and start again: all epochs are kept.",
        ) from error
    return locate(out)


def check_base(files: ModelFiles, *, adapter: bool) -> None:
    """Refuse a base that cannot be tuned, or whose adapter could not be opened again."""
    if files.family not in FAMILIES:
        raise InputError(
            f"{files.name} is an acoustic feature space: it has nothing to tune",
            hint="Give a speech model.",
        )
    if not FAMILIES[files.family].tunable:
        known = ", ".join(family.title for family in FAMILIES.values() if family.tunable)
        raise InputError(
            f"brain-tuning does not know {FAMILIES[files.family].title} ({files.name}), which can "
            "be scored and probed only",
            hint=f"Tune a model of {known}.",
        )
    if adapter and (files.base is not None or files.seed is not None):
        what = "an adapter itself" if files.base is not None else "an untrained control"
        raise InputError(
            f"{files.name} is {what}, which cannot be the base of another adapter",
            hint="Tune the whole model (method 'full'), or merge the adapter first.",
        )
    if files.precision != "float32":
        raise InputError(
            f"{files.name} was located with the precision {files.precision}",
            hint="Locate it in float32; the precision of the training is a setting of its own.",
        )


def _save_whole(encoder: nn.Module, files: ModelFiles, folder: Path) -> None:
    """Write all weights; what the base has beside its encoder (Whisper's decoder) comes along."""
    source = files if files.base is None else files.base
    if source.padded_samples is None:
        save_whole(encoder, source, folder)
        return
    whole = _untrained_whole(source) if source.seed is not None else load_whole(source)
    inner: Any = whole
    inner.get_encoder().load_state_dict(encoder.state_dict())
    save_whole(whole, source, folder)


def _untrained_whole(files: ModelFiles) -> nn.Module:
    import torch
    import transformers

    config: Any = transformers.WhisperConfig.from_pretrained(files.folder, local_files_only=True)
    with torch.random.fork_rng(devices=[]), quiet_transformers():
        torch.manual_seed(files.seed or 0)
        return transformers.WhisperModel(config)


def _save_adapter(wrapped: Any, files: ModelFiles, folder: Path) -> None:
    settings = wrapped.peft_config["default"]
    hub = files.revision is not None
    wrapped.peft_config["default"] = replace(
        settings,
        base_model_name_or_path=files.source if hub else str(files.folder.resolve()),
        revision=files.revision,
        inference_mode=True,
    )
    wrapped.save_pretrained(folder)
    # peft adds a page about the model with nothing in it.
    (folder / "README.md").unlink(missing_ok=True)
