"""Pose and change of shape from tracks that start in the first frame."""

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.track_fit import fit_tracks, stretch_of

CAMERA = CameraModel(1280, 720, 900.0, 900.0, 640.0, 360.0)
CENTRE = np.array([0.02, -0.01, 0.7])


@pytest.fixture
def points():
    """A thing of 80 mm, with relief."""
    return CENTRE + np.random.default_rng(0).uniform(-0.04, 0.04, (300, 3)) * [1, 1, 0.5]


def moved(shift, turn):
    rotation = se3.exp_so3(np.asarray(turn, float))
    return se3.from_rt(rotation, CENTRE - rotation @ CENTRE + shift)


THERE = moved([0.012, -0.004, 0.01], [0.05, 0.1, -0.1])
ELSEWHERE = moved([-0.03, 0.02, 0.0], [0.0, 0.0, 0.2])


def tracks(points, motion, noise_px=0.2, seed=1):
    off = np.random.default_rng(seed).normal(scale=noise_px, size=(len(points), 2))
    return CAMERA.project(se3.apply(motion, points)) + off


def apart(motion, wanted):
    turn = se3.rotation_angle(motion[:3, :3].T @ wanted[:3, :3])
    return np.linalg.norm(se3.apply(motion, CENTRE) - se3.apply(wanted, CENTRE)), turn


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6])
def test_it_finds_the_pose_though_some_tracks_are_anywhere(points, share):
    pixels = tracks(points, THERE)
    lost = int(share * len(points))
    pixels[:lost] += np.random.default_rng(2).uniform(-60, 60, (lost, 2))
    fit = fit_tracks(points, pixels, CAMERA, np.eye(4))
    shift, turn = apart(fit.T_camera_motion, THERE)
    assert (shift, turn) < (0.001, 0.01)
    assert fit.inliers[lost:].mean() > 0.99
    np.testing.assert_allclose(fit.points, se3.apply(fit.T_camera_motion, points))


def test_of_two_things_it_follows_the_larger(points):
    """A hand that carries it is tracked as well, and agrees with itself."""
    pixels = tracks(points, THERE)
    pixels[:110] = tracks(points[:110], ELSEWHERE)
    fit = fit_tracks(points, pixels, CAMERA, np.eye(4))
    assert apart(fit.T_camera_motion, THERE)[0] < 0.001
    assert not fit.inliers[:110].any()


def test_it_says_nothing_where_tracks_do_not_agree_or_are_too_few(points):
    nonsense = np.random.default_rng(3).uniform(0, 700, (len(points), 2))
    fit = fit_tracks(points, nonsense, CAMERA, np.eye(4))
    assert fit is None or fit.inliers.mean() < 0.1
    assert fit_tracks(points[:5], tracks(points[:5], THERE), CAMERA, THERE) is None


def test_the_same_tracks_give_the_same_pose(points):
    pixels = tracks(points, THERE)
    pixels[:120] += 40
    first, second = (fit_tracks(points, pixels, CAMERA, np.eye(4), seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.T_camera_motion, second.T_camera_motion)


def grown(points, along, factor):
    axis = np.asarray(along, float) / np.linalg.norm(along)
    return CENTRE + (points - CENTRE) @ (np.eye(3) + (factor - 1) * np.outer(axis, axis))


@pytest.mark.parametrize("along", [(1, 0, 0), (0, 1, 0), (1, 1, 0)])
@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_a_thing_that_gets_longer_is_noticed(points, along, factor):
    seen = tracks(grown(points, along, factor), THERE)
    told = stretch_of(points, seen, CAMERA, THERE)
    assert 0.05 < told < 1.1 * abs(factor - 1)


def test_a_thing_that_stays_as_it_is_is_not(points):
    for seed in range(20):
        assert stretch_of(points, tracks(points, THERE, 0.5, seed), CAMERA, THERE) < 0.0


def test_coming_closer_is_no_change_of_shape(points):
    closer = moved([0.0, 0.0, -0.08], [0.0, 0.0, 0.0])
    assert stretch_of(points, tracks(points, closer), CAMERA, np.eye(4)) < 0.01


@pytest.mark.parametrize("turn", [(0.0, 0.7, 0.0), (0.7, 0.0, 0.0), (0.5, -0.5, 0.0)])
def test_depth_that_was_measured_wrong_is_no_change_of_shape(points, turn):
    turned = moved([0.0, 0.0, 0.0], turn)
    flat = points * [1, 1, 0] + [0, 0, 0.7] + (points - CENTRE) * [0, 0, 0.6]
    flat[:, :2] *= (flat[:, 2] / points[:, 2])[:, None]  # on the same rays
    assert stretch_of(flat, tracks(points, turned), CAMERA, turned) < 0.02


def test_a_few_wrong_tracks_do_not_stretch_it(points):
    seen = tracks(points, THERE)
    seen[:60] += np.random.default_rng(4).uniform(-30, 30, (60, 2))
    assert stretch_of(points, seen, CAMERA, THERE) < 0.0
