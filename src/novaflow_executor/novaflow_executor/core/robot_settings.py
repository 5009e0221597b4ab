"""What a URDF does not say of an arm: tip, TCP, capsules, gripper and further limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GripperSpec:
    """A parallel gripper; lengths in [m], in the TCP frame (+z approach, +x closing).

    Attributes:
        joint: The driven joint's name.
        joint_open: Its value at the widest opening [rad or m].
        joint_closed: Its value with the pads together.
        max_opening: Widest opening between the pads.
        max_force: Largest force that a grasp may use [N].
        pad_half_width: Half of a pad's size along y.
        pad_length: Of a pad, from the tip back along -z.
        finger_thickness: From a pad's face outwards.
        tip_openings: (G,) openings, ascending.
        tip_reach: (G,) distance from the TCP to the tips along +z at these openings.
        palm_distance: From the TCP back to the palm.
        palm_capsules: (A, 7) two ends and radius.
        finger_capsules: (F, 7) of the finger at +x; x counts from the pad's face, z from the tip.
    """

    joint: str
    joint_open: float
    joint_closed: float
    max_opening: float
    max_force: float
    pad_half_width: float
    pad_length: float
    finger_thickness: float
    tip_openings: Array
    tip_reach: Array
    palm_distance: float
    palm_capsules: Array
    finger_capsules: Array

    def joint_position(self, opening_m: float) -> float:
        """Value of the driven joint for an opening: linear, as the driver assumes."""
        share = 1.0 - min(max(opening_m / self.max_opening, 0.0), 1.0)
        return self.joint_open + share * (self.joint_closed - self.joint_open)

    def opening(self, joint_position: float) -> float:
        """Opening [m] for a value of the driven joint."""
        share = (joint_position - self.joint_open) / (self.joint_closed - self.joint_open)
        return float(np.clip(1.0 - share, 0.0, 1.0)) * self.max_opening

    def reach(self, opening_m: ArrayLike) -> Array:
        """Distance from the TCP to the tips [m] at openings."""
        at = np.asarray(opening_m, float)
        return np.asarray(np.interp(at, self.tip_openings, self.tip_reach))

    def capsules(self, opening_m: float) -> Array:
        """Capsules (A + 2F, 7) in the TCP frame at an opening [m]: palm, finger at +x and at -x."""
        fingers = np.atleast_2d(self.finger_capsules).copy()
        fingers[:, [2, 5]] += self.reach(opening_m)
        fingers[:, [0, 3]] += opening_m / 2
        mirrored = fingers * np.array([-1, -1, 1, -1, -1, 1, 1])  # half a turn about z
        return np.concatenate([np.atleast_2d(self.palm_capsules), fingers, mirrored])


@dataclass(frozen=True)
class RobotSettings:
    """One arm with its gripper.

    Attributes:
        base_link: Link that the planning frame sits on.
        tip_link: The flange.
        T_tip_tcp: (4, 4) from the flange to the point between the pads [m].
        home: (N,) rest configuration [rad].
        acceleration: (N,) limits [rad/s^2].
        jerk: (N,) limits [rad/s^3].
        limit_margin: Kept away from the URDF's position limits [rad].
        workspace_min: (3,) [m], base frame.
        workspace_max: (3,) [m], base frame.
        capsules: (A, 7) per link name: two ends and radius in the link's frame [m].
        gripper: At the TCP.
    """

    base_link: str
    tip_link: str
    T_tip_tcp: Array
    home: Array
    acceleration: Array
    jerk: Array
    limit_margin: float
    workspace_min: Array
    workspace_max: Array
    capsules: Mapping[str, Array]
    gripper: GripperSpec


def load_robot_settings(path: str | Path) -> RobotSettings:
    """Read a robot's YAML file.

    Raises:
        PlatformError: INVALID_SETTING, naming the file and what is wrong with it.
    """
    try:
        return parse_robot_settings(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise PlatformError(
            Code.INVALID_SETTING, f"robot settings {path}: {type(error).__name__}: {error}"
        ) from error


def parse_robot_settings(values: Mapping[str, Any]) -> RobotSettings:
    """Build settings from the mapping that a YAML file holds; KeyError names what is missing."""
    grip = dict(values["gripper"])
    arrays = ("tip_openings", "tip_reach", "palm_capsules", "finger_capsules")
    for name in arrays:
        grip[name] = np.array(grip[name], float)
    return RobotSettings(
        base_link=values["base_link"],
        tip_link=values["tip_link"],
        T_tip_tcp=se3.from_rt(rpy(values["tip_tcp_rpy"]), values["tip_tcp_xyz"]),
        home=np.array(values["home"], float),
        acceleration=np.array(values["acceleration"], float),
        jerk=np.array(values["jerk"], float),
        limit_margin=float(values["limit_margin"]),
        workspace_min=np.array(values["workspace_min"], float),
        workspace_max=np.array(values["workspace_max"], float),
        capsules={k: np.array(v, float).reshape(-1, 7) for k, v in values["capsules"].items()},
        gripper=GripperSpec(**grip),
    )


def rpy(angles: ArrayLike) -> Array:
    """Rotation (3, 3) of roll, pitch, yaw [rad] about fixed axes, as in URDF."""
    roll, pitch, yaw = np.asarray(angles, float)
    turn = se3.exp_so3(np.diag([roll, pitch, yaw]))
    return np.asarray(turn[2] @ turn[1] @ turn[0])
