"""Boxes, spheres and capsules."""

from __future__ import annotations

import numpy as np

from novaflow_core import se3
from novaflow_core.errors import ShapeError
from novaflow_core.obstacles import Array, Box, Capsule, Obstacle, Sphere
from novaflow_msgs import msg as nf
from novaflow_ros.conversions.elements import pose_from_matrix, pose_to_matrix

_DIMENSIONS = {nf.Obstacle.BOX: 3, nf.Obstacle.SPHERE: 1, nf.Obstacle.CAPSULE: 2}


def obstacle_to_msg(item: Obstacle) -> nf.Obstacle:
    """Obstacle message."""
    if isinstance(item, Box):
        shape, pose, dimensions = nf.Obstacle.BOX, item.T_planning_box, list(item.size)
    elif isinstance(item, Sphere):
        shape, pose = nf.Obstacle.SPHERE, se3.from_rt(np.eye(3), item.centre)
        dimensions = [item.radius]
    else:
        shape, pose = nf.Obstacle.CAPSULE, capsule_pose(item)
        dimensions = [item.radius, float(np.linalg.norm(item.b - item.a))]
    return nf.Obstacle(
        name=item.name,
        shape=shape,
        pose=pose_from_matrix(pose),
        dimensions=[float(value) for value in dimensions],
    )


def obstacle_from_msg(message: nf.Obstacle) -> Obstacle:
    """Obstacle of a message.

    Raises:
        ShapeError: If the shape is unknown, or dimensions or pose are no such shape's.
    """
    name, found = message.name, len(message.dimensions)
    wanted = _DIMENSIONS.get(message.shape)
    if wanted is None:
        raise ShapeError(f"obstacle '{name}': shape {message.shape} is not one of 0, 1, 2")
    if found != wanted:
        raise ShapeError(
            f"obstacle '{name}': shape {message.shape} has {wanted} dimensions, not {found}"
        )
    pose, dimensions = pose_to_matrix(message.pose), np.array(message.dimensions)
    if not np.isfinite(dimensions).all():
        raise ShapeError(f"obstacle '{name}': dimensions {dimensions.tolist()} are not finite")
    if message.shape == nf.Obstacle.BOX:
        return Box(name, pose, dimensions)
    centre = pose[:3, 3]
    if message.shape == nf.Obstacle.SPHERE:
        return Sphere(name, centre, float(dimensions[0]))
    radius, length = (float(value) for value in dimensions)
    if length < 0:
        raise ShapeError(f"obstacle '{name}': its segment is {length} m long")
    half = 0.5 * length * pose[:3, 2]
    return Capsule(name, centre - half, centre + half, radius)


def capsule_pose(item: Capsule) -> Array:
    """Pose (4, 4) of a capsule: its middle, z along its segment from `a` to `b`."""
    along = item.b - item.a
    length = float(np.linalg.norm(along))
    z = along / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
    side = np.eye(3)[int(np.argmin(np.abs(z)))]
    x = np.cross(side, z)
    x /= np.linalg.norm(x)
    return se3.from_rt(np.stack([x, np.cross(z, x), z], axis=1), 0.5 * (item.a + item.b))
