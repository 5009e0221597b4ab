"""The part of a thing that an instruction moves: a drawer's front with its handle.

Segmentation finds what stands on the support, chest and drawer in one, and the handle sometimes
apart. Which of it comes out is told by geometry: an upright face with a handle before it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code
from novaflow_core.front import Front, find_front
from novaflow_core.grounding import LABEL_SUPPORT, GroundedObject, Grounding, Role
from novaflow_core.scene import RgbdView, Scene
from novaflow_perception.core.geometry import upright_box

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_OWN_SHARE = 0.6  # of another thing that must lie before the front to be its handle
_LEAST_BODY = 60
_MOST_LABELS = 255
_BEHIND_M = 0.015  # the edge of a front's board, seen from above, lies this far behind its face


def with_moving_part(scene: Scene, grounding: Grounding) -> Grounding:
    """Split the target into the part that moves, which becomes the target, and the rest.

    Args:
        scene: That was grounded.
        grounding: Its target is the whole thing.

    Returns:
        The front and its handle as the target; the rest of the thing as another object that stays.

    Raises:
        PerceptionError: TARGET_NOT_FOUND when no front with a handle is seen.
    """
    whole, support = grounding.target, grounding.support
    eye = scene.main.T_planning_camera[:3, 3]
    nearby = _with_loose_parts(scene, grounding)
    points = np.concatenate([grounding.points(scene, item) for item in nearby])
    front = find_front(points, support, eye, Code.TARGET_NOT_FOUND)
    handles = [item for item in nearby[1:] if _is_handle(front, grounding.points(scene, item))]
    own = {whole.label, *(item.label for item in handles)}
    rest = _free_label(grounding)
    labels = tuple(
        _relabelled(view, image, front, own, whole.label, rest)
        for view, image in zip(scene.views, grounding.labels, strict=True)
    )
    split = replace(grounding, labels=labels)
    moving = _measured(scene, split, whole)
    body = GroundedObject(
        rest, Role.OTHER, f"what holds {whole.description}", float("nan"), whole.corners
    )
    staying = [item for item in grounding.objects if item.label not in own]
    if len(split.points(scene, body)) >= _LEAST_BODY:
        staying.append(_measured(scene, split, body))
    return replace(split, objects=(moving, *staying))


def _with_loose_parts(scene: Scene, grounding: Grounding) -> list[GroundedObject]:
    """The target and the unnamed things within a hand's breadth of it: its handle may be one."""
    target = grounding.target
    low, high = target.corners.min(axis=0) - 0.1, target.corners.max(axis=0) + 0.1
    out = [target]
    for item in grounding.objects:
        if item.role is Role.OTHER:
            points = grounding.points(scene, item)
            if len(points) and ((points > low) & (points < high)).all(axis=1).mean() > _OWN_SHARE:
                out.append(item)
    return out


def _is_handle(front: Front, points: Float) -> bool:
    if len(points) == 0:
        return False
    return float((front.is_handle(points) | front.is_face(points)).mean()) > _OWN_SHARE


def _relabelled(
    view: RgbdView,
    labels: NDArray[np.uint8],
    front: Front,
    own: set[int],
    moving: int,
    rest: int,
) -> NDArray[np.uint8]:
    out = labels.copy()
    mask = np.isin(labels, sorted(own))
    points = view.points()[mask]
    known = np.isfinite(points).all(axis=1)
    beyond = np.where(known, front.beyond(np.nan_to_num(points)), -1.0)
    out[mask] = np.where(beyond > -_BEHIND_M, moving, rest)
    # A handle hides a strip of table: what stands out there was taken for support or for nothing.
    loose = (labels <= LABEL_SUPPORT) & np.isfinite(view.depth)
    near = view.points()[loose]
    out[loose] = np.where(front.is_handle(near), moving, labels[loose])
    return out


def _measured(scene: Scene, grounding: Grounding, item: GroundedObject) -> GroundedObject:
    points = grounding.points(scene, item)
    return replace(item, corners=upright_box(points, grounding.support))


def _free_label(grounding: Grounding) -> int:
    taken = {item.label for item in grounding.objects}
    return next(label for label in range(2, _MOST_LABELS + 1) if label not in taken)
