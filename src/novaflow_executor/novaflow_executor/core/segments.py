"""What an execution is made of: timed pieces of motion and commands to the gripper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, ExecutionError
from novaflow_core.grounding import CollisionScene
from novaflow_executor.core.approach import FreeMotion, straight
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.corrections import place_step
from novaflow_executor.core.feasibility import FeasibilityCheck, GraspStart
from novaflow_executor.core.motion import MotionSolver
from novaflow_executor.core.plan import (
    Contact,
    GripperCommand,
    JointTrajectory,
    Phase,
    Segment,
)
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.timing import TimingLimits, joined, time_path

Array = NDArray[np.float64]

SAME_JOINTS_RAD = 0.01
RETREAT_TOUCH_M = 0.002  # fingers that open next to the object may graze what is beside it


class SegmentMaker:
    """Makes segments for one robot.

    Args:
        robot: The arm.
        solver: Tells clearances.
        approach: Finds free ways.
        settings: Speeds.
    """

    def __init__(
        self,
        robot: RobotModel,
        solver: MotionSolver,
        approach: FreeMotion,
        settings: PlannerSettings,
    ) -> None:
        """Keep the parts."""
        self._robot, self._solver, self._approach = robot, solver, approach
        self._settings = settings

    def take(
        self, scene: CollisionScene, q_now: Array, descent: Array, opening: float
    ) -> tuple[Segment, ...]:
        """Open, reach the standoff, descend along a joint path (M, N), close.

        Args:
            scene: With the object in it.
            q_now: (N,) where the arm is [rad].
            descent: From the standoff to the grasp [rad].
            opening: Of the gripper on its way [m].

        Raises:
            ExecutionError: APPROACH_NOT_FOUND.
            PlatformError: Of the approach backend.
        """
        s = self._settings
        free = self.free(CollisionModel(self._robot, scene, opening), q_now, descent[0], "approach")
        slow = TimingLimits(s.speed, s.descend_m_s, s.descend_m_s / 2, 0.02)
        down = time_path(self._robot, descent, slow)
        close = GripperCommand(0.0, self._robot.settings.gripper.max_force, grasps=True)
        return (
            Segment(Phase.APPROACH, "open the gripper", None, self._open(opening), opening),
            Segment(Phase.APPROACH, "reach", free, None, opening),
            Segment(Phase.APPROACH, "descend", down, None, opening, Contact.TARGET),
            Segment(Phase.GRASP, "close", None, close, opening, Contact.TARGET),
        )

    def descent(self, start: GraspStart, q: Array, check: FeasibilityCheck) -> Array | None:
        """The straight way (M, N) to joints `q` (N,) of a grasp; None where there is none.

        The optimiser holds the start of a carry by its pose alone: its joints may be others than
        those that reached the grasp first, and a descent that ended in a leap to them would not be
        straight.
        """
        if float(np.abs(q - start.q).max()) < SAME_JOINTS_RAD:
            return np.concatenate([start.descent[:-1], q[None]])
        T_base_tcp = self._robot.tcp(q)
        back = -self._settings.feasibility.standoff_m * T_base_tcp[:3, 2]
        path = straight(self._robot, q, T_base_tcp, back)
        if path is None:
            return None
        clear = self._solver.clearance(check.model(start.grasp.width_m), path).min()
        return path[::-1] if clear >= 0.0 else None

    def pull(self, q: Array, opening: float) -> tuple[Segment, ...]:
        """Follow a joint path (T, N) with something that moves on a joint: slowly, in one go."""
        limits = TimingLimits(self._settings.speed, self._settings.pull_m_s)
        path = time_path(self._robot, q, limits)
        return (Segment(Phase.CARRY, "pull", path, None, opening, Contact.CARRIED),)

    def carry(
        self, q: Array, opening: float, *, split: bool = False, name: str = "carry"
    ) -> tuple[Segment, ...]:
        """Follow a joint path (T, N); `split`: rest before the last `place_m`, to look."""
        s = self._settings
        place = TimingLimits(s.speed, s.carry_m_s, s.place_m_s, s.place_m)
        at = place_step(self._robot.tcp(q)[:, :3, 3], s.place_m) if split else 0
        parts = [(name, q, place)]
        if split and at == 0:
            parts = [("place", q, place)]
        elif split:
            parts = [
                ("carry", q[: at + 1], TimingLimits(s.speed, s.carry_m_s)),
                ("place", q[at:], place),
            ]
        return tuple(
            Segment(
                Phase.CARRY,
                part,
                time_path(self._robot, path, limits),
                None,
                opening,
                Contact.CARRIED,
            )
            for part, path, limits in parts
        )

    def leave(
        self, before: CollisionScene, after: CollisionScene, q_end: Array, opening: float
    ) -> tuple[Segment, ...]:
        """Let go, back off, go home.

        Args:
            before: The scene without the object, which the fingers leave.
            after: The scene with the object where it was put.
            q_end: (N,) where it was put [rad].
            opening: Of the gripper on its way [m].

        Raises:
            ExecutionError: APPROACH_NOT_FOUND.
            PlatformError: Of the approach backend.
        """
        retreat = self._retreat(q_end, before, opening)
        home = self.free(
            CollisionModel(self._robot, after, opening), retreat[-1], self._robot.home, "return"
        )
        return (
            Segment(Phase.RELEASE, "let go", None, self._open(opening), opening, Contact.TARGET),
            self._back_off(Phase.RETREAT, retreat, opening),
            Segment(Phase.RETREAT, "return", home, None, opening),
        )

    def open_again(
        self, scene: CollisionScene, q_now: Array, opening: float
    ) -> tuple[Segment, ...]:
        """Open and back off, after a grasp that failed.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND.
        """
        open_ = self._open(opening)
        return (
            Segment(Phase.APPROACH, "open again", None, open_, opening, Contact.TARGET),
            self._back_off(Phase.APPROACH, self._retreat(q_now, scene, opening), opening),
        )

    def free(
        self, collision: CollisionModel, q_from: Array, q_to: Array, name: str
    ) -> JointTrajectory:
        """Move freely, at rest between the pieces that the approach backend finds.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND, with what is in the way.
            PlatformError: Of the approach backend.
        """
        limits = TimingLimits(self._settings.speed, self._settings.free_m_s)
        pieces = self._approach.pieces(collision, q_from, q_to, name, self._solver.clearance)
        return joined([time_path(self._robot, piece, limits) for piece in pieces])

    def _open(self, opening: float) -> GripperCommand:
        return GripperCommand(opening, self._robot.settings.gripper.max_force)

    def _back_off(self, phase: Phase, path: Array, opening: float) -> Segment:
        limits = TimingLimits(self._settings.speed, self._settings.descend_m_s)
        away = time_path(self._robot, path, limits)
        return Segment(phase, "back off", away, None, opening, Contact.TARGET)

    def _retreat(self, q_end: Array, scene: CollisionScene, opening: float) -> Array:
        """Straight back along the approach axis, or straight up."""
        T_base_tcp = self._robot.tcp(q_end)
        model = CollisionModel(self._robot, scene, opening)
        length = self._settings.feasibility.standoff_m
        for direction in (-T_base_tcp[:3, 2], scene.support.normal):
            for share in (1.0, 0.7):
                path = straight(self._robot, q_end, T_base_tcp, share * length * direction)
                if path is None:
                    continue
                if self._solver.clearance(model, path).min() > -RETREAT_TOUCH_M:
                    return path
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"the gripper has no free straight way of {700 * length:.0f} mm out of the release",
        )
