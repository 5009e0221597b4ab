"""A node goes on while another thread takes its subscriptions away."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import Executor
from rclpy.node import Node
from std_msgs.msg import Empty

from novaflow_ros.executors import MultiThreadedExecutor, SingleThreadedExecutor

pytestmark = pytest.mark.graph
DOMAIN = int(os.environ.get("NOVAFLOW_TEST_DOMAIN", 31 + os.getpid() % 8))
CHANGES = 800  # rclpy's own executors raise after 6 to 1600 of them


@pytest.fixture
def context() -> Iterator[Context]:
    context, interval = Context(), sys.getswitchinterval()
    rclpy.init(context=context, domain_id=DOMAIN)
    sys.setswitchinterval(0.00005)  # threads change places in the middle of a wait far more often
    yield context
    sys.setswitchinterval(interval)
    rclpy.try_shutdown(context=context)


@pytest.mark.parametrize("kind", [SingleThreadedExecutor, MultiThreadedExecutor])
def test_what_is_destroyed_beside_the_executor_does_not_end_it(
    context: Context, kind: type[Executor]
) -> None:
    node = Node("changing", context=context)
    executor = kind(context=context)
    executor.add_node(node)
    raised: list[BaseException] = []

    def spin() -> None:
        try:
            executor.spin()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=spin)
    thread.start()
    heard = threading.Event()
    publisher = node.create_publisher(Empty, "changing", 10)
    node.create_subscription(Empty, "changing", lambda _: heard.set(), 10)
    for _ in range(CHANGES):
        passing = node.create_subscription(Empty, "changing", lambda _: None, 10)
        publisher.publish(Empty())
        time.sleep(0.001)
        node.destroy_subscription(passing)
    heard.clear()
    publisher.publish(Empty())
    try:
        assert not raised
        assert heard.wait(10.0), "the node went deaf"
    finally:
        executor.shutdown()
        thread.join(10.0)
    assert not thread.is_alive(), "the executor ends when it is told to"
    assert not raised


def test_what_a_callback_raises_still_leaves_spin(context: Context) -> None:
    node = Node("raising", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def fail() -> None:
        raise ValueError("from the callback")

    node.create_timer(0.01, fail)
    with pytest.raises(ValueError, match="from the callback"):
        executor.spin()
    executor.shutdown()


def test_an_executor_that_is_shut_down_at_work_leaves_nothing_unsaid(
    context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(60):
        node = Node("busy", context=context, start_parameter_services=False)
        executor = MultiThreadedExecutor(2, context=context)
        executor.add_node(node)
        for _ in range(4):
            node.create_timer(0.0005, lambda: None)
        thread = threading.Thread(target=executor.spin)
        thread.start()
        time.sleep(0.02)
        executor.shutdown(timeout_sec=2.0)
        thread.join(10.0)
        node.destroy_node()
        del executor
    gc.collect()
    assert "never retrieved" not in "".join(capfd.readouterr())
