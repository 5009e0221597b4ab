"""Joints of flows: kinds, axes and travels, with the noise that lifting leaves."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.joint import fit_joint, on_joint

STEPS = 41
SHARE = np.linspace(0.0, 1.0, STEPS) ** 2 * (3 - 2 * np.linspace(0.0, 1.0, STEPS))


def panel(random: np.random.Generator) -> np.ndarray:
    """Points (80, 3) of a front with something before it, somewhere."""
    flat = random.uniform([-0.1, -0.05], [0.1, 0.05], (80, 2))
    depth = np.where(random.random(80) < 0.2, 0.04, 0.0)
    return np.stack([depth + 0.4, flat[:, 0] - 0.1, flat[:, 1] + 0.06], -1)


def flow_of(
    poses: np.ndarray, points: np.ndarray, random: np.random.Generator, noise_m: float = 0.0
) -> ObjectFlow:
    moved = np.einsum("tij,kj->tki", poses[:, :3, :3], points) + poses[:, None, :3, 3]
    moved[1:] += noise_m * random.standard_normal(moved[1:].shape)
    seen = np.ones(moved.shape[:2], bool)
    return ObjectFlow(moved.astype(np.float32), seen, seen.astype(np.float32), 1 / 16, "base")


def shaken(poses: np.ndarray, random: np.random.Generator, centre: np.ndarray) -> np.ndarray:
    """Poses (T, 4, 4) with a lifter's slow error: a millimetre and half a degree."""
    turn = se3.exp_so3(np.radians(0.4) * random.standard_normal((len(poses), 3)))
    shift = 0.001 * random.standard_normal((len(poses), 3))
    error = se3.from_rt(turn, centre - turn @ centre + shift)
    error[0] = np.eye(4)
    return error @ poses


def angle_deg(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


@pytest.mark.parametrize("seed", range(6))
def test_a_slide_is_found(seed: int) -> None:
    random = np.random.default_rng(seed)
    axis = random.standard_normal(3)
    axis /= np.linalg.norm(axis)
    points = panel(random)
    poses = se3.from_rt(np.repeat(np.eye(3)[None], STEPS, 0), 0.12 * SHARE[:, None] * axis)
    joint = fit_joint(flow_of(shaken(poses, random, points.mean(axis=0)), points, random, 0.001))
    assert joint.kind is MotionKind.PRISMATIC
    assert angle_deg(joint.axis, axis) < 1.5
    assert joint.values[-1] == pytest.approx(0.12, abs=0.003)
    assert joint.values[0] == 0.0


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("turn_deg", [25.0, -60.0])
def test_a_hinge_is_found(seed: int, turn_deg: float) -> None:
    random = np.random.default_rng(seed)
    axis = np.array([0.05, -0.08, 1.0]) / np.linalg.norm([0.05, -0.08, 1.0])
    points = panel(random)
    hinge = points.mean(axis=0) + np.array([0.0, 0.15, 0.0])
    turn = se3.exp_so3(np.radians(turn_deg) * SHARE[:, None] * axis)
    poses = se3.from_rt(turn, hinge - turn @ hinge)
    joint = fit_joint(flow_of(shaken(poses, random, points.mean(axis=0)), points, random, 0.001))
    assert joint.kind is MotionKind.REVOLUTE
    assert angle_deg(joint.axis, np.sign(turn_deg) * axis) < 3.0
    assert np.degrees(joint.values[-1]) == pytest.approx(abs(turn_deg), abs=2.0)
    across = (joint.point - hinge) - ((joint.point - hinge) @ axis) * axis
    assert np.linalg.norm(across) < 0.012


def test_a_carry_is_on_no_joint() -> None:
    random = np.random.default_rng(3)
    points = panel(random)
    arc = 0.1 * np.sin(np.pi * SHARE)
    shift = np.stack([0.15 * SHARE, np.zeros(STEPS), arc], -1)
    poses = se3.from_rt(np.repeat(np.eye(3)[None], STEPS, 0), shift)
    joint = fit_joint(flow_of(poses, points, random, 0.001))
    assert joint.kind is MotionKind.RIGID
    assert not joint.on_joint
    assert np.isnan(joint.axis).all()


def test_what_stands_still_is_on_no_joint() -> None:
    random = np.random.default_rng(4)
    poses = np.repeat(np.eye(4)[None], STEPS, 0)
    assert fit_joint(flow_of(poses, panel(random), random, 0.001)).kind is MotionKind.RIGID


def test_what_bends_is_deformable() -> None:
    random = np.random.default_rng(5)
    points = panel(random)
    flow = flow_of(np.repeat(np.eye(4)[None], STEPS, 0), points, random)
    bent = flow.points + (SHARE[:, None, None] * 8.0 * ((points[:, 1:2] + 0.1) ** 2) * [0, 0, 1.0])
    bent = bent + (SHARE[:, None, None] * 6.0 * ((points[:, 2:3] - 0.06) ** 1) ** 2 * [1.0, 0, 0])
    curled = ObjectFlow(
        bent.astype(np.float32), flow.visible, flow.confidence, flow.dt_s, flow.frame_id
    )
    assert fit_joint(curled).kind is MotionKind.DEFORMABLE


def test_a_flow_is_led_along_its_joint() -> None:
    random = np.random.default_rng(6)
    points, axis = panel(random), np.array([1.0, 0.0, 0.0])
    poses = se3.from_rt(np.repeat(np.eye(3)[None], STEPS, 0), 0.12 * SHARE[:, None] * axis)
    flow = flow_of(shaken(poses, random, points.mean(axis=0)), points, random, 0.001)
    joint = fit_joint(flow)
    led = on_joint(flow, joint)
    shift = (led.points - led.points[:1]).astype(float)
    assert led.kind is MotionKind.PRISMATIC
    np.testing.assert_allclose(led.points[0], flow.points[0])
    np.testing.assert_allclose(
        shift, joint.values[:, None, None] * joint.axis * np.ones_like(shift), atol=1e-5
    )
    # What is on the joint stays there: fitted again, nothing is left.
    assert fit_joint(led).rms_m < 1e-5
