"""What a recorded run's sensors said up to the moment that its scene was captured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import Reader, ReaderError
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from novaflow_bringup.core.run_folder import BAG, OUTCOME
from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.outcome import goal_from_json
from novaflow_core.errors import Code, PlatformError
from novaflow_msgs.msg import CollisionScene, StageReport
from novaflow_ros.conversions import time_to_ns

COMPRESSED_ENDS = ("/compressed", "/compressedDepth")
LATCHED = ("/tf_static", "/robot_description")
STREAMS = ("/tf", "/joint_states")
GOAL, STAGE, SCENE, CLOCK = (
    "/novaflow/goal", "/novaflow/stage", "/novaflow/collision_scene", "/clock",
)  # fmt: skip
AFTER_NS = 200_000_000  # sensors that came just behind the last used image still belong to it


@dataclass(frozen=True)
class Sensed:
    """One recorded message of a sensor topic.

    Attributes:
        stamp_ns: When it was recorded.
        topic: As recorded.
        type_name: e.g. "sensor_msgs/msg/JointState".
        data: Serialised.
    """

    stamp_ns: int
    topic: str
    type_name: str
    data: bytes


@dataclass(frozen=True)
class RecordedRun:
    """A run that can be fed back.

    Attributes:
        folder: Of the run.
        goal: What was asked.
        outcome: Its `outcome.json`; empty when it has none.
        latched: Messages to offer to every late listener.
        stream: The other sensors' messages in the order they came, up to the capture.
        end_ns: Time of the capture on the graph's clock [ns].
    """

    folder: Path
    goal: Goal
    outcome: dict[str, Any]
    latched: tuple[Sensed, ...]
    stream: tuple[Sensed, ...]
    end_ns: int


@dataclass
class _Found:
    goal: Goal | None = None
    capture_ns: int = 0  # header stamp of the captured views
    captured_at: int = 0  # when the capture had ended, by the recorder's clock
    clocks: list[tuple[int, int]] = field(default_factory=list)


def read_run(folder: Path) -> RecordedRun:
    """Read a run's bag.

    Raises:
        PlatformError: INVALID_SETTING when there is no readable bag or no goal in it.
    """
    path = folder / OUTCOME
    outcome = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    with _opened(folder / BAG) as bag:
        found = _find(bag, str(outcome.get("scene_id", "")))
        if found.goal is None:
            raise PlatformError(Code.INVALID_SETTING, f"{folder / BAG} holds no {GOAL}")
        latched: dict[str, list[Sensed]] = {}
        stream: list[Sensed] = []
        for item in _messages(bag):
            if item.topic in LATCHED:
                latched.setdefault(item.topic, []).append(item)
            elif _is_sensor(item.topic) and _in_time(item, found):
                stream.append(item)
    if not any(item.topic.endswith(COMPRESSED_ENDS) for item in stream):
        raise PlatformError(
            Code.INVALID_SETTING, f"{folder / BAG} holds no image before the capture"
        )
    end_ns = found.capture_ns or _last_image_ns(stream)
    keep = tuple(item for items in latched.values() for item in items)
    return RecordedRun(folder, found.goal, outcome, keep, tuple(stream), end_ns)


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    try:
        with Reader(path) as bag:
            yield bag
    except (ReaderError, OSError) as error:
        raise PlatformError(Code.INVALID_SETTING, f"{path} is no readable bag: {error}") from error


def _messages(bag: Reader, *topics: str) -> Iterator[Sensed]:
    chosen = [c for c in bag.connections if not topics or c.topic in topics]
    for connection, stamp_ns, data in bag.messages(connections=chosen):
        yield Sensed(stamp_ns, connection.topic, connection.msgtype, bytes(data))


def _find(bag: Reader, scene_id: str) -> _Found:
    found = _Found()
    for item in _messages(bag, GOAL, STAGE, SCENE, CLOCK):
        if item.topic == GOAL:  # the last one: an older goal may still have been latched
            found.goal = goal_from_json(deserialize_message(item.data, String).data)
        elif item.topic == SCENE and not found.capture_ns:
            scene = deserialize_message(item.data, CollisionScene)
            if scene.scene_id == scene_id:
                found.capture_ns = time_to_ns(scene.header.stamp)
        elif item.topic == STAGE and not found.captured_at:
            report = deserialize_message(item.data, StageReport)
            ended = report.state in (StageReport.DONE, StageReport.FAILED)
            if report.stage == "capture" and ended:
                found.captured_at = item.stamp_ns
        elif item.topic == CLOCK:
            clock = deserialize_message(item.data, Clock)
            found.clocks.append((item.stamp_ns, time_to_ns(clock.clock)))
    return found


def _is_sensor(topic: str) -> bool:
    camera = topic.endswith((*COMPRESSED_ENDS, "/camera_info"))
    return camera or topic in STREAMS


def _in_time(item: Sensed, found: _Found) -> bool:
    """Whether a message is from before the capture: by an image's stamp, else by arrival."""
    if found.capture_ns and item.topic.endswith(COMPRESSED_ENDS):
        header = deserialize_message(item.data, CompressedImage).header
        return time_to_ns(header.stamp) <= found.capture_ns
    end = found.captured_at or _arrival(found)
    return not end or item.stamp_ns <= end + AFTER_NS


def _arrival(found: _Found) -> int:
    """When the captured instant was, by the recorder's clock; 0 when that is not known."""
    if not found.capture_ns:
        return 0
    return next((at for at, now in found.clocks if now >= found.capture_ns), 0)


def _last_image_ns(stream: list[Sensed]) -> int:
    last = [item for item in stream if item.topic.endswith(COMPRESSED_ENDS)][-1]
    return time_to_ns(deserialize_message(last.data, CompressedImage).header.stamp)
