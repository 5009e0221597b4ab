"""What a launch file is evaluated in: its arguments, its environment, and nested scopes of both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Argument:
    """An argument that a launch file declares.

    Attributes:
        name: As in `name:=value`.
        default: What it is without a value; None when one must be given.
        description: A sentence.
        choices: Allowed values; empty for any.
    """

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...] = ()


@dataclass
class Context:
    """State of one launch.

    Attributes:
        configurations: Values of launch arguments.
        environment: Of the processes to start.
        directory: Of the launch file that is being read.
        declared: Arguments by name, in the order of their declaration.
        starts: Processes to start, collected first so that a faulty file starts none.
        folder: For files that processes read, such as parameters.
    """

    configurations: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    directory: str = ""
    declared: dict[str, Argument] = field(default_factory=dict)
    starts: list[Any] = field(default_factory=list)
    folder: str = ""

    @contextmanager
    def scope(self, additions: Mapping[str, str] | None = None) -> Iterator[None]:
        """Keep changes of configurations and environment within a group."""
        outer = self.configurations, self.environment
        self.configurations = {**self.configurations, **(additions or {})}
        self.environment = dict(self.environment)
        try:
            yield
        finally:
            self.configurations, self.environment = outer
