"""Phases of an execution over a device that obeys, slips or refuses as the test says."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_core.grasp import Grasp
from novaflow_executor.core.driver import ArmState, JawTable
from novaflow_executor.core.execution import ExecutionLimits, PlanRunner
from novaflow_executor.core.plan import (
    Contact,
    ExecutionPlan,
    GripperCommand,
    JointTrajectory,
    Phase,
    Segment,
)

LIMITS = ExecutionLimits(stop_timeout_s=0.5, late_s=0.3, gripper_timeout_s=0.5)
MOVE_S = 0.15
OBJECT_M = 0.03


class Motion:
    def __init__(self, device, finish, seconds, error=None):
        self.device, self.finish, self.error = device, finish, error
        self.done = threading.Event()
        self.cancelled = False
        self.timer = threading.Timer(seconds, self._end)
        self.timer.start()

    def _end(self):
        if not self.cancelled:
            self.finish()
        self.device.speed = 0.0
        self.done.set()

    def wait(self, timeout_s):
        return self.done.wait(timeout_s)

    def check(self):
        if self.cancelled:
            raise ExecutionError(Code.CONTROLLER_FAILED, "the controller cancelled the goal")
        if self.error:
            raise self.error

    def cancel(self):
        if not self.done.is_set() and not self.cancelled:
            self.cancelled = True
            self.timer.cancel()
            threading.Timer(0.05, self._end).start()  # it takes a moment to slow down


class Device:
    def __init__(self):
        self.q, self.speed, self.opening = np.zeros(2), 0.0, 0.08
        self.object_m, self.slips_in, self.sticks = OBJECT_M, None, False
        self.refuses = self.silent_in = self.hangs = self.resists = None
        self.sent, self.current = [], None

    def state(self):
        if self.silent_in is not None and self.silent_in in self.sent:
            raise ExecutionError(Code.NO_ROBOT_STATE, "the last state is 9 s old")
        return ArmState(self.q.copy(), np.full(2, self.speed), 0.0)

    def move(self, trajectory):
        name = round(trajectory.position[-1, 0])
        self.sent.append(name)
        self.speed = 0.5
        error = None
        if self.refuses == name:
            error = ExecutionError(Code.CONTROLLER_REJECTED, "refused")
        if self.resists and name == 1:
            error = self.resists
        if self.slips_in == name:
            threading.Timer(0.03, lambda: setattr(self, "opening", 0.0)).start()

        def arrive():
            self.q = trajectory.position[-1].copy()

        seconds = 60.0 if self.hangs == name else MOVE_S
        self.current = Motion(self, arrive, seconds, error)
        return self.current

    def move_gripper(self, opening_m, max_force_n):
        self.sent.append("close" if opening_m == 0 else "open")

        def arrive():
            if not self.sticks or opening_m == 0:
                self.opening = max(opening_m, self.object_m if opening_m == 0 else 0.0)

        self.current = Motion(self, arrive, 0.02)
        return self.current

    def gripper_opening_m(self):
        return self.opening

    def cancel_all(self):
        if self.current:
            self.current.cancel()


class World:
    """Supervision that a test can turn."""

    def __init__(self):
        self.error = None
        self.late_error = None

    def check(self):
        if self.error:
            raise self.error

    def explain(self, timeout_s):
        if self.late_error:
            raise self.late_error
        self.check()


def plan():
    def segment(phase, start, end, contact=Contact.NONE):
        q = np.array([[start, start], [end, end]], float)
        still = np.zeros_like(q)
        motion = JointTrajectory(("a", "b"), np.array([0.0, MOVE_S]), q, still, still)
        return Segment(phase, phase.name.lower(), motion, None, 0.08, contact)

    def fingers(phase, opening_m, grasps):
        command = GripperCommand(opening_m, 20.0, grasps)
        return Segment(phase, "fingers", None, command, opening_m, Contact.TARGET)

    segments = (
        fingers(Phase.APPROACH, 0.08, False),
        segment(Phase.APPROACH, 0, 1),
        fingers(Phase.GRASP, 0.0, True),
        segment(Phase.CARRY, 1, 2, Contact.CARRIED),
        fingers(Phase.RELEASE, 0.08, False),
        segment(Phase.RETREAT, 2, 3),
    )
    grasp = Grasp(np.eye(4), OBJECT_M, 1.0)
    return ExecutionPlan("s", "c", grasp, segments, np.eye(4)[None], np.zeros((1, 3)))


@pytest.fixture
def device():
    return Device()


@pytest.fixture
def world():
    return World()


def runner(device, world, validate=lambda part, q: None, on_segment=lambda s, share: None):
    return PlanRunner(device, validate, world, LIMITS, on_segment)


def failure(run, what=None):
    with pytest.raises(NovaflowError) as info:
        run.run(what or plan())
    return info.value


def test_all_phases_in_order_and_the_object_was_held(device, world):
    run = runner(device, world)
    run.run(plan())
    assert device.sent == ["open", 1, "close", 2, "open", 3]
    assert run.phase == Phase.RETREAT
    assert run.held_m == pytest.approx(OBJECT_M)


def test_empty_fingers_are_a_missed_grasp_with_numbers(device, world):
    device.object_m = 0.0005
    error = failure(runner(device, world))
    assert error.code == Code.GRASP_MISSED
    assert "0.5 mm" in error.reason
    assert error.evidence["phase"] == Phase.GRASP
    assert 2 not in device.sent


@pytest.mark.parametrize(
    ("contact", "error_code", "code"),
    [
        (Contact.TARGET, -5, Code.GRASP_BLOCKED),
        (Contact.TARGET, -4, Code.GRASP_BLOCKED),
        (Contact.TARGET, -1, Code.CONTROLLER_FAILED),
        (Contact.NONE, -5, Code.CONTROLLER_FAILED),
    ],
)
def test_what_is_met_on_the_way_to_the_object_blocks_the_grasp(
    device, world, contact, error_code, code
):
    device.resists = ExecutionError(
        Code.CONTROLLER_FAILED, "joint 2 is 0.011 rad off", {"error_code": error_code}
    )
    way = plan()
    reach = replace(way.segments[1], contact=contact)
    error = failure(
        runner(device, world), replace(way, segments=(way.segments[0], reach, *way.segments[2:]))
    )
    assert error.code == code
    assert "joint 2 is 0.011 rad off" in error.reason
    assert "close" not in device.sent


def test_object_that_slips_out_while_carrying_is_a_lost_grasp(device, world):
    device.slips_in = 2
    error = failure(runner(device, world))
    assert error.code == Code.GRASP_LOST
    assert error.evidence["phase"] == Phase.CARRY
    assert device.current.cancelled
    assert device.speed == 0.0
    assert "open" not in device.sent[2:]


def test_gripper_that_does_not_let_go_is_said(device, world):
    device.sticks = True
    device.opening = 0.08
    error = failure(runner(device, world))
    assert (error.code, error.evidence["phase"]) == (Code.GRIPPER_FAILED, Phase.RELEASE)


@pytest.mark.parametrize("phase", [Phase.APPROACH, Phase.GRASP, Phase.CARRY, Phase.RETREAT])
def test_cancel_stops_in_every_phase_and_nothing_more_is_sent(device, world, phase):
    def on_segment(segment, share):
        moving = segment.trajectory is not None or phase == Phase.GRASP
        if segment.phase == phase and moving:
            error = PlatformError(Code.CANCELLED, "cancelled")
            threading.Timer(0.01, lambda: setattr(world, "error", error)).start()

    error = failure(runner(device, world, on_segment=on_segment))
    sent = len(device.sent)
    assert error.code == Code.CANCELLED
    assert error.evidence["phase"] == phase
    assert device.current.cancelled
    assert device.speed == 0.0  # it stood still before the error came out
    time.sleep(0.1)
    assert len(device.sent) == sent


def test_refusal_of_the_controller_is_passed_on(device, world):
    device.refuses = 1
    error = failure(runner(device, world))
    assert error.code == Code.CONTROLLER_REJECTED
    assert "close" not in device.sent


def test_stop_by_the_guard_is_named_although_the_controller_speaks_first(device, world):
    world.late_error = PlatformError(Code.PROCESS_LOST, "tracker_node (pid 7) fell silent")

    def on_segment(segment, share):
        if segment.trajectory is not None:
            threading.Timer(0.03, device.cancel_all).start()

    error = failure(runner(device, world, on_segment=on_segment))
    assert error.code == Code.PROCESS_LOST
    assert "tracker_node (pid 7)" in error.reason


def test_silent_robot_is_said_and_the_stop_is_not_claimed(device, world):
    device.silent_in = 1
    run = runner(device, world)
    error = failure(run)
    assert error.code == Code.NO_ROBOT_STATE


def test_motion_that_never_ends_is_stopped(device, world):
    device.hangs = 2
    error = failure(runner(device, world))
    assert error.code == Code.TIMEOUT
    assert device.current.cancelled


def test_moving_arm_is_not_taken_over(device, world):
    device.speed = 0.3
    error = failure(runner(device, world))
    assert error.code == Code.PLAN_START_STATE
    assert device.sent == []


def test_every_trajectory_is_validated_from_where_the_arm_is(device, world):
    seen = []

    def validate(part, q):
        seen.append((len(part.segments), float(q[0])))
        if len(part.segments) == 1 and part.segments[0].phase == Phase.CARRY:
            raise ExecutionError(Code.PLAN_COLLISION, "a box is in the way")

    error = failure(runner(device, world, validate))
    assert error.code == Code.PLAN_COLLISION
    assert seen == [(6, 0.0), (1, 0.0), (1, 1.0)]
    assert 2 not in device.sent


@pytest.mark.parametrize("openings", [(0.085, 0.05, 0.0), (0.0, 0.03, 0.08)])
def test_jaw_table_reads_both_ways(openings):
    table = JawTable((0.0, 0.4, 0.8), openings)
    for position in np.linspace(0, 0.8, 9):
        assert table.position(table.opening_m(position)) == pytest.approx(position)


@pytest.mark.parametrize("openings", [(0.085, 0.09, 0.0), (0.085, 0.0)])
def test_ambiguous_jaw_table_is_refused(openings):
    with pytest.raises(PlatformError, match="gripper"):
        JawTable((0.0, 0.4, 0.8), openings)
