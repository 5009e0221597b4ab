"""`/robotiq_gripper_controller/gripper_cmd`, the action of the parallel gripper controller."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from control_msgs.action import ParallelGripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import JointState

from novaflow_sim.core.gripper_controller import GripOutcome, GripperController, GripperGoal
from novaflow_sim.core.robot_model import GRIPPER_CLOSED_RAD, GRIPPER_JOINT
from novaflow_sim.ros.goal_handles import wait_until_cancelling

ACTION_NAME = "/robotiq_gripper_controller/gripper_cmd"
FEEDBACK_PERIOD_S = 0.05


class GripperServer:
    """A stall succeeds with `stalled` set, as Robotiq configures it: so a grasp looks."""

    def __init__(self, node: Node, gripper: GripperController, now_s: Callable[[], float]) -> None:
        """Offer the action; `now_s` is simulated time."""
        self._node, self._gripper, self._now_s = node, gripper, now_s
        self._goals: dict[bytes, GripperGoal] = {}
        self._lock = threading.Lock()
        self._server = ActionServer(
            node,
            ParallelGripperCommand,
            ACTION_NAME,
            execute_callback=self._execute,
            goal_callback=self._judge,
            handle_accepted_callback=self._accepted,
            cancel_callback=self._cancel,
            callback_group=ReentrantCallbackGroup(),
        )

    def destroy(self) -> None:
        """Remove the action."""
        self._server.destroy()

    def _judge(self, goal: ParallelGripperCommand.Goal) -> GoalResponse:
        command = goal.command
        if len(command.position) != 1 or list(command.name) not in ([], [GRIPPER_JOINT]):
            self._node.get_logger().error(
                f"gripper command rejected: it needs one position, of {GRIPPER_JOINT}"
            )
            return GoalResponse.REJECT
        if not np.isfinite(command.position[0]):
            self._node.get_logger().error("gripper command rejected: the position is not finite")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accepted(self, handle: ServerGoalHandle) -> None:
        command = handle.request.command
        position = float(np.clip(command.position[0], 0.0, GRIPPER_CLOSED_RAD))
        effort = float(command.effort[0]) if len(command.effort) else 0.0
        goal = self._gripper.close_to(position, effort, self._now_s())
        with self._lock:
            self._goals[bytes(handle.goal_id.uuid)] = goal
        handle.execute()

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        with self._lock:
            goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is None:
            return CancelResponse.REJECT
        self._gripper.cancel(goal)
        return CancelResponse.ACCEPT

    def _execute(self, handle: ServerGoalHandle) -> ParallelGripperCommand.Result:
        key = bytes(handle.goal_id.uuid)
        goal = self._goals[key]
        while not goal.done.wait(FEEDBACK_PERIOD_S):
            handle.publish_feedback(ParallelGripperCommand.Feedback(state=self._state()))
        with self._lock:
            del self._goals[key]
        if goal.outcome in (GripOutcome.REACHED, GripOutcome.STALLED):
            handle.succeed()
        elif goal.outcome == GripOutcome.CANCELLED and wait_until_cancelling(handle):
            handle.canceled()
        else:
            handle.abort()
        return ParallelGripperCommand.Result(
            state=self._state(),
            stalled=goal.outcome == GripOutcome.STALLED,
            reached_goal=goal.outcome == GripOutcome.REACHED,
        )

    def _state(self) -> JointState:
        state = JointState(name=[GRIPPER_JOINT], position=[self._gripper.position])
        state.header.stamp = self._node.get_clock().now().to_msg()
        return state
