"""Tiny models of every family, made here from seeds: nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from braindash.speech.families import FAMILIES

# family, normalisation of the front end, stable layer norm, and whether windows are normalised
KINDS = {
    "wav2vec2-group": ("wav2vec2", "group", False, True),
    "wav2vec2-stable": ("wav2vec2", "layer", True, True),
    "hubert-group": ("hubert", "group", False, False),
    "hubert-stable": ("hubert", "layer", True, True),
    "hubert-layer": ("hubert", "layer", False, True),
}
N_BLOCKS = 2
WIDTH = 32


def build(kind: str, head: str = "Model", **settings):
    """A randomly initialised transformers model of one kind, with layer norms that matter."""
    import torch
    import transformers

    family, norm, stable, _ = KINDS[kind]
    prefix = FAMILIES[family].class_name.removesuffix("Model")
    config = getattr(transformers, f"{prefix}Config")(
        hidden_size=WIDTH,
        num_hidden_layers=N_BLOCKS,
        num_attention_heads=4,
        intermediate_size=48,
        conv_dim=(8,) * 7,
        conv_bias=norm == "layer",
        feat_extract_norm=norm,
        do_stable_layer_norm=stable,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        vocab_size=12,
        **settings,
    )
    torch.manual_seed(len(kind))
    model = getattr(transformers, f"{prefix}{head}")(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
            if "_proj.weight" in name or "dense.weight" in name:
                parameter.mul_(8.0)
    return model.eval()


def save(model, folder: Path, *, normalise: bool = True, **options) -> Path:
    """Write a model and its preprocessor as a user's folder."""
    import transformers

    model.save_pretrained(folder, **options)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    extractor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory) -> Callable[[str], Path]:
    """Folder of each kind of model, written once; never changed by a test."""
    made: dict[str, Path] = {}

    def find(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = save(build(kind), folder, normalise=KINDS[kind][3])
        return made[kind]

    return find


@pytest.fixture(scope="session")
def model_of(folder_of):
    """Opened model of each kind, loaded once."""
    from braindash.speech.models import open_model

    made = {}

    def find(kind: str):
        if kind not in made:
            made[kind] = open_model(folder_of(kind), device="cpu")
        return made[kind]

    return find


@pytest.fixture(scope="session")
def sound() -> np.ndarray:
    """Twenty seconds of coloured noise with a slow envelope and an offset, float32 at 16 kHz."""
    rng = np.random.default_rng(7)
    n_samples = 20 * 16000
    noise = np.convolve(rng.standard_normal(n_samples), np.ones(5) / 5, mode="same")
    envelope = 1.1 + np.sin(np.arange(n_samples) / 16000 * 2.3)
    return (0.1 * noise * envelope + 0.02).astype(np.float32)
