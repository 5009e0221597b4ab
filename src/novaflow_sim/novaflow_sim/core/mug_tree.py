"""Forms of the mug that hangs by its handle and of the tree that it hangs on.

The mug's frame: origin under the foot, z up, the handle in the plane y = 0 towards +x. The tree's
frame: origin under the stem, z up, the peg in the plane y = 0 towards +x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_sim.core.vessel import Vessel

Float = NDArray[np.float64]

RADIUS_M = 0.035
HEIGHT_M = 0.095
WALL_M = 0.004
FOOT_RADIUS_M = 0.032
VESSEL = Vessel(RADIUS_M, HEIGHT_M, WALL_M, FOOT_RADIUS_M)
TUBE_RADIUS_M = 0.005
HANDLE_REACH_M = 0.041  # of the tube's middle beyond the wall's outside
HANDLE_MIDDLE_M = 0.045  # height
HANDLE_HALF_HEIGHT_M = 0.024
_SQUARENESS = 0.6  # 1 is an ellipse, 0 a rectangle

BASE_RADIUS_M = 0.060
BASE_HEIGHT_M = 0.012
STEM_RADIUS_M = 0.009
STEM_HEIGHT_M = 0.165
PEG_RADIUS_M = 0.005
PEG_LENGTH_M = 0.085  # from the stem's axis to the tip
PEG_HEIGHT_M = 0.140  # of its axis at the stem's axis
PEG_RISE_RAD = float(np.radians(12.0))
REST_BELOW_M = 0.052  # a second, shorter rod below the peg: what hangs leans against it
REST_LENGTH_M = 0.060


def handle(points: int) -> Float:
    """Middle line (P, 3) [m] of the handle's tube, from below to above, both ends in the wall."""
    a = np.linspace(-np.pi / 2, np.pi / 2, points)
    x = RADIUS_M - WALL_M / 2 + (HANDLE_REACH_M + WALL_M / 2) * np.cos(a) ** _SQUARENESS
    z = (
        HANDLE_MIDDLE_M
        + HANDLE_HALF_HEIGHT_M * np.sign(np.sin(a)) * np.abs(np.sin(a)) ** _SQUARENESS
    )
    return np.stack([x, np.zeros(points), z], axis=1)


def peg() -> Float:
    """Ends (2, 3) [m] of the peg's axis: at the stem's axis, and the tip."""
    way = np.array([np.cos(PEG_RISE_RAD), 0.0, np.sin(PEG_RISE_RAD)])
    root = np.array([0.0, 0.0, PEG_HEIGHT_M])
    return np.stack([root, root + PEG_LENGTH_M * way])


def rest() -> Float:
    """Ends (2, 3) [m] of the axis of the rod below the peg."""
    root, tip = peg() - [0.0, 0.0, REST_BELOW_M]
    return np.stack([root, root + REST_LENGTH_M / PEG_LENGTH_M * (tip - root)])


def threaded(T_mug_tree: Float) -> tuple[bool, float]:
    """Whether the peg goes through the handle's hole, and how far the tip is beyond it [m].

    Args:
        T_mug_tree: (4, 4) pose of the tree in the mug's frame.
    """
    root, tip = peg() @ T_mug_tree[:3, :3].T + T_mug_tree[:3, 3]
    if root[1] * tip[1] >= 0.0:
        return False, -float(min(abs(root[1]), abs(tip[1])))
    share = root[1] / (root[1] - tip[1])
    x, _, z = root + share * (tip - root)
    line = handle(41)
    # Between wall and tube at the crossing's height: the hole is convex.
    half = np.interp(abs(z - HANDLE_MIDDLE_M), line[20:, 2] - HANDLE_MIDDLE_M, line[20:, 0])
    inside = abs(z - HANDLE_MIDDLE_M) < HANDLE_HALF_HEIGHT_M and RADIUS_M < x < half
    return bool(inside), float(abs(tip[1]))
