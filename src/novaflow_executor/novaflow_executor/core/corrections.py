"""How a plan bends when the object is seen elsewhere than it was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.flow import ObjectFlow
from novaflow_core.grasp import Grasp

Array = NDArray[np.float64]

FADE_SHARE = 0.45  # of the way that is left: by then a correction is complete
ALIKE_M, ALIKE_RAD = 0.012, 0.3
FIT_M, FIT_RAD = 0.012, 0.25


def meeting(T_base_obj: Array, T_now: Array, point: Array) -> Array:
    """Object poses (T, 4, 4) that begin at `T_now` (4, 4) and then merge into `T_base_obj`.

    The difference at the first step fades over the first part of the way, smoothly; the ends stay
    what the task asks for.

    Args:
        T_base_obj: (T, 4, 4) motion of the object since a common step.
        T_now: (4, 4) its motion until now.
        point: (3,) of the object at that step [m]: about it corrections turn.
    """
    way = T_base_obj[:, :3, :3] @ point + T_base_obj[:, :3, 3]
    error = T_now @ se3.inverse(T_base_obj[0])
    return np.asarray(_part(error, se3.apply(T_now, point), 1.0 - _faded(way)) @ T_base_obj)


def rebased(flow: ObjectFlow, T_moved: Array) -> ObjectFlow:
    """The flow of an object that `T_moved` (4, 4) has carried off before the flow begins."""
    points = flow.points.astype(float)
    middle = np.nanmedian(points[0], axis=0)
    way = np.nanmedian(points, axis=1)
    steps = _part(T_moved, se3.apply(T_moved, middle), 1.0 - _faded(way))
    moved = np.einsum("tij,tkj->tki", steps[:, :3, :3], points) + steps[:, None, :3, 3]
    return replace(flow, points=moved.astype(np.float32))


def fitted(T_base_obj: Array, fits: Sequence[Array], up: Array, point: Array) -> Array:
    """Object poses (T, 4, 4) whose end is moved onto the nearest place where the object fits.

    The height of the end stays the flow's. A place farther away than `FIT_M` or `FIT_RAD` is not
    what the flow means, and changes nothing.

    Args:
        T_base_obj: (T, 4, 4) motion of the object since the scene.
        fits: Motions (4, 4) since the scene after which the object fits, at any height.
        up: (3,) unit normal of the support.
        point: (3,) of the object before it moves [m].
    """
    end = se3.apply(T_base_obj[-1], point)
    best, nearest = None, 1.0
    for fit in fits:
        level = fit.copy()
        level[:3, 3] += ((end - se3.apply(fit, point)) @ up) * up
        error = level @ se3.inverse(T_base_obj[-1])
        away = np.linalg.norm(se3.apply(level, point) - end) / FIT_M
        far = max(float(away), float(se3.rotation_angle(error[:3, :3])) / FIT_RAD)
        if far < nearest:
            best, nearest = error, far
    if best is None:
        return T_base_obj
    way = T_base_obj[:, :3, :3] @ point + T_base_obj[:, :3, 3]
    late = _faded(way[::-1])[::-1]  # begins where a correction at the start would be complete
    return np.asarray(_part(best, se3.apply(best, end), 1.0 - late) @ T_base_obj)


def place_step(path: Array, place_m: float) -> int:
    """Last step of a path (T, 3) [m] with at least `place_m` still to go; 0 where it is short."""
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    left = np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
    if left[0] < 1.5 * place_m:
        return 0
    return int(np.flatnonzero(left >= place_m)[-1])


def nearest_step(T_base_obj: Array, T_now: Array, point: Array, first: int = 0) -> int:
    """Step of a flow (T, 4, 4), not before `first`, at which `point` (3,) is nearest to now."""
    there = T_base_obj[first:, :3, :3] @ point + T_base_obj[first:, :3, 3]
    return first + int(np.argmin(np.linalg.norm(there - se3.apply(T_now, point), axis=1)))


def without_alike(grasps: Sequence[Grasp], avoid: Sequence[Array]) -> tuple[Grasp, ...]:
    """Grasps that are not like one that failed; fingers that change places make no difference."""
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])

    def alike(grasp: Grasp, other: Array) -> bool:
        T = grasp.T_planning_tcp
        away = float(np.linalg.norm(T[:3, 3] - other[:3, 3]))
        turns = [se3.rotation_angle(T[:3, :3].T @ (other @ f)[:3, :3]) for f in (np.eye(4), flip)]
        return away < ALIKE_M and float(np.min(turns)) < ALIKE_RAD

    return tuple(g for g in grasps if not any(alike(g, other) for other in avoid))


def _faded(way: Array) -> Array:
    """How much (T,) of a correction is made at each step of a way (T, 3), 0..1."""
    steps = np.nan_to_num(np.linalg.norm(np.diff(way, axis=0), axis=1))
    gone = np.concatenate([[0.0], np.cumsum(steps)])
    if gone[-1] < 1e-4:  # a turn on the spot: fade over time
        gone = np.arange(len(way), dtype=float)
    share = np.clip(gone / (FADE_SHARE * gone[-1]), 0.0, 1.0)
    return np.asarray(share**2 * (3 - 2 * share))


def _part(T_error: Array, centre: Array, share: Array) -> Array:
    """Parts (T, 4, 4) of a motion about a point that it moves to `centre` (3,)."""
    turn = se3.log_so3(T_error[:3, :3])
    origin = se3.apply(se3.inverse(T_error), centre)
    rotation = se3.exp_so3(share[:, None] * turn)
    place = origin + share[:, None] * (centre - origin)
    return se3.from_rt(rotation, place - rotation @ origin)
