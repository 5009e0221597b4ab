"""Upright boxes of things, and what the arm must not touch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene, GroundedObject, Grounding, Role
from novaflow_core.obstacles import Box, Obstacle
from novaflow_core.scene import Plane, Scene
from novaflow_perception.core.round_obstacles import Margin, resting_ball, standing_capsule

Array = NDArray[np.float64]

CLEARLY_TIGHTER = 0.9  # share of the box's volume below which a capsule takes its place
LEAST_POINTS = 60
STRAY_M = 0.005  # points that are farther out of the box are none of the thing


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
    dense = flat[dense_cells(flat, cell_m)]
    rectangle = cv2.minAreaRect(np.ascontiguousarray(dense, np.float32))
    outline = cv2.boxPoints(rectangle).astype(float)
    top = float(np.percentile(height, 99)) if len(height) else 0.0
    on_plane = outline @ basis - support.offset * support.normal
    return np.concatenate([on_plane, on_plane + max(top, 0.002) * support.normal])


def dense_cells(flat: Array, cell_m: float = 0.006) -> NDArray[np.bool_]:
    """Which of points (N, 2) [m] lie in cells that are not nearly empty."""
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
    """Support and the solids of everything but the target.

    Args:
        scene: The scene that was grounded.
        grounding: Its objects, with their boxes.
    """
    obstacles: list[Obstacle] = []
    counts = {Role.REFERENCE: 0, Role.OTHER: 0}
    for item in grounding.objects:
        if item.role is Role.TARGET:
            continue
        box = box_of_corners(f"{item.role.value}_{counts[item.role]}", item.corners)
        obstacles.append(tightest(box, grounding.points(scene, item), grounding.support))
        counts[item.role] += 1
    eyes = tuple(view.T_planning_camera[:3, 3] for view in scene.views)
    return CollisionScene(
        scene.scene_id, scene.planning_frame, grounding.support, tuple(obstacles), eyes
    )


def tightest(box: Box, points: Array, support: Plane) -> Obstacle:
    """The box, or a round solid that leaves out no more of the points and is clearly smaller.

    Args:
        box: Upright, around a thing.
        points: (N, 3) [m] that were seen of it, stray ones among them.
        support: That it stands on.
    """
    body = points[dense_cells(points @ support.basis().T)]
    distances = box.distance(body)
    body = body[distances <= STRAY_M]
    if len(body) < LEAST_POINTS:
        return box
    margin = Margin.of(distances[distances <= STRAY_M])
    ball = resting_ball(box.name, body, support, margin)
    if ball is not None:
        return ball  # its box would also hold what is hidden, and be twice as large
    capsule, volume_m3 = standing_capsule(box.name, body, support, margin)
    return capsule if volume_m3 < CLEARLY_TIGHTER * box.volume else box


def centre_of(item: GroundedObject) -> Array:
    """Middle (3,) of an object's box [m], planning frame."""
    return np.asarray(item.corners.mean(axis=0))
