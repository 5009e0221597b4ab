"""Which pixels of a video are a thing that its first frame shows, told by colour alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Frame = NDArray[np.uint8]

_SHIFTS = np.array([4, 3, 3], np.uint8)  # of CIE Lab's channels: lightness changes with the light
_BINS = (16, 32, 32)
_SMOOTH_BINS = 1.0
_EDGE_PX = 5  # pixels at the outline are of both
_CLEAN_PX = 5
_NOTHING = 60  # grey level of what is not the thing


class ObjectColours:
    """Colours of a thing, and of all else in a picture."""

    def __init__(self, first: Frame, mask: NDArray[np.bool_]) -> None:
        """Learn them.

        Args:
            first: (H, W, 3) RGB.
            mask: (H, W) the thing.
        """
        near = cv2.dilate(mask.astype(np.uint8), np.ones((_EDGE_PX, _EDGE_PX), np.uint8)) > 0
        bins = _bins(first)
        thing, rest = (_histogram(bins[pixels]) for pixels in (mask, ~near))
        self._likely = np.asarray(thing / (thing + rest + 1e-9) > 0.5)

    def mask(self, frame: Frame) -> NDArray[np.bool_]:
        """Pixels (H, W) of a frame (H, W, 3) that are more likely the thing than anything else."""
        bins = _bins(frame)
        seen = self._likely[bins[..., 0], bins[..., 1], bins[..., 2]].astype(np.uint8)
        return np.asarray(cv2.medianBlur(seen, _CLEAN_PX) > 0)

    def alone(self, frame: Frame) -> NDArray[np.uint8]:
        """Grey frame (H, W) of the thing, before nothing at all.

        What is thin moves over a background that stands still and fills most of a tracker's window.
        """
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return np.where(self.mask(frame), gray, np.uint8(_NOTHING))


def _bins(frame: Frame) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2LAB), np.uint8) >> _SHIFTS


def _histogram(bins: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of pixels (N, 3) by bin, smoothed."""
    counts = np.zeros(_BINS)
    np.add.at(counts, tuple(bins.T), 1.0)
    smooth = gaussian_filter(counts, _SMOOTH_BINS)
    return np.asarray(smooth / max(float(smooth.sum()), 1.0))
