"""Motions without the object: to the grasp, away from the placed object, home."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.core import ik, rrt_connect
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]

Clearance = Callable[[CollisionModel, Array, float], Array]


class FreeMotion(Protocol):
    """A backend of the stage `approach`, made by its entry point from `ApproachSettings`."""

    def pieces(
        self,
        collision: CollisionModel,
        q_from: Array,
        q_to: Array,
        name: str,
        clearance: Clearance,
    ) -> tuple[Array, ...]:
        """Free way between two configurations, the object not in the gripper.

        Args:
            collision: What must not be touched; its scene in the arm's base frame.
            q_from: (N,) [rad].
            q_to: (N,) [rad].
            name: Of the motion, for people.
            clearance: Measures distances as the motion backend does.

        Returns:
            Joint paths (M, N), each from where the last one ends; the arm rests between them.

        Raises:
            ExecutionError: APPROACH_NOT_FOUND, with what is in the way.
            PlatformError: TIMEOUT, INVALID_SETTING or UNAVAILABLE, of a backend that asks others.
        """
        ...


class RrtConnect:
    """Straight pieces of `free_path`, so that no corner is cut; see `FreeMotion`."""

    def pieces(
        self,
        collision: CollisionModel,
        q_from: Array,
        q_to: Array,
        name: str,
        clearance: Clearance,
    ) -> tuple[Array, ...]:
        """Return one piece per edge."""
        path = free_path(collision, q_from, q_to, name, clearance=clearance)
        return tuple(np.stack(edge) for edge in pairwise(path))


PAD_M = 0.006  # distance that free motions keep
MAX_STEP_RAD = 0.25  # between neighbours of a straight motion: more is a jump to another branch


def straight(
    robot: RobotModel, q_from: Array, T_base_tcp: Array, offset_m: Array, steps: int = 10
) -> Array | None:
    """Joint path (steps + 1, N) along which the TCP moves straight, keeping its orientation.

    Args:
        robot: The arm.
        q_from: (N,) solution at `T_base_tcp` [rad].
        T_base_tcp: (4, 4) where it begins [m].
        offset_m: (3,) displacement [m], base frame.
        steps: Number of steps.

    Returns:
        The path, or None where it leaves the limits or jumps.
    """
    share = np.linspace(0, 1, steps + 1)[1:]
    wanted = np.repeat(T_base_tcp[None], steps, axis=0)
    wanted[:, :3, 3] += share[:, None] * offset_m
    found = ik.iterate(robot, wanted, np.repeat(q_from[None], steps, axis=0), rest_gain=0.0)
    path = np.concatenate([q_from[None], found.q])
    if not found.found.all() or np.abs(np.diff(path, axis=0)).max() > MAX_STEP_RAD:
        return None
    return path


def free_path(
    collision: CollisionModel,
    q_from: Array,
    q_to: Array,
    name: str,
    tries: int = 400,
    clearance: Clearance = CollisionModel.clearance,
) -> Array:
    """Collision-free waypoints (M, N) between two configurations.

    Args:
        collision: What must not be touched.
        q_from: (N,) [rad].
        q_to: (N,) [rad].
        name: Of the motion, for people.
        tries: Samples at most.
        clearance: Measures distances; thousands of small queries are made.

    Raises:
        ExecutionError: APPROACH_NOT_FOUND, with what is in the way.
    """
    limits = collision.robot.limits
    # An arm that already stands nearer to something than the pad must be able to leave.
    depth = clearance(collision, np.stack([q_from, q_to]), 0.05)
    pad = min(PAD_M, float(depth.min()) - 1e-3)
    if pad < -PAD_M:
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"{name}: the arm would be {-1e3 * depth.min():.0f} mm inside an obstacle "
            f"{'where it starts' if depth[0] < depth[1] else 'where it ends'}",
        )

    def is_free(q: Array) -> NDArray[np.bool_]:
        return clearance(collision, q, max(pad, 0.0) + 0.002) > pad

    lower, upper = np.minimum(limits.lower, q_from), np.maximum(limits.upper, q_from)
    path = rrt_connect.connect(is_free, q_from, q_to, lower, upper, tries)
    if path is None:
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"{name}: no free path over {np.abs(q_to - q_from).max():.2f} rad after {tries} "
            f"samples among {len(collision.meets[0]) - 1} obstacles",
        )
    return np.stack(rrt_connect.shortcut(is_free, path))
