"""flowgen_node as others see it: a goal in, candidates with videos out, over real DDS."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
import rclpy.executors
from ray_scene import Item, make_scene
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import MarkerArray

from novaflow_core.errors import Code
from novaflow_msgs.action import GenerateFlows
from novaflow_msgs.msg import FlowCandidates
from novaflow_ros.actions import wait_for
from novaflow_ros.artifacts import to_path, to_uri
from novaflow_ros.conversions import flow_from_msg, grounding_to_msg, scene_to_msg

pytestmark = [pytest.mark.graph, pytest.mark.slow]
DOMAIN = int(os.environ.get("NOVAFLOW_TEST_DOMAIN_FLOWGEN", "41"))


class Client:
    """A node of the test that sends goals and listens to what viewers see."""

    def __init__(self, domain):
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = Node("test_client", context=self.context)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.shown, self.markers, self.feedback = [], [], []
        self.node.create_subscription(
            FlowCandidates, "/novaflow/candidates", self.shown.append, latched
        )
        self.node.create_subscription(
            MarkerArray, "/novaflow/candidate_markers", self.markers.append, latched
        )
        self.action = ActionClient(self.node, GenerateFlows, "/novaflow/generate_flows")
        self.executor = rclpy.executors.MultiThreadedExecutor(4, context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin)
        self.thread.start()

    def _spin(self):
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self.executor.spin()

    def send(self, goal):
        assert self.action.wait_for_server(timeout_sec=40.0)
        sending = self.action.send_goal_async(
            goal, feedback_callback=lambda m: self.feedback.append(m.feedback.stage)
        )
        assert wait_for(sending, 20.0)
        return sending.result()

    def result(self, goal):
        future = self.send(goal).get_result_async()
        assert wait_for(future, 120.0)
        return future.result().result

    def close(self):
        self.executor.shutdown(timeout_sec=2.0)
        self.node.destroy_node()
        self.context.try_shutdown()
        self.thread.join(5.0)


@contextlib.contextmanager
def running(domain, folder, **parameters):
    """The node in a process of its own; gives a client of it."""
    words = [word for k, v in parameters.items() for word in ("-p", f"{k}:={v}")]
    code = "from novaflow_flowgen.ros.flowgen_node import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--ros-args", *words],
        stdout=(folder / "log").open("ab"),
        stderr=subprocess.STDOUT,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        process_group=0,
    )
    out = Client(domain)
    yield out
    process.terminate()
    try:
        process.wait(20.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    out.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with running(DOMAIN, tmp_path_factory.mktemp("flowgen")) as out:
        yield out


def goal_for(folder: Path, candidates: int, instruction_seed=3):
    items = [
        Item((0.03, 0.04, 0.05), (0, 0), yaw=0.5, seed=1),
        Item((0.03, 0.03, 0.03), (-0.1, 0.12), seed=2),
    ]
    scene, grounding = make_scene(items, depth_noise=0.001)
    return GenerateFlows.Goal(
        scene=scene_to_msg(scene),
        grounding=grounding_to_msg(grounding),
        candidates=candidates,
        seed=instruction_seed,
        artifact_uri=to_uri(folder),
    )


def test_a_goal_gives_flows_videos_markers_and_progress(client, tmp_path):
    result = client.result(goal_for(tmp_path, 2))
    assert (result.code, result.reason) == (Code.OK, "")
    assert len(result.candidates) == 2
    for candidate in result.candidates:
        assert candidate.code == Code.OK, candidate.reason
        flow = flow_from_msg(candidate.flow)
        assert flow.frame_id == "base"
        assert flow.displacement()[2] > 0.05
        path = to_path(candidate.video_uri)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == candidate.video_sha256
    assert {s.stage for s in client.feedback} == {"generate"}
    assert client.feedback[-1].progress == pytest.approx(1.0)
    assert {"video", "lift"} <= {v.name for v in result.seconds}
    end = time.monotonic() + 5
    while not (client.shown and client.markers) and time.monotonic() < end:
        time.sleep(0.02)
    assert client.shown[-1].scene_id == result.candidates[0].scene_id
    strips = [m for m in client.markers[-1].markers if m.points]
    assert {m.ns for m in strips} == {c.candidate_id for c in result.candidates}
    assert sum(len(m.points) for m in strips) < 2000


def test_a_cancelled_goal_ends_soon_and_the_next_one_works(client, tmp_path):
    handle = client.send(goal_for(tmp_path, 8))
    time.sleep(0.5)
    began = time.monotonic()
    handle.cancel_goal_async()
    future = handle.get_result_async()
    assert wait_for(future, 10.0)
    assert future.result().result.code == Code.CANCELLED
    assert time.monotonic() - began < 5.0
    assert client.result(goal_for(tmp_path, 1)).candidates[0].code == Code.OK


def test_bad_goals_have_their_code(client, tmp_path):
    goal = goal_for(tmp_path, 1)
    goal.artifact_uri = "ftp://elsewhere"
    assert client.result(goal).code == Code.INVALID_MESSAGE
    goal = goal_for(tmp_path, 1)
    goal.scene.views[0].depth.data = (np.zeros(480 * 360, np.float32) * np.nan).tobytes()
    candidates = client.result(goal).candidates
    assert candidates[0].code != Code.OK
    assert candidates[0].flow.steps == 0


def workers_of_ray():
    """Process ids of tasks that make a candidate."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cmdline").read_bytes().startswith(b"ray::novaflow_candidate"):
                found.append(int(entry.name))
    return found


@pytest.mark.timeout(300)
def test_on_ray_the_candidates_are_the_same_though_a_worker_is_killed(client, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: ./novaflow setup --with ray")
    wanted = client.result(goal_for(tmp_path / "process", 2)).candidates
    with running(DOMAIN + 1, tmp_path, candidates_on="ray", workers=1) as on_ray:
        future = on_ray.send(goal_for(tmp_path / "ray", 2)).get_result_async()
        end = time.monotonic() + 60
        while not (workers := workers_of_ray()) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(workers[0], signal.SIGKILL)
        assert wait_for(future, 120.0)
        result = future.result().result
    assert (result.code, result.reason) == (Code.OK, "")
    assert [c.video_sha256 for c in result.candidates] == [c.video_sha256 for c in wanted]
    for ours, theirs in zip(result.candidates, wanted, strict=True):
        assert ours.code == Code.OK, ours.reason
        assert np.array_equal(flow_from_msg(ours.flow).points, flow_from_msg(theirs.flow).points)
    lost = [v.value for c in result.candidates for v in c.stats if v.name == "workers_lost"]
    assert sum(lost) >= 1
    end = time.monotonic() + 20
    while workers_of_ray() and time.monotonic() < end:
        time.sleep(0.1)
    assert not workers_of_ray()
