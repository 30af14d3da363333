"""Colours are told apart without red or green cones, and stand out from light and dark ground."""

from itertools import combinations, product

import numpy as np
import pytest
from matplotlib import colormaps

from braindash.io.regions.discs import REGION_NAMES
from braindash.viewer.colours import (
    DIVERGING,
    MIX_COLOURS,
    PALETTE,
    REGION_COLOURS,
    SEQUENTIAL,
    region_colour,
)
from braindash.views.curves import DEFAULT_REGIONS

# What is left of linear RGB without one kind of cones (Machado, Oliveira & Fernandes 2009).
WITHOUT = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
LIGHT, DARK = "#FFFFFF", "#0E1117"  # grounds of the pages


def rgb(hex_colour):
    return np.array([int(hex_colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])


def linear(colour):
    return np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def lab(colour, without=None):
    """CIE Lab of sRGB, as somebody without one kind of cones sees it."""
    seen = linear(np.asarray(colour, dtype=float))
    if without:
        seen = np.clip(seen @ np.array(WITHOUT[without]).T, 0, 1)
    share = seen @ TO_XYZ.T / WHITE
    f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def least_distance(colours, without=None):
    seen = lab(np.array(colours), without)
    return min(float(np.linalg.norm(one - two)) for one, two in combinations(seen, 2))


def contrast(one, two):
    lights = sorted(float(linear(rgb(colour)) @ TO_XYZ[1]) + 0.05 for colour in (one, two))
    return lights[1] / lights[0]


def test_the_simulation_confuses_what_colour_blind_eyes_confuse():
    """Red and green of like light are one to protanopes; blue and yellow are not."""
    pair = [rgb("#C04040"), rgb("#5F6B20")]
    assert least_distance(pair) > 50 and least_distance(pair, "deuteranopia") < 20
    assert least_distance([rgb("#2050D0"), rgb("#C0B020")], "deuteranopia") > 80


@pytest.mark.parametrize("without", [None, *WITHOUT])
def test_regions_that_a_page_opens_with_are_told_apart(without):
    key = [rgb(region_colour(name)) for name in DEFAULT_REGIONS]
    assert least_distance(key, without) > 25
    shown = {region_colour(name) for name in REGION_NAMES}
    assert least_distance([rgb(one) for one in shown], without) > 12
    # Its grey comes seventh, and lines have names and dashes too.
    assert least_distance([rgb(one) for one in PALETTE], without) > 9


@pytest.mark.parametrize("without", [None, *WITHOUT])
def test_inks_and_all_their_sums_are_told_apart(without):
    inks = np.array([rgb(one) for one in MIX_COLOURS])
    sums = [np.clip(np.array(parts) @ inks, 0, 1) for parts in product((0, 1), repeat=3)]
    assert least_distance(sums, without) > 20


@pytest.mark.parametrize("name", sorted(set(REGION_COLOURS) - {"all targets"}))
def test_a_region_stands_out_from_light_and_dark_ground(name):
    assert contrast(REGION_COLOURS[name], DARK) > 3
    # Orange and sky blue are Okabe and Ito's: their names stand beside them.
    assert contrast(REGION_COLOURS[name], LIGHT) > 2.2


@pytest.mark.parametrize("without", [None, *WITHOUT])
@pytest.mark.parametrize("name", [*SEQUENTIAL, *DIVERGING])
def test_scales_keep_their_order_and_their_sides(name, without):
    seen = lab(colormaps[name](np.linspace(0, 1, 9))[:, :3], without)
    if name in SEQUENTIAL:
        assert (np.diff(seen[:, 0]) > 3).all(), "each step is lighter than the one before"
        return
    low, middle, high = seen[1], seen[4], seen[-2]
    assert np.linalg.norm(low - high) > 50, "below and above 0 are two colours"
    assert min(np.linalg.norm(one - middle) for one in (low, high)) > 25
