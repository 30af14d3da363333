"""Builds tiny models of every family from seeds: nothing is downloaded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """A variant of a family.

    ``local`` means that a frame of the front end depends on the audio under it alone, ``stable``
    that a final layer norm follows the last block. ``hop`` is the step between two frames and
    ``first`` the audio up to the first one, in samples.
    """

    family: str
    name: str
    normalise: bool
    local: bool = False
    stable: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    hop: int = 320
    first: int = 400


_GROUP = {"feat_extract_norm": "group", "conv_bias": False}
_LAYER = {"feat_extract_norm": "layer", "conv_bias": True}
_STABLE = _LAYER | {"do_stable_layer_norm": True}
_FAST = _LAYER | {"conv_stride": (5, 2, 2, 2, 2, 1, 2)}  # 100 frames per second

KINDS = {
    "wav2vec2-group": Kind("wav2vec2", "Wav2Vec2", True, settings=_GROUP),
    "wav2vec2-stable": Kind("wav2vec2", "Wav2Vec2", True, True, True, _STABLE),
    # The language adapters of MMS checkpoints.
    "wav2vec2-mms": Kind(
        "wav2vec2", "Wav2Vec2", True, True, True, _STABLE | {"adapter_attn_dim": 6}
    ),
    "hubert-group": Kind("hubert", "Hubert", False, settings=_GROUP),
    "hubert-stable": Kind("hubert", "Hubert", True, True, True, _STABLE),
    "hubert-layer": Kind("hubert", "Hubert", False, True, settings=_LAYER),
    "hubert-fast": Kind("hubert", "Hubert", True, True, False, _FAST, hop=160, first=320),
    "wavlm-group": Kind("wavlm", "WavLM", False, settings=_GROUP),
    "wavlm-stable": Kind("wavlm", "WavLM", True, True, True, _STABLE),
    "data2vec": Kind("data2vec-audio", "Data2VecAudio", True, True),
    "whisper": Kind("whisper", "Whisper", False, stable=True, first=320),
}
# Families that transformers runs, and further ones of those above: tested in test_families.py.
MORE = {
    "unispeech": Kind("unispeech", "UniSpeech", True, settings=_GROUP),
    "unispeech-sat": Kind("unispeech-sat", "UniSpeechSat", True, True, True, _STABLE),
    "conformer-relative": Kind("wav2vec2-conformer", "Wav2Vec2Conformer", True, True, True, _LAYER),
    "conformer-rotary": Kind(
        "wav2vec2-conformer",
        "Wav2Vec2Conformer",
        True,
        settings=_GROUP | {"position_embeddings_type": "rotary"},
    ),
    "sew": Kind("sew", "SEW", True, settings=_GROUP, hop=640, first=720),
    "moonshine": Kind("moonshine", "Moonshine", False, stable=True, hop=384, first=895),
    "w2v-bert": Kind("wav2vec2-bert", "Wav2Vec2Bert", False, first=560),
    "parakeet": Kind("parakeet", "Parakeet", False, hop=1280, first=1280),
    "qwen2-audio": Kind("qwen2-audio", "Qwen2Audio", False, stable=True, first=320),
    "voxtral": Kind("voxtral", "Voxtral", False, stable=True, first=320),
    "ast": Kind("audio-spectrogram-transformer", "AST", False, stable=True, hop=800, first=1520),
}
N_BLOCKS = 2
WIDTH = 32
WHISPER_SECONDS = 3  # instead of 30


def build(kind: str, head: str = "Model", **settings):
    """A randomly initialised transformers model of one kind, with parts that matter.

    As transformers draws them, layer norms and biases would do nothing, attention would be even
    and Whisper all but deaf to its spectrogram.
    Of Whisper, ``head="Encoder"`` gives the bare encoder.
    """
    import torch
    import transformers
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    made = (KINDS | MORE)[kind]
    config_name = {"Parakeet": "ParakeetCTC"}.get(made.name, made.name)
    config = getattr(transformers, f"{config_name}Config")(**(_sizes(made) | settings))
    torch.manual_seed(len(kind))
    if (made.name, head) == ("Whisper", "Encoder"):
        model = WhisperEncoder(config)
    else:
        model = getattr(transformers, f"{made.name}{head}")(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("conv.bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            if name.endswith(("conv1.weight", "conv2.weight")):
                parameter.mul_(8.0)
            if name.endswith(("pos_bias_u", "pos_bias_v", "cls_token", "position_embeddings")):
                parameter.add_(0.3 * torch.randn_like(parameter))
            if name.endswith(("_proj.weight", "dense.weight", "fc1.weight", "fc2.weight")):
                parameter.mul_(8.0)
            if "gru_rel_pos" in name or "rel_attn_embed" in name:
                parameter.add_(torch.randn_like(parameter))
    return model.eval()


_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 64,
}
_BLOCKS = {
    "hidden_size": WIDTH,
    "num_hidden_layers": N_BLOCKS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_HEARD = {"num_mel_bins": 20, "max_source_positions": 50 * WHISPER_SECONDS}
_SIZES: dict[str, dict[str, Any]] = {
    "sew": {
        "conv_kernel": (10, 3, 3, 3, 3, 2, 2),
        "conv_stride": (5, 2, 2, 2, 2, 2, 2),
    },
    "wav2vec2-conformer": {"conv_depthwise_kernel_size": 7},
    "moonshine": {
        "hidden_size": WIDTH,
        "intermediate_size": 48,
        "encoder_num_hidden_layers": N_BLOCKS,
        "encoder_num_attention_heads": 2,
        "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2,
        "vocab_size": 12,
    },
    "wav2vec2-bert": _BLOCKS
    | {
        "vocab_size": 12,
        "conv_depthwise_kernel_size": 7,
        "left_max_position_embeddings": 8,
        "right_max_position_embeddings": 4,
    },
    "parakeet": {
        "vocab_size": 12,
        "pad_token_id": 11,
        "encoder_config": _BLOCKS
        | {"num_mel_bins": 16, "subsampling_conv_channels": 8, "conv_kernel_size": 5},
    },
    "qwen2-audio": {
        "text_config": _TEXT | {"model_type": "qwen2"},
        "audio_config": {
            "model_type": "qwen2_audio_encoder",
            "d_model": WIDTH,
            "encoder_layers": N_BLOCKS,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            **_HEARD,
        },
        "audio_token_index": 5,
    },
    "voxtral": {
        "text_config": _TEXT | {"model_type": "llama", "head_dim": 8},
        "audio_config": _BLOCKS | {"model_type": "voxtral_encoder", **_HEARD},
        "audio_token_id": 5,
    },
    "audio-spectrogram-transformer": _BLOCKS
    | {
        "num_mel_bins": 32,
        "patch_size": 8,
        "frequency_stride": 5,
        "time_stride": 5,
        "max_length": 300,
    },
}


def _sizes(made: Kind) -> dict[str, Any]:
    if made.family in _SIZES and made.family not in ("sew", "wav2vec2-conformer"):
        return _SIZES[made.family] | made.settings
    if made.family == "whisper":
        return {
            "d_model": WIDTH,
            "encoder_layers": N_BLOCKS,
            "encoder_attention_heads": 4,
            "encoder_ffn_dim": 48,
            "decoder_layers": 1,
            "decoder_attention_heads": 4,
            "decoder_ffn_dim": 16,
            "max_source_positions": 50 * WHISPER_SECONDS,
            "num_mel_bins": 20,
            "vocab_size": 12,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
        }
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    if made.family == "data2vec-audio":
        positions = {
            "num_conv_pos_embeddings": 2,
            "conv_pos_kernel_size": 9,
            "num_conv_pos_embedding_groups": 4,
        }
    return {
        "hidden_size": WIDTH,
        "num_hidden_layers": N_BLOCKS,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "conv_dim": (8,) * 7,
        "vocab_size": 12,
        **positions,
        **_SIZES.get(made.family, {}),
        **made.settings,
    }


def extractor_of(kind: str, *, normalise: bool | None = None):
    """The preprocessor of one kind."""
    import transformers

    made = (KINDS | MORE)[kind]
    wanted = made.normalise if normalise is None else normalise
    if made.family in ("whisper", "qwen2-audio", "voxtral"):
        return transformers.WhisperFeatureExtractor(
            feature_size=20, chunk_length=WHISPER_SECONDS, do_normalize=wanted
        )
    if made.family == "wav2vec2-bert":
        return transformers.SeamlessM4TFeatureExtractor()
    if made.family == "parakeet":
        return transformers.ParakeetFeatureExtractor(feature_size=16)
    if made.family == "audio-spectrogram-transformer":
        return transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=300, mean=-5.0, std=3.0)
    return transformers.Wav2Vec2FeatureExtractor(do_normalize=wanted)


def save(model, folder: Path, *, normalise: bool = True, **options) -> Path:
    """Write a model of a family without padding, and its preprocessor, as a user's folder."""
    import transformers

    model.save_pretrained(folder, **options)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    extractor.save_pretrained(folder)
    return folder


def save_kind(kind: str, folder: Path, head: str = "Model", **settings) -> Path:
    """Write a model of one kind with its own preprocessor."""
    build(kind, head, **settings).save_pretrained(folder)
    extractor_of(kind).save_pretrained(folder)
    return folder
