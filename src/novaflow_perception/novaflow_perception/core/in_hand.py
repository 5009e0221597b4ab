"""Where is something that the gripper holds, and hides most of?

The hand is a witness of its own: its joints, and how the object lay in it when it was last seen
well, say where the object is to some millimetres and degrees. What little of the object is seen
would fit many places; near the one that the hand tells it fits, or it contradicts the hand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_perception.core.explanation import Explanation

Float = NDArray[np.float64]

MAX_SHIFT_M = 0.012  # by which the hand may be wrong
MAX_TURN_RAD = float(np.radians(12.0))
_STEPS = ((0.004, 0.06), (0.002, 0.03), (0.001, 0.015))  # [m], [rad]
_MOST_STEPS = 4  # of one size


def near_hand(held: Float, middle: Float, weigh: Callable[[Float], Explanation]) -> Explanation:
    """The best explanation within what the hand may be wrong by.

    Args:
        held: (4, 4) motion of the object since the scene, as the hand tells it.
        middle: (3,) of the object before [m]: about it turns are tried.
        weigh: How well a motion (4, 4) explains the view.
    """
    at = se3.apply(held, middle)
    shift, turn = np.zeros(3), np.zeros(3)

    def moved(shift: Float, turn: Float) -> Float:
        spin = se3.exp_so3(turn)
        return se3.from_rt(spin, at + shift - spin @ at) @ held

    best = weigh(held)
    for step_m, step_rad in _STEPS:
        for _ in range(_MOST_STEPS):
            tried = []
            for way in [*np.eye(3), *-np.eye(3)]:
                for other in ((shift + step_m * way, turn), (shift, turn + step_rad * way)):
                    if (
                        np.linalg.norm(other[0]) <= MAX_SHIFT_M
                        and np.linalg.norm(other[1]) <= MAX_TURN_RAD
                    ):
                        tried.append((weigh(moved(*other)), *other))
            better = max(tried, key=lambda item: item[0].score)
            if better[0].score <= best.score:
                break
            best, shift, turn = better
    return best
