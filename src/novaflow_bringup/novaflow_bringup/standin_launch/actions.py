"""What a launch file says shall happen, apart from processes."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from novaflow_bringup.standin_launch.conditions import IfCondition
from novaflow_bringup.standin_launch.context import Argument, Context
from novaflow_bringup.standin_launch.errors import LaunchError
from novaflow_bringup.standin_launch.substitutions import perform


class Action:
    """Something to do, under a condition."""

    def __init__(self, *, condition: IfCondition | None = None) -> None:
        self.condition = condition

    def visit(self, context: Context) -> None:
        """Carry it out if its condition holds."""
        if self.condition is None or self.condition.evaluate(context):
            self.execute(context)

    def execute(self, context: Context) -> None:
        """Carry it out."""
        raise NotImplementedError


class LaunchDescription:
    """What one launch file describes, in order."""

    def __init__(self, initial_entities: Iterable[Action] | None = None) -> None:
        self.entities = list(initial_entities or [])

    def add_action(self, action: Action) -> None:
        """Append an action."""
        self.entities.append(action)

    def visit(self, context: Context) -> None:
        """Carry all of it out."""
        for entity in self.entities:
            entity.visit(context)


class DeclareLaunchArgument(Action):
    """An argument that the file takes, with a default."""

    def __init__(
        self,
        name: str,
        *,
        default_value: Any = None,
        description: str = "",
        choices: Iterable[str] | None = None,
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.name, self.default, self.description = name, default_value, description
        self.choices = tuple(choices or ())

    def argument(self, context: Context) -> Argument:
        """Return what is declared."""
        default = None if self.default is None else perform(context, self.default)
        return Argument(self.name, default, self.description, self.choices)

    def execute(self, context: Context) -> None:
        """Set the default where no value was given, and check the choices."""
        argument = self.argument(context)
        context.declared.setdefault(self.name, argument)
        if self.name not in context.configurations:
            if argument.default is None:
                raise LaunchError(f"argument {self.name}:= is required: {self.description}")
            context.configurations[self.name] = argument.default
        value = context.configurations[self.name]
        if self.choices and value not in self.choices:
            allowed = ", ".join(self.choices)
            raise LaunchError(f"argument {self.name}:={value}; allowed: {allowed}")


class SetLaunchConfiguration(Action):
    """Gives an argument a value."""

    def __init__(self, name: Any, value: Any, *, condition: IfCondition | None = None) -> None:
        super().__init__(condition=condition)
        self.name, self.value = name, value

    def execute(self, context: Context) -> None:
        """Set it."""
        context.configurations[perform(context, self.name)] = perform(context, self.value)


class SetEnvironmentVariable(SetLaunchConfiguration):
    """Sets a variable of the environment that processes get."""

    def execute(self, context: Context) -> None:
        """Set it."""
        context.environment[perform(context, self.name)] = perform(context, self.value)


class LogInfo(Action):
    """Prints a line."""

    def __init__(self, *, msg: Any, condition: IfCondition | None = None) -> None:
        super().__init__(condition=condition)
        self.message = msg

    def execute(self, context: Context) -> None:
        """Print it."""
        print(f"[INFO] [launch.user]: {perform(context, self.message)}", flush=True)


class GroupAction(Action):
    """Actions in a scope of their own."""

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        scoped: bool = True,
        launch_configurations: Mapping[str, Any] | None = None,
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.actions, self.scoped = list(actions), scoped
        self.configurations = dict(launch_configurations or {})

    def execute(self, context: Context) -> None:
        """Carry the actions out."""
        additions = {name: perform(context, value) for name, value in self.configurations.items()}
        if self.scoped:
            with context.scope(additions):
                self._visit_all(context)
        else:
            context.configurations.update(additions)
            self._visit_all(context)

    def _visit_all(self, context: Context) -> None:
        for action in self.actions:
            action.visit(context)


class PythonLaunchDescriptionSource:
    """A launch file in Python."""

    def __init__(self, launch_file_path: Any) -> None:
        self.path = launch_file_path

    def load(self, context: Context) -> tuple[str, LaunchDescription]:
        """Return the file's path and what it describes."""
        path = perform(context, self.path)
        return path, load_description(path)


class IncludeLaunchDescription(Action):
    """Another launch file. As in launch, its arguments stay set unless a group encloses it."""

    def __init__(
        self,
        launch_description_source: Any,
        *,
        launch_arguments: Iterable[tuple[Any, Any]] | None = None,
        condition: IfCondition | None = None,
    ) -> None:
        super().__init__(condition=condition)
        self.source = launch_description_source
        self.arguments = list(launch_arguments or [])

    def execute(self, context: Context) -> None:
        """Set the arguments and carry the file out."""
        source = self.source
        if not isinstance(source, PythonLaunchDescriptionSource):
            source = PythonLaunchDescriptionSource(source)
        for name, value in self.arguments:
            context.configurations[perform(context, name)] = perform(context, value)
        path, description = source.load(context)
        outer, context.directory = context.directory, os.path.dirname(path)
        try:
            description.visit(context)
        finally:
            context.directory = outer


def load_description(path: str) -> LaunchDescription:
    """Import a launch file and return what it describes.

    Raises:
        LaunchError: If there is no such file, or it describes nothing.
    """
    if not os.path.isfile(path):
        raise LaunchError(f"there is no launch file {path}")
    spec = importlib.util.spec_from_file_location(f"launch_file_{abs(hash(path))}", path)
    if spec is None or spec.loader is None:
        raise LaunchError(f"{path} is not a Python launch file")
    module = importlib.util.module_from_spec(spec)
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except TypeError as error:
        raise LaunchError(f"{path}: {error} (only the real launch may know it)") from error
    finally:
        sys.dont_write_bytecode = writes_bytecode
    if not hasattr(module, "generate_launch_description"):
        raise LaunchError(f"{path} has no generate_launch_description()")
    description = module.generate_launch_description()
    if not isinstance(description, LaunchDescription):
        raise LaunchError(f"{path} does not return a LaunchDescription")
    return description
