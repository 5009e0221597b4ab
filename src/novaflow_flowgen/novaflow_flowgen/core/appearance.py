"""Whether the thing in a video stays itself: it keeps its colour, and there is one of it.

Colours are OpenCV's CIE Lab, 0..255 a channel: lightness may change with the light and with what a
thing is turned to, the other two may not.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Frame = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_MIN_POINTS = 12
_MIN_PIXELS = 120
_MIN_SHARE = 0.1  # of the target, that must be free to be looked at
_RING_PX = 3
_MIN_CONTRAST = 5.0  # grey levels; below this what left and what came look the same


@dataclass(frozen=True)
class Moment:
    """One frame of a video, and where the target's points are in it.

    Attributes:
        frame: (H, W, 3) RGB.
        pixels: (K, 2) [px]; NaN where not known or outside.
        visible: (K,) whether a point is seen.
    """

    frame: Frame
    pixels: Float
    visible: Mask


def colour_shift(first: Moment, last: Moment, background: Mask) -> float:
    """Change of the target's colour, in Lab units without lightness; NaN where it is not known.

    Args:
        first: Start of the video.
        last: Its end.
        background: (H, W) where nothing should change: it tells the light's own tint.
    """
    seen = last.visible & np.isfinite(first.pixels).all(axis=1)
    seen &= np.isfinite(last.pixels).all(axis=1)
    if seen.sum() < _MIN_POINTS:
        return float("nan")
    before, now = _chroma(first.frame), _chroma(last.frame)
    thin = (slice(None, None, 7), slice(None, None, 5))
    still = background[thin]
    tint = np.median((now - before)[thin][still], axis=0) if still.sum() > 100 else np.zeros(2)
    s, e = (np.rint(moment.pixels[seen]).astype(int) for moment in (first, last))
    change = now[e[:, 1], e[:, 0]] - before[s[:, 1], s[:, 0]] - tint
    # Points that slip over a texture change this way and that: their median does not.
    return float(np.linalg.norm(np.median(change, axis=0)))


def stays_behind(first: Frame, last: Moment, target: Mask) -> float:
    """How much the place that the target left still looks like the target, -1..1.

    Args:
        first: (H, W, 3) RGB start of the video.
        last: Its end.
        target: (H, W) the target at the start.

    Returns:
        Correlation of the pixels that were the target or its outline and are free now; NaN where
        too few are free, or they have too little contrast to tell.
    """
    ring = cv2.dilate(target.astype(np.uint8), np.ones((2 * _RING_PX + 1,) * 2, np.uint8)) > 0
    free = ring & ~_covered(last.pixels, target.shape)
    if (free & target).sum() < max(_MIN_PIXELS, _MIN_SHARE * float(target.sum())):
        return float("nan")
    a, b = (_soft(frame)[free] for frame in (first, last.frame))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    if float(a.std()) < _MIN_CONTRAST:
        return float("nan")
    # A little noise in the norm, as what is bare now may have no texture at all.
    power = float(np.sqrt((np.square(a).mean() + 1.0) * (np.square(b).mean() + 1.0)))
    return float((a * b).mean() / power)


def _covered(pixels: Float, shape: tuple[int, ...]) -> Mask:
    known = pixels[np.isfinite(pixels).all(axis=1)]
    out = np.zeros(shape, np.uint8)
    if len(known) >= 3:
        cv2.fillConvexPoly(out, cv2.convexHull(known.astype(np.float32)).astype(np.int32), 1)
        margin = 2 * (4 + int(0.05 * float(np.ptp(known, axis=0).max()))) + 1
        out = np.asarray(cv2.dilate(out, np.ones((margin, margin), np.uint8)), np.uint8)
    return out > 0


def _chroma(frame: Frame) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(frame, (5, 5), 0)
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2LAB)[..., 1:], np.float32)


def _soft(frame: Frame) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(frame, (3, 3), 0), np.float32)
