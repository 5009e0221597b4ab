"""Of grasps that serve as well, the one that holds steadily and leaves the object in sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core.errors import Code
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.visibility import Sightlines

LIFT = (0.0, 0.0, 0.12)


@pytest.fixture(scope="module")
def cloud(block_cloud):
    return block_cloud(yaw=0.2)


@pytest.fixture(scope="module")
def grasp(robot, cloud, make_scene):
    """The joints that hold the block from above, and the opening."""
    best = Antipodal().propose(request(robot, cloud, make_scene()))[0]
    planner = MotionPlanner(robot, Fixed([best]), BandedLm(robot), PlannerSettings())
    return planner, best


class Fixed:
    """Proposes what it was given."""

    def __init__(self, grasps) -> None:
        self.grasps = tuple(grasps)

    def propose(self, _request):
        return self.grasps


def request(robot, cloud, scene):
    from novaflow_executor.core.grasps import GraspRequest

    return GraspRequest(cloud, scene, robot.settings.gripper, False)


def plan_of(robot, grasps, cloud, scene, make_candidate):
    planner = MotionPlanner(robot, Fixed(grasps), BandedLm(robot), PlannerSettings())
    candidate = make_candidate(cloud, LIFT)
    (record,) = planner.score(cloud, scene, [candidate], planner.home)
    assert record.code is Code.OK, record.reason
    return planner.plan(cloud, scene, candidate, planner.home), record


def test_an_arm_above_hides_the_object_from_above_and_not_from_the_side(
    robot, cloud, grasp, make_scene, make_candidate
):
    plan, _ = plan_of(robot, [grasp[1]], cloud, make_scene(), make_candidate)
    middle = cloud.mean(axis=0)
    q, still = plan.q_grasp[None], np.eye(4)[None]

    def share(*eyes):
        return Sightlines(robot, cloud, eyes).open_share(q, still, grasp[1].width_m)[0]

    above = middle + np.array([0.0, 0.0, 1.0])
    side = middle + np.array([1.0, 0.0, 0.3])
    assert share(above) < 0.3
    assert share(side) > 0.5
    assert share(above, side) == share(side)
    assert share() == 1.0


def test_the_gripper_does_not_stand_between_camera_and_object_without_need(
    robot, cloud, make_scene, make_candidate
):
    eye = cloud.mean(axis=0) + np.array([0.5, 0.3, 0.45])
    scene = make_scene()
    proposed = Antipodal().propose(request(robot, cloud, scene))
    shares = []
    for seen_from in ((), (eye,)):
        plan, _ = plan_of(robot, proposed, cloud, replace(scene, eyes=seen_from), make_candidate)
        sight = Sightlines(robot, cloud, (eye,))
        q = np.stack([plan.q_grasp, plan.carry_end()])
        shares.append(sight.open_share(q, plan.T_base_obj[[0, -1]], plan.grasp.width_m).min())
    assert shares[1] >= shares[0]
    assert shares[1] > 0.3


def test_weight_beside_the_closing_axis_costs(robot, cloud, grasp, make_scene, make_candidate):
    middle = grasp[1]
    aside = middle.T_planning_tcp.copy()
    aside[:3, 3] += 0.012 * aside[:3, 1]
    beside = replace(middle, T_planning_tcp=aside, score=min(1.0, 1.05 * middle.score))
    plan, _ = plan_of(robot, [beside, middle], cloud, make_scene(), make_candidate)
    held_at = plan.grasp.T_planning_tcp[:3, 3]
    assert np.linalg.norm(held_at - middle.T_planning_tcp[:3, 3]) < 1e-6
