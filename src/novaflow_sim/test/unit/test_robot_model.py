"""Kinematics, description and calibration error."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from novaflow_core.se3 import exp_so3, from_rt, inverse, rotation_angle
from novaflow_sim.core import robot_model as robot
from novaflow_sim.core.calibration import miscalibrated
from novaflow_sim.core.description import urdf

SOME_Q = np.array([0.3, -0.6, 0.2, -2.0, -0.4, 1.9, 1.1])


def test_home_points_the_gripper_down_with_its_fingers_closing_along_y() -> None:
    T_base_tcp = robot.link_poses(robot.HOME_RAD)[8] @ robot.tcp_on_flange()
    np.testing.assert_allclose(T_base_tcp[:3, 2], [0, 0, -1], atol=2e-3)
    np.testing.assert_allclose(np.abs(T_base_tcp[:3, 0]), [0, 1, 0], atol=2e-3)
    assert (robot.HOME_RAD > robot.POSITION_LOW_RAD).all()
    assert (robot.HOME_RAD < robot.POSITION_HIGH_RAD).all()


def test_description_gives_the_same_kinematics() -> None:
    root = ET.fromstring(urdf())
    joints = {j.find("child").get("link"): j for j in root.iter("joint")}
    assert {j.find("parent").get("link") for j in joints.values()} <= {
        link.get("name") for link in root.iter("link")
    }
    angles = dict(zip(robot.ARM_JOINTS, SOME_Q, strict=True))

    def pose(link: str) -> np.ndarray:
        if link == robot.BASE_FRAME:
            return np.eye(4)
        joint = joints[link]
        origin = joint.find("origin")
        roll, pitch, yaw = map(float, origin.get("rpy").split())
        rotation = exp_so3([0, 0, yaw]) @ exp_so3([0, pitch, 0]) @ exp_so3([roll, 0, 0])
        T = from_rt(rotation, [float(v) for v in origin.get("xyz").split()])
        if joint.get("type") == "revolute":
            axis = np.array([float(v) for v in joint.find("axis").get("xyz").split()])
            T = T @ from_rt(exp_so3(axis * angles[joint.get("name")]), np.zeros(3))
        return pose(joint.find("parent").get("link")) @ T

    np.testing.assert_allclose(pose(robot.FLANGE_FRAME), robot.link_poses(SOME_Q)[8], atol=1e-7)
    assert robot.GRIPPER_JOINT in {j.get("name") for j in joints.values()}


@pytest.mark.parametrize("seed", range(5))
def test_calibration_error_has_its_size_and_a_seeded_direction(seed: int) -> None:
    T_base_camera = robot.link_poses(SOME_Q)[8]
    published = miscalibrated(T_base_camera, 0.003, 0.3, seed)
    offset = published[:3, 3] - T_base_camera[:3, 3]
    assert np.linalg.norm(offset) == pytest.approx(0.003)
    angle = rotation_angle((inverse(T_base_camera) @ published)[:3, :3])
    assert np.degrees(angle) == pytest.approx(0.3)
    np.testing.assert_array_equal(published, miscalibrated(T_base_camera, 0.003, 0.3, seed))
    assert not np.allclose(published, miscalibrated(T_base_camera, 0.003, 0.3, seed + 1))
