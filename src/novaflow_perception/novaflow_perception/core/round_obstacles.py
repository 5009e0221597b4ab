"""Balls and standing capsules that may stand for a thing on the support instead of its box.

A camera sees one side of a thing and nothing of what is below its widest part. A solid may take the
box's place only if it leaves out no more of the points than the box does, and if it reaches from
them down to the support, as the box does; or if they lie on its own surface, so that the shape is
known, what is hidden of it too, and not only its outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.obstacles import Capsule, Sphere
from novaflow_core.scene import Plane

Array = NDArray[np.float64]

HAIR_M = 1e-6  # rounding must not leave a point outside
ON_SURFACE_M = 0.003  # depth noise
ON_SURFACE_SHARE = 0.75  # of the points of a thing whose shape is known
SEEN_TOP = 0.9  # share of its height up to which a ball is seen at least
FEW = 3000  # points that a shape is chosen by; its size is that which all of them need
STEPS = 31


@dataclass(frozen=True)
class Margin:
    """How much of a thing's points a solid may leave outside.

    Attributes:
        share: Of the points.
        distance_m: Of the farthest one.
    """

    share: float
    distance_m: float

    @classmethod
    def of(cls, distances: Array) -> Margin:
        """What a solid leaves outside, given signed distances (N,) [m] to its surface."""
        return cls(float((distances > 0).mean()), max(float(distances.max()), 0.0))

    def least(self, distances: Array) -> Array:
        """Radius (*B,) [m] that is enough for points at distances (*B, N) from an axis."""
        beyond = int(self.share * distances.shape[-1])  # points that may stay outside
        kth = distances.shape[-1] - 1 - beyond
        enough = np.partition(distances, kth, axis=-1)[..., kth]
        return np.asarray(np.maximum(enough, distances.max(axis=-1) - self.distance_m) + HAIR_M)


def standing_capsule(
    name: str, points: Array, support: Plane, margin: Margin
) -> tuple[Capsule, float]:
    """The smallest upright capsule around a thing's points, from the support up.

    Args:
        name: Of the obstacle.
        points: (N, 3) [m] of the thing, without stray ones, planning frame.
        support: That it stands on.
        margin: How much of the points may stay outside.

    Returns:
        The capsule, and the volume of its part above the support [m^3].
    """
    local = _on(support, points)
    (x, y), _ = cv2.minEnclosingCircle(np.ascontiguousarray(local[:, :2], np.float32))

    def radius(some: Array, top: Array) -> Array:
        across = np.hypot(some[:, 0] - x, some[:, 1] - y)
        return margin.least(np.hypot(across, np.maximum(some[:, 2] - top[..., None], 0.0)))

    def volume(top: Array, radius: Array) -> Array:
        return np.asarray(np.pi * radius**2 * (top + 2.0 / 3.0 * radius))

    tops = np.linspace(0.0, max(float(local[:, 2].max()), 0.0), STEPS)
    top = tops[int(np.argmin(volume(tops, radius(_few(local), tops))))]
    size = radius(local, top)
    heights = np.array([0.0, top]) - support.offset
    ends = np.array([x, y]) @ support.basis() + heights[:, None] * support.normal
    return Capsule(name, ends[0], ends[1], float(size)), float(volume(top, size))


def resting_ball(name: str, points: Array, support: Plane, margin: Margin) -> Sphere | None:
    """The ball on the support that a thing's points lie on; None where they lie on none.

    Args: as of `standing_capsule`.
    """
    local = _on(support, points)
    found = _fitted_ball(_few(local))
    if found is None:
        return None
    own = float(found[2])  # its centre is as high as its radius
    reach = float(margin.least(np.linalg.norm(local - found, axis=1)))
    if reach > own + ON_SURFACE_M + margin.distance_m:
        return None  # something sticks out of it
    if float(np.percentile(local[:, 2], 99)) < SEEN_TOP * 2 * own:
        return None  # a dish is the bottom of a ball, and as little as that is known of it
    centre = found[:2] @ support.basis() + (own - support.offset) * support.normal
    return Sphere(name, centre, max(reach, own))


def _fitted_ball(points: Array) -> Array | None:
    """Centre (3,) of the ball that rests on the support and that points (N, 3) lie on.

    Its centre is as high as its radius. None where too few points lie on its surface.
    """
    at = np.array([*points[:, :2].mean(axis=0), 0.5 * float(points[:, 2].max())])
    for _ in range(12):
        away = np.maximum(np.linalg.norm(points - at, axis=1), 1e-9)
        residual = away - at[2]
        weight = 1.0 / np.maximum(np.abs(residual), 0.5 * ON_SURFACE_M)
        slope = (at - points) / away[:, None]
        slope[:, 2] -= 1.0
        normal = slope.T @ (weight[:, None] * slope) + 1e-9 * np.eye(3)
        step = np.linalg.solve(normal, -slope.T @ (weight * residual))
        at = at + step
        if at[2] <= 0:
            return None
        if np.abs(step).max() < 1e-6:
            break
    off = np.abs(np.linalg.norm(points - at, axis=1) - at[2])
    on_surface = off < min(ON_SURFACE_M, 0.25 * float(at[2]))
    return at if on_surface.mean() >= ON_SURFACE_SHARE else None


def _on(support: Plane, points: Array) -> Array:
    """Places on the support and heights (N, 3) [m] of points (N, 3)."""
    return np.column_stack([points @ support.basis().T, support.height(points)])


def _few(local: Array) -> Array:
    return local[:: -(-len(local) // FEW)]
