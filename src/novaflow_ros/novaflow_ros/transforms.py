"""Look up transforms: a small buffer, enough for cameras and arms that are bolted down."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription
from tf2_msgs.msg import TFMessage

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError


class TransformBuffer:
    """The newest transform between any two frames of /tf and /tf_static.

    It keeps the newest transform of each frame and does not interpolate: cameras of this system are
    bolted down, or the robot stands still while they look.

    A camera that is bolted down needs /tf_static alone. /tf, hundreds of messages a second on a
    real robot, is listened to from the first question on that static transforms do not answer.
    """

    def __init__(self, node: Node) -> None:
        """Subscribe to /tf_static."""
        self._node = node
        self._parents: dict[str, tuple[str, NDArray[np.float64]]] = {}
        self._news = threading.Condition()
        static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._static = node.create_subscription(TFMessage, "/tf_static", self._store, static)
        self._moving: Subscription[TFMessage] | None = None

    def _store(self, message: TFMessage) -> None:
        with self._news:
            for item in message.transforms:
                t, q = item.transform.translation, item.transform.rotation
                matrix = se3.from_rt(se3.rotation_from_xyzw([q.x, q.y, q.z, q.w]), [t.x, t.y, t.z])
                self._parents[item.child_frame_id] = (item.header.frame_id, matrix)
            self._news.notify_all()

    def lookup(self, target: str, source: str, timeout_s: float = 1.0) -> NDArray[np.float64]:
        """Return T_target_source (4, 4), so that `p_target = T @ p_source`.

        Args:
            target: Frame of the result.
            source: Frame of what is to be transformed.
            timeout_s: How long to wait for frames that are not known yet [s]; not to be called from
                a callback of the node's only thread, which would wait for itself.

        Raises:
            PerceptionError: NO_TRANSFORM, naming the frames that are known.
        """
        with self._news:
            found = self._between(target, source)
            if found is None and self._moving is None:
                self._moving = self._node.create_subscription(TFMessage, "/tf", self._store, 100)
            self._news.wait_for(lambda: self._between(target, source) is not None, timeout_s)
            found = self._between(target, source)
            if found is None:
                known = ", ".join(sorted(self._parents)[:12]) or "none"
                raise PerceptionError(
                    Code.NO_TRANSFORM,
                    f"no transform from '{source}' to '{target}' within {timeout_s:.1f} s; "
                    f"known frames: {known}",
                )
            return found

    def _between(self, target: str, source: str) -> NDArray[np.float64] | None:
        to_source, to_target = self._chain(source), self._chain(target)
        common = next((frame for frame in to_source if frame in to_target), None)
        return None if common is None else se3.inverse(to_target[common]) @ to_source[common]

    def _chain(self, frame: str) -> dict[str, NDArray[np.float64]]:
        """T_ancestor_frame for every ancestor, nearest first."""
        out = {frame: np.eye(4)}
        current, matrix = frame, np.eye(4)
        while current in self._parents:
            current, step = self._parents[current]
            if current in out:
                break
            matrix = step @ matrix
            out[current] = matrix
        return out
