"""Planner, kernel and validator against an oracle, on random boxes, spheres and capsules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_core import se3
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_executor.backends.trajopt import Trajopt
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.surface_gap import surface_gap

KINDS = ["box", "sphere", "capsule"]


def random_solid(rng, kind):
    place = rng.uniform(-0.6, 0.6, 3)
    if kind == "box":
        turn = se3.exp_so3(rng.normal(0, 1.5, 3))
        return Box("b", se3.from_rt(turn, place), rng.uniform(0.02, 0.4, 3))
    if kind == "sphere":
        return Sphere("s", place, float(rng.uniform(0.02, 0.2)))
    length = rng.choice([0.0, 1e-6, 0.3]) * rng.normal(0, 1, 3)
    return Capsule("c", place, place + length, float(rng.uniform(0.02, 0.15)))


def sampled(solid, points):
    """Signed distance by looking at many spheres, or at the six faces of a box."""
    if isinstance(solid, Box):
        pose, half = solid.T_planning_box, np.asarray(solid.size) / 2
        over = np.stack([
            (points - pose[:3, 3]) @ (sign * pose[:3, k]) - half[k]
            for k in range(3) for sign in (1, -1)
        ], -1)  # fmt: skip
        grid = np.linspace(-1, 1, 101)
        inside = over.max(axis=-1)
        near = np.full(points.shape[:-1], np.inf)
        for k in range(3):
            u, v = (half[i] * grid for i in range(3) if i != k)
            face = np.insert(np.stack(np.meshgrid(u, v), -1).reshape(-1, 2), k, 0.0, axis=1)
            for sign in (1, -1):
                face[:, k] = sign * half[k]
                at = se3.apply(pose, face)
                near = np.minimum(near, np.linalg.norm(points[:, None] - at, axis=-1).min(axis=1))
        return np.where(inside > 0, near, inside)
    a, b = (solid.centre,) * 2 if isinstance(solid, Sphere) else (solid.a, solid.b)
    balls = a + np.linspace(0, 1, 2001)[:, None] * (b - a)
    return np.linalg.norm(points[:, None] - balls, axis=-1).min(axis=1) - solid.radius


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_points_have_one_distance(kind, seed):
    rng = np.random.default_rng(seed)
    solid = random_solid(rng, kind)
    points = rng.uniform(-0.9, 0.9, (60, 3))
    validators, planners = surface_gap(solid, points), solid.distance(points)
    assert np.allclose(validators, planners, atol=1e-9)
    assert np.allclose(validators, sampled(solid, points), atol=4e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_arm_has_one_distance(robot, make_scene, kind):
    """Of the kernel, its NumPy twin and many balls along the arm, seen by the validator."""
    rng = np.random.default_rng(3)
    kernel = Trajopt(robot)
    q = rng.uniform(robot.limits.lower, robot.limits.upper, (40, robot.joint_count))
    far = Plane(np.array([0.0, 0.0, 1.0]), 9.0)
    alone = CollisionModel(robot, None, 0.05).clearance(q, 2.0)
    rotation, origin = robot.frames(q)
    share = np.linspace(0, 1, 400)[:, None, None]
    compared = 0
    for _ in range(12):
        solid = random_solid(rng, kind)
        scene = replace(make_scene(), support=far, obstacles=(solid,))
        model = CollisionModel(robot, scene, 0.05)
        exact = model.clearance(q, 2.0)
        assert np.abs(kernel.clearance(model, q, 2.0) - exact).max() < 1e-9
        links = model.a + share * (model.b - model.a)  # (400, C, 3)
        turn, at = rotation[:, model.frame], origin[:, model.frame]
        balls = np.einsum("scij,kcj->skci", turn, links) + at[:, None]
        gaps = surface_gap(solid, balls) - model.radius
        gaps = np.where(model.frame > 1, gaps, np.inf).min(axis=(1, 2))
        outside = gaps > 0  # inside a box the two count depth differently
        balled = np.minimum(gaps, alone)
        assert (np.abs(balled - exact)[outside] < 2e-3).all()
        assert (exact[~outside] < 1e-9).all()
        compared += int(outside.sum())
    assert compared > 100


def test_carried_object_is_held_against_round_obstacles(robot, make_scene):
    from novaflow_executor.core.collision import Carried

    below = robot.tcp(robot.home)[:3, 3] - [0, 0, 0.12]
    aside = np.array([0.0, 0.1, 0.0])
    held = Carried(np.array([[0, 0, 0.06]]), 0.02)
    kernel = Trajopt(robot)
    for solid in (
        Sphere("other_1", below, 0.03),
        Capsule("other_1", below - aside, below + aside, 0.03),
    ):
        scene = replace(make_scene(), obstacles=(solid,))
        full = CollisionModel(robot, scene, 0.04, held)
        assert full.clearance(robot.home[None], 0.1)[0] == pytest.approx(0.01, abs=1e-3)
        assert kernel.clearance(full, robot.home[None], 0.1)[0] == pytest.approx(0.01, abs=1e-3)
        may = Carried(held.points, held.radius, frozenset({"support", "other_1"}))
        free = CollisionModel(robot, scene, 0.04, may).clearance(robot.home[None], 0.1)[0]
        assert free > 0.02
