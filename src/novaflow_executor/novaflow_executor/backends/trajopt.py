"""Motion backend `trajopt`: the C++ kernel of the package `novaflow_trajopt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.motion import FollowProblem, FollowSolution, FollowWeights
from novaflow_executor.core.robot import RobotModel

if TYPE_CHECKING:
    import novaflow_trajopt

Array = NDArray[np.float64]


class Trajopt:
    """Levenberg-Marquardt over whole paths, in C++ with SIMD over time steps.

    Args:
        robot: The arm.
        iterations: At most, per problem.
        tolerance: Relative decrease of the cost below which a problem is done.
        threads: That a batch is shared by.

    Attributes:
        instruction_set: That the kernel runs on here: "avx512", "avx2" or "portable".

    Raises:
        PlatformError: UNAVAILABLE if the kernel is not built, naming the command that builds it.
    """

    def __init__(
        self,
        robot: RobotModel,
        iterations: int = 40,
        tolerance: float = 1e-5,
        threads: int = 1,
    ) -> None:
        """Load the kernel and describe the arm to it."""
        try:
            import novaflow_trajopt as kernel
        except ImportError as error:
            raise PlatformError(
                Code.UNAVAILABLE,
                f"motion backend 'trajopt' needs the package novaflow_trajopt ({error}); build it "
                "with `./novaflow setup`, or `colcon build` in a ROS 2 workspace",
            ) from error
        self.instruction_set = kernel.instruction_set()
        self._kernel = kernel
        self.robot = robot
        self.iterations, self.tolerance, self.threads = iterations, tolerance, threads
        T_parent_joint, axis, revolute = robot.joint_table()
        self._arm = kernel.Arm(
            T_parent_joint,
            axis,
            revolute,
            robot.limits.lower,
            robot.limits.upper,
            robot.home,
            robot.T_frame_tcp,
        )
        self._models: WeakKeyDictionary[CollisionModel, novaflow_trajopt.Model] = (
            WeakKeyDictionary()
        )
        self._weights: dict[FollowWeights, novaflow_trajopt.Weights] = {}

    def solve(self, problem: FollowProblem) -> FollowSolution:
        """Solve one problem; see `MotionSolver`."""
        return self.solve_batch([problem])[0]

    def solve_batch(self, problems: Sequence[FollowProblem]) -> list[FollowSolution]:
        """Solve problems; see `MotionSolver`."""
        found = self._kernel.follow(
            [self._posed(problem) for problem in problems],
            max_iterations=self.iterations,
            tolerance=self.tolerance,
            threads=self.threads,
        )
        return [
            FollowSolution(
                q=item.q,
                cost=item.cost,
                iterations=item.iterations,
                position_error_m=item.position_error_m,
                orientation_error_rad=item.orientation_error_rad,
                clearance_m=item.clearance_m,
            )
            for item in found
        ]

    def linearise(self, problem: FollowProblem) -> tuple[float, Array, Array]:
        """Cost, gradient (T, N) and Gauss-Newton blocks (T, N, N) at the problem's `q_initial`."""
        return self._kernel.linearise(self._posed(problem))

    def clearance(self, collision: CollisionModel, q: Array, cap_m: float = 0.05) -> Array:
        """Smallest distances; see `MotionSolver`."""
        return self._kernel.clearance(self._model(collision), np.atleast_2d(q), cap_m)

    def _posed(self, problem: FollowProblem) -> novaflow_trajopt.Problem:
        weights = self._weights.get(problem.weights)
        if weights is None:
            weights = self._kernel.Weights(*astuple(problem.weights))
            self._weights[problem.weights] = weights
        return self._kernel.Problem(
            self._model(problem.collision),
            problem.T_base_tcp,
            problem.q_start,
            problem.q_end,
            weights,
            problem.q_initial,
        )

    def _model(self, collision: CollisionModel) -> novaflow_trajopt.Model:
        model = self._models.get(collision)
        if model is None:
            plane = collision.plane
            bodies = self._kernel.Bodies(
                collision.frame,
                np.concatenate([collision.a, collision.b, collision.radius[:, None]], axis=1),
                collision.pairs,
                None if plane is None else np.append(plane.normal, plane.offset),
                collision.T_box_base,
                collision.box_half,
                collision.rods,
                collision.meets,
            )
            model = self._models[collision] = self._kernel.Model(self._arm, bodies)
        return model
