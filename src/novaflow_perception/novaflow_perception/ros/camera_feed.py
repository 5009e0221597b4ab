"""The newest images of one camera, kept as they came until someone wants a view.

The messages stay serialised: turning ten images a second into Python objects that nobody looks at
costs a fifth of a core.
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_perception.core.capture import RawView
from novaflow_ros import conversions

_CDR_HEADER = 4  # bytes before the first field
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class CameraFeed:
    """Subscribes to one camera and pairs colour with depth by stamp."""

    def __init__(self, node: Node, name: str, prefix: str, depth_frames: int) -> None:
        """Subscribe to `<prefix>/color/...` and `<prefix>/aligned_depth_to_color/...`."""
        self.name = name
        self._arrived = threading.Condition()
        self._color: deque[bytes] = deque(maxlen=max(8, depth_frames + 3))
        self._depth: deque[bytes] = deque(maxlen=max(8, depth_frames + 3))
        self._infos: dict[str, bytes] = {}
        self._depth_frames = depth_frames
        color, depth = f"{prefix}/color", f"{prefix}/aligned_depth_to_color"
        self._topics = {
            "color": f"{color}/image_raw",
            "color_info": f"{color}/camera_info",
            "depth": f"{depth}/image_raw",
            "depth_info": f"{depth}/camera_info",
        }
        group = MutuallyExclusiveCallbackGroup()
        self._node = node
        self._subscriptions = [
            node.create_subscription(
                kind,
                self._topics[key],
                self._stored(store),
                _SENSOR,
                callback_group=group,
                raw=True,
            )
            for key, kind, store in (
                ("color", Image, self._color.append),
                ("depth", Image, self._depth.append),
                ("color_info", CameraInfo, lambda m: self._infos.__setitem__("color", m)),
                ("depth_info", CameraInfo, lambda m: self._infos.__setitem__("depth", m)),
            )
        ]

    def _stored(self, store: Callable[[Any], None]) -> Callable[[Any], None]:
        def on_message(message: Any) -> None:
            with self._arrived:
                store(message)
                self._arrived.notify_all()

        return on_message

    def wait_newer(self, stamp_ns: int, timeout_s: float) -> bool:
        """Wait until all topics speak and a pair is newer than a stamp; False if too late."""

        def there() -> bool:
            newest = self.newest_stamp_ns()
            return newest is not None and newest >= stamp_ns and not self.silent_topics()

        with self._arrived:
            return self._arrived.wait_for(there, timeout_s)

    def destroy(self) -> None:
        """Unsubscribe."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    def newest_stamp_ns(self) -> int | None:
        """Stamp of the newest pair of colour and depth [ns]; None without one."""
        pair = self._newest_pair()
        return None if pair is None else _stamp(pair[0])

    def silent_topics(self) -> list[str]:
        """Topics from which nothing came yet."""
        heard = {
            "color": bool(self._color),
            "depth": bool(self._depth),
            "color_info": "color" in self._infos,
            "depth_info": "depth" in self._infos,
        }
        return [self._topics[key] for key, ok in heard.items() if not ok]

    def raw_view(self) -> RawView:
        """Convert the newest pair, and the depth images before it.

        Raises:
            PerceptionError: NO_CAMERA, naming the topics that are silent or whose stamps never
                meet.
            ShapeError: If an image contradicts its own size.
        """
        silent = self.silent_topics()
        if silent:
            raise PerceptionError(
                Code.NO_CAMERA,
                f"camera '{self.name}': nothing came on {', '.join(silent)}; "
                "is the camera's driver running?",
            )
        pair = self._newest_pair()
        if pair is None:
            raise PerceptionError(
                Code.NO_CAMERA,
                f"camera '{self.name}': no colour and depth image have the same stamp on "
                f"{self._topics['color']} and {self._topics['depth']}; turn on the driver's sync",
            )
        stamp_ns = _stamp(pair[1])
        earlier = [m for m in list(self._depth) if _stamp(m) < stamp_ns]
        kept = [*earlier[max(0, len(earlier) - (self._depth_frames - 1)) :], pair[1]]
        color = deserialize_message(pair[0], Image)
        depths = [deserialize_message(message, Image) for message in kept]
        return RawView(
            camera=self.name,
            frame_id=color.header.frame_id,
            stamp_ns=conversions.time_to_ns(color.header.stamp),
            color=conversions.color_from_msg(color),
            depths=[conversions.depth_from_msg(message) for message in depths],
            color_model=_camera(self._infos["color"]),
            depth_model=_camera(self._infos["depth"]),
        )

    def _newest_pair(self) -> tuple[bytes, bytes] | None:
        depths = {_stamp(message): message for message in list(self._depth)}
        for color in reversed(list(self._color)):
            if _stamp(color) in depths:
                return color, depths[_stamp(color)]
        return None


def _stamp(message: bytes) -> int:
    """Stamp [ns] of a serialised message whose first field is a header."""
    sec, nanosec = struct.unpack_from("<iI", message, _CDR_HEADER)
    return int(sec) * 1_000_000_000 + int(nanosec)


def _camera(message: bytes) -> CameraModel:
    return conversions.camera_info_from_msg(deserialize_message(message, CameraInfo))
