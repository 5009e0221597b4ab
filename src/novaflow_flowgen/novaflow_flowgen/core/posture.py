"""Gates about how a thing is held: it stays upright where nobody asked for more, and never dips."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from novaflow_core.candidate import Gate
from novaflow_core.motion_check import tilt_rad
from novaflow_core.scene import Plane
from novaflow_core.task import Motion, TaskSpec

Float = NDArray[np.float64]

_UPRIGHT = (Motion.LIFT, Motion.MOVE, Motion.PUSH, Motion.PULL)


def dips(low: Float, limit_m: float) -> Iterator[Gate]:
    """Whether it goes lower on its way than it stands at the start and at the end.

    What carries it need not be the support: it may stand on something.

    Args:
        low: (T,) lowest height of the target's points at each step [m].
        limit_m: Most that is allowed.
    """
    dip = float(min(low[0], low[-1]) - low.min())
    yield Gate(
        "dip_m", dip, limit_m, dip <= limit_m,
        f"on its way it is {1e3 * dip:.0f} mm lower than where it stands "
        f"({1e3 * limit_m:.0f} allowed)",
    )  # fmt: skip


def leans(task: TaskSpec, end: Float, support: Plane, limit_rad: float) -> Iterator[Gate]:
    """Whether it leans at the end of a motion along a direction; relations judge it themselves.

    Args:
        task: The instruction.
        end: (4, 4) motion of the target at the end.
        support: Plane that the scene stands on.
        limit_rad: Most that is allowed.
    """
    if task.relation is not None or task.motion not in _UPRIGHT:
        return
    lean = tilt_rad(end, support)
    yield Gate(
        "lean_rad", lean, limit_rad, lean <= limit_rad,
        f"it leans by {np.degrees(lean):.0f} deg at the end "
        f"({np.degrees(limit_rad):.0f} allowed)",
    )  # fmt: skip
