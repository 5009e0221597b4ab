"""The watering can and the potted plant: sizes, outlines, and what counts as watering."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import apply

Float = NDArray[np.float64]

# The can's body: two half rounds and a straight piece between, along x; its spout is along +x.
CAN_HALF_WIDTH_M = 0.026
CAN_STRAIGHT_HALF_M = 0.016
CAN_HEIGHT_M = 0.082
SPOUT_RADIUS_M = 0.009
SPOUT_TIP_M = (0.104, 0.0, 0.080)
CAN_REACH_M = SPOUT_TIP_M[0] + SPOUT_RADIUS_M

POT_FOOT_RADIUS_M = 0.040
POT_RIM_RADIUS_M = 0.055
POT_OPENING_RADIUS_M = 0.049
POT_HEIGHT_M = 0.092
SOIL_HEIGHT_M = 0.084
PLANT_HEIGHT_M = 0.145
PLANT_RADIUS_M = 0.060

# A can of this build that is filled to four fifths runs out from 8 degrees on; at 25 it pours, and
# nobody takes it for one that is merely held askew.
MIN_POUR_DEG = 25.0
MAX_POUR_HEIGHT_M = 0.15  # above the rim: from higher it splashes
MIN_STILL_S = 1.0


def can_profile() -> Float:
    """Radius and height (P, 2) [m] of the body's rounds, from the axis below to the axis above."""
    r, h = CAN_HALF_WIDTH_M, CAN_HEIGHT_M
    return np.array([[0, 0], [r - 0.003, 0], [r, 0.003], [r, h - 0.003], [r - 0.003, h], [0, h]])


def can_wall() -> tuple[float, float]:
    """Fractions of the profile's length between which the outer wall lies."""
    return _fractions(can_profile(), 2, 3)


def spout_line(points: int) -> Float:
    """Centre line (P, 3) [m] of the spout, from within the body to its tip."""
    s = np.linspace(0.0, 1.0, points)
    x = 0.034 + (SPOUT_TIP_M[0] - 0.034) * s
    z = 0.022 + (SPOUT_TIP_M[2] - 0.022) * (0.25 * s**2 + 0.75 * s)
    return np.stack([x, np.zeros(points), z], axis=1)


def pot_profile() -> Float:
    """Radius and height (P, 2) [m] of the pot with its soil."""
    rim, opening, h = POT_RIM_RADIUS_M, POT_OPENING_RADIUS_M, POT_HEIGHT_M
    return np.array(
        [
            [0, 0],
            [POT_FOOT_RADIUS_M, 0],
            [rim - 0.004, h - 0.020],
            [rim, h - 0.020],
            [rim, h],
            [opening, h],
            [opening, SOIL_HEIGHT_M],
            [0, SOIL_HEIGHT_M],
        ]
    )


def soil_from() -> float:
    """Fraction of the pot's profile at which the soil begins."""
    return _fractions(pot_profile(), 6, 7)[0]


def pour_deg(T_base_can: Float) -> float:
    """How far the spout points down [deg], against where it points when the can stands."""
    return float(np.degrees(np.arcsin(np.clip(-T_base_can[2, 0], -1.0, 1.0))))


def tip_over_pot(T_base_can: Float, T_base_pot: Float) -> tuple[float, float]:
    """Distance [m] of the spout's tip from the pot's axis, and its height [m] above the rim."""
    tip = apply(T_base_can, np.array(SPOUT_TIP_M))
    rim = apply(T_base_pot, np.array([0.0, 0.0, POT_HEIGHT_M]))
    return float(np.hypot(*(tip - rim)[:2])), float(tip[2] - rim[2])


def _fractions(profile: Float, first: int, last: int) -> tuple[float, float]:
    steps = np.linalg.norm(np.diff(profile, axis=0), axis=1)
    length = np.concatenate([[0.0], np.cumsum(steps)])
    return float(length[first] / length[-1]), float(length[last] / length[-1])
