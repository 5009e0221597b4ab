"""An action client whose answers are not lost, and whose goals can be ended without one.

rclpy may take up the answer to a request before it has noted whom it is for, or note that twice
(ros2/rclpy#1123; mended in part): the future then never completes, while the goal runs. Here no
answer is taken up before the request has been sent and noted.
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

from action_msgs.srv import CancelGoal
from rclpy.action import ActionClient
from rclpy.task import Future
from unique_identifier_msgs.msg import UUID

CANCEL_EVERY_S = 0.5


def new_goal_id() -> UUID:
    """An id for `send_goal_async`, by which `cancel_by_id` knows the goal."""
    return UUID(uuid=list(uuid.uuid4().bytes))


class GoalClient(ActionClient):
    """rclpy's, for requests that are sent from other threads than the executor's."""

    def __init__(self, node: Any, action_type: Any, action_name: str, **kwargs: Any) -> None:
        """Create the client; the arguments are those of the base class."""
        self._noting = threading.RLock()
        self._of = node
        self._canceller = node.create_client(
            CancelGoal,
            f"{action_name}/_action/cancel_goal",
            callback_group=kwargs.get("callback_group"),
        )
        super().__init__(node, action_type, action_name, **kwargs)

    def destroy(self) -> None:
        """Remove the client from its node."""
        self._of.destroy_client(self._canceller)
        super().destroy()

    def take_data(self) -> Any:
        """What has arrived, for the executor; it waits while a request is being sent."""
        with self._noting:
            return super().take_data()

    def send_goal_async(self, *args: Any, **kwargs: Any) -> Future:
        """Send a goal, as the base class does."""
        with self._noting:
            return super().send_goal_async(*args, **kwargs)

    def _cancel_goal_async(self, goal_handle: Any) -> Future:
        with self._noting:
            return super()._cancel_goal_async(goal_handle)

    def _get_result_async(self, goal_handle: Any) -> Future:
        with self._noting:
            return super()._get_result_async(goal_handle)

    def cancel_all(self) -> None:
        """Ask the server to end every goal, whoever sent it; the answer is not waited for."""
        if self._canceller.service_is_ready():
            self._canceller.call_async(CancelGoal.Request())  # zero id and stamp mean: all

    def cancel_by_id(self, goal_id: UUID, timeout_s: float) -> bool:
        """Cancel a goal that nobody has answered; again until its server knows it.

        Args:
            goal_id: As given to `send_goal_async`.
            timeout_s: After this it is given up [s].

        Returns:
            Whether the server has said that it ends the goal, or that it has ended.
        """
        request = CancelGoal.Request()
        request.goal_info.goal_id = goal_id
        latest_s = time.monotonic() + timeout_s
        while time.monotonic() < latest_s:
            answered = threading.Event()
            future = self._canceller.call_async(request)
            future.add_done_callback(lambda _, done=answered: done.set())
            if not answered.wait(CANCEL_EVERY_S):
                self._canceller.remove_pending_request(future)
                continue
            code = future.result().return_code
            if code in (CancelGoal.Response.ERROR_NONE, CancelGoal.Response.ERROR_GOAL_TERMINATED):
                return True
            time.sleep(min(0.1, CANCEL_EVERY_S))
        return False
