"""`/fr3_arm_controller/follow_joint_trajectory`, the action of joint_trajectory_controller."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from control_msgs.action import FollowJointTrajectory
from numpy.typing import NDArray
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.time import Time
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from novaflow_sim.core.arm_controller import ArmController, Limits, Outcome, TrajectoryGoal
from novaflow_sim.core.joint_path import JointPath
from novaflow_sim.core.robot_model import ARM_JOINTS, POSITION_HIGH_RAD, POSITION_LOW_RAD
from novaflow_sim.ros.goal_handles import wait_until_cancelling

ACTION_NAME = "/fr3_arm_controller/follow_joint_trajectory"
FEEDBACK_PERIOD_S = 0.05


class ArmServer:
    """Checks goals as the real controller does, and hands them to the core's controller."""

    def __init__(self, node: Node, arm: ArmController, now_s: Callable[[], float]) -> None:
        """Offer the action; `now_s` is simulated time."""
        self._node, self._arm, self._now_s = node, arm, now_s
        self._goals: dict[bytes, TrajectoryGoal] = {}
        self._lock = threading.Lock()
        self._server = ActionServer(
            node,
            FollowJointTrajectory,
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

    def _judge(self, goal: FollowJointTrajectory.Goal) -> GoalResponse:
        fault = fault_of(goal.trajectory, self._now_s())
        if fault:
            self._node.get_logger().error(f"trajectory rejected: {fault}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _accepted(self, handle: ServerGoalHandle) -> None:
        request = handle.request
        stamp = Time.from_msg(request.trajectory.header.stamp).nanoseconds * 1e-9
        start_s = stamp if stamp > 0 else self._now_s()
        goal = self._arm.follow(
            path_of(request.trajectory), start_s, _limits(self._arm.limits, request)
        )
        with self._lock:
            self._goals[bytes(handle.goal_id.uuid)] = goal
        handle.execute()

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        with self._lock:
            goal = self._goals.get(bytes(handle.goal_id.uuid))
        if goal is None:
            return CancelResponse.REJECT
        # At once and not in the goal's own thread: every millisecond counts here.
        self._arm.cancel(goal)
        return CancelResponse.ACCEPT

    def _execute(self, handle: ServerGoalHandle) -> FollowJointTrajectory.Result:
        key = bytes(handle.goal_id.uuid)
        goal = self._goals[key]
        while not goal.done.wait(FEEDBACK_PERIOD_S):
            handle.publish_feedback(self._feedback())
        with self._lock:
            del self._goals[key]
        if goal.outcome == Outcome.SUCCEEDED:
            handle.succeed()
        elif goal.outcome == Outcome.CANCELLED and wait_until_cancelling(handle):
            handle.canceled()
        else:
            self._node.get_logger().warning(f"trajectory aborted: {goal.reason}")
            handle.abort()
        code = int(goal.outcome) if goal.outcome <= 0 else 0
        return FollowJointTrajectory.Result(error_code=code, error_string=goal.reason)

    def _feedback(self) -> FollowJointTrajectory.Feedback:
        command, actual = self._arm.command, self._arm.actual
        out = FollowJointTrajectory.Feedback(joint_names=list(ARM_JOINTS))
        out.header.stamp = self._node.get_clock().now().to_msg()
        out.desired = JointTrajectoryPoint(
            positions=command.position.tolist(),
            velocities=command.velocity.tolist(),
            accelerations=command.acceleration.tolist(),
        )
        out.actual = JointTrajectoryPoint(positions=actual.tolist())
        out.error = JointTrajectoryPoint(positions=(command.position - actual).tolist())
        return out


def fault_of(trajectory: JointTrajectory, now_s: float) -> str:
    """Say why a trajectory is refused; empty where it is not."""
    names, points = list(trajectory.joint_names), trajectory.points
    if sorted(names) != sorted(ARM_JOINTS):
        return f"joints {names}; this controller has {list(ARM_JOINTS)}"
    if not points:
        return "it has no points"
    count = len(names)
    for k, point in enumerate(points):
        if len(point.positions) != count:
            return f"point {k} has {len(point.positions)} positions of {count}"
        for field in ("velocities", "accelerations"):
            if len(getattr(point, field)) not in (0, count):
                return f"point {k} has {len(getattr(point, field))} {field} of {count}"
        if not all(
            np.isfinite(getattr(point, field)).all()
            for field in ("positions", "velocities", "accelerations")
        ):
            return f"point {k} is not finite"
    times = np.array([_seconds(p.time_from_start) for p in points])
    if times[0] < 0 or (np.diff(times) <= 0).any():
        return "times do not rise strictly"
    if len(points[-1].velocities) and np.abs(points[-1].velocities).max() > 1e-6:
        return "the last point's velocity is not zero"
    stamp = Time.from_msg(trajectory.header.stamp).nanoseconds * 1e-9
    if stamp > 0 and stamp + times[-1] < now_s:
        return "it ended in the past"
    positions = _matrix(trajectory, "positions")
    low = (positions < POSITION_LOW_RAD - 1e-6) | (positions > POSITION_HIGH_RAD + 1e-6)
    if low.any():
        k, j = (int(i) for i in np.argwhere(low)[0])
        return f"point {k} puts {ARM_JOINTS[j]} at {positions[k, j]:.4f} rad, out of its limits"
    return ""


def path_of(trajectory: JointTrajectory) -> JointPath:
    """Convert a checked trajectory; joints come into the arm's order."""
    times = np.array([_seconds(p.time_from_start) for p in trajectory.points])
    have_velocity = all(len(p.velocities) for p in trajectory.points)
    have_acceleration = have_velocity and all(len(p.accelerations) for p in trajectory.points)
    return JointPath(
        times,
        _matrix(trajectory, "positions"),
        _matrix(trajectory, "velocities") if have_velocity else None,
        _matrix(trajectory, "accelerations") if have_acceleration else None,
    )


def _matrix(trajectory: JointTrajectory, field: str) -> NDArray[np.float64]:
    order = [list(trajectory.joint_names).index(j) for j in ARM_JOINTS]
    return np.array([getattr(p, field) for p in trajectory.points], float)[:, order]


def _limits(default: Limits, goal: FollowJointTrajectory.Goal) -> Limits:
    """Tolerances of a goal; 0 keeps the default, a negative number means none."""
    seconds = _seconds(goal.goal_time_tolerance)
    return replace(
        default,
        path_tolerance=_tolerances(default.path_tolerance, goal.path_tolerance),
        goal_tolerance=_tolerances(default.goal_tolerance, goal.goal_tolerance),
        goal_time_s=default.goal_time_s if seconds == 0 else max(seconds, 0.0),
    )


def _tolerances(default: NDArray[np.float64], given: Any) -> NDArray[np.float64]:
    out = default.copy()
    for tolerance in given:
        if tolerance.name in ARM_JOINTS and tolerance.position != 0.0:
            out[ARM_JOINTS.index(tolerance.name)] = max(tolerance.position, 0.0)
    return out


def _seconds(duration: Duration) -> float:
    return duration.sec + duration.nanosec * 1e-9
