"""Carry out plans under the guard, and remember what an unfinished one left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node

from novaflow_core.errors import NovaflowError
from novaflow_core.grounding import CollisionScene
from novaflow_executor.core.clearing import LeftBehind
from novaflow_executor.core.closed_loop import ClosedLoop
from novaflow_executor.core.driver import RobotDriver
from novaflow_executor.core.execution import ExecutionLimits, PlanRunner
from novaflow_executor.core.plan import ExecutionPlan, Phase, Segment
from novaflow_executor.core.validator import PlanValidator
from novaflow_executor.ros.guard_link import GuardLink
from novaflow_ros.actions import StageReporter


class PlanExecution:
    """Runs one plan at a time.

    Attributes:
        left: What the last plan left behind; None when it came to its end with open fingers.
    """

    def __init__(
        self, node: Node, driver: RobotDriver, guard: GuardLink, limits: ExecutionLimits
    ) -> None:
        """Keep the parts."""
        self._node, self._driver, self._guard, self._limits = node, driver, guard, limits
        self.left: LeftBehind | None = None

    def run(
        self,
        plan: ExecutionPlan,
        validator: PlanValidator,
        scene: CollisionScene,
        stage: str,
        feedback_type: Any,
        handle: ServerGoalHandle,
        cancelled: Callable[[], bool],
        loop: Callable[[PlanRunner], ClosedLoop] | None = None,
    ) -> tuple[PlanRunner, ClosedLoop | None]:
        """Run a plan; returns the runner, which knows how far it came, and the loop.

        Args:
            plan: To be carried out.
            validator: Passes it, or not.
            scene: What must not be touched.
            stage: Name of the stage in feedback.
            feedback_type: Of the action; it has `phase` and `stage`.
            handle: The goal.
            cancelled: Whether the goal is to end.
            loop: Makes the closed loop around the runner; None carries the plan out blindly.

        Raises:
            NovaflowError: See `PlanRunner.run`.
        """

        def on_segment(segment: Segment, share: float) -> None:
            phase = int(segment.phase)
            say = StageReporter(
                lambda stage: feedback_type(phase=phase, stage=stage),
                handle,
                stage,
                self._node.get_clock(),
            )
            say(f"{segment.phase.name.lower()}: {segment.name}", share)

        runner = PlanRunner(
            self._driver,
            lambda part, q: validator.check(part, q, scene),
            self._guard,
            self._limits,
            on_segment,
            lambda: self._node.get_clock().now().nanoseconds * 1e-9,
        )
        closed = loop(runner) if loop is not None else None
        try:
            self._guard.arm(cancelled)
            if closed is None:
                runner.run(plan)
            else:
                closed.run(plan, cancelled)
            done = plan if closed is None else closed.plan
            self.left = LeftBehind(done, scene, Phase.CARRY) if done.held else None
        except NovaflowError as error:
            error.evidence.setdefault("phase", int(runner.phase))
            error.evidence.setdefault("held_m", runner.held_m)
            last = plan if closed is None else closed.plan
            self.left = LeftBehind(last, scene, Phase(runner.phase))
            if closed is not None and closed.corrections:
                error.evidence["corrections"] = "; ".join(c.text for c in closed.corrections)
            raise
        finally:
            self._guard.disarm()
        return runner, closed
