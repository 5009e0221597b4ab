"""Sides of an object that the first frame did not show and a later one may.

Where such a side comes into view, the first frame, moved, shows the background beside it, and its
edge there is none of the object's. Pixels in question are left out of comparisons.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.warp import Surface, Warp

Float = NDArray[np.float64]

_POINTS = 800  # of the seen surface
_LAYERS = 5  # behind each of them
_BOX3, _BOX5, _BOX7 = (np.ones((n, n), np.uint8) for n in (3, 5, 7))


class UnseenSides:
    """Bounds an object by what lies behind its seen surface, as deep as the object is wide."""

    def __init__(self, surface: Surface, model: CameraModel) -> None:
        """Reach behind a surface (optical frame of the first image) along its rays."""
        self._model = model
        seen = surface.points[:: max(1, len(surface.points) // _POINTS)]
        deep = float(np.ptp(surface.points[:, :2], axis=0).max())
        reach = np.linspace(0.0, deep, _LAYERS + 1)[1:, None, None]
        rays = seen / np.linalg.norm(seen, axis=1, keepdims=True)
        self._points = (seen + reach * rays).reshape(-1, 3)

    def may_show(self, warp: Warp, T_camera_motion: Float) -> NDArray[np.bool_]:
        """Pixels (h, w) of a warp's region beside its surface, and the edge between the two."""
        u0, v0, u1, v1 = warp.roi
        pixels = self._model.project(se3.apply(T_camera_motion, self._points)) - [u0, v0]
        at = np.rint(pixels[np.isfinite(pixels).all(axis=1)]).astype(int)
        at = at[((at >= 0) & (at < [u1 - u0, v1 - v0])).all(axis=1)]
        body = np.zeros(warp.alpha.shape, np.uint8)
        body[at[:, 1], at[:, 0]] = 1
        body = np.asarray(cv2.morphologyEx(body, cv2.MORPH_CLOSE, _BOX5), np.uint8)
        covered = (warp.alpha > 0.5).astype(np.uint8)
        body[cv2.dilate(covered, _BOX3) > 0] = 0
        return np.asarray(cv2.dilate(cv2.erode(body, _BOX3), _BOX7) > 0)
