"""Problems for benchmarks/trajopt.py, and a judge that shares no code with any solver.

Every problem has a table, two boxes, a rod and a ball, so that a compiler sees one shape; in an
uncluttered one the last four stand out of reach.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1] / "src" / "novaflow_executor" / "test" / "graph"))

import fr3_description

from novaflow_core import se3
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_executor.core import ik
from novaflow_executor.core.collision import Carried, CollisionModel
from novaflow_executor.core.motion import FollowProblem
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.robot_settings import load_robot_settings

Array = NDArray[np.float64]

EXECUTOR = Path(__file__).parents[1] / "src" / "novaflow_executor"
OPENING_M = 0.04
SHIFT_M = (0.010, -0.008, 0.008)  # of the rest of a flow, when it is planned again


def fr3() -> RobotModel:
    """A Franka Research 3 with a 2F-85."""
    settings = EXECUTOR / "config" / "fr3_robotiq.yaml"
    return RobotModel(fr3_description.urdf(), load_robot_settings(settings))


@dataclass(frozen=True)
class Case:
    """A problem and the same one with its flow moved aside.

    Attributes:
        problem: To solve from the line between both ends.
        moved: To solve again from the solution of `problem`.
    """

    problem: FollowProblem
    moved: FollowProblem


def make_case(robot: RobotModel, seed: int, steps: int) -> Case:
    """Lift, carry by half a metre, turn and set down, with the noise of a lifted flow.

    Odd seeds are cluttered: a box stands under or in the way, others beside the arm.
    """
    rng = np.random.default_rng(seed)
    while True:
        share = np.linspace(0, 1, steps)[:, None]
        u = 10 * share**3 - 15 * share**4 + 6 * share**5
        first = np.array([0.48, -0.26, 0.08]) + rng.uniform(-0.04, 0.04, 3)
        last = np.array([0.50, 0.26, 0.14]) + rng.uniform(-0.04, 0.04, 3)
        lift = rng.uniform(0.14, 0.24) * np.array([0, 0, 1.0])
        place = first + (last - first) * u + lift * np.sin(np.pi * u)
        turn = np.array([rng.uniform(0, 0.7), 0.0, rng.uniform(-0.8, 0.8)])
        noise = rng.normal(0, 1, (steps, 6)) * (share > 0)
        rotation = se3.exp_so3(0.007 * noise[:, 3:]) @ se3.exp_so3(u * turn)
        poses = se3.from_rt(rotation @ np.diag([1.0, -1, -1]), place + 0.0015 * noise[:, :3])
        moved = poses.copy()
        moved[:, :3, 3] += u * SHIFT_M
        ends = ik.solve(robot, np.concatenate([poses[[0, -1]], moved[[0, -1]]]), seeds=4)
        if ends.found.all():
            break
    scene = _surroundings(rng, place[steps // 2], cluttered=bool(seed % 2))
    collision = CollisionModel(robot, scene, OPENING_M)
    q = ends.q
    return Case(
        FollowProblem(poses, q[0], q[1], collision),
        FollowProblem(moved, q[2], q[3], collision),
    )


def _surroundings(rng: np.random.Generator, middle: Array, *, cluttered: bool) -> CollisionScene:
    """What stands around the arm; out of its reach where not cluttered."""
    away = 0.0 if cluttered else 3.0
    height = middle[2] - rng.uniform(0.0, 0.06)
    spot = [middle[0] + rng.uniform(-0.06, 0.1) + away, rng.uniform(-0.1, 0.1), height / 2]
    boxes = (
        Box("under", se3.from_rt(se3.exp_so3([0, 0, rng.uniform(-1, 1)]), spot),
            np.array([0.1, 0.12, height])),
        Box("beside", se3.from_rt(se3.exp_so3([0, 0, 0.3]), [0.78 + away, 0.12, 0.2]),
            np.array([0.1, 0.3, 0.4])),
    )  # fmt: skip
    foot = np.array([rng.uniform(0.2, 0.3) + away, 0.36, 0.0])
    ball = np.array([0.22 + away, rng.uniform(-0.3, -0.2), 0.45])
    rods = (
        Capsule("rod", foot, foot + np.array([0, 0, 0.6]), 0.04),
        Sphere("ball", ball, 0.1),
    )
    table = Plane(np.array([0.0, 0, 1]), 0.0)
    return CollisionScene("bench", "fr3_link0", table, (*boxes, *rods))


def grasp_pairs(robot: RobotModel, grasps: int, flows: int) -> list[FollowProblem]:
    """Every grasp with every flow, the object held as spheres: what scoring a scene may ask."""
    rng = np.random.default_rng(7)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.03, 0.03, 4)] * 3), -1).reshape(-1, 3)
    out = []
    for flow in range(flows):
        case = make_case(robot, 5000 + 2 * flow, 41)
        for _ in range(grasps):
            held = Carried(grid + rng.normal(0, 0.004, 3) + [0, 0, 0.02], 0.01)
            scene = _surroundings(rng, case_middle(case), cluttered=True)
            model = CollisionModel(robot, scene, OPENING_M, held)
            out.append(
                FollowProblem(
                    case.problem.T_base_tcp, case.problem.q_start, case.problem.q_end, model
                )
            )
    return out


def case_middle(case: Case) -> Array:
    """Where the TCP is half-way [m]."""
    poses = case.problem.T_base_tcp
    return np.asarray(poses[len(poses) // 2, :3, 3])


class Judge:
    """The objective of a path, computed in another way than any solver does.

    Kinematics are products of 4x4 matrices; distances are minima of convex functions, found by
    narrowing brackets, with the signed distance of a box.
    """

    def __init__(self, robot: RobotModel) -> None:
        """Keep the arm's numbers."""
        self.robot = robot

    def cost(self, problem: FollowProblem, q: Array) -> float:
        """Half the sum of squared residuals of a path (T, N)."""
        w, links = problem.weights, self._links(q)
        reached = links[-1] @ self.robot.T_frame_tcp
        away = reached[:, :3, 3] - problem.T_base_tcp[:, :3, 3]
        angle = _angle(reached[:, :3, :3], problem.T_base_tcp[:, :3, :3])
        end = np.zeros(len(q), bool)
        end[[0, -1]] = True
        total = ((np.where(end, w.end_position, w.position)[:, None] * away) ** 2).sum()
        total += ((np.where(end, w.end_orientation, w.orientation) * angle) ** 2).sum()
        outside = np.clip(q - self.robot.limits.upper, 0, None)
        outside += np.clip(self.robot.limits.lower - q, 0, None)
        total += w.limit**2 * (outside**2).sum() + w.rest**2 * ((q - self.robot.home) ** 2).sum()
        total += w.smooth**2 * (np.diff(q, axis=0) ** 2).sum()
        for distance in self._distances(problem.collision, links):
            depth = np.clip(w.margin_m - distance, 0, None)
            soft = depth**2 / (2 * w.margin_m)
            value = np.where(distance < 0, w.margin_m / 2 - distance, soft)
            total += w.collision**2 * (value**2).sum()
        return 0.5 * float(total)

    def _links(self, q: Array) -> list[Array]:
        """Poses (T, 4, 4) of frames 0..N."""
        offsets, axes, turns = self.robot.joint_table()
        here = np.repeat(np.eye(4)[None], len(q), axis=0)
        out = [here]
        for i in range(self.robot.joint_count):
            move = np.repeat(np.eye(4)[None], len(q), axis=0)
            if turns[i]:
                x, y, z = axes[i]
                k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
                s, c = np.sin(q[:, i])[:, None, None], np.cos(q[:, i])[:, None, None]
                move[:, :3, :3] = np.eye(3) + s * k + (1 - c) * k @ k
            else:
                move[:, :3, 3] = axes[i] * q[:, i, None]
            here = here @ offsets[i] @ move
            out.append(here)
        return out

    def _distances(self, model: CollisionModel, links: list[Array]) -> list[Array]:
        """Distances of everything that is checked against each other, (T,) each [m]."""
        ends = []
        for frame, a, b in zip(model.frame, model.a, model.b, strict=True):
            pose = links[frame]
            ends.append([pose[:, :3, :3] @ p + pose[:, :3, 3] for p in (a, b)])
        out = [
            _between(*ends[i], *ends[j]) - model.radius[i] - model.radius[j] for i, j in model.pairs
        ]
        for c, (a, b) in enumerate(ends):
            radius, meets = model.radius[c], model.meets[c]
            if model.plane is not None and meets[0]:
                normal, offset = model.plane.normal, model.plane.offset
                out.append(np.minimum(a @ normal, b @ normal) + offset - radius)
            for k, (T_box_base, half) in enumerate(
                zip(model.T_box_base, model.box_half, strict=True)
            ):
                if meets[1 + k]:
                    out.append(_to_box(a, b, T_box_base, half) - radius)
            for k, row in enumerate(model.rods):
                if meets[1 + len(model.box_half) + k]:
                    fixed = [np.broadcast_to(p, a.shape) for p in (row[:3], row[3:6])]
                    out.append(_between(*fixed, a, b) - radius - row[6])
        return out


def _angle(a: Array, b: Array) -> Array:
    r = np.einsum("tij,tkj->tik", a, b)
    vee = np.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]])
    return np.arctan2(0.5 * np.linalg.norm(vee, axis=0), 0.5 * (np.trace(r, axis1=1, axis2=2) - 1))


def _least(value, shape: tuple[int, ...], rounds: int = 60) -> Array:
    """Least value of a convex function of 0..1, by golden sections."""
    low, high, golden = np.zeros(shape), np.ones(shape), (np.sqrt(5) - 1) / 2
    for _ in range(rounds):
        left, right = high - golden * (high - low), low + golden * (high - low)
        shrink = value(left) < value(right)
        low, high = np.where(shrink, low, left), np.where(shrink, right, high)
    return np.asarray(value(0.5 * (low + high)))


def _between(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Distance of segments ab and cd (T, 3)."""
    along = d - c
    length2 = np.maximum((along**2).sum(axis=1), 1e-18)

    def at(s: Array) -> Array:
        p = a + s[:, None] * (b - a)
        t = np.clip(((p - c) * along).sum(axis=1) / length2, 0, 1)
        return np.linalg.norm(p - c - t[:, None] * along, axis=1)

    return _least(at, (len(a),))


def _to_box(a: Array, b: Array, T_box_base: Array, half: Array) -> Array:
    """Least signed distance to a box along segments (T, 3)."""
    a, b = (p @ T_box_base[:3, :3].T + T_box_base[:3, 3] for p in (a, b))

    def at(s: Array) -> Array:
        excess = np.abs(a + s[:, None] * (b - a)) - half
        outside = np.linalg.norm(np.clip(excess, 0, None), axis=1)
        return np.asarray(outside + np.minimum(excess.max(axis=1), 0))

    return _least(at, (len(a),))
