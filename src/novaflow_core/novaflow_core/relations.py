"""Does the target stand to the reference as the instruction says? Pure geometry on observed points.

The same predicates judge an imagined end state (critic) and an observed one (outcome). Frames: all
points in the planning frame; `view_axes` gives right and away as seen from the camera, both in the
support plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.scene import Plane
from novaflow_core.task import Direction

Points = NDArray[np.float64]


@dataclass(frozen=True)
class RelationCheck:
    """How well a relation holds.

    Attributes:
        error_m: Distance from holding; 0 or less when it holds exactly [m].
        reason: A sentence with numbers.
    """

    error_m: float
    reason: str


def view_axes(T_planning_camera: NDArray[np.float64], support: Plane) -> Points:
    """Directions (2, 3) in the support plane: right and away, as seen from the camera.

    For a camera that looks straight down, away is the image's up direction.
    """
    right = _in_plane(T_planning_camera[:3, 0], support.normal)
    forward = T_planning_camera[:3, 2] - 0.5 * T_planning_camera[:3, 1]
    away = _in_plane(forward, support.normal)
    away -= (away @ right) * right
    return np.stack([right, away / np.linalg.norm(away)])


def direction_vector(
    direction: Direction, T_planning_camera: NDArray[np.float64], support: Plane
) -> Points:
    """Unit vector (3,) of a direction as seen from the camera, planning frame."""
    right, away = view_axes(T_planning_camera, support)
    return {
        Direction.UP: support.normal,
        Direction.DOWN: -support.normal,
        Direction.RIGHT: right,
        Direction.LEFT: -right,
        Direction.AWAY_FROM_CAMERA: away,
        Direction.TOWARD_CAMERA: -away,
    }[direction]


@dataclass(frozen=True)
class Extent:
    """An upright summary of an object's points.

    Attributes:
        centre: (2,) centre of the footprint in the plane's basis [m].
        radius: Half of the smaller side of the footprint's bounding rectangle [m].
        reach: Half of its larger side [m].
        bottom: Height of the lowest points above the support [m].
        top: Height of the highest points above the support [m].
    """

    centre: Points
    radius: float
    reach: float
    bottom: float
    top: float


def extent(points: Points, support: Plane) -> Extent:
    """Summarise points (N, 3); robust to a few outliers (1st and 99th percentile)."""
    flat = points @ support.basis().T
    low, high = np.percentile(flat, [1, 99], axis=0)
    height = support.height(points)
    bottom, top = np.percentile(height, [1, 99])
    half = (high - low) / 2
    return Extent((low + high) / 2, float(half.min()), float(half.max()), float(bottom), float(top))


def _in_plane(vector: Points, normal: Points) -> Points:
    flat = vector - (vector @ normal) * normal
    return flat / np.linalg.norm(flat)
