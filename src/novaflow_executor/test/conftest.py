"""An arm and a table for all executor tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box
from novaflow_core.scene import Plane
from novaflow_executor.core.robot import RobotModel
from novaflow_executor.core.robot_settings import RobotSettings, load_robot_settings

sys.path.insert(0, str(Path(__file__).parent))  # for modules that tests share

CONFIG = Path(__file__).parents[1] / "config" / "fr3_robotiq.yaml"
QUARTER = np.pi / 2
# offset of each joint from the one before [m], its turn about x [rad], limits [rad], speed [rad/s]
FR3 = (
    ((0, 0, 0.333), 0, -2.7437, 2.7437, 2.62),
    ((0, 0, 0), -QUARTER, -1.7837, 1.7837, 2.62),
    ((0, -0.316, 0), QUARTER, -2.9007, 2.9007, 2.62),
    ((0.0825, 0, 0), QUARTER, -3.0421, -0.1518, 2.62),
    ((-0.0825, 0.384, 0), -QUARTER, -2.8065, 2.8065, 5.26),
    ((0, 0, 0), QUARTER, 0.5445, 4.5169, 4.18),
    ((0.088, 0, 0), QUARTER, -3.0159, 3.0159, 5.26),
)


def arm_urdf(rows: tuple = FR3, flange: float = 0.107) -> str:
    parts = ['<robot name="arm"><link name="fr3_link0"/>']
    for i, (xyz, roll, low, high, speed) in enumerate(rows, 1):
        parts.append(
            f'<link name="fr3_link{i}"/><joint name="fr3_joint{i}" type="revolute">'
            f'<parent link="fr3_link{i - 1}"/><child link="fr3_link{i}"/>'
            f'<origin xyz="{xyz[0]} {xyz[1]} {xyz[2]}" rpy="{roll} 0 0"/><axis xyz="0 0 1"/>'
            f'<limit lower="{low}" upper="{high}" velocity="{speed}" effort="80"/></joint>'
        )
    last = len(rows)
    parts.append(
        f'<link name="fr3_link8"/><joint name="flange" type="fixed"><parent link="fr3_link{last}"/>'
        f'<child link="fr3_link8"/><origin xyz="0 0 {flange}" rpy="0 0 0"/></joint></robot>'
    )
    return "".join(parts)


@pytest.fixture(scope="session")
def urdf_text() -> str:
    return arm_urdf()


@pytest.fixture(scope="session")
def settings() -> RobotSettings:
    return load_robot_settings(CONFIG)


@pytest.fixture(scope="session")
def settings_path() -> str:
    return str(CONFIG)


@pytest.fixture(scope="session")
def robot(urdf_text: str, settings: RobotSettings) -> RobotModel:
    return RobotModel(urdf_text, settings)


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., CollisionScene]:
    def make(*boxes: tuple[str, tuple, tuple], scene_id: str = "scene") -> CollisionScene:
        placed = tuple(
            Box(name, se3.from_rt(np.eye(3), centre), np.array(size, float))
            for name, centre, size in boxes
        )
        return CollisionScene(scene_id, "fr3_link0", Plane(np.array([0.0, 0.0, 1.0]), 0.0), placed)

    return make


@pytest.fixture(scope="session")
def block_cloud() -> Callable[..., np.ndarray]:
    """The faces of a 40x40x70 mm block that a camera on the +x side sees, with noise."""

    def make(
        centre_xy: tuple = (0.5, -0.15), yaw: float = 0.0, noise_m: float = 0.001, seed: int = 0
    ):
        rng = np.random.default_rng(seed)
        a, b = rng.uniform(-0.02, 0.02, (2, 1500))
        top = np.stack([a, b, np.full(1500, 0.07)], 1)
        side = np.stack([np.full(1500, 0.02), a, 0.035 + b * 1.75], 1)
        points = np.concatenate([top, side]) + rng.normal(0, noise_m, (3000, 3))
        return points @ se3.exp_so3([0, 0, yaw]).T + [*centre_xy, 0.0]

    return make


@pytest.fixture(scope="session")
def cup_cloud() -> Callable[..., np.ndarray]:
    """What a camera on the +x side, looking down at 40 degrees, sees of an open cup of 80x95 mm."""

    def make(centre_xy: tuple = (0.5, 0.1), noise_m: float = 0.001, seed: int = 0):
        rng = np.random.default_rng(seed)
        angle = rng.uniform(-np.pi, np.pi, 4000)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        rim = np.c_[ring * rng.uniform(0.036, 0.040, (4000, 1)), np.full(4000, 0.095)]
        outer = np.c_[0.040 * ring, rng.uniform(0, 0.095, 4000)][ring[:, 0] > 0]
        inner = np.c_[0.036 * ring, rng.uniform(0.03, 0.095, 4000)][ring[:, 0] < 0]
        points = np.concatenate([rim[::2], outer, inner])
        return points + rng.normal(0, noise_m, points.shape) + [*centre_xy, 0.0]

    return make


@pytest.fixture(scope="session")
def make_candidate() -> Callable[..., FlowCandidate]:
    """A flow that lifts points, carries them by `shift`, turned by `yaw`, and sets them down."""

    def make(
        points: np.ndarray,
        shift: tuple,
        lift_m: float = 0.12,
        yaw: float = 0.0,
        candidate_id: str = "c0",
        steps: int = 41,
        noise_m: float = 0.001,
    ) -> FlowCandidate:
        rng = np.random.default_rng(1)
        start = points[rng.choice(len(points), 120)]
        centre = start.mean(axis=0)
        s = np.clip((np.linspace(0, 1, steps) - 0.1) / 0.8, 0, 1)
        u = 10 * s**3 - 15 * s**4 + 6 * s**5
        moved = np.stack(
            [
                (start - centre) @ se3.exp_so3([0, 0, yaw * k]).T
                + centre
                + np.array(shift) * k
                + [0, 0, lift_m * np.sin(np.pi * k)]
                for k in u
            ]
        )
        moved[1:] += rng.normal(0, noise_m, moved[1:].shape)
        known = np.ones(moved.shape[:2])
        flow = ObjectFlow(
            moved.astype(np.float32), known > 0, known.astype(np.float32), 1 / 16, "fr3_link0"
        )
        return FlowCandidate(candidate_id, "scene", Code.OK, "", flow, "", "")

    return make
