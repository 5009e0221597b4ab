"""perception_node and file_camera_node as processes over DDS: what a user of the services sees."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest
import rclpy
import rclpy.executors
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rendering import CAMERA, Solid, render
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from novaflow_core.errors import Code
from novaflow_msgs.msg import CollisionScene
from novaflow_msgs.srv import CaptureScene, GroundInstruction, ObserveOutcome
from novaflow_ros import conversions
from novaflow_ros.executors import SingleThreadedExecutor

pytestmark = [pytest.mark.graph, pytest.mark.slow]
DOMAIN = int(os.environ.get("NOVAFLOW_TEST_DOMAIN", 31 + os.getpid() % 8))
RED, BLUE = (170, 30, 30), (30, 40, 170)


def write_view(folder, solids, *, holes=False, model=CAMERA):
    folder.mkdir(parents=True, exist_ok=True)
    color, depth, _ = render(solids, noise_m=0.001)
    millimetres = np.zeros(depth.shape, np.uint16) if holes else np.nan_to_num(depth * 1000)
    cv2.imwrite(str(folder / "color.png"), color[..., ::-1])
    cv2.imwrite(str(folder / "depth_mm.png"), millimetres.astype(np.uint16))
    fields = ("width", "height", "fx", "fy", "cx", "cy")
    (folder / "camera.json").write_text(json.dumps({f: getattr(model, f) for f in fields}))
    return folder


class Bench:
    """The two processes and one node that talks to them."""

    def __init__(self, folder):
        self._folder = folder
        self._context = Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.node = rclpy.create_node("bench", context=self._context)
        self._clients = {}
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        self._processes = []

    def _spin(self):
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()

    def start(self, name, **parameters):
        code = f"from novaflow_perception.ros.{name} import main; main()"
        command = [sys.executable, "-c", code, "--ros-args"]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={value}"]
        log = (self._folder / f"{name}.log").open("ab")
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)}
        )
        self._processes.append(process)
        return process

    def log(self, name):
        return (self._folder / f"{name}.log").read_text()

    def call(self, kind, name, request, timeout_s=30.0):
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(timeout_sec=20.0), f"{name} never came"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout_s), f"{name} gave no answer"
        return future.result()

    def latched(self, kind, topic, timeout_s=10.0):
        received, there = [], threading.Event()

        def keep(message):
            received.append(message)
            there.set()

        qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscription = self.node.create_subscription(kind, topic, keep, qos)
        assert there.wait(timeout_s), f"nothing on {topic}"
        self.node.destroy_subscription(subscription)
        return received[-1]

    def close(self):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
        self._executor.shutdown()
        rclpy.try_shutdown(context=self._context)
        self._thread.join()


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("perception")
    boxes = [
        Solid((-0.12, 0.0), (0.08, 0.06, 0.10), RED, yaw=0.4),
        Solid((0.12, 0.05), (0.09, 0.07, 0.06), BLUE, yaw=-0.3),
    ]
    write_view(folder / "boxes", boxes)
    write_view(folder / "blind", boxes, holes=True)
    write_view(folder / "other", [Solid((0.0, 0.0), (0.08, 0.08, 0.08), BLUE, yaw=0.4)])
    bench = Bench(folder)
    bench.views = folder
    bench.start(
        "perception_node",
        planning_frame="camera_color_optical_frame",
        wait_s=2.0,
        first_wait_s=4.0,
        max_age_s=2.0,
    )
    yield bench
    bench.close()


def capture(bench):
    return bench.call(CaptureScene, "/novaflow/capture_scene", CaptureScene.Request())


def ground(bench, scene_id, text):
    request = GroundInstruction.Request(scene_id=scene_id, instruction=text)
    return bench.call(GroundInstruction, "/novaflow/ground_instruction", request)


def show(bench, name):
    request = SetParameters.Request(
        parameters=[Parameter("directory", value=str(bench.views / name)).to_parameter_msg()]
    )
    return bench.call(SetParameters, "/file_camera_node/set_parameters", request).results[0]


def test_1_without_a_camera_the_silent_topics_are_named(bench):
    begin = time.monotonic()
    answer = capture(bench)
    assert answer.code == Code.NO_CAMERA
    assert "/camera/camera/color/image_raw" in answer.reason
    assert time.monotonic() - begin >= 4.0, "a camera that has never spoken is waited for longer"


def test_2_a_folder_that_is_not_there_is_named(bench):
    process = bench.start("file_camera_node", directory=str(bench.views / "nowhere"))
    assert process.wait(20.0) != 0
    assert "NO_CAMERA" in bench.log("file_camera_node")
    assert "nowhere" in bench.log("file_camera_node")


def test_3_capture_and_ground(bench):
    bench.start("file_camera_node", directory=str(bench.views / "boxes"))
    begin = time.monotonic()
    answer = capture(bench)
    while answer.code == Code.NO_CAMERA and time.monotonic() < begin + 20:
        answer = capture(bench)
    assert answer.code == Code.OK, answer.reason
    scene = conversions.scene_from_msg(answer.scene)
    assert scene.main.depth.shape == (480, 640)
    reply = ground(bench, scene.scene_id, "put the red box next to the blue box")
    assert reply.code == Code.OK, reply.reason
    grounding = conversions.grounding_from_msg(reply.grounding)
    mask = grounding.mask(grounding.target)
    assert scene.main.color[mask].mean(axis=0)[0] > scene.main.color[mask].mean(axis=0)[2] + 50
    assert [item.role.value for item in grounding.objects] == ["target", "reference"]
    obstacles = conversions.collision_scene_from_msg(reply.collision_scene)
    assert [box.name for box in obstacles.obstacles] == ["reference_0"]
    cloud = conversions.cloud_from_msg(reply.target_cloud)
    assert len(cloud) > 500
    size = np.ptp(cloud @ np.stack([*grounding.support.basis(), grounding.support.normal]).T, 0)
    assert size[2] == pytest.approx(0.10, abs=0.015)
    assert (
        conversions.collision_scene_from_msg(
            bench.latched(CollisionScene, "/novaflow/collision_scene")
        ).scene_id
        == scene.scene_id
    )
    markers = bench.latched(MarkerArray, "/novaflow/collision_markers").markers
    drawn = [(m.ns, m.type) for m in markers if m.action == Marker.ADD]
    assert drawn == [("support", Marker.CUBE), ("reference_0", Marker.CUBE)]
    shown = conversions.image_from_msg(bench.latched(Image, "/novaflow/target_mask"))
    assert (shown > 0).sum() == mask.sum()
    assert 100 < bench.latched(PointCloud2, "/novaflow/scene_cloud").width <= 20000


def test_4_what_cannot_be_grounded_says_why(bench):
    scene_id = capture(bench).scene.scene_id
    assert ground(bench, scene_id, "  ").code == Code.EMPTY_INSTRUCTION
    assert ground(bench, scene_id, "juggle the box").code == Code.UNKNOWN_MOTION
    answer = ground(bench, scene_id, "lift the zebra")
    assert answer.code == Code.UNKNOWN_WORD and "zebra" in answer.reason
    assert ground(bench, scene_id, "lift the green cup").code == Code.TARGET_NOT_FOUND
    answer = ground(bench, scene_id, "lift the box")
    assert answer.code == Code.AMBIGUOUS_TARGET
    assert "red" in answer.reason and "blue" in answer.reason
    answer = ground(bench, scene_id, "put the red box into the bowl")
    assert answer.code == Code.REFERENCE_NOT_FOUND
    assert ground(bench, "never", "lift the red box").code == Code.SCENE_UNKNOWN
    answer = bench.call(
        ObserveOutcome, "/novaflow/observe_outcome", ObserveOutcome.Request(scene_id="never")
    )
    assert answer.code == Code.SCENE_UNKNOWN


def test_5_depth_without_a_single_return(bench):
    assert show(bench, "blind").successful
    time.sleep(1.5)  # the merged depth frames must all be of this view
    answer = capture(bench)
    assert answer.code == Code.DEPTH_INVALID and "%" in answer.reason


def test_6_another_view_at_run_time(bench):
    assert not show(bench, "nowhere").successful
    assert show(bench, "other").successful
    time.sleep(1.5)
    answer = capture(bench)
    assert ground(bench, answer.scene.scene_id, "lift the red box").code == Code.TARGET_NOT_FOUND
    assert ground(bench, answer.scene.scene_id, "lift the blue box").code == Code.OK


def test_7_camera_info_of_another_size(bench):
    """A second driver with a wrong calibration on the same topics."""
    show(bench, "boxes")
    from sensor_msgs.msg import CameraInfo

    wrong = CAMERA.__class__(320, 240, 262.0, 262.0, 159.5, 119.5)
    publishers = [
        bench.node.create_publisher(CameraInfo, f"/camera/camera/{stream}/camera_info", 10)
        for stream in ("color", "aligned_depth_to_color")
    ]
    message = conversions.camera_info_to_msg(wrong, "camera_color_optical_frame")
    ended = threading.Event()

    def drive() -> None:
        while not ended.wait(0.01):
            for publisher in publishers:
                publisher.publish(message)

    threading.Thread(target=drive, daemon=True).start()
    codes = set()
    end = time.monotonic() + 15
    while Code.CAMERA_INFO_MISMATCH not in codes and time.monotonic() < end:
        codes.add(capture(bench).code)
    ended.set()
    assert Code.CAMERA_INFO_MISMATCH in codes
    for publisher in publishers:
        bench.node.destroy_publisher(publisher)
