"""The guard as its own process, over controllers that finish whatever nobody cancels."""

import os
import signal
import threading
import time

import pytest
from builtin_interfaces.msg import Duration
from conftest import eventually
from control_msgs.action import FollowJointTrajectory
from fake_controllers import ARM, HOME, JOINTS, FakeControllers
from rclpy.action import ActionClient
from rclpy.node import Node
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from novaflow_core.errors import Code
from novaflow_msgs.msg import GuardState

pytestmark = pytest.mark.graph
STOP_S = 3.0  # generous: machines that run tests are noisy


class Cell:
    def __init__(self, graph):
        self.graph = graph
        self.arm = graph.node(FakeControllers)
        self.node = graph.node(Node, "observer")
        self.states = []
        self.node.create_subscription(GuardState, "/novaflow/guard_state", self.states.append, 10)
        self.arm_guard = self.node.create_client(SetBool, "/novaflow/arm_guard")
        self.client = ActionClient(self.node, FollowJointTrajectory, ARM)
        graph.start("guard_node", watch="[tracker_node]")
        assert self.arm_guard.wait_for_service(20.0)

    @property
    def state(self):
        return self.states[-1]

    def ask(self, armed):
        future = self.arm_guard.call_async(SetBool.Request(data=armed))
        eventually(future.done)
        return future.result()

    def move(self, seconds=20.0):
        points = []
        for share in (0.0, 1.0):
            time_s = Duration(sec=int(share * seconds))
            q = [HOME[0] + share * 2.0, *HOME[1:]]
            points.append(JointTrajectoryPoint(positions=q, time_from_start=time_s))
        goal = FollowJointTrajectory.Goal(
            trajectory=JointTrajectory(joint_names=list(JOINTS), points=points)
        )
        assert self.client.wait_for_server(10.0)
        self.client.send_goal_async(goal)
        eventually(lambda: self.arm.speed > 0.05)


@pytest.fixture
def cell(graph):
    graph.start_bystander("tracker_node")
    out = Cell(graph)
    eventually(lambda: out.ask(True).success, 20.0)
    out.ask(False)
    return out


def test_arming_refuses_by_name(graph):
    cell = Cell(graph)
    eventually(lambda: cell.states)
    answer = cell.ask(True)
    assert not answer.success
    assert "tracker_node was never heard" in answer.message
    assert not cell.state.armed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_lost_process_stops_the_arm_and_is_named(cell, number):
    assert cell.ask(True).success
    cell.move()
    pid = cell.graph.pid("tracker_node")
    os.kill(pid, number)
    eventually(lambda: cell.arm.speed < 0.01, STOP_S)
    eventually(lambda: cell.state.tripped)
    assert cell.state.code == Code.PROCESS_LOST
    assert cell.state.culprit == f"tracker_node (pid {pid})"
    # After a respawn the next arming clears the trip.
    os.kill(pid, signal.SIGKILL)
    assert not cell.ask(True).success
    cell.graph.start_bystander("tracker_node")
    eventually(lambda: cell.ask(True).success, 20.0)
    eventually(lambda: cell.state.armed and not cell.state.tripped)


def test_silent_robot_state_trips(cell):
    assert cell.ask(True).success
    cell.arm.silent = True
    eventually(lambda: cell.state.tripped, STOP_S)
    assert (cell.state.code, cell.state.culprit) == (Code.NO_ROBOT_STATE, "/joint_states")


def test_guard_that_was_suspended_trips_when_it_goes_on(cell):
    assert cell.ask(True).success
    cell.move()
    pid = cell.graph.pid("guard_node")
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(1.0, lambda: os.kill(pid, signal.SIGCONT)).start()
    eventually(lambda: cell.state.tripped, STOP_S)
    assert cell.state.culprit == f"guard_node (pid {pid})"
    eventually(lambda: cell.arm.speed < 0.01, STOP_S)


def test_nothing_is_cancelled_while_all_live_and_the_state_comes_ten_times_a_second(cell):
    assert cell.ask(True).success
    cell.move()
    before = len(cell.states)
    time.sleep(2.0)
    assert not cell.state.tripped
    assert cell.arm.speed > 0.05
    assert len(cell.states) - before > 12


def test_a_process_that_hangs_is_ended_so_that_launch_can_start_it_again(cell):
    pid = cell.graph.pid("tracker_node")
    os.kill(pid, signal.SIGSTOP)
    cell.graph.wait("tracker_node")
    assert f"tracker_node (pid {pid}) hung" in cell.graph.log("guard_node")
