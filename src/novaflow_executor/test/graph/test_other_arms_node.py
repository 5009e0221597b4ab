"""Executor and guard move a Panda and a UR5e: parameters and files differ, no line of code does."""

from __future__ import annotations

import numpy as np
import pytest
from block_task import execute_goal
from conftest import eventually
from control_msgs.action import GripperCommand, ParallelGripperCommand
from fake_controllers import GRIPPER, KNUCKLE, FakeControllers
from other_arms import ARMS
from rclpy.action import ActionClient
from rclpy.node import Node

from novaflow_core.errors import Code
from novaflow_executor.core.robot_settings import load_robot_settings
from novaflow_msgs.action import ExecuteFlow
from novaflow_msgs.msg import GuardState

pytestmark = [pytest.mark.graph, pytest.mark.slow]
BLOCK_M = 0.05


@pytest.fixture(params=ARMS, ids=lambda arm: arm.name)
def arm(request):
    return request.param


@pytest.fixture
def robot(graph, arm):
    """The arm's controllers, with the executor and the guard told of them."""
    settings = load_robot_settings(arm.settings_path)
    told = arm.parameters
    kind = told.get("gripper_action_type", "parallel_gripper_command")
    controllers = graph.node(
        FakeControllers,
        urdf=arm.urdf(),
        joints=arm.moving,
        home=settings.home,
        arm=told["arm_action"],
        gripper=told.get("gripper_action", GRIPPER),
        gripper_type=GripperCommand if kind == "gripper_command" else ParallelGripperCommand,
        knuckle=told.get("gripper_joint", KNUCKLE),
        opened=settings.gripper.joint_open,
    )
    controllers.object_position = settings.gripper.joint_position(BLOCK_M)
    names = f"[{told['arm_action']}, {told.get('gripper_action', GRIPPER)}]"
    graph.start("guard_node", watch="[executor_node]", controllers=names)
    graph.start(
        "executor_node",
        robot_file=arm.settings_path,
        joint_names=f"[{', '.join(arm.moving)}]",
        **told,
    )
    return controllers


def test_it_carries_a_flow_out_and_stops_on_cancel(graph, arm, robot):
    node = graph.node(Node, "observer")
    armed = []
    node.create_subscription(
        GuardState, "/novaflow/guard_state", lambda m: armed.append(m.armed), 10
    )
    client = ActionClient(node, ExecuteFlow, "/novaflow/execute_flow")
    assert client.wait_for_server(30.0)

    sent = client.send_goal_async(execute_goal("first", frame=arm.base))
    eventually(sent.done, 30.0)
    ended = sent.result().get_result_async()
    eventually(ended.done, 90.0)
    result = ended.result().result
    assert result.code == Code.OK, result.reason
    assert result.held == pytest.approx(BLOCK_M, abs=0.01)
    assert any(armed)
    assert {tuple(t.joint_names) for t in robot.received} == {arm.moving}

    sent = client.send_goal_async(execute_goal("second", frame=arm.base))
    eventually(sent.done, 30.0)
    moving = len(robot.received)
    eventually(lambda: len(robot.received) > moving and robot.speed > 0.05, 60.0)
    again = sent.result().get_result_async()
    sent.result().cancel_goal_async()
    eventually(again.done, 30.0)
    assert again.result().result.code == Code.CANCELLED
    assert robot.speed < 0.01
    before = robot.q.copy()
    eventually(lambda: not armed[-1], 30.0)
    np.testing.assert_allclose(robot.q, before, atol=1e-3)
