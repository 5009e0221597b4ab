"""A can is carried as it stands, turned where it goes, and held there."""

import numpy as np

from novaflow_core import se3
from novaflow_flowgen.core.goal import Goal
from novaflow_flowgen.core.motion_path import Variation, build_path

UP, BASIS = np.array([0.0, 0.0, 1.0]), np.eye(3)[:2]
TIP = np.array([0.5, 0.0, 0.08])
GOAL = Goal(TIP, np.array([0.0, 0.2, 0.1]), np.array([0.7, 0.0, 0.0]), 0.16, True, turns_last=True)


def test_it_is_level_until_it_has_been_lifted_and_ends_at_the_goal() -> None:
    path = build_path(GOAL, Variation(), UP, BASIS, 41)
    angle = se3.rotation_angle(path[:, :3, :3])
    lifted = (path[:, :3, :3] @ TIP + path[:, :3, 3] - TIP)[:, 2]
    assert angle[lifted < 0.09].max() < np.radians(1.0)
    assert np.allclose(se3.apply(path[-1], TIP), TIP + GOAL.shift, atol=1e-9)
    assert np.isclose(angle[-1], 0.7)
    assert (np.diff(angle) > -1e-9).all()


def test_the_last_frames_rest() -> None:
    path = build_path(GOAL, Variation(), UP, BASIS, 41)
    assert np.abs(path[-5:] - path[-1]).max() < 1e-9


def test_candidates_differ_in_how_far_they_tilt() -> None:
    less = build_path(GOAL, Variation(distance=0.95), UP, BASIS, 41)
    assert np.isclose(se3.rotation_angle(less[-1:, :3, :3])[0], 0.95 * 0.7)
