"""A small node in a thread of its own, beside the process's main executor."""

from __future__ import annotations

import contextlib
import threading

import rclpy.executors
from rclpy.node import Node


class SideThread:
    """Spins one node that hears many small messages.

    rclpy builds its wait set anew for every message: 100 messages a second cost a node with 60
    entities a fifth of a core, and one with two entities next to nothing. (The events executor of
    Kilted has no such cost, but dead-locks with a publisher in another thread.)
    """

    def __init__(self, node: Node) -> None:
        """Start."""
        self._node = node
        self._executor = rclpy.executors.SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name=node.get_name(), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop and remove the node; once is enough."""
        if not self._thread.is_alive():
            return
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(2.0)
        self._node.destroy_node()

    def _spin(self) -> None:
        with contextlib.suppress(rclpy.executors.ExternalShutdownException):
            self._executor.spin()
