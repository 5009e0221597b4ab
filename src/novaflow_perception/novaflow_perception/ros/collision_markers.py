"""What viewers see of a collision scene."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Vector3
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Array, Box, Obstacle, Sphere
from novaflow_ros.conversions import capsule_pose, pose_from_matrix

COLOUR = ColorRGBA(r=0.9, g=0.2, b=0.2, a=0.35)
SUPPORT_COLOUR = ColorRGBA(r=0.5, g=0.5, b=0.5, a=0.15)
SUPPORT_SIZE_M = 1.6


def collision_markers(scene: CollisionScene) -> MarkerArray:
    """Markers of the support and of every obstacle; a capsule is a cylinder and two balls."""
    markers = [Marker(action=Marker.DELETEALL), _support(scene)]
    for item in scene.obstacles:
        for number, (kind, pose, size) in enumerate(_parts(item)):
            markers.append(_marker(item.name, number, kind, pose, size))
    for marker in markers:
        marker.header.frame_id = scene.planning_frame
    return MarkerArray(markers=markers)


def _parts(item: Obstacle) -> list[tuple[int, Array, Array]]:
    """Marker types, poses (4, 4) and extents (3,) [m]."""
    if isinstance(item, Box):
        return [(Marker.CUBE, item.T_planning_box, np.asarray(item.size))]
    width = 2 * item.radius
    ball = np.full(3, width)
    if isinstance(item, Sphere):
        return [(Marker.SPHERE, se3.from_rt(np.eye(3), item.centre), ball)]
    length = float(np.linalg.norm(item.b - item.a))
    ends = [(Marker.SPHERE, se3.from_rt(np.eye(3), end), ball) for end in (item.a, item.b)]
    return [(Marker.CYLINDER, capsule_pose(item), np.array([width, width, length])), *ends]


def _support(scene: CollisionScene) -> Marker:
    """A thin plate under the middle of what stands on it."""
    first, second = scene.support.basis()
    normal = scene.support.normal
    around = [_parts(item)[0][1][:3, 3] for item in scene.obstacles] or [0.5 * first]
    middle = np.mean(around, axis=0)
    foot = middle - float(scene.support.height(middle)) * normal
    pose = se3.from_rt(np.stack([first, second, normal], axis=1), foot - 5e-4 * normal)
    plate = np.array([SUPPORT_SIZE_M, SUPPORT_SIZE_M, 1e-3])
    out = _marker("support", 0, Marker.CUBE, pose, plate)
    out.color = SUPPORT_COLOUR
    return out


def _marker(name: str, number: int, kind: int, pose: Array, size: Array) -> Marker:
    out = Marker(ns=name, id=number, type=kind, pose=pose_from_matrix(pose), color=COLOUR)
    out.scale = Vector3(x=float(size[0]), y=float(size[1]), z=float(size[2]))
    return out
