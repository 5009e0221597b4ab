"""One recording: the bag, the lane that compresses its images, and the execution video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile

from novaflow_bringup.core.execution_video import ExecutionVideo
from novaflow_bringup.core.run_folder import EXECUTION
from novaflow_bringup.ros.bag_writer import BagWriter
from novaflow_bringup.ros.image_lane import ImageLane

FOREVER_NS = 2**63
COMPRESSED = "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True)
class TapeSettings:
    """How images are kept.

    Attributes:
        jpeg_quality: Of colour images, 1..100.
        video_width: Of the execution video [px].
        video_fps: Of the execution video [Hz].
    """

    jpeg_quality: int = 90
    video_width: int = 640
    video_fps: float = 10.0


@dataclass(frozen=True)
class Listened:
    """A topic that the recorder listens to.

    Attributes:
        type_name: e.g. "novaflow_msgs/msg/Heartbeat".
        offered: QoS of its publisher.
        camera: It is an image or a camera_info.
        latched: Late listeners get its last messages.
        subscription: Kept alive by being held here.
    """

    type_name: str
    offered: QoSProfile
    camera: bool
    latched: bool
    subscription: Any


class Tape:
    """Writes until it is closed."""

    def __init__(
        self,
        folder: Path,
        compressed: dict[str, str],
        settings: TapeSettings,
        on_error: Callable[[str], None],
    ) -> None:
        """Open the bag.

        Args:
            folder: Of the bag; the execution video stands beside it.
            compressed: Topic of the compressed image by topic of the raw one.
            settings: How images are kept.
            on_error: Told of an image that could not be kept.

        Raises:
            PlatformError: INVALID_SETTING when it cannot be written.
        """
        self._filmed: list[list[int]] = []  # from, until [ns]
        self._compressed = compressed
        self._bag = BagWriter(folder)
        self._film = ExecutionVideo(
            folder.parent / EXECUTION, width=settings.video_width, fps=settings.video_fps
        )
        self._lane = ImageLane(
            self._bag,
            compressed,
            quality=settings.jpeg_quality,
            on_color=self._frame,
            on_error=on_error,
        )

    def add(self, topic: str, type_name: str, offered: QoSProfile) -> None:
        """Add a topic.

        Raises:
            PlatformError: INVALID_MESSAGE when the type's definition is not installed.
        """
        if topic in self._compressed:
            self._bag.add(self._compressed[topic], COMPRESSED, offered)
        else:
            self._bag.add(topic, type_name, offered)

    def write(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Keep one serialised message of a topic that was added."""
        if topic in self._compressed:
            self._lane.put(topic, stamp_ns, data)
        else:
            self._bag.write(topic, stamp_ns, data)

    def film(self, on: bool, now_ns: int) -> None:
        """Begin or end filming: colour images that come meanwhile go into the execution video.

        The lane is behind the time, so that an image is judged by when it came.
        """
        filming = bool(self._filmed) and self._filmed[-1][1] == FOREVER_NS
        if on and not filming:
            self._filmed.append([now_ns, FOREVER_NS])
        elif filming and not on:
            self._filmed[-1][1] = now_ns

    def close(self) -> str:
        """Finish all files; return a line about what they hold."""
        self._lane.close()
        self._film.close()
        self._bag.close()
        counts = self._bag.counts
        return (
            f"{self._bag.folder}: {sum(counts.values())} messages of {len(counts)} topics, "
            f"{self._lane.dropped} images dropped, {self._film.frames} frames filmed"
        )

    def _frame(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        if any(begin <= stamp_ns < end for begin, end in self._filmed):
            self._film.add(image, stamp_ns)
