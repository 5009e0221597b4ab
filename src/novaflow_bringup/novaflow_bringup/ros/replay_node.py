"""replay_node: a recorded run's sensors, fed back and then held at the captured instant."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from novaflow_bringup.core import image_codec
from novaflow_bringup.core.comparison import Comparison, compare
from novaflow_bringup.core.run_folder import new_folder, write_json
from novaflow_bringup.core.run_record import RunRecord
from novaflow_bringup.ros.message_types import message_class
from novaflow_bringup.ros.recorded_run import COMPRESSED_ENDS, RecordedRun, Sensed, read_run
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.settings import setting
from novaflow_ros.conversions import image_to_msg, time_from_ns, time_to_ns
from novaflow_ros.node import NovaflowNode, run

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
HELD_IMAGES = 10  # of each stream, told again and again: as many as a temporal filter may want
HOLD_PERIOD_S = 0.1
COMPARISON = "comparison.json"


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
        """Play once with the recorded timing, then hold the last images and the clock."""
        frames, began = self._frames, time.monotonic()
        first_ns = frames[0][0].stamp_ns
        now_ns = 0
        for item, message in frames:
            due = began + (item.stamp_ns - first_ns) * 1e-9
            if self._ending.wait(max(0.0, due - time.monotonic())):
                return
            now_ns = max(now_ns, self._tell(item, message))
        held = _held(frames)
        while not self._ending.wait(HOLD_PERIOD_S):
            for item, message in held:
                self._tell(item, message)

    def _tell(self, item: Sensed, message: Any) -> int:
        """Publish a message, after the clock that belongs to it; return its stamp [ns]."""
        stamp_ns = min(_stamp_ns(message), self.recorded.end_ns)
        if self.recorded.simulated and stamp_ns > 0:
            self._clock_topic.publish(Clock(clock=time_from_ns(stamp_ns)))
        self._publish(item, RELIABLE, message)
        return stamp_ns

    def _publish(self, item: Sensed, qos: QoSProfile, message: Any = None) -> None:
        topic = _raw_topic(item.topic)
        if topic not in self._topics:
            kind = Image if topic != item.topic else message_class(item.type_name)
            self._topics[topic] = self.create_publisher(kind, topic, qos)
        self._topics[topic].publish(item.data if message is None else message)

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


def replay_goal(
    client: TaskClient, recorded: RecordedRun, **watching: Any
) -> tuple[RunRecord, Comparison | None]:
    """Send the recorded goal, planning only, and compare; the replay is written beside the run.

    Args:
        client: In the domain of the graph.
        recorded: What was recorded.
        watching: Passed on to `TaskClient.perform`.

    Returns:
        The replayed run, and the comparison where there is a recorded outcome to compare with.
    """
    folder = new_folder(recorded.folder / "replays", datetime.now(UTC))
    record = client.perform(replace(recorded.goal, plan_only=True), folder=folder, **watching)
    if not recorded.outcome or record.code == Code.CANCELLED:
        return record, None
    found = compare(recorded.outcome, record.to_json(), recorded.folder, folder)
    write_json(folder / COMPARISON, found.to_json())
    return record, found


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


def _held(frames: list[tuple[Sensed, Any]]) -> list[tuple[Sensed, Any]]:
    """Last images with their camera_infos, and the last message of every other stream."""
    last: dict[str, list[tuple[Sensed, Any]]] = {}
    for frame in frames:
        kept = last.setdefault(frame[0].topic, [])
        kept.append(frame)
        many = isinstance(frame[1], Image | CameraInfo)
        del kept[: -HELD_IMAGES if many else -1]
    return sorted((f for kept in last.values() for f in kept), key=lambda f: f[0].stamp_ns)


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
