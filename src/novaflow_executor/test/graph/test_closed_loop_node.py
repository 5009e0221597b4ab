"""The executor's loop over real topics: a tracker that follows the fingers, or says nothing."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from block_task import CENTRE_M, execute_goal, flow
from conftest import eventually
from fake_controllers import FakeControllers
from fr3_description import urdf
from rclpy.action import ActionClient
from rclpy.node import Node

from novaflow_core import se3
from novaflow_core.errors import Code
from novaflow_core.kabsch import fit_sequence
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.robot_settings import load_robot_settings
from novaflow_msgs.action import ExecuteFlow
from novaflow_msgs.msg import Heartbeat, ObjectTrack
from novaflow_ros import conversions as convert

pytestmark = [pytest.mark.graph, pytest.mark.slow]
ROBOT_FILE = Path(__file__).parents[2] / "config" / "fr3_robotiq.yaml"
OBJECT_POSITION = 0.35
IMAGE_S = 1 / 15
SLIP_M = np.array([0.0, 0.0, 0.015])


class FakeTracker(Node):
    """Publishes where a block would be that closed fingers carry along."""

    def __init__(self, arm, *, context=None):
        super().__init__("fake_tracker", context=context)
        self._arm = arm
        self._robot = RobotModel(urdf(), load_robot_settings(str(ROBOT_FILE)))
        self.scene_id, self.T_moved, self.grip, self.silent = "", np.eye(4), None, False
        self._tracks = self.create_publisher(ObjectTrack, "/novaflow/object_track", 10)
        self.create_timer(IMAGE_S, self._look)

    def slip(self, metres):
        """The block moves in the fingers."""
        assert self.grip is not None
        tcp = self._robot.tcp(self._arm.q)
        self.grip = se3.inverse(tcp) @ se3.from_rt(np.eye(3), metres) @ tcp @ self.grip

    def _look(self):
        closed = self._arm.knuckle_goal > 0.5 and self._arm.knuckle > OBJECT_POSITION - 1e-3
        tcp = self._robot.tcp(self._arm.q)
        if closed and self.grip is None:
            self.grip = se3.inverse(tcp) @ self.T_moved
        elif not closed:
            self.grip = None
        if self.grip is not None:
            self.T_moved = tcp @ self.grip
        if self.silent:
            return
        message = ObjectTrack(scene_id=self.scene_id, visible=True, support=100)
        message.header.stamp = self.get_clock().now().to_msg()
        message.pose.pose = convert.pose_from_matrix(self.T_moved)
        self._tracks.publish(message)


class Loop:
    def __init__(self, graph):
        self.arm = graph.node(FakeControllers, urdf=urdf())
        self.arm.object_position = OBJECT_POSITION
        self.tracker = graph.node(FakeTracker, self.arm)
        node = graph.node(Node, "observer")
        self.alive, self.scenes, self.phases = {}, 0, []
        node.create_subscription(
            Heartbeat, "/novaflow/heartbeat", lambda m: self.alive.update({m.node: m}), 50
        )
        self.execute = ActionClient(node, ExecuteFlow, "/novaflow/execute_flow")
        graph.start_bystander("tracker_node")
        graph.start("guard_node", watch="[tracker_node, executor_node]")
        graph.start("executor_node", speed=1.0, closed_loop=True)
        for name in ("tracker_node", "guard_node", "executor_node"):
            eventually(lambda n=name: n in self.alive and self.alive[n].active, 30.0)
        assert self.execute.wait_for_server(20.0)

    def start(self):
        """Send a goal for a block that stands where its scene saw it."""
        self.scenes += 1
        self.tracker.scene_id, self.tracker.T_moved = f"scene_{self.scenes}", np.eye(4)
        self.arm.received.clear()
        self.phases = []
        sending = self.execute.send_goal_async(
            execute_goal(self.tracker.scene_id), lambda m: self.phases.append(m.feedback.phase)
        )
        eventually(sending.done)
        handle = sending.result()
        return handle, handle.get_result_async()

    def reach(self, phase, result):
        eventually(lambda: result.done() or phase in self.phases, 40.0)
        assert not result.done(), result.result().result.reason


@pytest.fixture(scope="module")
def loop(shared_graph):
    return Loop(shared_graph)


def ended(result):
    eventually(result.done, 60.0)
    return result.result().result


def test_a_block_that_slips_in_mid_carry_ends_where_the_flow_ends(loop):
    _, result = loop.start()
    loop.reach(ExecuteFlow.Feedback.CARRY, result)
    eventually(lambda: loop.arm.speed > 0.1, 20.0)
    loop.tracker.slip(SLIP_M)
    answer = ended(result)
    assert answer.code == Code.OK, answer.reason
    goal = se3.apply(fit_sequence(flow()).poses[-1], CENTRE_M)
    assert np.linalg.norm(se3.apply(loop.tracker.T_moved, CENTRE_M) - goal) < 0.006
    numbers = {item.name: item.value for item in answer.loop}
    assert numbers["corrections"] == len(answer.corrections) >= 2
    assert 0.0 < numbers["delay_worst"] < 5.0
    assert numbers["images_per_s"] > 1.0
    assert numbers["image_gap_worst"] >= 1.0 / numbers["images_per_s"]
    shifts_mm = [float(text.split(" mm")[0].split()[-1]) for text in answer.corrections]
    assert max(shifts_mm) > 10


def test_a_cancel_ends_a_look_and_the_arm_stays(loop):
    loop.tracker.silent = True
    handle, result = loop.start()
    # At rest in front of the block, waiting for images that do not come.
    eventually(lambda: len(loop.arm.received) == 1 and loop.arm.speed < 0.01, 40.0)
    handle.cancel_goal_async()
    answer = ended(result)
    loop.tracker.silent = False
    assert answer.code in (Code.CANCELLED, Code.PROCESS_LOST)
    assert len(loop.arm.received) == 1
    assert loop.arm.speed < 0.01


def test_a_silent_tracker_ends_the_goal_before_the_grasp_and_is_named(loop):
    loop.tracker.silent = True
    _, result = loop.start()
    answer = ended(result)
    loop.tracker.silent = False
    assert answer.code == Code.PROCESS_LOST
    assert "tracker_node" in answer.reason
    assert answer.phase == ExecuteFlow.Feedback.APPROACH
    assert loop.arm.knuckle_goal < 0.5
    assert loop.arm.speed < 0.01


def test_a_tracker_process_that_dies_in_mid_carry_stops_the_arm(loop, shared_graph):
    _, result = loop.start()
    loop.reach(ExecuteFlow.Feedback.CARRY, result)
    eventually(lambda: loop.arm.speed > 0.1, 20.0)
    os.kill(shared_graph.pid("tracker_node"), signal.SIGKILL)
    answer = ended(result)
    assert answer.code == Code.PROCESS_LOST
    assert "tracker_node" in answer.reason
    eventually(lambda: loop.arm.speed < 0.01, 3.0)
