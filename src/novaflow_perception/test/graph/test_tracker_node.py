"""tracker_node over DDS: follows from start to stop, listens to no camera otherwise."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import numpy as np
import pytest
import rclpy
import rclpy.executors
from rclpy.context import Context
from sensor_msgs.msg import Image

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.toy_scene import EYE, Solid
from novaflow_msgs.msg import ObjectTrack
from novaflow_msgs.srv import TrackObject
from novaflow_perception.ros.tracker_node import COLOR_TOPIC, DEPTH_TOPIC, TrackerNode
from novaflow_ros import conversions
from novaflow_ros.actions import call_service
from novaflow_ros.executors import MultiThreadedExecutor

pytestmark = [pytest.mark.graph, pytest.mark.slow]
DOMAIN = int(os.environ.get("NOVAFLOW_TEST_DOMAIN", 51 + os.getpid() % 4))
CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.55, 0.1)
TASK = TaskSpec("lift the cup", Motion.LIFT, ObjectPhrase("the cup"))


class Bench:
    """The node, a camera and a listener."""

    def __init__(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context, domain_id=DOMAIN)
        self.tracker = TrackerNode(context=self._context)
        self.node = rclpy.create_node("bench", context=self._context)
        self._executor = MultiThreadedExecutor(4, context=self._context)
        for node in (self.tracker, self.node):
            self._executor.add_node(node)
        self.tracker.trigger_configure()
        self.tracker.trigger_activate()
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()
        self.tracks: list[ObjectTrack] = []
        self.node.create_subscription(ObjectTrack, "/novaflow/object_track", self.tracks.append, 10)
        self._client = self.node.create_client(TrackObject, "/novaflow/track_object")
        self.cameras = [self.node.create_publisher(Image, t, 2) for t in (COLOR_TOPIC, DEPTH_TOPIC)]

    def _spin(self) -> None:
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()

    def track(self, **request: object) -> TrackObject.Response:
        return call_service(self._client, TrackObject.Request(**request), 20.0)

    def listeners(self, expected: int) -> int:
        """Subscriptions of the colour topic, once discovery has settled."""
        end = time.monotonic() + 5.0
        while self.cameras[0].get_subscription_count() != expected and time.monotonic() < end:
            time.sleep(0.05)
        return int(self.cameras[0].get_subscription_count())

    def show(self, view, stamp_ns: int) -> None:
        millimetres = np.nan_to_num(view.depth * 1000).astype(np.uint16)
        images = ((view.color, "rgb8"), (millimetres, "16UC1"))
        for publisher, (image, encoding) in zip(self.cameras, images, strict=True):
            publisher.publish(conversions.image_to_msg(image, encoding, view.frame_id, stamp_ns))

    def wait(self, condition, timeout_s: float = 5.0) -> bool:
        end = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        return bool(condition())

    def close(self) -> None:
        self._executor.shutdown(timeout_sec=2.0)
        rclpy.try_shutdown(context=self._context)
        self._thread.join(5.0)


@pytest.fixture(scope="module")
def bench():
    made = Bench()
    yield made
    made.close()


def test_the_target_is_followed_from_start_to_stop(bench: Bench) -> None:
    view, labels = toy_scene.render({"cup": CUP})
    scene, grounding = toy_scene.ground({"cup": CUP}, view, labels, TASK)
    up = se3.from_rt(np.eye(3), [0.0, 0.0, 0.01])
    moved, _ = toy_scene.render({"cup": CUP.moved(up)}, EYE)
    assert bench.listeners(0) == 0, "an idle tracker must not take images"
    answer = bench.track(
        track=True,
        scene=conversions.scene_to_msg(scene),
        grounding=conversions.grounding_to_msg(grounding),
    )
    assert answer.code == Code.OK
    assert bench.listeners(1) == 1
    for i in range(20):
        bench.show(moved, 10**9 + i * 10**8)
        if bench.wait(lambda: len(bench.tracks) >= 3, 0.2):
            break
    assert len(bench.tracks) >= 3
    track = bench.tracks[-1]
    assert track.visible
    assert track.scene_id == "scene"
    assert track.header.frame_id == "base"
    assert track.header.stamp.sec >= 1
    assert track.pose.pose.position.z == pytest.approx(0.01, abs=0.003)
    assert bench.track(track=False).code == Code.OK
    assert bench.listeners(0) == 0


def test_the_executor_tells_where_to_look_after_a_leap(bench: Bench) -> None:
    view, labels = toy_scene.render({"cup": CUP})
    scene, grounding = toy_scene.ground({"cup": CUP}, view, labels, TASK)
    bench.track(
        track=True,
        scene=conversions.scene_to_msg(scene),
        grounding=conversions.grounding_to_msg(grounding),
    )
    bench.listeners(1)
    hints = bench.node.create_publisher(ObjectTrack, "/novaflow/object_expected", 10)
    bench.wait(lambda: hints.get_subscription_count() == 1)
    leap = se3.from_rt(np.eye(3), [0.0, -0.2, 0.05])
    begun = len(bench.tracks)
    for k, motion in enumerate([np.eye(4)] * 4 + [leap] * 6):
        stamp_ns = 10**10 + k * 10**8
        hint = ObjectTrack(scene_id="scene", label="carry 1")
        hint.header.stamp = conversions.time_from_ns(stamp_ns)
        hint.pose.pose = conversions.pose_from_matrix(motion)
        hints.publish(hint)
        time.sleep(0.05)
        bench.show(toy_scene.render({"cup": CUP.moved(motion)}, EYE)[0], stamp_ns)
        bench.wait(lambda k=k: len(bench.tracks) > begun + k)
    track = bench.tracks[-1]
    bench.node.destroy_publisher(hints)
    assert bench.track(track=False).code == Code.OK
    assert track.visible
    assert track.pose.pose.position.y == pytest.approx(-0.2, abs=0.003)


def test_a_target_without_depth_is_refused_with_its_code(bench: Bench) -> None:
    view, labels = toy_scene.render({"cup": CUP})
    view.depth[:] = np.nan
    scene, grounding = toy_scene.ground({"cup": CUP}, view, labels, TASK)
    answer = bench.track(
        track=True,
        scene=conversions.scene_to_msg(scene),
        grounding=conversions.grounding_to_msg(grounding),
    )
    assert answer.code == Code.TARGET_LOST
    assert "needed" in answer.reason
    assert bench.listeners(0) == 0
