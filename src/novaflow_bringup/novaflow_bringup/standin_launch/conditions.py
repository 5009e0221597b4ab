"""When an action is carried out."""

from __future__ import annotations

from typing import Any

from novaflow_bringup.standin_launch.context import Context
from novaflow_bringup.standin_launch.substitutions import perform, to_bool


class IfCondition:
    """Holds when a boolean is true."""

    def __init__(self, predicate_expression: Any) -> None:
        self.expression = predicate_expression

    def evaluate(self, context: Context) -> bool:
        """Return whether it holds."""
        return to_bool(perform(context, self.expression))


class UnlessCondition(IfCondition):
    """Holds when a boolean is false."""

    def evaluate(self, context: Context) -> bool:
        """Return whether it holds."""
        return not super().evaluate(context)
