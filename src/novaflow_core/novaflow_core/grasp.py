"""Where a gripper takes an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grasp:
    """A parallel-jaw grasp at step 0 of the flow.

    Attributes:
        T_planning_tcp: (4, 4); origin between the fingertips, +z along the approach, +x along the
            closing direction.
        width_m: Opening between the pads before closing [m].
        score: Quality of the proposal itself, 0..1.
    """

    T_planning_tcp: NDArray[np.float64]
    width_m: float
    score: float
