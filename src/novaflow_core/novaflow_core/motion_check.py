"""Does a rigid motion do what the instruction says? For imagined motions and observed ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from novaflow_core import se3
from novaflow_core.footprint import Footprint
from novaflow_core.front import Front, find_front
from novaflow_core.hanging import Hanging
from novaflow_core.kabsch import fit_rigid
from novaflow_core.relations import (
    Points,
    ReferencePlace,
    RelationCheck,
    check_footprint,
    direction_vector,
    footprint_of,
)
from novaflow_core.scene import Plane
from novaflow_core.task import Direction, Motion, Relation, TaskSpec
from novaflow_core.watering import Watering

MIN_TRAVEL_M = 0.03
MIN_TURN_RAD = float(np.radians(15.0))
MAX_ASIDE_RAD = float(np.radians(25.0))  # between net displacement and the named direction
MAX_LEAN_RAD = float(np.radians(12.0))  # of something put into a relation: it shall stand
MAX_SLIDE_RISE_M = 0.015  # pushed and pulled things stay on the support
MIN_OPEN_M = 0.08  # a drawer that came out by less is not open
MAX_OFF_AXIS_RAD = float(np.radians(15.0))  # of what is pulled straight out
MAX_JAM_RAD = float(np.radians(8.0))  # a drawer does not turn in its slides
UPRIGHT_RAD = float(np.radians(10.0))
_NAMED_SHARE = 0.3  # of a named distance or angle
_NAMED_MIN_M = 0.015
_ARM_M = 0.1  # arc length per radian, so that angles and distances share one tolerance
_RING = 16


def check_motion(
    task: TaskSpec,
    start: Points,
    end: Points,
    reference_points: Points | None,
    support: Plane,
    T_planning_camera: Points,
) -> RelationCheck:
    """Check a motion that is given by corresponding points.

    Args:
        task: The instruction.
        start: (N, 3) points of the target before [m], as the camera saw them; NaN rows are ignored.
        end: (N, 3) the same points after [m].
        reference_points: (M, 3) points of the first reference [m]; None when the task names none.
        support: Plane that the scene stands on.
        T_planning_camera: (4, 4) of the camera that saw the start.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the points do not fix a rigid motion.
        PerceptionError: TARGET_LOST or REFERENCE_NOT_FOUND when there are too few points.
    """
    motion = fit_rigid(start, end).T
    return check_rigid_motion(task, start, motion, reference_points, support, T_planning_camera)


def check_rigid_motion(
    task: TaskSpec,
    start: Points,
    motion: Points,
    reference_points: Points | None,
    support: Plane,
    T_planning_camera: Points,
) -> RelationCheck:
    """Check a motion (4, 4), `p_after = motion @ p_before`; see `check_motion`."""
    return MotionJudge(task, start, reference_points, support, T_planning_camera).check(motion)


class MotionJudge:
    """Checks many motions of one scene: where things stand is measured once.

    Attributes:
        support: Plane that the scene stands on.
        foot: Footprint of the target before it moves.
        front: Of what shall be opened; None where nothing shall.
    """

    def __init__(
        self,
        task: TaskSpec,
        start: Points,
        reference_points: Points | None,
        support: Plane,
        T_planning_camera: Points,
        *,
        max_lean_rad: float = MAX_LEAN_RAD,
    ) -> None:
        """Measure the footprints; see `check_motion` for the arguments and errors.

        Args:
            task: See there, as the others.
            start: See there.
            reference_points: See there.
            support: See there.
            T_planning_camera: See there.
            max_lean_rad: How far something put into a relation may lean [rad].
        """
        self._task, self._start, self._max_lean_rad = task, start, max_lean_rad
        self.support, self._T_planning_camera = support, T_planning_camera
        self.foot = footprint_of(start, support, T_planning_camera)
        self._place: ReferencePlace | None = None
        self._hanging: Hanging | None = None
        self.front: Front | None = None
        self._watering: Watering | None = None
        eye = T_planning_camera[:3, 3]
        if task.motion is Motion.OPEN:
            self.front = find_front(start, support, eye)
        elif task.relation is Relation.HANG and reference_points is not None:
            self._hanging = Hanging.measure(start, self.foot, reference_points, support, eye)
        elif task.relation is Relation.WATER and reference_points is not None:
            self._watering = Watering.measure(start, reference_points, support, T_planning_camera)
        elif task.relation is not None and reference_points is not None:
            self._place = ReferencePlace.measure(reference_points, support, T_planning_camera)

    def at_rest(self, motion: Points) -> list[Points]:
        """Where a thing that a motion (4, 4) has hung up may have come to rest; else nothing."""
        return [] if self._hanging is None else self._hanging.at_rest(motion)

    def check(self, motion: Points) -> RelationCheck:
        """Check a motion (4, 4), `p_after = motion @ p_before`."""
        task, foot, support = self._task, self.foot, self.support
        checks: list[RelationCheck] = []
        if self._hanging is not None:
            checks.append(self._hanging.check(motion))
        elif self._watering is not None:
            checks.append(self._watering.check(motion))
        elif task.relation is not None and self._place is not None:
            ended = moved_footprint(foot, motion, support)
            checks.append(
                check_footprint(task.relation, ended, self._place, support, self._T_planning_camera)
            )
            checks.append(_stands(motion, support, self._max_lean_rad))
        elif self.front is not None:
            checks.append(check_opening(task, self.front, self._start, motion))
        elif task.motion in (Motion.TILT, Motion.TURN, Motion.STRAIGHTEN):
            checks.append(
                _check_rotation(task, self._start, motion, support, self._T_planning_camera)
            )
        else:
            checks.append(_check_travel(task, foot, motion, support, self._T_planning_camera))
        if task.motion in (Motion.PUSH, Motion.PULL):
            rise = moved_footprint(foot, motion, support).bottom_m - foot.bottom_m
            checks.append(
                RelationCheck(
                    abs(rise) - MAX_SLIDE_RISE_M,
                    f"its bottom rises by {1e3 * rise:.0f} mm "
                    f"({1e3 * MAX_SLIDE_RISE_M:.0f} allowed)",
                )
            )
        return RelationCheck(
            max(check.error_m for check in checks), "; ".join(check.reason for check in checks)
        )


def check_opening(task: TaskSpec, front: Front, start: Points, motion: Points) -> RelationCheck:
    """Check whether a motion (4, 4) pulls a front, of points `start` (N, 3), straight out."""
    known = start[np.isfinite(start).all(axis=1)]
    middle = np.median(known, axis=0)
    shift = se3.apply(motion, middle) - middle
    along = float(shift @ front.normal)
    aside = float(np.linalg.norm(shift - along * front.normal))
    turn = float(se3.rotation_angle(motion[:3, :3]))
    wanted = MIN_OPEN_M if task.distance_m is None else (1.0 - _NAMED_SHARE) * task.distance_m
    allowed = float(np.tan(MAX_OFF_AXIS_RAD)) * max(along, 0.0)
    return RelationCheck(
        max(wanted - along, aside - allowed, (turn - MAX_JAM_RAD) * _ARM_M),
        f"its front comes {1e3 * along:.0f} mm straight out ({1e3 * wanted:.0f} needed), "
        f"{1e3 * aside:.0f} mm off that line ({1e3 * allowed:.0f} allowed) and turns by "
        f"{np.degrees(turn):.0f} deg ({np.degrees(MAX_JAM_RAD):.0f} allowed)",
    )


def tilt_rad(motion: Points, support: Plane) -> float:
    """Angle [rad] by which a motion (4, 4) leans what was upright."""
    up = support.normal
    return float(np.arccos(np.clip(up @ motion[:3, :3] @ up, -1.0, 1.0)))


def moved_footprint(foot: Footprint, motion: Points, support: Plane) -> Footprint:
    """Footprint of an upright object after a motion (4, 4), from the prism over its outline."""
    angles = np.arange(_RING) * (2 * np.pi / _RING)
    if foot.is_round:
        ring = foot.half[0] * np.stack([np.cos(angles), np.sin(angles)], -1)
    else:
        ring = foot.half * np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    c, s = np.cos(foot.yaw_rad), np.sin(foot.yaw_rad)
    flat = foot.centre + ring @ np.array([[c, s], [-s, c]])
    prism = np.concatenate([_place(flat, h, support) for h in (foot.bottom_m, foot.top_m)])
    moved = se3.apply(motion, prism)
    ends = moved @ support.basis().T
    height = support.height(moved)
    turn = motion[:3, :3] @ support.basis()[0] @ support.basis().T
    return replace(
        foot,
        centre=(ends.min(axis=0) + ends.max(axis=0)) / 2
        if tilt_rad(motion, support) > 0.5
        else np.asarray(ends.mean(axis=0)),
        yaw_rad=0.0 if foot.is_round else foot.yaw_rad + float(np.arctan2(turn[1], turn[0])),
        bottom_m=float(height.min()),
        top_m=float(height.max()),
    )


def _place(flat: Points, height: float, support: Plane) -> Points:
    return np.asarray(flat @ support.basis() + (height - support.offset) * support.normal)


def _stands(motion: Points, support: Plane, max_lean_rad: float) -> RelationCheck:
    lean = tilt_rad(motion, support)
    return RelationCheck(
        (lean - max_lean_rad) * _ARM_M,
        f"it leans by {np.degrees(lean):.0f} deg ({np.degrees(max_lean_rad):.0f} allowed)",
    )


def _check_travel(
    task: TaskSpec, foot: Footprint, motion: Points, support: Plane, T_planning_camera: Points
) -> RelationCheck:
    pivot = _place(foot.centre, (foot.bottom_m + foot.top_m) / 2, support)
    shift = se3.apply(motion, pivot) - pivot
    travel = float(np.linalg.norm(shift))
    direction = task.direction or {
        Motion.LIFT: Direction.UP,
        Motion.PULL: Direction.TOWARD_CAMERA,
        Motion.PUSH: Direction.AWAY_FROM_CAMERA,
    }.get(task.motion)
    if direction is None:
        return RelationCheck(
            MIN_TRAVEL_M - travel,
            f"it moves by {1e3 * travel:.0f} mm ({1e3 * MIN_TRAVEL_M:.0f} needed)",
        )
    way = direction_vector(direction, T_planning_camera, support)
    along = float(shift @ way)
    aside = float(np.linalg.norm(shift - along * way))
    errors = [MIN_TRAVEL_M - along, aside - np.tan(MAX_ASIDE_RAD) * max(along, 0.0)]
    text = (
        f"it moves {1e3 * along:.0f} mm {direction.value.replace('_', ' ')} "
        f"({1e3 * MIN_TRAVEL_M:.0f} needed) and {1e3 * aside:.0f} mm aside"
    )
    if task.distance_m is not None:
        errors.append(
            abs(along - task.distance_m) - max(_NAMED_SHARE * task.distance_m, _NAMED_MIN_M)
        )
        # A named distance may be shorter than the least that counts as a motion.
        errors[0] = min(errors[0], 0.5 * task.distance_m - along)
        text += f", {1e3 * task.distance_m:.0f} mm were named"
    return RelationCheck(float(max(errors)), text)


def _check_rotation(
    task: TaskSpec, start: Points, motion: Points, support: Plane, T_planning_camera: Points
) -> RelationCheck:
    up = support.normal
    if task.motion is Motion.STRAIGHTEN:
        return _check_straighten(start, motion, support)
    if task.motion is Motion.TURN:
        angle = float(se3.log_so3(motion[:3, :3]) @ up)
        signed = {Direction.LEFT: angle, Direction.RIGHT: -angle}
        angle = abs(angle) if task.direction is None else signed.get(task.direction, abs(angle))
        errors = [tilt_rad(motion, support) - MAX_LEAN_RAD]
        text = f"it turns by {np.degrees(angle):.0f} deg"
    else:
        angle = tilt_rad(motion, support)
        errors = []
        text = f"it tilts by {np.degrees(angle):.0f} deg"
        if task.direction not in (None, Direction.UP, Direction.DOWN):
            assert task.direction is not None
            way = direction_vector(task.direction, T_planning_camera, support)
            lean = motion[:3, :3] @ up
            lean -= (lean @ up) * up
            along = float(lean @ way)
            aside = float(np.linalg.norm(lean - along * way))
            errors.append(aside - along)
            text += f", {np.degrees(np.arctan2(aside, along)):.0f} deg off the named direction"
    if task.angle_rad is not None:
        errors.append(abs(angle - task.angle_rad) - _NAMED_SHARE * task.angle_rad)
        text += f" ({np.degrees(task.angle_rad):.0f} were named)"
    else:
        errors.append(MIN_TURN_RAD - angle)
        text += f" ({np.degrees(MIN_TURN_RAD):.0f} needed)"
    return RelationCheck(float(max(errors)) * _ARM_M, text)


def _check_straighten(start: Points, motion: Points, support: Plane) -> RelationCheck:
    known = start[np.isfinite(start).all(axis=1)]
    long = np.linalg.svd(known - known.mean(axis=0), full_matrices=False)[2][0]
    before, after = (
        float(np.arccos(min(abs(axis @ support.normal), 1.0)))
        for axis in (long, motion[:3, :3] @ long)
    )
    return RelationCheck(
        max(after - UPRIGHT_RAD, after - 0.5 * before) * _ARM_M,
        f"its long axis was {np.degrees(before):.0f} deg from upright and is "
        f"{np.degrees(after):.0f} deg ({np.degrees(UPRIGHT_RAD):.0f} allowed)",
    )
