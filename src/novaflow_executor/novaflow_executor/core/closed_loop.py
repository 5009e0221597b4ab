"""Carry out a plan with open eyes: look, correct, and take hold again when the grasp failed.

The object is seen by a tracker while the arm moves. Before the grasp, a plan is made anew where the
object has been moved. Once it is held, the pose of the object against the gripper is measured
rather than assumed, in the hand and again just before the end of the flow, where it matters most.
While the arm moves, an object that is not where the gripper should have it stops the arm, and the
rest is planned from there. What caught on something is lifted off it and let down again. A grasp
that missed or lost the object, or met something on its way to it, is followed by another one. So is
one in which it slips again and again, or lies so that there is no way on: it is set down first,
where it was taken.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import (
    Code,
    ExecutionError,
    GraspError,
    NovaflowError,
    PerceptionError,
)
from novaflow_core.grounding import CollisionScene
from novaflow_core.joint import fit_joint
from novaflow_executor.core.corrections import nearest_step
from novaflow_executor.core.driver import RobotDriver
from novaflow_executor.core.execution import PlanRunner
from novaflow_executor.core.looking import Looking
from novaflow_executor.core.loop_limits import LoopLimits
from novaflow_executor.core.on_joint import OPENED_SHARE, is_on_joint, split_motion
from novaflow_executor.core.plan import ExecutionPlan, Phase, Segment
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.sight import (
    ObjectSight,
    Sighting,
    StrayedError,
    StrayLimits,
)

Array = NDArray[np.float64]
_NO_WAY_ON = (Code.OPTIMISATION_FAILED, Code.PLAN_COLLISION)
_GRASP_FAILED = (Code.GRASP_MISSED, Code.GRASP_LOST, Code.GRASP_BLOCKED)


@dataclass(frozen=True)
class Correction:
    """One change of plan.

    Attributes:
        why: For people.
        shift_m: How far the object was from where it was expected [m].
        turn_rad: The same for turns [rad].
        delay_s: From the last image to the new command, on the robot's clock [s].
    """

    why: str
    shift_m: float
    turn_rad: float
    delay_s: float

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


@dataclass
class _Course:
    """What an attempt knows.

    Attributes:
        plan: What is left to do; its `T_base_obj` is the flow from `T_start` on.
        T_start: (4, 4) how the object had moved since capture when the plan was made.
        T_taken: (4, 4) TCP at the grasp as it was planned; the plan's follows what is seen later.
        slips: How often the object has slipped in this grasp, and was still held.
    """

    plan: ExecutionPlan
    T_start: Array = field(default_factory=lambda: np.eye(4))
    T_taken: Array = field(default_factory=lambda: np.eye(4))
    slips: int = 0


class ClosedLoop:
    """Runs one plan with a tracker's eyes.

    Attributes:
        task: What the first plan was made from.
        plan: What is being carried out now; it changes.
        corrections: What was changed, in order.
        regrasps: How often the object was taken hold of again.
        T_moved: (4, 4) how the gripper has moved the object since capture; None before it ends.
    """

    def __init__(
        self,
        runner: PlanRunner,
        planner: MotionPlanner,
        sight: ObjectSight,
        robot: RobotDriver,
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
            approved: A person has approved the plan: the carry may change within the corridor, and
                nothing else.
        """
        self._runner, self._planner, self._robot, self._clock_s = runner, planner, robot, clock_s
        self._limits, self._approved = limits or LoopLimits(), approved
        self.task, self._middle = task, task.points.mean(axis=0)
        self._looking = Looking(runner, sight, clock_s, self._middle, self._limits)
        self._should_stop: Callable[[], bool] = lambda: False
        self._failed: list[Array] = []  # TCP poses of failed grasps, about the object at capture
        self._replans = self._lifts = 0
        self.corrections: list[Correction] = []
        self.regrasps = 0
        self.T_moved: Array | None = None
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
        course, in_hand = _Course(plan), False
        while True:
            try:
                if not in_hand:
                    self._take(course)
                if is_on_joint(self.task.candidate.flow):
                    self._pull(course)
                else:
                    self._carry(course, again=in_hand)
                    self._settle(course)
                self.T_moved = self._held_now(course)
                self._do(course, Phase.RELEASE, Phase.RETREAT)
                return
            except GraspError as error:
                if error.code not in _GRASP_FAILED:
                    raise
                seen = self._still_in_hand(course, error)
                in_hand = seen is not None and not self._slips_too_often(course, seen)
                if not in_hand:
                    course = self._again(course, error, let_go=seen is not None)
            except ExecutionError as error:
                if error.code not in _NO_WAY_ON or not self._carries_it():
                    raise
                seen = self._looking.look()
                if seen is None or not self._set_down(course, seen):
                    raise
                course, in_hand = self._again(course, error, let_go=True), False

    # --- one attempt ---
    def _take(self, course: _Course) -> None:
        """Reach, look whether the object is still there, descend, close."""
        while True:
            approach = [s for s in course.plan.segments if s.phase == Phase.APPROACH]
            course.T_taken, course.slips = course.plan.grasp.T_planning_tcp, 0
            try:
                self._run(course, approach[:-1], self._looking.watch(lambda _: course.T_start))
                seen = self._looking.look()
                if seen is not None and self._looking.has_moved(seen.T_moved, course.T_start):
                    self._start_over(course, seen, "moved before the grasp")
                    continue
                self._run(course, approach[-1:], self._looking.watch(lambda _: course.T_start))
            except StrayedError as strayed:
                self._refuse_if_approved(strayed.reason)
                self._stand_back(course)
                seen = self._looking.look()
                if seen is None:
                    raise PerceptionError(
                        Code.TARGET_LOST, f"{strayed.reason}, and is not seen any more"
                    ) from None
                self._start_over(course, seen, "moved under the gripper")
                continue
            self._do(course, Phase.GRASP)
            return

    def _carry(self, course: _Course, *, again: bool = False) -> None:
        """Follow the flow; what is seen in the hand decides where the gripper goes.

        What caught on something on its way down is lifted off and let down again.
        """
        first, why = 0, "in the hand"
        if again:
            first, why = self._step_now(course, 0), "slipped, and still in the hand"
        while True:
            try:
                self._correct(course, self._looking.look(), first, why)
            except ExecutionError as error:
                if error.code not in _NO_WAY_ON or not self._lift_off(course):
                    raise
                first, why = self._step_now(course, 0), "lifted off"
                continue
            carry = [s for s in course.plan.segments if s.phase == Phase.CARRY]
            try:
                self._run(course, carry[:1], self._looking.watch_carried(self._held(course)))
            except StrayedError:
                self._spend()
                why = "strayed in the hand"
            else:
                if len(carry) == 1:
                    if self._arrived(course) or not self._lift_off(course):
                        return
                    first, why = self._step_now(course, 0), "lifted off"
                    continue
                course.plan = self.plan = replace(
                    course.plan,
                    segments=tuple(s for s in course.plan.segments if s is not carry[0]),
                )
                why = "before placing"
            first = self._step_now(course, first)

    def _step_now(self, course: _Course, first: int) -> int:
        """Step of the flow, not before `first`, that the object is nearest to."""
        now = self._held_now(course) @ se3.inverse(course.T_start)
        middle = se3.apply(course.T_start, self._middle)
        return nearest_step(course.plan.T_base_obj, now, middle, first)

    def _arrived(self, course: _Course) -> bool:
        """Whether what is about to be let go is where the flow ends; unseen, it counts as there."""
        if course.plan.held or self._lifts >= self._limits.lifts:
            return True
        seen = self._looking.look()
        if seen is None:
            return True
        shift, turn = self._looking.apart(seen.T_moved, course.plan.T_base_obj[-1] @ course.T_start)
        return shift <= self._limits.arrived_m and turn <= self._limits.arrived_rad

    def _lift_off(self, course: _Course) -> bool:
        """Raise the object off what it caught on; False where it cannot be, or was often enough."""
        if self._lifts >= self._limits.lifts:
            return False
        self._lifts += 1
        try:
            up = self._planner.lift_off(
                course.plan, self.task.scene, self._robot.state().q, self._limits.lift_m
            )
        except ExecutionError as error:
            if error.code != Code.APPROACH_NOT_FOUND:
                raise
            return False  # what it was to be lifted for decides then
        blindly = StrayLimits(math.inf, math.inf)  # what caught is not where the hand has it
        self._runner.run(up, self._looking.watch_carried(self._held(course), blindly))
        return True

    def _settle(self, course: _Course) -> None:
        """Where it stays in the gripper: see that it is where the flow ends, and bring it there.

        What is turned in the fingers, or turns in them, is off by more than what is set down: it
        has nothing to lean on.
        """
        last = len(course.plan.T_base_obj) - 1
        for _ in range(self._limits.settles if course.plan.held else 0):
            seen = self._looking.look()
            if seen is None:
                return
            wanted = course.plan.T_base_obj[last] @ course.T_start
            slipped, _ = self._looking.apart(seen.T_moved, self._held_now(course))
            if not self._looking.has_moved(seen.T_moved, wanted) or slipped > self._limits.settle_m:
                return  # so much, at rest, is an eye that errs: the hand hides most of it here
            try:
                self._correct(course, seen, last - 1, "at the end")
            except ExecutionError as error:
                if error.code not in _NO_WAY_ON:
                    raise
                return  # it stays where it is, and the verdict says whether that will do
            carry = [s for s in course.plan.segments if s.phase == Phase.CARRY]
            with contextlib.suppress(StrayedError):
                self._run(course, carry, self._looking.watch_carried(self._held(course)))

    def _pull(self, course: _Course) -> None:
        """Follow the joint with the handle, and look whether the thing came along."""
        flow = self.task.candidate.flow
        assert flow is not None
        joint, why = fit_joint(flow), ""
        try:
            pull = [s for s in course.plan.segments if s.phase == Phase.CARRY]
            self._run(course, pull, self._looking.watch_carried(self._held(course)))
        except StrayedError as strayed:
            why = strayed.reason
        seen = self._looking.look()
        if seen is None:
            if why:
                raise GraspError(Code.GRASP_LOST, f"{why}, and is not seen any more")
            return
        shift, turn = self._looking.apart(seen.T_moved, self._held_now(course))
        if not why and shift <= self._limits.slipped_m:
            return
        done, _ = split_motion(joint, seen.T_moved, self._middle)
        why = why or f"the handle slipped by {1e3 * shift:.0f} mm"
        if done < OPENED_SHARE * float(joint.values[-1]):
            raise GraspError(Code.GRASP_LOST, why, {"shift_m": shift, "joint": done})
        T_moved = seen.T_moved @ se3.inverse(course.T_start)
        course.plan = self.plan = self._planner.let_go_here(
            course.plan, self.task.scene, T_moved, self._robot.state().q
        )
        self._note("let go at the end of its slide:", shift, turn, seen)

    def _held(self, course: _Course) -> Callable[[float], Array | None]:
        """Where the object is since capture when the gripper holds it as the plan says, by time."""
        plan, T_start = course.plan, course.T_start

        def held(time_s: float) -> Array | None:
            q = self._robot.joints_at(time_s)
            return None if q is None else self._planner.held_motion(plan, q) @ T_start

        return held

    def _held_now(self, course: _Course) -> Array:
        """The same at rest, now."""
        q = self._robot.state().q
        return self._planner.held_motion(course.plan, q) @ course.T_start

    # --- changing the plan ---
    def _correct(self, course: _Course, seen: Sighting | None, first: int, why: str) -> None:
        """Plan the rest from where the object is; unseen, from where the gripper should have it."""
        held = self._held_now(course)
        T_now, shift, turn = held, 0.0, 0.0
        if seen is not None:
            T_now = seen.T_moved
            shift, turn = self._looking.apart(T_now, held)
            if shift > self._limits.lost_m:
                raise GraspError(
                    Code.GRASP_LOST,
                    f"the object is {1e3 * shift:.0f} mm from where the gripper should have it",
                    {"shift_m": shift},
                )
            self._allowed(shift, turn)
        T_moved = T_now @ se3.inverse(course.T_start)
        course.plan = self.plan = self._planner.carry_on(
            course.plan, self.task.scene, T_moved, self._robot.state().q, first
        )
        if seen is not None:
            self._note(why, shift, turn, seen)

    def _start_over(self, course: _Course, seen: Sighting, why: str) -> None:
        """Plan all of it for where the object is now."""
        shift, turn = self._looking.apart(seen.T_moved, course.T_start)
        self._refuse_if_approved(
            f"the object has moved by {1e3 * shift:.0f} mm and {math.degrees(turn):.0f} deg"
        )
        self._spend()
        course.plan = self.plan = self._planner.replan(
            self.task.points,
            self.task.scene,
            self.task.candidate,
            seen.T_moved,
            self._robot.state().q,
            [seen.T_moved @ failed for failed in self._failed],
            self.task.fits,
            self._should_stop,
        )
        course.T_start = seen.T_moved
        self._note(why, shift, turn, seen)

    def _still_in_hand(self, course: _Course, error: GraspError) -> Sighting | None:
        """Where the object is seen in fingers that closed further; None if they hold it no more.

        What was taken across an edge turns until its faces lie against the pads.
        """
        if error.code != Code.GRASP_LOST or "opening_m" not in error.evidence:
            return None
        if is_on_joint(self.task.candidate.flow) or not self._runner.holds_something():
            return None
        seen = self._looking.look()
        if seen is None:
            return None
        shift, _ = self._looking.apart(seen.T_moved, self._held_now(course))
        if shift > self._limits.lost_m:
            return None
        self._spend()
        self._runner.hold_as_it_is()
        return seen

    def _slips_too_often(self, course: _Course, seen: Sighting) -> bool:
        """Count a slip; True where the grasp was at fault, and what it held is set down."""
        course.slips += 1
        return course.slips > self._limits.slips and self._set_down(course, seen)

    def _set_down(self, course: _Course, seen: Sighting) -> bool:
        """Bring what is held badly back, and let go of it; False where it is held on to."""
        if self._approved or self.regrasps >= self._limits.regrasps:
            return False
        try:
            back = self._planner.put_back(
                course.plan,
                self.task.scene,
                self._robot.state().q,
                seen.T_moved @ se3.inverse(course.T_start),
            )
        except ExecutionError as error:
            if error.code not in (*_NO_WAY_ON, Code.APPROACH_NOT_FOUND):
                raise
            return False
        self._runner.forget_grasp()  # what slips on the way down is on its way to be let go
        course.plan = self.plan = back  # stopped on its way, that is what it was doing
        self._runner.run(back)
        return True

    def _carries_it(self) -> bool:
        """Whether the gripper holds something that it can put down elsewhere."""
        on_joint = is_on_joint(self.task.candidate.flow)
        return self._runner.phase == Phase.CARRY and not on_joint and self._runner.holds_something()

    def _again(self, course: _Course, error: NovaflowError, *, let_go: bool = False) -> _Course:
        """After a failed grasp: stand back, find the object, take it another way.

        Args:
            course: That failed.
            error: Why; raised where there is no other way.
            let_go: The object was set down already, and the arm is away from it.
        """
        if self.regrasps >= self._limits.regrasps:
            error.reason += f"; given up after {self.regrasps + 1} grasps"
            raise error
        if self._approved:
            error.reason += "; another grasp needs another approval"
            raise error
        if self._runner.holds_something():
            error.reason += "; something is still between the fingers, and is not dropped"
            error.evidence["kept"] = "it may be the object"
            raise error
        self.regrasps += 1
        self._lifts = 0
        self._failed.append(se3.inverse(course.T_start) @ course.T_taken)
        if not let_go:
            self._stand_back(course)
        seen = self._looking.look()
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
        away = self._planner.let_go(course.plan, self.task.scene, self._robot.state().q)
        self._runner.run(away)

    def _allowed(self, shift: float, turn: float) -> None:
        limits = self._limits
        if shift > limits.corridor_m or turn > limits.corridor_rad:
            self._refuse_if_approved(
                f"the object is {1e3 * shift:.0f} mm and {math.degrees(turn):.0f} deg from where "
                f"the plan expects it ({1e3 * limits.corridor_m:.0f} mm and "
                f"{math.degrees(limits.corridor_rad):.0f} deg are within an approval)"
            )

    def _refuse_if_approved(self, what: str) -> None:
        """An approval holds for the plan that was shown, not for another one."""
        if self._approved:
            raise ExecutionError(Code.PLAN_EXPIRED, f"{what}; the plan must be approved anew")

    def _spend(self) -> None:
        self._replans += 1
        if self._replans > self._limits.replans:
            raise ExecutionError(
                Code.OPTIMISATION_FAILED,
                f"planned anew {self._limits.replans} times, and the object is elsewhere again",
            )

    def _note(self, why: str, shift: float, turn: float, seen: Sighting) -> None:
        delay_s = self._clock_s() - seen.time_s
        self.corrections.append(Correction(why, shift, turn, delay_s))

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
