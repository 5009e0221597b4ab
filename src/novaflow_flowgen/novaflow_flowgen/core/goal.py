"""From words to a goal: where the target has to end, computed from what was perceived."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError, VideoError
from novaflow_core.footprint import Footprint, fit_footprint
from novaflow_core.front import find_front
from novaflow_core.grounding import GroundedObject, Grounding
from novaflow_core.hanging import Hanging
from novaflow_core.relations import direction_vector, view_axes
from novaflow_core.scene import Plane, Scene
from novaflow_core.task import Direction, Motion, Relation
from novaflow_core.watering import Watering
from novaflow_flowgen.core.warp import smooth_depth

Float = NDArray[np.float64]

DEFAULT_MOVE_M = 0.11
DEFAULT_LIFT_M = 0.12
DEFAULT_OPEN_M = 0.115
DEFAULT_TURN_RAD = np.radians(45.0)
DEFAULT_TILT_RAD = np.radians(35.0)
_STANDS_M = 0.015  # an object whose lowest visible point is below this stands on the support
_BESIDE_GAP_M = 0.03
_OVER_GAP_M = 0.06
_GRIP_ALLOWANCE_M = 0.025  # what stays above an opening's rim for the fingers
_RELEASE_GAP_M = 0.001


@dataclass(frozen=True)
class Goal:
    """The end of a motion and the way there, in the planning frame.

    Attributes:
        pivot: (3,) point of the target that rotations turn about [m].
        shift: (3,) translation of the pivot [m].
        rotation: (3,) rotation vector about the pivot [rad].
        clearance_m: Height that the target is lifted by on the way; 0 when it stays on its support.
        straight_down: Whether it must be above the goal before it is lowered.
        shrinkable: Whether the distance is a default that may be shortened to stay in the picture.
        legs: Last straight pieces (3,) of `shift`, in order [m]: how it goes onto what it hangs on.
        varies: Whether the distance is a default that candidates vary, and nothing else of it.
        turns_last: It is carried as it stands, and turned where it goes; then it rests.
        sinks_m: How far its bottom ends below the rim of what it goes into; None where it goes into
            nothing.
    """

    pivot: Float
    shift: Float
    rotation: Float
    clearance_m: float = 0.0
    straight_down: bool = False
    shrinkable: bool = False
    legs: tuple[Float, ...] = ()
    varies: bool = False
    turns_last: bool = False
    sinks_m: float | None = None


@dataclass(frozen=True)
class Stage:
    """Everything that stands in the main view, measured once per scene.

    Attributes:
        scene: What the camera saw.
        grounding: Which pixels are which object.
    """

    scene: Scene
    grounding: Grounding

    def points(self, item: GroundedObject) -> Float:
        """Points (N, 3) [m] of an object in the main view, smoothed; planning frame."""
        view = self.scene.main
        mask = self.grounding.mask(item)
        depth = smooth_depth(view.depth, mask)
        seen = mask & np.isfinite(view.depth)
        v, u = np.nonzero(seen)
        points = view.model.lift_pixels(np.stack([u, v], -1), depth[v, u])
        return se3.apply(view.T_planning_camera, points)

    def footprint(self, item: GroundedObject) -> Footprint:
        """Where an object stands."""
        points = self.points(item)
        if len(points) < 30:
            raise VideoError(
                Code.VIDEO_GOAL_UNREACHABLE,
                f"'{item.description}' has depth at {len(points)} pixels; 30 are needed to "
                f"place it",
            )
        basis = self.support.basis()
        eye = self.scene.main.T_planning_camera[:3, 3]
        toward = basis @ (eye - points.mean(axis=0))
        return fit_footprint(points, self.support, toward / max(np.linalg.norm(toward), 1e-9))

    @property
    def support(self) -> Plane:
        """Plane that the objects stand on."""
        return self.grounding.support

    def lift_to_plane(self, flat: Float, height: float) -> Float:
        """Point (3,) of basis coordinates (2,) and a height above the support [m]."""
        n = self.support.normal
        return np.asarray(flat @ self.support.basis() + (height - self.support.offset) * n)


def plan_goal(stage: Stage, moving: GroundedObject) -> Goal:
    """Goal of an object under the grounding's task.

    Raises:
        VideoError: VIDEO_UNKNOWN_MOTION when the task names neither a known motion nor a place.
    """
    task = stage.grounding.task
    foot = stage.footprint(moving)
    pivot = stage.lift_to_plane(foot.centre, (foot.bottom_m + foot.top_m) / 2)
    up = stage.support.normal
    still = np.zeros(3)
    if task.relation is not None and stage.grounding.references:
        return _to_relation(stage, moving, foot, pivot, task.relation)
    direction = task.direction
    if task.motion is Motion.OPEN:
        return _opening(stage, pivot)
    if task.motion is Motion.LIFT or (task.motion is Motion.MOVE and direction is Direction.UP):
        height = task.distance_m or DEFAULT_LIFT_M
        return Goal(pivot, height * up, still, shrinkable=task.distance_m is None)
    if task.motion in (Motion.MOVE, Motion.PUSH, Motion.PULL):
        if direction is None and task.motion is Motion.PULL:
            direction = Direction.TOWARD_CAMERA
        if direction is None and task.motion is Motion.PUSH:
            direction = Direction.AWAY_FROM_CAMERA
        if direction is None:
            raise VideoError(
                Code.VIDEO_UNKNOWN_MOTION,
                f"'{task.instruction}' says neither a direction nor a place to move to",
            )
        way = direction_vector(direction, stage.scene.main.T_planning_camera, stage.support)
        slides = task.motion is not Motion.MOVE
        return Goal(
            pivot,
            (task.distance_m or DEFAULT_MOVE_M) * way,
            still,
            clearance_m=0.0 if slides else 0.03,
            shrinkable=task.distance_m is None,
        )
    if task.motion is Motion.TURN:
        sign = 1.0 if direction is not Direction.RIGHT else -1.0
        return Goal(pivot, still, sign * (task.angle_rad or DEFAULT_TURN_RAD) * up)
    if task.motion is Motion.TILT:
        right, away = view_axes(stage.scene.main.T_planning_camera, stage.support)
        axis = {
            Direction.LEFT: -away,
            Direction.TOWARD_CAMERA: -right,
            Direction.AWAY_FROM_CAMERA: right,
        }.get(direction or Direction.RIGHT, away)
        angle = task.angle_rad or DEFAULT_TILT_RAD
        # Turned about its middle it would cut into the support, so it rises by what its edge sinks.
        rise = float(foot.half.max()) * np.sin(angle)
        return Goal(pivot, rise * up, angle * axis)
    if task.motion is Motion.STRAIGHTEN:
        return _straighten(stage, moving, pivot)
    raise VideoError(
        Code.VIDEO_UNKNOWN_MOTION, f"no way is known to imagine the motion '{task.motion}'"
    )


def _opening(stage: Stage, pivot: Float) -> Goal:
    """Straight out of the front of what is opened, whichever object a video shows to move so."""
    task, view = stage.grounding.task, stage.scene.main
    points = stage.points(stage.grounding.target)
    front = find_front(
        points, stage.support, view.T_planning_camera[:3, 3], Code.VIDEO_GOAL_UNREACHABLE
    )
    # A drawer's travel is not seen from outside, so nothing is made of where the picture ends.
    way = (task.distance_m or DEFAULT_OPEN_M) * front.normal
    return Goal(pivot, way, np.zeros(3), varies=task.distance_m is None)


def _straighten(stage: Stage, moving: GroundedObject, pivot: Float) -> Goal:
    points = stage.points(moving)
    _, spread, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    up = stage.support.normal
    long = axes[0] * np.sign(axes[0] @ up or 1.0)
    angle = float(np.arccos(np.clip(long @ up, -1.0, 1.0)))
    if spread[0] < 1.4 * spread[1] or angle < np.radians(5.0):
        raise VideoError(
            Code.VIDEO_GOAL_UNREACHABLE,
            f"'{moving.description}' has no long axis that leans: it is "
            f"{np.degrees(angle):.0f} deg from upright",
        )
    axis = np.cross(long, up)
    height = stage.support.height(points)
    half_length = float(np.ptp(points @ long)) / 2
    rise = max(0.0, half_length - float(np.median(height)))
    return Goal(pivot, rise * up, angle * axis / np.linalg.norm(axis))


def _to_relation(
    stage: Stage, moving: GroundedObject, foot: Footprint, pivot: Float, relation: Relation
) -> Goal:
    reference = stage.grounding.references[0]
    if reference.label == moving.label:
        raise VideoError(
            Code.VIDEO_GOAL_UNREACHABLE, "the target and its reference are the same object"
        )
    if relation is Relation.HANG:
        return _to_hanging(stage, moving, foot, pivot)
    if relation is Relation.WATER:
        return _to_watering(stage, moving, foot, pivot)
    other = stage.footprint(reference)
    points = stage.points(reference)
    bottom = 0.0 if foot.bottom_m < _STANDS_M else foot.bottom_m
    centre, end_bottom, turn = other.centre, 0.0, 0.0
    sinks = None
    over_top = other.top_m
    if relation is Relation.ON:
        end_bottom = _surface_height(stage, points, other, foot)
    elif relation is Relation.IN:
        floor = _floor_height(stage, points, other)
        target_height = foot.top_m - bottom
        end_bottom = max(floor, other.top_m + _GRIP_ALLOWANCE_M - target_height, 0.0)
        sinks = float(other.top_m - end_bottom - _RELEASE_GAP_M)
        if not foot.is_round and not other.is_round:
            turn = _align(foot.yaw_rad, other.yaw_rad)
    elif relation is Relation.OVER:
        end_bottom = other.top_m + _OVER_GAP_M
    else:
        way = _beside(stage, relation, foot, other)
        centre = other.centre + way * (other.reach(way) + foot.reach(way) + _BESIDE_GAP_M)
        if foot.bottom_m >= _STANDS_M:
            end_bottom = 0.0
    end = stage.lift_to_plane(centre, 0.0)
    start = stage.lift_to_plane(foot.centre, 0.0)
    up = stage.support.normal
    shift = end - start + (end_bottom - bottom + _RELEASE_GAP_M) * up
    clear = over_top if relation in (Relation.ON, Relation.IN, Relation.OVER) else 0.0
    clear = max(clear, _obstacle_height(stage, moving, foot, centre))
    lift = max(clear + 0.03 - bottom, end_bottom - bottom + 0.02, 0.03)
    return Goal(
        pivot,
        shift,
        turn * up,
        clearance_m=float(lift),
        straight_down=relation in (Relation.ON, Relation.IN),
        sinks_m=sinks,
    )


def _to_hanging(stage: Stage, moving: GroundedObject, foot: Footprint, pivot: Float) -> Goal:
    """Onto the peg: to before its tip, along it, down; something else only goes to the peg."""
    grounding, up = stage.grounding, stage.support.normal
    target = grounding.target
    own = foot if moving.label == target.label else stage.footprint(target)
    try:
        hanging = Hanging.measure(
            grounding.points(stage.scene, target),
            own,
            grounding.points(stage.scene, grounding.references[0]),
            stage.support,
            stage.scene.main.T_planning_camera[:3, 3],
        )
    except PerceptionError as error:
        raise VideoError(Code.VIDEO_GOAL_UNREACHABLE, error.reason) from error
    end = hanging.goal()
    shift, legs, rotation = end.shift, end.legs, end.turn_rad * up
    if moving.label == target.label:
        pivot = hanging.handle.hole
    else:
        peg = hanging.peg
        shift, legs, rotation = 0.5 * (peg.root + peg.tip) - pivot, (), np.zeros(3)
    before = shift - sum(legs, np.zeros(3))
    start = stage.lift_to_plane(foot.centre, 0.0)
    turned = se3.exp_so3(rotation) @ (start - pivot) + pivot + before
    clear = _obstacle_height(stage, moving, foot, turned @ stage.support.basis().T)
    bottom = 0.0 if foot.bottom_m < _STANDS_M else foot.bottom_m
    lift = max(clear + 0.03 - bottom, float(before @ up) + 0.02, 0.03)
    return Goal(pivot, shift, rotation, clearance_m=lift, straight_down=True, legs=legs)


def _to_watering(stage: Stage, moving: GroundedObject, foot: Footprint, pivot: Float) -> Goal:
    """The spout's tip over the plant, then spout down; something else only goes over the plant."""
    grounding, up = stage.grounding, stage.support.normal
    try:
        watering = Watering.measure(
            grounding.points(stage.scene, grounding.target),
            grounding.points(stage.scene, grounding.references[0]),
            stage.support,
            stage.scene.main.T_planning_camera,
        )
    except PerceptionError as error:
        raise VideoError(Code.VIDEO_GOAL_UNREACHABLE, error.reason) from error
    end = watering.goal()
    shift, rotation = end.shift, end.rotation
    if moving.label == grounding.target.label:
        pivot = watering.spout.tip
    else:
        shift, rotation = watering.spout.tip + end.shift - pivot, np.zeros(3)
    there = (stage.lift_to_plane(foot.centre, 0.0) + shift) @ stage.support.basis().T
    lift = max(_obstacle_height(stage, moving, foot, there) + 0.03, float(shift @ up) + 0.01)
    return Goal(pivot, shift, rotation, clearance_m=lift, straight_down=True, turns_last=True)


def _beside(stage: Stage, relation: Relation, foot: Footprint, other: Footprint) -> Float:
    """Unit direction (2,) in the basis from the reference to where the target goes."""
    basis = stage.support.basis()
    right, away = (basis @ v for v in view_axes(stage.scene.main.T_planning_camera, stage.support))
    if relation is Relation.NEXT_TO:
        way = foot.centre - other.centre
        return np.asarray(way / max(float(np.linalg.norm(way)), 1e-9))
    return np.asarray(
        {
            Relation.LEFT_OF: -right,
            Relation.RIGHT_OF: right,
            Relation.IN_FRONT_OF: -away,
            Relation.BEHIND: away,
        }[relation]
    )


def _surface_height(stage: Stage, points: Float, other: Footprint, foot: Footprint) -> float:
    """Height at which the reference carries the target: its surface seen under the base."""
    flat = points @ stage.support.basis().T
    distance = np.linalg.norm(flat - other.centre, axis=1)
    # The rim seen from above is wider than the base for most vessels, so only the inner part is
    # looked at.
    base = 0.6 * float(foot.half.min())
    under = distance < max(base, 0.008)
    if under.sum() < 15:
        return float(other.top_m)
    return float(np.median(stage.support.height(points[under])))


def _floor_height(stage: Stage, points: Float, other: Footprint) -> float:
    """Height of what is seen inside an opening; 0 when nothing is seen there."""
    flat = points @ stage.support.basis().T
    inside = np.linalg.norm(flat - other.centre, axis=1) < 0.5 * float(other.half.min())
    height = stage.support.height(points[inside])
    low = height[height < other.top_m - 0.008]
    if low.size < 15:
        return 0.0
    floor = float(np.percentile(low, 20))
    return floor if floor > 0.008 else 0.0


def _align(yaw: float, other_yaw: float) -> float:
    """Smallest turn [rad] that makes the sides parallel, modulo a quarter turn."""
    quarter = np.pi / 2
    return float((other_yaw - yaw + quarter / 2) % quarter - quarter / 2)


def _obstacle_height(stage: Stage, moving: GroundedObject, foot: Footprint, centre: Float) -> float:
    """Height of the tallest thing in the corridor from the target to the goal."""
    way = centre - foot.centre
    length = float(np.linalg.norm(way))
    if length < 1e-6:
        return 0.0
    way = way / length
    across = np.array([-way[1], way[0]])
    tallest = 0.0
    for item in stage.grounding.objects:
        if item.label == moving.label:
            continue
        points = stage.points(item)
        flat = points @ stage.support.basis().T - foot.centre
        along, aside = flat @ way, abs(flat @ across)
        near = (
            (aside < foot.reach(across) + 0.01) & (along > 0) & (along < length + foot.reach(way))
        )
        if near.sum() > 20:
            tallest = max(tallest, float(np.percentile(stage.support.height(points[near]), 98)))
    return min(tallest, 0.25)
