"""The mug that hangs by its handle, and its tree, as MuJoCo bodies.

Handle and peg are rows of capsules: the hole is a hole in physics as well.
"""

from __future__ import annotations

import math
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_sim.backends.props import (
    LOOKS,
    TOUCH,
    WHITE,
    add_free,
    add_mesh,
    add_texture,
    add_tube,
    add_vessel,
)
from novaflow_sim.core import mug_tree, objects, shapes, textures

GEOM = mujoco.mjtGeom


def add_mug(spec: Any) -> None:
    """Mug with a handle that fingers, or a peg, go through."""
    print_ = textures.printed_mug((168, 44, 36), WHITE, mug_tree.VESSEL.outer_wall())
    add_texture(spec, "mug_print", print_)
    wall = shapes.revolve(mug_tree.VESSEL.profile(), 64)
    # The handle takes its colour from the plain strip of glaze just under the rim band.
    handle = shapes.with_texture_window(
        shapes.sweep(mug_tree.handle(33), mug_tree.TUBE_RADIUS_M), (0, 0.94), (1, 0.98)
    )
    add_mesh(spec, "mug_mesh", shapes.join(wall, handle), smooth=False)
    body = add_free(spec, objects.MUG.name)
    body.add_geom(type=GEOM.mjGEOM_MESH, meshname="mug_mesh", material="mug_print", **LOOKS)
    add_vessel(body, mug_tree.VESSEL, foot_kg=0.05, wall_kg=0.12)
    add_tube(body, mug_tree.handle(13), mug_tree.TUBE_RADIUS_M, piece_kg=0.002)


def add_tree(spec: Any) -> None:
    """Mug tree with one peg, bolted down: a mocap body, so that a reset can place it."""
    add_texture(spec, "tree_wood", textures.wood((74, 66, 62), 61, 128))
    body = spec.worldbody.add_body(name=objects.TREE.name, mocap=True)
    base = [[0, 0], [mug_tree.BASE_RADIUS_M, 0], [mug_tree.BASE_RADIUS_M, mug_tree.BASE_HEIGHT_M]]
    _add_round(spec, body, "tree_base", [*base, [0, mug_tree.BASE_HEIGHT_M]], np.zeros(3), None)
    half = (mug_tree.STEM_HEIGHT_M - mug_tree.BASE_HEIGHT_M) / 2
    middle = np.array([0, 0, mug_tree.BASE_HEIGHT_M + half])
    stem = [[0, -half], [mug_tree.STEM_RADIUS_M, -half], [mug_tree.STEM_RADIUS_M, half], [0, half]]
    _add_round(spec, body, "tree_stem", stem, middle, None)
    _add_rod(spec, body, "tree_peg", mug_tree.peg())
    _add_rod(spec, body, "tree_rest", mug_tree.rest())
    body.add_geom(
        type=GEOM.mjGEOM_CYLINDER,
        size=[mug_tree.BASE_RADIUS_M, mug_tree.BASE_HEIGHT_M / 2, 0],
        pos=[0, 0, mug_tree.BASE_HEIGHT_M / 2],
        **TOUCH,
    )
    body.add_geom(
        type=GEOM.mjGEOM_CYLINDER, size=[mug_tree.STEM_RADIUS_M, half, 0], pos=middle, **TOUCH
    )


def _add_rod(spec: Any, body: Any, name: str, ends: NDArray[np.float64]) -> None:
    """A rod with a round tip, between two points (2, 3) [m]."""
    (root, tip), radius = ends, mug_tree.PEG_RADIUS_M
    length = float(np.linalg.norm(tip - root))
    angle = np.linspace(0, np.pi / 2, 7)
    cap = np.stack([radius * np.cos(angle), length - radius + radius * np.sin(angle)], axis=1)
    turn = math.pi / 2 - mug_tree.PEG_RISE_RAD
    quaternion = [math.cos(turn / 2), 0, math.sin(turn / 2), 0]
    _add_round(spec, body, name, [[0, 0], [radius, 0], *cap.tolist()], root, quaternion)
    end = tip - radius * (tip - root) / length
    body.add_geom(type=GEOM.mjGEOM_CAPSULE, fromto=[*root, *end], size=[radius, 0, 0], **TOUCH)


def _add_round(
    spec: Any,
    body: Any,
    name: str,
    profile: Any,
    at: Any,
    quaternion: Any,
) -> None:
    add_mesh(spec, name, shapes.revolve(profile, 40), smooth=False)
    body.add_geom(
        type=GEOM.mjGEOM_MESH,
        meshname=name,
        material="tree_wood",
        pos=at,
        quat=quaternion or [1, 0, 0, 0],
        **LOOKS,
    )


ADD = {objects.MUG.name: add_mug, objects.TREE.name: add_tree}
