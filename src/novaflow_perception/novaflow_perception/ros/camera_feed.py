"""The newest messages of one RGB-D camera, kept as they came until somebody asks for them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_perception.core.capture import CameraFrame, check_sizes
from novaflow_ros.conversions import (
    camera_info_from_msg,
    color_from_msg,
    depth_from_msg,
    time_to_ns,
)

KEPT = 12  # messages a topic
SLOP_NS = 20_000_000  # how far colour and depth of one frame may be apart


class CameraFeed:
    """Subscribes to colour, aligned depth and both camera_infos of one camera."""

    def __init__(self, node: Node, name: str, prefix: str) -> None:
        """Subscribe below a topic prefix such as `/camera/camera`."""
        self.name = name
        self._node = node
        self._news = threading.Condition()
        topics: dict[str, tuple[str, Any]] = {
            "color": (f"{prefix}/color/image_raw", Image),
            "depth": (f"{prefix}/aligned_depth_to_color/image_raw", Image),
            "color_info": (f"{prefix}/color/camera_info", CameraInfo),
            "depth_info": (f"{prefix}/aligned_depth_to_color/camera_info", CameraInfo),
        }
        self._topics = {part: topic for part, (topic, _) in topics.items()}
        self._kept: dict[str, deque[Any]] = {part: deque(maxlen=KEPT) for part in topics}
        group = ReentrantCallbackGroup()
        self._subscriptions = [
            node.create_subscription(
                kind,
                topic,
                lambda message, part=part: self._keep(part, message),
                qos_profile_sensor_data,
                callback_group=group,
            )
            for part, (topic, kind) in topics.items()
        ]

    def destroy(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def _keep(self, part: str, message: Any) -> None:
        with self._news:
            self._kept[part].append((time.monotonic(), message))
            self._news.notify_all()

    def frames(
        self, count: int, since: float, timeout_s: float, max_age_s: float
    ) -> tuple[str, list[CameraFrame], CameraModel]:
        """Wait for frames that arrive after `since` (monotonic [s]), oldest first.

        Returns:
            The optical frame's name, `count` frames, and the colour intrinsics.

        Raises:
            PerceptionError: NO_CAMERA naming the silent topics, STALE_IMAGE, CAMERA_INFO_MISMATCH.
        """
        end = time.monotonic() + timeout_s
        with self._news:
            while not self._ready(count, since):
                left = end - time.monotonic()
                if left <= 0:
                    raise self._silence(count, since, timeout_s)
                self._news.wait(left)
            pairs = self._pairs(since)[-count:]
            model = camera_info_from_msg(self._kept["color_info"][-1][1])
            depth_model = camera_info_from_msg(self._kept["depth_info"][-1][1])
        color, depth = pairs[-1]
        check_sizes(
            self.name,
            (color.height, color.width),
            (depth.height, depth.width),
            model,
            depth_model,
        )
        age_s = (self._node.get_clock().now().nanoseconds - time_to_ns(color.header.stamp)) * 1e-9
        if age_s > max_age_s:
            raise PerceptionError(
                Code.STALE_IMAGE,
                f"camera '{self.name}': the newest image is {age_s:.2f} s old; "
                f"at most {max_age_s:.2f} s is allowed. Are the clocks in step?",
            )
        frames = [
            CameraFrame(time_to_ns(c.header.stamp), color_from_msg(c), depth_from_msg(d))
            for c, d in pairs
        ]
        return color.header.frame_id, frames, model

    def _ready(self, count: int, since: float) -> bool:
        infos = self._kept["color_info"] and self._kept["depth_info"]
        return bool(infos) and len(self._pairs(since)) >= count

    def _pairs(self, since: float) -> list[tuple[Image, Image]]:
        depths = [(time_to_ns(m.header.stamp), m) for t, m in self._kept["depth"] if t >= since]
        out = []
        for arrived, color in self._kept["color"]:
            stamp = time_to_ns(color.header.stamp)
            near = [(abs(s - stamp), i) for i, (s, _) in enumerate(depths)]
            if arrived >= since and near and min(near)[0] <= SLOP_NS:
                out.append((color, depths[min(near)[1]][1]))
        return out

    def _silence(self, count: int, since: float, timeout_s: float) -> PerceptionError:
        silent = [
            self._topics[part]
            for part, kept in self._kept.items()
            if not kept or (part in ("color", "depth") and kept[-1][0] < since)
        ]
        if silent:
            return PerceptionError(
                Code.NO_CAMERA,
                f"camera '{self.name}': nothing on {', '.join(silent)} for {timeout_s:.1f} s; "
                "is the camera running?",
            )
        got = len(self._pairs(since))
        return PerceptionError(
            Code.NO_CAMERA,
            f"camera '{self.name}': {got} of {count} colour and depth images with one stamp "
            f"arrived in {timeout_s:.1f} s; is enable_sync set?",
        )
