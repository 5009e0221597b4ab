"""Plane, segmentation, shapes and boxes on scenes that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendering import CAMERA, Solid, camera_pose, render, scene_of

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Plane
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core import kinds
from novaflow_perception.core.geometry import box_of_corners, collision_scene, upright_box
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.plane import fit_support, to_frame

RED, GREEN, BLUE, WHITE = (170, 30, 30), (40, 140, 50), (30, 40, 170), (225, 225, 225)
FLOOR = Plane(np.array([0.0, 0.0, 1.0]), 0.0)


@pytest.mark.parametrize("pitch", [25.0, 45.0, 80.0])
def test_support_plane_among_objects(pitch):
    pose = camera_pose(pitch_deg=pitch)
    solids = [Solid((0.1 * i, 0.0), (0.07, 0.07, 0.1), RED) for i in (-1, 0, 1)]
    _, depth, _ = render(solids, pose, noise_m=0.002)
    points = CAMERA.back_project(depth)[np.isfinite(depth)]
    plane = to_frame(fit_support(points), pose)
    assert np.degrees(np.arccos(plane.normal[2])) < 0.3
    assert abs(plane.offset) < 0.002


def test_no_plane_is_an_error():
    cloud = np.random.default_rng(0).uniform([-1, -1, 1], [1, 1, 3], (5000, 3))
    with pytest.raises(PerceptionError) as caught:
        fit_support(cloud)
    assert caught.value.code is Code.NO_SUPPORT_PLANE


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=30, deadline=None)
def test_a_plane_in_another_frame_has_the_same_heights(seed):
    rng = np.random.default_rng(seed)
    transform = se3.from_rt(se3.exp_so3(rng.normal(size=3)), rng.normal(size=3))
    normal = rng.normal(size=3)
    plane = Plane(normal / np.linalg.norm(normal), float(rng.normal()))
    points = rng.normal(size=(10, 3))
    moved = to_frame(plane, transform).height(se3.apply(transform, points))
    assert np.allclose(moved, plane.height(points))


@given(st.floats(-3.1, 3.1), st.floats(0.03, 0.3), st.floats(0.03, 0.3), st.floats(0.02, 0.3))
@settings(max_examples=25, deadline=None)
def test_box_of_a_box(yaw, a, b, c):
    rng = np.random.default_rng(1)
    turn = se3.from_rt(se3.exp_so3([0, 0, yaw]), [0.3, -0.2, 0])
    points = se3.apply(turn, rng.uniform([-a / 2, -b / 2, 0], [a / 2, b / 2, c], (20000, 3)))
    corners = upright_box(points, FLOOR)
    assert np.allclose(corners[:4, 2], 0, atol=1e-6) and np.allclose(
        corners[4:, 2], c, atol=0.02 * c + 0.001
    )
    assert np.allclose(corners[4:, :2], corners[:4, :2], atol=1e-6)
    box = box_of_corners("x", corners)
    assert np.allclose(np.sort(box.size[:2]), np.sort([a, b]), atol=0.004)
    assert np.linalg.det(box.T_planning_box[:3, :3]) == pytest.approx(1.0)
    inside = se3.apply(se3.inverse(box.T_planning_box), points)
    assert (np.abs(inside) <= box.size / 2 + 0.004).mean() > 0.98


def test_stray_points_do_not_widen_a_box():
    rng = np.random.default_rng(2)
    block = rng.uniform([-0.03, -0.02, 0], [0.03, 0.02, 0.05], (4000, 3))
    stray = rng.uniform([-0.2, -0.2, 0], [0.2, 0.2, 0.04], (25, 3))
    size = box_of_corners("x", upright_box(np.concatenate([block, stray]), FLOOR)).size
    assert np.allclose(np.sort(size[:2]), [0.04, 0.06], atol=0.006)


FORMS = {
    "box": Solid((0.0, 0.0), (0.16, 0.09, 0.12), RED, yaw=0.6),
    "block": Solid((0.0, 0.0), (0.05, 0.05, 0.06), RED, yaw=0.4),
    "carton": Solid((0.0, 0.0), (0.08, 0.07, 0.19), WHITE, yaw=0.7),
    "cup": Solid((0.0, 0.0), (0, 0, 0.09), WHITE, radius=0.04, wall=0.004),
    "bowl": Solid((0.0, 0.0), (0, 0, 0.06), WHITE, radius=0.08, wall=0.005),
    "tin": Solid((0.0, 0.0), (0, 0, 0.065), BLUE, radius=0.095),
    "can": Solid((0.0, 0.0), (0, 0, 0.12), GREEN, radius=0.033),
    "saucer": Solid((0.0, 0.0), (0, 0, 0.018), WHITE, radius=0.075),
}


@pytest.mark.parametrize("noun", FORMS)
def test_forms_are_told_apart(noun):
    scene, index = scene_of([FORMS[noun]], noise_m=0.0015)
    things = TabletopGrounder().inventory(scene.main)
    assert len(things.things) == 1
    mask = things.labels == 1
    assert (mask & (index == 1)).sum() / (mask | (index == 1)).sum() > 0.9
    fits = {kind: kinds.fit(kind, things.things[0].shape) for kind in FORMS}
    assert fits[noun] > 0.6, fits
    angular = {"box", "block", "carton"}
    for other in FORMS:
        if (noun in angular) != (other in angular):
            assert fits[other] < 0.3, fits


@pytest.mark.parametrize("yaw", [0.0, 0.3, 0.8, 1.2])
def test_boxes_of_grounded_things_are_where_they_are(yaw):
    solids = [
        Solid((-0.10, 0.02), (0.08, 0.05, 0.07), RED, yaw=yaw),
        Solid((0.12, 0.05), (0, 0, 0.09), BLUE, radius=0.04, wall=0.004),
        Solid((0.02, 0.15), (0.06, 0.09, 0.11), GREEN, yaw=-yaw),
    ]
    scene, _ = scene_of(solids, noise_m=0.0015)
    grounding = TabletopGrounder().ground(scene, parse("put the red block next to the blue cup"))
    centre = grounding.target.corners.mean(axis=0)
    assert np.linalg.norm(centre[:2] - solids[0].centre) < 0.008
    obstacles = collision_scene(scene, grounding)
    assert [box.name for box in obstacles.obstacles] == ["reference_0", "other_0"]
    cup, other = (box.T_planning_box[:3, 3] for box in obstacles.obstacles)
    assert np.linalg.norm(cup[:2] - solids[1].centre) < 0.012
    assert np.linalg.norm(other[:2] - solids[2].centre) < 0.012
    assert obstacles.obstacles[0].size[2] == pytest.approx(0.09, abs=0.006)


def test_a_tall_thing_that_leaves_the_image_is_no_object():
    pose = camera_pose(0.9, 35.0)
    arm = Solid((0.05, 0.25), (0.12, 0.12, 0.8), WHITE)
    block = Solid((-0.1, 0.0), (0.05, 0.05, 0.05), RED, yaw=0.3)
    scene, _ = scene_of([arm, block], pose=pose, noise_m=0.001)
    things = TabletopGrounder().inventory(scene.main).things
    assert len(things) == 1
    assert things[0].colours["red"] > 0.8
