"""Colour names of pixels, under the light that there is.

Names live in CIE Lab. A camera's white balance errs along the colour of daylight, from bluish to
yellowish, so what counts as neutral is a zone stretched that way, and not a disc around zero
chroma.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.settings import setting

_WHITE_A, _WHITE_B = 2.0, -14.0  # of white things in images as `corrected` leaves them
BETWEEN = ("beige", "turquoise")  # lie across other names, and describe nothing by themselves


@dataclass(frozen=True)
class ColourSettings:
    """Light correction, and how much of an object must have a colour that it is called by."""

    balance: float = setting(1.0, "how much of the estimated cast of the light is taken out, 0..1")
    cast: float = setting(0.12, "greatest cast, of the light's mean; beyond, it is a table's colour")
    bright: float = setting(0.82, "value that the brightest pixels are brought to, 0..1")
    gain_low: float = setting(0.8, "least gain of that")
    gain_high: float = setting(1.9, "greatest gain of that")
    share_white: float = setting(0.40, "share of an object's pixels that makes it white")
    share_grey: float = setting(0.45, "the same for grey")
    share_black: float = setting(0.40, "the same for black")
    white_to_grey: float = setting(0.8, "ratio of those shares above which the grey is shading")
    share_beige: float = setting(0.45, "share of an object's pixels that makes it beige")
    share_red: float = setting(0.14, "the same for red, which prints use on other grounds")
    share_other: float = setting(0.25, "the same for other colours")
    least_ratio: float = setting(0.85, "part of such a share that still passes")
    least_rank: float = setting(
        0.35, "least part of the share of the object's most frequent colour"
    )

    def needed(self, name: str) -> float:
        """Share of an object's pixels that makes it be called by this colour."""
        return {
            "white": self.share_white,
            "grey": self.share_grey,
            "black": self.share_black,
            "beige": self.share_beige,
            "red": self.share_red,
        }.get(name, self.share_other)


# What is left of the light in colour images of such cameras, whose own balance keeps some of it:
# the names below are bounded in images that look so.
_USUAL_LIGHT = np.array([1.026, 0.979, 0.994], np.float32)


def corrected(
    color: NDArray[np.uint8], settings: ColourSettings, where: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Colour (H, W, 3), RGB 0..1, with cast and exposure corrected.

    The cast is estimated by shades of grey (Minkowski norm 6), that is mostly from what is bright,
    within limits: a table may fill the view.

    Args:
        color: (H, W, 3) uint8.
        settings: How much is corrected.
        where: (H, W) what the exposure is measured on: the support and what stands on it, not a
            window behind or something in the foreground; None: everywhere.
    """
    image = cv2.GaussianBlur(color, (0, 0), 0.8).astype(np.float32) / 255.0
    some = image[::4, ::4].reshape(-1, 3)
    light = np.power(np.power(some, 6).mean(axis=0), 1 / 6) + 1e-6
    cast = np.clip(light / light.mean(), 1.0 - settings.cast, 1.0 + settings.cast)
    image = image * (_USUAL_LIGHT / np.power(cast, settings.balance)).astype(np.float32)
    value = image.max(axis=2)
    value = value[::4, ::4].ravel() if where is None or where.sum() < 400 else value[where]
    brightest = float(np.percentile(value, 98)) + 1e-6
    gain = np.clip(settings.bright / brightest, settings.gain_low, settings.gain_high)
    out: NDArray[np.float32] = np.clip(image * np.float32(gain), 0.0, 1.0).astype(np.float32)
    return out


def memberships(rgb: NDArray[np.float32]) -> dict[str, NDArray[np.bool_]]:
    """Which pixels (N,) of colours (N, 3), RGB 0..1, carry which name; names overlap a little."""
    lab = cv2.cvtColor(np.ascontiguousarray(rgb[None], np.float32), cv2.COLOR_RGB2LAB)[0]
    light, a, b = lab[:, 0], lab[:, 1], lab[:, 2]
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360
    neutral = _neutral(a, b)
    # Pale colours keep their hue only against what is white in this light.
    from_white = np.degrees(np.arctan2(b - _WHITE_B, a - _WHITE_A)) % 360
    tinted = np.hypot(a - _WHITE_A, b - _WHITE_B) > 19
    # Dark yellow looks olive: the border between yellow and green turns with lightness.
    green_from = np.clip(92 + 0.65 * (light - 44), 88, 120)
    vivid = ~neutral
    return {
        "red": ((hue < 42) | (hue > 345)) & (chroma > 25) & (light > 10),
        "orange": (hue >= 42) & (hue < 92) & (chroma > 26) & (light > 38),
        "yellow": (from_white >= 70) & (from_white < green_from) & tinted & (light > 42) & vivid,
        "green": (from_white >= green_from) & (from_white < 165) & tinted & vivid,
        "blue": (hue >= 185) & (hue < 305) & (chroma > 26),
        "purple": (hue >= 307) & (hue < 345) & (chroma > 20),
        "pink": ((hue < 30) | (hue > 330)) & (chroma > 15) & (light > 60),
        "brown": (hue >= 20)
        & (hue < 88)
        & (chroma > 8)
        & (chroma < np.where(hue > 42, 45, 30))
        & (light < 48)
        & (light > 8)
        & vivid,
        "beige": (from_white > 55) & (from_white < green_from) & tinted & (chroma < 34)
        & (light > 58),
        "turquoise": (hue >= 165) & (hue < 240) & (chroma > 14),
        "white": neutral & (light > 57),
        "grey": neutral & (light > 25) & (light <= 62) & (chroma < 18),
        "black": (light < 20) & (chroma < 14),
    }


def _neutral(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Within an ellipse along the daylight axis, from bluish to slightly yellowish."""
    along = (a - 2.5) * 0.23 - (b + 8.0) * 0.97
    across = (a - 2.5) * 0.97 + (b + 8.0) * 0.23
    return np.asarray((along / 17.0) ** 2 + (across / 10.0) ** 2 < 1)


def shares(rgb: NDArray[np.float32]) -> dict[str, float]:
    """Share of pixels (N, 3) that carry each name."""
    return {name: float(pixels.mean()) for name, pixels in memberships(rgb).items()}


def fit(colour: str, found: dict[str, float], settings: ColourSettings) -> float:
    """How well an object with these shares is called by a colour: 0 not at all, 1 fully."""
    share = found.get(colour, 0.0)
    ratio = share / settings.needed(colour)
    most = max(value for name, value in found.items() if name not in BETWEEN)
    if ratio < settings.least_ratio or share < settings.least_rank * most:
        return 0.0
    white = found.get("white", 0.0)
    shaded = max(settings.white_to_grey * share, settings.least_ratio * settings.share_white)
    if colour == "grey" and white >= shaded:
        return 0.0  # its shaded side
    return min(1.0, 0.5 * ratio)


def main_colours(found: dict[str, float], settings: ColourSettings) -> list[str]:
    """Names for people, most frequent first, at most two."""
    fitting = [name for name in found if name not in BETWEEN and fit(name, found, settings) > 0]
    return sorted(fitting, key=lambda name: -found[name])[:2]
