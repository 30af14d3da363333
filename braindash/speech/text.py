"""Embeddings of text from a local sentence model, as targets of a control."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from braindash.core.devices import find_device, tell_memory
from braindash.errors import ModelError
from braindash.progress import NoProgress, Progress
from braindash.speech.checkpoints.loading import quiet_transformers

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
