"""Solids give way to an object that already stands beside them, and only to that."""

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.obstacles import Capsule, Sphere
from novaflow_executor.core.making_room import making_room

RADIUS_M = 0.01


def _gaps(scene, points):
    box = scene.obstacles[0]
    local = se3.apply(se3.inverse(box.T_planning_box), points)
    beyond = np.maximum(np.abs(local) - np.asarray(box.size) / 2, 0.0)
    return np.linalg.norm(beyond, axis=1)


def test_a_neighbour_gives_way_on_the_side_where_the_object_stands(make_scene):
    scene = make_scene(("other_1", (0.5, 0.0, 0.05), (0.08, 0.08, 0.10)))
    handle = np.array([[0.5, 0.045, z] for z in (0.02, 0.05, 0.08)])
    room = making_room(scene, handle, RADIUS_M)
    assert _gaps(room, handle).min() >= RADIUS_M
    assert np.isclose(room.obstacles[0].size[0], 0.08)
    assert 0.07 < room.obstacles[0].size[1] < 0.08
    far_side = room.obstacles[0].T_planning_box[1, 3] - room.obstacles[0].size[1] / 2
    assert np.isclose(far_side, -0.04)


def test_what_stands_apart_stays_as_it_is(make_scene):
    scene = make_scene(("other_1", (0.5, 0.0, 0.05), (0.08, 0.08, 0.10)))
    room = making_room(scene, np.array([[0.5, 0.1, 0.05]]), RADIUS_M)
    assert np.allclose(room.obstacles[0].size, scene.obstacles[0].size)
    assert np.allclose(room.obstacles[0].T_planning_box, scene.obstacles[0].T_planning_box)


ROUND = {
    "ball": Sphere("other_1", np.array([0.5, 0.0, 0.04]), 0.04),
    "upright": Capsule("other_1", np.array([0.5, 0.0, 0.0]), np.array([0.5, 0.0, 0.2]), 0.04),
    "lying": Capsule("other_1", np.array([0.4, 0.0, 0.04]), np.array([0.6, 0.0, 0.04]), 0.04),
}


@pytest.mark.parametrize("kind", ROUND)
def test_a_round_neighbour_gives_way_and_stays_inside_of_what_it_was(make_scene, kind):
    scene = replace(make_scene(), obstacles=(ROUND[kind],))
    handle = np.array([[0.5, 0.045, z] for z in (0.02, 0.04, 0.06)])
    (before,), (after,) = scene.obstacles, making_room(scene, handle, RADIUS_M).obstacles
    assert type(after) is type(before) and after.name == before.name
    assert before.distance(handle).min() < RADIUS_M
    assert after.distance(handle).min() >= RADIUS_M
    probes = np.random.default_rng(0).uniform([0.3, -0.2, -0.1], [0.7, 0.2, 0.3], (5000, 3))
    assert (after.distance(probes) >= before.distance(probes) - 1e-9).all()
    far_side = np.array([[0.5, -0.045, 0.04]])
    assert after.distance(far_side) == pytest.approx(before.distance(far_side), abs=1e-4)
    assert after.radius > 0.9 * before.radius - 0.003


@pytest.mark.parametrize("kind", ROUND)
def test_a_round_neighbour_that_stands_apart_stays_as_it_is(make_scene, kind):
    scene = replace(make_scene(), obstacles=(ROUND[kind],))
    (after,) = making_room(scene, np.array([[0.5, 0.1, 0.05]]), RADIUS_M).obstacles
    assert after.radius == ROUND[kind].radius
