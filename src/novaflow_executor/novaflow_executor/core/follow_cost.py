"""The objective of flow following, linearised step by step.

    f(q) = 1/2 sum_t |r_track(q_t)|^2 + |r_limit(q_t)|^2 + |r_rest(q_t)|^2 + |r_collision(q_t)|^2
         + 1/2 sum_t w_smooth^2 |q_{t+1} - q_t|^2

All terms but smoothness touch one step only, so that the normal equations are block-tridiagonal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_executor.core.motion import FollowProblem
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Linearisation:
    """Value and Gauss-Newton model of the objective for B paths.

    Attributes:
        cost: (B,).
        gradient: (B, T, N).
        hessian: (B, T, N, N) blocks of single steps; smoothness is not in them.
    """

    cost: Array
    gradient: Array
    hessian: Array


def barrier(distance: Array, margin: float) -> tuple[Array, Array]:
    """Value [m] and slope of a barrier: zero beyond the margin, quadratic in it, then linear."""
    d = np.minimum(distance, margin)
    quad = 0.5 / margin
    return (
        np.where(d < 0, 0.5 * margin - d, quad * (d - margin) ** 2),
        np.where(d < 0, -1.0, 2 * quad * (d - margin)),
    )


def tracking_weights(problem: FollowProblem) -> Array:
    """Weights (T, 6) of position and orientation residuals."""
    w = problem.weights
    out = np.empty((len(problem.T_base_tcp), 6))
    out[:, :3], out[:, 3:] = w.position, w.orientation
    out[[0, -1], :3], out[[0, -1], 3:] = w.end_position, w.end_orientation
    return out


def pose_error(reached: Array, wanted: Array) -> Array:
    """Position and rotation (*B, 6) [m, rad] from wanted to reached poses (*B, 4, 4)."""
    turn = reached[..., :3, :3] @ np.swapaxes(wanted[..., :3, :3], -1, -2)
    return np.concatenate([reached[..., :3, 3] - wanted[..., :3, 3], se3.log_so3(turn)], axis=-1)


def linearise(robot: RobotModel, problems: list[FollowProblem], q: Array) -> Linearisation:
    """Evaluate the objective of B problems at paths (B, T, N)."""
    batch, steps, count = q.shape
    flat = q.reshape(-1, count)
    rotation, origin = robot.frames(flat)
    axes = robot.axes(rotation)
    tcp = robot.tcp_of(rotation, origin)
    wanted = np.concatenate([p.T_base_tcp for p in problems])
    weights = np.concatenate([tracking_weights(p) for p in problems])
    w = problems[0].weights

    error = pose_error(tcp, wanted)
    jacobian = robot.jacobian_of(rotation, origin, tcp)
    hat = se3.hat(error[:, 3:])
    jacobian[:, 3:] = (np.eye(3) - 0.5 * hat + hat @ hat / 12) @ jacobian[
        :, 3:
    ]  # d log(R) / d angle
    residual = weights * error
    jacobian *= weights[:, :, None]
    outside = robot.limits.violation(flat)
    rest = flat - robot.home
    gradient = np.einsum("sri,sr->si", jacobian, residual) + w.limit**2 * outside + w.rest**2 * rest
    hessian = np.swapaxes(jacobian, 1, 2) @ jacobian
    diagonal = np.arange(count)
    hessian[:, diagonal, diagonal] += w.rest**2 + w.limit**2 * (outside != 0)
    cost = (residual**2).sum(1) + w.limit**2 * (outside**2).sum(1) + w.rest**2 * (rest**2).sum(1)

    for k, problem in enumerate(problems):
        part = slice(k * steps, (k + 1) * steps)
        found = problem.collision.contacts(rotation[part], origin[part], w.margin_m)
        if not len(found.sample):
            continue
        value, slope = barrier(found.distance, w.margin_m)
        at = found.sample + k * steps
        toward = robot.point_jacobian(axes[at], origin[at], found.point, found.frame)
        moved = np.where(found.other_frame[:, None] > 0, found.other_point, 0.0)
        away = robot.point_jacobian(axes[at], origin[at], moved, found.other_frame)
        row = np.einsum("mi,min->mn", found.normal, toward - away)
        row *= (w.collision * slope)[:, None]
        residual_c = w.collision * value
        np.add.at(gradient, at, row * residual_c[:, None])
        np.add.at(hessian, at, row[:, :, None] * row[:, None, :])
        np.add.at(cost, at, residual_c**2)

    total = 0.5 * cost.reshape(batch, steps).sum(1)
    gradient = gradient.reshape(batch, steps, count)
    step = np.diff(q, axis=1) * w.smooth**2
    total += 0.5 * (np.diff(q, axis=1) * step).sum((1, 2))
    gradient[:, 1:] += step
    gradient[:, :-1] -= step
    return Linearisation(total, gradient, hessian.reshape(batch, steps, count, count))
