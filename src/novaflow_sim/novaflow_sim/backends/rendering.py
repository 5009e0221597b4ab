"""Colour and depth of the scene camera in one pass of MuJoCo's renderer."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np
from mujoco.gl_context import GLContext
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_sim.backends.scene import CAMERA_FOVY_DEG, CAMERA_NAME


def camera_model(width: int, height: int) -> CameraModel:
    """Intrinsics [px] of the scene camera at an image size."""
    focal = height / 2 / np.tan(np.radians(CAMERA_FOVY_DEG) / 2)
    return CameraModel(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)


class Renderer:
    """Renders one model at one size; to be used from the thread that made it."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Create the off-screen context."""
        self._model = model
        self._near = model.vis.map.znear * model.stat.extent
        self._far = model.vis.map.zfar * model.stat.extent
        self._gl = GLContext(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._scene = mujoco.MjvScene(model, 600)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = 0
        self._options = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera(CAMERA_NAME).id
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._perturbation = mujoco.MjvPerturb()
        self._rgb = np.empty((height, width, 3), np.uint8)
        self._z = np.empty((height, width), np.float32)

    def render(
        self,
        data: mujoco.MjData,
        add: Callable[[mujoco.MjvScene], None] | None = None,
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return colour (H, W, 3) RGB and depth (H, W) [m]; row 0 is the top.

        Args:
            data: State to show.
            add: Puts further geoms into the picture.
        """
        # Always: destroying any other context silently unbinds this one, and renders become no-ops.
        self._gl.make_current()
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._options,
            self._perturbation,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        if add is not None:
            add(self._scene)
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._rgb, self._z, self._rect, self._context)
        near, far = self._near, self._far
        # The buffer holds reversed z: 1 at the near plane, 0 at the far one.
        depth = (near * far / (far - near)) / (self._z + near / (far - near))
        return self._rgb[::-1].copy(), depth[::-1]

    def close(self) -> None:
        """Free the context."""
        self._gl.make_current()
        self._context.free()
        self._gl.free()
