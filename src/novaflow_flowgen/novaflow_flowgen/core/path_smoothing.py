"""The most likely path through poses that are known unequally well.

Behind a hand an object's distance from the camera is hardly seen: single poses are off by
centimetres along the ray, and their covariance tells only part of it. Real things do not jump, so
each pose is weighed against those before and after it, and what does not fit counts less.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3

Float = NDArray[np.float64]

_ACCELERATION_M, _TURN_RAD = 0.004, 0.03  # standard deviation of second differences, per frame^2
_LEAST_M, _LEAST_RAD = 1e-3, 5e-3  # what a pose is known to at best
_CLAIM = 2.5  # a pose is less well known than it claims by about this factor
_TAIL = 4.0  # degrees of freedom of Student's t distribution of what is off
_ITERATIONS = 12
_FIRST_SCALE, _COOLING = 100.0, 0.35  # outliers are told apart once the path is about right


def smooth_path(
    motions: Sequence[Float], covariances: Sequence[Float | None], centre: Float
) -> list[Float]:
    """Smooth the motion of an object.

    Args:
        motions: (4, 4) each, T of them, since the first, which is the identity and stays.
        covariances: Of each motion after the first, (6, 6) each, of x y z [m] of the centre and of
            rotations about it [rad]; None where nothing was measured.
        centre: (3,) of the object in the first frame [m].

    Returns:
        T motions (4, 4).
    """
    at = np.array([se3.apply(motion, centre) for motion in motions])
    rotation = np.array([motion[:3, :3] for motion in motions])
    seen_at, seen_rotation = at.copy(), rotation.copy()
    floor = np.diag([_LEAST_M**2] * 3 + [_LEAST_RAD**2] * 3)
    known = np.array([c is not None for c in covariances])
    information = np.array(
        [
            np.zeros((6, 6)) if c is None else np.linalg.inv(_CLAIM**2 * c + floor)
            for c in covariances
        ]
    )
    count = len(covariances)
    # Row t gives the second difference that ends at pose t + 1; before the first, it is at rest.
    second = np.eye(count) - 2 * np.eye(count, k=-1) + np.eye(count, k=-2)
    stiffness = np.diag([_ACCELERATION_M**-2] * 3 + [_TURN_RAD**-2] * 3)
    prior, pull = np.kron(second.T @ second, stiffness), np.kron(second.T, stiffness)
    weight = known.astype(float)

    def off() -> Float:
        turn = se3.log_so3(rotation[1:] @ np.swapaxes(seen_rotation[1:], 1, 2))
        return np.concatenate([at[1:] - seen_at[1:], turn], axis=1)

    for iteration in range(_ITERATIONS):
        turn = se3.log_so3(rotation[1:] @ np.swapaxes(rotation[:-1], 1, 2))
        rate = np.concatenate([np.diff(at, axis=0), turn], axis=1)
        change = np.diff(rate, axis=0, prepend=np.zeros((1, 6)))
        weighed = weight[:, None, None] * information
        system, slope = prior.copy(), pull @ change.ravel()
        for t in range(count):
            block = slice(6 * t, 6 * t + 6)
            system[block, block] += weighed[t]
        slope += np.einsum("tij,tj->ti", weighed, off()).ravel()
        step = -np.linalg.solve(system, slope).reshape(count, 6)
        at[1:] += step[:, :3]
        rotation[1:] = se3.exp_so3(step[:, 3:]) @ rotation[1:]
        left = off()
        squared = np.einsum("ti,tij,tj->t", left, information, left)
        scale = max(1.0, _FIRST_SCALE * _COOLING**iteration)
        weight = known * np.minimum((_TAIL + 6) / (_TAIL + squared / scale), 1.0)
    return [np.asarray(se3.from_rt(R, p - R @ centre)) for R, p in zip(rotation, at, strict=True)]
