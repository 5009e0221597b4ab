"""Procedural textures: prints and grain such as real household objects have, drawn with OpenCV.

All are (H, W, 3) uint8 RGB.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]


def printed_mug(colour: Colour, motif: Colour, wall: tuple[float, float]) -> Image:
    """Glazed colour with two thin bands and a row of small leaves around the outer wall.

    Args:
        colour: Glaze.
        motif: Print.
        wall: Range of v that the outer wall covers, from foot to rim.
    """
    side = 512
    image = np.full((side, side, 3), colour, np.uint8)
    image = _mottled(image, 5, 4.0)
    low, high = wall[0] * side, wall[1] * side

    def row(fraction: float) -> int:
        return round(low + fraction * (high - low))

    for fraction, width in ((0.12, 4), (0.18, 2), (0.86, 4)):
        cv2.line(image, (0, row(fraction)), (side, row(fraction)), motif, width)
    count = 9
    for k in range(count):
        u = round((k + 0.5) * side / count)
        tall = 0.20 if k % 3 == 0 else 0.13
        centre = (u, row(0.50))
        half = (side // (count * 5), max(3, round(tall * (high - low))))
        cv2.ellipse(image, centre, half, 18 if k % 2 else -18, 0, 360, motif, -1, cv2.LINE_AA)
        dot = (u + side // (2 * count), row(0.66 if k % 2 else 0.34))
        cv2.circle(image, dot, 4, motif, -1, cv2.LINE_AA)
    return image


def ringed_saucer(colour: Colour, ring: Colour) -> Image:
    """Glaze with a ring near the rim and one around the well; v runs from underside to top."""
    image = np.full((256, 64, 3), colour, np.uint8)
    image = _mottled(image, 6, 2.0)
    image[140:146] = ring
    image[168:170] = ring
    return image


def printed_block(colour: Colour, ink: Colour) -> Image:
    """Atlas of six faces (3x2): lacquered wood with a frame, bars and a mark printed on each."""
    cell = 128
    image = _mottled(np.full((2 * cell, 3 * cell, 3), colour, np.uint8), 7, 4.0)
    rng = np.random.default_rng(11)
    for face in range(6):
        x, y = (face % 3) * cell, (face // 3) * cell
        cv2.rectangle(image, (x + 14, y + 14), (x + cell - 15, y + cell - 15), ink, 2, cv2.LINE_AA)
        for k in range(5):
            left = x + 26 + 7 * k
            cv2.line(image, (left, y + 84), (left, y + 100), ink, int(rng.integers(1, 4)))
        corner = np.array([[x + 74, y + 28], [x + 100, y + 28], [x + 87, y + 54]], np.int32)
        cv2.fillPoly(
            image, [corner if face % 2 else corner + np.array([-40, 6], np.int32)], ink, cv2.LINE_AA
        )
        cv2.circle(image, (x + 86, y + 86), 9 + face, ink, 2, cv2.LINE_AA)
    return image


def labelled(colour: Colour, label: Colour, ink: Colour) -> Image:
    """Wrapper or carton with a label, for distractors."""
    side = 256
    image = _mottled(np.full((side, side, 3), colour, np.uint8), 8, 4.0)
    for left in (12, 140):
        cv2.rectangle(image, (left, 80), (left + 96, 176), label, -1)
        cv2.circle(image, (left + 48, 112), 18, ink, -1, cv2.LINE_AA)
        for k in range(3):
            cv2.line(image, (left + 14, 146 + 9 * k), (left + 82 - 12 * k, 146 + 9 * k), ink, 3)
    return image


def wood(colour: Colour, seed: int, size: int = 512) -> Image:
    """Low-contrast grain along u."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.standard_normal((96, 8)).astype(np.float32), (size, size))
    fine = cv2.resize(rng.standard_normal((size // 2, 24)).astype(np.float32), (size, size))
    grain = 7.0 * coarse + 4.0 * fine + 1.5 * rng.standard_normal((size, size)).astype(np.float32)
    return np.asarray(np.clip(np.array(colour, np.float32) + grain[..., None], 0, 255), np.uint8)


def drawer_front(colour: Colour, inlay: Colour) -> Image:
    """Wood grain with an inlaid frame and a few inlaid lozenges; every face of a board shows it."""
    side = 512
    image = wood(colour, 52, side)
    cv2.rectangle(image, (28, 44), (side - 29, side - 45), inlay, 5, cv2.LINE_AA)
    for k, at in enumerate((90, 180, 332, 422)):
        for height in (130, 385):
            tall, wide = 26 + 6 * (k % 2), 15 + 4 * (height > 200)
            lozenge = np.array([[at, height - tall], [at + wide, height], [at, height + tall],
                                [at - wide, height]], np.int32)  # fmt: skip
            cv2.fillPoly(image, [lozenge], inlay, cv2.LINE_AA)
    return image


def _mottled(image: Image, seed: int, amplitude: float) -> Image:
    rng = np.random.default_rng(seed)
    height, width = image.shape[:2]
    noise = cv2.resize(
        rng.standard_normal((max(2, height // 8), max(2, width // 8))).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    return np.asarray(np.clip(image + amplitude * noise[..., None], 0, 255), np.uint8)
