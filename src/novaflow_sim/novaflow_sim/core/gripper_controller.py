"""Opens and closes a parallel gripper as ros2_control's parallel gripper action controller does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import Enum


class GripOutcome(Enum):
    """How a gripper goal ended."""

    REACHED = "reached"
    STALLED = "stalled"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"


@dataclass(frozen=True)
class GripperLimits:
    """Behaviour of the gripper.

    Attributes:
        speed: Of the commanded joint position [rad/s].
        goal_tolerance: Within this of the goal it is reached [rad].
        stall_speed: Slower than this counts as standing [rad/s].
        stall_time_s: Standing this long short of the goal is a stall [s].
    """

    speed: float = 1.2
    goal_tolerance: float = 0.02
    stall_speed: float = 0.02
    stall_time_s: float = 0.25


@dataclass
class GripperGoal:
    """A command under way; `done` is set with `outcome`."""

    position: float
    effort_n: float
    done: threading.Event = field(default_factory=threading.Event)
    outcome: GripOutcome = GripOutcome.REACHED

    def finish(self, outcome: GripOutcome) -> None:
        """End the goal once."""
        if not self.done.is_set():
            self.outcome = outcome
            self.done.set()


class GripperController:
    """Turns goals into a commanded joint position and an effort limit; thread-safe."""

    def __init__(self, limits: GripperLimits, default_effort_n: float) -> None:
        """Start open."""
        self._limits = limits
        self._lock = threading.Lock()
        self._goal: GripperGoal | None = None
        self._target = 0.0
        self._command = 0.0
        self._default_effort_n = default_effort_n
        self._effort_n = default_effort_n
        self._moved_s = 0.0
        self.position = 0.0

    def close_to(self, position: float, effort_n: float, now_s: float) -> GripperGoal:
        """Take a new goal: joint position [rad] and largest effort [N], 0 for the default."""
        with self._lock:
            goal = GripperGoal(position, effort_n if effort_n > 0 else self._default_effort_n)
            if self._goal is not None:
                self._goal.finish(GripOutcome.PREEMPTED)
            self._goal = goal
            self._target, self._effort_n = position, goal.effort_n
            if position < self.position:
                # The fingers open from where they stand, not from where they were sent to squeeze.
                self._command = min(self._command, self.position)
            self._moved_s = now_s
            return goal

    def cancel(self, goal: GripperGoal) -> None:
        """Stay: an object already between the fingers stays gripped."""
        with self._lock:
            if goal is self._goal:
                self._goal = None
                self._target = self._command
            goal.finish(GripOutcome.CANCELLED)

    def reset(self) -> None:
        """Open, without a goal."""
        with self._lock:
            if self._goal is not None:
                self._goal.finish(GripOutcome.PREEMPTED)
            self._goal = None
            self._target = self._command = 0.0
            self._effort_n = self._default_effort_n

    def update(
        self, now_s: float, step_s: float, position: float, speed: float
    ) -> tuple[float, float]:
        """Return commanded position [rad] and effort limit [N] for this control step."""
        with self._lock:
            self.position = position
            reach = self._limits.speed * step_s
            self._command += min(max(self._target - self._command, -reach), reach)
            if self._goal is not None:
                self._judge(self._goal, now_s, position, speed)
            return self._command, self._effort_n

    def _judge(self, goal: GripperGoal, now_s: float, position: float, speed: float) -> None:
        if abs(position - goal.position) < self._limits.goal_tolerance:
            goal.finish(GripOutcome.REACHED)
            self._goal = None
        elif abs(speed) > self._limits.stall_speed:
            self._moved_s = now_s
        elif now_s - self._moved_s > self._limits.stall_time_s:
            goal.finish(GripOutcome.STALLED)
            self._goal = None
