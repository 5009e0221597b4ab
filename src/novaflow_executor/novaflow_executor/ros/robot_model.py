"""Planner and validator of the robot that /robot_description tells of."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.validator import PlanValidator
from novaflow_executor.ros.executor_settings import ExecutorSettings

DEFAULT_ROBOT_FILE = "config/fr3_robotiq.yaml"


class RobotModel:
    """Waits for the robot's description and builds what plans and checks motions from it."""

    def __init__(self, node: Node, settings: ExecutorSettings) -> None:
        """Subscribe; the description may come at any time, and again."""
        self._node = node
        self._settings = settings
        share = Path(get_package_share_directory("novaflow_executor"))
        self._file = settings.robot_file or str(share / DEFAULT_ROBOT_FILE)
        self._known = threading.Event()
        self._text = ""
        self._built: tuple[MotionPlanner, PlanValidator] | NovaflowError | None = None
        self._subscription = node.create_subscription(
            String,
            "/robot_description",
            self._on_description,
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _on_description(self, message: String) -> None:
        if message.data == self._text:
            return  # a respawned publisher says the same again
        s = self._settings
        try:
            planner = MotionPlanner.from_files(
                message.data,
                self._file,
                grasps=s.grasps,
                motion=s.motion,
                approach=s.approach,
                speed=s.speed,
                grasp_settings=s,
                approach_settings=s,
            )
            planner.warm()
            self._built = planner, PlanValidator.from_files(message.data, self._file)
        except NovaflowError as error:
            self._node.get_logger().error(f"the robot's description cannot be used: {error}")
            self._built = error
        except Exception as error:
            self._node.get_logger().error(f"unexpected failure:\n{traceback.format_exc()}")
            self._built = PlatformError(Code.INTERNAL, f"{type(error).__name__}: {error}")
        self._text = message.data
        self._known.set()

    def get(self) -> tuple[MotionPlanner, PlanValidator]:
        """Return planner and validator; waits for the description.

        Raises:
            NovaflowError: NO_ROBOT_STATE when it does not come, or why it cannot be used.
        """
        wait_s = self._settings.robot_description_timeout_s
        if not self._known.wait(wait_s) or self._built is None:
            raise ExecutionError(
                Code.NO_ROBOT_STATE, f"nothing came on /robot_description within {wait_s:.0f} s"
            )
        if isinstance(self._built, NovaflowError):
            raise self._built
        return self._built
