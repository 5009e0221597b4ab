"""The grounding stage: from a scene and an instruction to the pixels of what it names."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_core.task import TaskSpec


@runtime_checkable
class Grounder(Protocol):
    """A backend of the grounding stage; entry points in `novaflow.grounding` make one."""

    def ground(self, scene: Scene, task: TaskSpec) -> Grounding:
        """Find the target and the references of a task.

        Args:
            scene: One or several views of one instant.
            task: The parsed instruction.

        Returns:
            Labels per view, the support and the objects in the planning frame.

        Raises:
            PerceptionError: TARGET_NOT_FOUND, REFERENCE_NOT_FOUND, AMBIGUOUS_TARGET (naming the
                choices), NO_SUPPORT_PLANE or DEPTH_INVALID.
        """
        ...
