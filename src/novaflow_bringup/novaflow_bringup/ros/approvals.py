"""A person's yes to one plan, bound to its hash and to the scene it was made for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node

from novaflow_core.errors import Code, ExecutionError, PlatformError
from novaflow_msgs.msg import ObjectTrack
from novaflow_msgs.srv import Approve
from novaflow_ros.conversions import pose_to_matrix

MOVED_M = 0.02  # further than tracking noise; a plan made for another place is not the one approved
MOVED_RAD = 0.2


class Approvals:
    """Serves `/novaflow/approve`; a plan expires when the target is no longer where it was."""

    def __init__(self, node: Node, group: Any) -> None:
        """Create the service and listen to the tracker."""
        self._lock = threading.Lock()
        self._waiting, self._answer, self._moved = "", threading.Event(), ""
        self._approved = False
        self._centre = np.zeros(3)
        self._service = node.create_service(
            Approve, "/novaflow/approve", self._decide, callback_group=group
        )
        self._track = node.create_subscription(
            ObjectTrack, "/novaflow/object_track", self._tracked, 5, callback_group=group
        )

    def wait(
        self,
        plan_hash: str,
        centre: NDArray[np.float64],
        timeout_s: float,
        should_stop: Callable[[], bool],
        on_wait: Callable[[str, float], None],
    ) -> None:
        """Return when the plan is approved.

        Args:
            plan_hash: Of the plan.
            centre: (3,) of the target when it was planned [m], planning frame.
            timeout_s: How long a person may take [s].
            should_stop: Whether the goal is to end.
            on_wait: Told that the plan waits.

        Raises:
            ExecutionError: MOTION_NOT_APPROVED when it is refused; PLAN_EXPIRED when the scene
                changed or nobody answered in time.
            PlatformError: CANCELLED.
        """
        with self._lock:
            self._waiting, self._approved, self._moved = plan_hash, False, ""
            self._centre = centre
            self._answer.clear()
        on_wait(f"waiting for approval of plan {plan_hash}", float("nan"))
        end = time.monotonic() + timeout_s
        try:
            while not self._answer.wait(0.05):
                if should_stop():
                    raise PlatformError(Code.CANCELLED, "cancelled while waiting for approval")
                if time.monotonic() > end:
                    raise ExecutionError(
                        Code.PLAN_EXPIRED,
                        f"nobody approved plan {plan_hash[:12]} within {timeout_s:.0f} s",
                    )
        finally:
            with self._lock:
                self._waiting = ""
        if self._moved:
            raise ExecutionError(Code.PLAN_EXPIRED, self._moved)
        if not self._approved:
            raise ExecutionError(Code.MOTION_NOT_APPROVED, f"plan {plan_hash[:12]} was refused")

    def _decide(self, request: Approve.Request, response: Approve.Response) -> Approve.Response:
        with self._lock:
            waiting = self._waiting
            if waiting and request.plan_hash == waiting:
                self._approved = bool(request.approved)
                self._answer.set()
                response.code = int(Code.OK)
                response.reason = "approved" if request.approved else "refused"
            else:
                response.code = int(Code.PLAN_EXPIRED)
                response.reason = f"plan {waiting[:12]} waits" if waiting else "no plan waits"
        return response

    def _tracked(self, message: ObjectTrack) -> None:
        if not self._waiting or not message.visible:
            return
        motion = pose_to_matrix(message.pose.pose)
        shift_m = float(
            np.linalg.norm(motion[:3, :3] @ self._centre + motion[:3, 3] - self._centre)
        )
        turned_rad = float(np.arccos(np.clip((np.trace(motion[:3, :3]) - 1) / 2, -1, 1)))
        if shift_m < MOVED_M and turned_rad < MOVED_RAD:
            return
        with self._lock:
            if self._waiting:
                self._moved = (
                    f"since planning the target moved {1e3 * shift_m:.0f} mm, {turned_rad:.2f} rad"
                )
                self._answer.set()
