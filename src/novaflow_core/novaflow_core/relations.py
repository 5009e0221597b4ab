"""Does the target stand to the reference as the instruction says? Pure geometry on observed points.

The same predicates judge an imagined end state (critic) and an observed one (outcome). Frames: all
points in the planning frame; `view_axes` gives right and away as seen from the camera, both in the
support plane. A camera sees the front of things only, so footprints are fitted, not averaged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError, PlatformError
from novaflow_core.footprint import Footprint, fit_footprint
from novaflow_core.scene import Plane
from novaflow_core.task import Direction, Relation

Points = NDArray[np.float64]

_MIN_POINTS = 30
_MIN_SURFACE_POINTS = 15
_STANDS_M = 0.015  # an object whose lowest visible point is below this stands on the support
_REST_M = 0.008  # how far a bottom may be from the surface that carries it
_RIM_M = 0.006  # less of a rise is noise, not a rim
_IN_OFFSET_M = 0.008
_OVER_M = 0.01
_TOUCH_M = 0.005  # footprints of things that touch may overlap by the fit's error
_BESIDE_GAP_M = 0.12
_ON_TABLE_M = 0.015


@dataclass(frozen=True)
class RelationCheck:
    """How well a relation holds.

    Attributes:
        error_m: Distance from holding; 0 or less when it holds exactly [m].
        reason: A sentence with numbers.
    """

    error_m: float
    reason: str


def view_axes(T_planning_camera: NDArray[np.float64], support: Plane) -> Points:
    """Directions (2, 3) in the support plane: right and away, as seen from the camera.

    For a camera that looks straight down, away is the image's up direction.
    """
    right = _in_plane(T_planning_camera[:3, 0], support.normal)
    forward = T_planning_camera[:3, 2] - 0.5 * T_planning_camera[:3, 1]
    away = _in_plane(forward, support.normal)
    away -= (away @ right) * right
    return np.stack([right, away / np.linalg.norm(away)])


def direction_vector(
    direction: Direction, T_planning_camera: NDArray[np.float64], support: Plane
) -> Points:
    """Unit vector (3,) of a direction as seen from the camera, planning frame."""
    right, away = view_axes(T_planning_camera, support)
    named: dict[Direction, Points] = {
        Direction.UP: support.normal,
        Direction.DOWN: -support.normal,
        Direction.RIGHT: right,
        Direction.LEFT: -right,
        Direction.AWAY_FROM_CAMERA: away,
        Direction.TOWARD_CAMERA: -away,
    }
    return named[direction]


def check_relation(
    relation: Relation,
    target_points: Points,
    reference_points: Points,
    support: Plane,
    T_planning_camera: Points,
) -> RelationCheck:
    """Check a relation between two things that stand upright.

    Args:
        relation: What shall hold.
        target_points: (N, 3) observed points of the target [m].
        reference_points: (M, 3) observed points of the reference [m].
        support: Plane that the scene stands on.
        T_planning_camera: (4, 4) of the camera that saw the points.

    Raises:
        PerceptionError: TARGET_LOST or REFERENCE_NOT_FOUND when there are too few points.
    """
    target = footprint_of(target_points, support, T_planning_camera, Code.TARGET_LOST)
    place = ReferencePlace.measure(reference_points, support, T_planning_camera)
    return check_footprint(relation, target, place, support, T_planning_camera)


def footprint_of(
    points: Points, support: Plane, T_planning_camera: Points, code: Code = Code.TARGET_LOST
) -> Footprint:
    """Fit the footprint of an object from what a camera saw of it.

    Raises:
        PerceptionError: `code` when there are too few points.
    """
    known = points[np.isfinite(points).all(axis=1)]
    if len(known) < _MIN_POINTS:
        raise PerceptionError(
            code, f"{len(known)} points are known of an object; its place needs {_MIN_POINTS}"
        )
    toward = support.basis() @ (T_planning_camera[:3, 3] - known.mean(axis=0))
    foot = fit_footprint(known, support, toward / max(float(np.linalg.norm(toward)), 1e-9))
    # The lowest visible point of something that stands is above the support by its hidden edge.
    return replace(foot, bottom_m=0.0) if foot.bottom_m < _STANDS_M else foot


@dataclass(frozen=True)
class ReferencePlace:
    """Where a reference stands, and what is seen of it from above.

    Attributes:
        foot: Its footprint.
        flat: (M, 2) its points in the plane's basis [m].
        height: (M,) their heights [m].
    """

    foot: Footprint
    flat: Points
    height: Points

    @classmethod
    def measure(cls, points: Points, support: Plane, T_planning_camera: Points) -> ReferencePlace:
        """Measure a reference from its points (M, 3).

        Raises:
            PerceptionError: REFERENCE_NOT_FOUND when there are too few points.
        """
        foot = footprint_of(points, support, T_planning_camera, Code.REFERENCE_NOT_FOUND)
        known = points[np.isfinite(points).all(axis=1)]
        return cls(foot, known @ support.basis().T, support.height(known))

    def under(self, centre: Points, radius: float) -> Points:
        """Heights (n,) within a radius of a place; empty when little is seen there."""
        near: Points = self.height[np.linalg.norm(self.flat - centre, axis=1) < radius]
        return near if near.size >= _MIN_SURFACE_POINTS else near[:0]

    def well_radius(self) -> float:
        """Radius [m] within which the surface does not rise: a plate ends where its rim begins."""
        whole = float(self.foot.half.min())
        inner = self.under(self.foot.centre, 0.4 * whole)
        if inner.size == 0:
            return whole
        floor = float(np.median(inner))
        rise = self.foot.top_m - floor
        if rise < _RIM_M:
            return whole
        distance = np.linalg.norm(self.flat - self.foot.centre, axis=1)
        level = distance[self.height < floor + 0.2 * rise]
        return float(np.percentile(level, 90))


def check_footprint(
    relation: Relation,
    target: Footprint,
    place: ReferencePlace,
    support: Plane,
    T_planning_camera: Points,
) -> RelationCheck:
    """Check a relation of a target whose footprint is known; see `check_relation`."""
    if relation is Relation.ON:
        return _check_on(target, place)
    if relation is Relation.IN:
        return _check_in(target, place)
    if relation is Relation.OVER:
        return _check_over(target, place.foot)
    if relation in (Relation.HANG, Relation.WATER):
        raise PlatformError(
            Code.INVALID_SETTING,
            f"footprints do not tell '{relation}'; see `hanging.Hanging` and `watering.Watering`",
        )
    axes = view_axes(T_planning_camera, support)
    return _check_beside(relation, target, place.foot, axes, support)


def _check_on(target: Footprint, place: ReferencePlace) -> RelationCheck:
    other = place.foot
    offset = float(np.linalg.norm(target.centre - other.centre))
    well = place.well_radius()
    foot = float(target.half.min())
    allowed = max(well - foot, 0.15 * well, 0.4 * (well if foot > well else 0.0))
    under = place.under(target.centre, max(0.6 * foot, 0.008))
    low, high = (
        (float(np.percentile(under, 10)), float(np.percentile(under, 90)))
        if under.size
        else (other.top_m, other.top_m)
    )
    gap = max(low - target.bottom_m, target.bottom_m - high)
    return RelationCheck(
        max(offset - allowed, gap - _REST_M),
        f"its centre is {_mm(offset)} from the reference's ({_mm(allowed)} allowed) and its bottom "
        f"at {_mm(target.bottom_m)} over a surface at {_mm(low)} to {_mm(high)}",
    )


def _check_in(target: Footprint, place: ReferencePlace) -> RelationCheck:
    other = place.foot
    offset = float(np.linalg.norm(target.centre - other.centre))
    allowed = max(0.8 * float(other.half.min()) - float(target.half.min()), _IN_OFFSET_M)
    inside = place.under(other.centre, 0.4 * float(other.half.min()))
    floor = float(np.percentile(inside, 20)) if inside.size else 0.0
    floor = floor if floor < other.top_m - _RIM_M else 0.0
    depth = other.top_m - target.bottom_m
    needed = max(0.3 * (other.top_m - floor), _RIM_M)
    return RelationCheck(
        max(offset - allowed, needed - depth, floor - target.bottom_m - _REST_M),
        f"its centre is {_mm(offset)} from the opening's ({_mm(allowed)} allowed) and its bottom "
        f"{_mm(depth)} below the rim ({_mm(needed)} needed)",
    )


def _check_over(target: Footprint, other: Footprint) -> RelationCheck:
    offset = float(np.linalg.norm(target.centre - other.centre))
    allowed = max(0.7 * float(other.half.min()), 0.02)
    clearance = target.bottom_m - other.top_m
    return RelationCheck(
        max(offset - allowed, _OVER_M - clearance),
        f"its centre is {_mm(offset)} from above the reference's ({_mm(allowed)} allowed) and its "
        f"bottom {_mm(clearance)} above it ({_mm(_OVER_M)} needed)",
    )


def _check_beside(
    relation: Relation, target: Footprint, other: Footprint, axes: Points, support: Plane
) -> RelationCheck:
    between = target.centre - other.centre
    distance = float(np.linalg.norm(between))
    way = between / max(distance, 1e-9)
    gap = distance - other.reach(way) - target.reach(way)
    errors = [-gap - _TOUCH_M, gap - _BESIDE_GAP_M, target.bottom_m - _ON_TABLE_M]
    text = f"a gap of {_mm(gap)} to the reference (up to {_mm(_BESIDE_GAP_M)} allowed)"
    right, away = axes @ support.basis().T
    named = {
        Relation.LEFT_OF: -right,
        Relation.RIGHT_OF: right,
        Relation.IN_FRONT_OF: -away,
        Relation.BEHIND: away,
    }.get(relation)
    if named is not None:
        along = float(between @ named)
        aside = float(np.sqrt(max(distance**2 - along**2, 0.0)))
        errors.append(aside - along)
        side = relation.value.replace("_", " ")
        text += f", {_mm(along)} {side} it and {_mm(aside)} off that line"
    return RelationCheck(max(errors), f"{text}, its bottom at {_mm(target.bottom_m)}")


def _mm(length_m: float) -> str:
    return f"{1e3 * length_m:.0f} mm"


def _in_plane(vector: Points, normal: Points) -> Points:
    flat = vector - (vector @ normal) * normal
    unit: Points = flat / np.linalg.norm(flat)
    return unit
