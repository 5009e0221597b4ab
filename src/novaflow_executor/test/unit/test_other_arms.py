"""Arms that differ in joints, names, base and gripper plan with their files alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from other_arms import ARMS

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.core.plan import Phase
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.validator import PlanValidator

SHIFT = (0.02, 0.22, 0.0)
POST = ("other_1", (0.5, -0.02, 0.08), (0.05, 0.05, 0.16))  # on the straight way


@pytest.fixture(scope="module", params=ARMS, ids=lambda arm: arm.name)
def arm(request):
    return request.param


@pytest.fixture(scope="module")
def planner(arm):
    return MotionPlanner.from_files(
        arm.urdf(), arm.settings_path, grasps="antipodal", motion="trajopt", speed=0.5
    )


@pytest.fixture(scope="module")
def scene(arm, make_scene):
    return replace(make_scene(POST), planning_frame=arm.base)


@pytest.fixture(scope="module")
def plan(arm, planner, scene, block_cloud, make_candidate):
    cloud = block_cloud((0.48, -0.15))
    candidate = make_candidate(cloud, SHIFT, lift_m=0.2)
    flow = replace(candidate.flow, frame_id=arm.base)
    return planner.plan(cloud, scene, replace(candidate, flow=flow), planner.home)


def test_its_home_looks_down_in_front_of_the_base(planner):
    tcp = planner.robot.tcp(planner.home)
    np.testing.assert_allclose(tcp[:3, 2], [0, 0, -1], atol=2e-3)
    assert 0.25 < tcp[0, 3] < 0.55
    assert 0.25 < tcp[2, 3] < 0.6


def test_a_whole_motion_is_planned_and_passes_the_validator(arm, planner, plan, scene):
    assert {segment.phase for segment in plan.segments} == set(Phase)
    moves = [s.trajectory for s in plan.segments if s.trajectory is not None]
    assert {move.joint_names for move in moves} == {arm.moving}
    validator = PlanValidator.from_files(arm.urdf(), arm.settings_path)
    validator.check(plan, planner.home, scene)
    carry = next(s for s in plan.segments if s.phase == Phase.CARRY).trajectory
    grasped = se3.inverse(planner.robot.tcp(carry.position[0]))
    way = planner.robot.tcp(carry.position) @ grasped
    np.testing.assert_allclose(way[-1, :3, :3], np.eye(3), atol=0.05)
    moved = se3.apply(way[-1], plan.object_points.mean(axis=0)) - plan.object_points.mean(axis=0)
    np.testing.assert_allclose(moved, SHIFT, atol=0.012)


def test_the_validator_knows_its_limits(arm, planner, plan, scene):
    validator = PlanValidator.from_files(arm.urdf(), arm.settings_path)
    turned = planner.home + 0.3
    with pytest.raises(ExecutionError) as error:
        validator.check(plan, turned, scene)
    assert error.value.code == Code.PLAN_START_STATE
    assert any(name in error.value.reason for name in arm.moving)
