"""The error that a hand-eye calibration leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import exp_so3, from_rt


def miscalibrated(
    T_base_camera: NDArray[np.float64], error_m: float, error_deg: float, seed: int
) -> NDArray[np.float64]:
    """Return the camera pose that is published: the true one, off in a direction the seed draws.

    Args:
        T_base_camera: (4, 4) true pose.
        error_m: Length of the translation error [m].
        error_deg: Angle of the rotation error [deg].
        seed: Of the direction and the axis.
    """
    rng = np.random.default_rng([seed, 77])
    direction, axis = rng.standard_normal((2, 3))
    direction /= np.linalg.norm(direction)
    axis /= np.linalg.norm(axis)
    error = from_rt(exp_so3(np.radians(error_deg) * axis), np.zeros(3))
    published = T_base_camera @ error
    published[:3, 3] += error_m * direction
    return published
