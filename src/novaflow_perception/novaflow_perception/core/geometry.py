"""Upright boxes of things, and what the arm must not touch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import Box, CollisionScene, GroundedObject, Grounding, Role
from novaflow_core.scene import Plane, Scene

Array = NDArray[np.float64]


def upright_box(points: Array, support: Plane, *, cell_m: float = 0.006) -> Array:
    """Corners of the smallest upright box around points, from the support up.

    Args:
        points: (N, 3) [m], planning frame.
        support: The plane that the thing stands on, same frame.
        cell_m: Side of the cells in which stray points are recognised: those with next to no
            neighbours.

    Returns:
        Corners (8, 3) [m]: the bottom four around, then the top four in the same order.
    """
    basis = support.basis()
    flat, height = points @ basis.T, support.height(points)
    dense = flat[_dense(flat, cell_m)]
    rectangle = cv2.minAreaRect(np.ascontiguousarray(dense, np.float32))
    outline = cv2.boxPoints(rectangle).astype(float)
    top = float(np.percentile(height, 99)) if len(height) else 0.0
    on_plane = outline @ basis - support.offset * support.normal
    return np.concatenate([on_plane, on_plane + max(top, 0.002) * support.normal])


def _dense(flat: Array, cell_m: float) -> NDArray[np.bool_]:
    if len(flat) < 50:
        return np.ones(len(flat), bool)
    cell = np.floor(flat / cell_m).astype(np.int64)
    cell -= cell.min(axis=0)
    key = cell[:, 0] * (int(cell[:, 1].max()) + 1) + cell[:, 1]
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    keep = count[inverse] > max(2.0, 0.15 * float(np.median(count)))
    return np.asarray(keep if keep.sum() > 20 else np.ones(len(flat), bool))


def box_of_corners(name: str, corners: Array) -> Box:
    """Obstacle of an upright box's corners (8, 3), as `upright_box` orders them."""
    x, y = corners[1] - corners[0], corners[3] - corners[0]
    z = corners[4] - corners[0]
    size = np.array([np.linalg.norm(edge) for edge in (x, y, z)])
    axes = np.stack([x, y, z], axis=1) / np.maximum(size, 1e-9)
    if np.linalg.det(axes) < 0:
        axes[:, 1] *= -1
    return Box(name, se3.from_rt(axes, corners.mean(axis=0)), size)


def collision_scene(scene: Scene, grounding: Grounding) -> CollisionScene:
    """Support and boxes of everything but the target.

    Args:
        scene: The scene that was grounded.
        grounding: Its objects, with their boxes.
    """
    boxes, counts = [], {Role.REFERENCE: 0, Role.OTHER: 0}
    for item in grounding.objects:
        if item.role is Role.TARGET:
            continue
        boxes.append(box_of_corners(f"{item.role.value}_{counts[item.role]}", item.corners))
        counts[item.role] += 1
    eyes = tuple(view.T_planning_camera[:3, 3] for view in scene.views)
    return CollisionScene(
        scene.scene_id, scene.planning_frame, grounding.support, tuple(boxes), eyes
    )


def centre_of(item: GroundedObject) -> Array:
    """Middle (3,) of an object's box [m], planning frame."""
    return np.asarray(item.corners.mean(axis=0))
