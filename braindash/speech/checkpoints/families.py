"""The families of speech models that braindash opens: plain facts, free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


@dataclass(frozen=True)
class Family:
    """What braindash has to know about one ``model_type``.

    Parameters
    ----------
    name : str
        ``model_type`` in a checkpoint's ``config.json``.
    class_name : str
        Class of transformers that holds the bare encoder (no CTC, decoder or pre-training head).
    module : str
        Module of transformers where the class lives.
    config_name : str
        Class of its configuration.
    parents : tuple of str
        What may stand before the encoder's own names of weights in a checkpoint or an adapter of
        a larger model, such as one fine-tuned with a head; longest first, the last one is empty.
    n_blocks_key, width_key : str
        Where ``config.json`` keeps the number of transformer blocks and their width.
    never_read : tuple of str
        Last part of the names of parameters that inference in eval mode never reads: a checkpoint
        may lack them.
    padded : bool
        True when the model sees inputs of one length only, padded with silence behind the audio.
    deaf_adapters : tuple of str
        Linear layers whose weights the model reads past their module: a low-rank adapter there
        has no effect while it is trained.
    adapted : tuple of str
        Linear layers that brain-tuning gives low-rank adapters: the attention's projections, or
        the feed-forward part where those would be deaf.
    """

    name: str
    class_name: str
    module: str
    config_name: str
    parents: tuple[str, ...]
    n_blocks_key: str = "num_hidden_layers"
    width_key: str = "hidden_size"
    never_read: tuple[str, ...] = ()
    padded: bool = False
    deaf_adapters: tuple[str, ...] = ()
    adapted: tuple[str, ...] = _ATTENTION


# masked_spec_embed replaces masked frames in training (SpecAugment). Eval mode never masks, and
# published checkpoints (wav2vec2-base-960h among them) really come without it.
_MASKING_ONLY = ("masked_spec_embed",)
_MODELS = "transformers.models"

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family(
                "wav2vec2",
                "Wav2Vec2Model",
                f"{_MODELS}.wav2vec2.modeling_wav2vec2",
                "Wav2Vec2Config",
                ("wav2vec2.", ""),
                never_read=_MASKING_ONLY,
            ),
            Family(
                "hubert",
                "HubertModel",
                f"{_MODELS}.hubert.modeling_hubert",
                "HubertConfig",
                ("hubert.", ""),
                never_read=_MASKING_ONLY,
            ),
            Family(
                "wavlm",
                "WavLMModel",
                f"{_MODELS}.wavlm.modeling_wavlm",
                "WavLMConfig",
                ("wavlm.", ""),
                never_read=_MASKING_ONLY,
                deaf_adapters=_ATTENTION,
                adapted=("intermediate_dense", "output_dense"),
            ),
            Family(
                "data2vec-audio",
                "Data2VecAudioModel",
                f"{_MODELS}.data2vec.modeling_data2vec_audio",
                "Data2VecAudioConfig",
                ("data2vec_audio.", ""),
                never_read=_MASKING_ONLY,
            ),
            Family(
                "whisper",
                "WhisperEncoder",
                f"{_MODELS}.whisper.modeling_whisper",
                "WhisperConfig",
                ("model.encoder.", "encoder.", ""),
                n_blocks_key="encoder_layers",
                width_key="d_model",
                padded=True,
            ),
        )
    }
)
