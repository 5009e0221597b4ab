"""The chest with its drawer as MuJoCo bodies: boards that are seen, and the same boards to touch.

The drawer hangs on a slide of the chest; parent and child do not collide, so the joint's range is
the stop at both ends.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from novaflow_sim.backends import props
from novaflow_sim.backends.props import LOOKS, TOUCH
from novaflow_sim.core import chest, objects, shapes, textures

_GEOM = mujoco.mjtGeom
_BODY_LOOK, _FRONT_LOOK, _BAR_LOOK = "chest_wood", "drawer_wood", "handle_paint"


def add_chest(spec: Any) -> None:
    """Add chest and drawer."""
    props.add_texture(spec, _BODY_LOOK, textures.wood((196, 176, 140), 51, 256), 0.1)
    props.add_texture(spec, _FRONT_LOOK, textures.drawer_front((150, 96, 60), (214, 190, 150)), 0.1)
    props.add_texture(spec, _BAR_LOOK, textures.wood((66, 68, 74), 53, 64), 0.2)
    body = spec.worldbody.add_body(name=objects.CHEST.name)
    body.add_freejoint(name=f"{objects.CHEST.name}_free")
    depth, width, height, board = chest.DEPTH_M, chest.WIDTH_M, chest.HEIGHT_M, chest.BOARD_M
    wall = height - 2 * board
    boards = {
        "foot": ((depth, width, board), (0, 0, board / 2)),
        "top": ((depth, width, board), (0, 0, height - board / 2)),
        "back": ((board, width, wall), (-(depth - board) / 2, 0, height / 2)),
        "left": ((depth - board, board, wall), (board / 2, (width - board) / 2, height / 2)),
        "right": ((depth - board, board, wall), (board / 2, -(width - board) / 2, height / 2)),
    }
    for name, (size, at) in boards.items():
        _board(spec, body, f"chest_{name}", _BODY_LOOK, size, at, chest.CHEST_KG / len(boards))
    drawer = body.add_body(name=objects.DRAWER)
    drawer.add_joint(
        name=objects.DRAWER,
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=[1, 0, 0],
        limited=True,
        range=[0.0, chest.TRAVEL_M],
        damping=chest.SLIDE_DAMPING_N_S_M,
        frictionloss=chest.SLIDE_FRICTION_N,
    )
    _add_box(spec, drawer)
    _add_handle(drawer)


def _add_box(spec: Any, drawer: Any) -> None:
    board, gap = chest.BOARD_M, chest.FRONT_GAP_M
    tall = chest.HEIGHT_M - gap
    inner = chest.WIDTH_M - 2 * chest.BOARD_M - 0.004
    deep, side, low = chest.DEPTH_M - board - 0.004, 0.060, board + 0.004
    front_x = (chest.DEPTH_M + chest.FRONT_M) / 2
    middle = chest.DEPTH_M / 2 - deep / 2
    thin = 0.006
    boards = {
        "front": ((chest.FRONT_M, chest.WIDTH_M, tall), (front_x, 0, gap + tall / 2)),
        "floor": ((deep, inner, thin), (middle, 0, low + thin / 2)),
        "left": ((deep, thin, side), (middle, (inner - thin) / 2, low + side / 2)),
        "right": ((deep, thin, side), (middle, -(inner - thin) / 2, low + side / 2)),
        "back": ((thin, inner, side), (middle - (deep - thin) / 2, 0, low + side / 2)),
    }
    for name, (size, at) in boards.items():
        look = _FRONT_LOOK if name == "front" else _BODY_LOOK
        _board(spec, drawer, f"drawer_{name}", look, size, at, chest.DRAWER_KG / 6)


def _add_handle(drawer: Any) -> None:
    face, z = chest.DEPTH_M / 2 + chest.FRONT_M, chest.BAR_HEIGHT_M
    bar_x, half = chest.BAR_X_M, chest.BAR_HALF_LENGTH_M
    rods = [((bar_x, -half, z), (bar_x, half, z), chest.BAR_RADIUS_M)]
    rods += [((face, y, z), (bar_x, y, z), chest.POST_RADIUS_M)
             for y in (-chest.POST_AT_M, chest.POST_AT_M)]  # fmt: skip
    for a, b, radius in rods:
        shape = {"type": _GEOM.mjGEOM_CYLINDER, "fromto": [*a, *b], "size": [radius, 0, 0]}
        drawer.add_geom(material=_BAR_LOOK, **shape, **LOOKS)
        drawer.add_geom(mass=chest.DRAWER_KG / 18, **shape, **TOUCH)


def _board(
    spec: Any,
    body: Any,
    name: str,
    look: str,
    size: tuple[float, float, float],
    at: tuple[float, float, float],
    mass_kg: float,
) -> None:
    half = np.array(size) / 2
    props.add_mesh(spec, f"{name}_mesh", shapes.box(half, 1.0), smooth=False)
    body.add_geom(
        type=_GEOM.mjGEOM_MESH, meshname=f"{name}_mesh", material=look, pos=list(at), **LOOKS
    )
    body.add_geom(type=_GEOM.mjGEOM_BOX, size=list(half), pos=list(at), mass=mass_kg, **TOUCH)


ADD = {objects.CHEST.name: add_chest}
