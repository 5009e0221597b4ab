"""URDF of arms that NovaFlow was not developed on; the numbers are of their makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "config"
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Joint:
    """One row of a URDF: limits and speed are None where it is fixed."""

    name: str
    child: str
    xyz: Triple = (0.0, 0.0, 0.0)
    rpy: Triple = (0.0, 0.0, 0.0)
    limit: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Arm:
    """An arm of the tests.

    Attributes:
        name: Of its settings file, without the suffix.
        base: Its first link, the planning frame.
        joints: Base to flange.
        parameters: Of executor and guard, where the defaults are an FR3's.
    """

    name: str
    base: str
    joints: tuple[Joint, ...]
    parameters: dict[str, str]

    @property
    def settings_path(self) -> str:
        """Its YAML file."""
        return str(CONFIG / f"{self.name}.yaml")

    @property
    def moving(self) -> tuple[str, ...]:
        """Names of the joints that move."""
        return tuple(joint.name for joint in self.joints if joint.limit)

    def urdf(self) -> str:
        """Its description."""
        rows, parent = [f'<link name="{self.base}"/>'], self.base
        for joint in self.joints:
            kind = "revolute" if joint.limit else "fixed"
            limit = ""
            if joint.limit:
                low, high, speed = joint.limit
                limit = f'<limit lower="{low}" upper="{high}" velocity="{speed}" effort="80"/>'
            xyz, rpy = (" ".join(map(str, v)) for v in (joint.xyz, joint.rpy))
            rows.append(
                f'<link name="{joint.child}"/><joint name="{joint.name}" type="{kind}">'
                f'<parent link="{parent}"/><child link="{joint.child}"/>'
                f'<origin xyz="{xyz}" rpy="{rpy}"/><axis xyz="0 0 1"/>{limit}</joint>'
            )
            parent = joint.child
        return f'<robot name="{self.name}">{"".join(rows)}</robot>'


def _panda() -> tuple[Joint, ...]:
    rows = (
        ((0, 0, 0.333), 0, (-2.8973, 2.8973, 2.175)),
        ((0, 0, 0), -pi / 2, (-1.7628, 1.7628, 2.175)),
        ((0, -0.316, 0), pi / 2, (-2.8973, 2.8973, 2.175)),
        ((0.0825, 0, 0), pi / 2, (-3.0718, -0.0698, 2.175)),
        ((-0.0825, 0.384, 0), -pi / 2, (-2.8973, 2.8973, 2.61)),
        ((0, 0, 0), pi / 2, (-0.0175, 3.7525, 2.61)),
        ((0.088, 0, 0), pi / 2, (-2.8973, 2.8973, 2.61)),
    )
    moving = tuple(
        Joint(f"panda_joint{k}", f"panda_link{k}", xyz, (roll, 0, 0), limit)
        for k, (xyz, roll, limit) in enumerate(rows, 1)
    )
    return (*moving, Joint("panda_joint8", "panda_link8", (0, 0, 0.107)))


def _ur5e() -> tuple[Joint, ...]:
    turn = 2 * pi
    names = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
    links = ("shoulder", "upper_arm", "forearm", "wrist_1", "wrist_2", "wrist_3")
    origins = (
        ((0, 0, 0.1625), (0, 0, 0)),
        ((0, 0, 0), (pi / 2, 0, 0)),
        ((-0.425, 0, 0), (0, 0, 0)),
        ((-0.3922, 0, 0.1333), (0, 0, 0)),
        ((0, -0.0997, 0), (pi / 2, 0, 0)),
        ((0, 0.0996, 0), (pi / 2, pi, pi)),
    )
    limits = [(-turn, turn, pi)] * 6
    limits[2] = (-pi, pi, pi)
    moving = tuple(
        Joint(f"{name}_joint", f"{link}_link", *origin, limit=limit)
        for name, link, origin, limit in zip(names, links, origins, limits, strict=True)
    )
    # The maker's base looks backwards; so does every UR driver's description.
    return (
        Joint("base_joint", "base_link_inertia", rpy=(0, 0, pi)),
        *moving,
        Joint("flange_joint", "flange", rpy=(0, -pi / 2, -pi / 2)),
        Joint("tool0_joint", "tool0", rpy=(pi / 2, 0, pi / 2)),
    )


PANDA = Arm(
    "panda_hand",
    "panda_link0",
    _panda(),
    {
        "arm_action": "/panda_arm_controller/follow_joint_trajectory",
        "gripper_action": "/panda_gripper/gripper_action",
        "gripper_action_type": "gripper_command",
        "gripper_joint": "panda_finger_joint1",
        "gripper_positions": "[0.0, 0.04]",
        "gripper_openings_m": "[0.0, 0.08]",
    },
)
UR5E = Arm(
    "ur5e_robotiq",
    "base_link",
    _ur5e(),
    {"arm_action": "/scaled_joint_trajectory_controller/follow_joint_trajectory"},
)
ARMS = (PANDA, UR5E)
