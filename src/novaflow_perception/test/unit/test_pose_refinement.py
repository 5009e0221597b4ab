"""A pose from pixels and depths: exact without noise, robust with outliers, honest when blind."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.toy_scene import CAMERA, EYE
from novaflow_perception.core.pose_refinement import refine_pose

T_PLANNING_CAMERA = EYE


def seen(seed: int = 0, count: int = 120):
    """Points of a box-like thing, moved; their pixels and depths."""
    random = np.random.default_rng(seed)
    points = random.uniform([0.47, 0.02, 0.0], [0.53, 0.08, 0.09], (count, 3))
    turn = se3.exp_so3([0.05, -0.04, 0.3])
    centre = points.mean(axis=0)
    motion = se3.from_rt(turn, centre - turn @ centre + [0.01, -0.02, 0.03])
    local = se3.apply(se3.inverse(T_PLANNING_CAMERA), se3.apply(motion, points))
    return points, motion, CAMERA.project(local), local[:, 2]


def near(motion: np.ndarray) -> np.ndarray:
    guess = motion.copy()
    guess[:3, 3] += 0.004
    return guess


def away(found, motion, points) -> tuple[float, float]:
    centre = points.mean(axis=0)
    shift = np.linalg.norm(se3.apply(found, centre) - se3.apply(motion, centre))
    return float(shift), float(np.degrees(se3.rotation_angle(found[:3, :3].T @ motion[:3, :3])))


def test_exact_pixels_give_the_exact_pose() -> None:
    points, motion, pixels, depth = seen()
    usable = np.ones(len(points), bool)
    fit = refine_pose(near(motion), points, pixels, depth, usable, CAMERA, T_PLANNING_CAMERA)
    shift, angle = away(fit.T, motion, points)
    assert shift < 1e-5
    assert angle < 1e-2
    assert fit.support == len(points)


@pytest.mark.parametrize("seed", range(5))
def test_a_third_of_wrong_pixels_and_noisy_depth_move_the_pose_by_less_than_a_millimetre(
    seed: int,
) -> None:
    points, motion, pixels, depth = seen(seed)
    random = np.random.default_rng(seed + 100)
    pixels = pixels + random.normal(0, 0.4, pixels.shape)
    depth = depth + random.normal(0, 0.002, depth.shape)
    wrong = random.random(len(points)) < 0.33
    pixels[wrong] += random.uniform(8, 40, (int(wrong.sum()), 2))
    depth[random.random(len(points)) < 0.2] = np.nan
    usable = np.ones(len(points), bool)
    fit = refine_pose(near(motion), points, pixels, depth, usable, CAMERA, T_PLANNING_CAMERA)
    shift, angle = away(fit.T, motion, points)
    assert shift < 0.001
    assert angle < 1.0
    assert not (fit.agrees & wrong).any()
    assert np.sqrt(np.diag(fit.covariance)[:3]).max() < 0.001


def test_a_guess_far_away_is_not_taken_for_a_fit() -> None:
    points, motion, pixels, depth = seen()
    far = motion.copy()
    far[0, 3] += 0.2
    usable = np.ones(len(points), bool)
    assert refine_pose(far, points, pixels, depth, usable, CAMERA, T_PLANNING_CAMERA) is None


def test_three_points_give_no_pose() -> None:
    points, _, pixels, depth = seen()
    usable = np.zeros(len(points), bool)
    usable[:3] = True
    blind = refine_pose(np.eye(4), points, pixels, depth, usable, CAMERA, T_PLANNING_CAMERA)
    assert blind is None
