"""Motion backend `banded_lm`: Levenberg-Marquardt with a banded Cholesky factorisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpbsv

from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.follow_cost import Linearisation, linearise, pose_error
from novaflow_executor.core.motion import FollowProblem, FollowSolution, first_guess
from novaflow_executor.core.robot import RobotModel

Array = NDArray[np.float64]


class BandedLm:
    """Levenberg-Marquardt over whole paths; problems of a batch advance in lockstep.

    Args:
        robot: The arm.
        iterations: At most, per problem.
        tolerance: Relative decrease of the cost below which a problem is done.
    """

    def __init__(self, robot: RobotModel, iterations: int = 40, tolerance: float = 1e-5) -> None:
        """Keep the arm and the limits of the iteration."""
        self.robot = robot
        self.iterations = iterations
        self.tolerance = tolerance

    def solve(self, problem: FollowProblem) -> FollowSolution:
        """Solve one problem; see `MotionSolver`."""
        return self.solve_batch([problem])[0]

    def solve_batch(self, problems: Sequence[FollowProblem]) -> list[FollowSolution]:
        """Solve problems of one length and one set of weights; see `MotionSolver`."""
        problems = list(problems)
        if not problems:
            return []
        q = np.stack([first_guess(p) for p in problems])
        if not np.isfinite(q).all():
            raise ExecutionError(
                Code.OPTIMISATION_FAILED, "the first guess of a path is not finite"
            )
        smooth2 = problems[0].weights.smooth ** 2
        here = linearise(self.robot, problems, q)
        damping = np.full(len(problems), 1e-3)
        growth = np.full(len(problems), 2.0)
        spent = np.zeros(len(problems), int)
        active = np.arange(len(problems))
        for _ in range(self.iterations):
            step, predicted = _step(_take(here, active), damping[active], smooth2)
            trial = linearise(self.robot, [problems[i] for i in active], q[active] + step)
            gain = here.cost[active] - trial.cost
            ratio = gain / np.maximum(predicted, 1e-300)
            spent[active] += 1
            keep = np.ones(len(active), bool)
            for k, i in enumerate(active):
                if ratio[k] > 1e-3:
                    keep[k] = gain[k] > self.tolerance * here.cost[i]
                    q[i] += step[k]
                    for name in ("cost", "gradient", "hessian"):
                        getattr(here, name)[i] = getattr(trial, name)[k]
                    # Nielsen's rule: the better the model, the smaller the damping
                    damping[i] = max(damping[i] * max(0.1, 1 - (2 * ratio[k] - 1) ** 3), 1e-7)
                    growth[i] = 2.0
                else:
                    damping[i] *= growth[i]
                    growth[i] *= 2
                    keep[k] = damping[i] < 1e6 and np.abs(step[k]).max() > 1e-5
            active = active[keep]
            if not len(active):
                break
        return [
            self._solution(p, q[i], float(here.cost[i]), int(spent[i]))
            for i, p in enumerate(problems)
        ]

    def clearance(self, collision: CollisionModel, q: Array, cap_m: float = 0.05) -> Array:
        """Smallest distances; see `MotionSolver`."""
        return collision.clearance(q, cap_m)

    def _solution(
        self, problem: FollowProblem, q: Array, cost: float, spent: int
    ) -> FollowSolution:
        if not np.isfinite(cost):
            raise ExecutionError(
                Code.OPTIMISATION_FAILED, f"the cost is {cost} after {spent} steps"
            )
        error = pose_error(self.robot.tcp(q), problem.T_base_tcp)
        return FollowSolution(
            q=q,
            cost=cost,
            iterations=spent,
            position_error_m=np.linalg.norm(error[:, :3], axis=1),
            orientation_error_rad=np.linalg.norm(error[:, 3:], axis=1),
            clearance_m=problem.collision.clearance(q, problem.weights.margin_m),
        )


def _take(all_of: Linearisation, index: NDArray[np.int_]) -> Linearisation:
    return replace(
        all_of,
        cost=all_of.cost[index],
        gradient=all_of.gradient[index],
        hessian=all_of.hessian[index],
    )


def _step(at: Linearisation, damping: Array, smooth2: float) -> tuple[Array, Array]:
    """Damped Gauss-Newton steps (B, T, N) and the decrease (B,) that the model predicts."""
    batch, steps, count = at.gradient.shape
    inner = np.zeros(steps)
    inner[1:] += smooth2
    inner[:-1] += smooth2
    diagonal = np.einsum("btii->bti", at.hessian) + inner[:, None]
    scale = damping[:, None, None] * diagonal
    band = np.zeros((batch, count + 1, steps, count))  # lower band storage: row k holds A[i + k, i]
    for k in range(count):
        for j in range(count - k):
            band[:, k, :, j] = at.hessian[:, :, j + k, j]
    band[:, 0] = diagonal + scale
    band[:, count, :-1] = -smooth2
    step = np.empty_like(at.gradient)
    for b in range(batch):
        _, x, info = dpbsv(band[b].reshape(count + 1, -1), -at.gradient[b].reshape(-1), lower=1)
        if info != 0:
            raise ExecutionError(
                Code.OPTIMISATION_FAILED,
                f"the normal equations are not positive definite (row {info})",
            )
        step[b] = x.reshape(steps, count)
    predicted = 0.5 * ((scale * step**2).sum((1, 2)) - (at.gradient * step).sum((1, 2)))
    return step, predicted
