"""Facade of the executor's core: score candidates, plan an execution; nothing moves here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import CandidateFeasibility, FlowCandidate
from novaflow_core.errors import Code, ExecutionError, GraspError, NovaflowError, PlatformError
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box
from novaflow_core.registry import load_backend
from novaflow_core.scene import Plane
from novaflow_executor.core.approach import FreeMotion, RrtConnect, straight
from novaflow_executor.core.approach_settings import ApproachSettings
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.corrections import (
    meeting,
    nearest_step,
    rebased,
    without_alike,
)
from novaflow_executor.core.ending import why_held
from novaflow_executor.core.feasibility import FeasibilityCheck, FeasiblePair
from novaflow_executor.core.grasp_settings import GraspSettings
from novaflow_executor.core.grasps import (
    GraspProposer,
    GraspRequest,
    ObjectShape,
    carried_spheres,
    object_shape,
)
from novaflow_executor.core.motion import FollowProblem, MotionSolver
from novaflow_executor.core.on_joint import front_box, is_on_joint, rebased_on_joint
from novaflow_executor.core.plan import ExecutionPlan, JointTrajectory, Segment
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.robot_settings import load_robot_settings
from novaflow_executor.core.segments import SegmentMaker
from novaflow_executor.core.timing import TimingLimits, time_path

Array = NDArray[np.float64]
Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]

SPHERE_SPACING_M = 0.02
TARGET_BOX = "target"
CLOSER_M = 0.001
PUT_BACK_HEIGHT_M = 0.002  # nothing is pressed into its support


@dataclass
class _Scored:
    """What `score` leaves for `plan`."""

    scene_id: str
    check: FeasibilityCheck
    shape: ObjectShape
    spheres: Array
    pairs: dict[str, FeasiblePair]
    points: Array
    on_joint: bool

    def scene_with_target(self, scene: CollisionScene, T_moved: Array | None) -> CollisionScene:
        """The scene with the object as one more box, where a motion (4, 4) has put it."""
        if self.on_joint:
            box = front_box(TARGET_BOX, self.points, scene.support, T_moved)
            if box is not None:
                return replace(scene, obstacles=(*scene.obstacles, box))
        return _with_target(scene, self.shape, np.eye(4) if T_moved is None else T_moved)


class MotionPlanner:
    """Grasps, feasibility and plans for one robot. The planning frame is the arm's base link.

    Args:
        robot: The arm.
        proposer: Grasp backend.
        solver: Motion backend.
        settings: How plans are made.
        approach: Approach backend; None for `RrtConnect`.
    """

    def __init__(
        self,
        robot: RobotModel,
        proposer: GraspProposer,
        solver: MotionSolver,
        settings: PlannerSettings,
        approach: FreeMotion | None = None,
    ) -> None:
        """Keep the parts."""
        self.robot, self.proposer, self.solver, self.settings = robot, proposer, solver, settings
        self._make = SegmentMaker(robot, solver, approach or RrtConnect(), settings)
        self._scored: _Scored | None = None  # of the last scene
        self._assembled_from: _Scored | None = None  # of the last plan, which `carry_on` continues

    @classmethod
    def from_files(
        cls,
        urdf_text: str,
        settings_path: str,
        *,
        grasps: str = "antipodal",
        motion: str = "trajopt",
        approach: str = "rrt_connect",
        speed: float = 0.5,
        grasp_settings: GraspSettings | None = None,
        approach_settings: ApproachSettings | None = None,
    ) -> MotionPlanner:
        """Build from /robot_description, the robot's YAML file and names of backends.

        Args:
            urdf_text: The arm's URDF.
            settings_path: YAML with tip, TCP, capsules, gripper, limits.
            grasps: Backend of the stage `grasps`.
            motion: Backend of the stage `motion`.
            approach: Backend of the stage `approach`.
            speed: Share of the velocity and acceleration limits that plans may use, 0..1.
            grasp_settings: Of the backend `grasps`.
            approach_settings: Of the backend `approach`.

        Raises:
            NovaflowError: UNKNOWN_BACKEND, UNAVAILABLE or INVALID_SETTING.
        """
        robot = RobotModel(urdf_text, load_robot_settings(settings_path))
        return cls(
            robot,
            load_backend("grasps", grasps)(grasp_settings or GraspSettings()),
            load_backend("motion", motion)(robot),
            PlannerSettings(speed=speed),
            load_backend("approach", approach)(approach_settings or ApproachSettings()),
        )

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The arm's joints, in the order of every `q`."""
        return self.robot.joint_names

    @property
    def home(self) -> Array:
        """(N,) rest configuration [rad], where executions end."""
        return self.robot.home

    def warm(self) -> None:
        """Run each kernel once, so that the first goal is as fast as the others."""
        poses = np.repeat(self.robot.tcp(self.home)[None], 8, axis=0)
        ground = CollisionScene("", "", Plane(np.array([0.0, 0.0, 1.0]), 1.0), ())
        model = CollisionModel(self.robot, ground, 0.0)
        self.solver.solve(FollowProblem(poses, self.home, self.home, model))
        time_path(self.robot, np.stack([self.home, self.home + 0.1]), TimingLimits())

    def score(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidates: Sequence[FlowCandidate],
        q_now: Array,
        on_progress: Progress = lambda share, text: None,
        should_stop: ShouldStop = lambda: False,
        avoid: Sequence[Array] = (),
        fits: Sequence[Array] = (),
    ) -> tuple[CandidateFeasibility, ...]:
        """Score every pair of grasp and candidate over the whole motion; one record per candidate.

        Candidates whose code is not OK get a record with that code. The grasps and solutions are
        kept for `plan` until the next scene. Grasps like those of `avoid` (4, 4), which failed
        before, are left out. `fits` are motions (4, 4) after which the object fits exactly where
        the instruction puts it; a flow that ends near one is led there.

        Raises:
            GraspError: NO_GRASP, when the object offers no grasp at all.
            PlatformError: CANCELLED when `should_stop` turned true.
        """
        self._scored = None
        records, self._scored = self._pairs(
            target_points, scene, candidates, q_now, on_progress, should_stop, avoid, fits
        )
        return records

    def _pairs(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidates: Sequence[FlowCandidate],
        q_now: Array,
        on_progress: Progress,
        should_stop: ShouldStop,
        avoid: Sequence[Array],
        fits: Sequence[Array],
    ) -> tuple[tuple[CandidateFeasibility, ...], _Scored]:
        """Records in the order of the candidates, and what plans are assembled from."""
        on_progress(0.0, "proposing grasps")
        gripper = self.robot.settings.gripper
        on_joint = any(is_on_joint(candidate.flow) for candidate in candidates)
        proposed = self.proposer.propose(GraspRequest(target_points, scene, gripper, on_joint))
        grasps = without_alike(proposed, avoid)
        if not grasps:
            raise GraspError(
                Code.NO_GRASP,
                f"all {len(proposed)} grasps of the object are like {len(avoid)} that failed",
            )
        shape = object_shape(target_points, scene.support)
        spheres = carried_spheres(shape, SPHERE_SPACING_M)
        check = FeasibilityCheck(
            self.robot,
            self.solver,
            scene,
            spheres,
            SPHERE_SPACING_M / 2,
            self.settings.feasibility,
            fits,
            np.asarray(target_points, float),
            borne=not on_joint,
        )
        if should_stop():
            raise PlatformError(Code.CANCELLED, "scoring was cancelled before the first candidate")
        on_progress(0.1, f"reaching for {len(grasps)} grasps")
        starts, why_not = check.starts(grasps, q_now)
        records, pairs = check.score(
            candidates,
            starts,
            why_not,
            lambda s, text: on_progress(0.2 + 0.8 * s, text),
            should_stop,
        )
        scored = _Scored(
            scene.scene_id, check, shape, spheres, pairs, np.asarray(target_points), on_joint
        )
        return tuple(replace(r, grasps_tried=len(grasps)) for r in records), scored

    def plan(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidate: FlowCandidate,
        q_now: Array,
        on_progress: Progress = lambda share, text: None,
        should_stop: ShouldStop = lambda: False,
        fits: Sequence[Array] = (),
    ) -> ExecutionPlan:
        """Plan the whole execution of one candidate from where the arm stands.

        Raises:
            GraspError: NO_GRASP, NO_FEASIBLE_GRASP.
            ExecutionError: OPTIMISATION_FAILED, FLOW_OUTSIDE_WORKSPACE, APPROACH_NOT_FOUND.
            PlatformError: CANCELLED.
        """
        scored = self._scored
        if (
            scored is None
            or scored.scene_id != scene.scene_id
            or (candidate.candidate_id not in scored.pairs)
        ):
            (record,) = self.score(
                target_points, scene, [candidate], q_now, on_progress, should_stop, fits=fits
            )
            if record.code != Code.OK:
                raise _error(record.code, record.reason)
            scored = self._scored
            assert scored is not None
        pair = scored.pairs[candidate.candidate_id]
        on_progress(0.5, "approach and retreat")
        return self._assembled(
            scored, pair, scene, candidate.candidate_id, np.asarray(q_now, float)
        )

    def replan(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidate: FlowCandidate,
        T_moved: Array,
        q_now: Array,
        avoid: Sequence[Array] = (),
        fits: Sequence[Array] = (),
        should_stop: ShouldStop = lambda: False,
    ) -> ExecutionPlan:
        """Plan anew for an object that is no longer where the scene saw it.

        Args:
            target_points: (N, 3) [m] of the object as the scene saw it.
            scene: As before; the object is not part of it.
            candidate: The flow, from where the scene saw the object.
            T_moved: (4, 4) how the object has moved since, planning frame.
            q_now: (N,) [rad].
            avoid: TCP poses (4, 4) that failed, about the object where it is now.
            fits: As in `score`, since the scene.
            should_stop: Ends the search.

        Raises:
            NovaflowError: As `plan`.
        """
        assert candidate.flow is not None
        rest = rebased_on_joint if is_on_joint(candidate.flow) else rebased
        moved = replace(candidate, flow=rest(candidate.flow, T_moved))
        points = se3.apply(T_moved, target_points)
        back = se3.inverse(T_moved)
        fits = [fit @ back for fit in fits]
        silent: Progress = lambda share, text: None  # noqa: E731
        # What was scored stays: it is about where the scene saw the object.
        (record,), scored = self._pairs(
            points, scene, [moved], q_now, silent, should_stop, avoid, fits
        )
        if record.code != Code.OK:
            raise _error(record.code, record.reason)
        pair = scored.pairs[candidate.candidate_id]
        return self._assembled(
            scored, pair, scene, candidate.candidate_id, np.asarray(q_now, float)
        )

    def carry_on(
        self, plan: ExecutionPlan, scene: CollisionScene, T_moved: Array, q_now: Array, first: int
    ) -> ExecutionPlan:
        """Plan the rest of a carry from where the object really is in the gripper.

        Whatever has moved the object against the gripper since the plan was made (fingers that
        closed off centre, slip, a camera that errs over a distance) is taken out: from now on the
        gripper moves so that the object, not the gripper, is where the flow wants it.

        Args:
            plan: The plan so far; its `T_base_obj` is the flow.
            scene: What must not be touched.
            T_moved: (4, 4) how the object has moved since the plan's step 0, as seen.
            q_now: (N,) [rad], at rest, the object held.
            first: Step of the flow that the object is at.

        Returns:
            The plan with the segments that are left: carry to just before the end, place, and,
            where the object would not fall, let go, back off, return.

        Raises:
            ExecutionError: OPTIMISATION_FAILED, PLAN_COLLISION or APPROACH_NOT_FOUND.
        """
        scored = self._known(scene)
        grasp = replace(plan.grasp, T_planning_tcp=se3.inverse(T_moved) @ self.robot.tcp(q_now))
        q_end = plan.carry_end()
        middle = plan.object_points.mean(axis=0)
        wanted = meeting(plan.T_base_obj[first:], T_moved, middle) @ grasp.T_planning_tcp
        carry = scored.check.follow(wanted, grasp, q_now, q_end)
        carry[0] = q_now
        held, after = self._after(scored, scene, carry[-1], grasp.width_m, plan.T_base_obj[-1])
        segments = (*self._make.carry(carry, grasp.width_m, split=True), *after)
        return replace(plan, grasp=grasp, segments=segments, held=held)

    def lift_off(
        self, plan: ExecutionPlan, scene: CollisionScene, q_now: Array, height_m: float
    ) -> ExecutionPlan:
        """Plan to raise what is held straight off what it caught on, by `height_m`.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND where that leads into something.
        """
        scored = self._known(scene)
        path = straight(self.robot, q_now, self.robot.tcp(q_now), height_m * scene.support.normal)
        if path is not None:
            clear = self.solver.clearance(scored.check.carrying(plan.grasp), path)
            # Where it stands it may touch what it caught on; from there it only gets better.
            if clear.min() < min(float(clear[0]), 0.0) - CLOSER_M:
                path = None
        if path is None:
            raise ExecutionError(
                Code.APPROACH_NOT_FOUND,
                f"what is held cannot be raised by {1e3 * height_m:.0f} mm to let it down again",
            )
        return replace(plan, segments=self._make.carry(path, plan.grasp.width_m, name="lift off"))

    def held_motion(self, plan: ExecutionPlan, q: Array) -> Array:
        """How a gripper at joints `q` (N,) has moved what it holds since the plan's step 0."""
        return np.asarray(self.robot.tcp(q) @ se3.inverse(plan.grasp.T_planning_tcp))

    def put_back(
        self,
        plan: ExecutionPlan,
        scene: CollisionScene,
        q_now: Array,
        T_moved: Array | None = None,
    ) -> ExecutionPlan:
        """Plan the way back of an object that is held, to where it was taken.

        Args:
            plan: The one that was carried out, as it was at its end.
            scene: In which it was planned.
            q_now: (N,) [rad], at rest, the object held.
            T_moved: (4, 4) how the object has moved since the plan's step 0, as seen; None: as the
                gripper has moved it.

        Raises:
            ExecutionError: OPTIMISATION_FAILED, PLAN_COLLISION or APPROACH_NOT_FOUND: then it must
                be taken out by hand.
        """
        scored = self._known(scene)
        middle = plan.object_points.mean(axis=0)
        T_now = self.held_motion(plan, q_now) if T_moved is None else T_moved
        grasp = replace(plan.grasp, T_planning_tcp=se3.inverse(T_now) @ self.robot.tcp(q_now))
        back = plan.T_base_obj[::-1].copy()
        first = min(nearest_step(back, T_now, middle), len(back) - 2)
        back = meeting(back[first:], T_now, middle)
        rise = PUT_BACK_HEIGHT_M * np.linspace(0.0, 1.0, len(back))
        back[:, :3, 3] += rise[:, None] * scene.support.normal
        path = scored.check.follow(back @ grasp.T_planning_tcp, grasp, q_now, plan.q_grasp)
        path[0] = q_now
        carry = self._make.carry(path, grasp.width_m, name="put back")
        _, after = self._after(scored, scene, path[-1], grasp.width_m, np.eye(4))
        return replace(plan, grasp=grasp, T_base_obj=back, segments=(*carry, *after), held="")

    def let_go_here(
        self, plan: ExecutionPlan, scene: CollisionScene, T_moved: Array, q_now: Array
    ) -> ExecutionPlan:
        """Plan to end where the object is: let go, back off, return.

        Args:
            plan: The plan so far.
            scene: What must not be touched.
            T_moved: (4, 4) how the object has moved since the plan's step 0.
            q_now: (N,) [rad], at rest, the object held.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND, or OPTIMISATION_FAILED without a plan to end.
        """
        scored = self._known(scene)
        _, segments = self._after(scored, scene, q_now, plan.grasp.width_m, T_moved)
        return replace(plan, segments=segments)

    def let_go(self, plan: ExecutionPlan, scene: CollisionScene, q_now: Array) -> ExecutionPlan:
        """Plan to open the fingers and back off, after a grasp that failed.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND.
        """
        segments = self._make.open_again(scene, q_now, plan.grasp.width_m)
        return replace(plan, segments=segments)

    def _known(self, scene: CollisionScene) -> _Scored:
        """What the last plan was assembled from; an ExecutionError if that was another scene."""
        scored = self._assembled_from
        if scored is None or scored.scene_id != scene.scene_id:
            raise ExecutionError(
                Code.OPTIMISATION_FAILED,
                f"nothing is known of a plan in scene {scene.scene_id}; what the gripper still "
                "holds must be taken out by hand",
            )
        return scored

    def _assembled(
        self,
        scored: _Scored,
        pair: FeasiblePair,
        scene: CollisionScene,
        candidate_id: str,
        q_now: Array,
    ) -> ExecutionPlan:
        self._assembled_from = scored
        grasp, make = pair.start.grasp, self._make
        opening = grasp.width_m
        carry = pair.solution.q
        descent = make.descent(pair.start, carry[0], scored.check)
        if descent is None:
            descent = pair.start.descent
            wanted = pair.motion.poses @ grasp.T_planning_tcp
            carry = scored.check.follow(wanted, grasp, descent[-1], carry[-1])
        carry[0] = descent[-1]
        held, after = self._after(scored, scene, carry[-1], opening, pair.motion.poses[-1])
        segments = (
            *make.take(scored.scene_with_target(scene, None), q_now, descent, opening),
            *(make.pull if scored.on_joint else make.carry)(carry, opening),
            *after,
        )
        return ExecutionPlan(
            scene.scene_id,
            candidate_id,
            grasp,
            segments,
            pair.motion.poses,
            scored.spheres,
            carry[0],
            held,
        )

    def _after(
        self,
        scored: _Scored,
        scene: CollisionScene,
        q_end: Array,
        opening: float,
        T_placed: Array,
    ) -> tuple[str, tuple[Segment, ...]]:
        """Let go of the object, which `T_placed` (4, 4) has brought here, back off, go home.

        Returns:
            "" and what to do; or why the object stays in the gripper, and nothing to do.
        """
        # What moves on a joint stands in what it is a part of.
        if not scored.on_joint and (held := why_held(scored.shape, T_placed, scene)):
            return held, ()
        after = scored.scene_with_target(scene, T_placed)
        return "", self._make.leave(scene, after, q_end, opening)

    def free(
        self, collision: CollisionModel, q_from: Array, q_to: Array, name: str
    ) -> JointTrajectory:
        """Move freely; see `SegmentMaker.free`."""
        return self._make.free(collision, q_from, q_to, name)


def _with_target(scene: CollisionScene, shape: ObjectShape, T_moved: Array) -> CollisionScene:
    """The scene with the object as one more box, where a motion has put it."""
    low, high = shape.solid.min(axis=0), shape.solid.max(axis=0)
    low[2] = 0.0
    place = shape.T_planning_support @ se3.from_rt(np.eye(3), 0.5 * (low + high))
    box = Box(TARGET_BOX, T_moved @ place, high - low)
    return replace(scene, obstacles=(*scene.obstacles, box))


def _error(code: Code, reason: str) -> NovaflowError:
    """The exception of a code that a candidate was refused with."""
    band = int(code) // 100
    return {5: GraspError, 6: ExecutionError}.get(band, NovaflowError)(code, reason)
