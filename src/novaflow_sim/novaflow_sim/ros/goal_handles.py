"""What both action servers need of a goal handle."""

from __future__ import annotations

import time

from rclpy.action.server import ServerGoalHandle


def wait_until_cancelling(handle: ServerGoalHandle, timeout_s: float = 0.5) -> bool:
    """Wait for the cancelling state, which a goal enters after its cancel callback returned."""
    end = time.monotonic() + timeout_s
    while not handle.is_cancel_requested:
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True
