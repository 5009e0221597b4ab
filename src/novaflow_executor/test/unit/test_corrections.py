"""How plans bend to what is seen: where they begin, where they merge, what stays."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.grasp import Grasp
from novaflow_executor.core.corrections import (
    fitted,
    meeting,
    nearest_step,
    place_step,
    without_alike,
)

POINT = np.array([0.5, 0.1, 0.05])
UP = np.array([0.0, 0.0, 1.0])


def flow(steps: int = 41) -> np.ndarray:
    """Over and down: 0.3 m across, turned by 30 degrees."""
    share = np.linspace(0, 1, steps)
    turn = se3.exp_so3(share[:, None] * np.radians(30) * UP)
    way = np.stack([0 * share, 0.3 * share, 0.1 * np.sin(np.pi * share)], axis=1)
    return se3.from_rt(turn, POINT - turn @ POINT + way)


def displaced(pose: np.ndarray, shift, turn_deg: float) -> np.ndarray:
    at = se3.apply(pose, POINT)
    turn = se3.exp_so3(np.radians(turn_deg) * UP)
    return se3.from_rt(turn, at - turn @ at + np.asarray(shift)) @ pose


def test_a_corrected_flow_begins_where_the_object_is_and_ends_where_it_should() -> None:
    poses = flow()
    now = displaced(poses[0], [0.01, -0.005, 0.0], 8.0)
    met = meeting(poses, now, POINT)
    np.testing.assert_allclose(met[0], now, atol=1e-9)
    np.testing.assert_allclose(met[-1], poses[-1], atol=1e-9)
    np.testing.assert_allclose(met[30], poses[30], atol=1e-9)
    steps = np.linalg.norm(np.diff(met[:, :3, :3] @ POINT + met[:, :3, 3], axis=0), axis=1)
    assert steps.max() < 0.02  # no jump


def test_a_flow_that_ends_near_a_fit_is_led_into_it_at_its_own_height() -> None:
    poses = flow()
    fit = displaced(poses[-1], [0.003, -0.002, -0.4], 4.0)
    led = fitted(poses, [np.eye(4), fit], UP, POINT)
    wanted = displaced(poses[-1], [0.003, -0.002, 0.0], 4.0)
    np.testing.assert_allclose(led[-1], wanted, atol=1e-9)
    np.testing.assert_allclose(led[0], poses[0], atol=1e-9)


@pytest.mark.parametrize(("shift", "turn"), [([0.02, 0, 0], 0.0), ([0, 0, 0], 25.0)])
def test_a_fit_that_the_flow_does_not_mean_changes_nothing(shift, turn) -> None:
    poses = flow()
    np.testing.assert_array_equal(
        fitted(poses, [displaced(poses[-1], shift, turn)], UP, POINT), poses
    )


def test_steps_are_found_by_place() -> None:
    poses = flow()
    assert nearest_step(poses, poses[17], POINT) == 17
    assert nearest_step(poses, poses[17], POINT, 20) == 20
    path = poses[:, :3, :3] @ POINT + poses[:, :3, 3]
    at = place_step(path, 0.05)
    left = np.linalg.norm(np.diff(path[at:], axis=0), axis=1).sum()
    assert 0.05 <= left < 0.07
    assert place_step(path[-5:], 0.05) == 0


def test_grasps_like_a_failed_one_are_left_out_also_with_fingers_swapped() -> None:
    first = Grasp(se3.from_rt(np.eye(3), [0.5, 0, 0.1]), 0.05, 1.0)
    swapped = se3.from_rt(np.diag([-1.0, -1.0, 1.0]), [0.505, 0, 0.1])
    other = Grasp(se3.from_rt(np.eye(3), [0.5, 0.05, 0.1]), 0.05, 1.0)
    assert without_alike([first, other], [swapped]) == (other,)
