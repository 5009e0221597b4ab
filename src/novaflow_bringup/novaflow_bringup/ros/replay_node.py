"""replay_node: a recorded run's sensors, fed back and then held at the captured instant."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from novaflow_bringup.core import image_codec
from novaflow_bringup.ros.message_types import message_class
from novaflow_bringup.ros.recorded_run import COMPRESSED_ENDS, Sensed, read_run
from novaflow_bringup.ros.replayed_goal import replay_goal
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import NovaflowError
from novaflow_core.settings import setting
from novaflow_ros.conversions import image_to_msg, time_from_ns, time_to_ns
from novaflow_ros.node import NovaflowNode, run

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
HOLD_PERIOD_S = 0.1
REPEAT_PERIOD_S = 0.2
WARM_UP = 5


@dataclass(frozen=True)
class ReplaySettings:
    """Parameters of replay_node."""

    run: str = setting("", "folder of the recorded run")
    send_goal: bool = setting(True, "send the recorded goal, planning only, and compare")
    ready_timeout: float = setting(60.0, "wait for the graph", unit="s", low=1, high=600)


class ReplayNode(NovaflowNode[ReplaySettings]):
    """Publishes what the sensors said; nothing that the graph itself said is fed back."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("replay_node", ReplaySettings)
        self._ending = threading.Event()

    def setup(self) -> None:
        """Read the bag and decompress its images."""
        self.recorded = read_run(Path(self.settings.run).expanduser())
        self._topics: dict[str, Any] = {}
        self._now_ns = 0
        for item in self.recorded.latched:
            self._publish(item, LATCHED)
        self._frames = [_decompressed(item) for item in self.recorded.stream]
        self._clock_topic = self.create_publisher(Clock, "/clock", 10)
        self.get_logger().info(
            f"{self.recorded.folder}: {len(self._frames)} messages up to the capture"
        )

    def start(self) -> None:
        """Begin to feed."""
        self._ending.clear()
        threading.Thread(target=self._feed, name="feed", daemon=True).start()
        if self.settings.send_goal:
            threading.Thread(target=self._ask, name="ask", daemon=True).start()

    def stop(self) -> None:
        """End."""
        self._ending.set()

    def _feed(self) -> None:
        """Play once with the recorded timing when someone looks; then hold the captured instant.

        Images are not repeated: who keeps the last few shall keep those that were kept before.
        A camera_info comes only at the end, and so tells listeners that everything was said.
        """
        stream = [(item, m) for item, m in self._frames if not isinstance(m, CameraInfo)]
        held = {item.topic: (item, m) for item, m in self._frames if not isinstance(m, Image)}
        for item, message in stream:
            if isinstance(message, Image):
                self._topic(item, RELIABLE)
        while not self._watched() and not self._ending.wait(HOLD_PERIOD_S):
            self._tell_time(_stamp_ns(stream[0][1]))
        images = [(item, m) for item, m in stream if isinstance(m, Image)]
        first = {item.topic: (item, m) for item, m in reversed(images)}
        last = {item.topic: (item, m) for item, m in images}
        # Best-effort readers may miss what comes right after they are found, so the first images
        # come several times, and the last ones twice.
        if not self._repeat(first, WARM_UP):
            return
        began, first_ns = time.monotonic(), stream[0][0].stamp_ns
        for item, message in stream:
            due = began + (item.stamp_ns - first_ns) * 1e-9
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return
            self._tell_time(_stamp_ns(message))
            self._publish(item, RELIABLE, message)
        self._repeat(last, 1)
        while not self._ending.wait(HOLD_PERIOD_S):
            self._tell_time(self.recorded.end_ns)
            for item, message in held.values():
                self._publish(item, RELIABLE, message)

    def _repeat(self, frames: dict[str, tuple[Sensed, Any]], times: int) -> bool:
        """Publish one image of every topic several times; False when the node ends meanwhile."""
        for _ in range(times):
            for item, message in frames.values():
                self._publish(item, RELIABLE, message)
            if self._ending.wait(REPEAT_PERIOD_S):
                return False
        return True

    def _watched(self) -> bool:
        """Whether somebody listens to every image topic."""
        images = [topic for topic in self._topics.values() if topic.msg_type is Image]
        return all(topic.get_subscription_count() > 0 for topic in images)

    def _tell_time(self, stamp_ns: int) -> None:
        """Let the clock follow the messages; it never goes back, nor past the capture."""
        self._now_ns = max(self._now_ns, min(stamp_ns, self.recorded.end_ns))
        if self._now_ns > 0:
            self._clock_topic.publish(Clock(clock=time_from_ns(self._now_ns)))

    def _publish(self, item: Sensed, qos: QoSProfile, message: Any = None) -> None:
        self._topic(item, qos).publish(item.data if message is None else message)

    def _topic(self, item: Sensed, qos: QoSProfile) -> Any:
        topic = _raw_topic(item.topic)
        if topic not in self._topics:
            kind = Image if topic != item.topic else message_class(item.type_name)
            self._topics[topic] = self.create_publisher(kind, topic, qos)
        return self._topics[topic]

    def _ask(self) -> None:
        try:
            with TaskClient(self.context.get_domain_id()) as client:
                client.wait_ready(
                    self.settings.ready_timeout,
                    plan_only=True,
                    camera=True,
                    should_stop=self._ending.is_set,
                )
                _record, comparison = replay_goal(
                    client, self.recorded, should_cancel=self._ending.is_set
                )
            self.get_logger().info(f"replayed: {comparison}")
        except NovaflowError as error:
            self.get_logger().error(f"not replayed: {error}")


def _decompressed(item: Sensed) -> tuple[Sensed, Any]:
    if not item.topic.endswith(COMPRESSED_ENDS):
        return item, deserialize_message(item.data, message_class(item.type_name))
    message = deserialize_message(item.data, CompressedImage)
    data = bytes(message.data)
    stamp_ns, frame = time_to_ns(message.header.stamp), message.header.frame_id
    if item.topic.endswith("/compressedDepth"):
        depth = image_codec.decode_depth(data)
        return item, image_to_msg(np.ascontiguousarray(depth), "16UC1", frame, stamp_ns)
    return item, image_to_msg(image_codec.decode_color(data), "rgb8", frame, stamp_ns)


def _stamp_ns(message: Any) -> int:
    header = getattr(message, "header", None)
    return 0 if header is None else time_to_ns(header.stamp)


def _raw_topic(topic: str) -> str:
    for end in COMPRESSED_ENDS:
        if topic.endswith(end):
            return topic.removesuffix(end)
    return topic


def main() -> None:
    """Run the node."""
    run(ReplayNode, threads=2)


if __name__ == "__main__":
    main()
