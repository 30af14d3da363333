"""Convolutional front ends, block of frames by block, against transformers' own in one piece."""

import copy

import numpy as np
import pytest
import torch
from kit.models.tiny_models import build

from braindash.speech.encoder import front
from braindash.speech.encoder.front import ConvolutionalFront


@pytest.mark.parametrize("n_filters", [6, 12], ids=["fewer than taps", "more than taps"])
@pytest.mark.parametrize("bias", [False, True])
def test_the_first_layer_is_normalised_over_the_window(n_filters, bias, monkeypatch):
    monkeypatch.setattr(front, "_BLOCK_FRAMES", 7)
    model = build("hubert-group", conv_dim=(n_filters, *(8,) * 6), conv_bias=bias)
    window = 0.2 + np.random.default_rng(0).standard_normal((2, 8000)).astype(np.float32)
    exact = copy.deepcopy(model).double()
    with torch.inference_mode():
        convolved = exact.feature_extractor(torch.from_numpy(window).double())
        expected = exact.feature_projection(convolved.transpose(1, 2))
        found = ConvolutionalFront(model).embed(window)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5 * expected.std()
