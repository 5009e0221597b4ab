"""Serve and call actions.

One goal at a time, errors mapped to codes in one place, waiting without spinning.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.action.client import ClientGoalHandle
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.task import Future

from novaflow_core.errors import Code, NovaflowError, PlatformError
from novaflow_msgs.msg import StageReport
from novaflow_ros.conversions import time_from_ns
from novaflow_ros.goal_client import GoalClient, new_goal_id
from novaflow_ros.node import NovaflowNode

ANSWER_S = 10.0  # how long the answer to a goal may take
END_S = 3.0  # and its end, once it is cancelled

ShouldStop = Callable[[], bool]
Report = Callable[[str, float], None]


class SingleGoalServer:
    """An action server that runs one goal at a time and never leaves one without an answer.

    `work(goal, goal_handle)` returns the result message. A `NovaflowError` becomes a result with
    its code; anything else is logged with its traceback and becomes INTERNAL. A second goal
    meanwhile, or one for an inactive node, is accepted and aborted at once, so that its sender gets
    the code BUSY or NOT_ACTIVE and not a bare refusal.
    """

    def __init__(
        self,
        node: NovaflowNode[Any],
        action_type: Any,
        name: str,
        work: Callable[[Any, ServerGoalHandle], Any],
        *,
        fail: Callable[[NovaflowError], Any] | None = None,
    ) -> None:
        """Create the server; `fail` makes an error's result where it has no `code` and `reason`."""
        self._node = node
        self._type = action_type
        self._work = work
        self._fail = fail or self._plain_failure
        self._busy = threading.Lock()
        self.stopping = threading.Event()
        node.busy_checks.append(self._busy.locked)
        self._server = ActionServer(
            node,
            action_type,
            name,
            execute_callback=self._unreachable,
            handle_accepted_callback=self._accept,
            goal_callback=lambda _goal: GoalResponse.ACCEPT,
            cancel_callback=lambda _handle: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )

    def destroy(self) -> None:
        """Stop the running goal and remove the server."""
        self.stopping.set()
        self._server.destroy()

    def should_stop(self, handle: ServerGoalHandle) -> bool:
        """Whether the goal is to end: cancelled, or the node is no longer active."""
        return bool(handle.is_cancel_requested) or self.stopping.is_set() or not self._node.active

    def _accept(self, handle: ServerGoalHandle) -> None:
        """Work in a thread of its own: the executor goes on hearing cancels and heartbeats."""
        threading.Thread(target=self._run, args=(handle,), daemon=True).start()

    def _run(self, handle: ServerGoalHandle) -> None:
        first = self._busy.acquire(blocking=False)
        if first:
            end, result = self._outcome(handle)
        else:
            text = f"{self._node.get_name()} is busy with another goal"
            end, result = "abort", self._fail(PlatformError(Code.BUSY, text))

        def finish(goal: ServerGoalHandle) -> Any:
            getattr(goal, end)()
            if first:
                self._busy.release()
            return result

        handle.execute(finish)

    def _outcome(self, handle: ServerGoalHandle) -> tuple[str, Any]:
        """Do the work; return how the goal ends (a method of its handle) and its result."""
        try:
            if not self._node.active:
                raise PlatformError(Code.NOT_ACTIVE, f"{self._node.get_name()} is not active")
            return "succeed", self._work(handle.request, handle)
        except NovaflowError as error:
            return "canceled" if handle.is_cancel_requested else "abort", self._fail(error)
        except Exception as error:
            self._node.get_logger().error(f"unexpected failure:\n{traceback.format_exc()}")
            internal = PlatformError(Code.INTERNAL, f"{type(error).__name__}: {error}")
            return "abort", self._fail(internal)

    def _unreachable(self, handle: ServerGoalHandle) -> Any:
        """Stand where rclpy asks for one; `_run` gives every goal its own."""
        raise NotImplementedError

    def _plain_failure(self, error: NovaflowError) -> Any:
        return self._type.Result(code=int(error.code), reason=error.reason)


class StageReporter:
    """Publishes the progress of one stage as feedback of a goal; Feedback has a `stage` field."""

    def __init__(
        self, feedback_type: Any, handle: ServerGoalHandle, stage: str, clock: Any
    ) -> None:
        """Remember when the stage began."""
        self._type, self._handle, self._stage, self._clock = feedback_type, handle, stage, clock
        self._began = time.monotonic()

    def __call__(
        self, text: str, progress: float = float("nan"), state: int = StageReport.RUNNING
    ) -> None:
        """Send one line; `progress` is 0..1 or NaN."""
        report = StageReport(
            stamp=time_from_ns(self._clock.now().nanoseconds),
            stage=self._stage,
            state=state,
            progress=float(progress),
            elapsed=time.monotonic() - self._began,
            text=text,
        )
        self._handle.publish_feedback(self._type(stage=report))


def wait_for(future: Future, timeout_s: float, should_stop: ShouldStop = lambda: False) -> bool:
    """Wait until a future is done, without spinning; the executor completes it in another thread.

    Returns:
        False when the time is over or `should_stop` says so.
    """
    done = threading.Event()
    future.add_done_callback(lambda _f: done.set())
    end = time.monotonic() + timeout_s
    while not done.wait(min(0.05, max(0.0, end - time.monotonic()))):
        if should_stop() or time.monotonic() >= end:
            return False
    return True


def call_service(
    client: Client, request: Any, timeout_s: float, should_stop: ShouldStop = lambda: False
) -> Any:
    """Call a service from a worker thread.

    Raises:
        PlatformError: UNAVAILABLE, TIMEOUT or CANCELLED, naming the service.
    """
    name = client.srv_name
    if not client.wait_for_service(timeout_sec=min(timeout_s, 5.0)):
        raise PlatformError(Code.UNAVAILABLE, f"service {name} is not there; is its node running?")
    future = client.call_async(request)
    if not wait_for(future, timeout_s, should_stop):
        client.remove_pending_request(future)
        if should_stop():
            raise PlatformError(Code.CANCELLED, f"cancelled while waiting for {name}")
        raise PlatformError(Code.TIMEOUT, f"service {name} did not answer within {timeout_s:.1f} s")
    return future.result()


def send_goal(
    client: GoalClient,
    name: str,
    goal: Any,
    timeout_s: float,
    on_message: Callable[[Any], None] | None = None,
) -> ClientGoalHandle:
    """Send a goal and wait until it is accepted; one that is not answered is cancelled.

    Raises:
        PlatformError: TIMEOUT or UNAVAILABLE, naming the action.
    """
    goal_id = new_goal_id()
    sending = client.send_goal_async(goal, feedback_callback=on_message, goal_uuid=goal_id)
    if not wait_for(sending, timeout_s):
        ended = "it was cancelled" if client.cancel_by_id(goal_id, END_S) else "it may still run"
        raise PlatformError(Code.TIMEOUT, f"action {name} did not answer the goal; {ended}")
    handle = sending.result()
    if not handle.accepted:
        raise PlatformError(Code.UNAVAILABLE, f"action {name} refused the goal")
    return handle


def call_action(
    client: GoalClient,
    name: str,
    goal: Any,
    timeout_s: float,
    should_stop: ShouldStop = lambda: False,
    on_feedback: Callable[[Any], None] | None = None,
) -> tuple[int, Any]:
    """Send a goal from a worker thread and wait for its result.

    A stop cancels the goal and waits for its end. A goal that is not answered in time is cancelled,
    too: it may run, unknown to its sender.

    Returns:
        The goal's status (`action_msgs/GoalStatus`) and its result message.

    Raises:
        PlatformError: UNAVAILABLE, TIMEOUT or CANCELLED, naming the action.
    """
    if not client.wait_for_server(timeout_sec=min(timeout_s, 5.0)):
        raise PlatformError(Code.UNAVAILABLE, f"action {name} is not there; is its node running?")
    callback = None if on_feedback is None else (lambda message: on_feedback(message.feedback))
    handle = send_goal(client, name, goal, min(timeout_s, ANSWER_S), callback)
    result = handle.get_result_async()
    if wait_for(result, timeout_s, should_stop):
        answer = result.result()
        return int(answer.status), answer.result
    handle.cancel_goal_async()
    wait_for(result, END_S)
    if should_stop():
        raise PlatformError(Code.CANCELLED, f"cancelled during {name}")
    raise PlatformError(Code.TIMEOUT, f"action {name} did not finish within {timeout_s:.0f} s")


SUCCEEDED = GoalStatus.STATUS_SUCCEEDED
