"""Facade of the executor's core: score candidates, plan an execution. Nothing here moves anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from novaflow_core.candidate import CandidateFeasibility, FlowCandidate
from novaflow_core.grounding import CollisionScene
from numpy.typing import NDArray

from novaflow_executor.core.plan import ExecutionPlan

Array = NDArray[np.float64]
Progress = Callable[[float, str], None]
ShouldStop = Callable[[], bool]


class MotionPlanner:
    """Grasps, feasibility and plans for one robot. The planning frame is the arm's base link."""

    @classmethod
    def from_files(
        cls,
        urdf_text: str,
        settings_path: str,
        *,
        grasps: str = "antipodal",
        motion: str = "banded_lm",
        speed: float = 0.5,
    ) -> MotionPlanner:
        """Build from /robot_description, the robot's YAML file and names of backends.

        Args:
            urdf_text: The arm's URDF.
            settings_path: YAML with tip, TCP, capsules, gripper, limits (share/novaflow_executor/config).
            grasps: Backend of the stage `grasps`.
            motion: Backend of the stage `motion`.
            speed: Share of the velocity and acceleration limits that plans may use, 0..1.

        Raises:
            NovaflowError: UNKNOWN_BACKEND or INVALID_SETTING.
        """
        raise NotImplementedError

    @property
    def joint_names(self) -> tuple[str, ...]:
        """The arm's joints, in the order of every `q`."""
        raise NotImplementedError

    @property
    def home(self) -> Array:
        """(N,) rest configuration [rad], where executions end."""
        raise NotImplementedError

    def warm(self) -> None:
        """Run each kernel once, so that the first goal is as fast as the others."""
        raise NotImplementedError

    def score(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidates: Sequence[FlowCandidate],
        q_now: Array,
        on_progress: Progress = lambda share, text: None,
        should_stop: ShouldStop = lambda: False,
    ) -> tuple[CandidateFeasibility, ...]:
        """Score every pair of grasp and candidate over the whole motion; one record per candidate.

        Candidates whose code is not OK get a record with that code. The grasps and solutions are kept
        for `plan` until the next scene.

        Raises:
            GraspError: NO_GRASP, when the object offers no grasp at all.
            PlatformError: CANCELLED when `should_stop` turned true.
        """
        raise NotImplementedError

    def plan(
        self,
        target_points: Array,
        scene: CollisionScene,
        candidate: FlowCandidate,
        q_now: Array,
        on_progress: Progress = lambda share, text: None,
        should_stop: ShouldStop = lambda: False,
    ) -> ExecutionPlan:
        """Plan the whole execution of one candidate from where the arm stands.

        Raises:
            GraspError: NO_GRASP, NO_FEASIBLE_GRASP.
            ExecutionError: IK_FAILED, OPTIMISATION_FAILED, FLOW_OUTSIDE_WORKSPACE, APPROACH_NOT_FOUND.
            PlatformError: CANCELLED.
        """
        raise NotImplementedError
