from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from novaflow_core.errors import Code, ExecutionError
from novaflow_executor.core import rrt_connect
from novaflow_executor.core.approach import free_path, straight
from novaflow_executor.core.collision import CollisionModel


def wall(q):
    """Two joints; a wall at 0 with a door above 0.8."""
    return ~((np.abs(q[:, 0]) < 0.1) & (q[:, 1] < 0.8))


def test_rrt_goes_through_the_door():
    start, goal = np.array([-0.8, 0.0]), np.array([0.8, 0.0])
    path = rrt_connect.connect(wall, start, goal, -np.ones(2), np.ones(2), 2000)
    assert path is not None
    assert np.allclose(path[0], start)
    assert np.allclose(path[-1], goal)
    short = rrt_connect.shortcut(wall, path)
    for way in (path, short):
        for a, b in pairwise(way):
            assert wall(rrt_connect.edge(a, b)).all()
    lengths = [np.abs(np.diff(np.stack(way), axis=0)).max(axis=1).sum() for way in (short, path)]
    assert lengths[0] <= lengths[1] + 1e-9


def test_rrt_gives_up_behind_a_closed_wall():
    def closed(q):
        return np.abs(q[:, 0]) > 0.1

    start, goal = np.array([-0.8, 0.0]), np.array([0.8, 0.0])
    assert rrt_connect.connect(closed, start, goal, -np.ones(2), np.ones(2), 60) is None


def test_straight_motion_is_straight_and_keeps_the_orientation(robot):
    start = robot.tcp(robot.home)
    path = straight(robot, robot.home, start, np.array([0, 0, -0.1]))
    assert path is not None
    tcp = robot.tcp(path)
    assert np.allclose(tcp[-1, :3, 3], start[:3, 3] - [0, 0, 0.1], atol=1e-3)
    assert np.abs(tcp[:, :2, 3] - start[:2, 3]).max() < 1.5e-3
    assert np.abs(tcp[:, :3, :3] - start[:3, :3]).max() < 6e-3


def test_straight_motion_out_of_reach_is_refused(robot):
    assert straight(robot, robot.home, robot.tcp(robot.home), np.array([0.9, 0, 0.0])) is None


def test_free_path_avoids_a_pillar(robot, make_scene):
    start, goal = robot.home.copy(), robot.home.copy()
    start[0], goal[0] = -0.7, 0.7
    at = robot.tcp(robot.home)[:3, 3]
    scene = make_scene(("other_1", (at[0] + 0.05, at[1], at[2] - 0.18), (0.06, 0.06, 0.42)))
    model = CollisionModel(robot, scene, 0.04)
    direct = rrt_connect.edge(start, goal)
    assert model.clearance(direct).min() < 0
    path = free_path(model, start, goal, "approach")
    dense = np.concatenate([rrt_connect.edge(a, b) for a, b in pairwise(path)])
    assert model.clearance(dense).min() > 0
    assert np.allclose(path[[0, -1]], [start, goal])


def test_goal_inside_an_obstacle_is_named(robot, make_scene):
    at = robot.tcp(robot.home)[:3, 3]
    model = CollisionModel(robot, make_scene(("other_1", tuple(at), (0.2, 0.2, 0.2))), 0.04)
    away = robot.home.copy()
    away[0] = 1.2
    with pytest.raises(ExecutionError) as error:
        free_path(model, away, robot.home, "return")
    assert error.value.code == Code.APPROACH_NOT_FOUND
    assert "where it ends" in error.value.reason
