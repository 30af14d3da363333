"""Feature spaces of the words that are said, found on disk; plain facts, free of torch.

``words:FILE`` are vectors of words, one layer. ``text:FOLDER`` is a local model of text with its
tokenizer, each of whose layers is one: it reads each word with the words before it. Both take the
place of a model where stories have annotated words: while a word is spoken its vector is there,
between words there is nothing, and the whole is brought to the times of brain responses like all
other features.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from braindash.errors import InputError, ModelError
from braindash.files import digest_json, parse_json
from braindash.names import given_path
from braindash.remembered.digests import digest_input

WORDS, TEXT = "words", "text"
LANGUAGE = (WORDS, TEXT)
"""What stands before the colon, and the families of such spaces."""
CONTEXT_WORDS = 32
"""Words before a word that a model of text reads with it."""
_VERSION = 1
"""Rises whenever the numbers change."""
# Names that configurations of models of text give their sizes.
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTH = ("hidden_size", "n_embd", "d_model", "dim")
_TEXT_FILES = re.compile(
    r"config\.json|tokenizer.*|vocab\..*|merges\.txt|.*\.model|added_tokens\.json|"
    r"special_tokens_map\.json|model.*\.safetensors(\.index\.json)?|"
    r"pytorch_model.*\.bin(\.index\.json)?"
)
_COUNT = re.compile(r"[0-9]{1,12}")
_LONGEST_LINE = 1_000_000  # bytes that the first word's numbers may take


@dataclass(frozen=True)
class LanguageSpace:
    """A space of words, found and not opened.

    Attributes
    ----------
    family : {"words", "text"}
    name : str
        For tables and figures: the family, and the name of the file or folder.
    folder : Path
        Where its files lie.
    files : tuple of Path
        The file of vectors, or all files of the model.
    n_layers, n_features : int
    fingerprint : str
        Digest of the files and of how they are used.
    """

    family: str
    name: str
    folder: Path
    files: tuple[Path, ...]
    n_layers: int
    n_features: int
    fingerprint: str


def is_language(source: str) -> bool:
    """Say whether a model's source means a space of words."""
    prefix, colon, _ = source.partition(":")
    return bool(colon) and prefix.lower() in LANGUAGE


def find_language_space(source: str) -> LanguageSpace:
    """Find the files of a space of words.

    Parameters
    ----------
    source : str
        ``words:FILE`` or ``text:FOLDER``.

    Returns
    -------
    LanguageSpace

    Raises
    ------
    ModelError
        There is no such file or folder, or it does not say how large it is.
    """
    prefix, _, rest = source.partition(":")
    family, place = prefix.lower(), given_path(rest).absolute()
    found = _vectors(place) if family == WORDS else _text_model(place)
    files, n_layers, n_features = found
    settings: dict[str, Any] = {"family": family, "version": _VERSION}
    if family == TEXT:
        settings["context_words"] = CONTEXT_WORDS
    digests = {one.name: digest_input(one) for one in files}
    return LanguageSpace(
        family,
        f"{family}:{place.stem if family == WORDS else place.name}",
        place.parent if family == WORDS else place,
        files,
        n_layers,
        n_features,
        digest_json(settings | {"files": digests if family == TEXT else [*digests.values()]}),
    )


def absolute_language(source: str) -> str:
    """Write the place in a source as an absolute path."""
    prefix, _, rest = source.partition(":")
    return f"{prefix.lower()}:{given_path(rest, exact=True).resolve()}"


def refuse_revision(source: str, revision: str | None) -> None:
    """Refuse a revision of files that have none."""
    if revision is not None:
        raise InputError(
            f"the revision {revision!r} was given for {source}",
            hint="Only models of the hub have revisions: leave it out.",
        )


# ---- vectors of words -----------------------------------------------------------------------


def _vectors(place: Path) -> tuple[tuple[Path, ...], int, int]:
    if not place.is_file():
        raise ModelError(
            f"there is no file of word vectors {place}",
            hint="Give words:FILE: GloVe's or word2vec's text form, or .npz with 'words' and "
            "'vectors'.",
        )
    size = place.stat()
    return (place,), 1, _dimensions(str(place), size.st_mtime_ns, size.st_size)


@lru_cache(maxsize=64)
def _dimensions(place: str, changed: int, size: int) -> int:
    """Read from its beginning how long the vectors of a file are."""
    path = Path(place)
    try:
        found = _of_npz(path) if path.suffix.lower() == ".npz" else _of_text(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"the word vectors {path} cannot be read: {error}",
            hint="Give GloVe's or word2vec's text form, or .npz with 'words' and 'vectors'.",
        ) from error
    if found < 1:
        raise ModelError(
            f"the first line of {path} is no word with its numbers",
            hint="Give GloVe's or word2vec's text form, or .npz with 'words' and 'vectors'.",
        )
    return found


def _of_npz(path: Path) -> int:
    with zipfile.ZipFile(path) as archive, archive.open("vectors.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, _ = read(stream)
    return int(shape[1]) if len(shape) == 2 else 0


def _of_text(path: Path) -> int:
    with path.open("rb") as stream:
        first = stream.readline(_LONGEST_LINE).decode("utf-8", "replace")
    fields = first.strip().replace("\t", " ").split(" ")
    if len(fields) == 2 and all(_COUNT.fullmatch(field) for field in fields):
        return int(fields[1])
    return len(fields) - 1


# ---- models of text -------------------------------------------------------------------------


def _text_model(place: Path) -> tuple[tuple[Path, ...], int, int]:
    config_file = place / "config.json"
    if not config_file.is_file():
        raise ModelError(
            f"{place} holds no model of text",
            hint="Give text:FOLDER: a local folder with config.json, weights and the tokenizer's "
            "files, as save_pretrained writes them; nothing is fetched.",
        )
    try:
        config = parse_json(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{config_file} cannot be read: {error}", hint="Copy or download the model again."
        ) from error
    if config.get("is_encoder_decoder"):
        raise ModelError(
            f"the model in {place} reads one text and writes another",
            hint="Give a model of one stack of layers, such as BERT or GPT-2.",
        )
    files = tuple(
        sorted(one for one in place.iterdir() if one.is_file() and _TEXT_FILES.fullmatch(one.name))
    )
    if not any(one.suffix in (".safetensors", ".bin") for one in files):
        raise ModelError(
            f"{place} holds no weights", hint="Copy model.safetensors beside its config.json."
        )
    return files, _size(config, _LAYERS, config_file) + 1, _size(config, _WIDTH, config_file)


def _size(config: Mapping[str, Any], names: tuple[str, ...], place: Path) -> int:
    for name in names:
        if isinstance(config.get(name), int) and config[name] > 0:
            return int(config[name])
    raise ModelError(
        f"{place} names none of {', '.join(names)}",
        hint="Give a model of text that AutoModel of transformers opens.",
    )
