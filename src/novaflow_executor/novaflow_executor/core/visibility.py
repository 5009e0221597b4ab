"""How much of an object the arm leaves in a camera's sight.

A loop that cannot see the object is no loop, and an end that nobody sees is no success; of two
grasps that serve as well, the one that leaves the object in sight is the better one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from novaflow_executor.core.distances import segment_segment
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]

_POINTS = 30
_PADS_M = 0.004  # by which capsules are thinner for sight: they are wider than what they cover


class Sightlines:
    """Lines from points of an object to the cameras, and what the arm leaves of them.

    Args:
        robot: The arm.
        points: (N, 3) of the object as the cameras saw it [m], base frame.
        eyes: Where the cameras are (3,) [m].
    """

    def __init__(self, robot: RobotModel, points: Array, eyes: Sequence[Array]) -> None:
        """Choose some of the points."""
        step = max(1, len(points) // _POINTS)
        self._robot, self._points, self._eyes = robot, points[::step], tuple(eyes)

    def open_share(self, q: Array, T_moved: Array, opening_m: float) -> Array:
        """Share (S,) of the points that the camera that sees most of them sees, 0..1.

        Args:
            q: (S, N) joints.
            T_moved: (S, 4, 4) how the object has moved since it was seen.
            opening_m: Of the gripper.
        """
        if not self._eyes or not len(self._points):
            return np.ones(len(q))
        frame, a, b, radius = self._robot.capsules(opening_m)
        rotation, origin = self._robot.frames(q)
        turn, at = rotation[:, frame], origin[:, frame]
        ends_a = at + np.einsum("scij,cj->sci", turn, a)
        ends_b = at + np.einsum("scij,cj->sci", turn, b)
        points = self._points @ np.swapaxes(T_moved[:, :3, :3], 1, 2) + T_moved[:, None, :3, 3]
        shape = (len(q), points.shape[1], len(frame), 3)
        shares = []
        for eye in self._eyes:
            away, _, _ = segment_segment(
                np.broadcast_to(points[:, :, None], shape),
                np.broadcast_to(eye, shape),
                np.broadcast_to(ends_a[:, None], shape),
                np.broadcast_to(ends_b[:, None], shape),
            )
            hidden = (away < radius - _PADS_M).any(axis=-1)
            shares.append(1.0 - hidden.mean(axis=-1))
        return np.asarray(np.max(shares, axis=0))
