"""recorder_node: `/novaflow/set_recording` writes the graph into a bag, images compressed."""

from __future__ import annotations

import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from novaflow_bringup.core.recording import Past, TopicRules
from novaflow_bringup.ros.liveness import Liveness
from novaflow_bringup.ros.message_types import message_class
from novaflow_bringup.ros.tape import Listened, Tape, TapeSettings
from novaflow_core.errors import NovaflowError
from novaflow_core.settings import setting
from novaflow_msgs.msg import StageReport
from novaflow_msgs.srv import SetRecording
from novaflow_ros.artifacts import to_path
from novaflow_ros.node import NovaflowNode, run
from novaflow_ros.services import serve

FILMED = ("execute", "observe")
LOOK_AGAIN_S = 0.5
CDR_HEADER = 4  # bytes before the first field
# Least time between recorded images by stage [ns]; 0, the default: every image. Nothing looks at
# the cameras while candidates are made, and that is when the cores are needed.
IMAGE_PERIOD_NS = {
    **dict.fromkeys(("ground", "generate", "score", "select", "approve"), 1_000_000_000),
    "execute": 200_000_000,
}
ORPHANED_S = 30.0  # of silence of the task node: nobody will say stop any more


@dataclass(frozen=True)
class RecorderSettings:
    """Parameters of recorder_node."""

    topics: tuple[str, ...] = setting(
        ("/joint_states", "/tf", "/tf_static", "/robot_description", "/clock"),
        "topics to record besides all of /novaflow and the cameras",
    )
    cameras: tuple[str, ...] = setting(("/camera/camera",), "name spaces of cameras")
    pre_roll: float = setting(
        1.0, "camera messages kept from before the start", unit="s", low=0, high=10
    )
    jpeg_quality: int = setting(90, "of the recorded colour images", low=1, high=100)
    video_width: int = setting(640, "width of the execution video", unit="px", low=64, high=4096)
    video_fps: float = setting(10.0, "of the execution video", unit="Hz", low=1, high=60)


class RecorderNode(NovaflowNode[RecorderSettings]):
    """Records between two calls; a closed bag is complete even when the node is told to end."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("recorder_node", RecorderSettings)
        self._liveness: Liveness | None = None
        self._lock = threading.RLock()
        self._tape: Tape | None = None
        self._owner: int | None = None
        # Subscriptions stay: removing one under a running executor breaks its wait set.
        self._topics: dict[str, Listened] = {}
        self._refused: set[str] = set()
        self._stage = ""
        self._slots: dict[str, int] = {}

    def setup(self) -> None:
        """Create the service; listen to the cameras: a bag begins before it is asked for."""
        self._rules = TopicRules(self.settings.topics, self.settings.cameras)
        self._past = Past(self.settings.pre_roll)
        self._group = ReentrantCallbackGroup()
        alone = MutuallyExclusiveCallbackGroup()
        self._liveness = Liveness(self)
        self._lane = ThreadPoolExecutor(1, "set_recording")
        self._service = serve(self, SetRecording, "/novaflow/set_recording", self._set, self._lane)
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

    def destroy_node(self) -> None:
        """End the thread that hears heartbeats, too: it would outlive the context."""
        if self._liveness is not None:
            self._liveness.close()
        super().destroy_node()

    def _set(self, request: SetRecording.Request, response: SetRecording.Response) -> None:
        response.reason = self._finish()  # a bag whose owner died is closed by the next one
        if request.record:
            response.reason = self._begin(to_path(request.uri))

    def _begin(self, folder: Path) -> str:
        s = self.settings
        with self._lock:
            self._tape = Tape(
                folder,
                self._rules.compressed,
                TapeSettings(s.jpeg_quality, s.video_width, s.video_fps),
                on_error=lambda text: self.get_logger().warning(text),
            )
            self._owner = self._liveness.pid("task_node")
            for topic, listened in self._topics.items():
                self._tape.add(topic, listened.type_name, listened.offered)
            for topic, stamp_ns, data in self._past.tell(time.time_ns()):
                self._tape.write(topic, stamp_ns, data)
            self._look()
            return f"recording {len(self._topics)} topics into {folder}"

    def _finish(self) -> str:
        with self._lock:
            tape, self._tape = self._tape, None
        if tape is None:
            return "nothing was being recorded"
        told = tape.close()
        self.get_logger().info(told)
        return told

    def _look(self) -> None:
        """Subscribe to what is published by now; close a bag that nobody owns any more."""
        with self._lock:
            for topic, types in self.get_topic_names_and_types():
                known = topic in self._topics or topic in self._refused
                if not known and self._rules.wanted(topic):
                    self._take(topic, types[0])
            if self._tape is None:
                return
            if lost := self._liveness.lost("task_node", self._owner, ORPHANED_S):
                self.get_logger().warning(f"{lost}: closing its bag")
                self._finish()

    def _take(self, topic: str, type_name: str) -> None:
        publishers = self.get_publishers_info_by_topic(topic)
        if not publishers:
            return
        offered = publishers[0].qos_profile
        camera = self._rules.of_camera(topic)
        qos = QoSProfile(
            # Images are plenty: losing one is better than slowing their publisher down.
            depth=4 if camera else 200,
            reliability=ReliabilityPolicy.BEST_EFFORT if camera else offered.reliability,
            durability=DurabilityPolicy.VOLATILE if camera else offered.durability,
        )
        try:
            kind = message_class(type_name)
            if self._tape is not None:
                self._tape.add(topic, type_name, offered)
        except NovaflowError as error:
            self._refused.add(topic)
            self.get_logger().warning(f"{topic} is not recorded: {error}")
            return
        latched = not camera and qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
        subscription = self.create_subscription(
            kind,
            topic,
            lambda data: self._heard(topic, data),
            qos,
            callback_group=self._group,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )
        self._topics[topic] = Listened(type_name, offered, camera, latched, subscription)

    def _heard(self, topic: str, data: bytes) -> None:
        now_ns = time.time_ns()
        with self._lock:
            listened = self._topics[topic]
            recording = self._tape is not None
            if listened.latched or (listened.camera and not recording):
                self._past.keep(topic, listened.camera, now_ns, data)
            if self._tape is not None and not (listened.camera and self._spared(topic, data)):
                self._tape.write(topic, now_ns, data)

    def _spared(self, topic: str, data: bytes) -> bool:
        """Whether an image is left out: compressing costs most while others compute or move."""
        period_ns = IMAGE_PERIOD_NS.get(self._stage, 0)
        if period_ns == 0:
            return False
        sec, nanosec = struct.unpack_from("<iI", data, CDR_HEADER)  # the stamp comes first
        # Colour and depth of one frame have one stamp, so they are kept or left out together.
        slot = (sec * 1_000_000_000 + nanosec) // period_ns
        spared = self._slots.get(topic) == slot
        self._slots[topic] = slot
        return spared

    def _staged(self, message: StageReport) -> None:
        tape = self._tape
        self._stage = message.stage
        if tape is not None and message.stage in FILMED:
            ended = message.state in (StageReport.DONE, StageReport.FAILED)
            tape.film(not ended, time.time_ns())


def main() -> None:
    """Run the node."""
    run(RecorderNode, threads=1)


if __name__ == "__main__":
    main()
