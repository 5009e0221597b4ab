"""The executor: says which flows the robot can do, and does one, watched by the guard."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from rclpy.action.server import ServerGoalHandle

from novaflow_core.errors import Code, ExecutionError, NovaflowError
from novaflow_core.registry import load_backend
from novaflow_executor.core.closed_loop import ClosedLoop, FollowTask
from novaflow_executor.core.driver import RobotDriver
from novaflow_executor.core.execution import PlanRunner
from novaflow_executor.core.plan import ExecutionPlan
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.ros.clear_view import ViewClearing
from novaflow_executor.ros.executor_settings import ExecutorSettings
from novaflow_executor.ros.guard_link import GuardLink
from novaflow_executor.ros.object_sight import TrackedObject
from novaflow_executor.ros.plan_display import PlanDisplay
from novaflow_executor.ros.plan_execution import PlanExecution
from novaflow_executor.ros.robot_model import RobotModel
from novaflow_msgs.action import ClearView, ExecuteFlow, ScoreFlows
from novaflow_msgs.msg import NamedValue
from novaflow_ros import conversions as convert
from novaflow_ros.actions import SingleGoalServer, StageReporter
from novaflow_ros.node import NovaflowNode, run


class ExecutorNode(NovaflowNode[ExecutorSettings]):
    """Serves /novaflow/score_flows, /novaflow/execute_flow and /novaflow/clear_view."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__("executor_node", ExecutorSettings)

    def setup(self) -> None:
        """Create driver, guard link and servers; the planner comes with /robot_description."""
        s = self.settings
        self._driver: RobotDriver = load_backend("robot", s.robot)(self, s)
        self._guard = GuardLink(self, s.guard_silence_s)
        self._sight = TrackedObject(self)
        self._display = PlanDisplay(self)
        self._model = RobotModel(self, s)
        self._execution = PlanExecution(self, self._driver, self._guard, s.limits())
        self._clearing = ViewClearing(self, self._driver, self._execution)
        self._plans: dict[tuple[str, str], ExecutionPlan] = {}
        self._servers = [
            SingleGoalServer(self, ScoreFlows, "/novaflow/score_flows", self._score),
            SingleGoalServer(
                self, ExecuteFlow, "/novaflow/execute_flow", self._execute, fail=_failed
            ),
            SingleGoalServer(self, ClearView, "/novaflow/clear_view", self._clear),
        ]

    def stop(self) -> None:
        """End the running goals; an execution stops the arm on its way out."""
        for server in self._servers:
            server.stopping.set()

    def start(self) -> None:
        """Serve goals."""
        for server in self._servers:
            server.stopping.clear()

    def teardown(self) -> None:
        """Free what `setup` made."""
        for server in self._servers:
            server.destroy()
        self._model.destroy()
        self._sight.destroy()
        self._guard.destroy()
        self._driver.destroy()

    # --- actions ---
    def _score(self, goal: ScoreFlows.Goal, handle: ServerGoalHandle) -> ScoreFlows.Result:
        planner, _ = self._model.get()
        report = StageReporter(ScoreFlows.Feedback, handle, "score", self.get_clock())
        feasibility = planner.score(
            convert.cloud_from_msg(goal.target_cloud),
            convert.collision_scene_from_msg(goal.collision_scene),
            [convert.candidate_from_msg(candidate) for candidate in goal.candidates],
            self._driver.state().q,
            lambda share, text: report(text, share),
            lambda: self._servers[0].should_stop(handle),
            fits=[convert.pose_to_matrix(pose) for pose in goal.fits],
        )
        frame_id = goal.collision_scene.header.frame_id
        return ScoreFlows.Result(
            feasibility=[convert.feasibility_to_msg(item, frame_id) for item in feasibility]
        )

    def _execute(self, goal: ExecuteFlow.Goal, handle: ServerGoalHandle) -> ExecuteFlow.Result:
        planner, validator = self._model.get()
        scene = convert.collision_scene_from_msg(goal.collision_scene)
        cancelled = lambda: self._servers[1].should_stop(handle)  # noqa: E731
        report = StageReporter(ExecuteFlow.Feedback, handle, "execute", self.get_clock())
        task = FollowTask(
            convert.cloud_from_msg(goal.target_cloud),
            scene,
            convert.candidate_from_msg(goal.candidate),
            [convert.pose_to_matrix(pose) for pose in goal.fits],
        )
        plan = self._plan_for(goal, planner, task, report, cancelled)
        self._display.show(plan, scene.planning_frame)
        if goal.preview:
            validator.check(plan, self._driver.state().q, scene)
            return ExecuteFlow.Result(plan_hash=plan.hash, held=math.nan)
        self._refuse_unapproved(goal.plan_hash, plan)

        try:
            runner, loop = self._execution.run(
                plan,
                validator,
                scene,
                "execute",
                ExecuteFlow.Feedback,
                handle,
                cancelled,
                self._loop_of(planner, task, goal) if self.settings.closed_loop else None,
            )
        finally:
            self._plans.clear()  # the arm and the scene have changed
        corrections = loop.corrections if loop is not None else []
        moved = planner.held_motion(plan, self._driver.state().q) if loop is None else loop.T_moved
        return ExecuteFlow.Result(
            plan_hash=plan.hash,
            held=runner.held_m,
            phase=int(runner.phase),
            corrections=[correction.text for correction in corrections],
            loop=_numbers(loop, self._sight),
            kept=(plan if loop is None else loop.plan).held,
            moved=convert.pose_from_matrix(np.eye(4) if moved is None else moved),
        )

    def _loop_of(
        self, planner: MotionPlanner, task: FollowTask, goal: ExecuteFlow.Goal
    ) -> Callable[[PlanRunner], ClosedLoop]:
        self._sight.follow(goal.scene_id)
        return lambda runner: ClosedLoop(
            runner,
            planner,
            self._sight,
            self._driver,
            lambda: self.get_clock().now().nanoseconds * 1e-9,
            task,
            self.settings.loop_limits(),
            approved=bool(goal.plan_hash),
        )

    def _clear(self, _goal: ClearView.Goal, handle: ServerGoalHandle) -> ClearView.Result:
        planner, validator = self._model.get()
        may_move = self.settings.allow_motion and not self.settings.require_approval
        return self._clearing.run(
            planner, validator, may_move, handle, lambda: self._servers[2].should_stop(handle)
        )

    def _plan_for(
        self,
        goal: ExecuteFlow.Goal,
        planner: MotionPlanner,
        task: FollowTask,
        report: StageReporter,
        cancelled: Callable[[], bool],
    ) -> ExecutionPlan:
        """Return the previewed plan if it still starts where the arm stands, or a new one."""
        key, q = (goal.scene_id, goal.candidate.candidate_id), self._driver.state().q
        plan = self._plans.get(key)
        if plan is not None:
            away = float(np.abs(plan.preview().position[0] - q).max())
            if away <= self.settings.start_tolerance_rad:
                return plan
        plan = planner.plan(
            task.points,
            task.scene,
            task.candidate,
            q,
            lambda share, text: report(text, share),
            cancelled,
            task.fits,
        )
        self._plans = {k: v for k, v in self._plans.items() if k[0] == goal.scene_id}
        self._plans[key] = plan
        return plan

    def _refuse_unapproved(self, approved_hash: str, plan: ExecutionPlan) -> None:
        if not self.settings.allow_motion:
            raise ExecutionError(
                Code.MOTION_NOT_APPROVED, "parameter allow_motion of executor_node is false"
            )
        if approved_hash and approved_hash != plan.hash:
            raise ExecutionError(
                Code.PLAN_EXPIRED,
                f"plan {approved_hash[:12]} was approved, the plan from here is {plan.hash[:12]}; "
                "ask again",
            )
        if not approved_hash and self.settings.require_approval:
            raise ExecutionError(
                Code.MOTION_NOT_APPROVED, f"plan {plan.hash[:12]} is not approved; nothing moved"
            )


def _failed(error: NovaflowError) -> ExecuteFlow.Result:
    return ExecuteFlow.Result(
        code=int(error.code),
        reason=error.reason,
        held=float(error.evidence.get("held_m", math.nan)),  # type: ignore[arg-type]
        phase=int(error.evidence.get("phase", 0)),  # type: ignore[call-overload]
        kept=str(error.evidence.get("kept", "")),
    )


def _numbers(loop: ClosedLoop | None, sight: TrackedObject) -> list[NamedValue]:
    if loop is None:
        return []
    delays = [c.delay_s for c in loop.corrections]
    values: dict[str, float] = {
        "corrections": len(loop.corrections),
        "regrasps": loop.regrasps,
    }
    rate_hz, gap_s = sight.pace()
    if math.isfinite(rate_hz):
        values |= {"images_per_s": rate_hz, "image_gap_worst": gap_s}
    if delays:
        values |= {"delay_median": float(np.median(delays)), "delay_worst": max(delays)}
    return [NamedValue(name=name, value=float(value)) for name, value in values.items()]


def main() -> None:
    """Run the node."""
    run(ExecutorNode, threads=1)
