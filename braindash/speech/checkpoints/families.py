"""The families of speech models that braindash opens: plain facts, free of torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")

_WINDOW = "the whole window"
Front = Literal["waveform", "moonshine", "whisper", "fbank", "nemo", "patches"]


@dataclass(frozen=True)
class Family:
    """What braindash has to know about one ``model_type``.

    Parameters
    ----------
    name : str
        ``model_type`` in a checkpoint's ``config.json``, unless ``model_types`` says otherwise.
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
    title : str
        Its name in texts.
    model_types : tuple of str
        ``model_type`` of checkpoints that hold this encoder, where that is not the name.
    part : str
        Field of ``config.json`` that holds the encoder's own configuration in a larger model; the
        fields themselves where there is no such field.
    front : {"waveform", "moonshine", "whisper", "fbank", "nemo", "patches"}
        What lies before the first block, see :mod:`braindash.speech.encoder.front` and
        :mod:`braindash.speech.encoder.spectra`.
    last : {"stack", "block", "normed"}
        What the last layer is: what the stack of blocks returns, the output of the last block
        (where the stack changes the rate behind it), or that behind the final layer norm (where
        the stack pools between the two).
    conformer : bool
        True where a block has two feed-forward parts and a convolution.
    own_loop : bool
        True where braindash runs the blocks itself, so that windows can share work; transformers
        runs the others.
    tower : bool
        True for the encoder of a much larger model: only its weights are read, from safetensors.
    tunable : bool
        True where brain-tuning knows the family.
    heads_key, inner_key : str
        Where ``config.json`` keeps the attention heads and the width of the feed-forward part.
    frame : str
        What one frame is, for tables.
    context : str
        What one frame has heard, for tables.
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
    title: str = ""
    model_types: tuple[str, ...] = ()
    part: str = ""
    front: Front = "waveform"
    last: Literal["stack", "block", "normed"] = "stack"
    conformer: bool = False
    own_loop: bool = True
    tower: bool = False
    tunable: bool = True
    heads_key: str = "num_attention_heads"
    inner_key: str = "intermediate_size"
    frame: str = "20 ms; its time is the end of the 25 ms of sound under it"
    context: str = _WINDOW


# masked_spec_embed replaces masked frames in training (SpecAugment). Eval mode never masks, and
# published checkpoints (wav2vec2-base-960h among them) really come without it.
_MASKING_ONLY = ("masked_spec_embed",)
_MODELS = "transformers.models"
_TOWERS = ("model.audio_tower.", "audio_tower.", "")
_MEL_FRAME = "20 ms: two columns of the spectrogram; its time is their end"
_PADDED = "the whole window, padded to 30 s"
_NO_GRID = (
    "its blocks (Swin) merge time and frequency on the way up, so layers have neither the same "
    "width nor the same frames; AST, whose layers all have one frame per 100 ms, is opened"
)
_NO_BLOCKS = (
    "there are no blocks to compare by layer; HuBERT and the others below have them, and "
    "acoustic:logmel tells what the sound itself reaches"
)
_TWO_THIRDS = (
    "its blocks have frames of 40 ms, but it hears 24 kHz and braindash gives sound of 16 kHz: a "
    "third of the band that it was trained on would be missing; WavLM, which its first codes were "
    "taught to follow, is opened"
)

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
                title="wav2vec 2.0 (also XLS-R, MMS)",
            ),
            Family(
                "hubert",
                "HubertModel",
                f"{_MODELS}.hubert.modeling_hubert",
                "HubertConfig",
                ("hubert.", ""),
                never_read=_MASKING_ONLY,
                title="HuBERT",
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
                title="WavLM",
            ),
            Family(
                "data2vec-audio",
                "Data2VecAudioModel",
                f"{_MODELS}.data2vec.modeling_data2vec_audio",
                "Data2VecAudioConfig",
                ("data2vec_audio.", ""),
                never_read=_MASKING_ONLY,
                title="data2vec-audio",
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
                title="Whisper's encoder",
                front="whisper",
                heads_key="encoder_attention_heads",
                inner_key="encoder_ffn_dim",
                frame=_MEL_FRAME,
                context=_PADDED,
            ),
            Family(
                "unispeech",
                "UniSpeechModel",
                f"{_MODELS}.unispeech.modeling_unispeech",
                "UniSpeechConfig",
                ("unispeech.", ""),
                never_read=_MASKING_ONLY,
                title="UniSpeech",
            ),
            Family(
                "unispeech-sat",
                "UniSpeechSatModel",
                f"{_MODELS}.unispeech_sat.modeling_unispeech_sat",
                "UniSpeechSatConfig",
                ("unispeech_sat.", ""),
                never_read=_MASKING_ONLY,
                title="UniSpeech-SAT",
            ),
            Family(
                "wav2vec2-conformer",
                "Wav2Vec2ConformerModel",
                f"{_MODELS}.wav2vec2_conformer.modeling_wav2vec2_conformer",
                "Wav2Vec2ConformerConfig",
                ("wav2vec2_conformer.", ""),
                never_read=_MASKING_ONLY,
                title="wav2vec 2.0 Conformer",
                conformer=True,
                own_loop=False,
                tunable=False,
            ),
            Family(
                "sew",
                "SEWModel",
                f"{_MODELS}.sew.modeling_sew",
                "SEWConfig",
                ("sew.", ""),
                never_read=_MASKING_ONLY,
                title="SEW",
                last="block",
                own_loop=False,
                tunable=False,
                frame="40 ms: two frames of 20 ms, squeezed before the first block",
            ),
            Family(
                "moonshine",
                "MoonshineEncoder",
                f"{_MODELS}.moonshine.modeling_moonshine",
                "MoonshineConfig",
                ("model.encoder.", "encoder.", ""),
                n_blocks_key="encoder_num_hidden_layers",
                title="Moonshine's encoder",
                front="moonshine",
                own_loop=False,
                tunable=False,
                heads_key="encoder_num_attention_heads",
                frame="24 ms; its time is the end of the 56 ms of sound under it",
            ),
            Family(
                "wav2vec2-bert",
                "Wav2Vec2BertModel",
                f"{_MODELS}.wav2vec2_bert.modeling_wav2vec2_bert",
                "Wav2Vec2BertConfig",
                ("wav2vec2_bert.", ""),
                never_read=_MASKING_ONLY,
                title="w2v-BERT 2.0",
                front="fbank",
                conformer=True,
                own_loop=False,
                tunable=False,
                frame="20 ms: two columns of the spectrogram; its time is their end",
            ),
            Family(
                "parakeet",
                "ParakeetEncoder",
                f"{_MODELS}.parakeet.modeling_parakeet",
                "ParakeetEncoderConfig",
                ("encoder.", ""),
                title="Parakeet's encoder (FastConformer)",
                model_types=(
                    "parakeet_ctc",
                    "parakeet_rnnt",
                    "parakeet_tdt",
                    "parakeet_encoder",
                ),
                part="encoder_config",
                front="nemo",
                conformer=True,
                own_loop=False,
                tunable=False,
                frame="80 ms; its time is the end of the 165 ms of sound under it",
            ),
            Family(
                "qwen2-audio",
                "Qwen2AudioEncoder",
                f"{_MODELS}.qwen2_audio.modeling_qwen2_audio",
                "Qwen2AudioEncoderConfig",
                _TOWERS,
                n_blocks_key="encoder_layers",
                width_key="d_model",
                padded=True,
                title="Qwen2-Audio's audio tower",
                model_types=("qwen2_audio", "qwen2_audio_encoder"),
                part="audio_config",
                front="whisper",
                last="normed",
                tower=True,
                tunable=False,
                heads_key="encoder_attention_heads",
                inner_key="encoder_ffn_dim",
                frame=_MEL_FRAME,
                context=_PADDED,
            ),
            Family(
                "voxtral",
                "VoxtralEncoder",
                f"{_MODELS}.voxtral.modeling_voxtral",
                "VoxtralEncoderConfig",
                _TOWERS,
                padded=True,
                title="Voxtral's audio tower",
                model_types=("voxtral", "voxtral_encoder"),
                part="audio_config",
                front="whisper",
                tower=True,
                tunable=False,
                frame=_MEL_FRAME,
                context=_PADDED,
            ),
            Family(
                "audio-spectrogram-transformer",
                "ASTModel",
                f"{_MODELS}.audio_spectrogram_transformer.modeling_audio_spectrogram_transformer",
                "ASTConfig",
                ("audio_spectrogram_transformer.", ""),
                padded=True,
                title="AST (Audio Spectrogram Transformer)",
                front="patches",
                own_loop=False,
                tunable=False,
                frame="100 ms: the mean of the patches of all frequencies at one time; its time "
                "is the end of their 175 ms",
                context="the whole window, padded to 10.24 s",
            ),
        )
    }
)

# Every ``model_type`` that is opened, by the family that opens it.
MODEL_TYPES: Mapping[str, Family] = MappingProxyType(
    {
        model_type: family
        for family in FAMILIES.values()
        for model_type in family.model_types or (family.name,)
    }
)

# Models of sound that are not opened, and why. Their config.json is right as it is.
NOT_OPENED: Mapping[str, str] = MappingProxyType(
    {
        "clap": _NO_GRID,
        "clap_audio_model": _NO_GRID,
        "encodec": "its encoder is made of convolutions and two recurrent layers, each with a "
        f"rate and a width of its own: {_NO_BLOCKS}",
        "mimi": _TWO_THIRDS,
        "mimi_encoder": _TWO_THIRDS,
        "dac": "its encoder is made of convolutions, each with a rate and a width of its own: "
        f"{_NO_BLOCKS}",
        "sew-d": "its blocks (disentangled attention) are not read yet",
        "seamless_m4t": "its encoder is not read; w2v-BERT 2.0, from which it was made, is",
        "seamless_m4t_v2": "its encoder is not read; w2v-BERT 2.0, from which it was made, is",
        "speecht5": "its encoder is shared by sound and text, and is not read",
        "speech_to_text": "its encoder (Speech2Text) is not read",
        "speech-encoder-decoder": "it joins a speech encoder and a text decoder; save the encoder "
        "alone (`model.encoder.save_pretrained(FOLDER)`)",
        "moonshine_streaming": "its encoder hears a sliding window, and is not read; "
        "Moonshine (moonshine) is",
        "voxtral_realtime": "its encoder hears a sliding window, and is not read; Voxtral is",
    }
)


def family_of(class_name: str) -> Family | None:
    """Look a family up by transformers' class of the bare encoder."""
    return next((one for one in FAMILIES.values() if one.class_name == class_name), None)
