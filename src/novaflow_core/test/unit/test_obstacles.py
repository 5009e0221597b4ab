"""Solids: distances, tops over the support, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_core import se3
from novaflow_core.errors import Code, ShapeError
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Sphere, capsule_of
from novaflow_core.scene import Plane

FLOOR = Plane(np.array([0.0, 0.0, 1.0]), 0.0)


def any_capsule(rng):
    a = rng.uniform(-0.3, 0.3, 3)
    b = a + rng.choice([0.0, 1.0]) * rng.uniform(-0.3, 0.3, 3) * rng.choice([0.0, 1.0], 3)
    return Capsule("c", a, b, float(rng.uniform(0.02, 0.1)))


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_top_of_a_capsule_is_the_highest_point_of_it(seed):
    rng = np.random.default_rng(seed)
    item = any_capsule(rng)
    at = rng.uniform(-0.5, 0.5, (40, 3))
    share = np.linspace(0, 1, 4001)[:, None]
    axis = item.a + share * (item.b - item.a)
    room2 = item.radius**2 - ((at[:, None, :2] - axis[:, :2]) ** 2).sum(-1)
    tops = np.where(room2 > 0, axis[:, 2] + np.sqrt(np.maximum(room2, 0)), -np.inf).max(axis=1)
    found = item.top_at(at, FLOOR)
    inside = np.isfinite(tops) & np.isfinite(found)
    assert (np.isfinite(tops) == np.isfinite(found)).mean() > 0.95  # rounding at the rim
    assert np.allclose(found[inside], tops[inside], atol=2e-3)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_distance_moves_with_the_frame(seed):
    rng = np.random.default_rng(seed)
    T = se3.from_rt(se3.exp_so3(rng.normal(0, 1, 3)), rng.uniform(-1, 1, 3))
    points, item = rng.uniform(-0.5, 0.5, (30, 3)), any_capsule(rng)
    moved = Capsule("c", se3.apply(T, item.a), se3.apply(T, item.b), item.radius)
    assert np.allclose(moved.distance(se3.apply(T, points)), item.distance(points))
    plane = Plane(T[:3, :3] @ FLOOR.normal, float(-(T[:3, :3] @ FLOOR.normal) @ T[:3, 3]))
    before = item.top_at(points, FLOOR, 0.01)
    after = moved.top_at(se3.apply(T, points), plane, 0.01)
    both = np.isfinite(before) & np.isfinite(after)
    assert np.allclose(before[both], after[both], atol=1e-6)


def test_a_sphere_is_a_capsule_without_length():
    ball = Sphere("s", np.array([0.1, 0.2, 0.3]), 0.05)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (50, 3))
    assert np.allclose(ball.distance(points), capsule_of(ball).distance(points))
    assert ball.volume == pytest.approx(capsule_of(ball).volume)
    assert ball.top_at(np.array([[0.1, 0.2, 0.9]]), FLOOR)[0] == pytest.approx(0.35)
    assert ball.top_at(np.array([[0.16, 0.2, 0.0]]), FLOOR)[0] == -np.inf
    assert ball.top_at(np.array([[0.16, 0.2, 0.0]]), FLOOR, 0.02)[0] == pytest.approx(0.3)


def test_top_of_a_box_on_a_tilted_support():
    turn = se3.exp_so3([0.3, -0.2, 0.5])
    box = Box("b", se3.from_rt(turn, turn @ [0.0, 0.0, 0.05]), np.array([0.2, 0.1, 0.1]))
    support = Plane(turn[:, 2], 0.0)
    over, beside = turn @ [0.09, 0.04, 0.3], turn @ [0.09, 0.06, 0.3]
    tops = box.top_at(np.stack([over, beside]), support)
    assert tops[0] == pytest.approx(0.1) and tops[1] == -np.inf
    assert box.top_at(beside[None], support, 0.02)[0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Box("x", np.eye(4), np.array([0.1, -0.1, 0.1])),
        lambda: Box("x", np.eye(3), np.ones(3)),
        lambda: Box("x", np.full((4, 4), np.nan), np.ones(3)),
        lambda: Sphere("x", np.zeros(3), 0.0),
        lambda: Sphere("x", np.zeros(2), 0.1),
        lambda: Capsule("x", np.zeros(3), np.array([0, 0, np.inf]), 0.1),
        lambda: Capsule("x", np.zeros(3), np.ones(3), float("nan")),
    ],
)
def test_impossible_solids_are_refused_by_name(make):
    with pytest.raises(ShapeError, match="obstacle 'x'") as error:
        make()
    assert error.value.code == Code.INVALID_MESSAGE


def test_obstacles_of_a_scene_have_names_of_their_own():
    ball = Sphere("x", np.zeros(3), 0.1)
    with pytest.raises(ShapeError, match="name of their own"):
        CollisionScene("s", "base", FLOOR, (ball, ball))
