"""The robot's URDF: Franka's kinematics and limits, Robotiq's finger linkage, primitive shapes."""

from __future__ import annotations

import numpy as np

from novaflow_sim.core import robot_model as robot

# Radius, length and centre along z [m] of a cylinder around each link, for viewers.
_LINK_SHAPES = (
    (0.090, 0.14, 0.07),
    (0.060, 0.25, -0.09),
    (0.060, 0.22, 0.00),
    (0.060, 0.24, -0.09),
    (0.060, 0.16, 0.00),
    (0.055, 0.30, -0.12),
    (0.050, 0.12, 0.00),
    (0.045, 0.12, 0.05),
)
# Name, parent, xyz [m] in the parent, fixed, multiplier of the driven joint; the other side has -x.
_FINGER_PARTS = (
    ("knuckle", "base_link", (0.03060114, 0.0, 0.05490452), False, 1.0),
    ("finger", "knuckle", (0.03152616, 0.0, -0.00376347), True, 0.0),
    ("inner_knuckle", "base_link", (0.0127, 0.0, 0.06142), False, 1.0),
    ("finger_tip", "finger", (0.00563134, 0.0, 0.04718515), False, -1.0),
)


def urdf() -> str:
    """Return the description as a driver would publish it on /robot_description."""
    parts = ['<?xml version="1.0"?>', '<robot name="fr3_robotiq_2f85">']
    for k in range(9):
        shape = ""
        if k < len(_LINK_SHAPES):
            radius, length, z = _LINK_SHAPES[k]
            geometry = f'<geometry><cylinder radius="{radius}" length="{length}"/></geometry>'
            origin = f'<origin xyz="0 0 {z}" rpy="0 0 0"/>'
            shape = f"<visual>{origin}{geometry}</visual><collision>{origin}{geometry}</collision>"
        parts.append(f'<link name="fr3_link{k}">{shape}</link>')
    for k, (name, (xyz, rpy)) in enumerate(zip(robot.ARM_JOINTS, robot.JOINT_ORIGINS, strict=True)):
        parts.append(
            f'<joint name="{name}" type="revolute"><parent link="fr3_link{k}"/>'
            f'<child link="fr3_link{k + 1}"/><origin xyz="{_row(xyz)}" rpy="{_row(rpy)}"/>'
            f'<axis xyz="0 0 1"/><limit lower="{robot.POSITION_LOW_RAD[k]}" '
            f'upper="{robot.POSITION_HIGH_RAD[k]}" velocity="{robot.VELOCITY_LIMIT_RAD_S[k]}" '
            f'effort="{robot.EFFORT_LIMIT_NM[k]}"/></joint>'
        )
    parts.append(_fixed("fr3_joint8", "fr3_link7", "fr3_link8", (0, 0, robot.FLANGE_HEIGHT_M)))
    parts += _gripper()
    parts.append("</robot>")
    return "\n".join(parts)


def _gripper() -> list[str]:
    base = (
        '<origin xyz="0 0 0.05" rpy="0 0 0"/>'
        '<geometry><cylinder radius="0.040" length="0.10"/></geometry>'
    )
    out = [
        f'<link name="robotiq_85_base_link"><visual>{base}</visual>'
        f"<collision>{base}</collision></link>",
        _fixed(
            "robotiq_85_base_joint",
            robot.FLANGE_FRAME,
            "robotiq_85_base_link",
            (0, 0, robot.COUPLING_HEIGHT_M + 0.0038),
            (0, 0, robot.MOUNT_YAW_RAD),
        ),
    ]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for part, parent, (x, y, z), fixed, multiplier in _FINGER_PARTS:
            link = f"robotiq_85_{side}_{part}_link"
            above = f"robotiq_85_{side}_{parent}_link"
            if parent == "base_link":
                above = "robotiq_85_base_link"
            joint = f"robotiq_85_{side}_{part}_joint"
            shape = '<geometry><box size="0.012 0.022 0.036"/></geometry>'
            out.append(
                f'<link name="{link}"><visual><origin xyz="0 0 0.018" rpy="0 0 0"/>{shape}'
                "</visual></link>"
            )
            if fixed:
                out.append(_fixed(joint, above, link, (sign * x, y, z)))
                continue
            mimic = (
                ""
                if joint == robot.GRIPPER_JOINT
                else f'<mimic joint="{robot.GRIPPER_JOINT}" multiplier="{multiplier}"/>'
            )
            low, high = (0.0, 0.8) if multiplier > 0 else (-0.8, 0.0)
            out.append(
                f'<joint name="{joint}" type="revolute"><parent link="{above}"/>'
                f'<child link="{link}"/><origin xyz="{sign * x} {y} {z}" rpy="0 0 0"/>'
                f'<axis xyz="0 {-sign:g} 0"/><limit lower="{low}" upper="{high}" velocity="2.0" '
                f'effort="235"/>{mimic}</joint>'
            )
    return out


def _fixed(
    name: str,
    parent: str,
    child: str,
    xyz: tuple[float, float, float],
    rpy: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> str:
    return (
        f'<joint name="{name}" type="fixed"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{_row(xyz)}" rpy="{_row(rpy)}"/></joint>'
    )


def _row(values: tuple[float, float, float]) -> str:
    return " ".join(f"{float(np.round(v, 9)):.9g}" for v in values)
