"""Reaching, stalling and staying of the gripper's controller."""

import pytest

from novaflow_sim.core.gripper_controller import GripOutcome, GripperController, GripperLimits

STEP_S = 0.002
FULL_N = 235.0


class Fingers:
    """Fingers that follow the command until something is between them."""

    def __init__(self, blocked_at: float = 9.0) -> None:
        self.controller = GripperController(GripperLimits(), FULL_N)
        self.blocked_at = blocked_at
        self.position = 0.0
        self.now_s = 0.0
        self.effort_n = 0.0

    def run(self, seconds: float) -> None:
        speed = 0.0
        for _ in range(round(seconds / STEP_S)):
            command, self.effort_n = self.controller.update(
                self.now_s, STEP_S, self.position, speed
            )
            after = min(command, self.blocked_at)
            speed, self.position = (after - self.position) / STEP_S, after
            self.now_s += STEP_S


def test_it_reaches_within_its_speed() -> None:
    fingers = Fingers()
    goal = fingers.controller.close_to(0.6, 0.0, 0.0)
    fingers.run(0.4)
    assert not goal.done.is_set()
    fingers.run(0.2)
    assert goal.outcome == GripOutcome.REACHED
    assert fingers.position == pytest.approx(0.6, abs=0.02)


def test_it_stalls_on_an_object_and_keeps_squeezing() -> None:
    fingers = Fingers(blocked_at=0.3)
    goal = fingers.controller.close_to(0.79, 80.0, 0.0)
    fingers.run(1.5)
    assert goal.outcome == GripOutcome.STALLED
    assert fingers.effort_n == 80.0
    command, _ = fingers.controller.update(fingers.now_s, STEP_S, 0.3, 0.0)
    assert command == pytest.approx(0.79)


def test_a_cancel_stays_and_does_not_let_go() -> None:
    fingers = Fingers(blocked_at=0.3)
    goal = fingers.controller.close_to(0.79, 0.0, 0.0)
    fingers.run(0.4)
    fingers.controller.cancel(goal)
    fingers.run(0.5)
    assert goal.outcome == GripOutcome.CANCELLED
    command, _ = fingers.controller.update(fingers.now_s, STEP_S, 0.3, 0.0)
    assert 0.3 < command < 0.6


def test_a_new_goal_preempts() -> None:
    fingers = Fingers()
    first = fingers.controller.close_to(0.79, 0.0, 0.0)
    fingers.run(0.1)
    second = fingers.controller.close_to(0.0, 0.0, fingers.now_s)
    fingers.run(0.5)
    assert first.outcome == GripOutcome.PREEMPTED
    assert second.outcome == GripOutcome.REACHED


def test_fingers_that_squeezed_an_object_open_at_once() -> None:
    fingers = Fingers(blocked_at=0.3)
    fingers.controller.close_to(0.79, 0.0, 0.0)
    fingers.run(1.5)
    goal = fingers.controller.close_to(0.0, 0.0, fingers.now_s)
    fingers.run(0.1)
    assert fingers.position < 0.25, "it first undid the squeeze"
    fingers.run(0.5)
    assert goal.outcome == GripOutcome.REACHED
