"""Counted work against torch's own counts on the real models."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from kit.models.tiny_models import KINDS, build, extractor_of
from torch.utils.flop_counter import FlopCounterMode

from braindash.speech.checkpoints.locate import locate
from braindash.speech.windows import (
    extraction_products,
    frame_rate_hz,
    n_parameters,
    window_products,
)

SECONDS = 2.0
# Wide enough that norms and biases are few beside the products.
SIZES = {"hidden_size": 96, "intermediate_size": 200, "conv_dim": (48,) * 7}
WHISPER_SIZES = {"d_model": 96, "encoder_ffn_dim": 200}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Files and module of a kind in a size where products count."""
    made = {}

    def find(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            whisper = kind == "whisper"
            model = build(
                kind, "Encoder" if whisper else "Model", **(WHISPER_SIZES if whisper else SIZES)
            )
            model.save_pretrained(folder)
            extractor_of(kind).save_pretrained(folder)
            if not kind.startswith("wavlm"):
                model.set_attn_implementation("eager")  # torch counts no products of the fused one
            made[kind] = locate(folder), model
        return made[kind]

    return find


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_those_of_the_model(kind, pair):
    files, module = pair(kind)
    counted = sum(p.numel() for n, p in module.named_parameters() if "embed_positions" not in n)
    assert n_parameters(files) == pytest.approx(counted, rel=0.04)
    assert frame_rate_hz(files) == 16000 / KINDS[kind].hop


@pytest.mark.parametrize("kind", KINDS)
def test_products_are_those_that_torch_counts(kind, pair):
    files, module = pair(kind)
    wave = np.zeros(round(SECONDS * 16000), np.float32)
    inputs = extractor_of(kind)(wave, sampling_rate=16000, return_tensors="pt")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(next(iter(inputs.values())))
    # torch counts a multiplication and its addition as two.
    assert window_products(files, SECONDS) == pytest.approx(counter.get_total_flops() / 2, rel=0.06)


def test_published_sizes_need_no_more_than_their_configuration(tmp_path):
    """94.4 million parameters of wav2vec2-base, from a configuration of the default values."""
    from transformers import Wav2Vec2Config

    Wav2Vec2Config().save_pretrained(tmp_path)
    assert n_parameters(locate(f"untrained:{tmp_path}")) == pytest.approx(94.4e6, rel=0.01)


def test_work_grows_with_audio_and_falls_with_chunks_and_sharing(pair):
    group, local, whisper = (pair(k)[0] for k in ("hubert-group", "hubert-stable", "whisper"))
    for files in (group, local, whisper):
        exact = extraction_products(files, 600.0, "exact")
        assert extraction_products(files, 1200.0, "exact") == pytest.approx(2 * exact)
        assert exact > 5 * extraction_products(files, 600.0, "chunk")
    per_window = extraction_products(group, 600.0, "exact") / 6000
    assert per_window == pytest.approx(window_products(group, 16.1))
    assert extraction_products(local, 600.0, "exact") / 6000 < window_products(local, 16.1)
    # A padded model sees its whole input, however little of it is audio.
    assert window_products(whisper, 0.5) == window_products(whisper, 3.0)


def test_acoustic_spaces_are_no_work():
    files = locate("acoustic:lowlevel")
    assert n_parameters(files) == window_products(files, 9.0) == 0.0
    assert extraction_products(files, 600.0, "frames") == 0.0


def test_counting_needs_no_torch():
    code = "import sys, braindash.speech.windows; "
    code += "assert not {'torch', 'transformers'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
