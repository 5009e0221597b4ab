"""Grasps of a handle: a bar that stands out of a front, taken across, from above and before.

A front itself cannot be taken, so what the antipodal search does not know is told here: which part
is the bar, and that the fingers must pass between it and the face behind. The directions from which
the hand may come lie in a fan across the bar, from straight above to straight before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, GraspError, PerceptionError
from novaflow_core.front import Front, find_front
from novaflow_core.grasp import Grasp
from novaflow_executor.core.grasps import GraspRequest, thin
from novaflow_executor.core.robot_settings import GripperSpec

Array = NDArray[np.float64]

TILTS_RAD = tuple(np.radians(np.arange(0.0, 91.0, 7.5)))  # from straight above to straight before
BEST_TILT_RAD = float(np.radians(30.0))  # steep enough to reach, and off the face's upper edge
PLACES_M = (0.0, 0.012, -0.012, 0.024, -0.024, 0.036, -0.036)  # along the bar, from its middle
DEEPER_M = (0.0, -0.006, 0.006)  # of the tips, against the middle of the pads on the bar
SIDE_CLEARANCE_M = 0.011  # between an open pad and the bar
END_M = 0.008  # that stays of the bar beside the pads, where its posts are
CLEAR_M = 0.0025  # between the hand and everything that is not the bar
_BAR_SHARE = 0.7  # of the handle's reach: nearer to the face are its posts
_LEAST_BAR = 25
_GRID_M = 0.008


@dataclass(frozen=True)
class Bar:
    """The bar of a handle, planning frame.

    Attributes:
        middle: (3,) of what is seen of it [m].
        along: (3,) unit.
        half: Half of its length [m].
        thickness: [m].
    """

    middle: Array
    along: Array
    half: float
    thickness: float


def handle_grasps(request: GraspRequest) -> tuple[Grasp, ...]:
    """Propose grasps of the handle before a front, best first.

    Raises:
        GraspError: NO_GRASP, with numbers.
    """
    points, gripper = request.points, request.gripper
    try:
        front = find_front(points, request.scene.support)
    except PerceptionError as error:
        raise GraspError(Code.NO_GRASP, error.reason) from error
    bar = find_bar(points, front)
    opening = min(gripper.max_opening, bar.thickness + 2 * SIDE_CLEARANCE_M)
    others = _obstacles(points, front, bar)
    out: list[Grasp] = []
    tried, nearest = 0, -np.inf
    for tilt in TILTS_RAD:
        rotation = _rotation(bar, front, tilt)
        for along in PLACES_M:
            if abs(along) > bar.half - gripper.pad_half_width - END_M:
                continue
            for deeper in DEEPER_M:
                at = bar.middle + along * bar.along + deeper * rotation[:, 2]
                T = se3.from_rt(rotation, at)
                clear = _clearance(T, opening, others, gripper)
                tried, nearest = tried + 1, max(nearest, clear)
                if clear < CLEAR_M:
                    continue
                worth = np.exp(-((along / 0.03) ** 2) - ((tilt - BEST_TILT_RAD) / 0.6) ** 2)
                worth *= 0.6 + 0.4 * min(1.0, clear / 0.006)
                worth *= 1.0 - 20.0 * abs(deeper)
                out.append(Grasp(T, opening, float(worth)))
    if not out:
        raise GraspError(
            Code.NO_GRASP,
            f"none of {tried} placements of the gripper takes the handle, "
            f"{2e3 * bar.half:.0f} mm long and {1e3 * bar.thickness:.0f} mm thick: at best "
            f"{1e3 * max(nearest, -0.1):.0f} mm are left to what is behind it "
            f"({1e3 * CLEAR_M:.1f} needed)",
        )
    return tuple(sorted(out, key=lambda grasp: -grasp.score))


def find_bar(points: Array, front: Front) -> Bar:
    """The part of a handle that is farthest out.

    Raises:
        GraspError: NO_GRASP when too little of it is seen.
    """
    handle = points[front.is_handle(points)]
    reach = float(np.percentile(front.beyond(handle), 90)) if len(handle) else 0.0
    bar = handle[front.beyond(handle) > _BAR_SHARE * reach] if len(handle) else handle
    if len(bar) < _LEAST_BAR:
        raise GraspError(
            Code.NO_GRASP, f"{len(bar)} points are seen of a handle; {_LEAST_BAR} are needed"
        )
    middle = np.median(bar, axis=0)
    along = np.linalg.svd(bar - bar.mean(axis=0), full_matrices=False)[2][0]
    at = (bar - middle) @ along
    low, high = np.percentile(at, [2.0, 98.0])
    middle = middle + 0.5 * (low + high) * along
    across = bar - middle - ((bar - middle) @ along)[:, None] * along
    # Half of a bar is seen, at an angle: its thickness is that of the widest extent.
    upward = np.cross(along, front.normal)
    extents = [np.ptp(np.percentile(across @ way, [8.0, 92.0])) for way in (front.normal, upward)]
    return Bar(middle, along, 0.5 * float(high - low), float(max(extents)))


def _rotation(bar: Bar, front: Front, tilt: float) -> Array:
    """R_planning_tcp (3, 3) that comes at a bar from above (0) to before it (a quarter turn)."""
    out = front.normal - (front.normal @ bar.along) * bar.along
    out /= np.linalg.norm(out)
    side = np.cross(bar.along, out)
    side = side if side @ front.support.normal >= 0 else -side
    z = -(np.cos(tilt) * side + np.sin(tilt) * out)
    x = np.cross(bar.along, z)
    return np.stack([x, np.cross(z, x), z], axis=1)


def _obstacles(points: Array, front: Front, bar: Bar) -> Array:
    """Points (P, 3) that the hand must not touch: what is seen, and the face behind the handle."""
    handle = front.is_handle(points)
    near = np.abs((points - bar.middle) @ bar.along) < bar.half
    reach = float((bar.middle @ front.normal) - front.offset)
    own = handle & near & (front.beyond(points) > 0.35 * reach)
    at = np.arange(front.span[0], front.span[1] + _GRID_M, _GRID_M)
    height = np.arange(front.rise[0], front.rise[1] + _GRID_M, _GRID_M)
    grid = np.stack(np.meshgrid(at, height, indexing="ij"), -1).reshape(-1, 2)
    up = front.support.normal
    face = front.offset * front.normal + grid[:, :1] * front.along
    face = face + (grid[:, 1:] - front.support.offset) * up
    # The posts at the bar's ends are thin, and seen badly: they stand in the way all the same.
    share = np.linspace(0.2, 0.8, 6)[:, None]
    ends = [bar.middle + s * bar.half * bar.along for s in (-1.0, 1.0)]
    posts = [end - share * reach * front.normal for end in ends]
    return np.concatenate([thin(points[~own], 0.004), face, *posts])


def _clearance(T: Array, opening: float, points: Array, gripper: GripperSpec) -> float:
    """Smallest distance [m] from the hand to points (P, 3)."""
    local = (points - T[:3, 3]) @ T[:3, :3]
    clear = np.inf
    for row in gripper.capsules(opening):
        a, b, radius = row[:3], row[3:6], row[6]
        edge = b - a
        share = np.clip((local - a) @ edge / max(float(edge @ edge), 1e-12), 0.0, 1.0)
        gap = np.linalg.norm(local - a - share[:, None] * edge, axis=1) - radius
        clear = min(clear, float(gap.min()))
    return clear
