"""What joint_state_broadcaster, robot_state_publisher and a clock publish."""

from __future__ import annotations

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from tf2_msgs.msg import TFMessage

from novaflow_core.se3 import exp_so3, from_rt, inverse, quaternion_xyzw
from novaflow_sim.backends.cell import RobotReading
from novaflow_sim.core import robot_model as robot
from novaflow_sim.core.description import urdf

CAMERA_LINK, COLOUR_FRAME, OPTICAL_FRAME = (
    "camera_link",
    "camera_color_frame",
    "camera_color_optical_frame",
)
TF_EVERY = 2  # joint states between two transforms: 50 Hz
# 50 Hz: every node wakes for every tick, and a wake-up in Python costs half a millisecond.
CLOCK_EVERY = 2
_LATCHED = QoSProfile(
    depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE
)
# REP-103: optical z forward, x right, y down, in a body frame with x forward, y left.
_R_BODY_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


class RobotTopics:
    """Publishers of everything about the robot that is no action."""

    def __init__(self, node: Node, T_base_camera: NDArray[np.float64]) -> None:
        """Create the publishers; `T_base_camera` is the calibrated pose of the optical frame."""
        self._joints = node.create_publisher(JointState, "/joint_states", 10)
        self._clock = node.create_publisher(Clock, "/clock", 10)
        self._tf = node.create_publisher(TFMessage, "/tf", 100)
        self._static = node.create_publisher(TFMessage, "/tf_static", _LATCHED)
        self._description = node.create_publisher(String, "/robot_description", _LATCHED)
        self._names = [*robot.ARM_JOINTS, robot.GRIPPER_JOINT]
        self._count = 0
        self._links = TFMessage()
        self._description.publish(String(data=urdf()))
        optical = from_rt(_R_BODY_OPTICAL, np.zeros(3))
        mount = from_rt(
            exp_so3([0.0, 0.0, robot.MOUNT_YAW_RAD]), [0.0, 0.0, robot.COUPLING_HEIGHT_M + 0.0038]
        )
        self._static.publish(
            TFMessage(
                transforms=[
                    _stamped(robot.BASE_FRAME, CAMERA_LINK, T_base_camera @ inverse(optical)),
                    _stamped(CAMERA_LINK, COLOUR_FRAME, np.eye(4)),
                    _stamped(COLOUR_FRAME, OPTICAL_FRAME, optical),
                    _stamped(
                        "fr3_link7",
                        "fr3_link8",
                        from_rt(np.eye(3), [0.0, 0.0, robot.FLANGE_HEIGHT_M]),
                    ),
                    _stamped("fr3_link8", "robotiq_85_base_link", mount),
                ]
            )
        )

    def publish(self, reading: RobotReading) -> None:
        """Publish the joint states, and every other time clock and transforms."""
        stamp = time_of(reading.time_s)
        if self._count % CLOCK_EVERY == 0:
            self._clock.publish(Clock(clock=stamp))
        joints = JointState(name=self._names)
        joints.header.stamp = stamp
        joints.position = reading.position.tolist()
        joints.velocity = reading.velocity.tolist()
        joints.effort = reading.effort.tolist()
        self._joints.publish(joints)
        self._count += 1
        if self._count % TF_EVERY == 0:
            self._publish_transforms(reading.position[:7], stamp)

    def _publish_transforms(self, q_rad: NDArray[np.float64], stamp: Time) -> None:
        """Send the links' poses; the message is made once, as that costs a tenth of a core."""
        poses = robot.link_poses(q_rad)
        steps = inverse(poses[:7]) @ poses[1:8]
        if not self._links.transforms:
            self._links.transforms = [
                _stamped(f"fr3_link{k}", f"fr3_link{k + 1}", steps[k]) for k in range(7)
            ]
        for link, q in zip(
            self._links.transforms, quaternion_xyzw(steps[:, :3, :3]).tolist(), strict=True
        ):
            link.header.stamp = stamp
            rotation = link.transform.rotation
            rotation.x, rotation.y, rotation.z, rotation.w = q
        self._tf.publish(self._links)


def time_of(time_s: float) -> Time:
    """Convert seconds to a stamp."""
    nanoseconds = round(time_s * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def _stamped(parent: str, child: str, pose: NDArray[np.float64]) -> TransformStamped:
    out = TransformStamped(child_frame_id=child)
    out.header.frame_id = parent
    t, r = out.transform.translation, out.transform.rotation
    t.x, t.y, t.z = (float(v) for v in pose[:3, 3])
    r.x, r.y, r.z, r.w = (float(v) for v in quaternion_xyzw(pose[:3, :3]))
    return out
