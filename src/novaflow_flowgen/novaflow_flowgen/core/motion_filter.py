"""Constant velocity with uncertain acceleration: where an object is while it is hardly seen.

A hand, or what the object is put into, may hide nearly all of it for some frames. What its pixels
say then can be far off while they claim otherwise, so it is believed only near where the object was
going.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3

Float = NDArray[np.float64]

_ACCELERATION_M = 0.008  # standard deviation of the change of velocity, per frame squared
_TURN_RAD = 0.06
_GATE = 22.5  # squared distance (6 degrees of freedom) beyond which 1 in 1000 true poses lies
_LEAST_M, _LEAST_RAD = 1e-3, 5e-3  # what a pose is known to at best
_FLOOR = np.diag([_LEAST_M**2] * 3 + [_LEAST_RAD**2] * 3)
_POSE, _RATE = slice(0, 6), slice(6, 12)


class MotionFilter:
    """A Kalman filter over the pose of an object and its rate of change from frame to frame.

    Poses are motions (4, 4) since the first frame; errors and covariances (6, 6) are of x y z [m]
    of the object's centre and of rotations about it [rad], in the camera's axes.
    """

    def __init__(self, centre: Float, every: int = 1) -> None:
        """Start at rest in the first frame.

        Args:
            centre: (3,) of the object in the first frame [m].
            every: How far looks are apart, in frames.
        """
        self._centre = np.asarray(centre, float)
        self._at, self._rotation = self._centre.copy(), np.eye(3)
        self._rate = np.zeros(6)
        self._covariance = np.zeros((12, 12))
        change = np.array([_ACCELERATION_M] * 3 + [_TURN_RAD] * 3) * every**2
        step = np.concatenate([0.5 * np.eye(6), np.eye(6)])
        self._noise = (step * np.square(change)) @ step.T
        self._advance = np.eye(12)
        self._advance[_POSE, _RATE] = np.eye(6)

    @property
    def motion(self) -> Float:
        """Where the object is thought to be, (4, 4)."""
        return np.asarray(se3.from_rt(self._rotation, self._at - self._rotation @ self._centre))

    def predict(self) -> Float:
        """Go on by one look; returns the motion (4, 4) that is expected."""
        self._at = self._at + self._rate[:3]
        self._rotation = cv2.Rodrigues(self._rate[3:])[0] @ self._rotation
        self._covariance = self._advance @ self._covariance @ self._advance.T + self._noise
        return self.motion

    def near(self, motion: Float, covariance: Float) -> bool:
        """Whether a measured motion (4, 4) lies where the object may be."""
        off, spread = self._off(motion), self._covariance[_POSE, _POSE] + _floored(covariance)
        return bool(off @ np.linalg.solve(spread, off) < _GATE)

    def take(self, motion: Float, covariance: Float) -> None:
        """Learn from a measured motion (4, 4)."""
        spread = self._covariance[_POSE, _POSE] + _floored(covariance)
        gain = np.linalg.solve(spread, self._covariance[_POSE]).T
        change = gain @ self._off(motion)
        self._at = self._at + change[:3]
        self._rotation = cv2.Rodrigues(change[3:6])[0] @ self._rotation
        self._rate = self._rate + change[_RATE]
        kept = self._covariance - gain @ self._covariance[_POSE]
        self._covariance = 0.5 * (kept + kept.T)

    def _off(self, motion: Float) -> Float:
        turn = cv2.Rodrigues(motion[:3, :3] @ self._rotation.T)[0].ravel()
        return np.concatenate([se3.apply(motion, self._centre) - self._at, turn])


def bridge(motions: list[Float], centre: Float, found: Float) -> list[Float]:
    """Poses through a moment in which little was seen, led to where the object was seen again.

    Args:
        motions: (4, 4) from the last that was seen to what was expected where it was seen again.
        centre: (3,) of the object in the first frame [m].
        found: (4, 4) where it was seen again.

    Returns:
        Those between, (4, 4) each: what is off at the end is spread evenly over the moment.
    """
    last = motions[-1]
    shift = se3.apply(found, centre) - se3.apply(last, centre)
    turn = se3.log_so3(found[:3, :3] @ last[:3, :3].T)
    out = []
    for number, motion in enumerate(motions[1:-1], start=1):
        share = number / (len(motions) - 1)
        rotation = se3.exp_so3(share * turn) @ motion[:3, :3]
        at = se3.apply(motion, centre) + share * shift
        out.append(np.asarray(se3.from_rt(rotation, at - rotation @ centre)))
    return out


def _floored(covariance: Float) -> Float:
    return covariance + _FLOOR
