"""recorder_node: `/novaflow/set_recording` writes the graph into a bag, images compressed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from novaflow_bringup.core.execution_video import ExecutionVideo
from novaflow_bringup.core.run_folder import EXECUTION
from novaflow_bringup.ros.bag_writer import BagWriter
from novaflow_bringup.ros.image_lane import ImageLane
from novaflow_bringup.ros.liveness import Liveness
from novaflow_bringup.ros.message_types import message_class
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.settings import setting
from novaflow_msgs.msg import StageReport
from novaflow_msgs.srv import SetRecording
from novaflow_ros.artifacts import to_path
from novaflow_ros.node import NovaflowNode, run

COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGE = "sensor_msgs/msg/Image"
FILMED = ("execute", "observe")
LOOK_AGAIN_S = 0.5
ORPHANED_S = 5.0  # of silence of the task node: nobody will say stop any more


@dataclass(frozen=True)
class RecorderSettings:
    """Parameters of recorder_node."""

    topics: tuple[str, ...] = setting(
        ("/joint_states", "/tf", "/tf_static", "/robot_description", "/clock"),
        "topics to record besides all of /novaflow and the cameras",
    )
    cameras: tuple[str, ...] = setting(("/camera/camera",), "name spaces of cameras")
    jpeg_quality: int = setting(90, "of the recorded colour images", low=1, high=100)
    video_width: int = setting(640, "width of the execution video", unit="px", low=64, high=4096)
    video_fps: float = setting(10.0, "of the execution video", unit="Hz", low=1, high=60)


class RecorderNode(NovaflowNode[RecorderSettings]):
    """Records between two calls; a closed bag is complete even when the node is told to end."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("recorder_node", RecorderSettings)
        self._lock = threading.RLock()
        self._bag: BagWriter | None = None
        self._lane: ImageLane | None = None
        self._film: ExecutionVideo | None = None
        self._filming = False
        self._taken: dict[str, Any] = {}
        self._refused: set[str] = set()

    def setup(self) -> None:
        """Create the service."""
        self._group = ReentrantCallbackGroup()
        alone = MutuallyExclusiveCallbackGroup()
        self._liveness = Liveness(self, self._group)
        self._service = self.create_service(
            SetRecording, "/novaflow/set_recording", self._set, callback_group=alone
        )
        self._stages = self.create_subscription(
            StageReport, "/novaflow/stage", self._staged, 20, callback_group=self._group
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(
            LOOK_AGAIN_S, self._look, callback_group=alone, clock=steady
        )

    def stop(self) -> None:
        """Close the bag."""
        self._finish()

    def _set(
        self, request: SetRecording.Request, response: SetRecording.Response
    ) -> SetRecording.Response:
        try:
            told = self._finish()  # a bag whose owner died is closed by the next one
            if request.record:
                told = self._begin(to_path(request.uri))
            response.code, response.reason = int(Code.OK), told
        except NovaflowError as error:
            response.code, response.reason = int(error.code), error.reason
        return response

    def _begin(self, folder: Path) -> str:
        settings = self.settings
        with self._lock:
            self._bag = BagWriter(folder)
            self._film = ExecutionVideo(
                folder.parent / EXECUTION, width=settings.video_width, fps=settings.video_fps
            )
            self._filming = False
            self._lane = ImageLane(
                self._bag,
                self._compressed_names(),
                quality=settings.jpeg_quality,
                on_color=self._frame,
                on_error=lambda text: self.get_logger().warning(text),
            )
            self._owner = self._liveness.pid("task_node")
            self._look()
            return f"recording {len(self._taken)} topics into {folder}"

    def _finish(self) -> str:
        with self._lock:
            bag, lane, film = self._bag, self._lane, self._film
            self._bag = self._lane = self._film = None
            self._filming = False
            for subscription in self._taken.values():
                self.destroy_subscription(subscription)
            self._taken.clear()
        if bag is None or lane is None or film is None:
            return "nothing was being recorded"
        lane.close()
        film.close()
        bag.close()
        messages = sum(bag.counts.values())
        told = f"{messages} messages of {len(bag.counts)} topics, {lane.dropped} images dropped"
        self.get_logger().info(f"{bag.folder}: {told}")
        return told

    def _look(self) -> None:
        """Subscribe to what is published by now; close a bag that nobody owns any more."""
        with self._lock:
            bag, lane = self._bag, self._lane
            if bag is None or lane is None:
                return
            for topic, types in self.get_topic_names_and_types():
                if topic not in self._taken and topic not in self._refused and self._wanted(topic):
                    self._take(bag, lane, topic, types[0])
            if lost := self._liveness.lost("task_node", self._owner, ORPHANED_S):
                self.get_logger().warning(f"{lost}: closing its bag")
                self._finish()

    def _take(self, bag: BagWriter, lane: ImageLane, topic: str, type_name: str) -> None:
        publishers = self.get_publishers_info_by_topic(topic)
        if not publishers:
            return
        offered = publishers[0].qos_profile
        image = topic in self._compressed_names()
        qos = QoSProfile(
            # Images are plenty: losing one is better than slowing their publisher down.
            depth=2 if image else 200,
            reliability=ReliabilityPolicy.BEST_EFFORT if image else offered.reliability,
            durability=DurabilityPolicy.VOLATILE if image else offered.durability,
        )
        try:
            kind = message_class(type_name)
            if image:
                bag.add(self._compressed_names()[topic], COMPRESSED, offered)
            else:
                bag.add(topic, type_name, offered)
        except NovaflowError as error:
            self._refused.add(topic)
            self.get_logger().warning(f"{topic} is not recorded: {error}")
            return
        keep = lane.put if image else _writer(bag)
        self._taken[topic] = self.create_subscription(
            kind, topic, lambda data: keep(topic, data), qos, callback_group=self._group, raw=True
        )

    def _wanted(self, topic: str) -> bool:
        named = topic in self.settings.topics or topic in self._compressed_names()
        return named or topic.startswith("/novaflow/") or topic in self._camera_infos()

    def _compressed_names(self) -> dict[str, str]:
        out = {}
        for camera in self.settings.cameras:
            color = f"{camera}/color/image_raw"
            depth = f"{camera}/aligned_depth_to_color/image_raw"
            out |= {color: f"{color}/compressed", depth: f"{depth}/compressedDepth"}
        return out

    def _camera_infos(self) -> list[str]:
        streams = ("color", "aligned_depth_to_color")
        return [f"{c}/{stream}/camera_info" for c in self.settings.cameras for stream in streams]

    def _staged(self, message: StageReport) -> None:
        if message.stage in FILMED:
            ended = message.state in (StageReport.DONE, StageReport.FAILED)
            self._filming = not ended

    def _frame(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        film = self._film
        if film is not None and self._filming:
            film.add(image, stamp_ns)


def _writer(bag: BagWriter) -> Any:
    return lambda topic, data: bag.write(topic, time.time_ns(), data)


def main() -> None:
    """Run the node."""
    run(RecorderNode, threads=3)


if __name__ == "__main__":
    main()
