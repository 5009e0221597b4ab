"""Looks at the object for the closed loop: at rest, and at every image while the arm moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_executor.core.execution import PlanRunner
from novaflow_executor.core.loop_limits import LoopLimits
from novaflow_executor.core.sight import (
    ObjectSight,
    Sighting,
    StrayLimits,
    StrayWatch,
    apart,
    middle_pose,
)

Array = NDArray[np.float64]


class Looking:
    """What the loop sees of one object.

    Args:
        runner: Waits, watched and stoppable.
        sight: Of the object.
        clock_s: The robot's clock, by which images are stamped [s].
        middle: (3,) of the object at capture [m].
        limits: How long it looks, and what counts as moved.
    """

    def __init__(
        self,
        runner: PlanRunner,
        sight: ObjectSight,
        clock_s: Callable[[], float],
        middle: Array,
        limits: LoopLimits,
    ) -> None:
        """Keep the parts."""
        self._runner, self._sight, self._clock_s = runner, sight, clock_s
        self._middle, self._limits = middle, limits
        self._carries = 0

    def look(self) -> Sighting | None:
        """The object's pose from a few images taken at rest; None where they do not show it.

        Raises:
            PlatformError: PROCESS_LOST when no image was looked at: blind is not closed loop.
        """
        since_s, limits = self._clock_s(), self._limits
        showing: list[Sighting] = []
        told: list[Sighting] = []

        def enough() -> bool:
            nonlocal showing, told
            told = self._sight.since(since_s)
            showing = [s for s in told if s.visible]
            return len(showing) >= limits.frames

        self._runner.pause(enough, limits.look_s)
        if not told:
            raise PlatformError(
                Code.PROCESS_LOST,
                f"tracker_node told nothing about the object for {limits.look_s:.1f} s; "
                "without it the executor is blind (closed_loop:=false moves on without looking)",
            )
        if len(showing) < limits.min_frames:
            return None
        recent = showing[-limits.frames :]
        return Sighting(recent[-1].time_s, middle_pose(recent, self._middle), True)

    def watch(self, expected: Callable[[float], Array | None]) -> StrayWatch:
        """What to call while the arm moves and does not touch the object; see `StrayWatch`."""
        return StrayWatch(self._sight, expected, self._middle, self._clock_s, self._limits.stray)

    def watch_carried(
        self, expected: Callable[[float], Array | None], limits: StrayLimits | None = None
    ) -> StrayWatch:
        """The same for what the gripper takes along: the tracker is told where."""
        self._carries += 1
        return StrayWatch(
            self._sight,
            expected,
            self._middle,
            self._clock_s,
            limits or self._limits.stray,
            self._carries,
        )

    def apart(self, T_a: Array, T_b: Array) -> tuple[float, float]:
        """Distance [m] and angle [rad] between two motions (4, 4) of the object."""
        return apart(T_a, T_b, self._middle)

    def has_moved(self, T_seen: Array, T_start: Array) -> bool:
        """Whether two motions (4, 4) are farther apart than a plan bears."""
        shift, turn = self.apart(T_seen, T_start)
        return shift > self._limits.moved_m or turn > self._limits.moved_rad
