"""The handle of an upright vessel: what sticks out of its round body, and the hole within."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.footprint import Footprint
from novaflow_core.scene import Plane

Float = NDArray[np.float64]

_OUTSIDE_M = 0.008  # beyond the wall: the fit of the body and its noise end before
_FLOOR_M = 0.012
_REACH_M = 0.09  # farther out nothing belongs to a handle
_MIN_POINTS = 40
_MIDDLE_M = 0.009  # about the hole's middle height, where the handle's tube stands upright
_LEAST_HALF_M = 0.006
_TRUSTED_PERCENT = (6.0, 94.0)
_THICK_M = 0.010  # points farther off the handle's plane do not belong to it


@dataclass(frozen=True)
class Handle:
    """A handle with a hole, planning frame.

    Attributes:
        hole: (3,) middle of the hole [m].
        axis: (3,) unit, through the hole, level; either sign.
        outward: (3,) unit, from the body to the handle, level.
        up: (3,) unit.
        half_out_m: Half of the hole's width along `outward`.
        half_up_m: Half of its height.
    """

    hole: Float
    axis: Float
    outward: Float
    up: Float
    half_out_m: float
    half_up_m: float


def find_handle(points: Float, foot: Footprint, support: Plane) -> Handle:
    """Measure the handle of a vessel that stands on the support.

    Args:
        points: (N, 3) observed points of the vessel with its handle [m].
        foot: Footprint of the vessel; its body must be round.
        support: What it stands on.

    Raises:
        PerceptionError: TARGET_NOT_FOUND where no handle, or no hole in it, is seen.
    """
    if not foot.is_round:
        raise _not_found("it is not round, so a handle cannot be told from its body")
    known = points[np.isfinite(points).all(axis=1)]
    flat = known @ support.basis().T - foot.centre
    height, away = support.height(known), np.linalg.norm(flat, axis=1)
    radius = float(foot.half[0])
    # What is seen through the hole is no part of it: the support first of all.
    beyond = (away > radius + _OUTSIDE_M) & (away < radius + _REACH_M) & (height > _FLOOR_M)
    if beyond.sum() < _MIN_POINTS:
        raise _not_found(f"{int(beyond.sum())} points stick out of its body; {_MIN_POINTS} needed")
    way = _direction(flat[beyond])
    along = flat @ way
    aside = flat @ np.array([-way[1], way[0]])
    mine = beyond & (along > 0) & (abs(aside) < _THICK_M)
    along, height = along[mine], height[mine]
    low, high = np.percentile(height, [2, 98])
    middle = 0.5 * (low + high)
    upright = along[abs(height - middle) < _MIDDLE_M]
    if len(upright) < 10:
        raise _not_found("nothing is seen of its handle at half height")
    outer = float(np.percentile(upright, _TRUSTED_PERCENT[0]))
    inside = (along > radius + 0.25 * (outer - radius)) & (along < outer - 0.1 * (outer - radius))
    above, below = height[inside & (height > middle)], height[inside & (height <= middle)]
    if min(len(above), len(below)) < 8:
        raise _not_found("no hole is seen in its handle")
    top = float(np.percentile(above, _TRUSTED_PERCENT[0]))
    bottom = float(np.percentile(below, _TRUSTED_PERCENT[1]))
    half_out, half_up = 0.5 * (outer - radius), 0.5 * (top - bottom)
    if min(half_out, half_up) < _LEAST_HALF_M:
        raise _not_found(
            f"the hole in its handle is {2e3 * half_out:.0f} mm by {2e3 * half_up:.0f} mm; "
            f"{2e3 * _LEAST_HALF_M:.0f} mm are needed"
        )
    basis, up = support.basis(), support.normal
    outward = np.asarray(way @ basis)
    centre = foot.centre + 0.5 * (outer + radius) * way
    hole = centre @ basis + (0.5 * (top + bottom) - support.offset) * up
    return Handle(hole, np.cross(up, outward), outward, up, half_out, half_up)


def _direction(flat: Float) -> Float:
    """Unit direction (2,) of what sticks out (N, 2); what sticks out farthest tells it."""
    away = np.linalg.norm(flat, axis=1)
    far = away > 0.5 * (away.min() + np.percentile(away, 95))
    way: Float = np.median(flat[far] / away[far, None], axis=0)
    for _ in range(4):
        way = way / max(float(np.linalg.norm(way)), 1e-9)
        near = (abs(flat @ np.array([-way[1], way[0]])) < _THICK_M) & (flat @ way > 0)
        way = flat[near & far].sum(axis=0) if (near & far).any() else way
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-9))


def _not_found(why: str) -> PerceptionError:
    return PerceptionError(Code.TARGET_NOT_FOUND, f"no handle is seen of what is to hang: {why}")
