"""The spout of an upright vessel: the thin part that sticks out of its body farthest."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Plane

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_CELL_M = 0.003
_PAD = 8  # cells around the outline
_THICK_M = 0.014  # half of what is thicker belongs to the body
_BESIDE_BODY_M = 0.005  # noise of the body's outline
_MIN_POINTS = 40
_MIN_REACH_M = 0.025
_TIP_M = 0.012  # length of the end that tells where the tip is
_RISE_M = 0.035  # length of the end that tells how it rises
_END_PERCENT = 97.0


@dataclass(frozen=True)
class Spout:
    """A spout, planning frame.

    Attributes:
        tip: (3,) end of its axis [m].
        direction: (3,) unit, level, from the body's middle to the tip.
        reach_m: How far it sticks out of the body, along the support [m].
    """

    tip: Float
    direction: Float
    reach_m: float


def find_spout(points: Float, support: Plane) -> Spout:
    """Measure the spout of a vessel that stands on the support.

    Seen from above, what a disc of 28 mm fits into is the body. Of the parts outside of it the one
    that reaches farthest is the spout; a handle is shorter.

    Args:
        points: (N, 3) observed points of the vessel with its spout [m]; NaN rows are ignored.
        support: What it stands on.

    Raises:
        PerceptionError: TARGET_NOT_FOUND where nothing thin sticks out far enough.
    """
    known = points[np.isfinite(points).all(axis=1)]
    if len(known) < _MIN_POINTS:
        raise _not_found(f"{len(known)} points are known of it")
    flat, height = known @ support.basis().T, support.height(known)
    cell = np.floor((flat - flat.min(axis=0)) / _CELL_M).astype(np.int64) + _PAD
    shape = tuple(cell.max(axis=0) + _PAD + 1)
    filled = _occupied(cell, shape)
    body = _opened(filled, _THICK_M)
    if not body.any():
        raise _not_found("it is thin everywhere")
    away_m = cv2.distanceTransform((~body).astype(np.uint8), cv2.DIST_L2, 5) * _CELL_M
    beyond = filled & (away_m > _BESIDE_BODY_M)
    count, parts = cv2.connectedComponents(beyond.astype(np.uint8))
    of_point, away = parts[cell[:, 0], cell[:, 1]], away_m[cell[:, 0], cell[:, 1]]
    best, reach = 0, 0.0
    for part in range(1, count):
        mine = away[of_point == part]
        far = float(np.percentile(mine, _END_PERCENT)) if len(mine) >= _MIN_POINTS else 0.0
        if far > reach:
            best, reach = part, far
    if reach < _MIN_REACH_M:
        raise _not_found(
            f"it sticks out by {1e3 * reach:.0f} mm at most; {1e3 * _MIN_REACH_M:.0f} are needed"
        )
    middle = flat[body[cell[:, 0], cell[:, 1]]]
    centre = 0.5 * (middle.min(axis=0) + middle.max(axis=0))
    return _measured(flat[of_point == best], height[of_point == best], centre, reach, support)


def _measured(flat: Float, height: Float, centre: Float, reach: float, support: Plane) -> Spout:
    """From the points of the spout (N, 2), their heights (N,) and the body's middle (2,)."""
    way = _unit(flat.mean(axis=0) - centre)
    for _ in range(3):
        along = flat @ way
        end = float(np.percentile(along, _END_PERCENT))
        last = along > end - _TIP_M
        way = _unit(flat[last].mean(axis=0) - centre)
    aside = np.array([-way[1], way[0]])
    tip = end * way + float(np.median(flat[last] @ aside)) * aside
    # The upper side is seen; its axis lies half a thickness below.
    across = flat[last] @ aside
    radius = 0.5 * float(np.ptp(np.percentile(across, [5, 95])))
    near = along > end - _RISE_M
    rise, start = np.polyfit(along[near], height[near], 1)
    over = height[near] - (rise * along[near] + start)
    level = float(rise * end + start + np.percentile(over, 75)) - radius
    basis = support.basis()
    at = tip @ basis + (level - support.offset) * support.normal
    return Spout(np.asarray(at), np.asarray(way @ basis), reach)


def _occupied(cell: NDArray[np.int64], shape: tuple[int, ...]) -> Mask:
    """Cells that hold points, with the gaps of a far, slanting surface closed and strays gone."""
    counts = np.zeros(shape, np.int32)
    np.add.at(counts, (cell[:, 0], cell[:, 1]), 1)
    filled = (counts > 0).astype(np.uint8)
    closed = cv2.morphologyEx(filled, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    whole, labels = cv2.connectedComponents(closed)
    if whole <= 1:
        return closed > 0
    sizes = np.bincount(labels.ravel(), minlength=whole)
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)))


def _opened(filled: Mask, radius_m: float) -> Mask:
    """The largest part that a disc fits into."""
    size = 2 * round(radius_m / _CELL_M) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    opened = cv2.morphologyEx(filled.astype(np.uint8), cv2.MORPH_OPEN, disc)
    count, labels = cv2.connectedComponents(opened)
    if count <= 1:
        return np.zeros(filled.shape, bool)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sizes[0] = 0
    return np.asarray(labels == int(np.argmax(sizes)))


def _unit(vector: Float) -> Float:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _not_found(why: str) -> PerceptionError:
    return PerceptionError(Code.TARGET_NOT_FOUND, f"no spout is seen: {why}")
