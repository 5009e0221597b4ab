"""Motion backend `pyroki`: the same problems through PyRoki and JAX, as the reference.

Its distance from a capsule to a box is an estimate by two projections; everything else is the
same objective.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError, PlatformError
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.follow_cost import linearise, pose_error, tracking_weights
from novaflow_executor.core.motion import FollowProblem, FollowSolution, first_guess
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _World:
    """A collision model in PyRoki's records.

    Attributes:
        own: Capsules with the pairs that must not touch.
        parts: Capsules and the obstacles that these are checked against.
    """

    own: Any
    parts: tuple[tuple[Any, Any], ...]


class Pyroki:
    """Levenberg-Marquardt of jaxls over PyRoki's cost terms, compiled once per number of steps.

    The first problem of a new length, or with another set of obstacles, is compiled, which takes
    most of a minute.

    Args:
        robot: The arm.
        iterations: At most, per problem.
        tolerance: Relative decrease of the cost below which a problem is done.
        linear_solver: "dense_cholesky" or "conjugate_gradient".

    Raises:
        PlatformError: UNAVAILABLE if PyRoki is not installed, naming the command that installs it.
    """

    def __init__(
        self,
        robot: RobotModel,
        iterations: int = 100,
        tolerance: float = 1e-5,
        linear_solver: str = "dense_cholesky",
    ) -> None:
        """Import JAX and describe the arm to PyRoki."""
        try:
            import jax
            import jax_dataclasses
            import jaxlie
            import jaxls
            import pyroki
            import yourdfpy
            from loguru import logger
        except ImportError as error:
            raise PlatformError(
                Code.UNAVAILABLE,
                f"motion backend 'pyroki' needs PyRoki ({error}); "
                "install it with `./novaflow setup --with pyroki`",
            ) from error
        for library in ("pyroki", "jaxls"):
            logger.disable(library)
        self.robot = robot
        self.iterations, self.tolerance, self.linear_solver = iterations, tolerance, linear_solver
        self._jax, self._lie, self._ls, self._pk = jax, jaxlie, jaxls, pyroki
        description = yourdfpy.URDF.load(
            io.BytesIO(_urdf(robot).encode()), load_meshes=False, load_collision_meshes=False
        )
        self._arm = pyroki.Robot.from_urdf(description, default_joint_cfg=robot.home)
        names = self._arm.links.names
        self._links = np.array([names.index(f"f{i}") for i in range(robot.joint_count + 1)])
        self._tcp_link = names.index("tcp")
        self._worlds: WeakKeyDictionary[CollisionModel, _World] = WeakKeyDictionary()
        self._compiled = jax_dataclasses.jit(self._path)

    def solve(self, problem: FollowProblem) -> FollowSolution:
        """Solve one problem; see `MotionSolver`."""
        q, spent = self.optimise(problem)
        if not np.isfinite(q).all():
            raise ExecutionError(
                Code.OPTIMISATION_FAILED, f"PyRoki's path is not finite after {spent} steps"
            )
        error = pose_error(self.robot.tcp(q), problem.T_base_tcp)
        return FollowSolution(
            q=q,
            cost=float(linearise(self.robot, [problem], q[None]).cost[0]),
            iterations=spent,
            position_error_m=np.linalg.norm(error[:, :3], axis=1),
            orientation_error_rad=np.linalg.norm(error[:, 3:], axis=1),
            clearance_m=problem.collision.clearance(q, problem.weights.margin_m),
        )

    def solve_batch(self, problems: Sequence[FollowProblem]) -> list[FollowSolution]:
        """Solve problems one after the other; see `MotionSolver`."""
        return [self.solve(problem) for problem in problems]

    def clearance(self, collision: CollisionModel, q: Array, cap_m: float = 0.05) -> Array:
        """Smallest distances, by NumPy; see `MotionSolver`."""
        return collision.clearance(q, cap_m)

    def optimise(self, problem: FollowProblem) -> tuple[Array, int]:
        """Path (T, N) and the number of iterations; computed in single precision.

        Raises:
            ExecutionError: OPTIMISATION_FAILED for poses or a first guess that are not finite.
        """
        first = first_guess(problem)
        if not (np.isfinite(first).all() and np.isfinite(problem.T_base_tcp).all()):
            raise ExecutionError(
                Code.OPTIMISATION_FAILED, "a pose or the first guess of a path is not finite"
            )
        asarray = self._jax.numpy.asarray
        world, weights = self._world(problem.collision), tracking_weights(problem)
        turn_xyzw = se3.quaternion_xyzw(problem.T_base_tcp[:, :3, :3])
        w = problem.weights
        scalars = {
            name: asarray(np.array([value], np.float32))
            for name, value in (
                ("limit", w.limit),
                ("rest", w.rest),
                ("smooth", w.smooth),
                ("collision", w.collision),
                ("margin", w.margin_m),
            )
        }
        q, spent = self._compiled(
            self._arm,
            world.own,
            world.parts,
            asarray(np.roll(turn_xyzw, 1, axis=1), np.float32),
            asarray(problem.T_base_tcp[:, :3, 3], np.float32),
            asarray(first, np.float32),
            asarray(weights[:, :3], np.float32),
            asarray(weights[:, 3:], np.float32),
            scalars,
        )
        return np.asarray(q, np.float64), int(spent)

    def _path(
        self,
        arm: Any,
        own: Any,
        parts: tuple[tuple[Any, Any], ...],
        turn_wxyz: Any,
        place: Any,
        first: Any,
        position_weight: Any,
        orientation_weight: Any,
        scalars: dict[str, Any],
    ) -> tuple[Any, Any]:
        """The traced function: states the problem, solves it."""
        jnp, costs = self._jax.numpy, self._pk.costs
        steps = len(first)
        joints = arm.joint_var_cls(jnp.arange(steps))

        def shared(tree: Any) -> Any:  # by all steps
            return self._jax.tree.map(lambda x: x[None], tree)

        wanted = self._lie.SE3.from_rotation_and_translation(self._lie.SO3(turn_wxyz), place)
        one, margin, collision = shared(arm), scalars["margin"], scalars["collision"]
        terms = [
            costs.pose_cost(
                one,
                joints,
                wanted,
                target_link_index=jnp.array([self._tcp_link], dtype=jnp.int32),
                pos_weight=position_weight,
                ori_weight=orientation_weight,
            ),
            costs.limit_cost(one, joints, scalars["limit"][None]),
            costs.rest_cost(
                joints, jnp.asarray(self.robot.home, jnp.float32)[None], scalars["rest"][None]
            ),
        ]
        if steps > 1:
            after, before = jnp.arange(1, steps), jnp.arange(steps - 1)
            terms.append(
                costs.smoothness_cost(
                    arm.joint_var_cls(after), arm.joint_var_cls(before), scalars["smooth"][None]
                )
            )
        if own is not None:
            terms.append(costs.self_collision_cost(one, shared(own), joints, margin, collision))
        for body, obstacle in parts:
            terms.append(
                costs.world_collision_cost(
                    one, shared(body), joints, shared(obstacle), margin, collision
                )
            )
        found, summary = (
            self._ls.LeastSquaresProblem(terms, [joints])
            .analyze()
            .solve(
                initial_vals=self._ls.VarValues.make((joints.with_value(first),)),
                verbose=False,
                linear_solver=self.linear_solver,
                termination=self._ls.TerminationConfig(
                    max_iterations=self.iterations, cost_tolerance=self.tolerance
                ),
                return_summary=True,
            )
        )
        return found[joints], summary.iterations

    def _world(self, collision: CollisionModel) -> _World:
        world = self._worlds.get(collision)
        if world is None:
            world = self._worlds[collision] = self._described(collision)
        return world

    def _described(self, collision: CollisionModel) -> _World:
        everything = np.arange(len(collision.frame))
        own = self._bodies(collision, everything, collision.pairs) if len(collision.pairs) else None
        parts = []
        shapes = self._pk.collision
        if collision.plane is not None and collision.meets[:, 0].any():
            plane = collision.plane
            support = shapes.HalfSpace.from_point_and_normal(
                -plane.offset * plane.normal, plane.normal
            )
            parts.append((self._bodies(collision, np.flatnonzero(collision.meets[:, 0])), support))
        first_rod = 1 + len(collision.box_half)
        columns = collision.meets[:, 1:first_rod]
        T_base_box = se3.inverse(collision.T_box_base)
        for mask, group in _alike(columns):
            boxes = shapes.Box.from_extent(
                extent=2 * collision.box_half[group],
                position=T_base_box[group, :3, 3],
                wxyz=_wxyz(T_base_box[group, :3, :3]),
            )
            parts.append((self._bodies(collision, mask), boxes))
        for mask, group in _alike(collision.meets[:, first_rod:]):
            rods = self._capsules(
                collision.rods[group, :3],
                collision.rods[group, 3:6],
                collision.rods[group, 6],
            )
            parts.append((self._bodies(collision, mask), rods))
        return _World(own, tuple(parts))

    def _bodies(
        self,
        collision: CollisionModel,
        which: NDArray[np.int_],
        pairs: NDArray[np.int_] | None = None,
    ) -> Any:
        i, j = ((), ()) if pairs is None else (tuple(map(int, column)) for column in pairs.T)
        return self._pk.collision.RobotCollision(
            num_links=len(self._arm.links.names),
            link_names=self._arm.links.names,
            coll=self._capsules(collision.a[which], collision.b[which], collision.radius[which]),
            active_idx_i=i,
            active_idx_j=j,
            _geom_to_link_idx=self._jax.numpy.asarray(
                self._links[collision.frame[which]], self._jax.numpy.int32
            ),
        )

    def _capsules(self, a: Array, b: Array, radius: Array) -> Any:
        along, length = b - a, np.linalg.norm(b - a, axis=1)
        z = (
            np.where(length[:, None] > 0, along, [0, 0, 1])
            / np.where(length > 0, length, 1)[:, None]
        )
        side = np.where(np.abs(z[:, :1]) < 0.6, [1.0, 0, 0], [0, 1.0, 0])
        x = side - (side * z).sum(axis=1, keepdims=True) * z
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        turn = np.stack([x, np.cross(z, x), z], axis=-1)
        return self._pk.collision.Capsule.from_radius_height(
            radius=radius.astype(np.float32),
            height=length.astype(np.float32),
            position=(0.5 * (a + b)).astype(np.float32),
            wxyz=_wxyz(turn),
        )


def _alike(meets: NDArray[np.bool_]) -> list[tuple[NDArray[np.int_], NDArray[np.int_]]]:
    """Columns (C, K) in groups of equal ones: rows that are true, and the group's columns."""
    kinds, member = np.unique(meets.T, axis=0, return_inverse=True)
    groups = [(np.flatnonzero(kind), np.flatnonzero(member == k)) for k, kind in enumerate(kinds)]
    return [(rows, columns) for rows, columns in groups if len(rows)]


def _wxyz(rotation: Array) -> NDArray[np.float32]:
    return np.roll(se3.quaternion_xyzw(rotation), 1, axis=-1).astype(np.float32)


def _urdf(robot: RobotModel) -> str:
    """The chain with one link per moving frame, f0 to fN, and the TCP; limits carry the margin."""
    poses, axes, turns = robot.joint_table()
    parts = ['<robot name="arm"><link name="f0"/>']
    for i in range(robot.joint_count):
        x, y, z = axes[i]
        parts.append(
            f'<link name="f{i + 1}"/><joint name="j{i + 1}" '
            f'type="{"revolute" if turns[i] else "prismatic"}"><parent link="f{i}"/>'
            f'<child link="f{i + 1}"/>{_origin(poses[i])}<axis xyz="{x} {y} {z}"/>'
            f'<limit lower="{robot.limits.lower[i]}" upper="{robot.limits.upper[i]}" '
            f'velocity="{robot.limits.velocity[i]}" effort="1"/></joint>'
        )
    parts.append(
        f'<link name="tcp"/><joint name="tip" type="fixed"><parent link="f{robot.joint_count}"/>'
        f'<child link="tcp"/>{_origin(robot.T_frame_tcp)}</joint></robot>'
    )
    return "".join(parts)


def _origin(pose: Array) -> str:
    r = pose[:3, :3]
    level = float(np.hypot(r[0, 0], r[1, 0]))
    pitch = np.arctan2(-r[2, 0], level)
    if level > 1e-9:
        roll, yaw = np.arctan2(r[2, 1], r[2, 2]), np.arctan2(r[1, 0], r[0, 0])
    else:
        roll, yaw = np.arctan2(-r[1, 2], r[1, 1]), 0.0
    x, y, z = pose[:3, 3]
    return f'<origin xyz="{x} {y} {z}" rpy="{roll} {pitch} {yaw}"/>'
