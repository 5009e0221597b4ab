"""Joint trajectories."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration
from numpy.typing import ArrayLike
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from novaflow_ros.conversions.elements import buffer


def trajectory_to_msg(
    joint_names: Sequence[str],
    time_s: ArrayLike,
    position: ArrayLike,
    velocity: ArrayLike,
    acceleration: ArrayLike,
) -> JointTrajectory:
    """JointTrajectory message of N joints at M times; its stamp is zero, which means: start now.

    Args:
        joint_names: N names, in the order of the columns.
        time_s: (M,) [s] from the start.
        position: (M, N) [rad].
        velocity: (M, N) [rad/s].
        acceleration: (M, N) [rad/s^2].
    """
    out = JointTrajectory(joint_names=list(joint_names))
    rows = zip(
        np.asarray(time_s, float),
        np.asarray(position, float),
        np.asarray(velocity, float),
        np.asarray(acceleration, float),
        strict=True,
    )
    for seconds, q, qd, qdd in rows:
        sec, nanosec = divmod(round(float(seconds) * 1e9), 1_000_000_000)
        point = JointTrajectoryPoint(time_from_start=Duration(sec=sec, nanosec=nanosec))
        point.positions, point.velocities = buffer(q, "d"), buffer(qd, "d")
        point.accelerations = buffer(qdd, "d")
        out.points.append(point)
    return out
