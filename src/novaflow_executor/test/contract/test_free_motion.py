"""What every backend of the stage `approach` must do; `moveit` with a stand-in for MoveIt."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import fake_moveit
import numpy as np
import pytest

from novaflow_core.errors import Code, ExecutionError
from novaflow_core.obstacles import Capsule, Sphere
from novaflow_core.registry import backend_names, load_backend
from novaflow_executor.core import rrt_connect
from novaflow_executor.core.approach_settings import ApproachSettings
from novaflow_executor.core.collision import CollisionModel


@pytest.fixture(params=sorted({"moveit", "rrt_connect", *backend_names("approach")}))
def approach(request, robot, monkeypatch):
    fake_moveit.install(monkeypatch, fake_moveit.World(robot))
    return load_backend("approach", request.param)(ApproachSettings())


def swing(robot):
    """From one side of the home pose to the other."""
    start, goal = robot.home.copy(), robot.home.copy()
    start[0], goal[0] = -0.7, 0.7
    return start, goal


def in_the_way(kind, robot, make_scene):
    """A scene with one thing where the straight swing would hit it."""
    at = robot.tcp(robot.home)[:3, 3]
    if kind == "box":
        return make_scene(("other_1", (at[0] + 0.05, at[1], at[2] - 0.18), (0.06, 0.06, 0.42)))
    if kind == "sphere":
        solid = Sphere("other_1", at - np.array([0.0, 0.0, 0.02]), 0.06)
    elif kind == "upright capsule":
        foot = np.array([at[0] + 0.02, at[1], 0.0])
        solid = Capsule("other_1", foot, np.array([*foot[:2], at[2]]), 0.04)
    else:
        solid = Capsule(
            "other_1", at - np.array([0.15, 0.05, 0.02]), at + np.array([0.15, 0.05, -0.02]), 0.03
        )
    return replace(make_scene(), obstacles=(solid,))


KINDS = ["box", "sphere", "upright capsule", "lying capsule"]


@pytest.mark.parametrize("kind", KINDS)
def test_goes_around_what_stands_in_the_way(approach, robot, make_scene, kind):
    start, goal = swing(robot)
    model = CollisionModel(robot, in_the_way(kind, robot, make_scene), 0.04)
    assert model.clearance(rrt_connect.edge(start, goal)).min() < 0
    pieces = approach.pieces(model, start, goal, "approach", CollisionModel.clearance)
    ends = [end for piece in pieces for end in (piece[0], piece[-1])]
    assert np.allclose(ends[0], start) and np.allclose(ends[-1], goal)
    assert all(np.allclose(a, b) for a, b in list(pairwise(ends))[1::2])
    dense = [rrt_connect.edge(a, b) for piece in pieces for a, b in pairwise(piece)]
    assert model.clearance(np.concatenate(dense)).min() > 0


def test_a_free_way_is_short(approach, robot, make_scene):
    start, goal = swing(robot)
    model = CollisionModel(robot, make_scene(), 0.04)
    pieces = approach.pieces(model, start, goal, "approach", CollisionModel.clearance)
    length = sum(np.abs(b - a).max() for piece in pieces for a, b in pairwise(piece))
    assert length == pytest.approx(np.abs(goal - start).max(), rel=0.3)


@pytest.mark.parametrize("kind", ["sphere", "upright capsule"])
def test_a_goal_inside_something_is_an_error(approach, robot, make_scene, kind):
    model = CollisionModel(robot, in_the_way(kind, robot, make_scene), 0.04)
    away = robot.home.copy()
    away[0] = 1.2
    with pytest.raises(ExecutionError, match="return") as error:
        approach.pieces(model, away, robot.home, "return", CollisionModel.clearance)
    assert error.value.code == Code.APPROACH_NOT_FOUND
