"""selector_node over DDS: a choice, a picture, markers; or a code and the reasons."""

from __future__ import annotations

import contextlib
import os
import threading

import numpy as np
import pytest
import rclpy
import rclpy.executors
from model_server import Reply
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import Marker, MarkerArray

from novaflow_core import toy_scene
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.relations import direction_vector
from novaflow_core.task import Direction, Motion, ObjectPhrase, TaskSpec
from novaflow_core.toy_scene import EYE, TABLE, Solid
from novaflow_flowgen.ros.selector_node import SelectorNode
from novaflow_msgs.action import SelectFlow
from novaflow_ros import conversions
from novaflow_ros.actions import call_action
from novaflow_ros.artifacts import to_path

pytestmark = [pytest.mark.graph]
DOMAIN = int(os.environ.get("NOVAFLOW_TEST_DOMAIN", 55 + os.getpid() % 4))
CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.55, 0.1)
TASK = TaskSpec("move the cup left", Motion.MOVE, ObjectPhrase("the cup"), Direction.LEFT)


@contextlib.contextmanager
def running(domain: int, **parameters: object):
    """A selector with these parameters; yields the node that asks it."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    selector = SelectorNode(context=context, parameter_overrides=overrides)
    node = rclpy.create_node("bench", context=context)
    executor = rclpy.executors.MultiThreadedExecutor(4, context=context)
    executor.add_node(selector)
    executor.add_node(node)
    node.configured = selector.trigger_configure()
    selector.trigger_activate()

    def spin() -> None:
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            executor.spin()

    thread = threading.Thread(target=spin)
    thread.start()
    yield node
    executor.shutdown(timeout_sec=2.0)
    rclpy.try_shutdown(context=context)
    thread.join(5.0)


@pytest.fixture(scope="module")
def graph():
    with running(DOMAIN) as node:
        yield node


def goal(ways, folder) -> SelectFlow.Goal:
    """A goal with one candidate for each way (3,) that the cup goes."""
    view, labels = toy_scene.render({"cup": CUP})
    scene, grounding = toy_scene.ground({"cup": CUP}, view, labels, TASK)
    points = grounding.points(scene, grounding.target)[::40]
    share = np.linspace(0, 1, 41)[:, None, None]
    candidates = []
    for number, way in enumerate(ways):
        path = (points + share * way).astype(np.float32)
        seen = np.ones(path.shape[:2], bool)
        flow = ObjectFlow(path, seen, seen.astype(np.float32), 1 / 16, "base")
        candidates.append(FlowCandidate(f"c{number}", "scene", Code.OK, "", flow, "", ""))
    return SelectFlow.Goal(
        scene=conversions.scene_to_msg(scene),
        grounding=conversions.grounding_to_msg(grounding),
        candidates=[conversions.candidate_to_msg(c) for c in candidates],
        artifact_uri=folder.as_uri(),
    )


def test_choice_picture_and_markers(graph, tmp_path) -> None:
    left = 0.1 * direction_vector(Direction.LEFT, EYE, TABLE)
    client = ActionClient(graph, SelectFlow, "/novaflow/select_flow")
    _, result = call_action(client, "select", goal([-left, left], tmp_path), 30.0)
    assert (result.code, result.candidate_id) == (Code.OK, "c1")
    assert [score.valid for score in result.scores] == [False, True]
    assert to_path(result.flow_image_uri).stat().st_size > 10_000
    received, there = [], threading.Event()

    def keep(message: MarkerArray) -> None:
        received.append(message)
        there.set()

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    graph.create_subscription(MarkerArray, "/novaflow/chosen_flow_markers", keep, latched)
    assert there.wait(5.0)
    lines = [m for m in received[-1].markers if m.action == Marker.ADD]
    assert {m.ns for m in lines} == {"c1"}
    assert lines[0].header.frame_id == "base"


def test_none_valid_and_none_given_are_codes(graph, tmp_path) -> None:
    right = -0.1 * direction_vector(Direction.LEFT, EYE, TABLE)
    client = ActionClient(graph, SelectFlow, "/novaflow/select_flow")
    _, result = call_action(client, "select", goal([right, 2 * right], tmp_path), 30.0)
    assert result.code == Code.NO_VALID_CANDIDATE
    assert "2 by 'motion_m'" in result.reason
    assert result.candidate_id == ""
    assert len(result.scores) == 2
    assert to_path(result.flow_image_uri).is_file()
    _, result = call_action(client, "select", goal([], tmp_path), 30.0)
    assert result.code == Code.NO_CANDIDATES


def test_a_model_judges_what_the_critic_left(model_server, tmp_path) -> None:
    left = 0.1 * direction_vector(Direction.LEFT, EYE, TABLE)
    model_server.replies = [
        Reply('{"reasons": "the cup ends further left", "candidate": 3}'),
        Reply('{"reasons": "I was told to", "candidate": 1}'),
    ]
    place = {"vlm_base_url": model_server.url, "vlm_model": "some-model"}
    with running(DOMAIN + 4, selection="gemini", **place) as node:
        client = ActionClient(node, SelectFlow, "/novaflow/select_flow")
        asked = goal([-left, left, 1.2 * left], tmp_path)
        _, result = call_action(client, "select", asked, 30.0)
        assert (result.code, result.candidate_id) == (Code.OK, "c2")
        assert "gemini 'some-model'" in result.reason
        assert "the cup ends further left" in result.reason
        assert result.scores[2].gates[-1].name == "vlm"
        _, result = call_action(client, "select", asked, 30.0)
        assert (result.code, result.candidate_id) == (Code.JUDGE_NONSENSE, "")


def test_a_judge_without_its_key_is_not_configured(monkeypatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    with running(DOMAIN + 4, selection="gemini") as node:
        assert node.configured is not TransitionCallbackReturn.SUCCESS
