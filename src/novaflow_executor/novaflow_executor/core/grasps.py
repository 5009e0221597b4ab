"""Grasp proposals: the question, and what is known of an object that was seen from one side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError, cKDTree

from novaflow_core.errors import Code, GraspError
from novaflow_core.grasp import Grasp
from novaflow_core.grounding import CollisionScene
from novaflow_core.scene import Plane
from novaflow_executor.core.robot_settings import GripperSpec

Array = NDArray[np.float64]

MIN_POINTS = 60


@dataclass(frozen=True)
class GraspRequest:
    """What a proposer sees.

    Attributes:
        points: (N, 3) [m] of the object's visible surface, planning frame, noisy.
        scene: Support and other objects.
        gripper: That shall take it.
        on_joint: It is a part of something else and is pulled by its handle.
    """

    points: Array
    scene: CollisionScene
    gripper: GripperSpec
    on_joint: bool = False


class GraspProposer(Protocol):
    """A backend of the stage `grasps`, made by its entry point from `GraspSettings`."""

    def propose(self, request: GraspRequest) -> tuple[Grasp, ...]:
        """Return grasps, best first.

        Raises:
            GraspError: NO_GRASP, with numbers.
        """
        ...


@dataclass(frozen=True)
class ObjectShape:
    """An object in the support's frame: xy in the plane, z its height above it [m].

    Attributes:
        T_planning_support: (4, 4) of that frame.
        surface: (N, 3) what was seen, thinned and without stray points.
        solid: (M, 3) `surface` and what must stand below it down to the support: nothing floats.
        top: Height of the object.
        centre: (2,) of the area of its outline.
        outline: (V, 2) convex outline from above.
    """

    T_planning_support: Array
    surface: Array
    solid: Array
    top: float
    centre: Array
    outline: Array


def support_frame(support: Plane) -> Array:
    """T_planning_support (4, 4): origin on the plane, +z up."""
    first, second = support.basis()
    out = np.eye(4)
    out[:3, :3] = np.stack([first, second, support.normal], axis=1)
    out[:3, 3] = -support.offset * support.normal
    return out


def thin(points: Array, size_m: float) -> Array:
    """One point, the mean, per cell of a grid."""
    cells = np.floor(points / size_m).astype(np.int64)
    _, index, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    out = np.zeros((len(count), 3))
    np.add.at(out, index.reshape(-1), points)
    return out / count[:, None]


def object_shape(points: Array, support: Plane, cell_m: float = 0.003) -> ObjectShape:
    """Clean a visible surface and fill in what it hides.

    Raises:
        GraspError: NO_GRASP if too few points are left.
    """
    T_planning_support = support_frame(support)
    points = points[np.isfinite(points).all(axis=1)]
    local = (points - T_planning_support[:3, 3]) @ T_planning_support[:3, :3]
    if len(local) > 4000:
        local = local[:: len(local) // 4000 + 1]
    if len(local) >= MIN_POINTS:
        # stray points at depth edges have few neighbours; the radius follows the cloud's density
        tree = cKDTree(local)
        spacing = float(np.median(tree.query(local, k=8)[0][:, -1]))
        local = local[tree.query(local, k=8)[0][:, -1] < 3 * spacing]
    local = local[local[:, 2] > 0.002]
    if len(local) < MIN_POINTS:
        raise GraspError(
            Code.NO_GRASP,
            f"{len(local)} of {len(points)} points of the object stand above the support; "
            f"{MIN_POINTS} are needed",
        )
    surface = thin(local, cell_m)
    top = float(np.percentile(local[:, 2], 99))
    try:
        hull = ConvexHull(surface[:, :2])
    except QhullError as error:
        raise GraspError(Code.NO_GRASP, f"the object's outline has no area: {error}") from error
    outline = surface[hull.vertices, :2]
    return ObjectShape(
        T_planning_support, surface, _filled(surface, 2 * cell_m), top, _centroid(outline), outline
    )


def carried_spheres(shape: ObjectShape, spacing_m: float = 0.02) -> Array:
    """Points (P, 3) [m], planning frame, that stand for the object's body in collision checks."""
    low = shape.solid.copy()
    low[:, 2] = np.clip(low[:, 2], spacing_m / 2, None)
    points = thin(low, spacing_m)
    return points @ shape.T_planning_support[:3, :3].T + shape.T_planning_support[:3, 3]


def _filled(surface: Array, step_m: float) -> Array:
    cells = np.floor(surface[:, :2] / step_m).astype(np.int64)
    _, index = np.unique(cells, axis=0, return_inverse=True)
    index = index.reshape(-1)
    order = np.lexsort((-surface[:, 2], index))
    tops = surface[order[np.r_[True, np.diff(index[order]) > 0]]]
    columns = [surface]
    for height in np.arange(step_m / 2, surface[:, 2].max(), step_m):
        below = tops[tops[:, 2] > height + step_m].copy()
        below[:, 2] = height
        columns.append(below)
    return np.concatenate(columns)


def _centroid(outline: Array) -> Array:
    x, y = outline.T
    x1, y1 = np.roll(x, -1), np.roll(y, -1)
    cross = x * y1 - x1 * y
    area = cross.sum() / 2
    return np.asarray(np.array([(x + x1) @ cross, (y + y1) @ cross]) / (6 * area))
