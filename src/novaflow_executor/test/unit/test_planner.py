"""From a cloud and flows to a plan that passes, and each way in which a plan can be wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError, GraspError, NovaflowError, PlatformError
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.core.plan import Contact, Phase
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.validator import PlanValidator, ValidatorLimits

SHIFT = (-0.02, 0.28, 0.0)


@pytest.fixture(scope="module")
def scene(make_scene):
    return make_scene(("other_1", (0.40, 0.0, 0.03), (0.05, 0.05, 0.06)))


@pytest.fixture(scope="module")
def cloud(block_cloud):
    return block_cloud(yaw=0.2)


@pytest.fixture(scope="module")
def planner(robot):
    planner = MotionPlanner(robot, Antipodal(), BandedLm(robot), PlannerSettings())
    planner.warm()
    return planner


@pytest.fixture(scope="module")
def records(planner, cloud, scene, make_candidate):
    candidates = [
        make_candidate(cloud, SHIFT, candidate_id="good"),
        make_candidate(cloud, (0.6, 0.0, 0.3), candidate_id="far"),
        make_candidate(cloud, (0.3, 0.1, 0.0), yaw=3.0, candidate_id="edge"),
        replace(
            make_candidate(cloud, SHIFT), candidate_id="bad", code=Code.LIFT_DIVERGED, flow=None
        ),
    ]
    return {
        c.candidate_id: r
        for c, r in zip(
            candidates, planner.score(cloud, scene, candidates, planner.home), strict=True
        )
    }


@pytest.fixture(scope="module")
def plan(planner, records, cloud, scene, make_candidate):
    candidate = make_candidate(cloud, SHIFT, candidate_id="good")
    return planner.plan(cloud, scene, candidate, planner.home)


@pytest.fixture(scope="module")
def validator(urdf_text, settings_path):
    return PlanValidator.from_files(urdf_text, settings_path)


def test_good_flow_is_feasible_with_its_grasp(records):
    good = records["good"]
    assert good.feasible
    assert 0 < good.score <= 1
    assert good.grasp is not None
    assert good.grasps_tried > 10


def test_flow_that_leaves_the_workspace_is_refused_with_numbers(records):
    assert records["far"].code == Code.FLOW_OUTSIDE_WORKSPACE
    assert "mm outside the workspace" in records["far"].reason
    assert records["far"].score == 0


def test_code_of_an_unusable_candidate_is_passed_on(records):
    assert records["bad"].code == Code.LIFT_DIVERGED


def test_plan_has_the_phases_in_order_and_rests_between(plan, planner):
    phases = [s.phase for s in plan.segments]
    assert phases == sorted(phases)
    assert set(phases) == set(Phase)
    last = planner.home
    for segment in plan.segments:
        if segment.trajectory is not None:
            assert np.abs(segment.trajectory.position[0] - last).max() < 0.01
            last = segment.trajectory.position[-1]
    assert np.allclose(last, planner.home)


def test_object_ends_where_the_flow_puts_it(plan, planner):
    carry = next(s for s in plan.segments if s.phase is Phase.CARRY).trajectory
    start, end = planner.robot.tcp(carry.position[[0, -1]])
    T_moved = end @ se3.inverse(start)
    centre = np.array([0.5, -0.15, 0.035])
    lift = planner.settings.feasibility.release_height_m
    assert np.allclose(se3.apply(T_moved, centre), centre + SHIFT + [0, 0, lift], atol=3e-3)


def test_carry_keeps_the_speed_limit(plan, planner):
    carry = next(s for s in plan.segments if s.phase is Phase.CARRY).trajectory
    tcp = planner.robot.tcp(carry.position)[:, :3, 3]
    speed = np.linalg.norm(np.diff(tcp, axis=0), axis=1) / np.diff(carry.time_s)
    assert speed.max() < 1.05 * planner.settings.carry_m_s


def test_hash_binds_to_what_moves(plan, planner, cloud, scene, make_candidate):
    again = planner.plan(
        cloud, scene, make_candidate(cloud, SHIFT, candidate_id="good"), planner.home
    )
    assert again.hash == plan.hash
    index = next(i for i, s in enumerate(plan.segments) if s.trajectory is not None)
    bent = changed(plan, index, lambda t: replace(t, position=t.position + 1e-6))
    assert bent.hash != plan.hash


def test_cancelled_scoring_says_so(planner, cloud, scene, make_candidate):
    other = MotionPlanner(planner.robot, planner.proposer, planner.solver, planner.settings)
    with pytest.raises(PlatformError) as error:
        other.score(
            cloud, scene, [make_candidate(cloud, SHIFT)], planner.home, should_stop=lambda: True
        )
    assert error.value.code == Code.CANCELLED


def test_object_behind_a_cage_has_no_feasible_grasp(planner, cloud, make_scene, make_candidate):
    roof = make_scene(("other_1", (0.5, -0.15, 0.2), (0.3, 0.3, 0.05)), scene_id="roof")
    with pytest.raises(GraspError) as error:
        planner.plan(cloud, roof, make_candidate(cloud, SHIFT), planner.home)
    assert error.value.code == Code.NO_FEASIBLE_GRASP
    assert "touch the scene" in error.value.reason


# --- the validator ---
def changed(plan, index, change):
    segments = list(plan.segments)
    segments[index] = replace(segments[index], trajectory=change(segments[index].trajectory))
    return replace(plan, segments=tuple(segments))


def index_of(plan, name):
    return next(i for i, s in enumerate(plan.segments) if s.name == name)


def test_validator_and_planner_agree_on_the_kinematics(validator, robot):
    q = np.random.default_rng(0).uniform(robot.limits.lower, robot.limits.upper, (20, 7))
    assert np.allclose(validator._balls(q, 0.04)[3], robot.tcp(q), atol=1e-12)


def test_good_plan_passes(validator, plan, planner, scene):
    validator.check(plan, planner.home, scene)


def refused(validator, plan, q, scene) -> NovaflowError:
    with pytest.raises(ExecutionError) as error:
        validator.check(plan, q, scene)
    return error.value


def test_wrong_start_state(validator, plan, planner, scene):
    q = planner.home + 0.2 * np.eye(7)[1]
    error = refused(validator, plan, q, scene)
    assert error.code == Code.PLAN_START_STATE
    assert "fr3_joint2" in error.reason


def test_gap_between_segments(validator, plan, planner, scene):
    bad = changed(plan, index_of(plan, "carry"), lambda t: replace(t, position=t.position + 0.1))
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_START_STATE


def test_other_joints(validator, plan, planner, scene):
    bad = changed(
        plan, index_of(plan, "reach"), lambda t: replace(t, joint_names=t.joint_names[::-1])
    )
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_START_STATE


def test_not_a_number(validator, plan, planner, scene):
    bad = changed(
        plan,
        index_of(plan, "reach"),
        lambda t: replace(t, position=np.full_like(t.position, np.nan)),
    )
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_START_STATE


def test_joint_limit(validator, plan, planner, scene):
    index = index_of(plan, "return")

    def bump(t):
        bend = np.sin(np.linspace(0, np.pi, len(t.time_s)))[:, None] * [0, 0, 0, 3.0, 0, 0, 0]
        slow = replace(t, velocity=t.velocity / 10, acceleration=t.acceleration / 100)
        return replace(slow, time_s=t.time_s * 10, position=t.position + bend)

    error = refused(validator, changed(plan, index, bump), planner.home, scene)
    assert error.code == Code.PLAN_JOINT_LIMIT
    assert "fr3_joint4" in error.reason


@pytest.mark.parametrize("honest", [True, False])
def test_velocity(validator, plan, planner, scene, honest):
    def faster(t):
        claim = t.velocity * (8 if honest else 1)
        return replace(t, time_s=t.time_s / 8, velocity=claim)

    bad = changed(plan, index_of(plan, "reach"), faster)
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_VELOCITY


def test_acceleration(validator, plan, planner, scene):
    bad = changed(
        plan, index_of(plan, "reach"), lambda t: replace(t, acceleration=t.acceleration * 5)
    )
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_ACCELERATION


def test_not_ending_at_rest(validator, plan, planner, scene):
    bad = changed(
        plan,
        index_of(plan, "reach"),
        lambda t: replace(
            t,
            velocity=np.concatenate([t.velocity[:-1], np.full((1, 7), 0.05)]),
            time_s=t.time_s * 1.5,
        ),
    )
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_VELOCITY


def solids_at(place):
    """A box, a ball and a rod through a place, each 25 mm around it."""
    up = np.array([0.0, 0.0, 0.04])
    return (
        Box("other_7", se3.from_rt(np.eye(3), place), np.full(3, 0.05)),
        Sphere("other_7", place, 0.025),
        Capsule("other_7", place - up, place + up, 0.025),
    )


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["box", "sphere", "capsule"])
def test_new_obstacle_on_the_way(validator, plan, planner, make_scene, kind):
    carry = plan.segments[index_of(plan, "carry")].trajectory
    middle = planner.robot.tcp(carry.position[len(carry.time_s) // 2])[:3, 3]
    blocked = replace(make_scene(), obstacles=(solids_at(middle)[kind],))
    error = refused(validator, plan, planner.home, blocked)
    assert error.code == Code.PLAN_COLLISION
    assert "other_7" in error.reason


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["box", "sphere", "capsule"])
def test_carried_object_through_an_obstacle(urdf_text, settings, plan, planner, make_scene, kind):
    """Where the arm may touch anything, what it carries still may not."""
    validator = PlanValidator(urdf_text, settings, ValidatorLimits(touch_m=1.0))
    carry = plan.segments[index_of(plan, "carry")].trajectory
    middle = planner.robot.tcp(carry.position[len(carry.time_s) // 2])[:3, 3]
    lowest = plan.object_points[:, 2].min() - planner.robot.tcp(plan.q_grasp)[2, 3]
    below = middle + np.array([0.0, 0.0, lowest])
    solid = solids_at(below)[kind]
    error = refused(validator, plan, planner.home, replace(make_scene(), obstacles=(solid,)))
    assert "inside other_7" in error.reason and "the object is" in error.reason


@pytest.mark.parametrize("kind", [0, 1, 2], ids=["box", "sphere", "capsule"])
def test_plans_around_every_solid(validator, planner, cloud, make_scene, make_candidate, kind):
    """One that stands in the straight way of the carry: the flow is raised over it or refused."""
    place = np.array([0.49, -0.01, 0.07])
    solid = solids_at(place)[kind]
    scene = replace(make_scene(scene_id=f"solid {kind}"), obstacles=(solid,))
    plan = planner.plan(cloud, scene, make_candidate(cloud, SHIFT, lift_m=0.04), planner.home)
    validator.check(plan, planner.home, scene)
    carry = plan.segments[index_of(plan, "carry")].trajectory
    held = se3.apply(np.linalg.inv(plan.grasp.T_planning_tcp), plan.object_points)
    for pose in planner.robot.tcp(carry.position[::10]):
        assert solid.distance(se3.apply(pose, held)).min() > 0


def test_arm_through_the_table(validator, plan, planner, scene):
    def dive(t):
        dip = np.sin(np.linspace(0, np.pi, len(t.time_s)))[:, None] ** 2
        return replace(
            t,
            time_s=t.time_s * 8,
            velocity=t.velocity / 8,
            acceleration=t.acceleration / 64,
            position=t.position + dip * [0, 0.9, 0, 0, 0, 0, 0],
        )

    bad = changed(plan, index_of(plan, "return"), dive)
    assert refused(validator, bad, planner.home, scene).code in (
        Code.PLAN_COLLISION,
        Code.PLAN_WORKSPACE,
    )


def test_arm_out_of_the_workspace(validator, plan, planner, scene):
    def swing(t):
        turn = np.sin(np.linspace(0, np.pi, len(t.time_s)))[:, None] ** 2
        return replace(
            t,
            time_s=t.time_s * 8,
            velocity=t.velocity / 8,
            acceleration=t.acceleration / 64,
            position=t.position + turn * [2.4 - t.position[0, 0], 0.5, 0, 0.8, 0, 0, 0],
        )

    bad = changed(plan, index_of(plan, "return"), swing)
    assert refused(validator, bad, planner.home, scene).code == Code.PLAN_WORKSPACE


def test_gripper_through_the_object_where_it_must_not_touch_it(validator, plan, planner, scene):
    index = index_of(plan, "descend")
    segments = list(plan.segments)
    # half closed, the fingers come down through the block
    segments[index] = replace(segments[index], contact=Contact.NONE, opening_m=0.02)
    error = refused(validator, replace(plan, segments=tuple(segments)), planner.home, scene)
    assert error.code == Code.PLAN_COLLISION
    assert "object" in error.reason


def test_a_flow_through_an_obstacle_is_carried_over_it(
    planner, make_scene, cloud, make_candidate, validator
):
    way = make_scene(("other_1", (0.49, 0.0, 0.06), (0.06, 0.06, 0.12)))
    candidate = make_candidate(cloud, SHIFT, lift_m=0.05, candidate_id="through")
    (record,) = planner.score(cloud, way, [candidate], planner.home)
    assert record.feasible, record.reason
    assert "over what is in the way" in record.reason
    plan = planner.plan(cloud, way, candidate, planner.home)
    validator.check(plan, planner.home, way)


def test_the_descent_is_straight_down_to_where_the_carry_begins(
    planner, make_scene, cup_cloud, block_cloud, make_candidate
):
    """The optimiser may begin the carry with other joints than those that reached the grasp."""
    for cloud, yaw in ((cup_cloud(), 1.2), (block_cloud(yaw=0.4), -1.5), (block_cloud(), 2.5)):
        scene = make_scene(scene_id=str(yaw))
        candidate = make_candidate(cloud, (-0.05, 0.2, 0.0), yaw=yaw)
        (record,) = planner.score(cloud, scene, [candidate], planner.home)
        if record.code is not Code.OK:
            continue
        plan = planner.plan(cloud, scene, candidate, planner.home)
        descend = next(s for s in plan.segments if s.name == "descend")
        q = descend.trajectory.position
        tcp = planner.robot.tcp(q)[:, :3, 3]
        way = tcp[-1] - tcp[0]
        aside = np.cross(tcp - tcp[0], way / np.linalg.norm(way))
        assert np.linalg.norm(aside, axis=1).max() < 0.001
        carry = next(s for s in plan.segments if s.name == "carry")
        np.testing.assert_allclose(q[-1], carry.trajectory.position[0], atol=1e-6)
        assert np.abs(np.diff(q, axis=0)).max() < 0.1
