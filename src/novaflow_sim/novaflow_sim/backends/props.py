"""The cell's objects as MuJoCo bodies: textured meshes for looks, primitives for contact."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_sim.core import objects, shapes, textures
from novaflow_sim.core.vessel import FLOOR_M, FOOT_EDGE_M, Vessel

GEOM = mujoco.mjtGeom
VISUAL_GROUP, CONTACT_GROUP = 2, 3
LOOKS = {"contype": 0, "conaffinity": 0, "group": VISUAL_GROUP, "mass": 0.0}
TOUCH = {
    "group": CONTACT_GROUP,
    "condim": 4,
    "friction": [0.9, 0.005, 0.0005],
    "solref": [0.005, 1.0],
}
WHITE = (244, 244, 240)


def add_texture(spec: Any, name: str, image: NDArray[np.uint8], shine: float = 0.2) -> None:
    """Add a texture (H, W, 3) and the material `name` that shows it."""
    texture = spec.add_texture(name=f"{name}_texture", type=mujoco.mjtTexture.mjTEXTURE_2D)
    texture.height, texture.width, texture.nchannel = image.shape
    texture.data = image.tobytes()
    material = spec.add_material(name=name, shininess=0.4, specular=shine)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = f"{name}_texture"


def add_mesh(spec: Any, name: str, mesh: shapes.TexturedMesh, *, smooth: bool) -> None:
    """Add a mesh asset; `smooth` shades across edges."""
    asset = spec.add_mesh(name=name)
    asset.uservert = mesh.vertices.astype(np.float32).ravel()
    asset.userface = mesh.faces.ravel()
    asset.usertexcoord = mesh.texcoords.astype(np.float32).ravel()
    asset.userfacetexcoord = mesh.texfaces.ravel()
    asset.smoothnormal = smooth
    asset.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL


def add_cup(spec: Any) -> None:
    """Mug with a handle; its look is chosen by seed."""
    motif_of = {"cup_red": (176, 34, 34), "cup_blue": (38, 76, 168), "cup_green": (34, 124, 66)}
    for name, colour in motif_of.items():
        print_ = textures.printed_mug(colour, WHITE, objects.CUP_VESSEL.outer_wall())
        add_texture(spec, name, print_)
    body_mesh = shapes.revolve(objects.CUP_VESSEL.profile(), 64)
    # The handle takes its colour from the plain strip of glaze just under the rim band.
    handle = shapes.with_texture_window(
        shapes.sweep(objects.mug_handle(25), objects.HANDLE_TUBE_RADIUS_M), (0, 0.94), (1, 0.98)
    )
    add_mesh(spec, "cup_mesh", shapes.join(body_mesh, handle), smooth=False)
    body = add_free(spec, objects.CUP.name)
    body.add_geom(
        name="cup_visual",
        type=GEOM.mjGEOM_MESH,
        meshname="cup_mesh",
        material=objects.CUP_LOOKS[0],
        **LOOKS,
    )
    add_vessel(body, objects.CUP_VESSEL, foot_kg=0.06, wall_kg=0.15)
    add_tube(body, objects.mug_handle(9), objects.HANDLE_TUBE_RADIUS_M, piece_kg=0.004)


def add_saucer(spec: Any) -> None:
    """Saucer with a flat well and a sloping rim."""
    add_texture(spec, "saucer_white", textures.ringed_saucer((238, 238, 236), (60, 84, 140)))
    add_texture(spec, "saucer_cream", textures.ringed_saucer((236, 224, 196), (140, 84, 52)))
    add_mesh(spec, "saucer_mesh", shapes.revolve(objects.saucer_profile(), 64), smooth=False)
    body = add_free(spec, objects.SAUCER.name)
    body.add_geom(
        name="saucer_visual",
        type=GEOM.mjGEOM_MESH,
        meshname="saucer_mesh",
        material=objects.SAUCER_LOOKS[0],
        **LOOKS,
    )
    well, height = objects.SAUCER_WELL_RADIUS_M, objects.SAUCER_WELL_HEIGHT_M
    body.add_geom(
        type=GEOM.mjGEOM_CYLINDER,
        size=[well, height / 2, 0],
        pos=[0, 0, height / 2],
        mass=0.16,
        **TOUCH,
    )
    inner, outer = np.array([well, height]), np.array([0.078, objects.SAUCER_RIM_HEIGHT_M])
    middle, along = (inner + outer) / 2, outer - inner
    slope = math.atan2(along[1], along[0])
    count = 18
    for k in range(count):
        angle = 2 * math.pi * k / count
        body.add_geom(
            type=GEOM.mjGEOM_BOX,
            pos=[
                (middle[0] + 0.0015 * math.sin(slope)) * math.cos(angle),
                (middle[0] + 0.0015 * math.sin(slope)) * math.sin(angle),
                middle[1] - 0.0015,
            ],
            quat=_yaw_then_pitch(angle, -slope),
            size=[
                float(np.linalg.norm(along)) / 2,
                middle[0] * math.tan(math.pi / count) * 1.2,
                0.0015,
            ],
            mass=0.1 / count,
            **TOUCH,
        )


def add_block(spec: Any) -> None:
    """Yellow block with a print on every side."""
    add_texture(spec, "block_print", textures.printed_block((226, 178, 24), (52, 44, 30)))
    half = objects.BLOCK_HALF_EXTENTS_M
    add_mesh(spec, "block_mesh", shapes.box(half, 0.0), smooth=False)
    body = add_free(spec, objects.BLOCK.name)
    body.add_geom(type=GEOM.mjGEOM_MESH, meshname="block_mesh", material="block_print", **LOOKS)
    body.add_geom(type=GEOM.mjGEOM_BOX, size=list(half), mass=0.10, **TOUCH)


def add_socket(spec: Any) -> None:
    """Square socket, open above, bolted down: a mocap body, so that a reset can place it."""
    add_texture(spec, "socket_paint", textures.wood((92, 98, 112), 21))
    body = spec.worldbody.add_body(name=objects.SOCKET.name, mocap=True)
    inner = objects.BLOCK_HALF_EXTENTS_M[0] + objects.SOCKET_CLEARANCE_M
    half_wall, half_height = objects.SOCKET_WALL_M / 2, objects.SOCKET_HEIGHT_M / 2
    long = (half_wall, inner + 2 * half_wall, half_height)
    short = (inner, half_wall, half_height)
    for name, size in (("socket_long", long), ("socket_short", short)):
        add_mesh(spec, name, shapes.box(size, 1.0), smooth=False)
    for sign in (1, -1):
        for name, size, pos in (
            ("socket_long", long, [sign * (inner + half_wall), 0, half_height]),
            ("socket_short", short, [0, sign * (inner + half_wall), half_height]),
        ):
            body.add_geom(
                type=GEOM.mjGEOM_MESH, meshname=name, material="socket_paint", pos=pos, **LOOKS
            )
            body.add_geom(type=GEOM.mjGEOM_BOX, size=list(size), pos=pos, **TOUCH)


def add_can(spec: Any) -> None:
    """Green tin can with a label."""
    add_texture(spec, "can_print", textures.labelled((46, 120, 60), WHITE, (40, 60, 40)), 0.5)
    r, h = 0.032, objects.CAN.height_m
    profile = [
        [0, 0.002],
        [r - 0.003, 0.0],
        [r, 0.003],
        [r, h - 0.003],
        [r - 0.002, h],
        [r - 0.004, h - 0.003],
        [0, h - 0.003],
    ]
    add_mesh(spec, "can_mesh", shapes.revolve(profile, 40), smooth=False)
    body = add_free(spec, objects.CAN.name)
    body.add_geom(type=GEOM.mjGEOM_MESH, meshname="can_mesh", material="can_print", **LOOKS)
    body.add_geom(
        type=GEOM.mjGEOM_CYLINDER, size=[r, h / 2, 0], pos=[0, 0, h / 2], mass=0.35, **TOUCH
    )


def add_carton(spec: Any) -> None:
    """Blue carton lying flat."""
    paint = textures.labelled((44, 78, 150), (230, 226, 214), (150, 40, 40))
    _add_print_box(spec, objects.CARTON.name, "carton_print", paint, (0.050, 0.032, 0.0225), 0.25)


def add_cube(spec: Any) -> None:
    """Red cube."""
    paint = textures.wood((168, 40, 36), 31, 128)
    _add_print_box(spec, objects.CUBE.name, "cube_print", paint, (0.0225, 0.0225, 0.0225), 0.08)


ADD = {
    objects.CUP.name: add_cup,
    objects.SAUCER.name: add_saucer,
    objects.BLOCK.name: add_block,
    objects.SOCKET.name: add_socket,
    objects.CAN.name: add_can,
    objects.CARTON.name: add_carton,
    objects.CUBE.name: add_cube,
}


def _add_print_box(
    spec: Any,
    name: str,
    look: str,
    image: NDArray[np.uint8],
    half: tuple[float, float, float],
    mass_kg: float,
) -> None:
    add_texture(spec, look, image)
    add_mesh(spec, f"{name}_mesh", shapes.box(half, 1.0), smooth=False)
    body = add_free(spec, name)
    body.add_geom(type=GEOM.mjGEOM_MESH, meshname=f"{name}_mesh", material=look, **LOOKS)
    body.add_geom(type=GEOM.mjGEOM_BOX, size=list(half), mass=mass_kg, **TOUCH)


def add_free(spec: Any, name: str) -> Any:
    """Add a body that moves freely; its joint is called `NAME_free`."""
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint(name=f"{name}_free")
    return body


def add_vessel(body: Any, vessel: Vessel, *, foot_kg: float, wall_kg: float) -> None:
    """Add what a round vessel is in physics: a foot, and a wall that is hollow."""
    half = FLOOR_M / 2
    body.add_geom(
        type=GEOM.mjGEOM_CYLINDER,
        size=[vessel.foot_radius_m, half, 0],
        pos=[0, 0, half],
        mass=foot_kg,
        **TOUCH,
    )
    middle = vessel.radius_m - vessel.wall_m / 2
    rise = (FOOT_EDGE_M, vessel.height_m)
    add_ring(body, middle, rise, vessel.wall_m, count=16, mass=wall_kg)


def add_tube(body: Any, path: Any, radius_m: float, *, piece_kg: float) -> None:
    """Add capsules along a path (P, 3) [m]: a handle that things go through."""
    for a, b in itertools.pairwise(path):
        body.add_geom(
            type=GEOM.mjGEOM_CAPSULE,
            fromto=[*a, *b],
            size=[radius_m, 0, 0],
            mass=piece_kg,
            **TOUCH,
        )


def add_ring(
    body: Any,
    radius_m: float,
    z_m: tuple[float, float],
    thickness_m: float,
    *,
    count: int,
    mass: float,
) -> None:
    """Add a ring of `count` boxes about z: a wall that is hollow in physics as well."""
    half_width = radius_m * math.tan(math.pi / count) * 1.02
    for k in range(count):
        angle = 2 * math.pi * k / count
        body.add_geom(
            type=GEOM.mjGEOM_BOX,
            pos=[radius_m * math.cos(angle), radius_m * math.sin(angle), sum(z_m) / 2],
            quat=_yaw_then_pitch(angle, 0.0),
            size=[thickness_m / 2, half_width, (z_m[1] - z_m[0]) / 2],
            mass=mass / count,
            **TOUCH,
        )


def _yaw_then_pitch(yaw_rad: float, pitch_rad: float) -> NDArray[np.float64]:
    """Quaternion wxyz of a pitch about y followed by a yaw about z."""
    out = np.zeros(4)
    mujoco.mju_mulQuat(
        out,
        np.array([math.cos(yaw_rad / 2), 0, 0, math.sin(yaw_rad / 2)]),
        np.array([math.cos(pitch_rad / 2), 0, math.sin(pitch_rad / 2), 0]),
    )
    return out
