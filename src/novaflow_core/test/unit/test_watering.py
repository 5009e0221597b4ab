"""Spouts found in clouds, and which motions water a plant with them."""

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Plane
from novaflow_core.spout import find_spout
from novaflow_core.watering import MIN_POUR_RAD, POUR_RAD, Watering

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
T_CAMERA = se3.from_rt(
    np.array([[0.0, 0.7, -0.714], [1.0, 0.0, 0.0], [0.0, -0.714, -0.7]]), [1.0, 0.0, 0.6]
)
TIP = np.array([0.11, 0.0, 0.085])


def body(radius_m: float = 0.035, height_m: float = 0.08, seed: int = 0) -> np.ndarray:
    """Wall and top (N, 3) of an upright vessel at the origin."""
    random = np.random.default_rng(seed)
    a, z = random.uniform(-np.pi, np.pi, 4000), random.uniform(0, height_m, 4000)
    wall = np.stack([radius_m * np.cos(a), radius_m * np.sin(a), z], axis=1)
    r = radius_m * np.sqrt(random.uniform(0, 1, 4000))
    top = np.stack([r * np.cos(a), r * np.sin(a), np.full(4000, height_m)], axis=1)
    return np.concatenate([wall, top])


def tube(start, end, radius_m: float = 0.009, seed: int = 1) -> np.ndarray:
    """Surface (N, 3) of a tube between two points in the plane y = 0."""
    random = np.random.default_rng(seed)
    start, end = np.asarray(start), np.asarray(end)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.array([0.0, 1.0, 0.0])
    a, s = random.uniform(0, 2 * np.pi, 2500), random.uniform(0, 1, 2500)
    ring = np.outer(np.cos(a), side) + np.outer(np.sin(a), np.cross(along, side))
    return start + s[:, None] * (end - start) + radius_m * ring


def can() -> np.ndarray:
    """Vessel with a spout along +x and a shorter handle along -x."""
    handle = tube([-0.03, 0, 0.06], [-0.062, 0, 0.06], 0.006, seed=2)
    return np.concatenate([body(), tube([0.03, 0, 0.03], TIP), handle])


def noisy(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    return se3.apply(T, points) + np.random.default_rng(3).normal(0, 0.0012, points.shape)


@pytest.mark.parametrize("yaw", np.linspace(-3.0, 3.0, 7))
def test_the_tip_and_direction_of_a_spout_are_found_however_the_can_stands(yaw: float) -> None:
    T = se3.from_rt(se3.exp_so3([0, 0, yaw]), [0.5, -0.1, 0.0])
    found = find_spout(noisy(can(), T), TABLE)
    assert np.linalg.norm(found.tip - se3.apply(T, TIP)) < 0.008
    assert found.direction @ T[:3, 0] > np.cos(np.radians(4.0))
    assert found.reach_m == pytest.approx(0.11 - 0.035, abs=0.018)


def test_strays_do_not_make_a_spout_longer() -> None:
    strays = np.array([[0.25, 0.0, 0.05], [-0.2, 0.1, 0.08], [np.nan, 0.0, 0.0]])
    found = find_spout(np.concatenate([can(), strays]), TABLE)
    assert np.linalg.norm(found.tip - TIP) < 0.008


@pytest.mark.parametrize(
    ("points", "why"),
    [
        (body(), "sticks out"),
        (np.concatenate([body(), tube([-0.03, 0, 0.05], [-0.05, 0, 0.05])]), "sticks out"),
        (tube([0, 0, 0.01], [0.2, 0, 0.01]), "thin everywhere"),
        (body()[:20], "points are known"),
    ],
)
def test_what_has_no_spout_is_an_error_that_says_why(points: np.ndarray, why: str) -> None:
    with pytest.raises(PerceptionError, match=why) as caught:
        find_spout(points, TABLE)
    assert caught.value.code == Code.TARGET_NOT_FOUND


@pytest.fixture(scope="module")
def watering() -> Watering:
    pot = body(0.05, 0.09, seed=5) + np.array([0.5, 0.15, 0.0])
    crown = body(0.03, 0.05, seed=6) + np.array([0.51, 0.15, 0.085])
    T = se3.from_rt(se3.exp_so3([0, 0, 0.9]), [0.45, -0.1, 0.0])
    return Watering.measure(noisy(can(), T), np.concatenate([pot, crown]), TABLE, T_CAMERA)


def motion_of(watering: Watering, tilt_rad: float, aside=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Motion that brings the tip to the goal and turns it by an angle about the goal's axis."""
    goal = watering.goal()
    axis = goal.rotation / np.linalg.norm(goal.rotation)
    R = se3.exp_so3(tilt_rad * axis)
    tip = watering.spout.tip
    return se3.from_rt(R, tip + goal.shift + np.asarray(aside) - R @ tip)


def test_the_goal_waters(watering: Watering) -> None:
    check = watering.check(motion_of(watering, POUR_RAD))
    assert check.error_m <= 0, check.reason
    ended = se3.apply(motion_of(watering, POUR_RAD), watering.spout.tip)
    assert np.hypot(*(ended[:2] - [0.5, 0.15])) < 0.015
    assert 0.135 < ended[2] < 0.20


def test_watering_does_not_depend_on_where_everything_stands() -> None:
    pot = body(0.05, 0.09, seed=5) + np.array([0.5, 0.15, 0.0])
    T = se3.from_rt(np.eye(3), [0.45, -0.1, 0.0])
    move = se3.from_rt(se3.exp_so3([0, 0, 1.1]), [0.1, -0.3, 0.0])
    one = Watering.measure(noisy(can(), T), pot, TABLE, T_CAMERA)
    other = Watering.measure(
        se3.apply(move, noisy(can(), T)), se3.apply(move, pot), TABLE, move @ T_CAMERA
    )
    assert np.linalg.norm(se3.apply(move, one.spout.tip) - other.spout.tip) < 0.006
    assert np.linalg.norm(move[:3, :3] @ one.goal().shift - other.goal().shift) < 0.010


@pytest.mark.parametrize(
    ("tilt_rad", "aside"),
    [
        (0.0, (0, 0, 0)),  # over the plant, but level
        (0.6 * MIN_POUR_RAD, (0, 0, 0)),
        (-POUR_RAD, (0, 0, 0)),  # spout up
        (POUR_RAD, (0.07, 0, 0)),  # beside the pot
        (POUR_RAD, (0, 0, -0.08)),  # among the leaves
        (POUR_RAD, (0, 0, 0.15)),  # high above
    ],
)
def test_each_way_not_to_water_is_refused_by_more_than_a_centimetre(
    watering: Watering, tilt_rad: float, aside: tuple[float, float, float]
) -> None:
    assert watering.check(motion_of(watering, tilt_rad, aside)).error_m > 0.010
