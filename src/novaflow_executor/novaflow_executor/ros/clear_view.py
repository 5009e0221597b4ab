"""`/novaflow/clear_view`: the arm goes out of the cameras' view before a scene is captured."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.action.server import ServerGoalHandle
from rclpy.qos import DurabilityPolicy, QoSProfile

from novaflow_core.grounding import CollisionScene
from novaflow_executor.core.clearing import plan_clearing
from novaflow_executor.core.driver import RobotDriver
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.validator import PlanValidator
from novaflow_executor.ros.plan_execution import PlanExecution
from novaflow_msgs.action import ClearView
from novaflow_msgs.msg import CollisionScene as CollisionSceneMsg
from novaflow_ros import conversions as convert
from novaflow_ros.node import NovaflowNode

SCENE_TOPIC = "/novaflow/collision_scene"
AT_REST_RAD = 0.05


class ViewClearing:
    """Plans and runs it. The scene that was seen last is heard of, also after a restart."""

    def __init__(
        self, node: NovaflowNode[Any], driver: RobotDriver, execution: PlanExecution
    ) -> None:
        """Listen to the last scene."""
        self._driver, self._execution = driver, execution
        self._lock = threading.Lock()
        self._scene: CollisionScene | None = None
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(CollisionSceneMsg, SCENE_TOPIC, self._heard, latched)

    def _heard(self, message: CollisionSceneMsg) -> None:
        scene = convert.collision_scene_from_msg(message)
        with self._lock:
            self._scene = scene

    def run(
        self,
        planner: MotionPlanner,
        validator: PlanValidator,
        may_move: bool,
        handle: ServerGoalHandle,
        cancelled: Callable[[], bool],
    ) -> ClearView.Result:
        """Clear the view, or say why the arm stays where it is.

        Raises:
            NovaflowError: When there is no free way, or of the execution.
        """
        q = self._driver.state().q
        away = float(np.abs(q - planner.home).max())
        if away < AT_REST_RAD:
            return ClearView.Result(reason="the arm rests out of the view")
        stands = f"the arm stands {away:.2f} rad from its rest"
        if not may_move:
            told = f"{stands}, may hide things, and may not move without approval"
            return ClearView.Result(reason=told)
        left = self._execution.left
        with self._lock:
            scene = self._scene if left is None else left.scene
        if scene is None:
            told = f"{stands} and stays there: nothing is known of what stands around it"
            return ClearView.Result(reason=told)
        opening_m = self._driver.gripper_opening_m()
        plan = plan_clearing(planner, q, scene, opening_m, left)
        self._execution.run(plan, validator, scene, "clear", ClearView.Feedback, handle, cancelled)
        first = plan.segments[0].name
        done = {"set down": "set down what it held, and went home", "let go": "let go, went home"}
        done["put back"] = "put what it held back where it was taken, and went home"
        return ClearView.Result(moved=True, reason=f"{stands}: {done.get(first, 'it went home')}")
