"""What tracker_node tells of the object, for the executor's loop."""

from __future__ import annotations

import math
import threading
from collections import deque

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from novaflow_executor.core.sight import Sighting
from novaflow_msgs.msg import ObjectTrack
from novaflow_ros import conversions as convert

Array = NDArray[np.float64]

TRACK_TOPIC = "/novaflow/object_track"
EXPECTED_TOPIC = "/novaflow/object_expected"
KEPT = 100


class TrackedObject:
    """Sightings of one scene's target, newest last; implements `ObjectSight`."""

    def __init__(self, node: Node) -> None:
        """Listen."""
        self._node = node
        self._lock = threading.Lock()
        self._scene_id, self._loops = "", 0
        self._seen: deque[Sighting] = deque(maxlen=KEPT)
        self._images, self._first_s, self._last_s, self._gap_s = 0, 0.0, 0.0, 0.0
        self._subscription = node.create_subscription(
            ObjectTrack,
            TRACK_TOPIC,
            self._heard,
            10,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

        self._hints = node.create_publisher(ObjectTrack, EXPECTED_TOPIC, 10)

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_publisher(self._hints)
        self._node.destroy_subscription(self._subscription)

    def follow(self, scene_id: str) -> None:
        """From now on only tracks of this scene count; older ones are forgotten."""
        with self._lock:
            self._scene_id = scene_id
            self._loops += 1
            self._seen.clear()
            self._images, self._gap_s = 0, 0.0

    def pace(self) -> tuple[float, float]:
        """Images a second that were looked at since, and the longest time between two [s].

        NaN until there were two.
        """
        with self._lock:
            span_s = self._last_s - self._first_s
            if self._images < 2 or span_s <= 0.0:
                return math.nan, math.nan
            return (self._images - 1) / span_s, self._gap_s

    def since(self, time_s: float) -> list[Sighting]:
        """Sightings of images taken at `time_s` [s] or later, oldest first."""
        with self._lock:
            return [s for s in self._seen if s.time_s >= time_s]

    def expect(self, time_s: float, T_moved: Array, carry: int) -> None:
        """Tell tracker_node where the object should be at a time [s]."""
        hint = ObjectTrack(scene_id=self._scene_id, label=f"loop {self._loops}, carry {carry}")
        hint.header.stamp = convert.time_from_ns(round(time_s * 1e9))
        hint.pose.pose = convert.pose_from_matrix(T_moved)
        self._hints.publish(hint)

    def _heard(self, message: ObjectTrack) -> None:
        sighting = Sighting(
            convert.time_to_ns(message.header.stamp) * 1e-9,
            convert.pose_to_matrix(message.pose.pose),
            bool(message.visible),
        )
        with self._lock:
            if message.scene_id != self._scene_id:
                return
            self._seen.append(sighting)
            if self._images:
                self._gap_s = max(self._gap_s, sighting.time_s - self._last_s)
            else:
                self._first_s = sighting.time_s
            self._images, self._last_s = self._images + 1, sighting.time_s
