"""Where exactly the target fits into its reference: measured, for the last millimetres.

A flow that was lifted from a video says where the target goes to within a few millimetres. When
the instruction puts it into an opening that is hardly larger, that is not enough; both outlines are
then measured in the image, finer than depth tells.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.footprint import Footprint, fit_footprint
from novaflow_core.grounding import GroundedObject, Grounding
from novaflow_core.scene import Plane, Scene
from novaflow_core.task import Relation
from novaflow_perception.core.prism_outline import fit_outline
from novaflow_perception.core.rectangle_edges import Rectangle, fit_edges

Float = NDArray[np.float64]

_MIN_POINTS = 60
_RIM_M = 0.006
_SLACK_M = (-0.0005, 0.008)  # by how much an opening may be wider than the target, to either side
_MOST_ERROR_M = 0.0008
_ERODED_M = 0.0015  # masks leave out the border, where depth mixes two surfaces


def find_fits(scene: Scene, grounding: Grounding) -> tuple[Float, ...]:
    """Motions of the target that put it upright over the middle of its reference's opening.

    Args:
        scene: As it was seen before anything moved.
        grounding: Of this scene.

    Returns:
        Motions (4, 4) since the scene, planning frame, without any change of height; one for each
        way of turning in which the target fits. Empty where the instruction asks for no opening,
        where it is wide, or where the outlines cannot be measured.
    """
    task = grounding.task
    if task.relation is not Relation.IN or not grounding.references:
        return ()
    support = grounding.support
    target = _outline(scene, grounding, grounding.target)
    opening = _opening(scene, grounding, grounding.references[0])
    if target is None or opening is None:
        return ()
    fits = []
    for quarter in range(4):
        half = target.half if quarter % 2 == 0 else target.half[::-1]
        slack = opening.half - half
        if (slack < _SLACK_M[0]).any() or (slack > _SLACK_M[1]).any():
            continue
        turn = opening.yaw_rad + quarter * np.pi / 2 - target.yaw_rad
        fits.append(_motion(support, target.centre, opening.centre, turn))
    return tuple(fits)


def _motion(support: Plane, start: Float, end: Float, turn_rad: float) -> Float:
    """Turn about the support's normal and shift along the support."""
    basis = support.basis()
    rotation = se3.exp_so3(turn_rad * support.normal)
    origin = start @ basis
    return np.asarray(se3.from_rt(rotation, end @ basis - rotation @ origin))


def _footprint(scene: Scene, grounding: Grounding, item: GroundedObject) -> Footprint | None:
    points = grounding.points(scene, item)
    if len(points) < _MIN_POINTS:
        return None
    basis = grounding.support.basis()
    toward = basis @ (scene.main.T_planning_camera[:3, 3] - points.mean(axis=0))
    return fit_footprint(points, grounding.support, toward / max(np.linalg.norm(toward), 1e-9))


def _outline(scene: Scene, grounding: Grounding, item: GroundedObject) -> Rectangle | None:
    """The target's footprint; None where it is no upright prism or its outline is unclear."""
    foot = _footprint(scene, grounding, item)
    if foot is None or foot.is_round:
        return None
    first = Rectangle(foot.centre, foot.half + _ERODED_M, foot.yaw_rad, foot.top_m)
    found = fit_outline(scene.main, grounding.support, first)
    return found if found is not None and found.error_m < _MOST_ERROR_M else None


def _opening(scene: Scene, grounding: Grounding, item: GroundedObject) -> Rectangle | None:
    """The hole in the reference's top; None where there is none, or its edge is unclear."""
    foot = _footprint(scene, grounding, item)
    if foot is None or foot.is_round:
        return None
    points = grounding.points(scene, item)
    rim = points[grounding.support.height(points) > foot.top_m - _RIM_M]
    c, s = np.cos(foot.yaw_rad), np.sin(foot.yaw_rad)
    local = (rim @ grounding.support.basis().T - foot.centre) @ np.array([[c, -s], [s, c]])
    half = np.array([_inner(local, 0), _inner(local, 1)])
    if (half < 0.15 * foot.half).any():
        return None
    first = Rectangle(foot.centre, half, foot.yaw_rad, foot.top_m)
    found = fit_edges(scene.main, grounding.support, first)
    return found if found is not None and found.error_m < _MOST_ERROR_M else None


def _inner(local: Float, axis: int) -> float:
    """Half width [m] of the hole in a rim (N, 2) along an axis, looked at through its middle."""
    other = np.abs(local[:, 1 - axis])
    across = local[other < 0.3 * np.percentile(other, 98), axis]
    ends = [side[side > 0] for side in (across, -across)]
    if min(len(e) for e in ends) < 10:
        return 0.0
    return float(np.mean([np.percentile(e, 3) for e in ends]))
