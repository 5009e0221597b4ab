"""Where an object stands, though a camera sees only its front: a circle or a rectangle.

The outline seen from above is summarised by its support function s(d) = max over points of p . d
for directions d in the plane. For a disc it is c . d + r, for a rectangle
c . d + a |cos| + b |sin|: both are linear in the unknowns, so a robust linear fit gives the centre,
and a handle or a hidden side is an outlier of some directions only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.scene import Plane

Float = NDArray[np.float64]

_DIRECTIONS = 72
_CELL_M = 0.0015
_COARSE_CELL_M = 0.006
_HUBER_M = 0.0015
_REACH_PERCENT = 99.7  # strays are gone by then, and what is cut off makes things smaller


@dataclass(frozen=True)
class Footprint:
    """An upright object, summarised in the support's basis.

    Attributes:
        centre: (2,) of the axis [m].
        is_round: Whether a circle explains the outline at least as well as a rectangle.
        half: (2,) half sides [m] along `yaw_rad` and across it; both the radius when round.
        yaw_rad: Of the first side, in the basis; 0 when round.
        bottom_m: Height of the lowest points above the support.
        top_m: Height of the highest points above the support.
        residual_m: RMS of the outline's fit.
    """

    centre: Float
    is_round: bool
    half: Float
    yaw_rad: float
    bottom_m: float
    top_m: float
    residual_m: float

    def reach(self, direction: Float) -> float:
        """Distance [m] from the centre to the outline along a unit direction (2,) in the basis."""
        if self.is_round:
            return float(self.half[0])
        c, s = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        return float(
            self.half[0] * abs(direction @ [c, s]) + self.half[1] * abs(direction @ [-s, c])
        )


def fit_footprint(points: Float, support: Plane, toward_camera: Float | None = None) -> Footprint:
    """Fit the footprint of an object from its visible points.

    Args:
        points: (N, 3) [m], planning frame, outliers tolerated.
        support: Plane that the heights refer to.
        toward_camera: (2,) direction in the plane's basis from which the object is seen; the
            outline facing away is trusted only where it agrees with the facing one. None: all of it
            is trusted.

    Returns:
        The better of circle and rectangle.
    """
    height = support.height(points)
    bottom, top = np.percentile(height, [1.0, 98.5])
    # The rim or top face shows the whole outline; the walls below it only their front.
    slab = max(0.010, 0.15 * (top - bottom))
    rim = points[height > top - slab]
    everything = points if len(rim) < 60 else rim
    flat = _thin(everything @ support.basis().T)
    angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
    directions = np.stack([np.cos(angles), np.sin(angles)], -1)
    reach = np.percentile(flat @ directions.T, _REACH_PERCENT, axis=0)
    trust = np.ones(_DIRECTIONS)
    if toward_camera is not None:
        trust = np.where(directions @ toward_camera > -0.2, 1.0, 0.35)

    centre, radius, round_residual = _fit(directions, reach, trust, np.ones((_DIRECTIONS, 1)))
    best = (round_residual, centre, radius, 0.0)
    near = _least_area_deg(flat)
    turned = [_rectangle(directions, reach, trust, yaw % 90) for yaw in range(near - 2, near + 3)]
    rectangle = min(turned, key=lambda fit: fit[0])
    # A rectangle has two unknowns more, so it must be clearly better.
    if rectangle[0] < 0.8 * round_residual:
        best = rectangle
    residual, centre, half, yaw = best
    is_round = half.size == 1
    return Footprint(
        centre=centre,
        is_round=is_round,
        half=np.repeat(half, 2) if is_round else half,
        yaw_rad=yaw,
        bottom_m=float(bottom),
        top_m=float(top),
        residual_m=float(residual),
    )


def _least_area_deg(flat: Float) -> int:
    """Angle [deg], 0..89, of the smallest rectangle around points (N, 2).

    The residual of a fit hardly depends on it where little of the far side is seen.
    """
    angles = np.radians(np.arange(180))
    along = flat @ np.stack([np.cos(angles), np.sin(angles)])
    low, high = np.percentile(along, [100.0 - _REACH_PERCENT, _REACH_PERCENT], axis=0)
    width = high - low
    return int(np.argmin(width[:90] * width[90:]))


def _rectangle(
    directions: Float, reach: Float, trust: Float, yaw_deg: int
) -> tuple[float, Float, Float, float]:
    yaw = float(np.radians(yaw_deg))
    along = np.array([np.cos(yaw), np.sin(yaw)])
    across = np.array([-np.sin(yaw), np.cos(yaw)])
    shape = np.stack([abs(directions @ along), abs(directions @ across)], -1)
    centre, sides, residual = _fit(directions, reach, trust, shape)
    return residual, centre, sides, yaw


def _fit(directions: Float, reach: Float, trust: Float, shape: Float) -> tuple[Float, Float, float]:
    design = np.hstack([directions, shape])
    weight, error = trust, reach
    solution: Float = np.zeros(design.shape[1])
    for _ in range(8):
        root = np.sqrt(weight)
        fit = np.linalg.lstsq(design * root[:, None], reach * root, rcond=None)
        solution = np.asarray(fit[0], float)
        error = np.asarray(abs(reach - design @ solution), float)
        weight = trust * np.where(
            error < _HUBER_M, 1.0, (_HUBER_M / np.maximum(error, 1e-9)) ** 1.5
        )
    capped = np.minimum(error, 0.01)
    residual = float(np.sqrt((trust * capped**2).sum() / trust.sum()))
    return solution[:2], solution[2:], residual


def _thin(flat: Float) -> Float:
    """One point per fine cell, without strays: neither density nor a single flying point counts.

    A stray is alone in a cell that is coarse against the spacing of the pixels. The fine cells must
    not ask for company: on a far top face, seen flat, pixels lie further apart than their size.
    """
    coarse = np.floor(flat / _COARSE_CELL_M).astype(np.int64)
    _, owner, counts = np.unique(coarse, axis=0, return_inverse=True, return_counts=True)
    kept = flat[counts[owner.ravel()] >= 3]
    kept = kept if len(kept) >= 30 else flat
    fine = np.floor(kept / _CELL_M).astype(np.int64)
    _, index = np.unique(fine, axis=0, return_index=True)
    return kept[index]
