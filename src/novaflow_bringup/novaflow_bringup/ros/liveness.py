"""Who is alive: heartbeats by their arrival on the steady clock, and what the guard says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile

from novaflow_bringup.ros.side_thread import SideThread
from novaflow_msgs.msg import GuardState, Heartbeat
from novaflow_ros.frozen import end_frozen
from novaflow_ros.node import HEARTBEAT_TOPIC

GUARD_TOPIC = "/novaflow/guard_state"


@dataclass(frozen=True)
class Sign:
    """Last sign of life of one node."""

    pid: int
    active: bool
    heard_s: float


class Liveness:
    """Listens to heartbeats and the guard."""

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        """Listen, in a thread of its own: heartbeats shall wait for nothing but each other.

        Args:
            node: Whose name and context are used; its executor is not.
            clock: Steady time [s].
        """
        own = Node(
            f"{node.get_name()}_liveness",
            context=node.context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._signs: dict[str, Sign] = {}
        self._guard: tuple[float, GuardState] | None = None
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._subscriptions = [
            own.create_subscription(kind, topic, heard, QoSProfile(depth=50), event_callbacks=quiet)
            for kind, topic, heard in (
                (Heartbeat, HEARTBEAT_TOPIC, self._heard),
                (GuardState, GUARD_TOPIC, self._guarded),
            )
        ]
        self._side = SideThread(own)

    def close(self) -> None:
        """Stop listening."""
        self._side.close()

    def _heard(self, message: Heartbeat) -> None:
        with self._lock:
            self._signs[message.node] = Sign(message.pid, message.active, self._clock())

    def _guarded(self, message: GuardState) -> None:
        with self._lock:
            self._guard = (self._clock(), message)

    def pid(self, node: str) -> int | None:
        """Process id that last spoke for a node; None when it was never heard."""
        with self._lock:
            sign = self._signs.get(node)
        return None if sign is None else sign.pid

    def describe(self, node: str) -> str:
        """Name a node and say what was last heard of it."""
        with self._lock:
            sign = self._signs.get(node)
        if sign is None:
            return f"{node} (never heard)"
        age = self._clock() - sign.heard_s
        state = "" if sign.active else ", not active"
        return f"{node} (pid {sign.pid}{state}, last heard {age:.1f} s ago)"

    def missing(self, nodes: Iterable[str], silent_s: float) -> list[str]:
        """Descriptions of the nodes that are silent for longer than `silent_s` or not active."""
        now = self._clock()
        with self._lock:
            signs = dict(self._signs)
        gone = [
            name
            for name in nodes
            if (sign := signs.get(name)) is None or now - sign.heard_s > silent_s or not sign.active
        ]
        return [self.describe(name) for name in gone]

    def end_frozen(self, node: str, silent_s: float) -> bool:
        """Kill a node's process on this host if it was heard once and is silent for longer [s]."""
        with self._lock:
            sign = self._signs.get(node)
        silent = sign is not None and self._clock() - sign.heard_s > silent_s
        return silent and sign is not None and end_frozen(node, sign.pid)

    def lost(self, node: str, pid: int | None, silent_s: float) -> str:
        """Say that the process which had this pid is gone or silent; "" while it lives.

        Args:
            node: Node name.
            pid: Process that was asked; None when it was never heard, and so cannot be missed.
            silent_s: Silence that counts as death [s].
        """
        with self._lock:
            sign = self._signs.get(node)
        if pid is None or sign is None:
            return ""
        if sign.pid != pid:
            return f"{node} (pid {pid}) was replaced by pid {sign.pid}"
        age = self._clock() - sign.heard_s
        return f"{node} (pid {pid}) is silent for {age:.1f} s" if age > silent_s else ""

    def culprit(self, silent_s: float = 1.0) -> str:
        """What the guard blames, while it has tripped and still speaks; "" otherwise."""
        with self._lock:
            guard = self._guard
        if guard is None or self._clock() - guard[0] > silent_s or not guard[1].tripped:
            return ""
        return f"{guard[1].culprit}: {guard[1].reason}"
