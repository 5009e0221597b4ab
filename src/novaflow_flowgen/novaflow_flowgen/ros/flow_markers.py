"""Candidate flows as a few line strips: large line lists are slow in rclpy and viewers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from novaflow_core.candidate import FlowCandidate
from novaflow_core.flow import ObjectFlow

_STEP_STRIDE = 3
_COLOURS = (
    (0.12, 0.47, 0.71), (1.0, 0.5, 0.05), (0.17, 0.63, 0.17), (0.84, 0.15, 0.16),
    (0.58, 0.4, 0.74), (0.55, 0.34, 0.29), (0.89, 0.47, 0.76), (0.5, 0.5, 0.5),
)  # fmt: skip


def flow_markers(candidates: Sequence[FlowCandidate], stamp: Time, tracks: int) -> MarkerArray:
    """Build line strips of the usable candidates, coloured by index; older ones are deleted."""
    out = MarkerArray(markers=[Marker(action=Marker.DELETEALL)])
    for index, candidate in enumerate(candidates):
        if candidate.flow is None or tracks == 0:
            continue
        r, g, b = _COLOURS[index % len(_COLOURS)]
        colour = ColorRGBA(r=r, g=g, b=b, a=0.9)
        for number, line in enumerate(_lines(candidate.flow, tracks)):
            marker = Marker(
                ns=candidate.candidate_id, id=number, type=Marker.LINE_STRIP, action=Marker.ADD
            )
            marker.header.frame_id = candidate.flow.frame_id
            marker.header.stamp = stamp
            marker.pose.orientation.w = 1.0
            marker.scale.x = 0.002
            marker.color = colour
            marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in line]
            out.markers.append(marker)
    return out


def _lines(flow: ObjectFlow, tracks: int) -> list[np.ndarray]:
    pick = np.unique(np.linspace(0, flow.point_count - 1, tracks).astype(int))
    steps = np.unique(np.r_[np.arange(0, flow.steps, _STEP_STRIDE), flow.steps - 1])
    lines = [flow.points[steps, k] for k in pick]
    return [line[np.isfinite(line).all(axis=1)] for line in lines]
