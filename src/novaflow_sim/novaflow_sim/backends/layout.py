"""Puts a layout into a model: poses into the state, looks into the materials of the geoms."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import from_rt
from novaflow_sim.backends.rendering import camera_model
from novaflow_sim.backends.scene import CAMERA_NAME
from novaflow_sim.core import objects
from novaflow_sim.core.placements import Layout, draw_layout

# Layouts must not depend on the image size that a user asks for.
REFERENCE_SIZE = (1280, 720)


def true_camera_pose(model: mujoco.MjModel) -> NDArray[np.float64]:
    """T_base_camera (4, 4) of the optical frame; MuJoCo's cameras look along -z with y up."""
    camera = model.camera(CAMERA_NAME)
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, camera.quat)
    return from_rt(rotation.reshape(3, 3) @ np.diag([1.0, -1.0, -1.0]), camera.pos)


def layout_of(model: mujoco.MjModel, task: str, seed: int, obstacle: bool = False) -> Layout:
    """Layout of a seed for the model's camera; `obstacle` puts something in the way."""
    camera = camera_model(*REFERENCE_SIZE)
    return draw_layout(task, seed, camera, true_camera_pose(model), obstacle=obstacle)


def apply_looks(model: mujoco.MjModel, layout: Layout) -> None:
    """Give cup and saucer their colours."""
    for geom, look in (("cup_visual", layout.cup_look), ("saucer_visual", layout.saucer_look)):
        index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, geom)
        if index >= 0:
            model.geom_matid[index] = model.material(look).id


def apply_poses(model: mujoco.MjModel, data: mujoco.MjData, task: str, layout: Layout) -> None:
    """Put every object where the layout says, at rest."""
    for prop in objects.TASKS[task].props:
        at = layout.placements[prop.name]
        position = [at.x_m, at.y_m, at.z_m]
        quaternion = [np.cos(at.yaw_rad / 2), 0.0, 0.0, np.sin(at.yaw_rad / 2)]
        if prop.fixed:
            index = model.body(prop.name).mocapid[0]
            data.mocap_pos[index], data.mocap_quat[index] = position, quaternion
        else:
            joint = model.joint(f"{prop.name}_free")
            start, speed = joint.qposadr[0], joint.dofadr[0]
            data.qpos[start : start + 7] = [*position, *quaternion]
            data.qvel[speed : speed + 6] = 0.0
