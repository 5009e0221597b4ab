"""Asks the simulator's scorer, in its own DDS domain. For harnesses: the product never does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import rclpy
import rclpy.executors
from rclpy.context import Context
from rclpy.node import Node
from std_srvs.srv import Trigger

from novaflow_core.errors import Code, PlatformError

SCORE = "/scorer/score"


@dataclass(frozen=True)
class Score:
    """The truth about a task.

    Attributes:
        success: Whether the task is done.
        details: What the scorer measured.
    """

    success: bool
    details: dict[str, Any] = field(default_factory=dict)


def ask_scorer(domain: int, timeout_s: float = 15.0) -> Score:
    """Ask once.

    Raises:
        PlatformError: UNAVAILABLE or TIMEOUT.
    """
    context = Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    node = Node("novaflow_harness", context=context, use_global_arguments=False)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        client = node.create_client(Trigger, SCORE)
        if not client.wait_for_service(timeout_sec=timeout_s):
            raise PlatformError(Code.UNAVAILABLE, f"{SCORE} is not there in domain {domain}")
        future = client.call_async(Trigger.Request())
        executor.spin_until_future_complete(future, timeout_sec=timeout_s)
        if not future.done():
            raise PlatformError(Code.TIMEOUT, f"{SCORE} did not answer within {timeout_s:.0f} s")
        return read_score(future.result())
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def read_score(answer: Any) -> Score:
    """Score of a Trigger response whose message is JSON with at least `success`.

    Raises:
        PlatformError: INVALID_MESSAGE when it is not, with what the scorer said.
    """
    try:
        details = dict(json.loads(answer.message))
        return Score(bool(answer.success) and bool(details["success"]), details)
    except (ValueError, TypeError, KeyError) as error:
        raise PlatformError(Code.INVALID_MESSAGE, f"{SCORE} answered '{answer.message}'") from error
