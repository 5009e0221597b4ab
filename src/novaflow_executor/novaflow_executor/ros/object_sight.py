"""What tracker_node tells of the object, for the executor's loop."""

from __future__ import annotations

import threading
from collections import deque

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from novaflow_executor.core.sight import Sighting
from novaflow_msgs.msg import ObjectTrack
from novaflow_ros import conversions as convert

TRACK_TOPIC = "/novaflow/object_track"
KEPT = 100


class TrackedObject:
    """Sightings of one scene's target, newest last; implements `ObjectSight`."""

    def __init__(self, node: Node) -> None:
        """Listen."""
        self._node = node
        self._lock = threading.Lock()
        self._scene_id = ""
        self._seen: deque[Sighting] = deque(maxlen=KEPT)
        self._subscription = node.create_subscription(
            ObjectTrack,
            TRACK_TOPIC,
            self._heard,
            10,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def follow(self, scene_id: str) -> None:
        """From now on only tracks of this scene count; older ones are forgotten."""
        with self._lock:
            self._scene_id = scene_id
            self._seen.clear()

    def since(self, time_s: float) -> list[Sighting]:
        """Sightings of images taken at `time_s` [s] or later, oldest first."""
        with self._lock:
            return [s for s in self._seen if s.time_s >= time_s]

    def _heard(self, message: ObjectTrack) -> None:
        sighting = Sighting(
            convert.time_to_ns(message.header.stamp) * 1e-9,
            convert.pose_to_matrix(message.pose.pose),
            bool(message.visible),
        )
        with self._lock:
            if message.scene_id == self._scene_id:
                self._seen.append(sighting)
