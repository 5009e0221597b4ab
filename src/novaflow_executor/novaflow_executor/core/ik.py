"""Inverse kinematics for many poses at once: damped least squares from several seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_executor.core.follow_cost import pose_error
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]

POSITION_TOLERANCE_M = 1e-3
ORIENTATION_TOLERANCE_RAD = 5e-3


@dataclass(frozen=True)
class IkResult:
    """Solutions of B poses.

    Attributes:
        q: (B, N) [rad]; the closest try where none was found.
        found: (B,) whether pose and limits are met.
        position_error_m: (B,).
        orientation_error_rad: (B,).
    """

    q: Array
    found: NDArray[np.bool_]
    position_error_m: Array
    orientation_error_rad: Array


def iterate(
    robot: RobotModel, wanted: Array, q: Array, iterations: int = 60, rest_gain: float = 0.05
) -> IkResult:
    """Improve guesses (B, N) for poses (B, 4, 4); the null space pulls towards the rest pose."""
    q = np.clip(np.array(q, float), robot.limits.lower, robot.limits.upper)
    active = np.arange(len(q))
    eye = np.eye(6)
    for k in range(iterations):
        rotation, origin = robot.frames(q[active])
        tcp = robot.tcp_of(rotation, origin)
        error = pose_error(tcp, wanted[active])
        done = (np.linalg.norm(error[:, :3], axis=1) < 0.1 * POSITION_TOLERANCE_M) & (
            np.linalg.norm(error[:, 3:], axis=1) < 0.1 * ORIENTATION_TOLERANCE_RAD
        )
        if done.any():
            rotation, origin, tcp = rotation[~done], origin[~done], tcp[~done]
            active, error = active[~done], error[~done]
        if not len(active):
            break
        jacobian = robot.jacobian_of(rotation, origin, tcp)
        gain = rest_gain if k < iterations // 2 else 0.0  # first comfortable, then exact
        rest = gain * (robot.home - q[active])
        damped = jacobian @ np.swapaxes(jacobian, 1, 2) + 1e-4 * eye
        task = -error - np.einsum("sij,sj->si", jacobian, rest)
        move = rest + np.einsum(
            "sji,sj->si", jacobian, np.linalg.solve(damped, task[..., None])[..., 0]
        )
        move *= np.minimum(1.0, 0.3 / np.maximum(np.abs(move).max(axis=1, keepdims=True), 1e-12))
        q[active] = np.clip(q[active] + move, robot.limits.lower, robot.limits.upper)
    error = pose_error(robot.tcp(q), wanted)
    position, angle = np.linalg.norm(error[:, :3], axis=1), np.linalg.norm(error[:, 3:], axis=1)
    found = (position < POSITION_TOLERANCE_M) & (angle < ORIENTATION_TOLERANCE_RAD)
    return IkResult(q, found, position, angle)


def solve(
    robot: RobotModel,
    wanted: Array,
    guesses: Array | None = None,
    seeds: int = 4,
    iterations: int = 60,
) -> IkResult:
    """Solutions of poses (B, 4, 4) that are nearest to the rest pose among several seeds.

    Args:
        robot: The arm.
        wanted: (B, 4, 4) poses of the TCP, base frame [m].
        guesses: (N,) or (B, N) tried first; None for the rest pose.
        seeds: Number of starts per pose.
        iterations: Per start.
    """
    count, joints = len(wanted), robot.joint_count
    if count == 0:
        return IkResult(np.zeros((0, joints)), np.zeros(0, bool), np.zeros(0), np.zeros(0))
    first = robot.home if guesses is None else np.asarray(guesses, float)
    starts = np.empty((count, seeds, joints))
    starts[:, 0] = first
    # The others start at rest, with the first joint turned towards the pose, and spread about it.
    rng = np.random.default_rng(0)
    spread = 0.25 * (robot.limits.upper - robot.limits.lower)
    for k in range(1, seeds):
        starts[:, k] = robot.home + (rng.uniform(-1, 1, joints) * spread if k > 1 else 0.0)
        starts[:, k, 0] = np.arctan2(wanted[:, 1, 3], wanted[:, 0, 3])
    poses = np.repeat(wanted, seeds, axis=0)
    tried = iterate(robot, poses, starts.reshape(-1, joints), iterations)
    reach = (robot.limits.upper - robot.limits.lower) / 2
    comfort = (((tried.q - robot.home) / reach) ** 2).sum(1)
    miss = tried.position_error_m + 0.2 * tried.orientation_error_rad
    rank = np.where(tried.found, comfort, 1e3 + miss).reshape(count, seeds)
    best = np.argmin(rank, axis=1) + np.arange(count) * seeds
    return IkResult(
        tried.q[best],
        tried.found[best],
        tried.position_error_m[best],
        tried.orientation_error_rad[best],
    )
