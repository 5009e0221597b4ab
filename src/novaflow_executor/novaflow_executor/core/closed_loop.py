"""Carry out a plan with open eyes: look, correct, and take hold again when the grasp failed.

The object is seen by a tracker while the arm moves. Before the grasp, a plan is made anew where the
object has been moved. Once it is held, the pose of the object against the gripper is measured
rather than assumed, in the hand and again just before the end of the flow, where it matters most.
While the arm moves, an object that is not where the gripper should have it stops the arm, and the
rest is planned from there. A grasp that missed or lost the object is followed by another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code, ExecutionError, GraspError, NovaflowError, PlatformError
from novaflow_core.grounding import CollisionScene
from novaflow_executor.core.corrections import nearest_step
from novaflow_executor.core.driver import ArmState
from novaflow_executor.core.execution import PlanRunner
from novaflow_executor.core.plan import ExecutionPlan, Phase, Segment
from novaflow_executor.core.planner import MotionPlanner

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sighting:
    """Where one image shows the object.

    Attributes:
        time_s: Of the image, on the robot's clock [s].
        T_moved: (4, 4) motion since the scene was captured, planning frame.
        visible: False: the pose is an older one.
    """

    time_s: float
    T_moved: Array
    visible: bool


class ObjectSight(Protocol):
    """What is seen of the object."""

    def since(self, time_s: float) -> list[Sighting]:
        """Sightings of images taken at `time_s` or later, oldest first."""


class JointMemory(Protocol):
    """Where the arm is and was."""

    def state(self) -> ArmState:
        """Return the newest state."""

    def joints_at(self, time_s: float) -> Array | None:
        """Joints (N,) [rad] at a time of the robot's clock [s]; None where it is not known."""


@dataclass(frozen=True)
class LoopLimits:
    """When the loop acts.

    Attributes:
        frames: Images that a look at rest takes in.
        min_frames: With fewer that show the object, a look has seen nothing.
        look_s: How long a look may take [s].
        moved_m: An object that has moved by more before the grasp is planned for anew [m].
        moved_rad: The same for turns [rad].
        stray_m: While moving: farther from where the gripper should have it, it has strayed [m].
        stray_rad: The same for turns [rad].
        stray_frames: Images in a row that must say so.
        lost_m: An object that has moved this far against the gripper is no longer held [m].
        corrections: How often the rest of a flow may be planned anew, looks not counted.
        regrasps: How often the object may be taken hold of again.
        corridor_m: With approval: a correction by more needs a new approval [m].
        corridor_rad: The same for turns [rad].
    """

    frames: int = 4
    min_frames: int = 2
    look_s: float = 1.5
    moved_m: float = 0.004
    moved_rad: float = 0.10
    stray_m: float = 0.010
    stray_rad: float = 0.26
    stray_frames: int = 3
    lost_m: float = 0.05
    corrections: int = 6
    regrasps: int = 2
    corridor_m: float = 0.03
    corridor_rad: float = 0.35


@dataclass(frozen=True)
class Correction:
    """One change of plan.

    Attributes:
        why: For people.
        shift_m: How far the object was from where it was expected [m].
        turn_rad: The same for turns [rad].
        delay_s: From the last image to the new command, on the robot's clock [s].
        plan_s: Of this, time spent on planning, on the same clock [s].
    """

    why: str
    shift_m: float
    turn_rad: float
    delay_s: float
    plan_s: float

    @property
    def text(self) -> str:
        """What was corrected, with numbers."""
        return f"{self.why} {1e3 * self.shift_m:.1f} mm, {math.degrees(self.turn_rad):.1f} deg"


@dataclass(frozen=True)
class FollowTask:
    """What a plan is made from.

    Attributes:
        points: (N, 3) [m] of the object as the scene saw it.
        scene: What must not be touched.
        candidate: The flow.
        fits: Motions (4, 4) since the scene after which the object fits exactly.
    """

    points: Array
    scene: CollisionScene
    candidate: FlowCandidate
    fits: Sequence[Array] = ()


class _StrayedError(NovaflowError):
    """The object is not where it should be; raised while the arm moves, never leaves the loop."""


@dataclass
class _Course:
    """What an attempt knows.

    Attributes:
        plan: What is left to do; its `T_base_obj` is the flow from `T_start` on.
        T_start: (4, 4) how the object had moved since capture when the plan was made.
    """

    plan: ExecutionPlan
    T_start: Array = field(default_factory=lambda: np.eye(4))


class ClosedLoop:
    """Runs one plan with a tracker's eyes.

    Attributes:
        plan: What is being carried out now; it changes.
        corrections: What was changed, in order.
        regrasps: How often the object was taken hold of again.
    """

    def __init__(
        self,
        runner: PlanRunner,
        planner: MotionPlanner,
        sight: ObjectSight,
        robot: JointMemory,
        clock_s: Callable[[], float],
        task: FollowTask,
        limits: LoopLimits | None = None,
        *,
        approved: bool = False,
    ) -> None:
        """Keep the parts.

        Args:
            runner: Carries out plans, watched and stoppable.
            planner: Has made the plan.
            sight: Of the object.
            robot: Tells where the arm is and was.
            clock_s: The robot's clock, by which images are stamped [s].
            task: What the plan was made from.
            limits: When the loop acts.
            approved: A person has approved the plan: it may change within the corridor only.
        """
        self._runner, self._planner, self._sight, self._robot = runner, planner, sight, robot
        self._clock_s, self._limits, self._approved = clock_s, limits or LoopLimits(), approved
        self._points, self._scene, self._candidate = task.points, task.scene, task.candidate
        self._fits, self._middle = task.fits, task.points.mean(axis=0)
        self._should_stop: Callable[[], bool] = lambda: False
        self._failed: list[Array] = []  # TCP poses of failed grasps, about the object at capture
        self.corrections: list[Correction] = []
        self.regrasps = 0
        self.plan: ExecutionPlan

    def run(self, plan: ExecutionPlan, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Carry out; afterwards the arm stands still, whatever happened.

        Args:
            plan: Made by the planner from the task.
            should_stop: Ends a search for a new plan.

        Raises:
            NovaflowError: As `PlanRunner.run`, or of planning.
        """
        self.plan = plan
        self._should_stop = should_stop
        self._runner.refuse_moving_arm()
        course = _Course(plan)
        while True:
            try:
                self._take(course)
                self._carry(course)
                self._do(course, Phase.RELEASE, Phase.RETREAT)
                return
            except GraspError as error:
                if error.code not in (Code.GRASP_MISSED, Code.GRASP_LOST):
                    raise
                course = self._again(course, error)

    # --- one attempt ---
    def _take(self, course: _Course) -> None:
        """Reach, look whether the object is still there, descend, close."""
        while True:
            approach = [s for s in course.plan.segments if s.phase == Phase.APPROACH]
            try:
                self._run(course, approach[:-1], self._watch(lambda _: course.T_start))
                seen = self._look()
                if seen is not None and self._moved(seen.T_moved, course.T_start):
                    self._start_over(course, seen, "moved before the grasp")
                    continue
                self._run(course, approach[-1:], self._watch(lambda _: course.T_start))
            except _StrayedError as strayed:
                self._stand_back(course)
                seen = self._look()
                if seen is None:
                    raise GraspError(
                        Code.GRASP_MISSED, f"{strayed.reason}, and is not seen any more"
                    ) from None
                self._start_over(course, seen, "moved under the gripper")
                continue
            self._do(course, Phase.GRASP)
            return

    def _carry(self, course: _Course) -> None:
        """Follow the flow; what is seen in the hand decides where the gripper goes."""
        first, why = 0, "in the hand"
        while True:
            self._correct(course, self._look(), first, why)
            carry = [s for s in course.plan.segments if s.phase == Phase.CARRY]
            held = self._held(course)
            try:
                self._run(course, carry[:1], self._watch(held))
            except _StrayedError:
                why = "strayed in the hand"
            else:
                if len(carry) == 1:
                    return
                course.plan = self.plan = replace(
                    course.plan,
                    segments=tuple(s for s in course.plan.segments if s is not carry[0]),
                )
                why = "before placing"
            now = held(self._clock_s()) @ se3.inverse(course.T_start)
            first = nearest_step(
                course.plan.T_base_obj, now, se3.apply(course.T_start, self._middle), first
            )

    def _held(self, course: _Course) -> Callable[[float], Array]:
        """Where the object is since capture when the gripper holds it as the plan says, by time."""
        grip = se3.inverse(course.plan.grasp.T_planning_tcp) @ course.T_start

        def held(time_s: float) -> Array:
            q = self._robot.joints_at(time_s)
            q = self._robot.state().q if q is None else q
            return np.asarray(self._planner.robot.tcp(q) @ grip)

        return held

    # --- looking ---
    def _look(self) -> Sighting | None:
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
        return Sighting(recent[-1].time_s, _mean(recent, self._middle), True)

    def _watch(self, expected: Callable[[float], Array]) -> Callable[[Segment], None]:
        """A look at every new image in motion; raises `_StrayedError` when several disagree."""
        limits = self._limits
        seen_s, odd = self._clock_s(), 0

        def watch(segment: Segment) -> None:
            nonlocal seen_s, odd
            for sighting in self._sight.since(seen_s):
                if sighting.time_s == seen_s:
                    continue
                seen_s = sighting.time_s
                if not sighting.visible:
                    continue
                shift, turn = self._apart(sighting.T_moved, expected(seen_s))
                odd = odd + 1 if shift > limits.stray_m or turn > limits.stray_rad else 0
                if odd >= limits.stray_frames:
                    raise _StrayedError(
                        Code.GRASP_LOST,
                        f"during '{segment.name}' the object is {1e3 * shift:.0f} mm and "
                        f"{math.degrees(turn):.0f} deg from where it should be",
                    )

        return watch

    def _apart(self, T_a: Array, T_b: Array) -> tuple[float, float]:
        """Distance of the object's middle [m] and angle [rad] between two of its motions."""
        shift = np.linalg.norm(se3.apply(T_a, self._middle) - se3.apply(T_b, self._middle))
        return float(shift), float(se3.rotation_angle(T_a[:3, :3].T @ T_b[:3, :3]))

    def _moved(self, T_seen: Array, T_start: Array) -> bool:
        shift, turn = self._apart(T_seen, T_start)
        return shift > self._limits.moved_m or turn > self._limits.moved_rad

    # --- changing the plan ---
    def _correct(self, course: _Course, seen: Sighting | None, first: int, why: str) -> None:
        """Plan the rest from where the object is; unseen, from where the gripper should have it."""
        began_s, held = self._clock_s(), self._held(course)(self._clock_s())
        T_now, shift, turn = held, 0.0, 0.0
        if seen is not None:
            T_now = seen.T_moved
            shift, turn = self._apart(T_now, held)
            if shift > self._limits.lost_m:
                raise GraspError(
                    Code.GRASP_LOST,
                    f"the object is {1e3 * shift:.0f} mm from where the gripper should have it",
                    {"shift_m": shift},
                )
            self._allowed(shift, turn)
        self._spend()
        T_moved = T_now @ se3.inverse(course.T_start)
        course.plan = self.plan = self._planner.carry_on(
            course.plan, self._scene, T_moved, self._robot.state().q, first
        )
        if seen is not None:
            self._note(why, shift, turn, seen, began_s)

    def _start_over(self, course: _Course, seen: Sighting, why: str) -> None:
        """Plan all of it for where the object is now."""
        began_s = self._clock_s()
        shift, turn = self._apart(seen.T_moved, course.T_start)
        self._allowed(shift, turn)
        self._spend()
        course.plan = self.plan = self._planner.replan(
            self._points,
            self._scene,
            self._candidate,
            seen.T_moved,
            self._robot.state().q,
            [seen.T_moved @ failed for failed in self._failed],
            self._fits,
            self._should_stop,
        )
        course.T_start = seen.T_moved
        self._note(why, shift, turn, seen, began_s)

    def _again(self, course: _Course, error: GraspError) -> _Course:
        """After a failed grasp: stand back, find the object, take it another way."""
        if self.regrasps >= self._limits.regrasps:
            error.reason += f"; given up after {self.regrasps + 1} grasps"
            raise error
        if self._approved:
            error.reason += "; another grasp needs another approval"
            raise error
        self.regrasps += 1
        self._failed.append(se3.inverse(course.T_start) @ course.plan.grasp.T_planning_tcp)
        self._stand_back(course)
        seen = self._look()
        if seen is None:
            error.reason += "; the object is not seen any more"
            raise error
        try:
            self._start_over(course, seen, f"another grasp after {error.code.name}")
        except GraspError as none_left:
            error.reason += f"; {none_left.reason}"
            raise error from none_left
        return course

    def _stand_back(self, course: _Course) -> None:
        self._runner.forget_grasp()
        away = self._planner.let_go(course.plan, self._scene, self._robot.state().q)
        self._runner.run(away)

    def _allowed(self, shift: float, turn: float) -> None:
        limits = self._limits
        if self._approved and (shift > limits.corridor_m or turn > limits.corridor_rad):
            raise ExecutionError(
                Code.PLAN_EXPIRED,
                f"the object is {1e3 * shift:.0f} mm and {math.degrees(turn):.0f} deg from where "
                f"the approved plan expects it; {1e3 * limits.corridor_m:.0f} mm and "
                f"{math.degrees(limits.corridor_rad):.0f} deg are within an approval",
            )

    def _spend(self) -> None:
        if len(self.corrections) >= self._limits.corrections:
            raise ExecutionError(
                Code.OPTIMISATION_FAILED,
                f"the rest of the flow was planned anew {len(self.corrections)} times, and the "
                "object still is elsewhere",
            )

    def _note(self, why: str, shift: float, turn: float, seen: Sighting, began_s: float) -> None:
        now_s = self._clock_s()
        self.corrections.append(Correction(why, shift, turn, now_s - seen.time_s, now_s - began_s))

    # --- running ---
    def _do(self, course: _Course, *phases: Phase) -> None:
        self._run(course, [s for s in course.plan.segments if s.phase in phases])

    def _run(
        self,
        course: _Course,
        segments: list[Segment],
        watch: Callable[[Segment], None] = lambda segment: None,
    ) -> None:
        if segments:
            self._runner.run(replace(course.plan, segments=tuple(segments)), watch)


def _mean(sightings: list[Sighting], middle: Array) -> Array:
    """Mean motion (4, 4); the middle's place is a median, so that one odd image does not count."""
    poses = np.stack([s.T_moved for s in sightings])
    about = poses[len(poses) // 2, :3, :3]
    turns = se3.log_so3(about.T @ poses[:, :3, :3])
    rotation = about @ se3.exp_so3(np.median(turns, axis=0))
    place = np.median(poses[:, :3, :3] @ middle + poses[:, :3, 3], axis=0)
    return np.asarray(se3.from_rt(rotation, place - rotation @ middle))
