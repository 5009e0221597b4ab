"""Whether something that was put in fits there: walls that it would stand in are in its way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from novaflow_core.footprint import Footprint
from novaflow_core.scene import Plane

Float = NDArray[np.float64]

_ERODE_M = 0.005  # what a flow's end and a footprint may be off
_ABOVE_M = 0.012  # a wall reaches at least so far above the bottom
_CELL_M = 0.004
_MIN_CELLS = 9


def share_in_walls(foot: Footprint, walls: Float, support: Plane) -> float:
    """Share of a footprint in which something else stands higher than the thing's bottom.

    Args:
        foot: Of the thing where it ends.
        walls: (N, 3) points of the other thing [m], as the camera sees them before.
        support: Plane that the scene stands on.

    Returns:
        0..1; NaN where the footprint is too small to tell.
    """
    half = foot.half - _ERODE_M
    if float(half.min()) < 2 * _CELL_M:
        return float("nan")
    counts = np.maximum(np.rint(2 * half / _CELL_M).astype(int), 3)
    axes = [np.linspace(-h, h, n) for h, n in zip(half, counts, strict=True)]
    cells = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    if foot.is_round:
        cells = cells[np.linalg.norm(cells / half, axis=1) <= 1.0]
    if len(cells) < _MIN_CELLS:
        return float("nan")
    c, s = np.cos(foot.yaw_rad), np.sin(foot.yaw_rad)
    flat = foot.centre + cells @ np.array([[c, s], [-s, c]])
    known = walls[np.isfinite(walls).all(axis=1)]
    high = known[support.height(known) > foot.bottom_m + _ABOVE_M]
    if len(high) == 0:
        return 0.0
    distance, _ = cKDTree(high @ support.basis().T).query(flat)
    return float((distance < _CELL_M).mean())
