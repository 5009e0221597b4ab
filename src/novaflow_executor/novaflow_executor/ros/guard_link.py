"""The executor's end of the guard: arm it, disarm it, and stop when it trips or falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.node import Node
from std_srvs.srv import SetBool

from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_msgs.msg import GuardState
from novaflow_ros.actions import call_service

STATE_TOPIC = "/novaflow/guard_state"
ARM_SERVICE = "/novaflow/arm_guard"
ASK_TIMES = 3
ANSWER_TIMEOUT_S = 1.5
PATIENCE_S = 2.0  # with a guard that was just started, and has not heard everybody yet


class GuardLink:
    """`Supervision` of one execution: the guard, and whoever may cancel the goal."""

    def __init__(self, node: Node, silence_s: float) -> None:
        """Listen to the guard.

        Args:
            node: Where clients and subscriptions are made.
            silence_s: Longest time without a word from the guard while the arm moves [s].
        """
        self._node = node
        self._silence_s = silence_s
        self._news = threading.Condition()
        self._pace = threading.Event()  # never set: paces repeated questions
        self._latest: GuardState | None = None
        self._heard_s = float("-inf")
        self._cancelled: Callable[[], bool] = lambda: False
        self._subscription = node.create_subscription(
            GuardState,
            STATE_TOPIC,
            self._on_state,
            10,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self._arm_guard = node.create_client(
            SetBool, ARM_SERVICE, callback_group=ReentrantCallbackGroup()
        )

    def destroy(self) -> None:
        """Free clients and subscriptions."""
        self._node.destroy_subscription(self._subscription)
        self._node.destroy_client(self._arm_guard)

    def _on_state(self, message: GuardState) -> None:
        with self._news:
            self._latest, self._heard_s = message, time.monotonic()
            self._news.notify_all()

    def arm(self, cancelled: Callable[[], bool]) -> None:
        """Let the guard watch; from now on `check` raises whatever ends the execution.

        Raises:
            PlatformError: PROCESS_LOST, naming the guard or what it misses.
        """
        self._cancelled = cancelled
        until_s = time.monotonic() + PATIENCE_S
        while not (answer := self._ask(True)).success:
            if cancelled():
                raise PlatformError(Code.CANCELLED, "cancelled before the arm moved")
            if time.monotonic() > until_s:
                raise PlatformError(Code.PROCESS_LOST, f"guard_node refused: {answer.message}")
            self._pace.wait(0.1)
        with self._news:
            armed = self._news.wait_for(
                lambda: (
                    self._latest is not None and self._latest.armed and not self._latest.tripped
                ),
                ANSWER_TIMEOUT_S,
            )
        if not armed:
            raise PlatformError(
                Code.PROCESS_LOST, "guard_node said that it is armed and fell silent"
            )

    def disarm(self) -> None:
        """Let the guard rest; a guard that is not there needs no rest."""
        try:
            self._ask(False)
        except NovaflowError as error:
            self._node.get_logger().warning(f"guard not disarmed: {error.reason}")

    def check(self) -> None:
        """Return while the guard is armed, content and heard of, and nobody has cancelled."""
        with self._news:
            state, age_s = self._latest, time.monotonic() - self._heard_s
        if state is not None and state.tripped:
            raise _tripped(state)
        if age_s > self._silence_s:
            raise PlatformError(
                Code.PROCESS_LOST,
                f"guard_node fell silent {age_s:.2f} s ago while the arm was moving; "
                f"the limit is {self._silence_s:.2f} s",
            )
        if state is not None and not state.armed:
            raise PlatformError(
                Code.PROCESS_LOST, "guard_node is no longer armed: it was restarted in motion"
            )
        if self._cancelled():
            raise PlatformError(Code.CANCELLED, "cancelled; the arm was stopped")

    def explain(self, timeout_s: float) -> None:
        """Wait a moment for the guard's word; raise it if it tripped."""
        with self._news:
            self._news.wait_for(
                lambda: self._latest is not None and self._latest.tripped, timeout_s
            )
            state = self._latest
        if state is not None and state.tripped:
            raise _tripped(state)

    def _ask(self, armed: bool) -> SetBool.Response:
        """Ask again when no answer comes: a guard that was just respawned may miss the first."""
        for left in reversed(range(ASK_TIMES)):
            try:
                return call_service(self._arm_guard, SetBool.Request(data=armed), ANSWER_TIMEOUT_S)
            except PlatformError as error:
                if left == 0:
                    raise PlatformError(
                        Code.PROCESS_LOST, f"guard_node does not answer: {error.reason}"
                    ) from error
        raise AssertionError  # the loop returns or raises


def _tripped(state: GuardState) -> NovaflowError:
    code, text = (
        Code(state.code),
        f"the guard stopped the arm, lost {state.culprit}: {state.reason}",
    )
    if code == Code.PROCESS_LOST:
        return PlatformError(code, text)
    return ExecutionError(code if code != Code.OK else Code.GUARD_STOP, text)
