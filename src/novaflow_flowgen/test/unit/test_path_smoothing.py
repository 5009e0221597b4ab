"""Poses that are known unequally well, weighed against one another."""

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_flowgen.core.path_smoothing import smooth_path

CENTRE = np.array([0.05, -0.02, 0.7])
CLAIMED = np.diag([0.0003**2, 0.0003**2, 0.002**2] + [0.01**2] * 3)
STEPS = 41


def true_path():
    """0.3 m to the side and half a turn's quarter, from rest to rest."""
    x = np.linspace(0, 1, STEPS)
    share = x**3 * (10 - 15 * x + 6 * x * x)
    rotation = se3.exp_so3(share[:, None] * np.array([0.0, 0.0, 0.8]))
    at = CENTRE + share[:, None] * np.array([0.3, -0.1, 0.05])
    return list(se3.from_rt(rotation, at - np.einsum("tij,j->ti", rotation, CENTRE)))


def moved(motion, off_m):
    return se3.from_rt(motion[:3, :3], motion[:3, 3] + np.array([0.0, 0.0, off_m]))


def errors(path, truth):
    shift = [np.linalg.norm(se3.apply(a, CENTRE) - se3.apply(b, CENTRE))
             for a, b in zip(path, truth, strict=True)]  # fmt: skip
    turn = [se3.rotation_angle(a[:3, :3].T @ b[:3, :3]) for a, b in zip(path, truth, strict=True)]
    return np.array(shift), np.array(turn)


def test_what_is_measured_well_stays():
    truth = true_path()
    shift, turn = errors(smooth_path(truth, [CLAIMED] * (STEPS - 1), CENTRE), truth)
    assert shift.max() < 0.001
    assert turn.max() < 0.01


@pytest.mark.parametrize(
    ("leap_m", "length", "left"), [(0.03, 1, 0.2), (-0.06, 1, 0.2), (0.03, 2, 0.6), (-0.06, 2, 0.2)]
)
def test_poses_that_leap_to_and_fro_are_not_believed(leap_m, length, left):
    truth = true_path()
    found = list(truth)
    for step in range(25, 25 + length):
        found[step] = moved(truth[step], leap_m)
    shift, turn = errors(smooth_path(found, [CLAIMED] * (STEPS - 1), CENTRE), truth)
    assert shift.max() < left * abs(leap_m)
    assert turn.max() < 0.02


def test_steps_without_a_measurement_are_led_from_one_side_to_the_other():
    truth = true_path()
    found, known = list(truth), [CLAIMED] * (STEPS - 1)
    for step in range(18, 24):
        found[step] = moved(truth[17], 0.02)
        known[step - 1] = None
    shift, _ = errors(smooth_path(found, known, CENTRE), truth)
    assert shift[18:24].max() < 0.005


def test_the_first_pose_stays_and_an_end_that_stands_still_too():
    truth = true_path()
    found = truth[:-6] + [moved(truth[-1], 0.01)] * 6
    path = smooth_path(found, [CLAIMED] * (STEPS - 1), CENTRE)
    assert np.allclose(path[0], np.eye(4))
    assert np.linalg.norm(se3.apply(path[-1], CENTRE) - se3.apply(found[-1], CENTRE)) < 0.004
