"""The question that a motion backend answers: joint paths that follow given poses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FollowWeights:
    """Weights of the residuals. Source: NovaFlow, sec. 3.3, and pose tracking along the flow.

    Attributes:
        limit: Outside the joint limits [1/rad].
        smooth: Steps between neighbours [1/rad].
        collision: Of the barrier [1/m].
        rest: Distance from home [1/rad].
        position: Tracking between the ends [1/m].
        orientation: Tracking between the ends [1/rad].
        end_position: Tracking at the first and the last step [1/m].
        end_orientation: Tracking at the first and the last step [1/rad].
        margin_m: Distance at which the collision barrier begins.
    """

    limit: float = 100.0
    smooth: float = 10.0
    collision: float = 15.0
    rest: float = 0.1
    position: float = 50.0
    orientation: float = 10.0
    end_position: float = 200.0
    end_orientation: float = 40.0
    margin_m: float = 0.02


@dataclass(frozen=True)
class FollowProblem:
    """Follow poses with the TCP.

    Attributes:
        T_base_tcp: (T, 4, 4) wanted poses [m].
        q_start: (N,) solution at the first pose [rad].
        q_end: (N,) solution at the last pose [rad].
        collision: What must not be touched.
        weights: Of the residuals.
        q_initial: (T, N) first guess; None for the line from `q_start` to `q_end`.
    """

    T_base_tcp: Array
    q_start: Array
    q_end: Array
    collision: CollisionModel
    weights: FollowWeights = field(default_factory=FollowWeights)
    q_initial: Array | None = None


def first_guess(problem: FollowProblem) -> Array:
    """Path (T, N) [rad] that a solver starts from: `q_initial`, or the line between the ends."""
    if problem.q_initial is not None:
        return np.array(problem.q_initial, float)
    share = np.linspace(0, 1, len(problem.T_base_tcp))[:, None]
    return np.asarray((1 - share) * problem.q_start + share * problem.q_end)


@dataclass(frozen=True)
class FollowSolution:
    """A joint path and how good it is.

    Attributes:
        q: (T, N) [rad].
        cost: Of the objective; half the sum of squared residuals.
        iterations: That the solver took.
        position_error_m: (T,) distance between wanted and reached positions.
        orientation_error_rad: (T,) angle between wanted and reached orientations.
        clearance_m: (T,) smallest distance to anything, capped at the margin.
    """

    q: Array
    cost: float
    iterations: int
    position_error_m: Array
    orientation_error_rad: Array
    clearance_m: Array


class MotionSolver(Protocol):
    """A backend of the stage `motion`, made by its entry point with the robot as the argument."""

    robot: RobotModel

    def solve(self, problem: FollowProblem) -> FollowSolution:
        """Solve one problem.

        Raises:
            ExecutionError: OPTIMISATION_FAILED when no finite path comes out.
        """
        ...

    def solve_batch(self, problems: list[FollowProblem]) -> list[FollowSolution]:
        """Solve problems of one length T; the i-th solution equals `solve` of the i-th problem."""
        ...

    def clearance(self, collision: CollisionModel, q: Array, cap_m: float = 0.05) -> Array:
        """Smallest distance (S,) [m] of configurations (S, N) to anything, at most `cap_m`."""
        ...
