"""Carry out a plan with a robot: phase by phase, watched, stopped at once when asked.

No ROS here: the robot is a `RobotDriver`, the world outside a `Supervision`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, ExecutionError, GraspError, NovaflowError, PlatformError
from novaflow_executor.core.driver import RESISTED, RobotDriver, RunningMotion
from novaflow_executor.core.plan import Contact, ExecutionPlan, GripperCommand, Phase, Segment

POLL_S = 0.01
RECANCEL_S = 0.2
RELEASED_M = 0.001  # wider than while holding: more than the fingers' play
OPENING_TOLERANCE_M = 0.006  # fingers need not open to the last millimetre
LOST_SAMPLES = 3  # one odd reading of the fingers is not a lost object

Validate = Callable[[ExecutionPlan, NDArray[np.float64]], None]


@dataclass(frozen=True)
class ExecutionLimits:
    """When an execution is given up.

    Attributes:
        rest_rad_s: Below this every joint counts as standing still [rad/s].
        moving_rad_s: Above this the arm is not taken over from whoever moves it [rad/s].
        stop_timeout_s: How long a stop is waited for [s].
        late_s: How much longer than planned a motion may take [s].
        gripper_timeout_s: How long the gripper may take [s].
        held_opening_m: Fingers that close further than this hold nothing [m].
        lost_opening_m: Fingers that close by more while carrying have lost the object [m].
        own_gap_s: Longest time between two looks; more means that this process stood still [s].
    """

    rest_rad_s: float = 0.01
    moving_rad_s: float = 0.05
    stop_timeout_s: float = 3.0
    late_s: float = 3.0
    gripper_timeout_s: float = 6.0
    held_opening_m: float = 0.002
    lost_opening_m: float = 0.004
    own_gap_s: float = 0.4


class Supervision(Protocol):
    """Who may end an execution from outside."""

    def check(self) -> None:
        """Return while all is well; cheap, called many times a second.

        Raises:
            PlatformError: CANCELLED, or PROCESS_LOST naming the process.
        """

    def explain(self, timeout_s: float) -> None:
        """Wait a moment for the news why somebody else stopped the robot; raise it."""


class PlanRunner:
    """Runs one plan; afterwards `phase` and `held_m` say how far it came.

    Attributes:
        phase: Part of the execution that it is in, or ended in.
        held_m: Opening of the gripper while it held the object [m]; NaN until then.
    """

    def __init__(
        self,
        driver: RobotDriver,
        validate: Validate,
        supervision: Supervision,
        limits: ExecutionLimits,
        on_segment: Callable[[Segment, float], None] = lambda segment, share: None,
        robot_time_s: Callable[[], float] = time.monotonic,
        rest: Callable[[float], object] | None = None,
    ) -> None:
        """Prepare to run.

        Args:
            driver: The robot.
            validate: Passes a plan and the joints (N,) [rad] that it starts from, or raises.
            supervision: Who may end it.
            limits: When it is given up.
            on_segment: Told at the start of every segment, with the share of phases done.
            robot_time_s: The clock that the robot's motions follow [s]; only lateness is judged by
                it, because a simulation may run slower than the wall clock.
            rest: Waits for some seconds between looks; by default time passes by itself.
        """
        self._driver = driver
        self._validate = validate
        self._supervision = supervision
        self._limits = limits
        self._on_segment = on_segment
        self._robot_time_s = robot_time_s
        self._rest = rest or threading.Event().wait  # never set: paces the looks at the robot
        self.phase = Phase.APPROACH
        self.held_m = math.nan

    def run(
        self, plan: ExecutionPlan, watch: Callable[[Segment], None] = lambda segment: None
    ) -> None:
        """Run all segments; when anything goes wrong the arm stands still before this raises.

        Args:
            plan: To be carried out.
            watch: Called many times a second while the arm moves; what it raises stops the arm.

        Raises:
            NovaflowError: Of the driver, validator or supervision; GRASP_MISSED, GRASP_LOST,
                GRASP_BLOCKED, GRIPPER_FAILED or TIMEOUT. Its evidence holds `phase` and `held_m`.
        """
        try:
            self.refuse_moving_arm()
            self._validate(plan, self._driver.state().q)
            for segment in plan.segments:
                self.phase = segment.phase
                self._on_segment(segment, int(segment.phase) / len(Phase))
                self._supervision.check()
                if segment.trajectory is not None:
                    self._validate(replace(plan, segments=(segment,)), self._driver.state().q)
                    self._run_trajectory(segment, watch)
                if segment.gripper is not None:
                    self._run_gripper(segment.gripper)
        except NovaflowError as error:
            error.evidence.update(phase=int(self.phase), held_m=self.held_m)
            raise

    def pause(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Stand still, watched, until `done` or the time [s] is over; returns whether it was done.

        Raises:
            NovaflowError: Of the driver or supervision.
        """
        due_s = self._robot_time_s() + timeout_s
        while not (over := done()) and self._robot_time_s() < due_s:
            self._supervision.check()
            self._driver.state()  # raises when the robot fell silent
            self._rest(POLL_S)
        return over

    def holds_something(self) -> bool:
        """Whether something keeps the fingers apart that were closed."""
        closed = math.isfinite(self.held_m)
        return closed and self._driver.gripper_opening_m() > self._limits.held_opening_m

    def hold_as_it_is(self) -> None:
        """What slipped and is still held: from now on, closer fingers than now have lost it."""
        self.held_m = self._driver.gripper_opening_m()

    def forget_grasp(self) -> None:
        """What was held is held no more."""
        self.held_m = math.nan

    def refuse_moving_arm(self) -> None:
        """Pass while the arm stands still.

        Raises:
            ExecutionError: PLAN_START_STATE.
        """
        speed = float(np.abs(self._driver.state().qd).max())
        if speed > self._limits.moving_rad_s:
            raise ExecutionError(
                Code.PLAN_START_STATE,
                f"the arm already moves, at {speed:.2f} rad/s; nothing was sent",
            )

    # --- segments ---
    def _run_trajectory(self, segment: Segment, watch: Callable[[Segment], None]) -> None:
        assert segment.trajectory is not None
        motion = self._driver.move(segment.trajectory)
        holding = segment.phase == Phase.CARRY and math.isfinite(self.held_m)
        lost = 0

        def look() -> None:
            nonlocal lost
            self._driver.state()  # raises when the robot fell silent
            if holding:
                lost = lost + 1 if self._is_lost(self._driver.gripper_opening_m()) else 0
                if lost >= LOST_SAMPLES:
                    self._raise_lost()
            watch(segment)

        latest_s = segment.trajectory.duration_s + self._limits.late_s
        try:
            self._watch(motion, latest_s, segment.name, look)
        except ExecutionError as error:
            resisted = error.evidence.get("error_code") in RESISTED
            if resisted and segment.phase == Phase.APPROACH and segment.contact == Contact.TARGET:
                raise GraspError(
                    Code.GRASP_BLOCKED,
                    f"the gripper met something on its way to the object: {error.reason}",
                    error.evidence,
                ) from error
            raise
        if holding and self._is_lost(self._driver.gripper_opening_m()):
            self._raise_lost()

    def _run_gripper(self, command: GripperCommand) -> None:
        motion = self._driver.move_gripper(command.opening_m, command.max_force_n)
        name = "close" if command.grasps else "open"
        self._watch(motion, self._limits.gripper_timeout_s, f"{name} the gripper", lambda: None)
        opening_m = self._driver.gripper_opening_m()
        if command.grasps:
            if opening_m < self._limits.held_opening_m:
                raise GraspError(
                    Code.GRASP_MISSED,
                    f"the fingers closed to {opening_m * 1e3:.1f} mm; with something between them "
                    f"they would have stopped above {self._limits.held_opening_m * 1e3:.1f} mm",
                    {"opening_m": opening_m},
                )
            self.held_m = opening_m
        elif opening_m < self._open_enough(command.opening_m):
            raise ExecutionError(
                Code.GRIPPER_FAILED,
                f"the fingers opened to {opening_m * 1e3:.1f} mm, "
                f"not to {command.opening_m * 1e3:.1f} mm",
            )

    def _open_enough(self, wanted_m: float) -> float:
        """Smallest opening [m] that counts as open.

        What was held is let go once the fingers stand clearly wider than it: the walls of a socket
        may stop them long before they are where they were sent.
        """
        if math.isnan(self.held_m):
            return wanted_m - OPENING_TOLERANCE_M
        return min(self.held_m + RELEASED_M, wanted_m)

    def _is_lost(self, opening_m: float) -> bool:
        floor_m = max(self._limits.held_opening_m, self.held_m - self._limits.lost_opening_m)
        return opening_m < floor_m

    def _raise_lost(self) -> None:
        opening_m = self._driver.gripper_opening_m()
        raise GraspError(
            Code.GRASP_LOST,
            f"the fingers closed from {self.held_m * 1e3:.1f} to {opening_m * 1e3:.1f} mm "
            "while carrying",
            {"opening_m": opening_m},
        )

    # --- watching and stopping ---
    def _watch(
        self, motion: RunningMotion, timeout_s: float, name: str, look: Callable[[], None]
    ) -> None:
        """Wait for a motion; every reason to end it stops the arm first."""
        looked_s, due_s = time.monotonic(), self._robot_time_s() + timeout_s
        try:
            while not motion.wait(POLL_S):
                now_s = time.monotonic()
                gap_s, looked_s = now_s - looked_s, now_s
                if gap_s > self._limits.own_gap_s:  # first: to it, all others seem silent
                    raise PlatformError(
                        Code.PROCESS_LOST,
                        f"the executor itself stood still for {gap_s:.2f} s in motion",
                    )
                self._supervision.check()
                look()
                if self._robot_time_s() > due_s:
                    raise PlatformError(
                        Code.TIMEOUT, f"'{name}' did not end within {timeout_s:.1f} s"
                    )
            motion.check()
        except NovaflowError as error:
            self._stop(motion, error)
            if error.code in (Code.CONTROLLER_FAILED, Code.GRIPPER_FAILED, Code.PROCESS_LOST):
                self._supervision.explain(RECANCEL_S)  # the guard may know more
            raise

    def _stop(self, motion: RunningMotion, error: NovaflowError) -> None:
        """Cancel until the joints stand still; the gripper keeps what it holds."""
        begin_s = time.monotonic()
        asked_s = -math.inf
        still = 0
        while still < 2:
            now_s = time.monotonic()
            if now_s - asked_s > RECANCEL_S:
                motion.cancel()
                self._driver.cancel_all()
                asked_s = now_s
            try:
                speed = float(np.abs(self._driver.state().qd).max())
            except ExecutionError as silence:
                speed, why = math.inf, silence.reason
            else:
                why = f"it still moved at {speed:.3f} rad/s"
            still = still + 1 if speed < self._limits.rest_rad_s else 0
            if now_s - begin_s > self._limits.stop_timeout_s:
                limit_s = self._limits.stop_timeout_s
                error.reason += f"; the arm was not seen to stop within {limit_s:.1f} s: {why}"
                return
            self._rest(POLL_S)
        error.evidence["stop_s"] = time.monotonic() - begin_s
