"""When the arm is where on its path: limits of velocity, acceleration, jerk and TCP speed.

The path is a spline q(u). Its parameter u is chosen so that du/dt = 1 is the fastest that joint
velocities, the TCP's speed and the path's curvature allow at every place; u(t) is then one
jerk-limited motion by ruckig.
A last stretching of time makes up for what the bounds along u approximate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ruckig import InputParameter, Result, Ruckig, Trajectory
from scipy.interpolate import CubicSpline
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.core.plan import JointTrajectory
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]

GRID = 400  # samples of a path on which limits are looked at
CURVATURE_SHARE = 0.6  # of the acceleration limit for bends; the rest is for speeding up


@dataclass(frozen=True)
class TimingLimits:
    """How fast a path is driven.

    Attributes:
        speed: Share of the arm's velocity and acceleration limits, 0..1.
        tcp_m_s: Largest speed of the TCP [m/s].
        end_tcp_m_s: The same over the last `end_m` of the path [m/s].
        end_m: Length of the slow end [m]; 0 for none.
        period_s: Between points of the trajectory [s].
    """

    speed: float = 0.5
    tcp_m_s: float = 0.6
    end_tcp_m_s: float = 0.6
    end_m: float = 0.0
    period_s: float = 0.02


def time_path(robot: RobotModel, path: ArrayLike, limits: TimingLimits) -> JointTrajectory:
    """Drive through waypoints (M, N) [rad] from rest to rest.

    Raises:
        ExecutionError: OPTIMISATION_FAILED if no timing comes out.
    """
    knots = _knots(robot, np.asarray(path, float))
    if len(knots) < 2:
        return _standing(robot, knots[0], limits.period_s)
    velocity = robot.limits.velocity * limits.speed
    acceleration = robot.limits.acceleration * limits.speed
    along = np.concatenate([[0], np.cumsum(np.abs(np.diff(knots, axis=0) / velocity).max(axis=1))])
    spline = CubicSpline(along, knots, bc_type="natural") if len(knots) > 2 else _line(along, knots)
    s = np.linspace(0, along[-1], GRID)
    first, second = spline(s, 1), spline(s, 2)
    tcp = robot.tcp(spline(s))[:, :3, 3]
    tcp_rate = np.linalg.norm(np.gradient(tcp, s, axis=0), axis=1)
    density = np.maximum.reduce(
        [
            (np.abs(first) / velocity).max(axis=1),
            tcp_rate / _tcp_limit(tcp, limits),
            np.sqrt((np.abs(second) / (CURVATURE_SHARE * acceleration)).max(axis=1)),
            np.full(GRID, 1e-3),
        ]
    )
    q_of_u, total = _reparameterised(spline, s, density, acceleration)
    grid = np.linspace(0, total, GRID)
    rate, bend = np.abs(q_of_u(grid, 1)), np.abs(q_of_u(grid, 2))
    rate = np.maximum(rate, 1e-6)
    left = np.maximum(acceleration - bend, 0.25 * acceleration)
    t, u, du, ddu = _drive(
        total, float((left / rate).min()), float((robot.limits.jerk / rate).min()), limits.period_s
    )
    position = q_of_u(u)
    rate, bend = q_of_u(u, 1), q_of_u(u, 2)
    qd = rate * du[:, None]
    qdd = rate * ddu[:, None] + bend * (du**2)[:, None]
    stretch = max(
        1.0,
        float((np.abs(qd) / velocity).max()),
        float(np.sqrt((np.abs(qdd) / acceleration).max())),
    )
    position[0], position[-1] = knots[0], knots[-1]
    return JointTrajectory(robot.joint_names, t * stretch, position, qd / stretch, qdd / stretch**2)


def joined(parts: list[JointTrajectory]) -> JointTrajectory:
    """One trajectory from several that each begin where the last one rests."""
    out = parts[0]
    for part in parts[1:]:
        out = JointTrajectory(
            out.joint_names,
            np.concatenate([out.time_s, out.time_s[-1] + part.time_s[1:]]),
            np.concatenate([out.position, part.position[1:]]),
            np.concatenate([out.velocity, part.velocity[1:]]),
            np.concatenate([out.acceleration, part.acceleration[1:]]),
        )
    return out


def _knots(robot: RobotModel, path: Array) -> Array:
    """Waypoints far enough apart that noise of single steps makes no bends; both ends are kept."""
    kept = [path[0]]
    tcp = robot.tcp(path)[:, :3, 3]
    last = 0
    for i in range(1, len(path)):
        far = (
            np.abs(path[i] - path[last]).max() > 0.03 or np.linalg.norm(tcp[i] - tcp[last]) > 0.012
        )
        if far:
            kept.append(path[i])
            last = i
    if np.abs(path[-1] - kept[-1]).max() > 1e-6:
        near = np.abs(path[-1] - kept[-1]).max() < 0.015
        if near and len(kept) > 1:
            kept[-1] = path[-1]
        else:
            kept.append(path[-1])
    return np.stack(kept)


class _Line:
    """A straight path with the interface of CubicSpline."""

    def __init__(self, along: Array, knots: Array) -> None:
        self._start, self._slope = knots[0], (knots[1] - knots[0]) / (along[1] - along[0])

    def __call__(self, s: Array, order: int = 0) -> Array:
        s = np.asarray(s, float)[:, None]
        if order == 0:
            return np.asarray(self._start + s * self._slope)
        return np.broadcast_to(
            self._slope if order == 1 else 0.0 * self._slope, (len(s), len(self._slope))
        )


def _line(along: Array, knots: Array) -> _Line:
    return _Line(along, knots)


def _tcp_limit(tcp: Array, limits: TimingLimits) -> Array:
    if limits.end_m <= 0:
        return np.full(len(tcp), limits.tcp_m_s)
    steps = np.linalg.norm(np.diff(tcp, axis=0), axis=1)
    to_go = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    share = np.clip(to_go / limits.end_m - 1.0, 0.0, 1.0)  # slows down over one more length
    return limits.end_tcp_m_s + share * (limits.tcp_m_s - limits.end_tcp_m_s)


def _reparameterised(
    spline: CubicSpline | _Line, s: Array, density: Array, acceleration: Array
) -> tuple[CubicSpline, float]:
    """Path over u with du = density ds, denser where it bends too hard for full speed."""
    for _ in range(8):
        wide = uniform_filter1d(maximum_filter1d(density, 21, mode="nearest"), 21, mode="nearest")
        u = np.concatenate([[0], np.cumsum(0.5 * (wide[1:] + wide[:-1]) * np.diff(s))])
        path = CubicSpline(u, spline(s), bc_type="natural")
        excess = (np.abs(path(u, 2)) / (CURVATURE_SHARE * acceleration)).max(axis=1)
        if excess.max() <= 1.05:
            break
        density = np.maximum(density, wide * np.sqrt(np.maximum(excess, 1e-6)).clip(0.0, 2.0))
    return path, float(u[-1])


def _drive(
    total: float, acceleration: float, jerk: float, period_s: float
) -> tuple[Array, Array, Array, Array]:
    """Time, u, du/dt and its derivative from rest to rest, du/dt at most 1."""
    ask = InputParameter(1)
    ask.current_position, ask.target_position = [0.0], [total]
    ask.max_velocity, ask.max_acceleration, ask.max_jerk = [1.0], [acceleration], [jerk]
    answer = Trajectory(1)
    if Ruckig(1).calculate(ask, answer) not in (Result.Working, Result.Finished):
        raise ExecutionError(
            Code.OPTIMISATION_FAILED,
            f"no timing for a path of {total:.2f} s at full speed "
            f"(acceleration {acceleration:.2f}, jerk {jerk:.2f})",
        )
    count = max(2, int(np.ceil(answer.duration / period_s)) + 1)
    t = np.linspace(0, answer.duration, count)
    rows = np.array([[x[0] for x in answer.at_time(float(time))[:3]] for time in t])
    rows[-1] = total, 0.0, 0.0
    return t, rows[:, 0], rows[:, 1], rows[:, 2]


def _standing(robot: RobotModel, q: Array, period_s: float) -> JointTrajectory:
    zero = np.zeros((2, len(q)))
    return JointTrajectory(robot.joint_names, np.array([0.0, period_s]), zero + q, zero, zero)
