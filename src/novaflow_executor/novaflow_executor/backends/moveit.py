"""Approach backend `moveit`: the cell's own MoveIt plans the ways without the object.

MoveIt is given the collision scene and asked for a way from joints to joints; of its answer only
the waypoints are used. They are looked at with the arm and gripper that NovaFlow knows, timed like
every other motion, and pass the validator before anything moves. MoveIt moves nothing itself.
"""

from __future__ import annotations

import copy
import os
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, ExecutionError, PlatformError
from novaflow_core.grounding import CollisionScene
from novaflow_executor.backends.moveit_scene import PREFIX, SUPPORT, collision_objects, removal
from novaflow_executor.core.approach import Clearance
from novaflow_executor.core.approach_settings import ApproachSettings
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.rrt_connect import edge

Array = NDArray[np.float64]

NODE = "novaflow_moveit"
END_RAD = 0.01  # MoveIt reaches a goal within its tolerance
TOUCH_M = 0.002  # what MoveIt's meshes and NovaFlow's capsules may differ by


class MoveIt:
    """Asks moveit_py; see `FreeMotion`.

    Args:
        settings: Robot, group, pipeline and time.

    Raises:
        PlatformError: UNAVAILABLE without MoveIt's Python packages, naming what installs them;
            INVALID_SETTING if MoveIt does not start with this configuration.
    """

    def __init__(self, settings: ApproachSettings) -> None:
        """Start MoveIt's node, which stays for the life of the process."""
        try:
            from moveit.planning import MoveItPy, PlanRequestParameters
            from moveit_configs_utils import MoveItConfigsBuilder
            from moveit_msgs.msg import MoveItErrorCodes
        except ImportError as error:
            distribution = os.environ.get("ROS_DISTRO", "jazzy")
            raise PlatformError(
                Code.UNAVAILABLE,
                f"approach backend 'moveit' needs MoveIt's Python packages ({error}); install them "
                f"with `sudo apt-get install ros-{distribution}-moveit-py "
                f"ros-{distribution}-moveit-configs-utils`, and source that ROS 2 installation; or "
                "choose approach:=rrt_connect",
            ) from error
        self._settings = settings
        self._names = {
            value: name
            for name, value in vars(MoveItErrorCodes).items()
            if name.isupper() and isinstance(value, int)
        }
        try:
            builder = MoveItConfigsBuilder(
                settings.moveit_robot, package_name=settings.moveit_config
            )
            if settings.moveit_cpp_file:
                builder = builder.moveit_cpp(file_path=settings.moveit_cpp_file)
            config = builder.to_moveit_configs().to_dict()
            if not settings.moveit_cpp_file:
                config.update(_moveit_cpp(settings))
            self._moveit = MoveItPy(node_name=NODE, config_dict=config)
            self._component = self._moveit.get_planning_component(settings.moveit_group)
            self._ask = PlanRequestParameters(self._moveit, "")
        except Exception as error:  # pybind11 turns C++ exceptions into any kind
            raise PlatformError(
                Code.INVALID_SETTING,
                f"MoveIt does not start for robot '{settings.moveit_robot}', configuration "
                f"'{settings.moveit_config}', group '{settings.moveit_group}': {error}",
            ) from error
        self._ask.planning_pipeline = settings.moveit_pipeline
        self._ask.planner_id = settings.moveit_planner
        self._ask.planning_time = settings.moveit_time_s
        self._ask.planning_attempts = settings.moveit_attempts
        self._monitor = self._moveit.get_planning_scene_monitor()
        self._placed: frozenset[str] = frozenset()

    def pieces(
        self,
        collision: CollisionModel,
        q_from: Array,
        q_to: Array,
        name: str,
        clearance: Clearance,
    ) -> tuple[Array, ...]:
        """Return one piece; see `FreeMotion`."""
        if collision.scene is not None:
            self._hand_over(collision.scene, collision)
        names = collision.robot.joint_names
        start, goal = self._state(names, q_from), self._state(names, q_to)
        accepted = self._component.set_start_state(robot_state=start)
        if not (accepted and self._component.set_goal_state(robot_state=goal)):
            raise ExecutionError(
                Code.APPROACH_NOT_FOUND, f"{name}: MoveIt refuses the start or the goal"
            )
        try:
            answer = self._component.plan(single_plan_parameters=self._ask)
        except RuntimeError as error:
            raise ExecutionError(
                Code.APPROACH_NOT_FOUND, f"{name}: MoveIt breaks off: {error}"
            ) from error
        if not answer:
            raise self._failure(name, int(answer.error_code.val))
        path = _waypoints(answer.trajectory.get_robot_trajectory_msg(), names, name)
        _check_ends(path, q_from, q_to, name)
        path[0], path[-1] = q_from, q_to
        self._check_free(collision, path, name, clearance)
        return (path,)

    def _hand_over(self, scene: CollisionScene, collision: CollisionModel) -> None:
        """Put the scene in the place of the last one.

        Raises:
            PlatformError: INVALID_SETTING if MoveIt does not take it.
        """
        objects = collision_objects(scene)
        wanted = frozenset(item.id for item in objects)
        resting = [link for link, (frame, _) in collision.robot.link_frame.items() if frame <= 1]
        with self._monitor.read_write() as shared:
            if not shared.knows_frame_transform(scene.planning_frame):
                raise PlatformError(
                    Code.INVALID_SETTING,
                    f"MoveIt does not know the frame '{scene.planning_frame}' of the collision "
                    f"scene; is '{self._settings.moveit_config}' the configuration of this arm?",
                )
            for identity in sorted(self._placed - wanted):
                shared.apply_collision_object(removal(identity))
            for item in objects:
                shared.apply_collision_object(item)
            for link in resting:  # they stand on the support or next to it
                shared.allowed_collision_matrix.set_entry(SUPPORT, link, True)
            shared.current_state.update()
            world = shared.planning_scene_message.world.collision_objects
            known = {item.id for item in world}
        self._placed = frozenset(name for name in known if name.startswith(PREFIX))
        if not wanted <= known:
            raise PlatformError(
                Code.INVALID_SETTING,
                f"MoveIt did not take {len(wanted - known)} of {len(wanted)} obstacles: "
                f"{', '.join(sorted(wanted - known))}",
            )

    def _state(self, names: tuple[str, ...], q: Array) -> Any:
        """MoveIt's current state with the arm's joints at q; fingers stay as they are."""
        with self._monitor.read_only() as shared:
            state = copy.deepcopy(shared.current_state)
        unknown = [joint for joint in names if joint not in state.joint_positions]
        if unknown:
            raise PlatformError(
                Code.INVALID_SETTING,
                f"MoveIt's robot has no {', '.join(unknown)}; is '{self._settings.moveit_config}' "
                "the configuration of this arm?",
            )
        state.joint_positions = {joint: float(value) for joint, value in zip(names, q, strict=True)}
        state.update()
        return state

    def _failure(self, name: str, value: int) -> Exception:
        said, s = self._names.get(value, f"error {value}"), self._settings
        if said == "TIMED_OUT":
            return PlatformError(
                Code.TIMEOUT,
                f"{name}: MoveIt found no way within {s.moveit_time_s:.1f} s "
                f"(pipeline {s.moveit_pipeline})",
            )
        return ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"{name}: MoveIt (pipeline {s.moveit_pipeline}, group {s.moveit_group}) says {said}",
            {"moveit_error": value},
        )

    def _check_free(
        self, collision: CollisionModel, path: Array, name: str, clearance: Clearance
    ) -> None:
        """Look at the way with the arm, the gripper and the distances of NovaFlow."""
        dense = np.concatenate([edge(a, b) for a, b in pairwise(path)])
        gaps = clearance(collision, dense, 0.05)
        # An arm that already touches something, or ends there, is for the validator to judge.
        allowed = min(0.0, float(gaps[0]), float(gaps[-1])) - TOUCH_M
        if gaps.min() < allowed:
            raise ExecutionError(
                Code.APPROACH_NOT_FOUND,
                f"{name}: MoveIt's way leads {-1e3 * float(gaps.min()):.0f} mm into something; "
                "does its robot carry the same gripper?",
            )


def _moveit_cpp(settings: ApproachSettings) -> dict[str, Any]:
    """What MoveItCpp needs besides a configuration that was made for move_group."""
    return {
        "planning_scene_monitor_options": {
            "name": "planning_scene_monitor",
            "robot_description": "robot_description",
            "joint_state_topic": "/joint_states",
            "attached_collision_object_topic": f"/{NODE}/attached_collision_object",
            "publish_planning_scene_topic": f"/{NODE}/planning_scene",
            "monitored_planning_scene_topic": f"/{NODE}/monitored_planning_scene",
            "wait_for_initial_state_timeout": 10.0,
        },
        "planning_pipelines": {"pipeline_names": [settings.moveit_pipeline]},
        "plan_request_params": {
            "planning_attempts": settings.moveit_attempts,
            "planning_pipeline": settings.moveit_pipeline,
            "planner_id": settings.moveit_planner,
            "planning_time": settings.moveit_time_s,
            "max_velocity_scaling_factor": 1.0,
            "max_acceleration_scaling_factor": 1.0,
        },
    }


def _waypoints(message: Any, names: tuple[str, ...], name: str) -> Array:
    """Positions (M, N) of a RobotTrajectory message in the order of the arm's joints."""
    trajectory = message.joint_trajectory
    missing = [joint for joint in names if joint not in trajectory.joint_names]
    if missing:
        raise PlatformError(
            Code.INVALID_SETTING,
            f"{name}: MoveIt's group does not move {', '.join(missing)}; moveit_group must be the "
            "one of the arm",
        )
    order = [list(trajectory.joint_names).index(joint) for joint in names]
    path = np.array([list(point.positions) for point in trajectory.points], float)
    if path.ndim != 2 or len(path) < 2 or not np.isfinite(path).all():
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND, f"{name}: MoveIt's answer holds no way ({path.shape})"
        )
    return path[:, order]


def _check_ends(path: Array, q_from: Array, q_to: Array, name: str) -> None:
    away = max(float(np.abs(path[0] - q_from).max()), float(np.abs(path[-1] - q_to).max()))
    if away > END_RAD:
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"{name}: MoveIt's way begins or ends {away:.3f} rad from where it should "
            f"({END_RAD:.3f} allowed)",
        )
