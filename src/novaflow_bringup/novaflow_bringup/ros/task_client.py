"""Sends goals to task_node from outside the graph: for the command line, replay and tests."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
import rclpy.executors
from action_msgs.msg import GoalStatus
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from novaflow_bringup.core.pipeline import STARTED
from novaflow_bringup.core.readiness import ACTING, JUDGING, wait_until_ready
from novaflow_bringup.core.run_folder import write_run
from novaflow_bringup.core.run_record import Goal, RunRecord, StageTime
from novaflow_bringup.ros.liveness import Liveness
from novaflow_bringup.ros.outcome import goal_to_action, record_from_outcome, stage_from_msg
from novaflow_core.errors import Code, PlatformError
from novaflow_msgs.action import PerformTask
from novaflow_ros.actions import ANSWER_S, send_goal, wait_for
from novaflow_ros.artifacts import to_path
from novaflow_ros.executors import MultiThreadedExecutor
from novaflow_ros.goal_client import GoalClient

ACTION = "/novaflow/perform_task"
CAMERA_INFO = "/camera/camera/color/camera_info"
SILENT_S = 2.0
CANCEL_S = 15.0  # for the arm to stop and the report to be written


class TaskClient:
    """A participant of its own in one DDS domain."""

    def __init__(self, domain: int | None = None) -> None:
        """Join the domain; None: that of the environment."""
        self._context = Context()
        number = int(os.environ.get("ROS_DOMAIN_ID", "0")) if domain is None else domain
        rclpy.init(args=[], context=self._context, domain_id=number)
        group = ReentrantCallbackGroup()
        self.node = Node(
            f"novaflow_client_{os.getpid()}",
            context=self._context,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        self.liveness = Liveness(self.node)
        self._images = 0
        self._camera = self.node.create_subscription(
            CameraInfo, CAMERA_INFO, self._seen, qos_profile_sensor_data, callback_group=group
        )
        self._action = GoalClient(self.node, PerformTask, ACTION, callback_group=group)
        self._executor = MultiThreadedExecutor(2, context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> TaskClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the domain."""
        self.liveness.close()
        self._executor.shutdown(timeout_sec=2.0)
        self._action.destroy()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)
        self._thread.join(2.0)

    def missing(self, *, plan_only: bool, camera: bool = True) -> list[str]:
        """Say what a goal needs and is not there."""
        nodes = JUDGING if plan_only else JUDGING + ACTING
        out = self.liveness.missing(("task_node", *nodes), SILENT_S)
        if not self._action.server_is_ready():
            out.append(f"{ACTION} (action server)")
        if camera and not self._images:
            out.append(f"{CAMERA_INFO} (no message yet)")
        return out

    def wait_ready(
        self,
        timeout_s: float,
        *,
        plan_only: bool,
        camera: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        on_wait: Callable[[list[str]], None] = lambda _missing: None,
    ) -> None:
        """Wait until a goal can be sent.

        Raises:
            PlatformError: CANCELLED, or UNAVAILABLE naming everything that is missing.
        """
        wait_until_ready(
            lambda: self.missing(plan_only=plan_only, camera=camera),
            timeout_s,
            should_stop,
            on_wait,
        )

    def perform(
        self,
        goal: Goal,
        *,
        folder: Path | None = None,
        timeout_s: float = 900.0,
        on_stage: Callable[[StageTime], None] = lambda _stage: None,
        should_cancel: Callable[[], bool] = lambda: False,
        should_leave: Callable[[], bool] = lambda: False,
    ) -> RunRecord:
        """Send a goal and wait for its end; a task node that dies meanwhile is an end, too.

        Args:
            goal: What to do.
            folder: Where the run is to be written; None: where the task node likes.
            timeout_s: The goal is cancelled after this [s].
            on_stage: Told about every change of a stage.
            should_cancel: Whether the user wants to stop: the goal is cancelled and awaited.
            should_leave: Whether to stop waiting even for that.

        Returns:
            The record as far as the client knows it.

        Raises:
            PlatformError: UNAVAILABLE when there is no server, CANCELLED when the user left.
        """
        seen = RunRecord(goal, folder)
        if not self._action.wait_for_server(timeout_sec=5.0):
            raise PlatformError(
                Code.UNAVAILABLE, f"{ACTION} is not there; {self.liveness.describe('task_node')}"
            )
        pid = self.liveness.pid("task_node")
        handle = send_goal(
            self._action,
            ACTION,
            goal_to_action(goal, folder),
            ANSWER_S,
            lambda message: self._fed(message.feedback, seen, on_stage),
        )
        result = handle.get_result_async()
        began = time.monotonic()
        cancelled_at = 0.0
        while not wait_for(result, 0.05):
            if lost := self.liveness.lost("task_node", pid, SILENT_S):
                return _close(seen, lost, time.monotonic() - began)
            wanted = should_cancel() or time.monotonic() - began > timeout_s
            if wanted and not cancelled_at:
                cancelled_at = time.monotonic()
                handle.cancel_goal_async()
            late = cancelled_at and time.monotonic() - cancelled_at > CANCEL_S
            if should_leave() or late:
                raise PlatformError(Code.CANCELLED, "left before the goal had ended")
        answer = result.result()
        record = record_from_outcome(goal, answer.result.outcome)
        if answer.status == GoalStatus.STATUS_UNKNOWN:
            return _close(seen, "task_node forgot the goal", time.monotonic() - began)
        return record

    def _seen(self, _message: Any) -> None:
        self._images += 1

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except rclpy.executors.ExternalShutdownException:
            return

    @staticmethod
    def _fed(feedback: Any, seen: RunRecord, on_stage: Callable[[StageTime], None]) -> None:
        if feedback.run_uri:
            seen.folder = to_path(feedback.run_uri)
        stage = stage_from_msg(feedback.stage)
        if stage.state == STARTED:
            seen.stages.append(stage)
        elif seen.stages:
            seen.stages[-1] = stage
        on_stage(stage)


def _close(seen: RunRecord, lost: str, total_s: float) -> RunRecord:
    """Write the run folder in place of the task node that died."""
    stage = seen.stages[-1] if seen.stages else None
    if stage is not None and stage.state != "done":
        stage.state = "failed"
    seen.fail(
        PlatformError(Code.PROCESS_LOST, f"{lost}; the guard stops the arm"),
        stage.stage if stage is not None else "",
    )
    seen.total_s = total_s
    seen.notes.append("task_node died: this report was closed by the client that sent the goal")
    if seen.folder is not None and seen.folder.is_dir():
        write_run(seen)
    return seen
