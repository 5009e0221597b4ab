"""Executors whose spinning survives that something is destroyed beside it.

rclpy's look through the entities of a node while another thread may destroy one: then the wait
raises `InvalidHandle` out of `spin`, and the process goes on deaf or ends. Here it waits anew.
Nothing is lost by that: what was ready is ready in the next wait as well.
"""

from __future__ import annotations

import contextlib
from typing import Any

import rclpy.executors
from rclpy.exceptions import InvalidHandle


class _WaitsAnew(rclpy.executors.Executor):
    """Mixin: a wait that met a destroyed entity is begun again, until the executor is shut down."""

    _over = False

    def shutdown(self, *args: Any, **kwargs: Any) -> bool:
        """Stop, as the base class does."""
        self._over = True
        return super().shutdown(*args, **kwargs)

    def wait_for_ready_callbacks(self, *args: Any, **kwargs: Any) -> Any:
        """Return the next callback that is ready, as the base class does.

        Only the wait is repeated; what callbacks raise leaves `spin` as ever.
        """
        while True:
            try:
                return super().wait_for_ready_callbacks(*args, **kwargs)
            except InvalidHandle as error:
                if self._over:
                    raise rclpy.executors.ShutdownException from error


class SingleThreadedExecutor(_WaitsAnew, rclpy.executors.SingleThreadedExecutor):
    """rclpy's, for nodes that destroy subscriptions, clients or timers in another thread."""


class MultiThreadedExecutor(_WaitsAnew, rclpy.executors.MultiThreadedExecutor):
    """rclpy's, for nodes that destroy subscriptions, clients or timers in a callback."""

    def shutdown(self, *args: Any, **kwargs: Any) -> bool:
        """Stop, as the base class does; callbacks that raised meanwhile raise here.

        One that its worker takes up in this very moment finds the executor's guard condition
        destroyed; rclpy would print of each that its exception was never retrieved.
        """
        done = super().shutdown(*args, **kwargs)
        for handler in tuple(getattr(self, "_futures", ())):
            if handler.done():
                with contextlib.suppress(InvalidHandle):
                    handler.result()
        return done
