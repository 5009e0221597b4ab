"""Processes and nodes to start: how their command lines come about."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from novaflow_bringup.standin_launch.actions import Action
from novaflow_bringup.standin_launch.conditions import IfCondition
from novaflow_bringup.standin_launch.context import Context
from novaflow_bringup.standin_launch.errors import LaunchError
from novaflow_bringup.standin_launch.substitutions import Substitution, perform, to_bool


@dataclass(frozen=True)
class ProcessStart:
    """A process to start, with everything resolved.

    Attributes:
        command: Program and arguments.
        environment: All of it.
        label: Name for its lines of output.
        cwd: Working folder; None for the launcher's.
        respawn: Start it again whenever it ends.
        respawn_delay_s: How long to wait before that [s].
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    label: str
    cwd: str | None = None
    respawn: bool = False
    respawn_delay_s: float = 0.0


class ExecuteProcess(Action):
    """Any program."""

    def __init__(
        self,
        *,
        cmd: Iterable[Any],
        name: Any = None,
        cwd: Any = None,
        additional_env: Mapping[Any, Any] | None = None,
        output: str = "screen",
        prefix: Any = None,
        respawn: Any = False,
        respawn_delay: float = 0.0,
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.parts, self.name, self.cwd, self.prefix = list(cmd), name, cwd, prefix
        self.additional_env = dict(additional_env or {})
        self.respawn, self.respawn_delay_s = respawn, float(respawn_delay)

    def command(self, context: Context) -> list[str]:
        """Return program and arguments."""
        return [perform(context, part) for part in self.parts]

    def execute(self, context: Context) -> None:
        """Note the process among those to start."""
        command = self.command(context)
        label = os.path.basename(command[0]) if self.name is None else perform(context, self.name)
        if self.prefix is not None:
            command = shlex.split(perform(context, self.prefix)) + command
        extra = {perform(context, k): perform(context, v) for k, v in self.additional_env.items()}
        context.starts.append(
            ProcessStart(
                command=tuple(command),
                environment={"PYTHONUNBUFFERED": "1", **context.environment, **extra},
                label=f"{label}-{len(context.starts) + 1}",
                cwd=None if self.cwd is None else perform(context, self.cwd),
                respawn=to_bool(perform(context, self.respawn)),
                respawn_delay_s=self.respawn_delay_s,
            )
        )


class ParameterValue:
    """A parameter with the type that it shall have."""

    def __init__(self, value: Any, *, value_type: type | None = None) -> None:
        self.value, self.value_type = value, value_type

    def evaluate(self, context: Context) -> Any:
        """Return the typed value; without a type it is read as YAML."""
        text = perform(context, self.value)
        if self.value_type is None:
            return yaml.safe_load(text)
        if self.value_type is bool:
            return to_bool(text)
        if self.value_type not in (str, int, float):
            raise LaunchError(f"parameter type {self.value_type} is only known to the real launch")
        try:
            return self.value_type(text)
        except ValueError as error:
            raise LaunchError(f"'{text}' is not of type {self.value_type.__name__}") from error


class Node(ExecuteProcess):
    """An executable of a package, started as a ROS node."""

    def __init__(
        self,
        *,
        executable: Any,
        package: Any,
        name: Any = None,
        namespace: Any = None,
        parameters: Iterable[Any] | None = None,
        remappings: Iterable[tuple[Any, Any]] | None = None,
        arguments: Iterable[Any] | None = None,
        ros_arguments: Iterable[Any] | None = None,
        **process: Any,
    ) -> None:
        super().__init__(cmd=[], **process)
        self.package, self.executable = package, executable
        self.node_name, self.namespace = name, namespace
        self.parameters, self.remappings = list(parameters or []), list(remappings or [])
        self.arguments, self.ros_arguments = list(arguments or []), list(ros_arguments or [])

    def command(self, context: Context) -> list[str]:
        """Return the executable with its arguments, then the ROS arguments."""
        package, executable = perform(context, self.package), perform(context, self.executable)
        command = [find_executable(package, executable)]
        command += [perform(context, argument) for argument in self.arguments]
        ros = [perform(context, argument) for argument in self.ros_arguments]
        name = None if self.node_name is None else perform(context, self.node_name)
        namespace = "" if self.namespace is None else perform(context, self.namespace).strip("/")
        if name:
            ros += ["-r", f"__node:={name}"]
        if namespace:
            ros += ["-r", f"__ns:=/{namespace}"]
        key = f"{'/' + namespace if namespace else ''}/{name}" if name else "/**"
        for parameters in self.parameters:
            ros += ["--params-file", _parameter_file(context, parameters, key)]
        for source, target in self.remappings:
            ros += ["-r", f"{perform(context, source)}:={perform(context, target)}"]
        return command + (["--ros-args", *ros] if ros else [])


def find_executable(package: str, executable: str) -> str:
    """Return the path of a package's executable.

    Raises:
        LaunchError: If the package or the executable is not installed.
    """
    try:
        folder = Path(get_package_prefix(package)) / "lib" / package
    except PackageNotFoundError as error:
        raise LaunchError(f"package '{package}' is not installed") from error
    path = folder / executable
    if not (path.is_file() and os.access(path, os.X_OK)):
        there = ", ".join(sorted(p.name for p in folder.glob("*"))) or "none"
        raise LaunchError(f"package '{package}' has no executable '{executable}'; it has: {there}")
    return str(path)


def _parameter_file(context: Context, parameters: Any, key: str) -> str:
    """Path of a parameter file; values given in the launch file are written to one."""
    if not isinstance(parameters, Mapping):
        path = perform(context, parameters)
        if not os.path.isfile(path):
            raise LaunchError(f"there is no parameter file {path}")
        return path
    values = {perform(context, name): _typed(context, v) for name, v in parameters.items()}
    with tempfile.NamedTemporaryFile(
        "w", suffix=".yaml", dir=context.folder or None, delete=False
    ) as stream:
        yaml.safe_dump({key: {"ros__parameters": values}}, stream)
    return stream.name


def _typed(context: Context, value: Any) -> Any:
    if isinstance(value, ParameterValue):
        return value.evaluate(context)
    if isinstance(value, Substitution):
        return yaml.safe_load(perform(context, value))
    if isinstance(value, list | tuple):
        if any(isinstance(part, Substitution) for part in value):
            return yaml.safe_load(perform(context, value))
        return [_typed(context, part) for part in value]
    if isinstance(value, bool | int | float | str):
        return value
    raise LaunchError(f"parameter value {value!r} is only known to the real launch")
