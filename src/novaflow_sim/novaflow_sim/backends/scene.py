"""Builds a cell as a MuJoCo model, and keeps compiled ones in a cache.

World frame = `fr3_link0`: origin at the arm's base, x towards the table, z up; table top at z = 0.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from novaflow_sim.backends import assets, chest_prop, hanging_props, props, watering_props
from novaflow_sim.core import (
    chest,
    mug_tree,
    objects,
    robot_model,
    shapes,
    textures,
    vessel,
    watering,
)

TIMESTEP_S = 0.002
MAX_FACES = 2500
CAMERA_NAME = "scene_camera"
# D455, depth: 58 degrees of vertical field of view.
CAMERA_FOVY_DEG = 58.0
CAMERA_POSITION_M = (0.97, 0.15, 0.56)
CAMERA_TARGET_M = (0.44, 0.0, 0.06)

# A post-processing of friction without which what is held turns in the fingers by up to 1 deg/s,
# however hard they squeeze: docs/decisions/held-things-stay.md.
NOSLIP_ITERATIONS = 2
PAD_CONDIM = 4  # rubber pads resist twisting; the model's own are points

# Stiffness [Nm/rad], damping [Nm s/rad] of the joint servos: about critical for the arm's inertia.
SERVO_STIFFNESS = (4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0)
SERVO_DAMPING = (180.0, 180.0, 140.0, 140.0, 60.0, 60.0, 60.0)


_ADD_PROP = props.ADD | hanging_props.ADD | chest_prop.ADD | watering_props.ADD
_SOURCES = (
    props, hanging_props, chest_prop, watering_props, objects, mug_tree, chest, watering,
    vessel, robot_model, shapes, textures,
)  # fmt: skip


def load(task: str) -> mujoco.MjModel:
    """Return the compiled cell of a task, from the cache where it is there."""
    path = _cache_folder() / f"cell_{task}_{_fingerprint(task)}.mjb"
    if path.is_file():
        return mujoco.MjModel.from_binary_path(str(path))
    model = build(task).compile()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process may do the same: write aside, then rename.
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    mujoco.mj_saveModel(model, str(draft), None)
    draft.replace(path)
    return model


def build(task: str) -> Any:
    """Return the MjSpec of a task's cell."""
    spec = _arm()
    spec.modelname = f"novaflow_{task}"
    option = spec.option
    option.timestep = TIMESTEP_S
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    # Here, as attaching discards the gripper file's own options. Without them held things creep.
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0
    option.noslip_iterations = NOSLIP_ITERATIONS
    _add_looks(spec)
    _add_room(spec)
    camera = spec.worldbody.add_camera(name=CAMERA_NAME, pos=list(CAMERA_POSITION_M))
    camera.fovy = CAMERA_FOVY_DEG
    camera.quat = _look_at(np.array(CAMERA_POSITION_M), np.array(CAMERA_TARGET_M))
    _add_gripper(spec)
    for prop in objects.TASKS[task].props:
        _ADD_PROP[prop.name](spec)
    return spec


def _add_looks(spec: Any) -> None:
    visual = spec.visual
    visual.global_.offwidth, visual.global_.offheight = 1920, 1080
    # Neither shadows nor multisampling: on a software renderer they cost four times the frame.
    visual.quality.offsamples = 0
    visual.map.znear, visual.map.zfar = 0.01, 20.0
    visual.headlight.ambient = [0.42] * 3
    visual.headlight.diffuse = [0.28] * 3
    visual.headlight.specular = [0.05] * 3
    spec.stat.extent = 1.0
    spec.stat.center = [0.5, 0.0, 0.2]
    for pos, direction, strength in (
        ((0.2, -0.8, 2.0), (0.15, 0.45, -1.0), 0.42),
        ((1.4, 0.9, 1.6), (-0.6, -0.5, -1.0), 0.22),
    ):
        light = spec.worldbody.add_light(pos=list(pos), dir=list(direction), castshadow=False)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        light.diffuse = [strength] * 3
        light.specular = [0.15] * 3


def _add_room(spec: Any) -> None:
    world = spec.worldbody
    props.add_texture(spec, "floor_paint", textures.wood((128, 130, 134), 41), 0.0)
    props.add_texture(spec, "table_wood", textures.wood((164, 140, 112), 42), 0.1)
    props.add_mesh(spec, "floor_mesh", shapes.box((5.0, 5.0, 0.01), 8.0), smooth=False)
    half = (0.60, 0.80, 0.02)
    props.add_mesh(spec, "table_mesh", shapes.box(half, 1.0), smooth=False)
    looks = {"contype": 0, "conaffinity": 0, "group": props.VISUAL_GROUP}
    mesh = mujoco.mjtGeom.mjGEOM_MESH
    world.add_geom(
        type=mesh, meshname="floor_mesh", material="floor_paint", pos=[0, 0, -0.80], **looks
    )
    props.add_texture(spec, "wall_paint", textures.wood((196, 196, 190), 43), 0.0)
    props.add_mesh(spec, "wall_mesh", shapes.box((0.02, 5.0, 2.0), 2.0), smooth=False)
    world.add_geom(
        type=mesh, meshname="wall_mesh", material="wall_paint", pos=[-1.6, 0, 1.2], **looks
    )
    world.add_geom(
        type=mesh, meshname="table_mesh", material="table_wood", pos=[0.45, 0, -half[2]], **looks
    )
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=list(half),
        pos=[0.45, 0, -half[2]],
        group=props.CONTACT_GROUP,
        friction=[0.9, 0.005, 0.0005],
        solref=[0.005, 1.0],
        condim=4,
    )


def _arm() -> Any:
    """The arm's own file with position servos in place of its torque motors."""
    path = assets.wheel_file(assets.FR3_MJCF)
    spec = mujoco.MjSpec.from_file(str(path))
    _lighten(spec, path.parent / "assets")
    for unwanted in (*spec.keys, *spec.lights, *spec.actuators):
        spec.delete(unwanted)
    for k, joint in enumerate(robot_model.ARM_JOINTS):
        servo = spec.add_actuator(
            name=joint,
            target=joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        )
        servo.gainprm[0] = SERVO_STIFFNESS[k]
        servo.biasprm[:3] = [0.0, -SERVO_STIFFNESS[k], -SERVO_DAMPING[k]]
        effort = float(robot_model.EFFORT_LIMIT_NM[k])
        servo.forcerange, servo.forcelimited = [-effort, effort], True
    return spec


def _add_gripper(spec: Any) -> None:
    gripper_file = assets.wheel_file(assets.ROBOTIQ_2F85_MJCF)
    gripper = mujoco.MjSpec.from_file(str(gripper_file))
    _lighten(gripper, gripper_file.parent / "assets")
    site = next(s for s in spec.sites if s.name == "attachment_site")
    # The fingers of the model close along its base_mount's x; the site carries the mounting yaw.
    yaw = robot_model.MOUNT_YAW_RAD
    site.quat = [math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)]
    for geom in gripper.geoms:
        if "pad" in geom.name:
            geom.condim = PAD_CONDIM
    spec.attach(gripper, prefix="gripper/", site=site)
    for body in spec.bodies:
        if body.name.startswith(("fr3_", "gripper/")):
            body.gravcomp = 1.0
    link = spec.body("fr3_link7")
    link.add_site(
        name="tcp",
        pos=[0, 0, robot_model.FLANGE_HEIGHT_M + robot_model.TCP_HEIGHT_M],
        quat=[math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)],
        group=5,
    )


def _lighten(spec: Any, folder: Path) -> None:
    """Replace mesh files by decimated copies: the originals halve the frame rate."""
    import fast_simplification
    import trimesh

    for mesh in list(spec.meshes):
        path = folder / mesh.file
        if not mesh.file or not path.is_file():
            continue
        loaded = trimesh.load(path, force="mesh", process=True)
        loaded.merge_vertices()
        vertices = np.asarray(loaded.vertices, np.float32)
        faces = np.asarray(loaded.faces, np.int32)
        if len(faces) > MAX_FACES:
            vertices, faces = fast_simplification.simplify(vertices, faces, target_count=MAX_FACES)
        name = mesh.name or path.stem
        mesh.name, mesh.file = name, ""
        mesh.uservert, mesh.userface = vertices.ravel(), np.asarray(faces, np.int32).ravel()


def _look_at(position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Quaternion wxyz of a MuJoCo camera (looks along -z, x right) with level horizon."""
    z = position - target
    z = z / np.linalg.norm(z)
    x = np.cross([0.0, 0.0, 1.0], z)
    x /= np.linalg.norm(x)
    out = np.zeros(4)
    mujoco.mju_mat2Quat(out, np.c_[x, np.cross(z, x), z].ravel())
    return out


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "novaflow"


def _fingerprint(task: str) -> str:
    digest = hashlib.sha256(f"{task} {mujoco.__version__}".encode())
    for source in (assets.FR3_MJCF, assets.ROBOTIQ_2F85_MJCF):
        digest.update(assets.wheel_version(source).encode())
    sources = (__file__, *(module.__file__ for module in _SOURCES))
    for module in sources:
        digest.update(Path(str(module)).read_bytes())
    return digest.hexdigest()[:16]
