"""What a moving part is held by: the chest behind a drawer's front, which has to stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.front import Front
from novaflow_core.grounding import GroundedObject, Grounding, Role
from novaflow_core.scene import Scene
from novaflow_perception.core.evidence import Change
from novaflow_perception.core.explanation import find_again

Float = NDArray[np.float64]

MAX_DRAGGED_M = 0.018  # farther, and it was shoved or dragged along
MIN_SEEN = 0.65  # of its open points must be seen near their old place
_DEEP_M = 0.6  # how far behind a face what holds it may reach
_LEAST_SHARE = 0.5  # of an object that must lie behind the face
_LEAST_POINTS = 60


@dataclass(frozen=True)
class Held:
    """Whether what holds a part has stayed.

    Attributes:
        stayed: It has, or none of it is seen.
        reason: A sentence with numbers.
    """

    stayed: bool
    reason: str


def find_holder(scene: Scene, grounding: Grounding, front: Front) -> GroundedObject | None:
    """The object behind a front; None where nothing is seen of one."""
    best, most = None, _LEAST_POINTS
    for item in grounding.objects:
        if item.role is Role.TARGET:
            continue
        points = grounding.points(scene, item)
        beyond = front.beyond(points)
        behind = front.before(points) & (beyond < 0) & (beyond > -_DEEP_M)
        count = int(behind.sum())
        if count > most and count > _LEAST_SHARE * len(points):
            best, most = item, count
    return best


def look_at_holder(before: Scene, grounding: Grounding, front: Front, change: Change) -> Held:
    """Look whether what holds a front still stands where it stood."""
    item = find_holder(before, grounding, front)
    if item is None:
        return Held(True, "nothing is seen of what holds it")
    again = find_again(before, grounding, item, change)
    dragged = float(np.linalg.norm(again.motion[:3, 3]))
    if again.share < MIN_SEEN:
        return Held(
            False,
            f"{item.description} is not where it was: {100 * again.share:.0f} % of it agrees "
            f"({100 * MIN_SEEN:.0f} % needed)",
        )
    return Held(
        dragged <= MAX_DRAGGED_M,
        f"{item.description} has moved by {1e3 * dragged:.0f} mm ({1e3 * MAX_DRAGGED_M:.0f} "
        "allowed)",
    )
