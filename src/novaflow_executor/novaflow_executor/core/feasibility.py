"""Which grasp can carry the object along which flow: every pair over the whole motion.

Cheap questions first, all pairs at once: can the arm reach the grasp, back off from it and hold the
object where the flow ends, without touching anything? The best pairs of each candidate are then
solved as whole paths, in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import CandidateFeasibility, FlowCandidate
from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_core.grasp import Grasp
from novaflow_core.grounding import CollisionScene
from novaflow_executor.core import ik
from novaflow_executor.core.approach import straight
from novaflow_executor.core.collision import Carried, CollisionModel
from novaflow_executor.core.flow_poses import ObjectMotion, object_motion, raised, tcp_poses
from novaflow_executor.core.making_room import making_room
from novaflow_executor.core.motion import FollowProblem, FollowSolution, FollowWeights, MotionSolver
from novaflow_executor.core.on_joint import is_on_joint
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.visibility import Sightlines

Array = NDArray[np.float64]

START_OFF_RAD = 0.1  # a path that begins farther from where the arm stands would jump there
LEVER_M = 0.03  # of an object's weight about the closing axis
UNSEEN = 0.35  # what a grasp is worth that hides the object, against one that leaves it in sight
_SIGHT_STEPS = 5
CORRECTION_SLACK_M = 0.003  # a few millimetres of correction may use up a part of the margin


@dataclass(frozen=True)
class FeasibilityLimits:
    """When a pair of grasp and candidate counts as feasible.

    Attributes:
        standoff_m: Length of the straight motion to the grasp and back.
        release_height_m: Height at which the object is let go above where the flow puts it.
        position_m: Largest tracking error between the ends.
        end_position_m: Largest tracking error at the ends.
        orientation_rad: Largest tracking error.
        clearance_m: Smallest distance to the scene along the flow.
        step_rad: Largest joint motion between steps.
        starts: Grasps (of either half turn) that are looked at for the flows' ends.
        solved: Pairs per candidate that are solved in one round.
        rounds: Of solving until one pair is feasible.
        raised_m: How much higher a flow is tried whose way is blocked for every grasp.
    """

    standoff_m: float = 0.09
    release_height_m: float = 0.003
    position_m: float = 0.015
    end_position_m: float = 0.004
    orientation_rad: float = 0.15
    clearance_m: float = -0.001
    step_rad: float = 0.5
    starts: int = 60
    solved: int = 12
    rounds: int = 5
    raised_m: tuple[float, ...] = (0.03, 0.06, 0.10)


@dataclass(frozen=True)
class GraspStart:
    """A grasp that the arm reaches.

    Attributes:
        grasp: With its half turn applied.
        q: (N,) at the grasp [rad].
        descent: (M, N) straight path from the standoff to the grasp.
        clearance_m: At the grasp and on the descent.
        comfort: 0..1, distance from joint limits and from singular poses.
    """

    grasp: Grasp
    q: Array
    descent: Array
    clearance_m: float
    comfort: float


@dataclass(frozen=True)
class FeasiblePair:
    """A grasp and a candidate that fit, with the solution to carry out.

    Attributes:
        start: The grasp.
        motion: Of the object.
        solution: Joint path along the flow.
        score: 0..1.
    """

    start: GraspStart
    motion: ObjectMotion
    solution: FollowSolution
    score: float


@dataclass
class _Tally:
    """Why pairs of one candidate fell out, for people."""

    pairs: int = 0
    end_unreachable: int = 0
    end_blocked: int = 0
    path_blocked: int = 0
    path_off: int = 0

    def text(self) -> str:
        parts = [
            (self.end_unreachable, "cannot reach the flow's end"),
            (self.end_blocked, "would touch something at the flow's end"),
            (self.path_blocked, "would touch something on the way"),
            (self.path_off, "cannot follow the flow"),
        ]
        return ", ".join(f"{count} {what}" for count, what in parts if count)


class FeasibilityCheck:
    """Scores candidates for one robot, scene and object.

    Args:
        robot: The arm.
        solver: Motion backend.
        scene: What must not be touched, base frame.
        spheres: (P, 3) centres of spheres that fill the object at step 0 [m].
        sphere_radius_m: Their radius.
        limits: When a pair counts as feasible.
        fits: Motions (4, 4) of the object after which it fits into its reference exactly.
        seen: (N, 3) of the object as the cameras saw it [m]; None where sight does not matter.
        borne: Whether the gripper bears the object's weight: what moves on a joint, the joint does.
    """

    def __init__(
        self,
        robot: RobotModel,
        solver: MotionSolver,
        scene: CollisionScene,
        spheres: Array,
        sphere_radius_m: float,
        limits: FeasibilityLimits,
        fits: Sequence[Array] = (),
        seen: Array | None = None,
        *,
        borne: bool = True,
    ) -> None:
        """Keep what is shared by all candidates."""
        eyes = () if seen is None else scene.eyes
        self._borne = borne
        self._sight = Sightlines(robot, np.zeros((0, 3)) if seen is None else seen, eyes)
        self._fits = tuple(fits)
        self.robot, self.solver, self.scene, self.limits = robot, solver, scene, limits
        self._spheres, self._radius = spheres, sphere_radius_m
        self._models: dict[float, CollisionModel] = {}
        # Obstacles are larger than things: one that the object already overlaps gives way to it.
        self._carry_scene = making_room(scene, spheres, sphere_radius_m)

    def model(self, opening_m: float) -> CollisionModel:
        """Collision model without the object; rounded openings let few models serve all."""
        rounded = min(np.ceil(opening_m / 0.01) * 0.01, self.robot.settings.gripper.max_opening)
        if rounded not in self._models:
            self._models[rounded] = CollisionModel(self.robot, self.scene, rounded)
        return self._models[rounded]

    def carrying(self, grasp: Grasp) -> CollisionModel:
        """Collision model with the object held; it may touch the support and the references."""
        T_tcp_base = np.linalg.inv(grasp.T_planning_tcp)
        points = self._spheres @ T_tcp_base[:3, :3].T + T_tcp_base[:3, 3]
        free = {"support"} | {
            item.name for item in self.scene.obstacles if item.name.startswith("reference")
        }
        carried = Carried(points, self._radius, frozenset(free))
        return CollisionModel(self.robot, self._carry_scene, grasp.width_m, carried)

    def starts(self, grasps: Sequence[Grasp], q_now: Array) -> tuple[list[GraspStart], str]:
        """Grasps that the arm reaches, best first, and a sentence on those that it does not."""
        if not grasps:
            return [], "no grasps"
        flip = np.diag([-1.0, -1.0, 1.0, 1.0])
        both = [
            replace(g, T_planning_tcp=g.T_planning_tcp @ f)
            for g in grasps
            for f in (np.eye(4), flip)
        ]
        wanted = np.stack([g.T_planning_tcp for g in both])
        found = ik.solve(self.robot, wanted, seeds=3)
        reached = np.flatnonzero(found.found)
        blocked = jumped = 0
        out: list[GraspStart] = []
        clear = self._clearances([both[i] for i in reached], found.q[reached])
        comfort = self._comfort(found.q[reached])
        order = np.argsort(-comfort * np.array([both[i].score for i in reached]))
        for k in order:
            i = reached[k]
            if clear[k] < 0:
                blocked += 1
                continue
            if len(out) >= self.limits.starts:
                break
            offset = -self.limits.standoff_m * wanted[i][:3, 2]
            back = straight(self.robot, found.q[i], wanted[i], offset)
            if back is None:
                jumped += 1
                continue
            clearance = float(self.solver.clearance(self.model(both[i].width_m), back).min())
            if clearance < 0:
                blocked += 1
                continue
            out.append(GraspStart(both[i], found.q[i], back[::-1], clearance, float(comfort[k])))
        text = (
            f"of {len(both)} placements of the gripper {len(both) - len(reached)} are "
            "out of reach, "
            f"{blocked} touch the scene, {jumped} have no straight approach"
        )
        return out, text

    def score(
        self,
        candidates: Sequence[FlowCandidate],
        starts: list[GraspStart],
        why_not: str,
        on_progress: Callable[[float, str], None],
        should_stop: Callable[[], bool],
    ) -> tuple[list[CandidateFeasibility], dict[str, FeasiblePair]]:
        """Records in the order of the candidates, and the best pair of each feasible one, by id."""
        records, pairs = [], {}
        for k, candidate in enumerate(candidates):
            if should_stop():
                raise PlatformError(Code.CANCELLED, f"scoring was cancelled at candidate {k + 1}")
            on_progress(k / len(candidates), f"candidate {k + 1} of {len(candidates)}")
            try:
                record, pair = self._one(candidate, starts, why_not)
            except NovaflowError as error:
                record, pair = _refused(candidate, error.code, error.reason, len(starts)), None
            records.append(record)
            if pair is not None:
                pairs[candidate.candidate_id] = pair
        return records, pairs

    def follow(self, T_base_tcp: Array, grasp: Grasp, q_now: Array, q_end: Array) -> Array:
        """Joint path (T, N) along TCP poses (T, 4, 4) from where the arm stands, the object held.

        Args:
            T_base_tcp: Wanted poses [m].
            grasp: Where the gripper holds the object, about its place at step 0.
            q_now: (N,) [rad].
            q_end: (N,) near the end [rad].

        Raises:
            ExecutionError: OPTIMISATION_FAILED or PLAN_COLLISION, with numbers.
        """
        end = ik.iterate(self.robot, T_base_tcp[-1:], np.asarray(q_end)[None], rest_gain=0.0)
        problem = FollowProblem(T_base_tcp, q_now, end.q[0], self.carrying(grasp), FollowWeights())
        solution = self.solver.solve(problem)
        if float(np.abs(solution.q[0] - q_now).max()) > START_OFF_RAD:
            solution = self._from_here(problem)
        clear = float(solution.clearance_m.min())
        if clear < self.limits.clearance_m - CORRECTION_SLACK_M:
            raise ExecutionError(
                Code.PLAN_COLLISION,
                f"from where the object is, the rest of the flow leads {-1e3 * clear:.0f} mm into "
                "something",
                {"clearance_m": clear},
            )
        if not self._follows(solution):
            leap = float(np.abs(np.diff(solution.q, axis=0)).max())
            beyond = float(np.abs(self.robot.limits.violation(solution.q)).max())
            raise ExecutionError(
                Code.OPTIMISATION_FAILED,
                "from where the object is, the arm cannot follow the rest of the flow: up to "
                f"{1e3 * solution.position_error_m.max():.0f} mm and "
                f"{np.degrees(solution.orientation_error_rad.max()):.0f} deg off, a joint turns by "
                f"{np.degrees(leap):.0f} deg in one step ({np.degrees(self.limits.step_rad):.0f} "
                f"allowed) and comes {np.degrees(beyond):.1f} deg too near to its limit",
            )
        return solution.q.copy()

    def _from_here(self, problem: FollowProblem) -> FollowSolution:
        """Follow step by step from `q_start`, each step as near to the last one as it can be.

        The solver holds a start by its pose alone: a short way slides as a whole to joints that its
        end or the rest pose likes better, and would begin with a jump.
        """
        steps = [problem.q_start]
        for pose in problem.T_base_tcp[1:]:
            steps.append(ik.iterate(self.robot, pose[None], steps[-1][None], rest_gain=0.0).q[0])
        q, wanted = np.stack(steps), problem.T_base_tcp
        reached = self.robot.tcp(q)
        turn = np.swapaxes(reached[:, :3, :3], 1, 2) @ wanted[:, :3, :3]
        return FollowSolution(
            q,
            float("nan"),
            0,
            np.linalg.norm(reached[:, :3, 3] - wanted[:, :3, 3], axis=1),
            se3.rotation_angle(turn),
            self.solver.clearance(problem.collision, q),
        )

    def _one(
        self, candidate: FlowCandidate, starts: list[GraspStart], why_not: str
    ) -> tuple[CandidateFeasibility, FeasiblePair | None]:
        if candidate.code != Code.OK or candidate.flow is None:
            return _refused(candidate, candidate.code, candidate.reason, 0), None
        settings = self.robot.settings
        on_joint = is_on_joint(candidate.flow)  # it is not lifted, and goes where its joint leads
        motion = object_motion(
            candidate.flow,
            self.scene.support,
            0.0 if on_joint else self.limits.release_height_m,
            settings.workspace_min,
            settings.workspace_max,
            () if on_joint else self._fits,
        )
        if not starts:
            return _refused(candidate, Code.NO_FEASIBLE_GRASP, why_not, 0), None
        tally = _Tally(pairs=len(starts))
        ranked = self._ranked(motion, starts, tally)
        for height_m in (0.0, *self.limits.raised_m):
            if height_m and (on_joint or not tally.path_blocked):
                break  # nothing stands in the way: higher is not better
            higher = raised(motion, height_m, self.scene.support.normal) if height_m else motion
            best = self._best(higher, ranked, tally)
            if best is not None:
                over = f", raised by {1e3 * height_m:.0f} mm over what is in the way"
                text = (
                    f"follows all {candidate.flow.steps} steps within "
                    f"{1e3 * best.solution.position_error_m.max():.1f} mm, "
                    f"{1e3 * best.solution.clearance_m.min():.0f} mm clear of the scene"
                    f"{over if height_m else ''}"
                )
                record = CandidateFeasibility(
                    candidate.candidate_id,
                    True,
                    Code.OK,
                    text,
                    best.score,
                    best.start.grasp,
                    len(starts),
                )
                return record, best
        reason = f"of {tally.pairs} grasps {tally.text()}"
        return _refused(candidate, Code.NO_FEASIBLE_GRASP, reason, len(starts)), None

    def _best(
        self, motion: ObjectMotion, ranked: list[tuple[GraspStart, Array]], tally: _Tally
    ) -> FeasiblePair | None:
        """The best pair of the first round that has one; the tally is of this motion alone."""
        tally.path_blocked = tally.path_off = 0
        for round_ in range(self.limits.rounds):
            part = ranked[round_ * self.limits.solved : (round_ + 1) * self.limits.solved]
            good = self._solve(motion, part, tally)
            if good:
                return max(good, key=lambda pair: pair.score)
        return None

    def _ranked(
        self, motion: ObjectMotion, starts: list[GraspStart], tally: _Tally
    ) -> list[tuple[GraspStart, Array]]:
        """Grasps whose end is reachable and free, best first, with the joints at the end."""
        ends = np.stack([tcp_poses(motion, s.grasp.T_planning_tcp)[-1] for s in starts])
        found = ik.iterate(self.robot, ends, np.stack([s.q for s in starts]), rest_gain=0.02)
        missed = np.flatnonzero(~found.found)
        q, reached = found.q.copy(), found.found.copy()
        if len(missed):
            again = ik.solve(self.robot, ends[missed], seeds=3)
            q[missed], reached[missed] = again.q, again.found
        tally.end_unreachable = int((~reached).sum())
        clear = self._clearances([s.grasp for s in starts], q)
        tally.end_blocked = int((reached & (clear < 0)).sum())
        comfort = self._comfort(q)
        usable = [i for i in range(len(starts)) if reached[i] and clear[i] >= 0]
        travel = np.array([np.abs(q[i] - s.q).max() for i, s in enumerate(starts)])
        both = np.stack([[s.q for s in starts], q], axis=1)
        kept = self._steady_in_sight([s.grasp for s in starts], both, motion.poses[[0, -1]])
        value = {
            i: starts[i].grasp.score
            * np.sqrt(starts[i].comfort * comfort[i])
            * np.exp(-travel[i] / 4.0)
            * kept[i]
            for i in usable
        }
        return [(starts[i], q[i]) for i in sorted(usable, key=lambda i: -value[i])]

    def _solve(
        self, motion: ObjectMotion, part: list[tuple[GraspStart, Array]], tally: _Tally
    ) -> list[FeasiblePair]:
        problems = [
            FollowProblem(
                tcp_poses(motion, start.grasp.T_planning_tcp),
                start.q,
                q_end,
                self.carrying(start.grasp),
                FollowWeights(),
            )
            for start, q_end in part
        ]
        out = []
        for (start, _), solution in zip(part, self.solver.solve_batch(problems), strict=True):
            if float(solution.clearance_m.min()) < self.limits.clearance_m:
                tally.path_blocked += 1
            elif not self._follows(solution):
                tally.path_off += 1
            else:
                some = np.linspace(0, len(solution.q) - 1, _SIGHT_STEPS).astype(int)
                kept = self._steady_in_sight(
                    [start.grasp], solution.q[None, some], motion.poses[some]
                )
                value = self._value(start, solution) * float(kept[0])
                out.append(FeasiblePair(start, motion, solution, value))
        return out

    def _follows(self, solution: FollowSolution) -> bool:
        limits, error = self.limits, solution.position_error_m
        outside = np.abs(self.robot.limits.violation(solution.q)).max()
        return bool(
            error.max() <= limits.position_m
            and max(error[0], error[-1]) <= limits.end_position_m
            and solution.orientation_error_rad.max() <= limits.orientation_rad
            and np.abs(np.diff(solution.q, axis=0)).max() <= limits.step_rad
            and outside < 0.5 * self.robot.settings.limit_margin
        )

    def _value(self, start: GraspStart, solution: FollowSolution) -> float:
        comfort = float(self._comfort(solution.q).min())
        room = float(np.clip(solution.clearance_m.min() / 0.02, 0.0, 1.0))
        track = float(np.exp(-solution.position_error_m.max() / 0.02))
        return float(
            np.clip(start.grasp.score, 0, 1) ** 0.5
            * np.sqrt(start.comfort * comfort)
            * (0.7 + 0.3 * room)
            * track
        )

    def _steady_in_sight(self, grasps: Sequence[Grasp], q: Array, poses: Array) -> Array:
        """0..1 (B,): does the object stay as it is between the pads, and in sight, on its way?

        Args:
            grasps: B of them.
            q: (B, T, N) joints.
            poses: (T, 4, 4) motion of the object.
        """
        tcp = poses @ np.stack([grasp.T_planning_tcp for grasp in grasps])[:, None]
        weight = poses[:, :3, :3] @ self._spheres.mean(axis=0) + poses[:, :3, 3] - tcp[..., :3, 3]
        # Weight beside the closing axis turns the object between the pads; along it, it cannot.
        arm = np.cross(weight, self.scene.support.normal)
        lever = np.abs(np.einsum("bti,bti->bt", arm, tcp[..., :3, 0])).max(axis=1)
        steady = np.exp(-((lever / LEVER_M) ** 2)) if self._borne else np.ones(len(grasps))
        moved = np.broadcast_to(poses, tcp.shape).reshape(-1, 4, 4)
        width = max(grasp.width_m for grasp in grasps)
        seen = self._sight.open_share(q.reshape(-1, q.shape[-1]), moved, width)
        seen = seen.reshape(len(grasps), -1)
        sight = 0.5 * (seen.min(axis=1) + seen.mean(axis=1))
        return np.asarray(steady * (UNSEEN + (1.0 - UNSEEN) * sight))

    def _clearances(self, grasps: Sequence[Grasp], q: Array) -> Array:
        out = np.zeros(len(grasps))
        openings = np.array([g.width_m for g in grasps])
        for model in {id(self.model(o)): self.model(o) for o in openings}.values():
            mine = np.array([self.model(o) is model for o in openings])
            out[mine] = self.solver.clearance(model, q[mine])
        return out

    def _comfort(self, q: Array) -> Array:
        """0..1 for configurations (B, N): room to joint limits times distance from singularity."""
        limits = self.robot.limits
        room = np.minimum(q - limits.lower, limits.upper - q).min(axis=1) if len(q) else np.zeros(0)
        jacobian = self.robot.jacobian(q)
        volume = np.sqrt(np.maximum(np.linalg.det(jacobian @ np.swapaxes(jacobian, 1, 2)), 0))
        comfort = np.clip(0.2 + room / 0.5, 0.0, 1.0) * np.clip(0.2 + volume / 0.06, 0.0, 1.0)
        return np.asarray(comfort)


def _refused(candidate: FlowCandidate, code: Code, reason: str, tried: int) -> CandidateFeasibility:
    return CandidateFeasibility(candidate.candidate_id, True, code, reason, 0.0, None, tried)
