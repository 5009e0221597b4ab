"""What an object looked like in one view, drawn where a motion has put it.

Following pixels from image to image adds up small errors; comparing each image with the first view
of the object does not. The comparison needs the first view as it would look now: turned, shifted,
nearer or farther.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.scene import RgbdView

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Gray = NDArray[np.uint8]

_CELL_PX = 4
_BEHIND_M = 0.012  # farther back than what else falls into the cell: hidden by it
_MOST_POINTS = 20000
_BLUR_PX = 0.7
_KNOWN = 0.25  # of a full pixel's weight
_DETAIL_PX = 9.0


class Appearance:
    """The pixels of a mask with their depths, ready to be drawn."""

    def __init__(self, view: RgbdView, mask: Mask) -> None:
        """Take the object's pixels; depth is smoothed, its border left out."""
        depth = cv2.medianBlur(np.nan_to_num(view.depth, nan=0.0).astype(np.float32), 5)
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        v, u = np.nonzero(inner & (depth > 0))
        if len(v) > _MOST_POINTS:
            pick = np.linspace(0, len(v) - 1, _MOST_POINTS).astype(int)
            v, u = v[pick], u[pick]
        self._spacing = max(1.0, float(np.sqrt(inner.sum() / max(len(v), 1))))
        local = view.model.lift_pixels(np.stack([u, v], -1), depth[v, u].astype(float))
        self._points = se3.apply(view.T_planning_camera, local)
        self._gray = cv2.cvtColor(view.color, cv2.COLOR_RGB2GRAY)[v, u].astype(np.float32)
        self._T_camera_planning = se3.inverse(view.T_planning_camera)
        self._camera = view.model

    def drawn(self, motion: Float, rows: slice, columns: slice) -> tuple[Gray, Mask]:
        """Draw the object moved by `motion` (4, 4, planning frame) into a part of the image.

        Returns:
            Grey image (H, W) of that part, and where it shows the object.
        """
        height, width = rows.stop - rows.start, columns.stop - columns.start
        local = se3.apply(self._T_camera_planning @ motion, self._points)
        at = self._camera.project(local) - [columns.start, rows.start]
        z = local[:, 2]
        inside = (z > 0.05) & (at >= 1).all(axis=1)
        inside &= (at[:, 0] < width - 2) & (at[:, 1] < height - 2)
        at, z, gray = at[inside], z[inside], self._gray[inside]
        cells = (at / _CELL_PX).astype(int)
        key = cells[:, 1] * (width // _CELL_PX + 1) + cells[:, 0]
        nearest = np.full(int(key.max(initial=0)) + 1, np.inf)
        np.minimum.at(nearest, key, z)
        front = z < nearest[key] + _BEHIND_M
        at, gray = at[front], gray[front]
        low = np.floor(at).astype(int)
        part = (at - low).astype(np.float32)
        total = np.zeros(height * width, np.float32)
        weight = np.zeros(height * width, np.float32)
        for dx in (0, 1):
            for dy in (0, 1):
                share = np.abs(1 - dx - part[:, 0]) * np.abs(1 - dy - part[:, 1])
                index = (low[:, 1] + dy) * width + low[:, 0] + dx
                total += np.bincount(index, share * gray, height * width).astype(np.float32)
                weight += np.bincount(index, share, height * width).astype(np.float32)
        sigma = _BLUR_PX * self._spacing
        total = cv2.GaussianBlur(total.reshape(height, width), (0, 0), sigma)
        weight = cv2.GaussianBlur(weight.reshape(height, width), (0, 0), sigma)
        known = weight > _KNOWN / self._spacing**2
        image = np.where(known, total / np.maximum(weight, 1e-6), 0.0)
        return np.asarray(image.astype(np.uint8)), np.asarray(known)


def detail(image: Gray, known: Mask | None = None) -> Gray:
    """What of a grey image does not depend on the light: differences from the local mean."""
    values = image.astype(np.float32)
    if known is None:
        mean = cv2.GaussianBlur(values, (0, 0), _DETAIL_PX)
    else:
        weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), _DETAIL_PX)
        mean = cv2.GaussianBlur(values * known, (0, 0), _DETAIL_PX) / np.maximum(weight, 1e-3)
        values = np.where(known, values, mean)
    return np.asarray(np.clip(values - mean + 128.0, 0, 255).astype(np.uint8))
