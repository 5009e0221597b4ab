"""A round vessel with a foot and a thin wall: what cup and mug have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

FLOOR_M = 0.006
FOOT_EDGE_M = 0.004  # height at which the wall begins
_LIP_M = 0.0015


@dataclass(frozen=True)
class Vessel:
    """Sizes of one; its frame has its origin under the foot, z up.

    Attributes:
        radius_m: Of the wall, outside.
        height_m: Of the rim.
        wall_m: Thickness.
        foot_radius_m: Of what it stands on.
    """

    radius_m: float
    height_m: float
    wall_m: float
    foot_radius_m: float

    def profile(self) -> Float:
        """Radius and height (P, 2) [m], from the axis under the foot to the axis inside."""
        r, h, t = self.radius_m, self.height_m, self.wall_m
        return np.array(
            [
                [0.0, 0.0],
                [self.foot_radius_m, 0.0],
                [r, FOOT_EDGE_M],
                [r, h - _LIP_M],
                [r - t / 2, h],
                [r - t, h - _LIP_M],
                [r - t, FLOOR_M],
                [0.0, FLOOR_M],
            ]
        )

    def outer_wall(self) -> tuple[float, float]:
        """Fractions of the profile's length between which the outer wall lies."""
        p = self.profile()
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
        return float(length[2] / length[-1]), float(length[3] / length[-1])
