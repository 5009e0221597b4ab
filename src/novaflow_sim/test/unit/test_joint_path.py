"""Splines between trajectory points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_sim.core.joint_path import JointPath, JointState

TIMES = np.array([0.3, 1.0, 2.5])


def points(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    q, v, a = np.random.default_rng(seed).standard_normal((3, 3, 7))
    return q, v, a


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_quintic_meets_position_velocity_and_acceleration(seed: int) -> None:
    q, v, a = points(seed)
    path = JointPath(TIMES, q, v, a)
    for k, time_s in enumerate(TIMES[:-1]):
        for side in (0.0, -1e-9) if k else (0.0,):
            state = path.sample(time_s + side)
            np.testing.assert_allclose(state.position, q[k], atol=1e-6)
            np.testing.assert_allclose(state.velocity, v[k], atol=1e-5)
            np.testing.assert_allclose(state.acceleration, a[k], atol=1e-4)


@pytest.mark.parametrize("kind", ["line", "cubic", "quintic"])
def test_velocity_is_the_derivative_of_position(kind: str) -> None:
    q, v, a = points(1)
    path = JointPath(TIMES, q, None if kind == "line" else v, a if kind == "quintic" else None)
    for time_s in (0.5, 0.9, 1.7):
        h = 1e-5
        slope = (path.sample(time_s + h).position - path.sample(time_s - h).position) / (2 * h)
        np.testing.assert_allclose(path.sample(time_s).velocity, slope, atol=1e-6)


def test_it_rests_at_its_last_point() -> None:
    q, v, _ = points(2)
    state = JointPath(TIMES, q, v).sample(9.0)
    np.testing.assert_array_equal(state.position, q[-1])
    assert not state.velocity.any()


def test_it_begins_at_the_present_state() -> None:
    q, v, a = points(3)
    now = JointState(np.ones(7), np.full(7, 0.2), np.zeros(7))
    path = JointPath(TIMES, q, v, a).starting_from(now, 0.0)
    np.testing.assert_allclose(path.sample(0.0).position, now.position)
    np.testing.assert_allclose(path.sample(0.0).velocity, now.velocity)
    np.testing.assert_allclose(path.sample(TIMES[0]).position, q[0], atol=1e-9)
