"""A joint trajectory as splines between its points, as joint_trajectory_controller reads it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class JointState(NamedTuple):
    """Position, velocity and acceleration, each (N,) [rad, rad/s, rad/s2]."""

    position: Array
    velocity: Array
    acceleration: Array


class JointPath:
    """Points over time; quintic with accelerations given, cubic with velocities, else lines."""

    def __init__(
        self,
        times_s: Array,
        positions: Array,
        velocities: Array | None = None,
        accelerations: Array | None = None,
    ) -> None:
        """Keep the points.

        Args:
            times_s: (P,) rising, from the start of the trajectory [s].
            positions: (P, N) [rad].
            velocities: (P, N) [rad/s] or None.
            accelerations: (P, N) [rad/s2] or None; needs velocities.
        """
        self._times = np.asarray(times_s, float)
        self._q = np.asarray(positions, float)
        self._v = None if velocities is None else np.asarray(velocities, float)
        self._a = None if accelerations is None or velocities is None else np.asarray(accelerations)

    @property
    def end_s(self) -> float:
        """When the last point is due [s]."""
        return float(self._times[-1])

    @property
    def end_position(self) -> Array:
        """Last point (N,) [rad]."""
        return np.asarray(self._q[-1])

    def starting_from(self, state: JointState, at_s: float) -> JointPath:
        """Put a state at a time before the first point, unless that point is due by then."""
        if self._times[0] <= at_s:
            return self

        def stack(first: Array, rest: Array | None) -> Array | None:
            return None if rest is None else np.concatenate([first[None], rest])

        positions = np.concatenate([state.position[None], self._q])
        return JointPath(
            np.concatenate([[at_s], self._times]),
            positions,
            stack(state.velocity, self._v),
            stack(state.acceleration, self._a),
        )

    def sample(self, time_s: float) -> JointState:
        """State at a time; before the first and after the last point it rests there."""
        zero = np.zeros(self._q.shape[1])
        if time_s >= self._times[-1]:
            return JointState(self._q[-1], zero, zero)
        if time_s < self._times[0]:
            return JointState(self._q[0], zero, zero)
        k = int(np.searchsorted(self._times, time_s, side="right")) - 1
        span = self._times[k + 1] - self._times[k]
        s = time_s - self._times[k]
        q0, q1 = self._q[k], self._q[k + 1]
        if self._v is None:
            slope = (q1 - q0) / span
            return JointState(q0 + slope * s, slope, zero)
        v0, v1 = self._v[k], self._v[k + 1]
        if self._a is None:
            return _cubic(q0, v0, q1, v1, span, s)
        return _quintic(q0, v0, self._a[k], q1, v1, self._a[k + 1], span, s)


def _cubic(q0: Array, v0: Array, q1: Array, v1: Array, span: float, s: float) -> JointState:
    rise = (q1 - q0) / span
    c2 = (3 * rise - 2 * v0 - v1) / span
    c3 = (v0 + v1 - 2 * rise) / span**2
    return JointState(
        q0 + s * (v0 + s * (c2 + s * c3)),
        v0 + s * (2 * c2 + 3 * s * c3),
        2 * c2 + 6 * s * c3,
    )


def _quintic(
    q0: Array, v0: Array, a0: Array, q1: Array, v1: Array, a1: Array, span: float, s: float
) -> JointState:
    d = q1 - q0 - span * v0 - 0.5 * span**2 * a0
    e = (v1 - v0 - span * a0) * span
    f = (a1 - a0) * span**2
    c3 = (10 * d - 4 * e + 0.5 * f) / span**3
    c4 = (-15 * d + 7 * e - f) / span**4
    c5 = (6 * d - 3 * e + 0.5 * f) / span**5
    return JointState(
        q0 + s * (v0 + s * (0.5 * a0 + s * (c3 + s * (c4 + s * c5)))),
        v0 + s * (a0 + s * (3 * c3 + s * (4 * c4 + s * 5 * c5))),
        a0 + s * (6 * c3 + s * (12 * c4 + s * 20 * c5)),
    )
