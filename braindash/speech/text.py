"""Embeddings of text, and of words in their context, from a local model of text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.devices import find_device, tell_memory
from braindash.errors import ModelError
from braindash.progress import NoProgress, Progress
from braindash.speech.checkpoints.loading import quiet_transformers
from braindash.speech.language.spaces import CONTEXT_WORDS

_BATCH = 32
_SILENT = NoProgress()


def embed_texts(
    folder: Path, texts: Sequence[str], *, device: str = "auto", progress: Progress = _SILENT
) -> NDArray[np.float32]:
    """Embed texts: the mean of the model's last hidden state over the tokens of each.

    Parameters
    ----------
    folder : Path
        A model for text and its tokenizer, as ``save_pretrained`` writes them; nothing is fetched.
    texts : sequence of str
        Longer ones than the model takes are cut.
    device : str, default "auto"
    progress : Progress
        Told of every batch.

    Returns
    -------
    float32 array of shape (n_texts, n_dims)
        Zeros for an empty text.

    Raises
    ------
    ModelError
        When the folder holds no such model, or lacks weights.
    """
    import torch

    tokenizer, model = _load(folder)
    place = find_device(device)
    model = model.to(place).eval()
    found: NDArray[np.float32] = np.zeros((len(texts), model.config.hidden_size), np.float32)
    full = [at for at, text in enumerate(texts) if text]
    for start in range(0, len(full), _BATCH):
        progress.advance(start, len(full), "embedding text")
        part = full[start : start + _BATCH]
        tokens = tokenizer(
            [texts[at] for at in part], padding=True, truncation=True, return_tensors="pt"
        ).to(place)
        with torch.inference_mode():
            hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][:, :, None].to(hidden.dtype)
        means = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        found[part] = means.float().cpu().numpy()
    return found


def embed_words(
    folder: Path,
    words: Sequence[str],
    *,
    layer: int | None = None,
    device: str = "auto",
    progress: Progress = _SILENT,
) -> NDArray[np.float32]:
    """Embed the words of a text at one layer; see :func:`word_layers`.

    Parameters
    ----------
    folder, words, device, progress
        As for that function.
    layer : int, optional
        0 is what goes into the first block, n what comes out of the nth; None: the last.

    Returns
    -------
    float32 array of shape (n_words, n_dims)

    Raises
    ------
    ModelError
        As of that function; or the model has no such layer.
    """
    layers = word_layers(folder, words, device=device, progress=progress)
    if layer is not None and layer >= len(layers):
        raise ModelError(
            f"the model in {folder} has no layer {layer}",
            hint=f"Its layers are 0 (before the blocks) to {len(layers) - 1}.",
        )
    chosen: NDArray[np.float32] = layers[-1 if layer is None else layer]
    return chosen


def word_layers(
    folder: Path, words: Sequence[str], *, device: str = "auto", progress: Progress = _SILENT
) -> NDArray[np.float32]:
    """Embed the words of a text, each read with the 32 words before it and none after it.

    Parameters
    ----------
    folder : Path
        As for :func:`embed_texts`; the tokenizer must be a fast one, which knows where in the text
        its tokens are.
    words : sequence of str
        In the order in which they are said.
    device : str, default "auto"
    progress : Progress
        Told of every batch.

    Returns
    -------
    float32 array of shape (n_layers, n_words, n_dims)
        Mean over the tokens of each word; zeros where a word has none. Layer 0 is what goes into
        the first block, layer n what comes out of the nth.

    Raises
    ------
    ModelError
        When the folder holds no such model, lacks weights, or its tokenizer does not know places.
    """
    import torch

    tokenizer, model = _load(folder)
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"the tokenizer in {folder} does not know where in a text its tokens are",
            hint="Save it as a fast tokenizer (tokenizer.json), or take another model.",
        )
    _prepare(tokenizer, model.config)
    place = find_device(device)
    model = model.to(place).eval()
    parts = [
        np.zeros((model.config.num_hidden_layers + 1, 0, model.config.hidden_size), np.float32)
    ]
    for start in range(0, len(words), _BATCH):
        progress.advance(start, len(words), "embedding words")
        at = range(start, min(start + _BATCH, len(words)))
        texts = [" ".join(words[max(0, one - CONTEXT_WORDS) : one + 1]) for one in at]
        tokens = tokenizer(
            texts,
            padding=True,
            truncation=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        places = tokens.pop("offset_mapping")
        begins = torch.tensor(
            [len(text) - len(words[one]) for text, one in zip(texts, at, strict=True)]
        )
        # Signs that stand for no letters have the same begin and end.
        own = (places[..., 1] > begins[:, None]) & (places[..., 1] > places[..., 0])
        with torch.inference_mode():
            states = model(**tokens.to(place), output_hidden_states=True).hidden_states
        mask = own[:, :, None].float()
        total = mask.sum(dim=1).clamp(min=1)
        means = [(hidden.float().cpu() * mask).sum(dim=1) / total for hidden in states]
        parts.append(torch.stack(means).numpy())
    return np.concatenate(parts, axis=1)


def _prepare(tokenizer: Any, config: Any) -> None:
    """Have texts that are too long lose their beginning, and short ones be filled up."""
    tokenizer.truncation_side = "left"
    most = getattr(config, "max_position_embeddings", None) or tokenizer.model_max_length
    tokenizer.model_max_length = min(tokenizer.model_max_length, most)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token


def _load(folder: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoTokenizer

    automatic: Any = AutoTokenizer
    try:
        with quiet_transformers():
            tokenizer = automatic.from_pretrained(folder, local_files_only=True)
            model, report = AutoModel.from_pretrained(
                folder,
                dtype=torch.float32,
                output_loading_info=True,
                local_files_only=True,
                weights_only=True,
            )
    except Exception as error:
        tell_memory(error, f"the sentence model in {folder}")
        # What a folder that is no model raises differs from file to file.
        raise ModelError(
            f"the sentence model in {folder} cannot be loaded: {type(error).__name__}: {error}",
            hint="Give a folder with config.json, model.safetensors and the tokenizer's files.",
        ) from error
    # The pooler stands behind the hidden state that is read; sentence models often lack it.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ModelError(
            f"the sentence model in {folder} lacks weights: {', '.join(missing[:6])}",
            hint="Copy or download the model again: they would stay random.",
        )
    return tokenizer, model
