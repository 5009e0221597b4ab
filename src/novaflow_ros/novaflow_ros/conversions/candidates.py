"""Object flows, candidates and what judges think of them."""

from __future__ import annotations

import math

import numpy as np

from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, ShapeError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.grasp import Grasp
from novaflow_msgs import msg as nf
from novaflow_ros.conversions.elements import (
    buffer,
    member,
    pose_from_matrix,
    pose_to_matrix,
    time_from_ns,
    time_to_ns,
)


def flow_to_msg(flow: ObjectFlow | None) -> nf.ObjectFlow3D:
    """ObjectFlow3D message; None becomes a message with 0 steps."""
    if flow is None:
        return nf.ObjectFlow3D()
    out = nf.ObjectFlow3D(
        label=flow.label,
        kind=flow.kind.value,
        steps=flow.steps,
        point_count=flow.point_count,
        dt=float(flow.dt_s),
    )
    out.header.frame_id = flow.frame_id
    out.header.stamp = time_from_ns(flow.stamp_ns)
    out.points = buffer(flow.points, "f")
    out.visible = buffer(flow.visible, "B")
    out.confidence = buffer(flow.confidence, "f")
    return out


def flow_from_msg(message: nf.ObjectFlow3D) -> ObjectFlow | None:
    """Object flow of a message; None when it has 0 steps.

    Raises:
        ShapeError: If the arrays are not as long as the size fields say.
    """
    if message.steps == 0:
        return None
    shape = (int(message.steps), int(message.point_count))
    cells = shape[0] * shape[1]
    if (
        len(message.points) != 3 * cells
        or len(message.visible) != cells
        or len(message.confidence) != cells
    ):
        raise ShapeError(
            f"flow of {shape[0]} steps, {shape[1]} points holds {len(message.points)} coordinates, "
            f"{len(message.visible)} visibilities, {len(message.confidence)} confidences"
        )
    return ObjectFlow(
        points=np.frombuffer(message.points, np.float32).reshape(*shape, 3),
        visible=np.frombuffer(message.visible, np.uint8).reshape(shape).astype(bool),
        confidence=np.frombuffer(message.confidence, np.float32).reshape(shape),
        dt_s=float(message.dt),
        frame_id=message.header.frame_id,
        stamp_ns=time_to_ns(message.header.stamp),
        label=message.label,
        kind=member(MotionKind, message.kind),
    )


def candidate_to_msg(candidate: FlowCandidate) -> nf.FlowCandidate:
    """FlowCandidate message."""
    return nf.FlowCandidate(
        candidate_id=candidate.candidate_id,
        scene_id=candidate.scene_id,
        code=int(candidate.code),
        reason=candidate.reason,
        flow=flow_to_msg(candidate.flow),
        video_uri=candidate.video_uri,
        video_sha256=candidate.video_sha256,
        stats=values_to_msg(candidate.stats),
    )


def candidate_from_msg(message: nf.FlowCandidate) -> FlowCandidate:
    """Candidate of a FlowCandidate message."""
    return FlowCandidate(
        candidate_id=message.candidate_id,
        scene_id=message.scene_id,
        code=member(Code, message.code),
        reason=message.reason,
        flow=flow_from_msg(message.flow),
        video_uri=message.video_uri,
        video_sha256=message.video_sha256,
        stats={item.name: float(item.value) for item in message.stats},
    )


def values_to_msg(values: dict[str, float]) -> list[nf.NamedValue]:
    """NamedValue messages of named numbers."""
    return [nf.NamedValue(name=name, value=float(value)) for name, value in values.items()]


def score_to_msg(score: CandidateScore) -> nf.CandidateScore:
    """CandidateScore message."""
    return nf.CandidateScore(
        candidate_id=score.candidate_id,
        valid=score.valid,
        score=float(score.score),
        gates=[
            nf.Gate(
                name=g.name,
                value=float(g.value),
                threshold=float(g.threshold),
                passed=bool(g.passed),
                reason=g.reason,
            )
            for g in score.gates
        ],
    )


def score_from_msg(message: nf.CandidateScore) -> CandidateScore:
    """Score of a CandidateScore message."""
    gates = tuple(Gate(g.name, g.value, g.threshold, g.passed, g.reason) for g in message.gates)
    return CandidateScore(message.candidate_id, float(message.score), gates)


def grasp_to_msg(grasp: Grasp | None, frame_id: str = "") -> nf.Grasp:
    """Grasp message; None becomes a message with width NaN."""
    out = nf.Grasp(width=math.nan)
    out.header.frame_id = frame_id
    if grasp is not None:
        out.pose = pose_from_matrix(grasp.T_planning_tcp)
        out.width = float(grasp.width_m)
        out.score = float(grasp.score)
    return out


def grasp_from_msg(message: nf.Grasp) -> Grasp | None:
    """Grasp of a message; None when its width is NaN."""
    if math.isnan(message.width):
        return None
    return Grasp(pose_to_matrix(message.pose), float(message.width), float(message.score))


def feasibility_to_msg(
    feasibility: CandidateFeasibility, frame_id: str = ""
) -> nf.CandidateFeasibility:
    """CandidateFeasibility message."""
    return nf.CandidateFeasibility(
        candidate_id=feasibility.candidate_id,
        checked=feasibility.checked,
        feasible=feasibility.feasible,
        code=int(feasibility.code),
        reason=feasibility.reason,
        score=float(feasibility.score),
        grasp=grasp_to_msg(feasibility.grasp, frame_id),
        grasps_tried=feasibility.grasps_tried,
    )


def feasibility_from_msg(message: nf.CandidateFeasibility) -> CandidateFeasibility:
    """Feasibility of a CandidateFeasibility message."""
    return CandidateFeasibility(
        candidate_id=message.candidate_id,
        checked=message.checked,
        code=member(Code, message.code),
        reason=message.reason,
        score=float(message.score),
        grasp=grasp_from_msg(message.grasp),
        grasps_tried=int(message.grasps_tried),
    )
