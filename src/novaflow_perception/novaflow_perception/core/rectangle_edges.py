"""Where the edges of an upright rectangle lie, to a fraction of a pixel, in the colour image.

Depth images end a pixel or more beside the things they show. A rectangle of known height is found
again in colour: each of its sides is where, across it, the colour changes most.
"""

from __future__ import annotations

from dataclasses import dataclass

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

Float = NDArray[np.float64]

_SAMPLES = 48  # along a side
_MIDDLE = 0.8  # share of a side that is looked at: corners are round
_REACHES_M = (0.006, 0.004, 0.0025, 0.002)
_STEP_PX = 0.25
_ROBUST_M = 0.0008
_SMALLEST_M = 0.003
_MOST_MOVED_M = 0.008
_MIN_CONTRAST = 2.0  # grey levels across an edge


@dataclass(frozen=True)
class Rectangle:
    """A rectangle parallel to the support.

    Attributes:
        centre: (2,) in the support's basis [m].
        half: (2,) half sides [m] along `yaw_rad` and across it.
        yaw_rad: Of the first side, in the basis.
        height_m: Above the support.
        error_m: RMS distance of the edges that were used to the rectangle; NaN where not fitted.
    """

    centre: Float
    half: Float
    yaw_rad: float
    height_m: float
    error_m: float = float("nan")


def fit_edges(view: RgbdView, support: Plane, first: Rectangle) -> Rectangle | None:
    """Move a rectangle's sides onto edges of the image near them.

    Args:
        view: Colour and pose of the camera.
        support: Plane that the rectangle is parallel to.
        first: Within 6 mm of the truth; its height is kept.

    Returns:
        The rectangle, or None where a side shows no edge.
    """
    image = smooth_colours(view)
    now = first
    for reach_m in _REACHES_M:
        rows, values, weights, sides = [], [], [], []
        for side in range(4):
            found = _side(view, image, support, now, side, reach_m)
            if found is None:
                return None
            along, off, weight = found
            normal, own, sign = _normal(now, side)
            row = np.zeros((len(off), 5))
            row[:, :2] = normal
            row[:, 2] = along * sign
            row[:, 3 + own] = 1.0
            rows.append(row)
            values.append(off)
            weights.append(weight)
            sides.append(np.full(len(off), side))
        design, value, weight = (
            np.concatenate(rows),
            np.concatenate(values),
            np.concatenate(weights),
        )
        trust = weight * _agreeing(value, np.concatenate(sides))
        change, error = robust_solution(design, value, trust, _ROBUST_M)
        now = Rectangle(
            now.centre + change[:2],
            now.half + change[3:],
            now.yaw_rad + change[2],
            now.height_m,
            error,
        )
        if not plausible(first, now):
            return None
    return now


def plausible(first: Rectangle, now: Rectangle) -> bool:
    """Whether a fit is still near where it began; an edge that is farther away is another one."""
    moved = max(np.abs(now.centre - first.centre).max(), np.abs(now.half - first.half).max())
    return bool((now.half > _SMALLEST_M).all() and moved < _MOST_MOVED_M)


def _normal(rectangle: Rectangle, side: int) -> tuple[Float, int, float]:
    """Outward normal (2,) of a side, which half side it bounds, and how a turn moves it."""
    own, outward = side // 2, 1.0 if side % 2 == 0 else -1.0
    c, s = np.cos(rectangle.yaw_rad), np.sin(rectangle.yaw_rad)
    axes = np.array([[c, s], [-s, c]])
    # Turning by dyaw moves the point at `t` along a side by t * dyaw across it.
    sign = -outward if own == 0 else outward
    return outward * axes[own], own, sign


def _side(
    view: RgbdView, image: Image, support: Plane, now: Rectangle, side: int, reach_m: float
) -> tuple[Float, Float, Float] | None:
    """Places along a side [m], how far outwards its edge lies there [m], and how clear it is."""
    normal, own, _ = _normal(now, side)
    c, s = np.cos(now.yaw_rad), np.sin(now.yaw_rad)
    axes = np.array([[c, s], [-s, c]])
    tangent = axes[1 - own]
    along = np.linspace(-_MIDDLE, _MIDDLE, _SAMPLES) * now.half[1 - own]
    middle = now.centre + normal * now.half[own]
    flat = middle + along[:, None] * tangent
    outside = flat + reach_m * normal
    inside = flat - reach_m * normal
    ends = [_pixels(view, support, p, now.height_m) for p in (inside, outside)]
    length = float(np.median(np.linalg.norm(ends[1] - ends[0], axis=1)))
    if not np.isfinite(length) or length < 2.0:
        return None  # too far away to tell an edge from its neighbours
    count = max(9, int(np.ceil(length / _STEP_PX)))
    share = np.linspace(0, 1, count)
    lines = ends[0][:, None] + share[None, :, None] * (ends[1] - ends[0])[:, None]
    width = max(1, round(count / length))  # one pixel
    change = changes_along(image, lines, width)
    best = np.argmax(change, axis=1)
    height = change[np.arange(len(best)), best]
    good = height > _MIN_CONTRAST
    if good.sum() < _SAMPLES // 4:
        return None
    at = (edge_places(change, best, width) + width) / (count - 1)
    off = (2 * at - 1) * reach_m
    return along[good], off[good], np.minimum(height[good], 40.0)


def _pixels(view: RgbdView, support: Plane, flat: Float, height_m: float) -> Float:
    """Pixels (N, 2) of places (N, 2) at a height above the support."""
    points = flat @ support.basis() + (height_m - support.offset) * support.normal
    return view.model.project(se3.apply(se3.inverse(view.T_planning_camera), points))


def _agreeing(value: Float, side: NDArray[np.int_]) -> Float:
    """1 where an edge (M,) is near the median of its side, else 0: one side has one line."""
    trust = np.ones(len(value))
    for number in range(4):
        mine = side == number
        trust[mine] = np.abs(value[mine] - np.median(value[mine])) < 3 * _ROBUST_M
    return trust
