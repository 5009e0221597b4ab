"""Colour names under changing light."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from novaflow_perception.core.colour import ColourSettings, corrected, fit, main_colours, shares

SETTINGS = ColourSettings()
PAINTS = {
    "red": (190, 30, 35),
    "orange": (230, 120, 30),
    "yellow": (235, 205, 40),
    "green": (40, 140, 60),
    "blue": (30, 70, 180),
    "purple": (130, 50, 150),
    "brown": (100, 60, 35),
    "white": (235, 235, 235),
    "grey": (125, 125, 125),
    "black": (18, 18, 18),
}


def board(gain=1.0, cast=(1.0, 1.0, 1.0)):
    """An image with one patch of each paint and a wooden rest, and the patches' places."""
    image = np.full((300, 500, 3), (170, 150, 130), np.uint8)
    places = {}
    for i, (name, rgb) in enumerate(PAINTS.items()):
        y, x = 30 + 140 * (i // 5), 20 + 95 * (i % 5)
        image[y : y + 90, x : x + 70] = rgb
        places[name] = (slice(y + 5, y + 85), slice(x + 5, x + 65))
    lit = np.clip(image * gain * np.array(cast), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(lit, (0, 0), 0.7), places


@pytest.mark.parametrize("gain", [0.75, 1.0, 1.25])
@pytest.mark.parametrize("cast", [(1, 1, 1), (1.05, 1, 0.95), (0.95, 1, 1.05)])
def test_paints_keep_their_names(gain, cast):
    image, places = board(gain, cast)
    rgb = corrected(image, SETTINGS)
    for name, place in places.items():
        found = shares(rgb[place].reshape(-1, 3))
        assert fit(name, found, SETTINGS) > 0, (name, found)


def test_paints_have_no_other_names():
    image, places = board()
    rgb = corrected(image, SETTINGS)
    kin = {frozenset(p) for p in (("orange", "yellow"), ("white", "grey"), ("orange", "brown"))}
    for name, place in places.items():
        found = shares(rgb[place].reshape(-1, 3))
        for other in PAINTS:
            if other != name and frozenset((name, other)) not in kin:
                assert fit(other, found, SETTINGS) == 0, (name, other, found)


def test_a_thing_of_two_colours_has_both_names():
    image, places = board()
    rgb = corrected(image, SETTINGS)
    pixels = np.concatenate([rgb[places[name]].reshape(-1, 3) for name in ("red", "white")])
    assert set(main_colours(shares(pixels), SETTINGS)) == {"red", "white"}
