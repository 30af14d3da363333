"""Configurations that no speech model has are refused from their numbers, before any is built."""

import json
import time

import pytest
from kit.models.tiny_models import KINDS, MORE

from braindash.errors import ModelError
from braindash.speech.checkpoints.families import FAMILIES, MODEL_TYPES
from braindash.speech.checkpoints.locate import locate
from braindash.speech.checkpoints.sizes import check_sizes
from braindash.speech.geometry import geometry_of
from braindash.speech.windows import n_parameters

HUGE = 10**9
SIZES = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12}


def config_of(family, **changes):
    """The sizes of a base model under a family's own names."""
    facts = FAMILIES[family]
    own = {
        facts.n_blocks_key: 12,
        facts.width_key: 768,
        facts.heads_key: 12,
        facts.inner_key: 3072,
    }
    return own | changes


def refuse(folder, family, **changes):
    """Locate a folder with such a configuration and weights, and give the error."""
    facts = FAMILIES[family]
    own = config_of(family, **changes)
    config = {"model_type": next(k for k, v in MODEL_TYPES.items() if v is facts)}
    config |= {facts.part: own} if facts.part else own
    (folder / "config.json").write_text(json.dumps(config))
    for source in (str(folder), f"untrained:{folder}"):
        began = time.perf_counter()
        with pytest.raises(ModelError) as caught:
            locate(source)
        assert time.perf_counter() - began < 1
    return caught.value


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [0, -1, HUGE, 1e9, "12", True, [12], None])
@pytest.mark.parametrize("field", ["n_blocks_key", "width_key"])
def test_layers_and_width_are_checked_for_every_family(family, field, value, tmp_path):
    key = getattr(FAMILIES[family], field)
    assert key in refuse(tmp_path, family, **{key: value}).message


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("value", [0, -3, 7, HUGE])
def test_heads_are_checked_for_every_family(family, value, tmp_path):
    key = FAMILIES[family].heads_key
    assert key in refuse(tmp_path, family, **{key: value}).message


@pytest.mark.parametrize(
    ("family", "changes", "says"),
    [
        ("hubert", {"conv_stride": [5, 2, 2, 0, 2, 2, 2]}, "conv_stride"),
        ("hubert", {"conv_kernel": [10, 3, 3, 3, 3, 2, HUGE]}, "conv_kernel"),
        ("hubert", {"conv_kernel": [10, 3, 3, -3, 3, 2, 2]}, "conv_kernel"),
        ("hubert", {"conv_kernel": 10}, "conv_kernel"),
        ("hubert", {"conv_kernel": []}, "conv_kernel"),
        ("hubert", {"conv_dim": [512] * 1000}, "conv_dim"),
        ("hubert", {"conv_dim": [-512] * 7}, "conv_dim"),
        ("hubert", {"conv_dim": [512] * 7, "conv_stride": [5, 2]}, "7 values of conv_dim"),
        ("hubert", {"conv_kernel": [1] * 7, "conv_stride": [1] * 7}, "comes every 1"),
        ("hubert", {"conv_kernel": [4000] * 2, "conv_stride": [100] * 2}, "hears"),
        ("hubert", {"num_conv_pos_embeddings": HUGE}, "num_conv_pos_embeddings"),
        ("hubert", {"num_conv_pos_embedding_groups": 5}, "num_conv_pos_embedding_groups"),
        ("hubert", {"intermediate_size": -1}, "intermediate_size"),
        ("hubert", {"num_hidden_layers": 512, "hidden_size": 24576}, "billion"),
        ("wav2vec2", {"adapter_attn_dim": 0}, "adapter_attn_dim"),
        ("wavlm", {"num_buckets": 0}, "num_buckets"),
        ("data2vec-audio", {"conv_pos_kernel_size": 0}, "conv_pos_kernel_size"),
        ("sew", {"squeeze_factor": 0}, "squeeze_factor"),
        ("whisper", {"num_mel_bins": 0, "max_source_positions": 1500}, "num_mel_bins"),
        ("whisper", {"max_source_positions": 50 * HUGE}, "max_source_positions"),
        ("voxtral", {"num_mel_bins": HUGE, "max_source_positions": 1500}, "num_mel_bins"),
        ("parakeet", {"subsampling_factor": 0}, "subsampling_factor"),
        ("parakeet", {"conv_kernel_size": HUGE}, "conv_kernel_size"),
        ("wav2vec2-bert", {"feature_projection_input_dim": 0}, "feature_projection_input_dim"),
        ("wav2vec2-bert", {"conv_depthwise_kernel_size": -31}, "conv_depthwise_kernel_size"),
        ("hubert", {"add_adapter": True, "num_adapter_layers": HUGE}, "num_adapter_layers"),
        ("wav2vec2-bert", {"add_adapter": True, "adapter_stride": 0}, "adapter_stride"),
        ("audio-spectrogram-transformer", {"time_stride": 0}, "time_stride"),
        ("audio-spectrogram-transformer", {"patch_size": 500, "num_mel_bins": 128}, "patch_size"),
        ("audio-spectrogram-transformer", {"max_length": HUGE}, "max_length"),
    ],
)  # fmt: skip
def test_other_sizes_are_checked(family, changes, says, tmp_path):
    error = refuse(tmp_path, family, **changes)
    assert says in error.message and "nothing was built" in error.hint


@pytest.mark.parametrize("kind", KINDS | MORE)
def test_the_sizes_of_real_and_tiny_models_pass(kind):
    family = (KINDS | MORE)[kind].family
    check_sizes("config.json", config_of(family), FAMILIES[family])
    nulls = dict.fromkeys(("adapter_attn_dim", "squeeze_factor", "conv_dim"))
    check_sizes("config.json", config_of(family, **nulls), FAMILIES[family])


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("hubert", ["conv_dim", "conv_kernel", "conv_stride"]),
        ("parakeet", ["subsampling_factor", "subsampling_conv_channels", "num_mel_bins"]),
        ("wav2vec2-bert", ["feature_projection_input_dim"]),
        ("audio-spectrogram-transformer", ["patch_size", "time_stride", "num_mel_bins"]),
    ],
)
def test_a_size_that_is_null_is_the_usual_one(family, names, tmp_path):
    """As where it is absent; the part of the key that the configuration is stays as written."""
    facts, found = FAMILIES[family], []
    for number, config in enumerate((config_of(family), config_of(family, **dict.fromkeys(names)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = {facts.part: config} if facts.part else config
        whole |= {"model_type": next(k for k, v in MODEL_TYPES.items() if v is facts)}
        (folder / "config.json").write_text(json.dumps(whole))
        found.append(locate(f"untrained:{folder}"))
    assert geometry_of(facts, found[0].config) == geometry_of(facts, found[1].config)
    assert n_parameters(found[0]) == n_parameters(found[1])


@pytest.mark.parametrize("part", [None, [], "x"])
def test_a_part_that_is_no_object_is_refused(part, tmp_path):
    config = {"model_type": "voxtral", "audio_config": part}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="audio_config"):
        locate(tmp_path)
