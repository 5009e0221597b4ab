"""Follows joint trajectories as ros2_control's joint_trajectory_controller does.

One goal at a time; a new one takes over from the commanded state, a cancel slows down within the
deceleration limit and holds. Nothing here knows whether a goal's sender is still alive: an orphaned
trajectory is finished.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from novaflow_sim.core.joint_path import JointPath, JointState

Array = NDArray[np.float64]


class Outcome(IntEnum):
    """How a goal ended. The numbers up to zero are those of control_msgs/FollowJointTrajectory."""

    SUCCEEDED = 0
    INVALID_GOAL = -1
    INVALID_JOINTS = -2
    OLD_HEADER_TIMESTAMP = -3
    PATH_TOLERANCE_VIOLATED = -4
    GOAL_TOLERANCE_VIOLATED = -5
    CANCELLED = 1
    PREEMPTED = 2


@dataclass(frozen=True)
class Limits:
    """What the controller allows.

    Attributes:
        deceleration: (N,) on a stop [rad/s2].
        path_tolerance: (N,) largest distance from the trajectory underway [rad]; 0 for any.
        goal_tolerance: (N,) largest distance at its end [rad]; 0 for any.
        goal_time_s: How long after its end the goal tolerance must be met [s]; 0 for ever.
    """

    deceleration: Array
    path_tolerance: Array
    goal_tolerance: Array
    goal_time_s: float


@dataclass
class TrajectoryGoal:
    """A trajectory under way; `done` is set with `outcome` and `reason`."""

    path: JointPath
    start_s: float
    limits: Limits
    done: threading.Event = field(default_factory=threading.Event)
    outcome: Outcome = Outcome.SUCCEEDED
    reason: str = ""

    def finish(self, outcome: Outcome, reason: str) -> None:
        """End the goal once."""
        if not self.done.is_set():
            self.outcome, self.reason = outcome, reason
            self.done.set()


@dataclass(frozen=True)
class _Stop:
    begin_s: float
    duration_s: float
    position: Array
    velocity: Array

    def sample(self, now_s: float) -> JointState:
        """Speed falls as half a cosine: deceleration starts and ends at zero, for the servo."""
        zero = np.zeros_like(self.position)
        t = min(max(now_s - self.begin_s, 0.0), self.duration_s)
        if self.duration_s <= 0.0:
            return JointState(self.position, zero, zero)
        phase = np.pi * t / self.duration_s
        scale = self.duration_s / np.pi
        return JointState(
            self.position + self.velocity * (t + scale * np.sin(phase)) / 2.0,
            self.velocity * (1.0 + np.cos(phase)) / 2.0,
            -self.velocity * np.sin(phase) / (2.0 * scale),
        )


class ArmController:
    """Turns goals into commands, one `update` per control step; thread-safe."""

    def __init__(self, position: Array, limits: Limits, low: Array, high: Array) -> None:
        """Hold `position` (N,) [rad]; commands stay between `low` and `high`."""
        self.limits = limits
        self._low, self._high = low, high
        self._lock = threading.Lock()
        self._goal: TrajectoryGoal | None = None
        self._stop: _Stop | None = None
        self._command = self._resting(position)
        self._commanded_s = np.inf
        self._actual = np.array(position, float)

    @property
    def command(self) -> JointState:
        """What was commanded last."""
        return self._command

    @property
    def actual(self) -> Array:
        """Positions (N,) measured last [rad]."""
        return self._actual

    @property
    def busy(self) -> bool:
        """Whether a goal is under way."""
        return self._goal is not None

    def follow(
        self, path: JointPath, start_s: float, limits: Limits | None = None
    ) -> TrajectoryGoal:
        """Take a new goal; a running one is preempted and the motion goes over into the new one."""
        with self._lock:
            # From the last command on: one control step of standing still would be a jolt.
            began_s = min(self._commanded_s, start_s) - start_s
            whole = path.starting_from(self._command, began_s)
            goal = TrajectoryGoal(whole, start_s, limits or self.limits)
            if self._goal is not None:
                self._goal.finish(Outcome.PREEMPTED, "replaced by a new trajectory")
            self._goal, self._stop = goal, None
            return goal

    def cancel(self, goal: TrajectoryGoal) -> None:
        """Slow down and hold, if `goal` is the one under way."""
        with self._lock:
            if goal is self._goal:
                self._end(Outcome.CANCELLED, "cancelled; slowing down to hold")
            else:
                goal.finish(Outcome.CANCELLED, "cancelled")

    def reset(self, position: Array) -> None:
        """Drop everything and hold `position` (N,) [rad]."""
        with self._lock:
            if self._goal is not None:
                self._goal.finish(Outcome.PREEMPTED, "the cell was reset")
            self._goal = self._stop = None
            self._command = self._resting(position)

    def update(self, now_s: float, actual: Array) -> JointState:
        """Return the command for this control step.

        Args:
            now_s: Controller time [s].
            actual: (N,) measured positions [rad].
        """
        with self._lock:
            self._actual, self._commanded_s = actual, now_s
            if self._goal is not None:
                self._command = self._follow(self._goal, now_s, actual)
            elif self._stop is not None:
                self._command = self._stop.sample(now_s)
                if now_s >= self._stop.begin_s + self._stop.duration_s:
                    self._stop = None
            else:
                self._command = self._resting(self._command.position)
            return self._command

    def _follow(self, goal: TrajectoryGoal, now_s: float, actual: Array) -> JointState:
        elapsed = now_s - goal.start_s
        state = goal.path.sample(elapsed)
        position = np.clip(state.position, self._low, self._high)
        self._command = JointState(position, state.velocity, state.acceleration)
        off = np.abs(position - actual)
        if elapsed < goal.path.end_s:
            if _beyond(off, goal.limits.path_tolerance):
                self._end(Outcome.PATH_TOLERANCE_VIOLATED, _worst(off, "off the path"))
        elif not _beyond(off, goal.limits.goal_tolerance):
            self._end(Outcome.SUCCEEDED, "")
        elif 0.0 < goal.limits.goal_time_s < elapsed - goal.path.end_s:
            self._end(Outcome.GOAL_TOLERANCE_VIOLATED, _worst(off, "off the goal"))
        return self._command

    def _end(self, outcome: Outcome, reason: str) -> None:
        velocity = self._command.velocity
        # All joints take equally long, so that the motion goes on along its tangent.
        duration = float(np.pi / 2 * np.max(np.abs(velocity) / self.limits.deceleration))
        self._stop = _Stop(self._commanded_s, duration, self._command.position, velocity)
        goal, self._goal = self._goal, None
        if goal is not None:
            goal.finish(outcome, reason)

    @staticmethod
    def _resting(position: Array) -> JointState:
        q = np.array(position, float)
        return JointState(q, np.zeros_like(q), np.zeros_like(q))


def _beyond(off: Array, tolerance: Array) -> bool:
    return bool(((tolerance > 0) & (off > tolerance)).any())


def _worst(off: Array, what: str) -> str:
    k = int(off.argmax())
    return f"joint {k + 1} is {off[k]:.4f} rad {what}"
