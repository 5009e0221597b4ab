"""Goals, tolerances, preemption and stopping of the arm's controller."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_sim.core.arm_controller import ArmController, Limits, Outcome, TrajectoryGoal
from novaflow_sim.core.joint_path import JointPath

STEP_S = 0.002
LIMITS = Limits(np.full(7, 10.0), np.full(7, 0.2), np.full(7, 0.01), 0.5)


def controller(limits: Limits = LIMITS) -> ArmController:
    return ArmController(np.zeros(7), limits, np.full(7, -3.0), np.full(7, 3.0))


def path(target: np.ndarray, seconds: float) -> JointPath:
    return JointPath(np.array([seconds]), target[None], np.zeros((1, 7)), np.zeros((1, 7)))


def run(
    arm: ArmController, begin_s: float, seconds: float, *, follows: bool = True
) -> tuple[np.ndarray, float]:
    """Commands (S, 7) of a perfect (or dead) servo and the time after them."""
    positions, now = [], begin_s
    actual = arm.command.position
    for _ in range(round(seconds / STEP_S)):
        command = arm.update(now, actual)
        if follows:
            actual = command.position
        positions.append(command.position)
        now += STEP_S
    return np.array(positions), now


def test_a_goal_is_reached() -> None:
    arm = controller()
    target = np.linspace(-1, 1, 7)
    goal = arm.follow(path(target, 1.0), 5.0)
    run(arm, 5.0, 1.1)
    assert goal.done.is_set()
    assert goal.outcome == Outcome.SUCCEEDED
    np.testing.assert_allclose(arm.command.position, target)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_a_cancel_slows_down_within_the_limit_and_holds(seed: int, when: float) -> None:
    arm = controller()
    target = np.random.default_rng(seed).uniform(-1.2, 1.2, 7)
    goal = arm.follow(path(target, 1.0), 0.0)
    _, now = run(arm, 0.0, when)
    speed = np.abs(arm.command.velocity).max()
    arm.cancel(goal)
    commands, _ = run(arm, now, 1.0)
    assert goal.outcome == Outcome.CANCELLED
    acceleration = np.diff(commands, n=2, axis=0) / STEP_S**2
    assert np.abs(acceleration).max() <= 10.0 * 1.01
    stop_s = np.pi / 2 * speed / 10.0
    rest = commands[round(stop_s / STEP_S) + 2 :]
    assert np.ptp(rest, axis=0).max() < 1e-9


def test_a_new_goal_preempts_and_motion_stays_smooth() -> None:
    arm = controller()
    first = arm.follow(path(np.ones(7), 1.0), 0.0)
    before, now = run(arm, 0.0, 0.5)
    second = arm.follow(path(np.full(7, -0.5), 1.5), now)
    after, _ = run(arm, now, 1.6)
    assert first.outcome == Outcome.PREEMPTED
    assert second.outcome == Outcome.SUCCEEDED
    velocity = np.diff(np.concatenate([before, after]), axis=0) / STEP_S
    assert np.abs(np.diff(velocity, axis=0)).max() < 0.1


def test_a_cancelled_goal_that_is_not_running_leaves_the_running_one_alone() -> None:
    arm = controller()
    first = arm.follow(path(np.ones(7), 1.0), 0.0)
    second = arm.follow(path(np.ones(7), 1.0), 0.0)
    arm.cancel(first)
    run(arm, 0.0, 1.2)
    assert second.outcome == Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        (LIMITS, Outcome.PATH_TOLERANCE_VIOLATED),
        (replace(LIMITS, path_tolerance=np.zeros(7)), Outcome.GOAL_TOLERANCE_VIOLATED),
    ],
)
def test_a_dead_servo_aborts_the_goal(limits: Limits, outcome: Outcome) -> None:
    arm = controller(limits)
    goal: TrajectoryGoal = arm.follow(path(np.ones(7), 1.0), 0.0)
    run(arm, 0.0, 2.0, follows=False)
    assert goal.outcome == outcome
    assert "joint" in goal.reason


def test_commands_stay_within_joint_limits() -> None:
    arm = controller()
    # Both points lie inside, but the spline between them overshoots.
    wild = JointPath(np.array([0.0, 1.0]), np.full((2, 7), 2.9), np.array([[8.0] * 7, [0.0] * 7]))
    arm.follow(wild, 0.0, replace(LIMITS, path_tolerance=np.zeros(7)))
    commands, _ = run(arm, 0.0, 1.0)
    assert commands.max() == 3.0


def test_a_reset_ends_the_goal() -> None:
    arm = controller()
    goal = arm.follow(path(np.ones(7), 1.0), 0.0)
    arm.reset(np.full(7, 0.3))
    assert goal.outcome == Outcome.PREEMPTED
    commands, _ = run(arm, 0.0, 0.1)
    np.testing.assert_allclose(commands, 0.3)
