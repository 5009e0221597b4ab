"""file_camera_node: stands in for a camera's driver with one RGB-D view from a directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from rcl_interfaces.msg import SetParametersResult
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from novaflow_core.errors import NovaflowError
from novaflow_core.settings import setting
from novaflow_perception.core.files import load_directory
from novaflow_ros import conversions
from novaflow_ros.node import NovaflowNode, run

_DRIVER = QoSProfile(depth=2)


@dataclass(frozen=True)
class FileCameraSettings:
    """Parameters of file_camera_node."""

    directory: str = setting("", "folder with color.png, depth_mm.png, camera.json; settable")
    prefix: str = setting("/camera/camera", "topic prefix, as the driver's")
    frame_id: str = setting("camera_color_optical_frame", "the colour optical frame")
    rate_hz: float = setting(5.0, "images per second", unit="Hz", low=0.1, high=60.0)


class FileCameraNode(NovaflowNode[FileCameraSettings]):
    """Publishes the view again and again with fresh stamps, as the driver would."""

    def __init__(self) -> None:
        """Declare the parameters; `directory` may be set at run time."""
        super().__init__("file_camera_node", FileCameraSettings)
        self._messages: tuple[Any, ...] = ()
        self.add_on_set_parameters_callback(self._on_parameters)

    def setup(self) -> None:
        """Read the view and create the publishers."""
        self._read(self.settings.directory)
        color = f"{self.settings.prefix}/color"
        depth = f"{self.settings.prefix}/aligned_depth_to_color"
        self._outputs = [
            self.create_publisher(CameraInfo, f"{color}/camera_info", _DRIVER),
            self.create_publisher(CameraInfo, f"{depth}/camera_info", _DRIVER),
            self.create_publisher(Image, f"{color}/image_raw", _DRIVER),
            self.create_publisher(Image, f"{depth}/image_raw", _DRIVER),
        ]

    def start(self) -> None:
        """Begin to publish."""
        self._timer = self.create_timer(1.0 / self.settings.rate_hz, self._publish)

    def stop(self) -> None:
        """Fall silent."""
        self.destroy_timer(self._timer)

    def teardown(self) -> None:
        """Remove the publishers."""
        for publisher in self._outputs:
            self.destroy_publisher(publisher)

    def _read(self, directory: str) -> None:
        view = load_directory(Path(directory))
        frame = self.settings.frame_id
        info = conversions.camera_info_to_msg(view.model, frame)
        self._messages = (
            info,
            conversions.camera_info_to_msg(view.model, frame),
            conversions.image_to_msg(view.color, "rgb8", frame),
            conversions.image_to_msg(view.depth_mm, "16UC1", frame),
        )

    def _publish(self) -> None:
        messages, stamp = self._messages, self.get_clock().now().to_msg()
        for publisher, message in zip(self._outputs, messages, strict=True):
            message.header.stamp = stamp
            publisher.publish(message)

    def _on_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == "directory" and self._messages:
                try:
                    self._read(parameter.value)
                except NovaflowError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)


def main() -> None:
    """Run the node."""
    cv2.setNumThreads(1)
    run(FileCameraNode, threads=1)
