"""Kinematics and limits of an FR3 as its driver describes them; numbers of the data sheet."""

from __future__ import annotations

import math

RIGHT = math.pi / 2
# Origin [m], rotation about x [rad], position limits [rad], velocity limit [rad/s].
JOINTS = (
    ((0.0, 0.0, 0.333), 0.0, (-2.7437, 2.7437), 2.62),
    ((0.0, 0.0, 0.0), -RIGHT, (-1.7837, 1.7837), 2.62),
    ((0.0, -0.316, 0.0), RIGHT, (-2.9007, 2.9007), 2.62),
    ((0.0825, 0.0, 0.0), RIGHT, (-3.0421, -0.1518), 2.62),
    ((-0.0825, 0.384, 0.0), -RIGHT, (-2.8065, 2.8065), 5.26),
    ((0.0, 0.0, 0.0), RIGHT, (0.5445, 4.5169), 4.18),
    ((0.088, 0.0, 0.0), RIGHT, (-3.0159, 3.0159), 5.26),
)
FLANGE_M = 0.107


def urdf() -> str:
    """URDF from fr3_link0 to the flange, fr3_link8."""
    parts = [f'<link name="fr3_link{k}"/>' for k in range(9)]
    for k, (xyz, roll, (low, high), velocity) in enumerate(JOINTS):
        origin = f'<origin xyz="{xyz[0]} {xyz[1]} {xyz[2]}" rpy="{roll} 0 0"/>'
        limit = f'<limit lower="{low}" upper="{high}" velocity="{velocity}" effort="50"/>'
        parts.append(
            f'<joint name="fr3_joint{k + 1}" type="revolute"><parent link="fr3_link{k}"/>'
            f'<child link="fr3_link{k + 1}"/>{origin}<axis xyz="0 0 1"/>{limit}</joint>'
        )
    parts.append(
        '<joint name="fr3_joint8" type="fixed"><parent link="fr3_link7"/><child link="fr3_link8"/>'
        f'<origin xyz="0 0 {FLANGE_M}" rpy="0 0 0"/></joint>'
    )
    return f'<?xml version="1.0"?><robot name="fr3">{"".join(parts)}</robot>'
