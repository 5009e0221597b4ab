"""The lifecycle node that every NovaFlow node is.

Parameters from a schema, a heartbeat, autostart, and one place for errors.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import rclpy
import rclpy.executors
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from novaflow_core import settings as schema
from novaflow_core.errors import NovaflowError
from novaflow_core.settings import SettingInfo
from novaflow_msgs.msg import Heartbeat
from novaflow_ros.executors import MultiThreadedExecutor, SingleThreadedExecutor

HEARTBEAT_TOPIC = "/novaflow/heartbeat"
HEARTBEAT_PERIOD_S = 0.1
ENDING_S = 3.0  # launch sends SIGTERM 5 s after SIGINT

S = TypeVar("S")


class NovaflowNode(LifecycleNode, Generic[S]):
    """A lifecycle node with settings of type S.

    Subclasses implement `setup` (build backends, create servers), and may implement `start`, `stop`
    and `teardown`. Each of them may raise `NovaflowError`; it is logged with its code and the
    transition fails.
    """

    def __init__(self, name: str, settings_type: type[S], **kwargs: Any) -> None:
        """Declare the parameters of `settings_type` and begin the heartbeat."""
        super().__init__(name, **kwargs)
        self._settings_type = settings_type
        self.active = False
        self.settings: S = settings_type()
        self.busy_checks: list[Callable[[], bool]] = []  # of the action servers
        for key, (default, info) in schema.describe(settings_type).items():
            value = list(default) if isinstance(default, tuple) else default
            self.declare_parameter(key, value, _descriptor(default, info))
        self.declare_parameter(
            "autostart", True, ParameterDescriptor(description="configure and activate at start")
        )
        self._heartbeat = self.create_publisher(Heartbeat, HEARTBEAT_TOPIC, 10)
        self.create_timer(
            HEARTBEAT_PERIOD_S,
            self._beat,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    # --- for subclasses ---
    def setup(self) -> None:
        """Build backends and servers from `self.settings`."""

    def start(self) -> None:
        """Open the gate."""

    def stop(self) -> None:
        """Close the gate and cancel what runs."""

    def teardown(self) -> None:
        """Free what `setup` built."""

    def busy(self) -> bool:
        """Whether a goal still runs."""
        return any(check() for check in self.busy_checks)

    # --- lifecycle ---
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read and check the parameters, then set up."""
        return self._guarded("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start."""
        return self._guarded("activate", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop."""
        self.active = False
        return self._guarded("deactivate", self.stop)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Tear down."""
        return self._guarded("clean up", self.teardown)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop and tear down."""
        self.active = False
        return self._guarded("shut down", self.stop)

    def _configure(self) -> None:
        values = {
            key: self.get_parameter(key).value for key in schema.describe(self._settings_type)
        }
        self.settings = schema.build(self._settings_type, values)
        self.setup()

    def _activate(self) -> None:
        self.start()
        self.active = True

    def _guarded(self, what: str, call: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            call()
        except NovaflowError as error:
            self.get_logger().error(f"cannot {what}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"cannot {what}:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def _beat(self) -> None:
        self._heartbeat.publish(
            Heartbeat(node=self.get_name(), pid=os.getpid(), active=self.active)
        )


def run(node_type: Callable[[], NovaflowNode[Any]], *, threads: int = 4) -> None:
    """Run one node until SIGINT or SIGTERM; the exit status is 1 when it could not be started.

    The context outlives the signal: a goal that runs is told to stop and still cancels what it
    started (an arm, above all) and answers, for which it has `ENDING_S`.
    """
    # A goal that computes keeps the interpreter for 5 ms at a time by default. With 150 messages
    # a second the executor would wait for it most of the time, and the heartbeat behind them.
    sys.setswitchinterval(0.0005)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    ending = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    node = node_type()
    executor = _make_executor(threads)
    executor.add_node(node)
    status = 0
    try:
        if node.get_parameter("autostart").value:
            ok = TransitionCallbackReturn.SUCCESS
            if node.trigger_configure() != ok or node.trigger_activate() != ok:
                status = 1
        # The heartbeat wakes the executor often enough to see the end in time.
        while status == 0 and not ending.is_set():
            executor.spin_once(timeout_sec=0.5)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    finally:
        if status == 0 and node.active:
            node.active = False
            node.stop()
            latest = time.monotonic() + ENDING_S
            while node.busy() and time.monotonic() < latest:
                executor.spin_once(timeout_sec=0.05)
        executor.shutdown(timeout_sec=2.0)
        node.destroy_node()
        rclpy.try_shutdown()
    sys.exit(status)


def _make_executor(threads: int) -> rclpy.executors.Executor:
    """Executor of a process with one node.

    With one thread, the executor that waits in C++ serves where rclpy has it: building wait sets in
    Python costs a node that hears 100 messages a second a tenth of a core.
    """
    if threads > 1:
        return MultiThreadedExecutor(num_threads=threads)
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:  # before Kilted
        return SingleThreadedExecutor()
    return EventsExecutor()


def _descriptor(default: Any, info: SettingInfo) -> ParameterDescriptor:
    text = info.description + (f" [{info.unit}]" if info.unit else "")
    if info.choices:
        text += f" One of: {', '.join(info.choices)}."
    out = ParameterDescriptor(description=text, read_only=False)
    sample = default[0] if isinstance(default, tuple) and default else default
    if info.low is not None and info.high is not None and not isinstance(default, tuple):
        if isinstance(sample, float):
            out.floating_point_range = [
                FloatingPointRange(from_value=float(info.low), to_value=float(info.high))
            ]
        elif isinstance(sample, int):
            out.integer_range = [IntegerRange(from_value=int(info.low), to_value=int(info.high))]
    return out
