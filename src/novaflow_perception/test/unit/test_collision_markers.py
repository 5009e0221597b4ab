"""What rviz shows of obstacles has the size and place of the obstacles."""

from __future__ import annotations

import numpy as np
from visualization_msgs.msg import Marker

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_perception.ros.collision_markers import collision_markers
from novaflow_ros.conversions import pose_to_matrix

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.02)


def shape_distance(marker: Marker, points: np.ndarray) -> np.ndarray:
    """Distance to what a marker draws; a cylinder counts as the capsule inside it."""
    pose, size = (
        pose_to_matrix(marker.pose),
        np.array([marker.scale.x, marker.scale.y, marker.scale.z]),
    )
    if marker.type == Marker.CUBE:
        return Box("m", pose, size).distance(points)
    half = 0.5 * size[2] * pose[:3, 2] * (marker.type == Marker.CYLINDER)
    return Capsule("m", pose[:3, 3] - half, pose[:3, 3] + half, size[0] / 2).distance(points)


def test_markers_cover_exactly_the_obstacles():
    turn = se3.exp_so3([0.0, 0.0, 0.4])
    solids = (
        Box("other_0", se3.from_rt(turn, [0.4, 0.1, 0.05]), np.array([0.1, 0.2, 0.1])),
        Sphere("other_1", np.array([0.5, -0.2, 0.03]), 0.03),
        Capsule("reference_0", np.array([0.3, 0.0, 0.02]), np.array([0.4, 0.1, 0.1]), 0.02),
    )
    shown = collision_markers(CollisionScene("s", "fr3_link0", TABLE, solids)).markers
    assert shown[0].action == Marker.DELETEALL
    assert {marker.header.frame_id for marker in shown} == {"fr3_link0"}
    points = np.random.default_rng(0).uniform([0.2, -0.4, -0.1], [0.7, 0.4, 0.3], (3000, 3))
    for solid in solids:
        parts = [m for m in shown if m.ns == solid.name and m.action == Marker.ADD]
        assert all(0 < marker.color.a < 1 for marker in parts)
        drawn = np.minimum.reduce([shape_distance(marker, points) for marker in parts])
        outside = solid.distance(points) > 0
        assert np.allclose(drawn[outside], solid.distance(points)[outside], atol=1e-9)
        assert (drawn[~outside] < 1e-9).all()
    table = next(marker for marker in shown if marker.ns == "support")
    top = table.pose.position.z + table.scale.z / 2
    assert abs(top + TABLE.offset) < 1e-9
