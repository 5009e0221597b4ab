from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError
from novaflow_executor.core import ik
from novaflow_executor.core.follow_cost import pose_error
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.robot_settings import load_robot_settings


def samples(robot, count=20, seed=0):
    return np.random.default_rng(seed).uniform(
        robot.limits.lower, robot.limits.upper, (count, robot.joint_count)
    )


def test_home_points_straight_down_in_front_of_the_base(robot):
    home = robot.tcp(robot.home)
    assert np.allclose(home[:3, 2], [0, 0, -1], atol=1e-3)
    assert np.allclose(home[:3, 0], [0, -1, 0], atol=1e-3)  # fingers close along y
    assert home[:3, 3] == pytest.approx([0.307, 0, 0.436], abs=2e-3)


def test_jacobian_equals_finite_differences(robot):
    q, step = samples(robot), 1e-6
    jacobian = robot.jacobian(q)
    for i in range(robot.joint_count):
        d = np.zeros(robot.joint_count)
        d[i] = step
        numeric = pose_error(robot.tcp(q + d), robot.tcp(q - d)) / (2 * step)
        assert np.abs(numeric - jacobian[:, :, i]).max() < 1e-6


def test_point_jacobian_equals_finite_differences(robot):
    q, step, local = samples(robot, 4), 1e-6, np.array([0.05, -0.02, 0.1])
    for frame in (0, 3, 7):

        def point(q, frame=frame):
            rotation, origin = robot.frames(q)
            return rotation[:, frame] @ local + origin[:, frame]

        rotation, origin = robot.frames(q)
        jacobian = robot.point_jacobian(robot.axes(rotation), origin, point(q), frame)
        for i in range(robot.joint_count):
            d = np.eye(robot.joint_count)[i] * step
            numeric = (point(q + d) - point(q - d)) / (2 * step)
            assert np.abs(numeric - jacobian[:, :, i]).max() < 1e-6


def test_batch_equals_single(robot):
    q = samples(robot, 6)
    assert np.allclose(robot.tcp(q.reshape(2, 3, -1)).reshape(6, 4, 4)[4], robot.tcp(q[4]))


def test_tilted_base_moves_with_a_fixed_joint(urdf_text, settings, robot):
    extra = (
        '<link name="world"/><joint name="bolt" type="fixed"><parent link="world"/>'
        '<child link="fr3_link0"/><origin xyz="0.1 0.2 0.3" rpy="0 0 1.0"/></joint></robot>'
    )
    moved = RobotModel(
        urdf_text.replace("</robot>", extra), dataclasses.replace(settings, base_link="world")
    )
    T_world_base = se3.from_rt(se3.exp_so3([0, 0, 1.0]), [0.1, 0.2, 0.3])
    assert np.allclose(moved.tcp(robot.home), T_world_base @ robot.tcp(robot.home))


def test_six_axis_arm_with_a_slide_needs_no_other_code(settings):
    rows = ['<robot name="gantry"><link name="l0"/>']
    kinds = ("prismatic", "revolute", "revolute", "revolute", "revolute", "revolute")
    axes = ("1 0 0", "0 0 1", "0 1 0", "0 1 0", "0 0 1", "0 1 0")
    for i, (kind, axis) in enumerate(zip(kinds, axes, strict=True), 1):
        rows.append(
            f'<link name="l{i}"/><joint name="j{i}" type="{kind}"><parent link="l{i - 1}"/>'
            f'<child link="l{i}"/><origin xyz="0 0 0.2"/><axis xyz="{axis}"/>'
            '<limit lower="-2" upper="2" velocity="2"/></joint>'
        )
    mine = dataclasses.replace(
        settings,
        base_link="l0",
        tip_link="l6",
        home=np.full(6, 0.3),
        acceleration=np.full(6, 5.0),
        jerk=np.full(6, 50.0),
        capsules={},
    )
    arm = RobotModel("".join(rows) + "</robot>", mine)
    wanted = arm.tcp(np.array([[0.4, 0.5, -0.6, 0.9, 0.3, 0.7]]))
    found = ik.solve(arm, wanted, seeds=8)
    assert found.found.all()
    assert np.allclose(arm.tcp(found.q)[0, :3, 3], wanted[0, :3, 3], atol=1.5e-3)


def test_unknown_tip_is_named(urdf_text, settings):
    with pytest.raises(NovaflowError) as error:
        RobotModel(urdf_text, dataclasses.replace(settings, tip_link="nothing"))
    assert error.value.code == Code.INVALID_SETTING
    assert "nothing" in error.value.reason


def test_broken_settings_file_is_named(tmp_path):
    path = tmp_path / "arm.yaml"
    path.write_text("base_link: a\n")
    with pytest.raises(NovaflowError) as error:
        load_robot_settings(path)
    assert error.value.code == Code.INVALID_SETTING
    assert "arm.yaml" in error.value.reason


def test_gripper_opening_and_joint_are_inverse(settings):
    gripper = settings.gripper
    for opening in (0.0, 0.03, 0.085):
        assert gripper.opening(gripper.joint_position(opening)) == pytest.approx(opening)
    wide, narrow = gripper.capsules(0.08), gripper.capsules(0.0)
    assert np.ptp(wide[:, 0]) - np.ptp(narrow[:, 0]) == pytest.approx(0.08)


def test_ik_reaches_reachable_poses_within_limits(robot):
    q = samples(robot, 30, seed=3)
    found = ik.solve(robot, robot.tcp(q), seeds=8, iterations=100)
    assert found.found.mean() > 0.8  # random poses lie at the edge of what an arm can do
    assert np.abs(robot.limits.violation(found.q[found.found])).max() < 1e-9
    error = pose_error(robot.tcp(found.q[found.found]), robot.tcp(q[found.found]))
    assert np.abs(error[:, :3]).max() < 1e-3


def test_ik_says_what_it_cannot_reach(robot):
    far = se3.from_rt(np.diag([1.0, -1.0, -1.0]), [[1.5, 0, 0.2]])
    found = ik.solve(robot, far)
    assert not found.found[0]
    assert found.position_error_m[0] > 0.3
