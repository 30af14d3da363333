"""Damages a model's folder on disk, and asks a model for its answer."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from braindash.speech.encoder.encoder import layer_frames
from braindash.speech.models import open_model

WEIGHTS = "model.safetensors"
Tensors = dict[str, torch.Tensor]


def edit_json(path: Path, **changes) -> None:
    """Change fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_weights(path: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Change the tensors of a safetensors file."""
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def answer(model) -> np.ndarray:
    """All layers and frames of a short fixed sound, from a folder or a model in memory."""
    wave = np.random.default_rng(0).standard_normal((1, 4000)).astype(np.float32)
    module = model if isinstance(model, torch.nn.Module) else open_model(model, device="cpu").module
    return layer_frames(module, wave, slice(None))
