"""Plays one recorded RGB-D view as a camera driver would: same topics, frames and encodings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, NovaflowError, PerceptionError
from novaflow_core.settings import setting
from novaflow_ros.conversions import camera_info_to_msg, image_to_msg, time_from_ns
from novaflow_ros.node import NovaflowNode, run

RELIABLE = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class FileCameraSettings:
    """Parameters of file_camera_node."""

    directory: str = setting("", "Folder with color.png, depth_mm.png and camera.json.")
    prefix: str = setting("/camera/camera", "Topic prefix.")
    frame: str = setting("camera_color_optical_frame", "Optical frame of the images.")
    rate_hz: float = setting(10.0, "Images a second.", unit="Hz", low=0.1, high=60.0)


@dataclass(frozen=True)
class RecordedView:
    """One view as it lies on disk.

    Attributes:
        color: (H, W, 3) uint8 RGB.
        depth_mm: (H, W) uint16 [mm]; 0 where the sensor saw nothing.
        model: Intrinsics of both.
    """

    color: NDArray[np.uint8]
    depth_mm: NDArray[np.uint16]
    model: CameraModel


def read_view(directory: Path) -> RecordedView:
    """Read color.png, depth_mm.png and camera.json ({"fx", "fy", "cx", "cy"} [px]).

    Raises:
        PerceptionError: NO_CAMERA if a file is missing or cannot be read, CAMERA_INFO_MISMATCH if
            the sizes differ.
    """
    color = cv2.imread(str(directory / "color.png"), cv2.IMREAD_COLOR)
    depth = cv2.imread(str(directory / "depth_mm.png"), cv2.IMREAD_UNCHANGED)
    for name, image in (("color.png", color), ("depth_mm.png", depth)):
        if image is None:
            raise PerceptionError(Code.NO_CAMERA, f"cannot read an image from {directory / name}")
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise PerceptionError(
            Code.NO_CAMERA, f"depth_mm.png is {depth.dtype} {depth.shape}; 16-bit grey is needed"
        )
    try:
        values = json.loads((directory / "camera.json").read_text())
        focal = [float(values[key]) for key in ("fx", "fy", "cx", "cy")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PerceptionError(
            Code.NO_CAMERA,
            f"{directory / 'camera.json'} must hold fx, fy, cx, cy [px]: "
            f"{type(error).__name__}: {error}",
        ) from error
    height, width = color.shape[:2]
    declared = (int(values.get("width", width)), int(values.get("height", height)))
    if depth.shape != (height, width) or declared != (width, height):
        raise PerceptionError(
            Code.CAMERA_INFO_MISMATCH,
            f"colour is {width}x{height}, depth {depth.shape[1]}x{depth.shape[0]}, "
            f"camera.json {declared[0]}x{declared[1]} px; they must agree",
        )
    rgb = np.ascontiguousarray(color[..., ::-1])
    return RecordedView(rgb, depth, CameraModel(width, height, *focal))


class FileCameraNode(NovaflowNode[FileCameraSettings]):
    """Publishes a recorded view again and again; `directory` may be changed while it runs."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("file_camera_node", FileCameraSettings)
        self.add_on_set_parameters_callback(self._change)

    def setup(self) -> None:
        """Read the view and open the topics."""
        settings = self.settings
        self._view = read_view(Path(settings.directory).expanduser())
        prefix = settings.prefix
        self._publishers_of = {
            "color": self.create_publisher(Image, f"{prefix}/color/image_raw", RELIABLE),
            "depth": self.create_publisher(
                Image, f"{prefix}/aligned_depth_to_color/image_raw", RELIABLE
            ),
            "color_info": self.create_publisher(
                CameraInfo, f"{prefix}/color/camera_info", RELIABLE
            ),
            "depth_info": self.create_publisher(
                CameraInfo, f"{prefix}/aligned_depth_to_color/camera_info", RELIABLE
            ),
        }
        self._prepare()
        self._timer = self.create_timer(1.0 / settings.rate_hz, self._publish)

    def teardown(self) -> None:
        """Close the topics."""
        self.destroy_timer(self._timer)
        for publisher in self._publishers_of.values():
            self.destroy_publisher(publisher)

    def _prepare(self) -> None:
        view, frame = self._view, self.settings.frame
        info = camera_info_to_msg(view.model, frame)
        self._messages = {
            "color_info": info,
            "depth_info": camera_info_to_msg(view.model, frame),
            "color": image_to_msg(view.color, "rgb8", frame),
            "depth": image_to_msg(view.depth_mm, "16UC1", frame),
        }

    def _change(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "directory" and self.active:
                try:
                    self._view = read_view(Path(parameter.value).expanduser())
                except NovaflowError as error:
                    return SetParametersResult(successful=False, reason=str(error))
                self._prepare()
        return SetParametersResult(successful=True)

    def _publish(self) -> None:
        if not self.active:
            return
        stamp = time_from_ns(self.get_clock().now().nanoseconds)
        for part, message in self._messages.items():
            message.header.stamp = stamp
            self._publishers_of[part].publish(message)


def main() -> None:
    """Run the node."""
    run(FileCameraNode)
