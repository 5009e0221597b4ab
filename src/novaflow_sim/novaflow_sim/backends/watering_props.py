"""The watering can and the potted plant as MuJoCo bodies.

Leaves give way: they are seen, and touch nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np

from novaflow_sim.backends.props import LOOKS, TOUCH, WHITE, add_free, add_mesh, add_texture
from novaflow_sim.core import objects, shapes, textures, watering

GEOM = mujoco.mjtGeom
_TIN = (28, 96, 150)
_CLAY = (176, 92, 58)
_SOIL = (64, 46, 34)
_LEAVES = ((46, 122, 48), (70, 148, 58), (34, 98, 44))
_LEAF_COUNT = 26


def add_watering_can(spec: Any) -> None:
    """Printed watering can, closed above, with a spout towards +x."""
    add_texture(spec, "watering_print", textures.printed_mug(_TIN, WHITE, watering.can_wall()))
    round_ = shapes.revolve(watering.can_profile(), 48)
    vertices = round_.vertices.copy()
    vertices[:, 0] += watering.CAN_STRAIGHT_HALF_M * np.where(
        np.hypot(vertices[:, 0], vertices[:, 1]) > 1e-9, np.sign(vertices[:, 0]), 0.0
    )
    spout = shapes.sweep(watering.spout_line(9), watering.SPOUT_RADIUS_M)
    painted = shapes.with_texture_window(spout, (0, 0.80), (1, 0.92))
    mesh = shapes.join(replace(round_, vertices=vertices), painted)
    add_mesh(spec, "watering_mesh", mesh, smooth=False)
    body = add_free(spec, objects.WATERING_CAN.name)
    body.add_geom(
        type=GEOM.mjGEOM_MESH, meshname="watering_mesh", material="watering_print", **LOOKS
    )
    half, r = watering.CAN_HEIGHT_M / 2, watering.CAN_HALF_WIDTH_M
    straight = watering.CAN_STRAIGHT_HALF_M
    body.add_geom(
        type=GEOM.mjGEOM_BOX, size=[straight, r, half], pos=[0, 0, half], mass=0.10, **TOUCH
    )
    for x in (-straight, straight):
        body.add_geom(
            type=GEOM.mjGEOM_CYLINDER, size=[r, half, 0], pos=[x, 0, half], mass=0.04, **TOUCH
        )
    for a, b in itertools.pairwise(watering.spout_line(5)):
        body.add_geom(
            type=GEOM.mjGEOM_CAPSULE,
            fromto=[*a, *b],
            size=[watering.SPOUT_RADIUS_M, 0, 0],
            mass=0.004,
            **TOUCH,
        )


def add_plant(spec: Any) -> None:
    """Bush in a clay pot."""
    clay = textures.wood(_CLAY, 51, 256)
    clay[round(watering.soil_from() * len(clay)) :] = _SOIL
    add_texture(spec, "pot_clay", clay, 0.05)
    add_mesh(spec, "pot_mesh", shapes.revolve(watering.pot_profile(), 48), smooth=False)
    body = add_free(spec, objects.PLANT.name)
    body.add_geom(type=GEOM.mjGEOM_MESH, meshname="pot_mesh", material="pot_clay", **LOOKS)
    half = watering.POT_HEIGHT_M / 2
    body.add_geom(
        type=GEOM.mjGEOM_CYLINDER,
        size=[watering.POT_RIM_RADIUS_M - 0.003, half, 0],
        pos=[0, 0, half],
        mass=0.6,
        **TOUCH,
    )
    for k, colour in enumerate(_LEAVES):
        add_texture(spec, f"leaf_{k}", textures.wood(colour, 60 + k, 128), 0.1)
    body.add_geom(
        type=GEOM.mjGEOM_ELLIPSOID,
        size=[0.034, 0.034, 0.026],
        pos=[0, 0, 0.108],
        material="leaf_2",
        **LOOKS,
    )
    random = np.random.default_rng(7)
    for k in range(_LEAF_COUNT):
        angle = 2 * np.pi * (k * 0.618 % 1.0)
        rise = random.uniform(0.15, 1.25)
        out = np.array([np.cos(angle) * np.cos(rise), np.sin(angle) * np.cos(rise), np.sin(rise)])
        quat = np.zeros(4)
        level = np.array([-np.sin(angle), np.cos(angle), 0.0])
        frame = np.stack([out, level, np.cross(out, level)], axis=1)
        mujoco.mju_mat2Quat(quat, frame.ravel())
        body.add_geom(
            type=GEOM.mjGEOM_ELLIPSOID,
            size=[random.uniform(0.018, 0.024), random.uniform(0.010, 0.014), 0.003],
            pos=[0, 0, 0.100] + random.uniform(0.024, 0.030) * out * [1, 1, 0.8],
            quat=quat,
            material=f"leaf_{k % len(_LEAVES)}",
            **LOOKS,
        )


ADD = {objects.WATERING_CAN.name: add_watering_can, objects.PLANT.name: add_plant}
