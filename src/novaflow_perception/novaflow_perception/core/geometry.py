"""What the arm must not touch: the support and upright boxes around everything but the target."""

from __future__ import annotations

import numpy as np

from novaflow_core import se3
from novaflow_core.grounding import Box, CollisionScene, GroundedObject, Grounding, Role
from novaflow_core.scene import Scene


def collision_scene(scene: Scene, grounding: Grounding) -> CollisionScene:
    """Make the obstacles of a grounded scene; the boxes are named after their role."""
    counts = {Role.REFERENCE: 0, Role.OTHER: 0}
    boxes = []
    for item in grounding.objects:
        if item.role is Role.TARGET:
            continue
        name = f"{item.role.value}_{counts[item.role]}"
        counts[item.role] += 1
        boxes.append(_box(name, item))
    return CollisionScene(scene.scene_id, scene.planning_frame, grounding.support, tuple(boxes))


def _box(name: str, item: GroundedObject) -> Box:
    bottom, top = item.corners[:4], item.corners[4:]
    edge_x, edge_y, up = (
        bottom[1] - bottom[0],
        bottom[3] - bottom[0],
        top.mean(axis=0) - bottom.mean(axis=0),
    )
    size = np.array([np.linalg.norm(edge) for edge in (edge_x, edge_y, up)])
    size = np.maximum(size, 1e-3)
    x = edge_x / max(float(np.linalg.norm(edge_x)), 1e-9)
    z = up / max(float(np.linalg.norm(up)), 1e-9)
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    return Box(name, se3.from_rt(rotation, item.corners.mean(axis=0)), size)
