"""An arm that was stopped somewhere sets down what it holds and goes home, by plans that pass."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.core.clearing import LeftBehind, drop_height, plan_clearing
from novaflow_executor.core.plan import Phase
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.validator import PlanValidator


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene(("other_1", (0.40, 0.0, 0.03), (0.05, 0.05, 0.06)))


@pytest.fixture(scope="module")
def planner(robot):
    return MotionPlanner(robot, Antipodal(), BandedLm(robot), PlannerSettings())


@pytest.fixture(scope="module")
def validator(urdf_text, settings_path):
    return PlanValidator.from_files(urdf_text, settings_path)


@pytest.fixture(scope="module")
def plan(planner, scene, block_cloud, make_candidate):
    cloud = block_cloud(yaw=0.2)
    candidate = make_candidate(cloud, (-0.02, 0.28, 0.0))
    planner.score(cloud, scene, [candidate], planner.home)
    return planner.plan(cloud, scene, candidate, planner.home)


def _stopped(plan, name, share):
    """Joints somewhere in a motion."""
    (segment,) = [s for s in plan.segments if s.name == name]
    q = segment.trajectory.position
    return q[int(share * (len(q) - 1))]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_what_was_carried_is_set_down_upright_where_it_is(planner, validator, plan, scene, share):
    q = _stopped(plan, "carry", share)
    made = plan_clearing(planner, q, scene, 0.04, LeftBehind(plan, scene, Phase.CARRY))
    validator.check(made, q, scene)
    names = [segment.name for segment in made.segments]
    assert names == ["set down", "let go", "back off", "return"]
    down = made.segments[0].trajectory.position
    moved = planner.robot.tcp(down[-1]) @ se3.inverse(planner.robot.tcp(down[0]))
    low = se3.apply(moved, made.object_points)[:, 2].min() - 0.01  # radius of the spheres
    assert 0.0 <= low < 0.006
    assert np.allclose(made.segments[-1].trajectory.position[-1], planner.home, atol=1e-6)


def test_without_an_object_the_fingers_stay_as_they_are(planner, validator, plan, scene):
    q = _stopped(plan, "descend", 0.7)
    made = plan_clearing(planner, q, scene, 0.06, LeftBehind(plan, scene, Phase.APPROACH))
    validator.check(made, q, scene)
    assert [segment.gripper for segment in made.segments] == [None, None]


def test_after_a_restart_nobody_remembers_and_it_still_goes_home(planner, validator, plan, scene):
    q = _stopped(plan, "reach", 0.5)
    made = plan_clearing(planner, q, scene, 0.06, None)
    validator.check(made, q, scene)
    assert [segment.gripper for segment in made.segments] == [None, None]


def test_a_stop_after_letting_go_lets_go_first(planner, validator, plan, scene):
    q = _stopped(plan, "carry", 1.0)
    made = plan_clearing(planner, q, scene, 0.04, LeftBehind(plan, scene, Phase.RELEASE))
    validator.check(made, q, scene)
    assert made.segments[0].name == "let go"


def test_what_is_held_over_a_box_is_set_down_on_it(make_scene):
    box = make_scene(("reference_0", (0.5, 0.1, 0.02), (0.2, 0.2, 0.04)))
    points = np.array([[0.5, 0.1, 0.20], [0.5, 0.1, 0.22]])
    assert drop_height(points, box) == pytest.approx(0.15)
    assert drop_height(points, make_scene()) == pytest.approx(0.19)
    assert drop_height(points - [0, 0, 0.5], box) == 0.0


def test_no_way_out_is_an_error_that_says_so(planner, plan, make_scene):
    q = _stopped(plan, "descend", 1.0)
    at = planner.robot.tcp(q)[:3, 3]
    lid = make_scene(("lid", (at[0], at[1], at[2] + 0.17), (0.5, 0.5, 0.02)))
    with pytest.raises(ExecutionError) as failure:
        plan_clearing(planner, q, lid, 0.06, None)
    assert failure.value.code == Code.APPROACH_NOT_FOUND
