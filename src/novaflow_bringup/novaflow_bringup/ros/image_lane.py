"""Compresses camera images in its own thread; what it cannot keep up with is dropped."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image

from novaflow_bringup.core import image_codec
from novaflow_bringup.ros.bag_writer import BagWriter
from novaflow_core.errors import NovaflowError
from novaflow_ros.conversions import buffer, color_from_msg, image_from_msg

Job = tuple[str, int, bytes]  # topic of the raw image, when it came [ns], its serialised message
OnColor = Callable[[NDArray[np.uint8], int], None]


class ImageLane:
    """One worker between the image subscriptions and the bag."""

    def __init__(
        self,
        bag: BagWriter,
        names: dict[str, str],
        *,
        quality: int,
        on_color: OnColor,
        on_error: Callable[[str], None],
        depth: int = 32,
    ) -> None:
        """Start the worker.

        Args:
            bag: Where compressed images go.
            names: Topic of the compressed image by topic of the raw one.
            quality: Of the JPEGs, 1..100.
            on_color: Given every colour image (H, W, 3) RGB with the time it came [ns].
            on_error: Told of an image that could not be compressed.
            depth: How many images may wait.
        """
        self._bag, self._names, self._quality = bag, names, quality
        self._on_color, self._on_error = on_color, on_error
        self._jobs: queue.Queue[Job | None] = queue.Queue(depth)
        self.dropped = 0
        self._thread = threading.Thread(target=self._work, name="image_lane", daemon=True)
        self._thread.start()

    def put(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Hand over one image; it is dropped when too many wait."""
        try:
            self._jobs.put_nowait((topic, stamp_ns, data))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Finish what waits and end the worker."""
        self._jobs.put(None)
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            topic, stamp_ns, data = job
            try:
                message = self._compressed(deserialize_message(data, Image), stamp_ns)
                self._bag.write(self._names[topic], stamp_ns, serialize_message(message))
            except (NovaflowError, ValueError, RuntimeError, cv2.error) as error:
                self.dropped += 1
                self._on_error(f"an image of {topic} was not recorded: {error}")

    def _compressed(self, message: Image, stamp_ns: int) -> CompressedImage:
        out = CompressedImage(header=message.header)
        if message.encoding in ("16UC1", "mono16"):
            depth = np.asarray(image_from_msg(message), np.uint16)
            out.format, data = image_codec.DEPTH_FORMAT, image_codec.encode_depth(depth)
        else:
            color = color_from_msg(message)
            self._on_color(color, stamp_ns)
            data = image_codec.encode_color(color, self._quality)
            out.format = image_codec.COLOR_FORMAT
        out.data = buffer(np.frombuffer(data, np.uint8), "B")
        return out
