"""Registers this package under the names `launch` and `launch_ros`, where those are absent."""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any

from novaflow_bringup.standin_launch import actions, conditions, nodes, substitutions
from novaflow_bringup.standin_launch.errors import UnsupportedError

PROVIDED: dict[str, tuple[Any, ...]] = {
    "launch": (actions.LaunchDescription, actions.Action, substitutions.Substitution),
    "launch.actions": (
        actions.DeclareLaunchArgument,
        actions.GroupAction,
        actions.IncludeLaunchDescription,
        actions.LogInfo,
        actions.SetEnvironmentVariable,
        actions.SetLaunchConfiguration,
        nodes.ExecuteProcess,
    ),
    "launch.conditions": (conditions.IfCondition, conditions.UnlessCondition),
    "launch.launch_description_sources": (actions.PythonLaunchDescriptionSource,),
    "launch.substitutions": (
        substitutions.AndSubstitution,
        substitutions.EnvironmentVariable,
        substitutions.EqualsSubstitution,
        substitutions.IfElseSubstitution,
        substitutions.LaunchConfiguration,
        substitutions.NotSubstitution,
        substitutions.OrSubstitution,
        substitutions.PathJoinSubstitution,
        substitutions.TextSubstitution,
        substitutions.ThisLaunchFileDir,
    ),
    "launch_ros": (),
    "launch_ros.actions": (nodes.Node,),
    "launch_ros.parameter_descriptions": (nodes.ParameterValue,),
    "launch_ros.substitutions": (substitutions.FindPackageShare,),
}


def real_launch_present() -> bool:
    """Whether ROS 2's own launch can be imported.

    A folder named `launch` on the path, such as ours at the root of the repository, is found as a
    namespace package without an origin; it does not count.
    """
    for name in ("launch", "launch_ros"):
        present = sys.modules.get(name)
        if present is not None and getattr(present, "__standin__", False):
            return False
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return False
    return True


def register() -> None:
    """Put the stand-in's modules in place.

    Raises:
        RuntimeError: If the real launch is there; it must never be replaced.
    """
    if real_launch_present():
        raise RuntimeError("the real launch is installed; the stand-in must not replace it")
    for name, members in PROVIDED.items():
        module = _StandinModule(name)
        module.__dict__.update({member.__name__: member for member in members})
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


class _StandinModule(types.ModuleType):
    """A module that names what it does not have."""

    __standin__ = True

    def __init__(self, name: str) -> None:
        super().__init__(name, "Part of NovaFlow's stand-in for ROS 2 launch.")
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(f"{self.__name__}.{name}")
