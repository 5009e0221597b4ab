"""Facade of the executor's core: score candidates, plan an execution; nothing moves here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import CandidateFeasibility, FlowCandidate
from novaflow_core.errors import Code, ExecutionError, GraspError, NovaflowError, PlatformError
from novaflow_core.grounding import Box, CollisionScene
from novaflow_core.registry import load_backend
from novaflow_core.scene import Plane
from novaflow_executor.core.approach import free_path, straight
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.feasibility import FeasibilityCheck, FeasibilityLimits, FeasiblePair
from novaflow_executor.core.grasps import (
    GraspProposer,
    GraspRequest,
    ObjectShape,
    carried_spheres,
    object_shape,
)
from novaflow_executor.core.motion import FollowProblem, MotionSolver
from novaflow_executor.core.plan import (
    Contact,
    ExecutionPlan,
    GripperCommand,
    JointTrajectory,
    Phase,
    Segment,
)
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.robot_settings import load_robot_settings
from novaflow_executor.core.timing import TimingLimits, joined, time_path

Array = NDArray[np.float64]
Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]

SPHERE_SPACING_M = 0.02
TARGET_BOX = "target"


@dataclass(frozen=True)
class PlannerSettings:
    """How plans are made.

    Attributes:
        speed: Share of the arm's velocity and acceleration limits, 0..1.
        free_m_s: Speed of the TCP without the object [m/s].
        descend_m_s: Speed towards and away from the object [m/s].
        carry_m_s: Speed with the object [m/s].
        place_m_s: Speed over the last `place_m` of the carry [m/s].
        place_m: [m].
        feasibility: When a pair of grasp and candidate counts as feasible.
    """

    speed: float = 0.5
    free_m_s: float = 0.6
    descend_m_s: float = 0.12
    carry_m_s: float = 0.25
    place_m_s: float = 0.06
    place_m: float = 0.05
    feasibility: FeasibilityLimits = field(default_factory=FeasibilityLimits)


@dataclass
class _Scored:
    """What `score` leaves for `plan`."""

    scene_id: str
    check: FeasibilityCheck
    shape: ObjectShape
    spheres: Array
    pairs: dict[str, FeasiblePair]


class MotionPlanner:
    """Grasps, feasibility and plans for one robot. The planning frame is the arm's base link.

    Args:
        robot: The arm.
        proposer: Grasp backend.
        solver: Motion backend.
        settings: How plans are made.
    """

    def __init__(
        self,
        robot: RobotModel,
        proposer: GraspProposer,
        solver: MotionSolver,
        settings: PlannerSettings,
    ) -> None:
        """Keep the parts."""
        self.robot, self.proposer, self.solver, self.settings = robot, proposer, solver, settings
        self._scored: _Scored | None = None

    @classmethod
    def from_files(
        cls,
        urdf_text: str,
        settings_path: str,
        *,
        grasps: str = "antipodal",
        motion: str = "trajopt",
        speed: float = 0.5,
    ) -> MotionPlanner:
        """Build from /robot_description, the robot's YAML file and names of backends.

        Args:
            urdf_text: The arm's URDF.
            settings_path: YAML with tip, TCP, capsules, gripper, limits.
            grasps: Backend of the stage `grasps`.
            motion: Backend of the stage `motion`.
            speed: Share of the velocity and acceleration limits that plans may use, 0..1.

        Raises:
            NovaflowError: UNKNOWN_BACKEND or INVALID_SETTING.
        """
        robot = RobotModel(urdf_text, load_robot_settings(settings_path))
        return cls(
            robot,
            load_backend("grasps", grasps)(),
            load_backend("motion", motion)(robot),
            PlannerSettings(speed=speed),
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
    ) -> tuple[CandidateFeasibility, ...]:
        """Score every pair of grasp and candidate over the whole motion; one record per candidate.

        Candidates whose code is not OK get a record with that code. The grasps and solutions are
        kept for `plan` until the next scene.

        Raises:
            GraspError: NO_GRASP, when the object offers no grasp at all.
            PlatformError: CANCELLED when `should_stop` turned true.
        """
        self._scored = None
        on_progress(0.0, "proposing grasps")
        gripper = self.robot.settings.gripper
        grasps = self.proposer.propose(GraspRequest(target_points, scene, gripper))
        shape = object_shape(target_points, scene.support)
        spheres = carried_spheres(shape, SPHERE_SPACING_M)
        check = FeasibilityCheck(
            self.robot,
            self.solver,
            scene,
            spheres,
            SPHERE_SPACING_M / 2,
            self.settings.feasibility,
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
        self._scored = _Scored(scene.scene_id, check, shape, spheres, pairs)
        return tuple(replace(r, grasps_tried=len(grasps)) for r in records)

    def plan(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidate: FlowCandidate,
        q_now: Array,
        on_progress: Progress = lambda share, text: None,
        should_stop: ShouldStop = lambda: False,
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
                target_points, scene, [candidate], q_now, on_progress, should_stop
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

    def _assembled(
        self,
        scored: _Scored,
        pair: FeasiblePair,
        scene: CollisionScene,
        candidate_id: str,
        q_now: Array,
    ) -> ExecutionPlan:
        grasp, gripper = pair.start.grasp, self.robot.settings.gripper
        opening = grasp.width_m
        carry, descent = pair.solution.q, pair.start.descent.copy()
        # The optimiser leaves the start by a fraction of a millimetre: the descent ends there too.
        descent[-1] = carry[0]
        before = _with_target(scene, scored.shape, np.eye(4))
        after = _with_target(scene, scored.shape, pair.motion.poses[-1])
        free = self.free(CollisionModel(self.robot, before, opening), q_now, descent[0], "approach")
        retreat = self._retreat(carry[-1], scene, opening)
        home = self.free(
            CollisionModel(self.robot, after, opening), retreat[-1], self.home, "return"
        )
        s = self.settings
        open_, close = (
            GripperCommand(opening, gripper.max_force),
            GripperCommand(0.0, gripper.max_force, grasps=True),
        )
        slow = TimingLimits(s.speed, s.descend_m_s, s.descend_m_s / 2, 0.02)
        away = TimingLimits(s.speed, s.descend_m_s)
        hold = TimingLimits(s.speed, s.carry_m_s, s.place_m_s, s.place_m)
        segments = (
            Segment(Phase.APPROACH, "open the gripper", None, open_, opening),
            Segment(Phase.APPROACH, "reach", free, None, opening),
            Segment(
                Phase.APPROACH,
                "descend",
                time_path(self.robot, descent, slow),
                None,
                opening,
                Contact.TARGET,
            ),
            Segment(Phase.GRASP, "close", None, close, opening, Contact.TARGET),
            Segment(
                Phase.CARRY,
                "carry",
                time_path(self.robot, carry, hold),
                None,
                opening,
                Contact.CARRIED,
            ),
            Segment(Phase.RELEASE, "let go", None, open_, opening, Contact.TARGET),
            Segment(
                Phase.RETREAT,
                "back off",
                time_path(self.robot, retreat, away),
                None,
                opening,
                Contact.TARGET,
            ),
            Segment(Phase.RETREAT, "return", home, None, opening),
        )
        return ExecutionPlan(
            scene.scene_id, candidate_id, grasp, segments, pair.motion.poses, scored.spheres
        )

    def free(
        self, collision: CollisionModel, q_from: Array, q_to: Array, name: str
    ) -> JointTrajectory:
        """Move freely: straight pieces, at rest at every corner, so that nothing is cut.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND, with what is in the way.
        """
        waypoints = free_path(collision, q_from, q_to, name, clearance=self.solver.clearance)
        limits = TimingLimits(self.settings.speed, self.settings.free_m_s)
        pieces = [
            time_path(self.robot, waypoints[i : i + 2], limits) for i in range(len(waypoints) - 1)
        ]
        return joined(pieces)

    def _retreat(self, q_end: Array, scene: CollisionScene, opening: float) -> Array:
        """Straight back along the approach axis, or straight up."""
        T_base_tcp = self.robot.tcp(q_end)
        model = CollisionModel(self.robot, scene, opening)
        length = self.settings.feasibility.standoff_m
        for direction in (-T_base_tcp[:3, 2], scene.support.normal):
            for share in (1.0, 0.7):
                path = straight(self.robot, q_end, T_base_tcp, share * length * direction)
                if path is not None and self.solver.clearance(model, path).min() > -0.002:
                    return path
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"the gripper has no free straight way of {700 * length:.0f} mm out of the release",
        )


def _with_target(scene: CollisionScene, shape: ObjectShape, T_moved: Array) -> CollisionScene:
    """The scene with the object as one more box, where a motion has put it."""
    low, high = shape.solid.min(axis=0), shape.solid.max(axis=0)
    low[2] = 0.0
    place = shape.T_planning_support @ se3.from_rt(np.eye(3), 0.5 * (low + high))
    box = Box(TARGET_BOX, T_moved @ place, high - low)
    return replace(scene, boxes=(*scene.boxes, box))


def _error(code: Code, reason: str) -> NovaflowError:
    """The exception of a code that a candidate was refused with."""
    band = int(code) // 100
    return {5: GraspError, 6: ExecutionError}.get(band, NovaflowError)(code, reason)
