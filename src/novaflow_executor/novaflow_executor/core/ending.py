"""Whether an object is let go at the end of a flow: what would fall stays in the gripper."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_executor.core.grasps import ObjectShape

Array = NDArray[np.float64]

RESTS_M = 0.02  # what is nearer to what is under it comes to rest there
CONTACT_M = 0.006  # on the part of it that is within this of the nearest
STEADY_M = 0.004  # how far inside of what carries it the object's middle must be
HOOKED_M = 0.003  # points deeper inside of the solid of another thing are in it or hang on it
HOOKED_POINTS = 5  # fewer are noise


def why_held(shape: ObjectShape, T_end: Array, scene: CollisionScene) -> str:
    """Why an object stays in the gripper where a flow ends; "" where it is let go.

    It is let go where it is in or on something: where parts of it are inside of another thing, or
    where its middle is over the part of it that nearly touches what is below.

    Args:
        shape: Of the object before it moved.
        T_end: (4, 4) of the object from there to the end of the flow, planning frame.
        scene: Support and other objects.
    """
    surface = se3.apply(T_end @ shape.T_planning_support, shape.surface)
    if _inside(surface, scene).sum() >= HOOKED_POINTS:
        return ""
    solid = se3.apply(T_end @ shape.T_planning_support, shape.solid)
    gaps = scene.support.height(solid) - heights_under(solid, scene, 0.0)
    nearest = float(np.percentile(gaps, 0.5))
    if nearest > RESTS_M:
        return f"let go, it would fall by {1e3 * nearest:.0f} mm"
    flat = solid @ scene.support.basis().T
    hull = cv2.convexHull(np.ascontiguousarray(flat[gaps < nearest + CONTACT_M], np.float32))
    middle = flat.mean(axis=0)
    inside = cv2.pointPolygonTest(hull, (float(middle[0]), float(middle[1])), True)
    if inside < STEADY_M:
        return f"let go, it would topple: its middle is {-1e3 * inside:.0f} mm beside what it is on"
    return ""


def heights_under(points: Array, scene: CollisionScene, margin_m: float) -> Array:
    """Height (P,) of what is under points (P, 3) above the support [m].

    Args:
        points: Planning frame [m].
        scene: Support and obstacles; boxes stand upright.
        margin_m: How far beside an obstacle a point still counts as over it.
    """
    under = np.zeros(len(points))
    for item in scene.obstacles:
        under = np.maximum(under, item.top_at(points, scene.support, margin_m))
    return under


def _inside(points: Array, scene: CollisionScene) -> NDArray[np.bool_]:
    out = np.zeros(len(points), bool)
    for item in scene.obstacles:
        out |= item.distance(points) < -HOOKED_M
    return out
