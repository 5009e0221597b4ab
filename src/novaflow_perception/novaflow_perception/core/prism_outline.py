"""Where an upright prism stands, to a fraction of a pixel, from its outline in the colour image.

Faces may be printed with lines that look like edges; the outline against what is behind is where
the object ends. The prism's height is known from depth, which is good at heights; where it stands
is taken from colour.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.scene import Plane, RgbdView
from novaflow_perception.core.edge_search import (
    Image,
    changes_along,
    edge_places,
    robust_solution,
    smooth_colours,
)
from novaflow_perception.core.rectangle_edges import Rectangle, plausible

Float = NDArray[np.float64]

_SAMPLES = 40  # along an edge of the outline
_ENDS = 0.12  # of an edge that is left out at either end
_REACHES_M = (0.009, 0.006, 0.004, 0.003, 0.003)
_LEAST_REACH_PX = 2.0
_STEP_PX = 0.25
_CLEAR_SHARE = 0.45  # of the strongest change across an edge
_MIN_CONTRAST = 6.0
_MOST = 0.85  # of the outline must be found: sharp ones are found whole
_ROBUST_PX = 0.7
_PROBE = np.array([2e-4, 2e-4, 2e-3, 2e-4, 2e-4])  # m, m, rad, m, m


def fit_outline(view: RgbdView, support: Plane, first: Rectangle) -> Rectangle | None:
    """Fit the footprint of a prism that stands on the support.

    Args:
        view: Colour and pose of the camera.
        support: What it stands on.
        first: Its top, within about 6 mm of the truth; its height is kept.

    Returns:
        The top, or None where too little of the outline shows.
    """
    image = smooth_colours(view)
    now: Float = np.array([*first.centre, first.yaw_rad, *first.half])
    found = first
    for reach_m in _REACHES_M:
        pixel_m = _metres_per_pixel(view, support, now, first.height_m)
        reach_px = max(reach_m / pixel_m, _LEAST_REACH_PX)
        corners = _corners(view, support, now, first.height_m)
        if not np.isfinite(corners).all():
            return None
        hull = cv2.convexHull(corners.astype(np.float32), returnPoints=False)[:, 0]
        moved = [
            (_corners(view, support, now + step, first.height_m) - corners) / step.sum()
            for step in np.diag(_PROBE)
        ]
        rows, values, weights = [], [], []
        for i, j in zip(hull, np.roll(hull, -1), strict=True):
            edge = _across(image, corners, int(i), int(j), reach_px)
            if edge is None:
                continue
            share, normal, off, weight = edge
            rows.append(
                np.stack(
                    [((1 - share)[:, None] * m[i] + share[:, None] * m[j]) @ normal for m in moved],
                    axis=1,
                )
            )
            values.append(off)
            weights.append(weight)
        # Nearly all of a clear outline is seen as lines; where it is not, something else was found.
        if sum(len(value) for value in values) < _MOST * _SAMPLES * len(hull):
            return None
        change, error_px = robust_solution(
            np.concatenate(rows), np.concatenate(values), np.concatenate(weights), _ROBUST_PX
        )
        now = now + change
        found = Rectangle(now[:2], now[3:], float(now[2]), first.height_m, error_px * pixel_m)
        if not plausible(first, found):
            return None
    return found


def _corners(view: RgbdView, support: Plane, now: Float, height_m: float) -> Float:
    """Pixels (8, 2) of the prism's corners: four below, four above."""
    c, s = np.cos(now[2]), np.sin(now[2])
    axes = np.array([[c, s], [-s, c]])
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    flat = now[:2] + (signs * now[3:]) @ axes
    points = np.concatenate(
        [
            flat @ support.basis() + (height - support.offset) * support.normal
            for height in (0.0, height_m)
        ]
    )
    return view.model.project(se3.apply(se3.inverse(view.T_planning_camera), points))


def _across(
    image: Image, corners: Float, i: int, j: int, reach_px: float
) -> tuple[Float, Float, Float, Float] | None:
    """Shares along an edge, its outward normal, how far out the outline is [px], weights."""
    way = corners[j] - corners[i]
    length = float(np.linalg.norm(way))
    if length < 8.0:
        return None
    normal = np.array([way[1], -way[0]]) / length
    if normal @ (corners[i] - corners.mean(axis=0)) < 0:
        normal = -normal
    share = np.linspace(_ENDS, 1 - _ENDS, _SAMPLES)
    at = corners[i] + share[:, None] * way
    steps = np.arange(-reach_px, reach_px + _STEP_PX, _STEP_PX)
    lines = at[:, None] + steps[None, :, None] * normal
    width = round(1.0 / _STEP_PX)
    change = changes_along(image, lines, width)
    before = np.pad(change, ((0, 0), (1, 0)))[:, :-1]
    after = np.pad(change, ((0, 0), (0, 1)))[:, 1:]
    clear = (change >= before) & (change >= after)
    clear &= change > _CLEAR_SHARE * change.max(axis=1, keepdims=True)
    # The outermost: beyond the outline there is nothing of the object any more.
    best = change.shape[1] - 1 - np.argmax(clear[:, ::-1], axis=1)
    height = change[np.arange(len(best)), best]
    good = height > _MIN_CONTRAST
    if good.sum() < _SAMPLES // 3:
        return None
    off = (edge_places(change, best, width) + width)[good] * _STEP_PX - reach_px
    # One edge has one line: what is far from most of it belongs to something else.
    near = np.abs(off - np.median(off)) < max(1.5, 0.4 * reach_px)
    return share[good][near], normal, off[near], np.minimum(height[good][near], 60.0)


def _metres_per_pixel(view: RgbdView, support: Plane, now: Float, height_m: float) -> float:
    point = now[:2] @ support.basis() + (height_m - support.offset) * support.normal
    depth = float(se3.apply(se3.inverse(view.T_planning_camera), point)[2])
    return depth / view.model.fx
