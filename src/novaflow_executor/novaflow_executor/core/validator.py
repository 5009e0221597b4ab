"""Last check before anything is sent: independent of the planner, with its own kinematics."""

from __future__ import annotations

import numpy as np
from novaflow_core.grounding import CollisionScene
from numpy.typing import NDArray

from novaflow_executor.core.plan import ExecutionPlan

Array = NDArray[np.float64]


class PlanValidator:
    """Checks plans against the URDF, the limits, the workspace and the scene."""

    @classmethod
    def from_files(cls, urdf_text: str, settings_path: str) -> PlanValidator:
        """Build from the same sources as the planner, but with own code."""
        raise NotImplementedError

    def check(self, plan: ExecutionPlan, q_now: Array, scene: CollisionScene) -> None:
        """Pass or raise.

        Args:
            plan: All of it is checked, also what follows the first segment.
            q_now: (N,) measured joint positions [rad].
            scene: What must not be touched.

        Raises:
            ExecutionError: PLAN_START_STATE, PLAN_JOINT_LIMIT, PLAN_VELOCITY, PLAN_ACCELERATION,
                PLAN_WORKSPACE or PLAN_COLLISION, with segment, time and numbers.
        """
        raise NotImplementedError
