"""Goals whose answers come early or never."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import pytest
import rclpy
import rclpy.action.client
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node

from novaflow_core.errors import Code, PlatformError
from novaflow_msgs.action import SelectFlow
from novaflow_ros import actions
from novaflow_ros.actions import call_action, wait_for
from novaflow_ros.executors import MultiThreadedExecutor
from novaflow_ros.goal_client import GoalClient

pytestmark = pytest.mark.graph
DOMAIN = int(os.environ.get("NOVAFLOW_TEST_DOMAIN", 31 + os.getpid() % 8))
NAME = "/novaflow/goal_client_test"


class Pair:
    """A server that waits for a cancel, or answers at once, and a client; one process."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = Node("goal_client_test", context=self.context)
        self.answer_after_s, self.at_once = 0.0, True
        self.ended = threading.Event()
        group = ReentrantCallbackGroup()
        self.server = ActionServer(
            self.node,
            SelectFlow,
            NAME,
            execute_callback=self._execute,
            goal_callback=self._accept,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=group,
        )
        self.client = GoalClient(self.node, SelectFlow, NAME, callback_group=group)
        self.executor = MultiThreadedExecutor(4, context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()
        assert self.client.wait_for_server(10.0)

    def _accept(self, _goal: object) -> GoalResponse:
        time.sleep(self.answer_after_s)
        return GoalResponse.ACCEPT

    def _execute(self, handle: object) -> SelectFlow.Result:
        if self.at_once:
            handle.succeed()
            return SelectFlow.Result(reason="done")
        for _ in range(500):
            if handle.is_cancel_requested:
                handle.canceled()
                self.ended.set()
                break
            time.sleep(0.02)
        return SelectFlow.Result()

    def close(self) -> None:
        self.executor.shutdown(timeout_sec=2.0)
        self.thread.join(10.0)
        self.client.destroy()
        self.server.destroy()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def pair() -> Iterator[Pair]:
    out = Pair()
    yield out
    out.close()


def test_an_answer_that_comes_before_it_is_noted_whom_it_is_for_is_not_lost(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """rclpy makes a future, sends, notes it and makes another: slowly here."""
    inner = rclpy.action.client.Future

    def slowly(*given: object, **named: object) -> object:
        time.sleep(0.3)
        return inner(*given, **named)

    monkeypatch.setattr(rclpy.action.client, "Future", slowly)
    sending = pair.client.send_goal_async(SelectFlow.Goal())
    assert wait_for(sending, 5.0), "the answer was lost"
    assert sending.result().accepted


def test_many_goals_are_all_answered(pair: Pair) -> None:
    for _ in range(50):
        _, result = call_action(pair.client, NAME, SelectFlow.Goal(), 10.0)
        assert result.reason == "done"


def test_a_goal_that_is_not_answered_in_time_is_ended(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.answer_after_s, pair.at_once = 1.0, False
    monkeypatch.setattr(actions, "ANSWER_S", 0.3)
    with pytest.raises(PlatformError, match="it was cancelled") as caught:
        call_action(pair.client, NAME, SelectFlow.Goal(), 10.0)
    assert caught.value.code is Code.TIMEOUT
    assert pair.ended.wait(5.0), "it ran on, unknown to its sender"
