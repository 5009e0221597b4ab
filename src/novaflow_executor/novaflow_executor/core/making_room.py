"""Neighbours of the object that their bounding boxes make overlap with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import Box, CollisionScene

Array = NDArray[np.float64]

ROOM_M = 0.001
LEAST_SIZE_M = 0.01


def making_room(scene: CollisionScene, spheres: Array, radius_m: float) -> CollisionScene:
    """Pull in the faces of boxes that overlap the object where it stands.

    Things that stand side by side do not overlap; their boxes, and the spheres that stand for the
    object, may. Held against such a box no path could begin.

    Args:
        scene: Support and boxes.
        spheres: (P, 3) centres of spheres that fill the object [m], planning frame.
        radius_m: Their radius.
    """
    return replace(
        scene, boxes=tuple(_pulled_in(box, scene, spheres, radius_m) for box in scene.boxes)
    )


def _pulled_in(box: Box, scene: CollisionScene, spheres: Array, radius_m: float) -> Box:
    up = box.T_planning_box[:3, :3].T @ scene.support.normal
    level = np.arange(3) != int(np.argmax(np.abs(up)))  # the axes along the support
    low, high = -np.asarray(box.size) / 2, np.asarray(box.size) / 2
    reach = radius_m + ROOM_M
    for at in se3.apply(se3.inverse(box.T_planning_box), spheres):
        if np.linalg.norm(np.maximum(np.maximum(low - at, at - high), 0.0)) >= reach:
            continue
        beyond = np.where(level, np.maximum(low - at, at - high), -np.inf)
        axis = int(np.argmax(beyond))  # the face that needs to give way least
        if at[axis] > 0.5 * (low[axis] + high[axis]):
            high[axis] = max(at[axis] - reach, low[axis] + LEAST_SIZE_M)
        else:
            low[axis] = min(at[axis] + reach, high[axis] - LEAST_SIZE_M)
    shift = se3.from_rt(np.eye(3), 0.5 * (low + high))
    return Box(box.name, box.T_planning_box @ shift, high - low)
