"""An arm and a gripper behind ros2_control; the gripper speaks one of its two actions."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from action_msgs.msg import GoalStatus
from control_msgs.action import FollowJointTrajectory, GripperCommand, ParallelGripperCommand
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import JointState

from novaflow_core.errors import Code, ExecutionError, NovaflowError
from novaflow_core.settings import setting
from novaflow_executor.core.driver import ArmState, JawTable, RunningMotion
from novaflow_executor.core.plan import JointTrajectory
from novaflow_ros.conversions import trajectory_to_msg
from novaflow_ros.goal_client import GoalClient

GRIPPER_ACTIONS = ("parallel_gripper_command", "gripper_command")
HISTORY_S = 3.0  # how long past states are kept
Judge = Callable[[int, Any], NovaflowError | None]


@dataclass(frozen=True)
class Ros2ControlSettings:
    """Names and limits of the controllers. The defaults are an FR3 with a Robotiq 2F-85."""

    joint_names: tuple[str, ...] = setting(
        tuple(f"fr3_joint{i}" for i in range(1, 8)), "the arm's joints, base to flange"
    )
    arm_action: str = setting(
        "/fr3_arm_controller/follow_joint_trajectory", "FollowJointTrajectory action"
    )
    joint_state_topic: str = setting("/joint_states", "where the robot's state comes from")
    joint_state_age_s: float = setting(
        0.3, "older states are refused", unit="s", low=0.02, high=5.0
    )
    gripper_action: str = setting("/robotiq_gripper_controller/gripper_cmd", "gripper action")
    gripper_action_type: str = setting(
        GRIPPER_ACTIONS[0],
        "type of the gripper action; franka_gripper and older Robotiq speak gripper_command",
        choices=GRIPPER_ACTIONS,
    )
    gripper_joint: str = setting(
        "robotiq_85_left_knuckle_joint", "joint whose position is commanded and measured"
    )
    gripper_positions: tuple[float, ...] = setting(
        (0.0, 0.2, 0.4, 0.6, 0.7929), "joint positions of the gripper's table", unit="rad or m"
    )
    gripper_openings_m: tuple[float, ...] = setting(
        (0.0850, 0.0664, 0.0455, 0.0232, 0.0),
        "distance between the pads at those positions",
        unit="m",
        low=0.0,
        high=0.5,
    )
    gripper_effort: float = setting(
        40.0, "no grasp asks for more than this", unit="N", low=0.0, high=500.0
    )


class Ros2ControlDriver:
    """`RobotDriver` over ros2_control."""

    def __init__(self, node: Node, settings: Ros2ControlSettings) -> None:
        """Create clients and subscriptions on `node`; nothing is waited for."""
        self._node = node
        self._settings = settings
        self._jaws = JawTable(settings.gripper_positions, settings.gripper_openings_m)
        self._lock = threading.Lock()
        self._history: deque[tuple[float, NDArray[np.float64]]] = deque()
        self._positions: dict[str, tuple[float, float, float]] = {}  # position, velocity, arrival
        group = ReentrantCallbackGroup()
        self._arm = GoalClient(
            node, FollowJointTrajectory, settings.arm_action, callback_group=group
        )
        parallel = settings.gripper_action_type == GRIPPER_ACTIONS[0]
        self._gripper_type = ParallelGripperCommand if parallel else GripperCommand
        self._gripper = GoalClient(
            node, self._gripper_type, settings.gripper_action, callback_group=group
        )
        self._states = node.create_subscription(
            JointState,
            settings.joint_state_topic,
            self._store,
            qos_profile_sensor_data,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def destroy(self) -> None:
        """Free clients and subscriptions."""
        self._arm.destroy()
        self._gripper.destroy()
        self._node.destroy_subscription(self._states)

    # --- state ---
    def _store(self, message: JointState) -> None:
        now_s = time.monotonic()
        self._remember(message)
        velocities = message.velocity or [float("nan")] * len(message.name)
        with self._lock:
            for name, position, velocity in zip(
                message.name, message.position, velocities, strict=False
            ):
                if not np.isfinite(velocity):  # some drivers publish positions only
                    before = self._positions.get(name, (position, 0.0, now_s - 1.0))
                    velocity = (position - before[0]) / max(now_s - before[2], 1e-3)  # noqa: PLW2901
                self._positions[name] = (position, velocity, now_s)

    def _remember(self, message: JointState) -> None:
        """Keep where the arm was by the stamp of the message, for comparison with images."""
        known = dict(zip(message.name, message.position, strict=False))
        if all(name in known for name in self._settings.joint_names):
            stamp_s = message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec
            row = np.array([known[name] for name in self._settings.joint_names])
            with self._lock:
                self._history.append((stamp_s, row))
                while self._history[0][0] < stamp_s - HISTORY_S:
                    self._history.popleft()

    def joints_at(self, time_s: float) -> NDArray[np.float64] | None:
        """Return the joints (N,) [rad] at a stamp [s]; None outside of what is remembered."""
        with self._lock:
            rows = list(self._history)
        if not rows or not rows[0][0] <= time_s <= rows[-1][0]:
            return None
        times = np.array([row[0] for row in rows])
        q = np.stack([row[1] for row in rows])
        return np.array([np.interp(time_s, times, column) for column in q.T])

    def _joints(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """Position, velocity and age (N, 3) of joints."""
        now_s = time.monotonic()
        with self._lock:
            missing = [name for name in names if name not in self._positions]
            if missing:
                raise ExecutionError(
                    Code.NO_ROBOT_STATE,
                    f"{self._settings.joint_state_topic} never named {', '.join(missing)}",
                )
            rows = np.array([self._positions[name] for name in names])
        rows[:, 2] = now_s - rows[:, 2]
        age_s = float(rows[:, 2].max())
        if age_s > self._settings.joint_state_age_s:
            raise ExecutionError(
                Code.NO_ROBOT_STATE,
                f"the last state on {self._settings.joint_state_topic} is {age_s:.2f} s old; "
                f"the limit is {self._settings.joint_state_age_s:.2f} s",
                {"age_s": age_s},
            )
        return rows

    def state(self) -> ArmState:
        """Return the arm's newest state."""
        rows = self._joints(self._settings.joint_names)
        return ArmState(rows[:, 0], rows[:, 1], float(rows[:, 2].max()))

    def gripper_opening_m(self) -> float:
        """Return the distance between the pads now [m]."""
        return self._jaws.opening_m(float(self._joints((self._settings.gripper_joint,))[0, 0]))

    # --- motion ---
    def move(self, trajectory: JointTrajectory) -> RunningMotion:
        """Send a trajectory to the arm's controller."""
        message = trajectory_to_msg(
            trajectory.joint_names,
            trajectory.time_s,
            trajectory.position,
            trajectory.velocity,
            trajectory.acceleration,
        )
        goal = FollowJointTrajectory.Goal(trajectory=message)
        return self._send(self._arm, self._settings.arm_action, goal, _judge_arm)

    def move_gripper(self, opening_m: float, max_force_n: float) -> RunningMotion:
        """Send an opening to the gripper's controller."""
        position = self._jaws.position(opening_m)
        effort = min(max_force_n, self._settings.gripper_effort)
        goal = self._gripper_type.Goal()
        if self._gripper_type is ParallelGripperCommand:
            goal.command.name = [self._settings.gripper_joint]
            goal.command.position = [position]
            goal.command.effort = [effort]
        else:
            goal.command.position, goal.command.max_effort = position, effort
        return self._send(self._gripper, self._settings.gripper_action, goal, _judge_gripper)

    def cancel_all(self) -> None:
        """Cancel every goal of the arm's controller, whoever sent it."""
        self._arm.cancel_all()

    def _send(self, client: GoalClient, name: str, goal: Any, judge: Judge) -> RunningMotion:
        if not client.server_is_ready() and not client.wait_for_server(timeout_sec=2.0):
            raise ExecutionError(
                Code.CONTROLLER_UNAVAILABLE,
                f"action {name} is not there; is its controller active?",
            )
        return _GoalMotion(client, name, goal, judge)


class _GoalMotion:
    """One goal of a controller."""

    def __init__(self, client: GoalClient, name: str, goal: Any, judge: Judge) -> None:
        self._name, self._judge = name, judge
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._handle: Any = None
        self._cancelled = False
        self._error: NovaflowError | None = None
        client.send_goal_async(goal).add_done_callback(self._on_answer)

    def _on_answer(self, future: Future) -> None:
        handle = future.result()
        if not handle.accepted:
            self._error = ExecutionError(
                Code.CONTROLLER_REJECTED, f"{self._name} refused the goal; see the controller's log"
            )
            self._done.set()
            return
        with self._lock:
            self._handle = handle
            cancelled = self._cancelled
        handle.get_result_async().add_done_callback(self._on_result)
        if cancelled:  # asked for before the controller had answered
            handle.cancel_goal_async()

    def _on_result(self, future: Future) -> None:
        answer = future.result()
        self._error = self._judge(int(answer.status), answer.result)
        self._done.set()

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it has ended, False when the time is over."""
        return self._done.wait(timeout_s)

    def check(self) -> None:
        """Raise what went wrong, if anything."""
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Cancel the goal, now or as soon as the controller has accepted it."""
        with self._lock:
            self._cancelled = True
            handle = self._handle
        if handle is not None and not self._done.is_set():
            handle.cancel_goal_async()


def _judge_arm(status: int, result: Any) -> NovaflowError | None:
    if status == GoalStatus.STATUS_SUCCEEDED and result.error_code == 0:
        return None
    if status == GoalStatus.STATUS_CANCELED:
        return ExecutionError(Code.CONTROLLER_FAILED, "the arm's controller cancelled the goal")
    return ExecutionError(
        Code.CONTROLLER_FAILED,
        f"the arm's controller ended with error {result.error_code}: "
        f"{result.error_string or 'no text'}",
        {"error_code": int(result.error_code)},
    )


def _judge_gripper(status: int, result: Any) -> NovaflowError | None:
    # A gripper that meets an object stalls, which some controllers report as an abort.
    if status == GoalStatus.STATUS_SUCCEEDED or result.stalled or result.reached_goal:
        return None
    return ExecutionError(
        Code.GRIPPER_FAILED,
        f"the gripper neither reached its goal nor met anything (status {status})",
    )
