"""The real cell over real DDS: what a user of the drivers sees, and the scorer's domain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
import rclpy.executors
from control_msgs.action import FollowJointTrajectory, ParallelGripperCommand
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from trajectory_msgs.msg import JointTrajectoryPoint

from novaflow_sim.core import robot_model as robot

pytestmark = [pytest.mark.graph, pytest.mark.slow]

# Above these numbers DDS ports run into the kernel's ephemeral range.
DOMAIN = 60 + 2 * (os.getpid() % 20)
SCORER_DOMAIN = DOMAIN + 1
COLOUR = "/camera/camera/color"
DEPTH = "/camera/camera/aligned_depth_to_color"
SUCCEEDED, CANCELED, ABORTED = 4, 5, 6
# Ends a test that hangs; nothing here measures speed.
PATIENCE_S = 120.0


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"timed out waiting for {what}"
        time.sleep(0.005)


class Client:
    """A node of a product's domain, or of the scorer's, spun in a thread."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("probe", context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received: dict[str, list[Any]] = {}
        # They live as long as the node: rclpy may raise in spin() what is destroyed beside it.
        self._actions: dict[str, ActionClient] = {}
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self.executor.spin()
        except rclpy.executors.ExternalShutdownException:
            return
        except BaseException as error:
            self._failure = error
            raise

    def action(self, action_type: Any, name: str) -> ActionClient:
        if name not in self._actions:
            self._actions[name] = ActionClient(self.node, action_type, name)
        assert self._actions[name].wait_for_server(timeout_sec=PATIENCE_S), name
        return self._actions[name]

    def listen(self, message_type: Any, topic: str, *, latched: bool = False) -> None:
        qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
        if latched:
            qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        store = self.received.setdefault(topic, [])
        self.node.create_subscription(message_type, topic, store.append, qos)

    def last(self, topic: str) -> Any:
        self.wait(lambda: self.received[topic], PATIENCE_S, topic)
        return self.received[topic][-1]

    def result(self, future: Any, timeout_s: float = PATIENCE_S) -> Any:
        self.wait(future.done, timeout_s, "an answer")
        return future.result()

    def wait(self, condition: Callable[[], Any], timeout_s: float, what: str) -> None:
        """Wait for what this node must read: a probe that reads no more says so itself."""

        def over() -> Any:
            if self._failure is not None:
                raise AssertionError("the probe stopped reading") from self._failure
            return condition()

        wait_until(over, timeout_s, what)

    def call(self, service_type: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(service_type, name)
        assert client.wait_for_service(timeout_sec=PATIENCE_S), name
        return self.result(client.call_async(request))

    def close(self) -> None:
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        self._thread.join(timeout=2.0)


def start_cell(**parameters: Any) -> subprocess.Popen[bytes]:
    values = {
        "image_width": 320,
        "image_height": 240,
        "scorer_domain": SCORER_DOMAIN,
        "seed": 1001,
        **parameters,
    }
    arguments = [part for k, v in values.items() for part in ("-p", f"{k}:={v}")]
    return subprocess.Popen(
        [sys.executable, "-m", "novaflow_sim.ros.cell_node", "--ros-args", *arguments],
        env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)},
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def cell() -> Iterator[subprocess.Popen[bytes]]:
    process = start_cell()
    yield process
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_S) == 0


@pytest.fixture(scope="module")
def client(cell: subprocess.Popen[bytes]) -> Iterator[Client]:
    probe = Client(DOMAIN)
    for message_type, topic in (
        (Image, f"{COLOUR}/image_raw"),
        (CameraInfo, f"{COLOUR}/camera_info"),
        (Image, f"{DEPTH}/image_raw"),
        (CameraInfo, f"{DEPTH}/camera_info"),
        (JointState, "/joint_states"),
        (TFMessage, "/tf"),
        (Clock, "/clock"),
    ):
        probe.listen(message_type, topic)
    probe.listen(TFMessage, "/tf_static", latched=True)
    probe.listen(String, "/robot_description", latched=True)
    probe.last(f"{COLOUR}/image_raw")
    yield probe
    probe.close()


@pytest.fixture(scope="module")
def scorer(cell: subprocess.Popen[bytes]) -> Iterator[Client]:
    probe = Client(SCORER_DOMAIN)
    yield probe
    probe.close()


def ask_scorer(scorer: Client, name: str) -> dict[str, Any]:
    answer = scorer.call(Trigger, f"/scorer/{name}", Trigger.Request())
    assert answer.success, answer.message
    return json.loads(answer.message)


def trajectory(target: np.ndarray, seconds: float) -> FollowJointTrajectory.Goal:
    goal = FollowJointTrajectory.Goal()
    # Not in the arm's order: the controller goes by names.
    names = list(reversed(robot.ARM_JOINTS))
    goal.trajectory.joint_names = names
    point = JointTrajectoryPoint(positions=list(map(float, reversed(target))))
    point.velocities = [0.0] * 7
    point.accelerations = [0.0] * 7
    point.time_from_start.sec = int(seconds)
    point.time_from_start.nanosec = int(seconds % 1 * 1e9)
    goal.trajectory.points = [point]
    return goal


def send(client: Client, action_type: Any, name: str, goal: Any) -> Any:
    return client.result(client.action(action_type, name).send_goal_async(goal))


def send_trajectory(client: Client, target: np.ndarray, seconds: float) -> Any:
    name = "/fr3_arm_controller/follow_joint_trajectory"
    return send(client, FollowJointTrajectory, name, trajectory(target, seconds))


def joints(client: Client) -> np.ndarray:
    return np.array(client.last("/joint_states").position[:7])


def turned(angle_rad: float) -> np.ndarray:
    """Home, with the first joint turned."""
    q = robot.HOME_RAD.copy()
    q[0] += angle_rad
    return q


def go_home(client: Client) -> None:
    handle = send_trajectory(client, robot.HOME_RAD, 1.0)
    assert client.result(handle.get_result_async()).status == SUCCEEDED
    # What follows must not take states of the way here, read late, for its own.
    client.wait(lambda: np.abs(joints(client) - robot.HOME_RAD).max() < 0.01, PATIENCE_S, "home")


def seconds_of(stamp: Any) -> float:
    return stamp.sec + stamp.nanosec * 1e-9


def test_topics_are_those_of_real_drivers_and_nothing_else(client: Client) -> None:
    time.sleep(1.0)
    names = {name for name, _ in client.node.get_topic_names_and_types()}
    allowed = {
        f"{COLOUR}/image_raw",
        f"{COLOUR}/camera_info",
        f"{DEPTH}/image_raw",
        f"{DEPTH}/camera_info",
        "/joint_states",
        "/tf",
        "/tf_static",
        "/robot_description",
        "/clock",
        "/rosout",
        "/parameter_events",
    }
    assert {n for n in names if "/_action/" not in n} == allowed
    services = {name for name, _ in client.node.get_service_names_and_types()}
    assert not [n for n in services if "scor" in n or "truth" in n]


def test_images_and_infos_agree(client: Client) -> None:
    client.wait(lambda: len(client.received[f"{DEPTH}/image_raw"]) > 3, 30, "images")
    colour, depth = client.last(f"{COLOUR}/image_raw"), client.last(f"{DEPTH}/image_raw")
    info = client.last(f"{DEPTH}/camera_info")
    assert (colour.encoding, depth.encoding) == ("rgb8", "16UC1")
    assert (colour.width, colour.height) == (info.width, info.height) == (320, 240)
    assert colour.header.frame_id == depth.header.frame_id == "camera_color_optical_frame"
    assert info.k[0] == info.k[4] > 0
    pixels = np.frombuffer(colour.data, np.uint8).reshape(240, 320, 3)
    assert pixels.std() > 10
    table_mm = np.frombuffer(depth.data, np.uint16).reshape(240, 320)[200:, 100:220]
    assert 400 < np.median(table_mm) < 900
    stamps = [seconds_of(m.header.stamp) for m in client.received[f"{DEPTH}/image_raw"]]
    assert (np.diff(stamps) > 0).all()
    shared = set(stamps) & {
        seconds_of(m.header.stamp) for m in client.received[f"{COLOUR}/image_raw"]
    }
    assert shared, "colour and depth must carry equal stamps"


def test_noise_changes_from_frame_to_frame(client: Client) -> None:
    images = client.received[f"{DEPTH}/image_raw"]
    before = len(images)
    client.wait(lambda: len(images) >= before + 2, 30, "two more images")
    a, b = (np.frombuffer(m.data, np.uint16) for m in images[-2:])
    assert (a != b).mean() > 0.2


def test_joint_states_clock_and_transforms(client: Client) -> None:
    message = client.last("/joint_states")
    assert list(message.name) == [*robot.ARM_JOINTS, robot.GRIPPER_JOINT]
    before = len(client.received["/joint_states"])
    clock = seconds_of(client.last("/clock").clock)
    more = lambda: len(client.received["/joint_states"]) > before + 60  # noqa: E731
    client.wait(more, PATIENCE_S, "joint states")
    # By the stamps: how many of them a busy machine delivers in a second is not the cell's doing.
    stamps = [seconds_of(m.header.stamp) for m in client.received["/joint_states"][before:]]
    assert np.median(np.diff(stamps)) == pytest.approx(0.01, abs=1e-6)
    assert seconds_of(client.last("/clock").clock) > clock
    links = {t.child_frame_id for m in client.received["/tf"][-2:] for t in m.transforms}
    assert links == {f"fr3_link{k}" for k in range(1, 8)}
    static = {t.child_frame_id: t.header.frame_id for t in client.last("/tf_static").transforms}
    assert static["camera_link"] == "fr3_link0"
    assert static["fr3_link8"] == "fr3_link7"
    assert "camera_color_optical_frame" in static
    assert "fr3_joint7" in client.last("/robot_description").data


def test_published_camera_pose_is_off_by_the_calibration_error(
    client: Client, scorer: Client
) -> None:
    true = np.array(ask_scorer(scorer, "truth")["T_base_camera"])
    t = next(
        t for t in client.last("/tf_static").transforms if t.child_frame_id == "camera_link"
    ).transform.translation
    assert np.linalg.norm(true[:3, 3] - [t.x, t.y, t.z]) == pytest.approx(0.003, abs=1e-6)


def test_a_trajectory_is_followed(client: Client) -> None:
    target = robot.HOME_RAD + np.array([0.4, 0.2, 0.0, 0.2, 0.0, 0.2, 0.3])
    handle = send_trajectory(client, target, 1.0)
    answer = client.result(handle.get_result_async())
    assert (answer.status, answer.result.error_code) == (SUCCEEDED, 0)
    # Joint states that this process has not read yet may be older than the answer.
    client.wait(lambda: np.abs(joints(client) - target).max() < 0.01, PATIENCE_S, "arrival")
    go_home(client)


def test_a_cancel_stops_the_arm(client: Client) -> None:
    handle = send_trajectory(client, turned(0.8), 8.0)
    client.wait(lambda: abs(client.last("/joint_states").velocity[0]) > 0.05, 20, "motion")
    client.result(handle.cancel_goal_async())
    answer = client.result(handle.get_result_async())
    assert answer.status == CANCELED
    client.wait(
        lambda: np.abs(client.last("/joint_states").velocity[:7]).max() < 0.01, 20.0, "standstill"
    )
    place = joints(client)
    assert 0.01 < place[0] < 0.79
    time.sleep(0.3)
    np.testing.assert_allclose(joints(client), place, atol=0.002)
    go_home(client)


def test_a_new_trajectory_preempts_the_old(client: Client) -> None:
    first = send_trajectory(client, turned(0.6), 2.0)
    second = send_trajectory(client, robot.HOME_RAD, 1.0)
    assert client.result(first.get_result_async()).status == ABORTED
    assert client.result(second.get_result_async()).status == SUCCEEDED


@pytest.mark.parametrize("fault", ["names", "times", "empty", "limit", "speed"])
def test_bad_trajectories_are_refused(client: Client, fault: str) -> None:
    goal = trajectory(robot.HOME_RAD, 1.0)
    if fault == "names":
        goal.trajectory.joint_names = [f"panda_joint{k}" for k in range(1, 8)]
    elif fault == "times":
        goal.trajectory.points = [goal.trajectory.points[0]] * 2
    elif fault == "empty":
        goal.trajectory.points = []
    elif fault == "limit":
        goal.trajectory.points[0].positions = [5.0] * 7
    else:
        goal.trajectory.points[0].velocities = [0.1] * 7
    name = "/fr3_arm_controller/follow_joint_trajectory"
    assert not send(client, FollowJointTrajectory, name, goal).accepted


def test_an_orphaned_trajectory_is_finished(client: Client) -> None:
    target = turned(-0.5)
    orphan = Client(DOMAIN)
    assert send_trajectory(orphan, target, 1.5).accepted
    orphan.close()
    client.wait(lambda: np.abs(joints(client) - target).max() < 0.01, 20.0, "the orphan's end")
    go_home(client)


def test_the_gripper_closes_and_opens(client: Client) -> None:
    name = "/robotiq_gripper_controller/gripper_cmd"
    for position in (robot.GRIPPER_CLOSED_RAD, 0.0):
        goal = ParallelGripperCommand.Goal()
        goal.command.name = [robot.GRIPPER_JOINT]
        goal.command.position = [position]
        handle = send(client, ParallelGripperCommand, name, goal)
        answer = client.result(handle.get_result_async())
        assert answer.status == SUCCEEDED
        assert answer.result.reached_goal
        assert answer.result.state.position[0] == pytest.approx(position, abs=0.03)
        told = lambda p=position: abs(client.last("/joint_states").position[7] - p) < 0.03  # noqa: E731
        client.wait(told, PATIENCE_S, "the fingers' place")


def test_scorer_resets_to_a_seed_and_scores(client: Client, scorer: Client) -> None:
    first = ask_scorer(scorer, "truth")
    request = SetParameters.Request()
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=1002)
    request.parameters = [Parameter(name="seed", value=value)]
    assert scorer.call(SetParameters, "/scorer/set_parameters", request).results[0].successful
    assert ask_scorer(scorer, "reset")["seed"] == 1002
    second = ask_scorer(scorer, "truth")
    assert second["time_s"] > first["time_s"]
    moved = np.array(second["poses"]["cup"])[:3, 3] - np.array(first["poses"]["cup"])[:3, 3]
    assert np.linalg.norm(moved) > 0.02
    verdict = ask_scorer(scorer, "score")
    assert verdict["task"] == "cup"
    assert verdict["success"] is False
    assert verdict["failed"]
    assert verdict["numbers"]["offset_m"] > 0.1


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_camera_dies_with_the_cell_and_the_cell_with_the_camera(
    client: Client, cell: subprocess.Popen[bytes]
) -> None:
    """Last in this file: it ends the cell."""
    (camera,) = children(cell.pid)
    os.kill(camera, signal.SIGKILL)
    assert cell.wait(timeout=PATIENCE_S) == 1
    again = start_cell()
    try:
        wait_until(lambda: children(again.pid), PATIENCE_S, "the second cell's camera")
        (camera,) = children(again.pid)
        again.kill()
        again.wait(timeout=PATIENCE_S)
        wait_until(lambda: not alive(camera), PATIENCE_S, "the camera's end")
    finally:
        if again.poll() is None:
            again.kill()
