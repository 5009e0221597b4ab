"""Bring an arm that was stopped somewhere out of the camera's view; set down what it holds.

An execution that was cancelled or failed leaves the arm where it stood, perhaps with the object in
its fingers. Before the next scene is captured it sets the object down where it is, and goes home.
What a plan was to keep in the fingers goes back the way it came, to where it was taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError
from novaflow_core.grasp import Grasp
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box
from novaflow_executor.core.approach import straight
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.ending import heights_under
from novaflow_executor.core.grasps import support_frame
from novaflow_executor.core.plan import Contact, ExecutionPlan, GripperCommand, Phase, Segment
from novaflow_executor.core.planner import SPHERE_SPACING_M, TARGET_BOX, MotionPlanner
from novaflow_executor.core.timing import TimingLimits, time_path

Array = NDArray[np.float64]

CLEARING = "clearing"  # stands where plans name the candidate that they follow
RELEASE_HEIGHT_M = 0.003
LIFT_M = 0.09


@dataclass(frozen=True)
class LeftBehind:
    """An execution that did not come to its end, or that ended with the object in the fingers.

    Attributes:
        plan: What was being carried out.
        scene: In which scene.
        phase: How far it came.
    """

    plan: ExecutionPlan
    scene: CollisionScene
    phase: Phase


def plan_clearing(
    planner: MotionPlanner,
    q_now: Array,
    scene: CollisionScene,
    opening_m: float,
    left: LeftBehind | None,
) -> ExecutionPlan:
    """Plan from where the arm stands to its rest configuration.

    Args:
        planner: Of the arm.
        q_now: (N,) [rad].
        scene: The last one that was seen.
        opening_m: Of the fingers now.
        left: The execution that was given up; None when nobody remembers it: then the fingers stay
            as they are.

    Raises:
        ExecutionError: APPROACH_NOT_FOUND when there is no free way; as `MotionPlanner.put_back`.
    """
    if left is None:
        grasp = Grasp(planner.robot.tcp(q_now), opening_m, 0.0)
        return _plan(planner, q_now, scene, grasp, np.zeros((0, 3)), ())
    if left.plan.held and left.phase == Phase.CARRY:
        return planner.put_back(left.plan, left.scene, q_now)
    around = Phase.GRASP <= left.phase <= Phase.RELEASE
    if left.phase == Phase.APPROACH:
        place = np.eye(4)
    elif left.phase == Phase.RETREAT:
        place = left.plan.T_base_obj[-1]
    else:  # the fingers are around it
        place = planner.robot.tcp(q_now) @ se3.inverse(left.plan.grasp.T_planning_tcp)
    points = se3.apply(place, left.plan.object_points)
    grasp = Grasp(planner.robot.tcp(q_now), left.plan.grasp.width_m, left.plan.grasp.score)
    first: tuple[Segment, ...] = ()
    if around:
        first = _let_go(planner, q_now, scene, grasp, points, lower=left.phase < Phase.RELEASE)
        down = first[0].trajectory
        if down is not None:
            q_now = down.position[-1]
    return _plan(planner, q_now, scene, grasp, points, first)


def drop_height(points: Array, scene: CollisionScene) -> float:
    """How far an object is above what is under it [m], never negative.

    Args:
        points: (P, 3) centres of spheres that fill it, as `carried_spheres` makes them.
        scene: Support and obstacles.
    """
    radius = SPHERE_SPACING_M / 2
    height = scene.support.height(points)
    under = heights_under(points, scene, radius)
    return max(0.0, float((height - radius - under).min()))


def _let_go(
    planner: MotionPlanner,
    q_now: Array,
    scene: CollisionScene,
    grasp: Grasp,
    points: Array,
    *,
    lower: bool,
) -> tuple[Segment, ...]:
    """Open the fingers, after lowering what they hold."""
    gripper, speeds = planner.robot.settings.gripper, planner.settings
    opening = grasp.width_m
    release = Segment(
        Phase.RELEASE,
        "let go",
        None,
        GripperCommand(opening, gripper.max_force),
        opening,
        Contact.TARGET,
    )
    distance = drop_height(points, scene) - RELEASE_HEIGHT_M
    if distance <= 0 or not lower:
        return (release,)
    offset = -distance * scene.support.normal
    steps = max(4, int(np.ceil(distance / 0.01)))
    path = straight(planner.robot, q_now, grasp.T_planning_tcp, offset, steps)
    if path is None:
        raise ExecutionError(
            Code.APPROACH_NOT_FOUND,
            f"what the gripper holds cannot be set down {1e3 * distance:.0f} mm below: the arm "
            "does not reach there; take it out by hand",
        )
    limits = TimingLimits(speeds.speed, speeds.descend_m_s, speeds.place_m_s, speeds.place_m)
    down = time_path(planner.robot, path, limits)
    return (
        Segment(Phase.CARRY, "set down", down, None, opening, Contact.CARRIED),
        release,
    )


def _plan(
    planner: MotionPlanner,
    q: Array,
    scene: CollisionScene,
    grasp: Grasp,
    points: Array,
    first: tuple[Segment, ...],
) -> ExecutionPlan:
    """Back off, then home."""
    lowered = np.eye(4)
    if first and first[0].trajectory is not None:
        down = planner.robot.tcp(first[0].trajectory.position[[0, -1]])
        lowered[:3, 3] = down[1, :3, 3] - down[0, :3, 3]
    opening, robot = grasp.width_m, planner.robot
    away = _back_off(planner, q, scene, opening)
    around = _with_object(scene, se3.apply(lowered, points))
    home = planner.free(CollisionModel(robot, around, opening), away[-1], planner.home, "return")
    limits = TimingLimits(planner.settings.speed, planner.settings.descend_m_s)
    segments = (
        *first,
        Segment(
            Phase.RETREAT,
            "back off",
            time_path(robot, away, limits),
            None,
            opening,
            Contact.TARGET,
        ),
        Segment(Phase.RETREAT, "return", home, None, opening),
    )
    motion = np.stack([np.eye(4), lowered])
    return ExecutionPlan(scene.scene_id, CLEARING, grasp, segments, motion, points)


def _back_off(planner: MotionPlanner, q: Array, scene: CollisionScene, opening_m: float) -> Array:
    """Straight back along the approach axis or straight up, as far as there is room."""
    T_base_tcp = planner.robot.tcp(q)
    model = CollisionModel(planner.robot, scene, opening_m)
    clearance = planner.solver.clearance
    now = float(clearance(model, q[None]).min())
    for direction in (-T_base_tcp[:3, 2], scene.support.normal):
        for share in (1.0, 0.5, 0.2):
            path = straight(planner.robot, q, T_base_tcp, share * LIFT_M * direction)
            if path is not None and clearance(model, path).min() > min(now, 0.0) - 0.002:
                return path
    raise ExecutionError(
        Code.APPROACH_NOT_FOUND, "the arm has no free way to back off; move it by hand"
    )


def _with_object(scene: CollisionScene, points: Array) -> CollisionScene:
    if not len(points):
        return scene
    T_planning_support = support_frame(scene.support)
    local = se3.apply(se3.inverse(T_planning_support), points)
    low, high = local.min(axis=0) - SPHERE_SPACING_M / 2, local.max(axis=0) + SPHERE_SPACING_M / 2
    place = T_planning_support @ se3.from_rt(np.eye(3), 0.5 * (low + high))
    box = Box(TARGET_BOX, place, high - low)
    return replace(scene, obstacles=(*scene.obstacles, box))
