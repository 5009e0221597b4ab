"""What instruction and scene add to a lifted flow: a joint to move on, a place to go into."""

from __future__ import annotations

from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_core.task import Motion
from novaflow_flowgen.core.jointed import jointed
from novaflow_flowgen.core.protocols import LiftResult
from novaflow_flowgen.core.settling import settled


def guided(
    result: LiftResult, scene: Scene, grounding: Grounding
) -> tuple[ObjectFlow, dict[str, float]]:
    """Lead a flow by what is known besides the video.

    Args:
        result: Of lifting a video of the target.
        scene: What the cameras saw.
        grounding: What the instruction speaks of.

    Returns:
        The flow and its statistics.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the flow's points do not fix its poses.
    """
    if grounding.task.motion is Motion.OPEN:
        return jointed(result.flow, result.stats)
    return settled(result.flow, result.stats, scene, grounding)
