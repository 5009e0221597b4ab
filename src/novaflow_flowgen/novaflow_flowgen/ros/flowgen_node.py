"""flowgen_node: imagines candidates and lifts them to object flows."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.action.server import ServerGoalHandle
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage
from visualization_msgs.msg import MarkerArray

from novaflow_core.errors import Code, PlatformError
from novaflow_core.registry import load_backend
from novaflow_flowgen.backends.ray_candidates import RayCandidates
from novaflow_flowgen.core.pool import CandidatePool, Pool, PoolRequest, make_pool
from novaflow_flowgen.core.settings import ON_RAY, FlowgenSettings
from novaflow_flowgen.ros.flow_markers import flow_markers
from novaflow_msgs.action import GenerateFlows
from novaflow_msgs.msg import FlowCandidates
from novaflow_ros.actions import SingleGoalServer, StageReporter
from novaflow_ros.artifacts import to_path
from novaflow_ros.conversions import (
    candidate_to_msg,
    grounding_from_msg,
    scene_from_msg,
    values_to_msg,
)
from novaflow_ros.node import NovaflowNode, run


class FlowgenNode(NovaflowNode[FlowgenSettings]):
    """Serves GenerateFlows."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters."""
        super().__init__("flowgen_node", FlowgenSettings, **kwargs)
        self._server: SingleGoalServer | None = None

    def setup(self) -> None:
        """Build the backends and the server."""
        s = self.settings
        self._pool: CandidatePool | RayCandidates
        if s.candidates_on == ON_RAY:
            self._pool = RayCandidates(s)
        else:
            generator = load_backend("video", s.video)(s)
            lifter = load_backend("tracks", s.tracks)(s)
            self._pool = make_pool(s, generator, lifter, load_backend("prompt", s.prompt)(s))
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._candidates = self.create_publisher(FlowCandidates, "/novaflow/candidates", latched)
        self._markers = self.create_publisher(MarkerArray, "/novaflow/candidate_markers", latched)
        self._server = SingleGoalServer(
            self, GenerateFlows, "/novaflow/generate_flows", self._generate
        )

    def stop(self) -> None:
        """End the running goal."""
        if self._server is not None:
            self._server.stopping.set()

    def start(self) -> None:
        """Accept goals again."""
        if self._server is not None:
            self._server.stopping.clear()

    def teardown(self) -> None:
        """Remove the server and the publishers."""
        if self._server is not None:
            self._server.destroy()
            self._server = None
            self.destroy_publisher(self._candidates)
            self.destroy_publisher(self._markers)
            if isinstance(self._pool, RayCandidates):
                self._pool.close()

    def _generate(self, goal: Any, handle: ServerGoalHandle) -> Any:
        server, s = self._server, self.settings
        if server is None:
            raise PlatformError(Code.NOT_ACTIVE, "flowgen_node was shut down")
        end = time.monotonic() + s.timeout_s

        def should_stop() -> bool:
            if time.monotonic() > end:
                raise PlatformError(
                    Code.TIMEOUT, f"the candidates took longer than {s.timeout_s:.0f} s"
                )
            return server.should_stop(handle)

        request = PoolRequest(
            scene=scene_from_msg(goal.scene),
            grounding=grounding_from_msg(goal.grounding),
            candidates=int(goal.candidates) or s.candidates,
            seed=int(goal.seed),
            spoiled=int(goal.spoiled),
            artifacts=to_path(goal.artifact_uri),
            goal_image=_decode(goal.goal_image),
            truth_dir=Path(s.truth_dir) if s.truth_dir else None,
        )
        report = StageReporter(GenerateFlows.Feedback, handle, "generate", self.get_clock())
        pool = self._pool.make(request, report, should_stop)
        self._publish(request.scene.scene_id, pool)
        return GenerateFlows.Result(
            code=int(Code.OK),
            candidates=[candidate_to_msg(c) for c in pool.candidates],
            seconds=values_to_msg(pool.seconds),
            prompt=pool.prompt.text if pool.prompt else "",
            prompt_author=pool.prompt.author if pool.prompt else "",
        )

    def _publish(self, scene_id: str, pool: Pool) -> None:
        """Show the candidates to viewers and bags."""
        self._candidates.publish(
            FlowCandidates(
                scene_id=scene_id, candidates=[candidate_to_msg(c) for c in pool.candidates]
            )
        )
        stamp = self.get_clock().now().to_msg()
        self._markers.publish(flow_markers(pool.candidates, stamp, self.settings.marker_tracks))


def _decode(message: CompressedImage) -> NDArray[np.uint8] | None:
    """Goal image (H, W, 3) RGB, None when the message holds none."""
    if not message.data:
        return None
    image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise PlatformError(
            Code.INVALID_MESSAGE, f"the goal image ('{message.format}') cannot be decoded"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def main() -> None:
    """Run the node."""
    # The candidates share the cores already; OpenCV's own pool would spin against them.
    cv2.setNumThreads(1)
    run(FlowgenNode, threads=1)
