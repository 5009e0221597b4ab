"""A stand-in for MoveIt's Python packages: their names and rules, with a small planner behind.

What it knows of the world it has from `CollisionObject` messages alone, so a solid that is handed
over wrongly is driven into. Source of names and rules: moveit_py's bindings (moveit2).
"""

from __future__ import annotations

import sys
import types
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header

from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_executor.core import rrt_connect
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.robot import RobotModel
from novaflow_ros.conversions import pose_to_matrix

FINGER_JOINT = "fr3_finger_joint1"
NOWHERE = Plane(np.array([0.0, 0.0, 1.0]), 50.0)


class MoveItErrorCodes:
    """moveit_msgs/MoveItErrorCodes."""

    SUCCESS = 1
    FAILURE = 99999
    PLANNING_FAILED = -1
    INVALID_MOTION_PLAN = -2
    TIMED_OUT = -6
    START_STATE_IN_COLLISION = -10
    GOAL_IN_COLLISION = -12

    def __init__(self, val: int) -> None:
        self.val = val


@dataclass
class CollisionObject:
    """moveit_msgs/CollisionObject."""

    ADD = b"\x00"
    REMOVE = b"\x01"

    header: Header = field(default_factory=Header)
    pose: Pose = field(default_factory=Pose)
    id: str = ""
    primitives: list[SolidPrimitive] = field(default_factory=list)
    primitive_poses: list[Pose] = field(default_factory=list)
    operation: bytes = ADD


class RobotState:
    """moveit.core.robot_state.RobotState."""

    def __init__(self, positions: dict[str, float]) -> None:
        self._positions, self.dirty = dict(positions), False

    @property
    def joint_positions(self) -> dict[str, float]:
        return dict(self._positions)

    @joint_positions.setter
    def joint_positions(self, values: dict[str, float]) -> None:
        unknown = set(values) - set(self._positions)
        if unknown:
            raise IndexError(f"variables {unknown} are not known to the model")
        self._positions.update(values)
        self.dirty = True

    def update(self) -> None:
        self.dirty = False

    def __deepcopy__(self, memo: dict) -> RobotState:
        return RobotState(self._positions)


class AllowedCollisionMatrix:
    """moveit.core.collision_detection.AllowedCollisionMatrix."""

    def __init__(self) -> None:
        self.allowed: set[frozenset[str]] = set()

    def set_entry(self, name1: str, name2: str, allowed: bool) -> None:
        pair = frozenset((name1, name2))
        (self.allowed.add if allowed else self.allowed.discard)(pair)


class PlanningScene:
    """moveit.core.planning_scene.PlanningScene; usable only while it is locked."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.allowed_collision_matrix = world.acm

    @property
    def current_state(self) -> RobotState:
        return self._world.state

    @property
    def planning_scene_message(self) -> Any:
        objects = list(self._world.objects.values())
        return types.SimpleNamespace(world=types.SimpleNamespace(collision_objects=objects))

    def knows_frame_transform(self, frame_id: str) -> bool:
        return frame_id in self._world.robot.link_frame

    def apply_collision_object(self, collision_object_msg: CollisionObject) -> None:
        assert self._world.locked, "the scene is changed without its lock"
        message = collision_object_msg
        if message.operation == CollisionObject.REMOVE:
            self._world.objects.pop(message.id, None)
        elif message.id not in self._world.deaf_to:
            assert len(message.primitives) == len(message.primitive_poses) > 0
            self._world.objects[message.id] = message


@dataclass
class World:
    """What the stand-in knows, and how a test wants it to fail.

    Attributes:
        robot: The arm that "MoveIt" has in its configuration.
        says: Error code of every plan; SUCCESS plans.
        raises: Of `plan`.
        deaf_to: Ids that are not taken.
        group: Planning groups and their joints.
        blind: Plan straight through everything.
        ends_off_rad: How far the last waypoint is from the goal.
        leaves_out: Joints that the planning group does not move.
    """

    robot: RobotModel
    says: int = MoveItErrorCodes.SUCCESS
    raises: Exception | None = None
    deaf_to: frozenset[str] = frozenset()
    group: tuple[str, ...] = ("fr3_arm",)
    blind: bool = False
    ends_off_rad: float = 0.0
    leaves_out: frozenset[str] = frozenset()
    objects: dict[str, CollisionObject] = field(default_factory=dict)
    acm: AllowedCollisionMatrix = field(default_factory=AllowedCollisionMatrix)
    locked: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = RobotState({**dict.fromkeys(self.robot.joint_names, 0.0), FINGER_JOINT: 0.02})

    def solids(self) -> list[Box | Sphere | Capsule]:
        """Obstacles of the messages alone; a cylinder becomes the capsule inside it."""
        out: list[Box | Sphere | Capsule] = []
        for message in self.objects.values():
            for k, (shape, pose) in enumerate(
                zip(message.primitives, message.primitive_poses, strict=True)
            ):
                at = pose_to_matrix(message.pose) @ pose_to_matrix(pose)
                name, size = f"{message.id}#{k}", list(shape.dimensions)
                if shape.type == SolidPrimitive.BOX:
                    out.append(Box(name, at, np.array(size)))
                elif shape.type == SolidPrimitive.SPHERE:
                    out.append(Sphere(name, at[:3, 3], size[SolidPrimitive.SPHERE_RADIUS]))
                else:
                    assert shape.type == SolidPrimitive.CYLINDER
                    half = 0.5 * size[SolidPrimitive.CYLINDER_HEIGHT] * at[:3, 2]
                    radius = size[SolidPrimitive.CYLINDER_RADIUS]
                    out.append(Capsule(name, at[:3, 3] - half, at[:3, 3] + half, radius))
        return out

    def way(self, start: np.ndarray, goal: np.ndarray) -> list[np.ndarray] | None:
        if self.blind:
            return [start, goal]
        scene = CollisionScene("moveit", "fr3_link0", NOWHERE, tuple(self.solids()))
        model = CollisionModel(self.robot, scene, 0.04)
        limits = self.robot.limits
        path = rrt_connect.connect(
            lambda q: model.clearance(q, 0.03) > 0.004, start, goal, limits.lower, limits.upper, 200
        )
        return (
            None
            if path is None
            else rrt_connect.shortcut(lambda q: model.clearance(q, 0.03) > 0.004, path)
        )


class PlanRequestParameters:
    """moveit.planning.PlanRequestParameters."""

    def __init__(self, _moveit: Any, _namespace: str) -> None:
        self.planner_id = self.planning_pipeline = ""
        self.planning_attempts, self.planning_time = 1, 1.0
        self.max_velocity_scaling_factor = self.max_acceleration_scaling_factor = 1.0


class _Answer:
    def __init__(self, code: int, message: Any = None) -> None:
        self.error_code, self.planning_time = MoveItErrorCodes(code), 0.01
        self.trajectory = types.SimpleNamespace(get_robot_trajectory_msg=lambda: message)

    def __bool__(self) -> bool:
        return self.error_code.val == MoveItErrorCodes.SUCCESS


class PlanningComponent:
    """moveit.planning.PlanningComponent."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._start: RobotState | None = None
        self._goal: RobotState | None = None

    def set_start_state(self, configuration_name=None, robot_state=None) -> bool:
        assert (configuration_name is None) != (robot_state is None)
        assert not robot_state.dirty, "the state was not updated"
        self._start = robot_state
        return True

    def set_goal_state(self, configuration_name=None, robot_state=None, **_others) -> bool:
        assert (configuration_name is None) != (robot_state is None)
        assert not robot_state.dirty, "the state was not updated"
        self._goal = robot_state
        return True

    def plan(self, single_plan_parameters=None, **_others) -> _Answer:
        world = self._world
        assert not world.locked, "planning needs the lock that the caller holds"
        assert self._start is not None and self._goal is not None
        assert self._start.joint_positions[FINGER_JOINT] == 0.02
        world.asked.append(dict(vars(single_plan_parameters)))
        if world.raises is not None:
            raise world.raises
        if world.says != MoveItErrorCodes.SUCCESS:
            return _Answer(world.says)
        names = world.robot.joint_names
        start, goal = (
            np.array([state.joint_positions[n] for n in names])
            for state in (self._start, self._goal)
        )
        path = world.way(start, goal)
        if path is None:
            return _Answer(MoveItErrorCodes.PLANNING_FAILED)
        path[-1] = path[-1] + world.ends_off_rad
        told = [n for n in sorted(names, reverse=True) if n not in world.leaves_out]
        points = [
            types.SimpleNamespace(positions=[float(q[names.index(n)]) for n in told]) for q in path
        ]
        trajectory = types.SimpleNamespace(joint_names=told, points=points)
        return _Answer(MoveItErrorCodes.SUCCESS, types.SimpleNamespace(joint_trajectory=trajectory))


def install(monkeypatch: Any, world: World) -> None:
    """Put the packages where `import` finds them."""

    class PlanningSceneMonitor:
        @contextmanager
        def read_write(self):
            assert not world.locked
            world.locked = True
            try:
                yield PlanningScene(world)
            finally:
                world.locked = False

        @contextmanager
        def read_only(self):
            yield PlanningScene(world)

    class MoveItPy:
        def __init__(self, node_name="moveit_py", config_dict=None) -> None:
            assert node_name
            world.config = config_dict

        def get_planning_component(self, planning_component_name: str) -> PlanningComponent:
            if planning_component_name not in world.group:
                raise RuntimeError(f"Group '{planning_component_name}' is not in the robot model")
            return PlanningComponent(world)

        def get_planning_scene_monitor(self) -> PlanningSceneMonitor:
            return PlanningSceneMonitor()

    class MoveItConfigsBuilder:
        def __init__(self, robot_name: str, package_name: str) -> None:
            self._config = {"robot_name": robot_name, "package": package_name}

        def moveit_cpp(self, file_path: str) -> MoveItConfigsBuilder:
            self._config["moveit_cpp"] = file_path
            return self

        def to_moveit_configs(self) -> MoveItConfigsBuilder:
            return self

        def to_dict(self) -> dict[str, Any]:
            return {**self._config, "planning_pipelines": ["ompl"]}

    contents = {
        "moveit": {},
        "moveit.planning": {
            "MoveItPy": MoveItPy,
            "PlanRequestParameters": PlanRequestParameters,
        },
        "moveit_configs_utils": {"MoveItConfigsBuilder": MoveItConfigsBuilder},
        "moveit_msgs": {},
        "moveit_msgs.msg": {
            "CollisionObject": CollisionObject,
            "MoveItErrorCodes": MoveItErrorCodes,
        },
    }
    for name, attributes in contents.items():
        module = types.ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
