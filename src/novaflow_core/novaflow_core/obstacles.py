"""The solids that stand for what the arm must not touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core import se3
from novaflow_core.errors import ShapeError
from novaflow_core.scene import Plane

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A box.

    Attributes:
        name: e.g. "reference_0", "other_1".
        T_planning_box: (4, 4) pose of its centre [m].
        size: (3,) full extents [m], not negative.

    Raises:
        ShapeError: If a number is not finite or an extent is negative.
    """

    name: str
    T_planning_box: Array
    size: Array

    def __post_init__(self) -> None:
        """Check shapes and numbers."""
        _check(self.name, "pose", self.T_planning_box, (4, 4))
        _check(self.name, "size", self.size, (3,))
        if np.min(self.size) < 0:
            raise ShapeError(f"obstacle '{self.name}': size {np.asarray(self.size).tolist()} [m]")

    @property
    def volume(self) -> float:
        """[m^3]."""
        return float(np.prod(self.size))

    def distance(self, points: ArrayLike) -> Array:
        """Signed distance (*P,) [m] of points (*P, 3) to the surface; negative inside."""
        local = np.abs(se3.apply(se3.inverse(self.T_planning_box), points))
        beyond = local - np.asarray(self.size) / 2
        outside = np.linalg.norm(np.maximum(beyond, 0.0), axis=-1)
        return np.asarray(outside + np.minimum(beyond.max(axis=-1), 0.0))

    def top_at(self, points: ArrayLike, support: Plane, beside_m: float = 0.0) -> Array:
        """Height (P,) [m] above the support of the box's top over or under points (P, 3).

        Args:
            points: [m].
            support: That the box stands on, upright.
            beside_m: How far beside the box a point may be.

        Returns:
            -inf where a point is farther beside it.
        """
        local = se3.apply(se3.inverse(self.T_planning_box), points)
        size = np.asarray(self.size)
        beside = np.abs(local) - size / 2 - beside_m
        # the axis that is most along the support's normal is the height
        axis = int(np.argmax(np.abs(self.T_planning_box[:3, :3].T @ support.normal)))
        over = np.delete(beside, axis, axis=1).max(axis=1) < 0
        top = float(support.height(self.T_planning_box[:3, 3])) + size[axis] / 2
        return np.where(over, top, -np.inf)


@dataclass(frozen=True)
class Capsule:
    """A segment with a radius; a `Sphere` where both ends coincide.

    Attributes:
        name: e.g. "other_2".
        a: (3,) first end of the segment [m].
        b: (3,) second end [m].
        radius: [m], positive.

    Raises:
        ShapeError: If a number is not finite or the radius is not positive.
    """

    name: str
    a: Array
    b: Array
    radius: float

    def __post_init__(self) -> None:
        """Check shapes and numbers."""
        _check(self.name, "first end", self.a, (3,))
        _check(self.name, "second end", self.b, (3,))
        _check_radius(self.name, self.radius)

    @property
    def volume(self) -> float:
        """[m^3]."""
        length = float(np.linalg.norm(np.subtract(self.b, self.a)))
        return float(np.pi * self.radius**2 * (length + 4.0 / 3.0 * self.radius))

    def distance(self, points: ArrayLike) -> Array:
        """Signed distance (*P,) [m] of points (*P, 3) to the surface; negative inside."""
        along, from_a = self.b - self.a, np.asarray(points, float) - self.a
        share = np.clip(from_a @ along / max(float(along @ along), 1e-18), 0.0, 1.0)
        return np.asarray(np.linalg.norm(from_a - share[..., None] * along, axis=-1) - self.radius)

    def top_at(self, points: ArrayLike, support: Plane, beside_m: float = 0.0) -> Array:
        """Height (P,) [m] above the support of the top over or under points; see `Box.top_at`.

        With d(t) the horizontal distance to the segment's point t, the top is the largest
        height(t) + sqrt(radius^2 - d(t)^2), which is concave in t.
        """
        flat_of = support.basis().T
        at, along = np.asarray(points, float) @ flat_of - self.a @ flat_of, self.b - self.a
        low, rise = float(support.height(self.a)), float(along @ support.normal)
        flat = along @ flat_of
        length2 = float(flat @ flat)
        if length2 < 1e-12:  # upright
            nearest = best = np.full(len(at), 1.0 if rise > 0 else 0.0)
        else:
            middle = at @ flat / length2
            room2 = self.radius**2 - ((at - middle[:, None] * flat) ** 2).sum(axis=1)
            lean = rise * np.sqrt(np.maximum(room2, 0.0) / (length2 * (length2 + rise**2)))
            nearest, best = np.clip(middle, 0.0, 1.0), np.clip(middle + lean, 0.0, 1.0)
        beside2 = ((at - nearest[:, None] * flat) ** 2).sum(axis=1)
        best = np.where(beside2 < self.radius**2, best, nearest)
        left2 = self.radius**2 - ((at - best[:, None] * flat) ** 2).sum(axis=1)
        top = low + best * rise + np.sqrt(np.maximum(left2, 0.0))
        return np.where(beside2 < (self.radius + beside_m) ** 2, top, -np.inf)


@dataclass(frozen=True)
class Sphere:
    """A ball.

    Attributes:
        name: e.g. "other_0".
        centre: (3,) [m].
        radius: [m], positive.

    Raises:
        ShapeError: If a number is not finite or the radius is not positive.
    """

    name: str
    centre: Array
    radius: float

    def __post_init__(self) -> None:
        """Check shapes and numbers."""
        _check(self.name, "centre", self.centre, (3,))
        _check_radius(self.name, self.radius)

    @property
    def volume(self) -> float:
        """[m^3]."""
        return float(4.0 / 3.0 * np.pi * self.radius**3)

    def distance(self, points: ArrayLike) -> Array:
        """Signed distance (*P,) [m] of points (*P, 3) to the surface; negative inside."""
        away = np.linalg.norm(np.asarray(points, float) - self.centre, axis=-1)
        return np.asarray(away - self.radius)

    def top_at(self, points: ArrayLike, support: Plane, beside_m: float = 0.0) -> Array:
        """Height (P,) [m] above the support of the top over or under points; see `Box.top_at`."""
        return capsule_of(self).top_at(points, support, beside_m)


Obstacle: TypeAlias = Box | Sphere | Capsule


def capsule_of(item: Sphere | Capsule) -> Capsule:
    """The same solid as a capsule."""
    if isinstance(item, Capsule):
        return item
    return Capsule(item.name, item.centre, item.centre, item.radius)


def _check(name: str, what: str, value: ArrayLike, shape: tuple[int, ...]) -> None:
    array = np.asarray(value, float)
    if array.shape != shape or not np.isfinite(array).all():
        raise ShapeError(
            f"obstacle '{name}': {what} is {array.tolist()}, wanted are {shape} finite numbers"
        )


def _check_radius(name: str, radius: float) -> None:
    if not (np.isfinite(radius) and radius > 0):
        raise ShapeError(f"obstacle '{name}': radius {radius} [m]")
