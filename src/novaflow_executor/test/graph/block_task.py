"""A block on a table, and a flow that lifts it and sets it down elsewhere."""

from __future__ import annotations

import numpy as np

from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import CollisionScene
from novaflow_core.scene import Plane
from novaflow_msgs.action import ExecuteFlow, ScoreFlows
from novaflow_ros import conversions as convert

FRAME = "fr3_link0"
SIZE_M = np.array([0.05, 0.05, 0.09])
CENTRE_M = np.array([0.50, 0.0, 0.045])
STEPS = 41


def surface_points():
    """Points (N, 3) [m] of the top and of the sides that a camera in front sees."""
    grid = np.linspace(-0.5, 0.5, 14)
    u, v = (axis.ravel() for axis in np.meshgrid(grid, grid))
    half = np.full(u.shape, 0.5)
    faces = [(u, v, half), (half, u, v), (u, half, v), (u, -half, v)]
    return CENTRE_M + np.concatenate([np.stack(face, -1) for face in faces]) * SIZE_M


def flow(sideways_m=0.15, lift_m=0.12, frame=FRAME):
    """Up, sideways and down again."""
    points = surface_points()[::6]
    share = np.linspace(0, 1, STEPS)
    smooth = share**2 * (3 - 2 * share)
    way = np.stack([0 * share, sideways_m * smooth, lift_m * np.sin(np.pi * share) ** 2], -1)
    moved = (points[None] + way[:, None]).astype(np.float32)
    shape = moved.shape[:2]
    return ObjectFlow(moved, np.ones(shape, bool), np.ones(shape, np.float32), 1 / 15, frame)


def candidate(scene_id="scene_1", name="c0", **way):
    return FlowCandidate(name, scene_id, Code.OK, "", flow(**way), "file:///none.mp4", "0" * 64)


def collision_scene(scene_id="scene_1", frame=FRAME):
    return CollisionScene(scene_id, frame, Plane(np.array([0.0, 0.0, 1.0]), 0.0), ())


def execute_goal(scene_id="scene_1", frame=FRAME, **keywords):
    return ExecuteFlow.Goal(
        scene_id=scene_id,
        target_cloud=convert.cloud_to_msg(surface_points(), frame),
        collision_scene=convert.collision_scene_to_msg(collision_scene(scene_id, frame)),
        candidate=convert.candidate_to_msg(candidate(scene_id, frame=frame)),
        **keywords,
    )


def score_goal(candidates, scene_id="scene_1"):
    return ScoreFlows.Goal(
        scene_id=scene_id,
        target_cloud=convert.cloud_to_msg(surface_points(), FRAME),
        collision_scene=convert.collision_scene_to_msg(collision_scene(scene_id)),
        candidates=[convert.candidate_to_msg(item) for item in candidates],
    )
