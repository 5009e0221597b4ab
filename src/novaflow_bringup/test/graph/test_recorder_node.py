"""recorder_node over real DDS: what a camera and the graph said can be read back from the bag."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from novaflow_bringup.core import image_codec
from novaflow_core.errors import Code
from novaflow_msgs.msg import FlowCandidates, Heartbeat, StageReport
from novaflow_msgs.srv import SetRecording
from novaflow_ros.artifacts import to_uri
from novaflow_ros.conversions import image_to_msg, time_from_ns

pytestmark = pytest.mark.graph
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
COLOR = "/camera/camera/color/image_raw"
DEPTH = "/camera/camera/aligned_depth_to_color/image_raw"


class Camera:
    """Publishes a gradient, its depth, and a goal that was said before."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("camera", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.color = self.node.create_publisher(Image, COLOR, 2)
        self.depth = self.node.create_publisher(Image, DEPTH, 2)
        self.info = self.node.create_publisher(
            CameraInfo, COLOR.replace("image_raw", "camera_info"), 2
        )
        self.stage = self.node.create_publisher(StageReport, "/novaflow/stage", 10)
        self.beat = self.node.create_publisher(Heartbeat, "/novaflow/heartbeat", 10)
        self.goal = self.node.create_publisher(String, "/novaflow/goal", LATCHED)
        self.candidates = self.node.create_publisher(
            FlowCandidates, "/novaflow/candidates", LATCHED
        )
        self.goal.publish(String(data="{}"))
        self.candidates.publish(FlowCandidates(scene_id="of the goal before"))
        self.client = self.node.create_client(SetRecording, "/novaflow/set_recording")
        x, y = np.meshgrid(np.arange(320), np.arange(240))
        self.pixels = np.stack([x * 0.8, y, 255 - y], -1).astype(np.uint8)
        self.millimetres = (600 + x + 2 * y).astype(np.uint16)
        self.millimetres[:10] = 0

    def run(self, seconds: float, stage: int | None = None) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stamp = time.time_ns()
            self.color.publish(image_to_msg(self.pixels, "rgb8", "optical", stamp))
            self.depth.publish(image_to_msg(self.millimetres, "16UC1", "optical", stamp))
            info = CameraInfo(width=320, height=240)
            info.header.stamp = time_from_ns(stamp)
            self.info.publish(info)
            if stage is not None:
                self.stage.publish(StageReport(stage="execute", state=stage))
            self.executor.spin_once(timeout_sec=0.05)

    def set(self, record: bool, folder: Path) -> Any:
        assert self.client.wait_for_service(timeout_sec=10.0)
        future = self.client.call_async(SetRecording.Request(record=record, uri=to_uri(folder)))
        self.executor.spin_until_future_complete(future, timeout_sec=10.0)
        return future.result()

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture(scope="module")
def camera(domain: int) -> Iterator[Camera]:
    made = Camera(domain)
    yield made
    made.close()


@pytest.fixture(scope="module")
def recorder(start: Callable[..., Any]) -> Any:
    return start("recorder_node")


@pytest.fixture(scope="module")
def bag(camera: Camera, recorder: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "bag"
    assert camera.client.wait_for_service(timeout_sec=15.0)
    camera.run(1.5)
    answer = camera.set(True, folder)
    assert answer.code == Code.OK, answer.reason
    camera.candidates.publish(FlowCandidates(scene_id="scene_7"))
    camera.run(1.0, stage=StageReport.RUNNING)
    camera.run(0.3, stage=StageReport.DONE)
    answer = camera.set(False, folder)
    assert answer.code == Code.OK, answer.reason
    return folder


def _messages(bag: Path, topic: str) -> list[bytes]:
    with AnyReader([bag]) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        return [bytes(raw) for _, _, raw in reader.messages(chosen)]


def test_colour_survives_as_jpeg_and_depth_exactly(bag: Path, camera: Camera) -> None:
    color = [deserialize_message(m, CompressedImage) for m in _messages(bag, f"{COLOR}/compressed")]
    assert len(color) > 10
    error = np.abs(image_codec.decode_color(bytes(color[-1].data)).astype(int) - camera.pixels)
    assert error.mean() < 3 and color[-1].header.frame_id == "optical"
    depth = [
        deserialize_message(m, CompressedImage) for m in _messages(bag, f"{DEPTH}/compressedDepth")
    ]
    assert len(depth) > 10 and depth[-1].format == "16UC1; compressedDepth png"
    np.testing.assert_array_equal(
        image_codec.decode_depth(bytes(depth[-1].data)), camera.millimetres
    )


def test_the_bag_begins_before_it_was_asked_for(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        stamps = {c.topic: [] for c in reader.connections}
        for connection, stamp, _ in reader.messages():
            stamps[connection.topic].append(stamp)
    assert min(stamps[f"{COLOR}/compressed"]) < min(stamps["/novaflow/stage"]) - 3e8


def test_latched_topics_keep_their_durability_and_last_word(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        offered = {c.topic: c.ext.offered_qos_profiles[0] for c in reader.connections}
    for topic in ("/novaflow/goal", "/novaflow/candidates"):
        assert offered[topic].durability.value == int(DurabilityPolicy.TRANSIENT_LOCAL)
        assert len(_messages(bag, topic)) == 1


def test_own_messages_decode_from_the_bag_alone(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        chosen = [c for c in reader.connections if c.topic == "/novaflow/candidates"]
        (message,) = [reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages(chosen)]
    assert message.scene_id == "scene_7"


def test_what_happened_while_moving_is_on_video(bag: Path) -> None:
    video = cv2.VideoCapture(str(bag.parent / "execution.mp4"))
    frames = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    assert 5 <= frames <= 15  # one second at 10 Hz
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 320


def test_the_bag_is_closed_when_the_process_is_told_to_end(
    camera: Camera, recorder: Any, bag: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "bag"
    assert camera.set(True, folder).code == Code.OK
    camera.run(0.5)
    recorder.terminate()
    recorder.wait(10.0)
    assert (folder / "metadata.yaml").exists()
    assert _messages(folder, "/novaflow/goal")
