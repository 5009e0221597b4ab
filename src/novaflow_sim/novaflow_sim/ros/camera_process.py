"""The camera driver: a process of its own that renders the shared state and publishes images.

Its own process, as rendering in the physics process stalls that for up to a quarter of a second.
It ends with its parent, and the parent with it.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from typing import Any

import mujoco
import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from novaflow_sim.backends import layout, scene
from novaflow_sim.backends.rendering import Renderer, camera_model
from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor
from novaflow_sim.core.settings import CellSettings
from novaflow_sim.core.shared_state import SharedState
from novaflow_sim.ros.robot_topics import OPTICAL_FRAME, time_of

PREFIX = "/camera/camera"
COLOUR, DEPTH = f"{PREFIX}/color", f"{PREFIX}/aligned_depth_to_color"
_QOS = QoSProfile(
    depth=2, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.VOLATILE
)
_PR_SET_PDEATHSIG = 1


def start(shared: SharedState, settings: CellSettings) -> subprocess.Popen[bytes]:
    """Start the camera process; call it from the main thread, to whose life the child's is tied."""
    config = json.dumps({"fd": shared.fd, "parent": os.getpid(), "settings": asdict(settings)})
    command = [sys.executable, "-m", "novaflow_sim.ros.camera_process", config]
    return subprocess.Popen(command, pass_fds=(shared.fd,))


class Camera:
    """Publishes colour, aligned depth and both camera infos at a rate of simulated time."""

    def __init__(self, fd: int, settings: CellSettings) -> None:
        """Open the state, the renderer and the publishers."""
        self._settings = settings
        self._model = scene.load(settings.task)
        self._data = mujoco.MjData(self._model)
        self._shared = SharedState(fd, self._model.nq, self._model.nmocap)
        size = settings.image_width, settings.image_height
        self._renderer = Renderer(self._model, *size)
        noise = DepthNoise(
            sigma_m=settings.depth_noise_m,
            edge_hole_rate=settings.depth_edge_hole_rate,
            misregistration_px=settings.depth_misregistration_px,
        )
        self._depth_sensor = DepthSensor(noise, *size, seed=settings.seed)
        self._colour_sensor = ColourSensor(settings.colour_noise, *size, seed=settings.seed)
        self._layout_seed = -1
        self._node = rclpy.create_node("camera", namespace="/camera")
        self._publishers = {
            name: (
                self._node.create_publisher(Image, f"{name}/image_raw", _QOS),
                self._node.create_publisher(CameraInfo, f"{name}/camera_info", _QOS),
            )
            for name in (COLOUR, DEPTH)
        }
        self._info = _camera_info(settings)

    def run(self, parent: int) -> None:
        """Publish until the context or the parent ends."""
        period_s = 1.0 / self._settings.image_rate_hz
        due_s = 0.0
        while rclpy.ok() and os.getppid() == parent:
            now_s = self._shared.time_s
            if now_s < due_s or now_s == 0.0:
                time.sleep(min(max(due_s - now_s, 0.001), 0.05))
                continue
            # Frames that a slow machine missed are dropped, as a camera drops them.
            due_s = (np.floor(now_s / period_s + 1e-6) + 1) * period_s
            self._publish_frame()

    def _publish_frame(self) -> None:
        state = self._shared.read()
        if state.seed != self._layout_seed:
            layout.apply_looks(
                self._model, layout.layout_of(self._model, self._settings.task, state.seed)
            )
            self._layout_seed = state.seed
        self._data.qpos = state.qpos
        if len(state.mocap):
            self._data.mocap_pos, self._data.mocap_quat = state.mocap[:, :3], state.mocap[:, 3:]
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        colour, depth = self._renderer.render(self._data)
        stamp = time_of(state.time_s)
        images = (
            (COLOUR, "rgb8", self._colour_sensor.measure(colour)),
            (DEPTH, "16UC1", self._depth_sensor.measure(depth)),
        )
        for name, encoding, pixels in images:
            image, info = self._publishers[name]
            self._info.header.stamp = stamp
            info.publish(self._info)
            image.publish(_image(pixels, encoding, stamp))

    def close(self) -> None:
        """Free the renderer and leave the graph."""
        self._renderer.close()
        self._node.destroy_node()


def _image(pixels: NDArray[Any], encoding: str, stamp: Any) -> Image:
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.stamp, message.header.frame_id = stamp, OPTICAL_FRAME
    message.step = pixels.strides[0]
    data = array.array("B")
    # Assigning an ndarray would convert every byte in Python.
    data.frombytes(pixels.data.cast("B"))
    message.data = data
    return message


def _camera_info(settings: CellSettings) -> CameraInfo:
    camera = camera_model(settings.image_width, settings.image_height)
    info = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob")
    info.header.frame_id = OPTICAL_FRAME
    info.d = [0.0] * 5
    info.k = camera.matrix.ravel().tolist()
    info.r = np.eye(3).ravel().tolist()
    info.p = np.c_[camera.matrix, np.zeros(3)].ravel().tolist()
    return info


def main() -> None:
    """Entry point of the child process; its argument is JSON of what `start` knows."""
    config = json.loads(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != config["parent"]:
        return
    # Either signal ends it at once, even while it still starts up.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    camera = Camera(config["fd"], CellSettings(**config["settings"]))
    try:
        camera.run(config["parent"])
    finally:
        camera.close()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
