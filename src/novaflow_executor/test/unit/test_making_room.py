"""Boxes give way to an object that already stands beside them, and only to that."""

import numpy as np

from novaflow_core import se3
from novaflow_executor.core.making_room import making_room

RADIUS_M = 0.01


def _gaps(scene, points):
    box = scene.boxes[0]
    local = se3.apply(se3.inverse(box.T_planning_box), points)
    beyond = np.maximum(np.abs(local) - np.asarray(box.size) / 2, 0.0)
    return np.linalg.norm(beyond, axis=1)


def test_a_neighbour_gives_way_on_the_side_where_the_object_stands(make_scene):
    scene = make_scene(("other_1", (0.5, 0.0, 0.05), (0.08, 0.08, 0.10)))
    handle = np.array([[0.5, 0.045, z] for z in (0.02, 0.05, 0.08)])
    room = making_room(scene, handle, RADIUS_M)
    assert _gaps(room, handle).min() >= RADIUS_M
    assert np.isclose(room.boxes[0].size[0], 0.08)
    assert 0.07 < room.boxes[0].size[1] < 0.08
    far_side = room.boxes[0].T_planning_box[1, 3] - room.boxes[0].size[1] / 2
    assert np.isclose(far_side, -0.04)


def test_what_stands_apart_stays_as_it_is(make_scene):
    scene = make_scene(("other_1", (0.5, 0.0, 0.05), (0.08, 0.08, 0.10)))
    room = making_room(scene, np.array([[0.5, 0.1, 0.05]]), RADIUS_M)
    assert np.allclose(room.boxes[0].size, scene.boxes[0].size)
    assert np.allclose(room.boxes[0].T_planning_box, scene.boxes[0].T_planning_box)
