"""tracker_node: follows the target while it is moved."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

from novaflow_core.errors import NovaflowError, ShapeError
from novaflow_msgs.msg import ObjectTrack
from novaflow_msgs.srv import TrackObject
from novaflow_perception.core.tracking import Carried, ObjectTracker, Track, TrackerSettings
from novaflow_ros.conversions import (
    color_from_msg,
    grounding_from_msg,
    image_from_msg,
    pose_from_matrix,
    pose_to_matrix,
    scene_from_msg,
    time_to_ns,
)
from novaflow_ros.node import NovaflowNode, run
from novaflow_ros.services import serve

EXPECTED_TOPIC = "/novaflow/object_expected"
COLOR_TOPIC = "/camera/camera/color/image_raw"
DEPTH_TOPIC = "/camera/camera/aligned_depth_to_color/image_raw"
_EXPECTED_KEPT = 100
_EXPECTED_AHEAD_NS = 50_000_000  # a hint may be so much newer than the image that it serves
_UNITS_M = {"16UC1": 1e-3, "mono16": 1e-3, "32FC1": 1.0}


class TrackerNode(NovaflowNode[TrackerSettings]):
    """Serves TrackObject; images are subscribed to only while something is tracked."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters."""
        super().__init__("tracker_node", TrackerSettings, **kwargs)
        self._lock = threading.Lock()
        self._tracker: ObjectTracker | None = None
        self._images: list[Subscription[Image]] = []
        self._waiting: dict[str, Image] = {}
        self._pairs: queue.Queue[tuple[Image, Image] | None] = queue.Queue(1)
        self._expected: deque[ObjectTrack] = deque(maxlen=_EXPECTED_KEPT)

    def setup(self) -> None:
        """Create the service and the topic."""
        self._group = MutuallyExclusiveCallbackGroup()
        self._tracks = self.create_publisher(ObjectTrack, "/novaflow/object_track", 10)
        self._hints = self.create_subscription(
            ObjectTrack,
            EXPECTED_TOPIC,
            self._hinted,
            _EXPECTED_KEPT,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._lane = ThreadPoolExecutor(1, "track_object")
        self._service = serve(self, TrackObject, "/novaflow/track_object", self._serve, self._lane)
        # A thread of its own: a frame takes longer than the heartbeat may wait on a busy machine.
        threading.Thread(target=self._work, name="tracking", daemon=True).start()

    def stop(self) -> None:
        """Stop tracking."""
        self._end()

    def teardown(self) -> None:
        """Remove the service and the topic."""
        self._pairs.put(None)
        self._lane.shutdown(wait=False, cancel_futures=True)
        self.destroy_service(self._service)
        self.destroy_subscription(self._hints)
        self.destroy_publisher(self._tracks)

    def _serve(self, request: Any, _response: Any) -> None:
        self._end()
        if request.track:
            self._begin(request)

    def _begin(self, request: Any) -> None:
        scene, grounding = scene_from_msg(request.scene), grounding_from_msg(request.grounding)
        tracker = ObjectTracker(scene, grounding, self.settings)
        task = grounding.task
        with self._lock:
            self._tracker, self._scene = tracker, scene
            self._label = task.target.text or grounding.target.description
            self._waiting.clear()
        qos = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
        # Without event handlers: removing those under a running executor breaks its wait set.
        silent = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._images = [
            self.create_subscription(
                Image,
                topic,
                lambda m, k=kind: self._take(k, m),
                qos,
                callback_group=self._group,
                event_callbacks=silent,
            )
            for kind, topic in (("color", COLOR_TOPIC), ("depth", DEPTH_TOPIC))
        ]

    def _end(self) -> None:
        with self._lock:
            self._tracker = None
            self._waiting.clear()
        for subscription in self._images:
            self.destroy_subscription(subscription)
        self._images = []

    def _take(self, kind: str, message: Image) -> None:
        """Pair the newest colour and depth of one stamp; both come through one callback group."""
        self._waiting[kind] = message
        color, depth = self._waiting.get("color"), self._waiting.get("depth")
        if color is None or depth is None or color.header.stamp != depth.header.stamp:
            return
        self._waiting.clear()
        with contextlib.suppress(queue.Full):  # still at the frame before: this one is skipped
            self._pairs.put_nowait((color, depth))

    def _work(self) -> None:
        while (pair := self._pairs.get()) is not None:
            try:
                self._follow(*pair)
            except NovaflowError as error:
                self.get_logger().warning(
                    f"image not used: {error.reason}", throttle_duration_sec=2.0
                )

    def _follow(self, color: Image, depth: Image) -> None:
        with self._lock:
            if self._tracker is None or time_to_ns(color.header.stamp) < self._scene.main.stamp_ns:
                return
            if depth.encoding not in _UNITS_M:
                raise ShapeError(f"depth encoding '{depth.encoding}' is not 16UC1 or 32FC1")
            track = self._tracker.update(
                color_from_msg(color), image_from_msg(depth), _UNITS_M[depth.encoding],
                self._carried(time_to_ns(color.header.stamp)),
            )  # fmt: skip
        self._publish(color, track)

    def _hinted(self, hint: ObjectTrack) -> None:
        self._expected.append(hint)

    def _carried(self, stamp_ns: int) -> Carried | None:
        """The newest hint up to an image's stamp; a gripper at rest gives none, and stays there."""
        until_ns, scene_id = stamp_ns + _EXPECTED_AHEAD_NS, self._scene.scene_id
        for hint in reversed(list(self._expected)):
            if hint.scene_id == scene_id and time_to_ns(hint.header.stamp) <= until_ns:
                return Carried(pose_to_matrix(hint.pose.pose), hint.label)
        return None

    def _publish(self, color: Image, track: Track) -> None:
        message = ObjectTrack(
            scene_id=self._scene.scene_id,
            label=self._label,
            visible=track.visible,
            support=track.support,
        )
        message.header.stamp = color.header.stamp
        message.header.frame_id = self._scene.planning_frame
        message.pose.pose = pose_from_matrix(track.pose)
        message.pose.covariance = track.covariance.ravel()
        self._tracks.publish(message)


def main() -> None:
    """Run the node."""
    run(TrackerNode, threads=1)
