"""Values that are known only when a launch file is carried out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from novaflow_bringup.standin_launch.context import Context
from novaflow_bringup.standin_launch.errors import LaunchError


class Substitution:
    """Something that becomes a string."""

    def perform(self, context: Context) -> str:
        """Return the string."""
        raise NotImplementedError


def perform(context: Context, value: Any) -> str:
    """Return the string of a value: a substitution, a list of parts to join, or a plain value."""
    if isinstance(value, Substitution):
        return value.perform(context)
    if isinstance(value, list | tuple):
        return "".join(perform(context, part) for part in value)
    return str(value)


def to_bool(text: str) -> bool:
    """Read a boolean as launch does."""
    word = text.strip().lower()
    if word not in ("true", "1", "false", "0"):
        raise LaunchError(f"'{text}' is not a boolean; use true or false")
    return word in ("true", "1")


def _lower(value: bool) -> str:
    return str(value).lower()


class TextSubstitution(Substitution):
    """A fixed text."""

    def __init__(self, *, text: str) -> None:
        self.text = text

    def perform(self, context: Context) -> str:
        """Return the text."""
        return self.text


class LaunchConfiguration(Substitution):
    """The value of a launch argument."""

    def __init__(self, variable_name: Any, *, default: Any = None) -> None:
        self.name, self.default = variable_name, default

    def perform(self, context: Context) -> str:
        """Return the value, or the default where there is none."""
        name = perform(context, self.name)
        if name in context.configurations:
            return context.configurations[name]
        if self.default is None:
            raise LaunchError(f"launch argument '{name}' has no value")
        return perform(context, self.default)


class PathJoinSubstitution(Substitution):
    """Parts of a path, joined."""

    def __init__(self, substitutions: Iterable[Any]) -> None:
        self.parts = list(substitutions)

    def perform(self, context: Context) -> str:
        """Return the path."""
        return os.path.join(*(perform(context, part) for part in self.parts))


class EnvironmentVariable(Substitution):
    """A variable of the environment that processes get."""

    def __init__(self, name: Any, *, default_value: Any = None) -> None:
        self.name, self.default = name, default_value

    def perform(self, context: Context) -> str:
        """Return the value, or the default where the variable is not set."""
        name = perform(context, self.name)
        if name in context.environment:
            return context.environment[name]
        if self.default is None:
            raise LaunchError(f"environment variable '{name}' is not set")
        return perform(context, self.default)


class ThisLaunchFileDir(Substitution):
    """Folder of the launch file that is being read."""

    def perform(self, context: Context) -> str:
        """Return the folder."""
        return context.directory


class EqualsSubstitution(Substitution):
    """Whether two values are the same text."""

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right

    def perform(self, context: Context) -> str:
        """Return "true" or "false"."""
        return _lower(perform(context, self.left) == perform(context, self.right))


class NotSubstitution(Substitution):
    """The opposite of a boolean."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def perform(self, context: Context) -> str:
        """Return "true" or "false"."""
        return _lower(not to_bool(perform(context, self.value)))


class AndSubstitution(Substitution):
    """Whether two booleans both hold."""

    def __init__(self, left: Any, right: Any) -> None:
        self.left, self.right = left, right

    def perform(self, context: Context) -> str:
        """Return "true" or "false"."""
        both = [to_bool(perform(context, side)) for side in (self.left, self.right)]
        return _lower(all(both))


class OrSubstitution(AndSubstitution):
    """Whether one of two booleans holds."""

    def perform(self, context: Context) -> str:
        """Return "true" or "false"."""
        both = [to_bool(perform(context, side)) for side in (self.left, self.right)]
        return _lower(any(both))


class IfElseSubstitution(Substitution):
    """One of two values, as a boolean says."""

    def __init__(self, condition: Any, if_value: Any = "", else_value: Any = "") -> None:
        self.condition, self.if_value, self.else_value = condition, if_value, else_value

    def perform(self, context: Context) -> str:
        """Return the value that the boolean stands for."""
        holds = to_bool(perform(context, self.condition))
        return perform(context, self.if_value if holds else self.else_value)


class FindPackageShare(Substitution):
    """The share folder of an installed package."""

    def __init__(self, package: Any) -> None:
        self.package = package

    def perform(self, context: Context) -> str:
        """Return the folder."""
        name = perform(context, self.package)
        try:
            return str(get_package_share_directory(name))
        except PackageNotFoundError as error:
            raise LaunchError(f"package '{name}' is not installed") from error
