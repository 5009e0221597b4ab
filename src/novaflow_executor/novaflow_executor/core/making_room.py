"""Neighbours of the object that the solids around them make overlap with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Obstacle, Sphere, capsule_of

Array = NDArray[np.float64]

ROOM_M = 0.001
LEAST_SIZE_M = 0.01
ROUNDS = 60  # of drawing back; each looks at the sphere that overlaps most


def making_room(scene: CollisionScene, spheres: Array, radius_m: float) -> CollisionScene:
    """Pull in the surfaces of solids that overlap the object where it stands.

    Things that stand side by side do not overlap; the solids around them, and the spheres that
    stand for the object, may. Held against such a solid no path could begin. The surface gives way
    on the side of the object alone.

    Args:
        scene: Support and obstacles.
        spheres: (P, 3) centres of spheres that fill the object [m], planning frame.
        radius_m: Their radius.
    """

    def narrowed(item: Obstacle) -> Obstacle:
        if isinstance(item, Box):
            return _pulled_in(item, scene, spheres, radius_m)
        return _drawn_back(item, scene, spheres, radius_m + ROOM_M)

    return replace(scene, obstacles=tuple(narrowed(item) for item in scene.obstacles))


def _drawn_back(
    item: Sphere | Capsule, scene: CollisionScene, spheres: Array, reach_m: float
) -> Obstacle:
    """Shrink a round solid about the point of it that is farthest from what it overlaps.

    Moved away by as much as its radius shrinks, it stays inside of what it was, and touches its
    old surface on the far side.
    """
    out = capsule_of(item)
    normal, least = scene.support.normal, min(item.radius, LEAST_SIZE_M / 2)
    for _ in range(ROUNDS):
        gaps = out.distance(spheres)
        at = spheres[int(np.argmin(gaps))]
        missing = reach_m - float(gaps.min())
        if missing <= 1e-9 or out.radius <= least:
            break
        along = out.b - out.a
        share = np.clip((at - out.a) @ along / max(float(along @ along), 1e-18), 0.0, 1.0)
        away = out.a + share * along - at
        away -= (away @ normal) * normal
        length = float(np.linalg.norm(away))
        level = away / length if length > 1e-9 else scene.support.basis()[0]
        shrink = min(missing, 2 * (out.radius - least))  # half by the radius, half by moving
        step = shrink * level / 2
        out = Capsule(out.name, out.a + step, out.b + step, out.radius - shrink / 2)
    if isinstance(item, Sphere):
        return Sphere(out.name, out.a, out.radius)
    return out


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
