"""Which pixels the instruction speaks of, and what else stands there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError, ShapeError
from novaflow_core.obstacles import Obstacle
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import TaskSpec

LABEL_NOTHING = 0
LABEL_SUPPORT = 1


class Role(StrEnum):
    """Part that a grounded object plays in the task."""

    TARGET = "target"
    REFERENCE = "reference"
    OTHER = "other"


@dataclass(frozen=True)
class GroundedObject:
    """One thing that stands on the support.

    Attributes:
        label: Its value in the label images, 2..255.
        role: Part it plays.
        description: What was seen, for people.
        score: How well it fits its phrase, 0..1; NaN for OTHER.
        corners: (8, 3) upright bounding box [m], planning frame, bottom four then top four.
    """

    label: int
    role: Role
    description: str
    score: float
    corners: NDArray[np.float64]


@dataclass(frozen=True)
class Grounding:
    """The instruction's objects in one scene.

    Attributes:
        scene_id: The scene.
        task: The parsed instruction.
        support: Plane that the objects stand on.
        labels: Per view (H, W) uint8: 0 nothing, 1 support, 2.. the objects.
        objects: One target, the references in the order of `task.references`, the others.
    """

    scene_id: str
    task: TaskSpec
    support: Plane
    labels: tuple[NDArray[np.uint8], ...]
    objects: tuple[GroundedObject, ...]

    @property
    def target(self) -> GroundedObject:
        """The object that moves.

        Raises:
            PerceptionError: TARGET_NOT_FOUND if there is none.
        """
        for item in self.objects:
            if item.role is Role.TARGET:
                return item
        raise PerceptionError(Code.TARGET_NOT_FOUND, "the grounding holds no target")

    @property
    def references(self) -> tuple[GroundedObject, ...]:
        """The objects that the relation refers to, in the order of the instruction."""
        return tuple(item for item in self.objects if item.role is Role.REFERENCE)

    def mask(self, item: GroundedObject, view: int = 0) -> NDArray[np.bool_]:
        """Pixels (H, W) of an object in one view."""
        return np.asarray(self.labels[view] == item.label)

    def points(self, scene: Scene, item: GroundedObject) -> NDArray[np.float64]:
        """Points (N, 3) [m] of an object from all views, planning frame, without NaN."""
        parts = [_masked(view, self.mask(item, i)) for i, view in enumerate(scene.views)]
        return np.concatenate(parts)


def _masked(view: RgbdView, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    v, u = np.nonzero(mask & np.isfinite(view.depth))
    points = view.model.lift_pixels(np.stack([u, v], -1), view.depth[v, u])
    return se3.apply(view.T_planning_camera, points)


@dataclass(frozen=True)
class CollisionScene:
    """What the arm must not touch.

    Attributes:
        scene_id: The scene it was seen in.
        planning_frame: Frame of the plane and the obstacles.
        support: Plane that the objects stand on; nothing is below it.
        obstacles: The other objects, each under a name of its own; not the target.
        eyes: Where the cameras are (3,) [m]: what is moved should stay in sight of one.

    Raises:
        ShapeError: If two obstacles have one name, or one has none.
    """

    scene_id: str
    planning_frame: str
    support: Plane
    obstacles: tuple[Obstacle, ...]
    eyes: tuple[NDArray[np.float64], ...] = ()

    def __post_init__(self) -> None:
        """Check the names."""
        names = [item.name for item in self.obstacles]
        if len(set(names)) < len(names) or "" in names:
            raise ShapeError(f"obstacles need a name of their own each, these have {names}")
