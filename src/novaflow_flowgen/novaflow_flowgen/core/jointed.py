"""Flows of things on joints: the joint is estimated from the flow, and the flow led along it."""

from __future__ import annotations

from dataclasses import replace

from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.joint import fit_joint, on_joint


def jointed(flow: ObjectFlow, stats: dict[str, float]) -> tuple[ObjectFlow, dict[str, float]]:
    """Lead a flow along the joint that it moves on.

    Args:
        flow: As lifted, of something that the instruction says is on a joint.
        stats: Measured while lifting.

    Returns:
        The flow, of the kind that was found (RIGID or DEFORMABLE and unchanged where it keeps to no
        joint), and the statistics with the joint's: axis, travel, and what it leaves unexplained.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the flow's points do not fix its poses.
    """
    joint = fit_joint(flow)
    told = stats | {"joint_rms_m": joint.rms_m, "joint_allowed_m": joint.allowed_m}
    if not joint.on_joint:
        return replace(flow, kind=joint.kind), told
    unit = "m" if joint.kind is MotionKind.PRISMATIC else "rad"
    told |= {f"joint_axis_{name}": float(v) for name, v in zip("xyz", joint.axis, strict=True)}
    told[f"joint_travel_{unit}"] = float(joint.values[-1])
    return on_joint(flow, joint), told
