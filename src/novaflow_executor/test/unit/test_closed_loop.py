"""The loop in a world that moves, pushes and slips as a test says; time passes only in waits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from loop_world import FRAME_S, WIDTH_M, Calm, World

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.core.closed_loop import ClosedLoop, FollowTask
from novaflow_executor.core.execution import ExecutionLimits, PlanRunner
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.sight import Sighting
from novaflow_executor.core.validator import PlanValidator

SHIFT = (-0.02, 0.28, 0.0)


@pytest.fixture(scope="module")
def planner(robot):
    return MotionPlanner(robot, Antipodal(), BandedLm(robot), PlannerSettings())


@pytest.fixture(scope="module")
def validator(urdf_text, settings_path):
    return PlanValidator.from_files(urdf_text, settings_path)


@pytest.fixture
def case(make_case):
    return make_case(SHIFT)


@pytest.fixture
def lifting(make_case):
    return make_case((0.0, 0.1, 0.2))


@pytest.fixture
def make_case(planner, validator, make_scene, block_cloud, make_candidate):
    def make(shift):
        scene = make_scene(scene_id=str(shift))  # a scene's scores serve its plans
        return world_of(planner, validator, scene, block_cloud(yaw=0.2), shift, make_candidate)

    return make


def world_of(planner, validator, scene, cloud, shift, make_candidate):
    """A world, and what runs a loop in it."""
    candidate = make_candidate(cloud, shift)
    plan = planner.plan(cloud, scene, candidate, planner.home)
    world = World(planner.robot, planner.home)

    def loop(**options):
        runner = PlanRunner(
            world,
            lambda part, q: validator.check(part, q, scene),
            Calm(),
            ExecutionLimits(own_gap_s=math.inf),
            world.begin,
            lambda: world.time_s,
            world.advance,
        )
        task = FollowTask(cloud, scene, candidate)
        return ClosedLoop(runner, planner, world, world, lambda: world.time_s, task, **options)

    world.loop, world.plan, world.goal = loop, plan, plan.T_base_obj[-1]
    world.middle = cloud.mean(axis=0)
    return world


def away(world) -> tuple[float, float]:
    """How far the block is from where the flow ends [m], [deg]."""
    shift = se3.apply(world.T_moved, world.middle) - se3.apply(world.goal, world.middle)
    turn = se3.rotation_angle(world.T_moved[:3, :3].T @ world.goal[:3, :3])
    return float(np.linalg.norm(shift)), float(np.degrees(turn))


def failure(world, **options):
    loop = world.loop(**options)
    with pytest.raises(NovaflowError) as caught:
        loop.run(world.plan)
    return loop, caught.value


def assert_placed(world):
    shift, turn = away(world)
    assert shift < 0.0025
    assert turn < 1.5
    assert world.sent[-1] == "return"


def test_undisturbed_the_block_ends_where_the_flow_ends(case):
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert [c.why for c in loop.corrections] == ["in the hand", "before placing"]
    assert loop.regrasps == 0
    assert all(0 <= c.delay_s < 2 * FRAME_S for c in loop.corrections)


def test_who_looks_is_told_where_the_gripper_takes_the_block(case):
    case.loop().run(case.plan)
    assert {carry for _, _, carry in case.hints} == {1, 2}
    compared = 0
    for time_s, T_moved, _ in case.hints:
        seen = min(case.seen, key=lambda s: abs(s.time_s - time_s))
        if abs(seen.time_s - time_s) < 0.006:
            compared += 1
            shift = se3.apply(T_moved, case.middle) - se3.apply(seen.T_moved, case.middle)
            assert np.linalg.norm(shift) < 0.006
    assert compared > 5


def test_a_block_that_was_pushed_before_the_grasp_is_taken_where_it_is(case):
    case.on("reach", lambda: case.shift([0.015, 0.01, 0.0], 8.0))
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert loop.corrections[0].shift_m > 0.01
    assert "moved" in loop.corrections[0].why


@pytest.mark.parametrize("segment", ["carry", "place"])
def test_a_block_that_slips_in_the_fingers_still_ends_where_it_should(case, segment):
    case.on(segment, lambda: case.shift([0.0, 0.004, 0.014], 6.0))
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert any(c.shift_m > 0.01 for c in loop.corrections)


@pytest.mark.parametrize(
    ("metres", "turn_deg"), [((0.0, 0.0, 0.009), 0.0), ((0.007, 0.0, 0.005), 7.0)]
)
def test_a_block_that_caught_on_the_rim_is_lifted_off_and_let_down_again(case, metres, turn_deg):
    """Too little for the watch, too much to let go."""
    case.on("place", lambda: case.shift(metres, turn_deg))
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert "lift off" in case.sent
    assert "lifted off" in [c.why for c in loop.corrections]
    # Who looks is told of the way up as well.
    held = [name for name in case.sent if name in ("carry", "place", "lift off")]
    assert len({carry for _, _, carry in case.hints}) == len(held)


def test_what_cannot_be_lifted_off_is_let_go_where_it_is(case, monkeypatch):
    """The verdict says whether that will do; a goal does not end with the object in the hand."""

    def no_way(*_):
        raise ExecutionError(Code.APPROACH_NOT_FOUND, "no way up")

    case.on("place", lambda: case.shift((0.0, 0.0, 0.009)))
    loop = case.loop()
    monkeypatch.setattr(loop._planner, "lift_off", no_way)
    loop.run(case.plan)
    assert case.sent[-1] == "return"


def test_what_catches_again_and_again_is_let_go_at_last(case):
    def catch():
        case.shift([0.0, 0.0, 0.009])
        case.on("place", catch)

    case.on("place", catch)
    loop = case.loop()
    loop.run(case.plan)
    assert case.sent.count("lift off") == 2
    assert case.sent[-1] == "return"


def test_fingers_that_push_the_block_as_they_close_are_corrected_for(case):
    closed = case.move_gripper

    def closes_off_centre(opening_m, max_force_n):
        motion = closed(opening_m, max_force_n)
        if opening_m == 0:
            case.shift([0.004, -0.003, 0.0], 3.0)
        return motion

    case.move_gripper = closes_off_centre
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert loop.corrections[0].shift_m == pytest.approx(0.005, abs=0.001)


def test_what_stays_in_the_gripper_is_brought_to_where_it_shall_be(lifting):
    """Nothing holds it but the fingers, so what slipped on the last stretch stays as it is."""
    lifting.on("place", lambda: lifting.shift([0.006, 0.004, 0.0], 12.0))
    loop = lifting.loop()
    loop.run(lifting.plan)
    assert loop.plan.held
    assert loop.corrections[-1].why == "at the end"
    shift, turn = away(lifting)
    assert shift < 0.0025
    assert turn < 1.5
    assert np.allclose(loop.T_moved, lifting.T_moved, atol=1e-3)


def test_a_missed_grasp_is_followed_by_another_one(case):
    case.misses = 1
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert (loop.regrasps, case.closings) == (1, 2)


def test_what_is_met_on_the_way_down_is_a_reason_for_another_grasp(case):
    case.resists = 1
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert (loop.regrasps, case.closings) == (1, 1)
    assert "another grasp after GRASP_BLOCKED" in [c.why for c in loop.corrections]
    assert case.sent[:3] == ["reach", "descend", "back off"]


def turns_between_the_pads(case, metres=(0.003, 0.0, 0.0)):
    """What was taken across an edge lies flat between the pads after a while."""

    def settle():
        case.opening -= 0.008
        case.shift(metres, 5.0)

    case.on("carry", settle)


def test_what_settles_between_the_pads_and_is_still_held_is_carried_on(case):
    turns_between_the_pads(case)
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert loop.regrasps == 0
    assert "slipped, and still in the hand" in [c.why for c in loop.corrections]


def slips_twice(case):
    """A grasp too weak for what it holds."""

    def slip():
        case.opening -= 0.006
        case.shift((0.004, 0.0, 0.0), 6.0)

    def again():
        slip()
        case.on("carry", slip)

    case.on("carry", again)


def test_what_slips_again_and_again_is_set_down_and_taken_another_way(case):
    first = case.plan.grasp.T_planning_tcp
    slips_twice(case)
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert (loop.regrasps, case.closings) == (1, 2)
    assert case.sent.index("put back") < case.sent.index("back off")
    assert "another grasp after GRASP_LOST" in [c.why for c in loop.corrections]
    (failed,) = loop._failed
    np.testing.assert_allclose(failed, first, atol=1e-9)


def blocked(monkeypatch, loop, grasp):
    """In this grasp there is no way on: the gripper would be in what the object goes into."""
    carry_on = loop._planner.carry_on

    def refused(plan, scene, T_moved, q_now, first):
        if loop.regrasps == 0 or grasp == "every":
            raise ExecutionError(Code.PLAN_COLLISION, "6 mm into something")
        return carry_on(plan, scene, T_moved, q_now, first)

    monkeypatch.setattr(loop._planner, "carry_on", refused)


def test_what_lies_so_in_the_hand_that_there_is_no_way_on_is_taken_another_way(case, monkeypatch):
    loop = case.loop()
    blocked(monkeypatch, loop, "first")
    loop.run(case.plan)
    assert_placed(case)
    assert (loop.regrasps, case.closings) == (1, 2)
    assert "put back" in case.sent
    assert "another grasp after PLAN_COLLISION" in [c.why for c in loop.corrections]


def test_without_a_way_on_in_any_grasp_it_ends_with_the_reason(case, monkeypatch):
    loop = case.loop()
    blocked(monkeypatch, loop, "every")
    with pytest.raises(ExecutionError, match="6 mm into something") as caught:
        loop.run(case.plan)
    assert caught.value.code == Code.PLAN_COLLISION
    assert case.sent.count("put back") == loop.regrasps == 2
    assert not case.moving


def test_every_grasp_that_failed_is_known_as_it_was_planned(case):
    """So that the next one is unlike all of them, and is not blamed for what slipped before."""
    grasps, close = [], case.move_gripper

    def closing(opening_m, max_force_n):
        if opening_m == 0:
            grasps.append(se3.inverse(case.T_moved) @ case.robot.tcp(case.q))
        return close(opening_m, max_force_n)

    case.move_gripper = closing
    case.misses = 2
    loop = case.loop()
    loop.run(case.plan)
    assert len(loop._failed) == 2
    for failed, taken in zip(loop._failed, grasps, strict=False):
        np.testing.assert_allclose(failed, taken, atol=2e-3)
    assert not np.allclose(*loop._failed, atol=0.01)


def test_one_slip_in_the_second_grasp_is_carried_on(case):
    def slip():
        case.opening -= 0.006
        case.shift((0.004, 0.0, 0.0), 6.0)

    def again():
        slip()
        case.on("carry", thrice)

    def thrice():
        slip()
        case.on("carry", slip)

    case.on("carry", again)
    loop = case.loop()
    loop.run(case.plan)
    assert_placed(case)
    assert case.sent.count("put back") == loop.regrasps == 1


def test_a_stop_while_it_is_set_down_leaves_the_way_back_as_the_plan(case):
    slips_twice(case)
    loop = case.loop()

    class Stops(Calm):
        def check(self):
            if case.sent[-1:] == ["put back"]:
                raise PlatformError(Code.CANCELLED, "stopped")

    loop._runner._supervision = Stops()
    with pytest.raises(PlatformError):
        loop.run(case.plan)
    assert loop.plan.segments[0].name == "put back"
    assert not case.moving


def test_an_approval_does_not_cover_taking_anew_what_slips(case):
    slips_twice(case)
    loop = case.loop(approved=True)
    loop.run(case.plan)
    assert loop.regrasps == 0
    assert "put back" not in case.sent


def test_what_fell_out_although_something_keeps_the_fingers_apart_is_lost(case):
    turns_between_the_pads(case, metres=(0.0, 0.0, -0.08))
    _, error = failure(case)
    assert error.code is Code.GRASP_LOST
    assert "is not dropped" in error.reason
    assert error.evidence["kept"]


def test_grasps_are_not_tried_for_ever(case):
    case.misses = 99
    loop, error = failure(case)
    assert error.code == Code.GRASP_MISSED
    assert loop.regrasps == 2
    assert case.closings == 3
    assert not case.moving


def test_what_is_still_between_the_fingers_is_not_dropped_to_grasp_it_again(case):
    case.on("carry", lambda: case.shift([0.0, 0.0, 0.09]))
    _, error = failure(case)
    assert error.code == Code.GRASP_LOST
    assert "not dropped" in error.reason
    assert case.opening == WIDTH_M
    assert not case.moving


def test_a_block_that_strays_again_and_again_ends_the_goal(case):
    def slip():
        case.shift([0.0, 0.0, 0.012])
        case.on("carry", slip)
        case.on("place", slip)

    case.on("carry", slip)
    loop, error = failure(case)
    # Out of ways on, or out of the fingers by then: it ends, and is not lifted off for ever.
    assert error.code in (Code.OPTIMISATION_FAILED, Code.PLAN_COLLISION, Code.GRASP_LOST)
    assert case.sent.count("lift off") <= 2
    assert len(loop.corrections) < 12
    assert not case.moving


def test_a_block_that_is_not_seen_in_motion_only_is_not_waited_for_for_ever(case):
    """Images at rest do not show it, those in motion say that it strays."""
    seen = case.since
    case.since = lambda t: [
        Sighting(s.time_s, s.T_moved @ se3.from_rt(np.eye(3), [0, 0, 0.03]), case.moving)
        for s in seen(t)
    ]
    _, error = failure(case)
    assert error.code in (Code.TARGET_LOST, Code.OPTIMISATION_FAILED)


def test_without_a_tracker_nothing_is_grasped(case):
    case.blind = True
    _, error = failure(case)
    assert error.code == Code.PROCESS_LOST
    assert "tracker_node" in error.reason
    assert case.closings == 0
    assert not case.moving


def test_a_block_that_nobody_sees_any_more_is_carried_by_the_joints_alone(case):
    case.visible = False
    loop = case.loop()
    loop.run(case.plan)
    assert loop.corrections == []
    assert_placed(case)


def test_an_approval_does_not_cover_another_plan(case):
    case.on("reach", lambda: case.shift([0.04, 0.0, 0.0]))
    _, error = failure(case, approved=True)
    assert error.code == Code.PLAN_EXPIRED
    assert "approved anew" in error.reason
    assert case.sent == ["reach"]


def test_an_approval_covers_small_corrections(case):
    loop = case.loop(approved=True)
    loop.run(case.plan)
    assert len(loop.corrections) == 2
    assert_placed(case)


def test_an_approval_does_not_cover_a_second_grasp(case):
    case.misses = 1
    loop, error = failure(case, approved=True)
    assert error.code == Code.GRASP_MISSED
    assert "approval" in error.reason
    assert (loop.regrasps, case.closings) == (0, 1)


def test_a_plan_made_anew_is_not_taken_for_the_scene_s_own(case, planner):
    """The same goal, asked for again, is planned for where the scene saw the object."""
    case.on("reach", lambda: case.shift([0.015, 0.01, 0.0], 8.0))
    loop = case.loop()
    loop.run(case.plan)
    task = loop.task
    again = planner.plan(task.points, task.scene, task.candidate, planner.home)
    np.testing.assert_allclose(
        again.grasp.T_planning_tcp, case.plan.grasp.T_planning_tcp, atol=1e-6
    )
