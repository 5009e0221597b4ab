"""task_node: serves `/novaflow/perform_task`; owns the stages, approval and the report."""

from __future__ import annotations

import secrets
import time
import traceback
from dataclasses import replace
from datetime import UTC, datetime

from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from novaflow_bringup.core.pipeline import Pipeline
from novaflow_bringup.core.run_folder import given_folder, new_folder, runs_root, write_run
from novaflow_bringup.core.run_record import Goal, RunRecord, StageTime
from novaflow_bringup.core.task_settings import TaskSettings
from novaflow_bringup.ros.approvals import Approvals
from novaflow_bringup.ros.liveness import Liveness
from novaflow_bringup.ros.outcome import goal_to_json, outcome_to_msg, stage_to_msg
from novaflow_bringup.ros.stages import GraphStages, Limits
from novaflow_core.errors import Code, NovaflowError, PlatformError
from novaflow_msgs.action import PerformTask
from novaflow_msgs.msg import StageReport, TaskOutcome
from novaflow_ros.actions import SingleGoalServer
from novaflow_ros.artifacts import to_path
from novaflow_ros.node import NovaflowNode, run

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FEEDBACK_PERIOD_S = 0.1
FROZEN_S = 5.0  # silence after which a guard counts as hung


class TaskFailedError(NovaflowError):
    """A goal that did not succeed, with its record."""

    def __init__(self, record: RunRecord) -> None:
        """Keep the record."""
        super().__init__(record.code, record.reason, record.evidence)
        self.record = record


class TaskNode(NovaflowNode[TaskSettings]):
    """Runs one task at a time through the graph."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("task_node", TaskSettings)
        self._liveness: Liveness | None = None

    def setup(self) -> None:
        """Create clients, topics and the server."""
        group = ReentrantCallbackGroup()
        self._stage_topic = self.create_publisher(StageReport, "/novaflow/stage", 50)
        self._goal_topic = self.create_publisher(String, "/novaflow/goal", LATCHED)
        self._outcome_topic = self.create_publisher(TaskOutcome, "/novaflow/outcome", LATCHED)
        self._liveness = Liveness(self)
        self._stages = GraphStages(self, self._liveness, Approvals(self, group), group)
        # The guard ends the other processes that hang; a guard that hangs is ended from here.
        self._guards_guard = self.create_timer(
            1.0,
            lambda: self._liveness and self._liveness.end_frozen("guard_node", FROZEN_S),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._server = SingleGoalServer(
            self, PerformTask, "/novaflow/perform_task", self._perform, fail=self._failed
        )

    def stop(self) -> None:
        """End the running goal."""
        self._server.stopping.set()

    def start(self) -> None:
        """Accept goals."""
        self._server.stopping.clear()

    def teardown(self) -> None:
        """Remove the server and the clients."""
        self.destroy_timer(self._guards_guard)
        self._server.destroy()
        self._stages.destroy()

    def destroy_node(self) -> None:
        """End the thread that hears heartbeats, too: it would outlive the context."""
        if self._liveness is not None:
            self._liveness.close()
        super().destroy_node()

    def _perform(self, request: PerformTask.Goal, handle: ServerGoalHandle) -> PerformTask.Result:
        record = RunRecord(self._goal(request))
        try:
            root = runs_root(self.settings.runs)
            record.folder = (
                given_folder(to_path(request.run_uri))
                if request.run_uri
                else new_folder(root, datetime.now(UTC))
            )
            self._goal_topic.publish(String(data=goal_to_json(record.goal)))
            self._run(record, handle)
        except NovaflowError as error:
            record.fail(error)
        except Exception as error:
            self.get_logger().error(f"unexpected failure:\n{traceback.format_exc()}")
            record.fail(PlatformError(Code.INTERNAL, f"{type(error).__name__}: {error}"))
        if handle.is_cancel_requested and not record.success and record.code == Code.OK:
            record.fail(PlatformError(Code.CANCELLED, "cancelled at the end"))
        return self._close(record)

    def _run(self, record: RunRecord, handle: ServerGoalHandle) -> None:
        last = (0.0, "")

        def on_stage(stage: StageTime, progress: float) -> None:
            nonlocal last
            now, said = time.monotonic(), stage.text
            if stage.state == "running" and said == last[1] and now - last[0] < FEEDBACK_PERIOD_S:
                return
            last = (now, said)
            message = stage_to_msg(stage, progress, self.get_clock().now().nanoseconds)
            self._stage_topic.publish(message)
            uri = record.folder.as_uri() if record.folder else ""
            handle.publish_feedback(PerformTask.Feedback(stage=message, run_uri=uri))

        def should_stop() -> bool:
            return self._server.should_stop(handle)

        self._stages.begin(should_stop, self._limits())
        Pipeline(
            self._stages,
            approve=self.settings.approve,
            record=self.settings.record,
            next_candidates=self.settings.next_candidates,
            on_stage=on_stage,
            should_stop=should_stop,
        ).run(record)

    def _close(self, record: RunRecord) -> PerformTask.Result:
        """Write the run and publish its outcome; planning alone is no failure."""
        try:
            write_run(record)
        except OSError as error:
            record.notes.append(f"the run folder could not be written: {error}")
            self.get_logger().error(record.notes[-1])
        message = outcome_to_msg(record, self.get_clock().now().nanoseconds)
        self._outcome_topic.publish(message)
        self.get_logger().info(
            f"{record.verdict()}: {record.code.name} ({int(record.code)}): {record.reason}"
        )
        if record.verdict() == "failed":
            raise TaskFailedError(record)
        return PerformTask.Result(outcome=message)

    def _failed(self, error: NovaflowError) -> PerformTask.Result:
        """Result of a goal that failed, or was turned away before it had a record."""
        record = error.record if isinstance(error, TaskFailedError) else RunRecord(Goal(""))
        if not isinstance(error, TaskFailedError):
            record.fail(error)
        stamp_ns = self.get_clock().now().nanoseconds
        return PerformTask.Result(outcome=outcome_to_msg(record, stamp_ns))

    def _goal(self, request: PerformTask.Goal) -> Goal:
        goal = Goal(
            instruction=request.instruction,
            candidates=int(request.candidates) or self.settings.candidates,
            seed=int(request.seed),
            spoiled=int(request.spoiled),
            plan_only=bool(request.plan_only),
            goal_image=bytes(request.goal_image.data),
            goal_image_format=request.goal_image.format,
        )
        return replace(goal, seed=secrets.randbelow(2**31)) if goal.seed < 0 else goal

    def _limits(self) -> Limits:
        s = self.settings
        return Limits(
            generate=s.generate_timeout,
            score=s.score_timeout,
            select=s.select_timeout,
            approve=s.approve_timeout,
            execute=s.execute_timeout,
            ready=s.ready_timeout,
            silent=s.silent_timeout,
        )


def main() -> None:
    """Run the node."""
    run(TaskNode, threads=1)


if __name__ == "__main__":
    main()
