"""The guard: cancels every controller goal when anything that must be alive falls silent.

It watches while the arm moves, in a process of its own. It is not a safety-rated function.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from action_msgs.srv import CancelGoal
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from novaflow_core.errors import Code, NovaflowError
from novaflow_core.settings import setting
from novaflow_executor.core.guard import GuardLimits, Watchdog
from novaflow_msgs.msg import GuardState, Heartbeat
from novaflow_ros.frozen import end_frozen
from novaflow_ros.node import HEARTBEAT_TOPIC, NovaflowNode, run

STATE_TOPIC = "/novaflow/guard_state"
ARM_SERVICE = "/novaflow/arm_guard"


@dataclass(frozen=True)
class GuardSettings:
    """Parameters of the guard."""

    watch: tuple[str, ...] = setting(
        (
            "perception_node",
            "tracker_node",
            "flowgen_node",
            "selector_node",
            "executor_node",
            "task_node",
        ),
        "nodes that must be alive while the arm moves",
    )
    controllers: tuple[str, ...] = setting(
        (
            "/fr3_arm_controller/follow_joint_trajectory",
            "/robotiq_gripper_controller/gripper_cmd",
        ),
        "actions whose goals are cancelled",
    )
    joint_state_topic: str = setting("/joint_states", "where the robot's state comes from")
    heartbeat_timeout_s: float = setting(
        0.5, "longest silence of a watched node", unit="s", low=0.15, high=5.0
    )
    joint_state_timeout_s: float = setting(
        0.3, "longest silence of the robot's state", unit="s", low=0.02, high=5.0
    )
    own_gap_s: float = setting(
        0.6, "longest time that the guard itself may stand still", unit="s", low=0.1, high=5.0
    )
    check_period_s: float = setting(0.02, "time between two checks", unit="s", low=0.005, high=0.2)
    end_frozen_s: float = setting(
        5.0,
        "a watched process of this host that is silent for longer is killed, so that launch starts "
        "it again; 0: never",
        unit="s",
        low=0.0,
        high=3600.0,
    )
    insist_s: float = setting(
        5.0, "how long goals are cancelled again after a trip", unit="s", low=0.0, high=60.0
    )


class GuardNode(NovaflowNode[GuardSettings]):
    """Watches while it is armed; see `Watchdog`."""

    def __init__(self) -> None:
        """Declare parameters."""
        super().__init__("guard_node", GuardSettings)

    def setup(self) -> None:
        """Create everything; one thread runs it all, so that nothing here needs a lock."""
        s = self.settings
        limits = GuardLimits(s.heartbeat_timeout_s, s.joint_state_timeout_s, s.own_gap_s)
        self._watchdog = Watchdog(f"guard_node (pid {os.getpid()})", s.watch, limits)
        self._tripped_s = self._cancelled_s = self._published_s = float("-inf")
        self._unanswered: set[str] = set()
        self._ended: set[int] = set()
        self._awake_s = self._looked_s = time.monotonic()
        group = MutuallyExclusiveCallbackGroup()
        self._state = self.create_publisher(GuardState, STATE_TOPIC, 10)
        self.create_subscription(
            Heartbeat, HEARTBEAT_TOPIC, self._on_heartbeat, 50, callback_group=group
        )
        self.create_subscription(
            JointState,
            s.joint_state_topic,
            lambda _: self._watchdog.joint_state(time.monotonic()),
            qos_profile_sensor_data,
            callback_group=group,
        )
        self._cancels = {
            name: self.create_client(
                CancelGoal, f"{name}/_action/cancel_goal", callback_group=group
            )
            for name in s.controllers
        }
        self.create_service(SetBool, ARM_SERVICE, self._on_arm, callback_group=group)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(s.check_period_s, self._check, callback_group=group, clock=steady)

    def _on_heartbeat(self, message: Heartbeat) -> None:
        self._watchdog.heartbeat(message.node, message.pid, message.active, time.monotonic())

    def _on_arm(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = True
        if request.data:
            try:
                self._watchdog.arm(time.monotonic())
            except NovaflowError as error:
                response.success, response.message = False, error.reason
                self.get_logger().warning(error.reason)
        else:
            if self._watchdog.armed:
                self.get_logger().info(f"longest silences: {self._watchdog.silences()}")
            self._watchdog.disarm()
        self._publish()
        return response

    def _check(self) -> None:
        now_s = time.monotonic()
        trip = self._watchdog.check(now_s)
        if trip is not None:
            self._tripped_s, self._unanswered = now_s, set(self._cancels)
            self._cancel_goals(now_s)
            self._publish()
            self.get_logger().error(f"stopping every controller: {trip.reason}")
        elif now_s - self._cancelled_s > 0.1 and self._insists(now_s):
            self._cancel_goals(now_s)
        if now_s - self._published_s > 0.095:
            self._publish()
            self._end_frozen(now_s)

    def _end_frozen(self, now_s: float) -> None:
        """Kill what hangs; a guard that stood still itself first listens for a while."""
        limit_s = self.settings.end_frozen_s
        if now_s - self._looked_s > self.settings.own_gap_s:
            self._awake_s = now_s
        self._looked_s = now_s
        if limit_s == 0.0 or now_s - self._awake_s < limit_s:
            return
        for name, pid in self._watchdog.frozen(limit_s, now_s):
            if pid not in self._ended and end_frozen(name, pid):
                self.get_logger().error(f"{name} (pid {pid}) hung for {limit_s:.0f} s: killed")
            self._ended.add(pid)

    def _insists(self, now_s: float) -> bool:
        """Cancel again until every controller has answered, and for a while longer.

        A process that stood still may send one more goal when it goes on.
        """
        if self._watchdog.trip is None:
            return False
        return bool(self._unanswered) or now_s - self._tripped_s < self.settings.insist_s

    def _cancel_goals(self, now_s: float) -> None:
        self._cancelled_s = now_s
        for name, client in self._cancels.items():
            if client.service_is_ready():
                future = client.call_async(CancelGoal.Request())  # zero id and stamp mean: all
                future.add_done_callback(lambda _, name=name: self._unanswered.discard(name))

    def _publish(self) -> None:
        trip = self._watchdog.trip
        self._published_s = time.monotonic()
        out = GuardState(stamp=self.get_clock().now().to_msg(), armed=self._watchdog.armed)
        if trip is not None:
            out.tripped, out.code = True, int(trip.code)
            out.culprit, out.reason = trip.culprit, trip.reason
        else:
            out.code = int(Code.OK)
        self._state.publish(out)


def main() -> None:
    """Run the node."""
    run(GuardNode, threads=1)
