from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_core import se3
from novaflow_core.obstacles import Capsule, Sphere
from novaflow_executor.core.collision import Carried, CollisionModel
from novaflow_executor.core.distances import segment_box, segment_plane, segment_segment


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_segment_box_is_exact(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, (2, 50, 3))
    half = rng.uniform(0.05, 1.0, 3)
    distance, point, normal = segment_box(a, b, half)
    along = a + np.linspace(0, 1, 1001)[:, None, None] * (b - a)
    sampled = np.linalg.norm(along - np.clip(along, -half, half), axis=-1).min(axis=0)
    assert (np.maximum(distance, 0) <= sampled + 1e-9).all()
    assert np.abs(np.maximum(distance, 0) - sampled).max() < 2e-3
    outside = distance > 1e-6
    step = point + 1e-4 * normal
    away = np.linalg.norm(step - np.clip(step, -half, half), axis=-1)
    assert np.allclose((away - distance)[outside], 1e-4, atol=1e-7)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_segment_parallel_to_a_face_is_exact(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(0, 1, (2, 50, 3))
    b[:, 2] = a[:, 2] = rng.uniform(-2, 2, 50)
    half = rng.uniform(0.05, 1.0, 3)
    distance, point, _ = segment_box(a, b, half)
    along = a + np.linspace(0, 1, 1001)[:, None, None] * (b - a)
    sampled = np.linalg.norm(along - np.clip(along, -half, half), axis=-1).min(axis=0)
    assert np.abs(np.maximum(distance, 0) - sampled).max() < 5e-3
    backwards = segment_box(b, a, half)[1]
    assert np.allclose(point, backwards, atol=1e-6)  # the middle of all closest points


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_segment_segment_is_exact(seed):
    rng = np.random.default_rng(seed)
    a1, b1, a2, b2 = rng.normal(0, 1, (4, 20, 3))
    distance, p1, p2 = segment_segment(a1, b1, a2, b2)
    s = np.linspace(0, 1, 101)[:, None, None]
    first, second = a1 + s * (b1 - a1), a2 + s * (b2 - a2)
    sampled = np.linalg.norm(first[:, None] - second[None], axis=-1).min(axis=(0, 1))
    assert (distance <= sampled + 1e-9).all()
    assert np.abs(distance - sampled).max() < 0.05
    assert np.allclose(np.linalg.norm(p1 - p2, axis=-1), distance)


def test_segment_plane_takes_the_lower_end():
    height, point = segment_plane(
        np.array([[0, 0, 0.5]]), np.array([[1.0, 0, 0.2]]), np.array([0, 0, 1.0]), -0.1
    )
    assert height[0] == pytest.approx(0.1)
    assert np.allclose(point, [[1, 0, 0.2]])


def test_home_is_free(robot, make_scene):
    assert CollisionModel(robot, make_scene(), 0.08).clearance(robot.home[None])[0] > 0.01


def test_box_at_the_gripper_is_a_collision(robot, make_scene):
    tcp = robot.tcp(robot.home)[:3, 3]
    model = CollisionModel(robot, make_scene(("other_1", tuple(tcp), (0.1, 0.1, 0.1))), 0.04)
    assert model.clearance(robot.home[None])[0] < -0.02


def test_folded_arm_collides_with_itself(robot, make_scene):
    folded = robot.home.copy()
    folded[1], folded[3], folded[5] = -1.2, -2.95, 0.6
    assert CollisionModel(robot, None, 0.0).clearance(folded[None])[0] < 0


def test_carried_object_reaches_further_than_the_gripper(robot, make_scene):
    below = robot.tcp(robot.home)[:3, 3] - [0, 0, 0.1]
    scene = make_scene(("other_1", tuple(below), (0.05, 0.05, 0.04)))
    held = Carried(np.array([[0, 0, 0.06]]), 0.02)
    empty = CollisionModel(robot, scene, 0.04).clearance(robot.home[None], 0.1)[0]
    full = CollisionModel(robot, scene, 0.04, held).clearance(robot.home[None], 0.1)[0]
    assert empty > 0.02
    assert full == pytest.approx(0.0, abs=1e-3)
    may = Carried(np.array([[0, 0, 0.06]]), 0.02, frozenset({"support", "other_1"}))
    assert CollisionModel(robot, scene, 0.04, may).clearance(robot.home[None], 0.1)[0] > 0.02


def test_spheres_and_rods_are_obstacles_too(robot, make_scene):
    tcp = robot.tcp(robot.home)[:3, 3]
    below, along = np.array([0, 0, -0.082]), np.array([0, 0.3, 0])
    ball = Sphere("ball", tcp + below, 0.05)
    rod = Capsule("rod", tcp + below - along, tcp + below + along, 0.05)  # under both fingers

    def with_obstacles(*obstacles):
        return replace(make_scene(), obstacles=obstacles)

    free, near, nearer = (
        CollisionModel(robot, with_obstacles(*obstacles), 0.04).clearance(robot.home[None], 0.3)[0]
        for obstacles in ((), (ball,), (ball, rod))
    )
    assert free > near > nearer > 0
    skipped = CollisionModel(robot, with_obstacles(ball, rod), 0.04, None, ("ball", "rod"))
    assert skipped.clearance(robot.home[None], 0.3)[0] == free


def test_clearance_does_not_depend_on_the_batch(robot, make_scene):
    rng = np.random.default_rng(2)
    q = rng.uniform(robot.limits.lower, robot.limits.upper, (40, 7))
    model = CollisionModel(robot, make_scene(("a", (0.5, 0, 0.2), (0.2, 0.3, 0.4))), 0.05)
    single = [model.clearance(row[None])[0] for row in q]
    assert np.allclose(model.clearance(q), single)


def test_distance_gradient_equals_finite_differences(robot, make_scene):
    model = CollisionModel(robot, make_scene(("a", (0.55, 0.1, 0.1), (0.1, 0.3, 0.2))), 0.05)
    q = robot.home + np.array([0.1, 0.5, 0.0, 0.0, 0.0, 0.2, 0.0])
    rotation, origin = robot.frames(q[None])
    found = model.contacts(rotation, origin, 0.3)
    outside = found.distance > 0.01
    axes = np.repeat(robot.axes(rotation), len(found.sample), axis=0)
    at = np.repeat(origin, len(found.sample), axis=0)
    toward = robot.point_jacobian(axes, at, found.point, found.frame)
    other = np.where(found.other_frame[:, None] > 0, found.other_point, 0.0)
    away = robot.point_jacobian(axes, at, other, found.other_frame)
    gradient = np.einsum("mi,min->mn", found.normal, toward - away)
    for i in range(7):
        d = np.eye(7)[i] * 1e-6
        plus = model.contacts(*robot.frames((q + d)[None]), 0.31)
        minus = model.contacts(*robot.frames((q - d)[None]), 0.31)
        if not len(plus.distance) == len(minus.distance) == len(found.distance):
            continue
        numeric = (plus.distance - minus.distance) / 2e-6
        assert np.abs(numeric - gradient[:, i])[outside].max() < 1e-4


def test_scene_turned_with_the_box_gives_the_same_distance(robot):
    a, b = np.array([[0.1, 0.2, 0.5]]), np.array([[0.4, -0.2, 0.3]])
    half = np.array([0.1, 0.05, 0.2])
    turn = se3.exp_so3([0.3, -0.2, 0.9])
    first = segment_box(a, b, half)[0]
    again = segment_box((a @ turn.T) @ turn, (b @ turn.T) @ turn, half)[0]
    assert np.allclose(first, again)
