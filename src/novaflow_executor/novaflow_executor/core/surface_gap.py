"""The validator's own distances of points to obstacles; the planner's are elsewhere."""

from __future__ import annotations

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from novaflow_core.obstacles import Box, Capsule, Obstacle, Sphere

Array = NDArray[np.float64]


def surface_gap(obstacle: Obstacle, points: Array) -> Array:
    """Signed distance (*B,) [m] of points (*B, 3) to an obstacle's surface; negative inside.

    Args:
        obstacle: In the frame of the points.
        points: [m].
    """
    match obstacle:
        case Box():
            return _box_gap(points, obstacle.T_planning_box, obstacle.size)
        case Sphere():
            return _length(points - obstacle.centre) - obstacle.radius
        case Capsule():
            return _rod_gap(points, obstacle.a, obstacle.b) - obstacle.radius
        case _:
            assert_never(obstacle)


def _box_gap(points: Array, T_base_box: Array, size: Array) -> Array:
    local = (points - T_base_box[:3, 3]) @ T_base_box[:3, :3]
    beyond = np.abs(local) - np.asarray(size) / 2
    outside = _length(np.maximum(beyond, 0.0))
    return np.asarray(np.where(beyond.max(axis=-1) > 0, outside, beyond.max(axis=-1)))


def _rod_gap(points: Array, a: Array, b: Array) -> Array:
    """Distance to a segment: sideways between its ends, to the nearer end beyond them."""
    length = float(np.linalg.norm(b - a))
    if length < 1e-9:
        return _length(points - a)
    axis, from_a = (b - a) / length, points - a
    along = from_a @ axis
    sideways = _length(np.cross(from_a, axis))
    past = np.maximum(np.maximum(-along, along - length), 0.0)
    return np.asarray(np.hypot(sideways, past))


def _length(vectors: Array) -> Array:
    return np.asarray(np.linalg.norm(vectors, axis=-1))
