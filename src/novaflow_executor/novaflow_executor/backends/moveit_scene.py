"""A collision scene in MoveIt's words: an object per obstacle, the support as a large box."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shape_msgs.msg import SolidPrimitive

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Obstacle, Sphere
from novaflow_core.scene import Plane
from novaflow_ros.conversions import capsule_pose, pose_from_matrix

Array = NDArray[np.float64]

PREFIX = "novaflow/"  # of every id, so that what others put into MoveIt's scene stays there
SUPPORT = PREFIX + "support"
SUPPORT_SIZE_M = np.array([4.0, 4.0, 0.5])
THINNEST_M = 0.001  # MoveIt's collision checkers know no flat boxes


def collision_objects(scene: CollisionScene) -> list[Any]:
    """`moveit_msgs/CollisionObject` of the support and of every obstacle, to be added.

    A capsule is a cylinder and two balls in one object: `shape_msgs/SolidPrimitive` has none.
    """
    frame = scene.planning_frame
    table = _primitive(SolidPrimitive.BOX, SUPPORT_SIZE_M)
    support = _added(SUPPORT, frame, [table], [_below(scene.support)])
    return [support, *(_object(item, frame) for item in scene.obstacles)]


def removal(identity: str) -> Any:
    """`moveit_msgs/CollisionObject` that takes an object out."""
    from moveit_msgs.msg import CollisionObject

    return CollisionObject(id=identity, operation=CollisionObject.REMOVE)


def _object(item: Obstacle, frame: str) -> Any:
    if isinstance(item, Box):
        size = np.maximum(item.size, THINNEST_M)
        shapes, poses = [_primitive(SolidPrimitive.BOX, size)], [item.T_planning_box]
    elif isinstance(item, Sphere):
        shapes = [_primitive(SolidPrimitive.SPHERE, [item.radius])]
        poses = [se3.from_rt(np.eye(3), item.centre)]
    else:
        shapes = [_primitive(SolidPrimitive.SPHERE, [item.radius])] * 2
        poses = [se3.from_rt(np.eye(3), end) for end in (item.a, item.b)]
        length = float(np.linalg.norm(item.b - item.a))
        if length > THINNEST_M:
            shapes.append(_primitive(SolidPrimitive.CYLINDER, [length, item.radius]))
            poses.append(capsule_pose(item))
    return _added(PREFIX + item.name, frame, shapes, poses)


def _added(identity: str, frame: str, shapes: list[Any], poses: list[Array]) -> Any:
    from moveit_msgs.msg import CollisionObject

    out = CollisionObject(id=identity, operation=CollisionObject.ADD)
    out.header.frame_id = frame
    out.pose = pose_from_matrix(np.eye(4))  # the poses of the shapes are relative to it
    out.primitives, out.primitive_poses = shapes, [pose_from_matrix(pose) for pose in poses]
    return out


def _primitive(kind: int, dimensions: Iterable[float]) -> SolidPrimitive:
    return SolidPrimitive(type=kind, dimensions=[float(value) for value in dimensions])


def _below(support: Plane) -> Array:
    """Pose (4, 4) of a box whose top is the support, under the base."""
    first, second = support.basis()
    turn = np.stack([first, second, support.normal], axis=1)
    middle = -(support.offset + SUPPORT_SIZE_M[2] / 2) * support.normal
    return se3.from_rt(turn, middle)
