"""selector_node: chooses the believable candidate, or none."""

from __future__ import annotations

from typing import Any

from rclpy.action.server import ServerGoalHandle
from rclpy.qos import DurabilityPolicy, QoSProfile
from visualization_msgs.msg import MarkerArray

from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code, PlatformError
from novaflow_core.grounding import Grounding
from novaflow_core.registry import load_backend
from novaflow_core.scene import Scene
from novaflow_flowgen.core.flow_image import draw_flow_image, write_png
from novaflow_flowgen.core.judging import Selection, SelectorSettings
from novaflow_flowgen.ros.flow_markers import flow_markers
from novaflow_msgs.action import SelectFlow
from novaflow_msgs.msg import StageReport
from novaflow_ros.actions import SingleGoalServer, StageReporter
from novaflow_ros.artifacts import to_path, to_uri
from novaflow_ros.conversions import (
    candidate_from_msg,
    feasibility_from_msg,
    grounding_from_msg,
    scene_from_msg,
    score_to_msg,
)
from novaflow_ros.node import NovaflowNode, run

FLOW_IMAGE = "flow_image.png"


class SelectorNode(NovaflowNode[SelectorSettings]):
    """Serves SelectFlow."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters."""
        super().__init__("selector_node", SelectorSettings, **kwargs)
        self._server: SingleGoalServer | None = None

    def setup(self) -> None:
        """Build the judge and the server."""
        self._selector = load_backend("selection", self.settings.selection)(self.settings)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._markers = self.create_publisher(MarkerArray, "/novaflow/chosen_flow_markers", latched)
        self._server = SingleGoalServer(self, SelectFlow, "/novaflow/select_flow", self._select)

    def start(self) -> None:
        """Accept goals."""
        if self._server is not None:
            self._server.stopping.clear()

    def stop(self) -> None:
        """End the running goal."""
        if self._server is not None:
            self._server.stopping.set()

    def teardown(self) -> None:
        """Remove the server and the publisher."""
        if self._server is not None:
            self._server.destroy()
            self._server = None
            self.destroy_publisher(self._markers)

    def _select(self, goal: Any, handle: ServerGoalHandle) -> Any:
        report = StageReporter(SelectFlow.Feedback, handle, "select", self.get_clock())
        scene, grounding = scene_from_msg(goal.scene), grounding_from_msg(goal.grounding)
        candidates = [candidate_from_msg(item) for item in goal.candidates]
        feasibility = [feasibility_from_msg(item) for item in goal.feasibility]
        report(f"judging {len(candidates)} candidates", state=StageReport.STARTED)
        server = self._server

        def should_stop() -> bool:
            return server is not None and server.should_stop(handle)

        selection = self._selector.select(scene, grounding, candidates, feasibility, should_stop)
        if should_stop():
            raise PlatformError(Code.CANCELLED, "cancelled while judging candidates")
        image_uri = self._draw(goal.artifact_uri, scene, grounding, candidates, selection)
        self._show(candidates, selection)
        found = selection.candidate_id is not None
        report(selection.reason, 1.0, StageReport.DONE if found else StageReport.FAILED)
        return SelectFlow.Result(
            code=int(Code.OK if found else Code.NO_VALID_CANDIDATE),
            reason=selection.reason,
            candidate_id=selection.candidate_id or "",
            scores=[score_to_msg(score) for score in selection.scores],
            flow_image_uri=image_uri,
        )

    def _draw(
        self,
        artifact_uri: str,
        scene: Scene,
        grounding: Grounding,
        candidates: list[FlowCandidate],
        selection: Selection,
    ) -> str:
        """Write the numbered flow image; without a folder there is none."""
        if not artifact_uri:
            return ""
        path = to_path(artifact_uri) / FLOW_IMAGE
        image = draw_flow_image(
            scene.main, grounding.task.instruction, candidates, selection.scores,
            selection.candidate_id,
        )  # fmt: skip
        write_png(image, path)
        return to_uri(path)

    def _show(self, candidates: list[FlowCandidate], selection: Selection) -> None:
        chosen = [c for c in candidates if c.candidate_id == selection.candidate_id]
        stamp = self.get_clock().now().to_msg()
        self._markers.publish(flow_markers(chosen, stamp, self.settings.marker_tracks))


def main() -> None:
    """Run the node."""
    run(SelectorNode, threads=1)
