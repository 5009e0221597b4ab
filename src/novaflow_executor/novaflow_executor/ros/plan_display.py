"""What viewers see of a plan: the trajectory, the grasp and the object's way, decimated."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import ColorRGBA
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from novaflow_core import se3
from novaflow_executor.core.plan import ExecutionPlan
from novaflow_ros.conversions import pose_from_matrix, trajectory_to_msg

MAX_POINTS = 300
MAX_WAYPOINTS = 400


class PlanDisplay:
    """Publishes /novaflow/planned_trajectory and /novaflow/plan_markers, latched."""

    def __init__(self, node: Node) -> None:
        """Create the publishers."""
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._trajectory = node.create_publisher(
            JointTrajectory, "/novaflow/planned_trajectory", latched
        )
        self._markers = node.create_publisher(MarkerArray, "/novaflow/plan_markers", latched)

    def show(self, plan: ExecutionPlan, frame_id: str) -> None:
        """Publish a plan whose grasp and points are in `frame_id`."""
        whole = plan.preview()
        step = max(1, -(-len(whole.time_s) // MAX_WAYPOINTS))
        self._trajectory.publish(
            trajectory_to_msg(
                whole.joint_names,
                whole.time_s[::step],
                whole.position[::step],
                whole.velocity[::step],
                whole.acceleration[::step],
            )
        )
        points = plan.object_points[:: max(1, -(-len(plan.object_points) // MAX_POINTS))]
        centre = points.mean(axis=0)
        way = np.array([se3.apply(step, centre[None])[0] for step in plan.T_base_obj])
        end = se3.apply(plan.T_base_obj[-1], points)
        markers = [
            Marker(action=Marker.DELETEALL),
            _points(1, Marker.POINTS, "object, start", points, 0.003, (0.6, 0.6, 0.6)),
            _points(2, Marker.POINTS, "object, end", end, 0.003, (0.2, 0.8, 0.3)),
            _points(3, Marker.LINE_STRIP, "way", way, 0.004, (0.1, 0.5, 1.0)),
            _grasp(4, plan),
        ]
        for marker in markers:
            marker.header.frame_id = frame_id
        self._markers.publish(MarkerArray(markers=markers))


def _points(
    number: int,
    kind: int,
    name: str,
    points: np.ndarray,  # type: ignore[type-arg]
    size_m: float,
    rgb: tuple[float, float, float],
) -> Marker:
    out = Marker(ns=name, id=number, type=kind)
    out.scale.x = out.scale.y = size_m
    out.color = ColorRGBA(r=rgb[0], g=rgb[1], b=rgb[2], a=1.0)
    out.pose.orientation.w = 1.0
    out.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
    return out


def _grasp(number: int, plan: ExecutionPlan) -> Marker:
    """Draw the fingers as a U that opens along the approach."""
    half_m = plan.grasp.width_m / 2
    corners = np.array(
        [[-half_m, 0, 0], [-half_m, 0, -0.05], [half_m, 0, -0.05], [half_m, 0, 0]], float
    )
    out = _points(number, Marker.LINE_STRIP, "grasp", corners, 0.005, (1.0, 0.6, 0.0))
    out.pose = pose_from_matrix(plan.grasp.T_planning_tcp)
    return out
