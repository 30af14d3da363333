"""Languages of a model: small adapters beside the weights, one file each (MMS); told without torch.

``MODEL@LANG`` is the model with the adapter of one language in place of the one that its weights
hold, as transformers' ``target_lang`` gives it. Files are ``adapter.LANG.safetensors``, or
``adapter.LANG.bin``.
"""

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from braindash.errors import ModelError
from braindash.names import given_path
from braindash.speech.checkpoints.folders import check_weights
from braindash.speech.checkpoints.places import is_hub_id

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

_SOURCE = re.compile(r"(?P<model>.+)@(?P<language>[A-Za-z][\w.-]*)")
_FILE = re.compile(r"adapter\.(?P<language>.+)\.(?:safetensors|bin)")
# Best first.
_SUFFIXES = (".safetensors", ".bin")
# transformers' names for the adapter of a block, and for its width in the configuration.
_LAYER = ".adapter_layer."
_WIDTH = "adapter_attn_dim"
_LISTED = 20
_NEAR = 3


def split_language(text: str) -> tuple[str, str | None]:
    """Read ``MODEL@LANG``: the model and its language, None where no language is given.

    A folder that has an ``@`` in its name wins. Numbers are no languages: they are the seeds of
    controls.
    """
    found = _SOURCE.fullmatch(text)
    if found is None or given_path(text, exact=True).is_dir():
        return text, None
    model = found["model"]
    if not is_hub_id(model) and not given_path(model, exact=True).is_dir():
        return text, None  # the path is missing as it was written, and is named so
    return model, found["language"]


def language_pattern(language: str) -> str:
    """Return which files of the hub hold a language."""
    return f"adapter.{language}.*"


def languages_of(names: Iterable[str]) -> list[str]:
    """Return the languages among names of files, sorted."""
    return sorted({found["language"] for name in names if (found := _FILE.fullmatch(name))})


def languages_in(folder: Path) -> list[str]:
    """List the languages that lie beside a model's weights."""
    return languages_of(path.name for path in folder.glob("adapter.*"))


def find_language(
    folder: Path, config: Mapping[str, Any], name: str, language: str, hub: tuple[str, str] | None
) -> Path:
    """Find the file that holds one language of a model.

    Parameters
    ----------
    folder : Path
        Of the model.
    config : mapping
        Its configuration.
    name : str
        Of the model, for messages.
    language : str
    hub : tuple of str, optional
        Hub id and commit, where the model is one of the hub: there it may have more languages.

    Returns
    -------
    Path

    Raises
    ------
    ModelError
        When the model has no languages, or not this one: names those that it has.
    """
    if config.get(_WIDTH) is None:
        raise ModelError(
            f"{name} has no languages to choose from, and {language!r} was asked for (its "
            f"config.json sets no {_WIDTH})",
            hint=f"MODEL@LANG is for models with language adapters, such as MMS. Give {name} "
            "alone; a branch, tag or commit of the hub is given as revision (--revision).",
        )
    stem = f"adapter.{language}"
    for suffix in _SUFFIXES:
        path = folder / f"{stem}{suffix}"
        if path.is_symlink() or path.exists():
            check_weights(path)
            return path
    here = languages_in(folder)
    known = sorted({*here, *_languages_of_hub(*hub)}) if hub else here
    if not known:
        raise ModelError(
            f"{folder} holds no language of {name} ({stem}{_SUFFIXES[0]} is not there, nor any "
            "other)",
            hint="Copy the file beside the weights, from where the model is from; without "
            "@LANG the language is used that the weights hold.",
        )
    raise ModelError(
        f"{name} has no language {language!r}",
        hint=_listed(language, known),
    )


def _languages_of_hub(hub_id: str, commit: str) -> list[str]:
    """List the languages of a model of the hub; none where it cannot be asked."""
    import huggingface_hub

    try:
        return languages_of(huggingface_hub.list_repo_files(hub_id, revision=commit))
    except Exception:  # whatever a network, a proxy and an HTTP library raise
        logger.info("the hub cannot be asked for the languages of %s", hub_id, exc_info=True)
        return []


def _listed(language: str, known: list[str]) -> str:
    near = difflib.get_close_matches(language, known, n=_NEAR)
    question = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{question}It has {shown_languages(known)}."


def shown_languages(languages: list[str]) -> str:
    """List languages for a line of text: the first few, and how many more there are."""
    more = len(languages) - _LISTED
    return ", ".join(languages[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def put_language(
    encoder: "nn.Module", tensors: Mapping[str, "Tensor"], path: Path, parents: tuple[str, ...]
) -> "nn.Module":
    """Put a language's adapter into the blocks.

    Parameters
    ----------
    encoder : nn.Module
        The bare encoder; changed in place.
    tensors : mapping of str to Tensor
        Of the file; what is outside the encoder (the letters' head) is left out.
    path : Path
        The file, for messages.
    parents : tuple of str
        What may stand before the encoder's own names.

    Returns
    -------
    nn.Module
        The encoder.

    Raises
    ------
    ModelError
        When the file is that of another model.
    """
    import torch

    own = {name: one for name, one in encoder.named_parameters() if _LAYER in name}
    parent = next(one for one in parents if not one or any(n.startswith(one) for n in tensors))
    given = {name.removeprefix(parent): tensor for name, tensor in tensors.items()}
    given = {name: tensor for name, tensor in given.items() if _LAYER in name}
    wrong = sorted(own.keys() ^ given.keys()) or [
        f"{name} ({tuple(given[name].shape)} instead of {tuple(one.shape)})"
        for name, one in own.items()
        if given[name].shape != one.shape
    ]
    if wrong or not own:
        named = ", ".join(wrong[:3]) or "the model has no layer for it"
        raise ModelError(
            f"the language in {path} does not fit the model beside it: {named}",
            hint="Copy or download both again, from the same model.",
        )
    with torch.no_grad():
        for name, one in own.items():
            one.copy_(given[name])
    return encoder
