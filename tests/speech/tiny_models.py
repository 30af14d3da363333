"""Builds tiny models of every family from seeds: nothing is downloaded."""

from pathlib import Path

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
