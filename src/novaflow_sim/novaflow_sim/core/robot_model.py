"""What is known of arm and gripper: names, limits, home pose, and the tool centre point (TCP).

Frames: `fr3_link0` base, `fr3_link8` flange. TCP: between the finger pads' centres when the gripper
is nearly closed, +z approach, +x closing direction (fingers meet along x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import exp_so3, from_rt

ARM_JOINTS = tuple(f"fr3_joint{k}" for k in range(1, 8))
GRIPPER_JOINT = "robotiq_85_left_knuckle_joint"
GRIPPER_CLOSED_RAD = 0.7929
GRIPPER_MAX_OPENING_M = 0.085
BASE_FRAME, FLANGE_FRAME = "fr3_link0", "fr3_link8"

# Franka Research 3 data sheet.
POSITION_LOW_RAD = np.array([-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159])
POSITION_HIGH_RAD = np.array([2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159])
VELOCITY_LIMIT_RAD_S = np.array([2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26])
ACCELERATION_LIMIT_RAD_S2 = np.full(7, 10.0)
EFFORT_LIMIT_NM = np.array([87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0])

HOME_RAD = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])

# The gripper is bolted on so that at home its fingers close along the base's y axis.
MOUNT_YAW_RAD = np.pi / 4
COUPLING_HEIGHT_M = 0.007
TCP_HEIGHT_M = 0.154

# xyz [m] and rpy [rad] of each joint in its parent link. Source: franka_description.
JOINT_ORIGINS = (
    ((0.0, 0.0, 0.333), (0.0, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (-np.pi / 2, 0.0, 0.0)),
    ((0.0, -0.316, 0.0), (np.pi / 2, 0.0, 0.0)),
    ((0.0825, 0.0, 0.0), (np.pi / 2, 0.0, 0.0)),
    ((-0.0825, 0.384, 0.0), (-np.pi / 2, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (np.pi / 2, 0.0, 0.0)),
    ((0.088, 0.0, 0.0), (np.pi / 2, 0.0, 0.0)),
)
FLANGE_HEIGHT_M = 0.107


def tcp_on_flange() -> NDArray[np.float64]:
    """T_flange_tcp (4, 4)."""
    return from_rt(exp_so3([0.0, 0.0, MOUNT_YAW_RAD]), [0.0, 0.0, TCP_HEIGHT_M])


def link_poses(q_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses (9, 4, 4) of fr3_link0..8 in the base frame.

    Args:
        q_rad: (7,) joint positions [rad].
    """
    poses = np.empty((9, 4, 4))
    poses[0] = np.eye(4)
    for k in range(7):
        poses[k + 1] = poses[k] @ _ORIGINS[k] @ _about_z(float(q_rad[k]))
    poses[8] = poses[7] @ _FLANGE
    return poses


def _about_z(angle_rad: float) -> NDArray[np.float64]:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    out = np.eye(4)
    out[:2, :2] = [[c, -s], [s, c]]
    return out


# Every origin turns about x alone.
_ORIGINS = [from_rt(exp_so3([rpy[0], 0.0, 0.0]), xyz) for xyz, rpy in JOINT_ORIGINS]
_FLANGE = from_rt(np.eye(3), [0.0, 0.0, FLANGE_HEIGHT_M])
