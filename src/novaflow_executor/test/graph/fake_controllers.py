"""Fake device: controllers of an arm and a gripper, as ros2_control shows them, no physics.

It finishes orphaned trajectories and slows down at a limited rate when a goal is cancelled.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from control_msgs.action import FollowJointTrajectory, GripperCommand, ParallelGripperCommand
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String

ARM = "/fr3_arm_controller/follow_joint_trajectory"
GRIPPER = "/robotiq_gripper_controller/gripper_cmd"
KNUCKLE = "robotiq_85_left_knuckle_joint"
JOINTS = tuple(f"fr3_joint{i}" for i in range(1, 8))
HOME = (0.0, -0.7854, 0.0, -2.3562, 0.0, 1.5708, 0.7854)
PERIOD_S = 0.01
SLOW_DOWN_S = 0.2
CLOSED = 0.7929
GRIPPER_RATE = 1.5  # [rad/s]


class FakeControllers(Node):
    """One trajectory at a time; `object_position` is where the knuckle stops as it closes."""

    def __init__(
        self,
        *,
        context=None,
        gripper_type=ParallelGripperCommand,
        urdf="",
        joints=JOINTS,
        home=HOME,
        knuckle=KNUCKLE,
        opened=0.0,
        arm=ARM,
        gripper=GRIPPER,
    ):
        super().__init__("fake_controllers", context=context)
        self._joints, self._knuckle_name, self._opened = tuple(joints), knuckle, opened
        self.q = np.array(home, float)
        self.qd = np.zeros(len(joints))
        self.knuckle = opened
        self.knuckle_goal = opened
        self.object_position = 0.4
        self.silent = False  # stops publishing joint states
        self.refuse = False  # refuses trajectories
        self.fail_with = None  # error code of the next trajectory
        self.received = []  # every trajectory
        self.log = []  # (monotonic [s], speed [rad/s])
        self._play = None  # [times, positions, clock, rate, slowing]
        self._lock = threading.Lock()
        self._states = self.create_publisher(JointState, "/joint_states", 10)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._description = self.create_publisher(String, "/robot_description", latched)
        if urdf:
            self._description.publish(String(data=urdf))
        group = ReentrantCallbackGroup()
        self._parallel = gripper_type is ParallelGripperCommand
        self._servers = [
            ActionServer(
                self,
                FollowJointTrajectory,
                arm,
                self._follow,
                goal_callback=lambda _: GoalResponse.REJECT if self.refuse else GoalResponse.ACCEPT,
                cancel_callback=lambda _: CancelResponse.ACCEPT,
                callback_group=group,
            ),
            ActionServer(
                self,
                gripper_type,
                gripper,
                self._grip,
                cancel_callback=lambda _: CancelResponse.ACCEPT,
                callback_group=group,
            ),
        ]
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def finish(self):
        """Power off: end the running goals and the thread."""
        self._ends.set()
        self._thread.join()

    @property
    def speed(self):
        return float(np.abs(self.qd).max())

    def _knuckle_end(self):
        """Where the fingers come to rest: at the goal, or before at the object."""
        away = abs(self.knuckle_goal - self._opened)
        if away <= abs(self.knuckle - self._opened):
            return self.knuckle_goal  # it opens
        if away <= abs(self.object_position - self._opened):
            return self.knuckle_goal
        return self.object_position

    def _turn(self):
        next_s = time.monotonic()
        while not self._ends.is_set():
            next_s = max(next_s + PERIOD_S, time.monotonic() - 5 * PERIOD_S)
            self._ends.wait(max(0.0, next_s - time.monotonic()))
            with self._lock:
                self._step()
            self.log.append((time.monotonic(), self.speed))
            if not self.silent:
                message = JointState(name=[*self._joints, self._knuckle_name])
                message.header.stamp = self.get_clock().now().to_msg()
                message.position = [*self.q.tolist(), self.knuckle]
                message.velocity = [*self.qd.tolist(), 0.0]
                self._states.publish(message)

    def _step(self):
        away = self._knuckle_end() - self.knuckle
        change = np.clip(away, -GRIPPER_RATE * PERIOD_S, GRIPPER_RATE * PERIOD_S)
        self.knuckle += float(change)
        before = self.q
        if self._play is not None:
            times, positions, clock, rate, slowing = self._play
            rate = max(0.0, rate - PERIOD_S / SLOW_DOWN_S) if slowing else rate
            clock = min(clock + rate * PERIOD_S, times[-1])
            self._play[2:4] = clock, rate
            self.q = np.array([np.interp(clock, times, column) for column in positions.T])
        self.qd = (self.q - before) / PERIOD_S

    def _follow(self, handle):
        trajectory = handle.request.trajectory
        self.received.append(trajectory)
        times = np.array(
            [p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in trajectory.points]
        )
        order = [trajectory.joint_names.index(name) for name in self._joints]
        positions = np.array([p.positions for p in trajectory.points])[:, order]
        play = [times, positions, 0.0, 1.0, False]
        with self._lock:
            self._play = play
        result = FollowJointTrajectory.Result()
        while play[2] < times[-1] and not (play[4] and play[3] == 0.0):
            time.sleep(PERIOD_S / 2)
            if self._ends.is_set():
                break
            if self.fail_with is not None:
                result.error_code, result.error_string = self.fail_with, "as the test wished"
                self.fail_with, play[4] = None, True
                handle.abort()
                return result
            play[4] = play[4] or handle.is_cancel_requested
        if handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.succeed()
        return result

    def _grip(self, handle):
        command = handle.request.command
        goal = command.position[0] if self._parallel else command.position
        self.knuckle_goal = float(goal)
        result = ParallelGripperCommand.Result() if self._parallel else GripperCommand.Result()
        while abs(self.knuckle - self._knuckle_end()) > 1e-6 and not handle.is_cancel_requested:
            time.sleep(PERIOD_S)
            if self._ends.is_set():
                break
        result.reached_goal = abs(self.knuckle - self.knuckle_goal) < 1e-3
        result.stalled = not result.reached_goal
        if handle.is_cancel_requested:
            self.knuckle_goal = self.knuckle
            handle.canceled()
        else:
            handle.succeed()
        return result
