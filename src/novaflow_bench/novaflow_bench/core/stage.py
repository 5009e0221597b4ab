"""A scene that labelled videos are made of: what is really there, which the product never sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.scene import Plane, RgbdView
from novaflow_flowgen.core.warp import Surface, surface_of

Float = NDArray[np.float64]
Image = NDArray[np.uint8]
Depth = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Backdrop(Protocol):
    """What a scene looks like without some of its things."""

    def without(self, labels: tuple[int, ...]) -> tuple[Image, Depth]:
        """Colour (H, W, 3) and depth (H, W) [m] of the scene without the things of these labels."""
        ...


@dataclass(frozen=True)
class Ask:
    """What the instruction asks for, in the world frame.

    Attributes:
        end: (4, 4) motion of the target's points that does it.
        into_place: Whether the target goes into a relation with something; else along a direction.
        slides: Whether it stays on its support.
        clearance_m: Height that it must be lifted by on the way.
        jitter_m: How far an end that everybody would accept may be off, in the plane.
        above_m: How far above the very end it may stop, low and high.
        near_m: Distances from the right place, low and high, that are wrong by little.
    """

    end: Float
    into_place: bool
    slides: bool
    clearance_m: float
    jitter_m: float
    above_m: tuple[float, float]
    near_m: tuple[float, float]


@dataclass(frozen=True)
class Stage:
    """One scene with one instruction.

    Attributes:
        name: Unique.
        view: What the product is given.
        instruction: What the product is told.
        picture: (H, W, 3) the scene as the videos show it.
        depth: (H, W) [m] of it; NaN where unknown.
        labels: (H, W) 0 and 1: background, 2..: things.
        target: Label of what the instruction moves.
        T_world_camera: (4, 4) true pose of the camera.
        support: Plane that things stand on, world frame.
        ask: What shall happen.
        backdrop: The scene without things.
    """

    name: str
    view: RgbdView
    instruction: str
    picture: Image
    depth: Depth
    labels: Image
    target: int
    T_world_camera: Float
    support: Plane
    ask: Ask
    backdrop: Backdrop

    def mask(self, label: int) -> Mask:
        """Pixels (H, W) of a thing."""
        return np.asarray(self.labels == label)

    def surface(self, label: int) -> Surface:
        """Visible pixels and points of a thing, optical frame."""
        return surface_of(self.depth, self.mask(label), self.view.model)

    def points(self, label: int) -> Float:
        """Visible points (N, 3) [m] of a thing, world frame."""
        return se3.apply(self.T_world_camera, self.surface(label).points)

    def middle(self, label: int) -> Float:
        """Point (3,) inside a thing that rotations turn about, world frame."""
        points = self.points(label)
        middle = np.median(points, axis=0)
        half_m = 0.5 * float(self.support.height(points).max())
        rise_m = half_m - float(self.support.height(middle))
        return np.asarray(middle + rise_m * self.support.normal)

    def others(self, least: int = 400) -> list[int]:
        """Labels of other things that are seen on `least` pixels or more, largest first."""
        seen = np.bincount(self.labels.ravel(), minlength=3)
        known = [k for k in range(2, len(seen)) if k != self.target and seen[k] >= least]
        return sorted(known, key=lambda k: -int(seen[k]))
