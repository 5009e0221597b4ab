"""Which solid stands for a thing: it covers what the box covers; round where that is clear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendering import Solid, scene_of

from novaflow_core import se3
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.geometry import (
    STRAY_M,
    box_of_corners,
    collision_scene,
    dense_cells,
    tightest,
    upright_box,
)
from novaflow_perception.core.instruction import parse

FLOOR = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
EYE = np.array([0.0, -0.7, 0.6])
COUNT = 12000


def ball(rng, radius):
    normal = rng.normal(size=(COUNT, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return normal * radius + [0, 0, radius], normal


def cylinder(rng, radius, height):
    """Side and lid."""
    angle = rng.uniform(-np.pi, np.pi, COUNT)
    out = np.c_[np.cos(angle), np.sin(angle), 0 * angle]
    side = radius * out + np.c_[0 * angle, 0 * angle, rng.uniform(0, height, COUNT)]
    lid = radius * np.sqrt(rng.uniform(0, 1, COUNT))[:, None] * out + [0, 0, height]
    return np.r_[side, lid], np.r_[out, np.tile([0, 0, 1.0], (COUNT, 1))]


def lying(rng, radius, length, yaw):
    points, normal = cylinder(rng, radius, length)
    turn = se3.exp_so3([0, 0, yaw]) @ se3.exp_so3([0, np.pi / 2, 0])
    return (points - [0, 0, length / 2]) @ turn.T + [0, 0, radius], normal @ turn.T


def bottle(rng):
    body, neck = cylinder(rng, 0.035, 0.16), cylinder(rng, 0.014, 0.25)
    above = neck[0][:, 2] > 0.16
    return np.r_[body[0], neck[0][above]], np.r_[body[1], neck[1][above]]


def dish(rng):
    """The lowest 15 mm of a ball of 170 mm radius, seen from inside: a saucer."""
    points, normal = ball(rng, 0.17)
    keep = points[:, 2] < 0.015
    while keep.sum() < 2000:
        more, inward = ball(rng, 0.17)
        points, normal = np.r_[points, more], np.r_[normal, inward]
        keep = points[:, 2] < 0.015
    return points[keep], -normal[keep]


def block(rng, *size):
    points, face = rng.uniform(-1, 1, (COUNT, 3)), rng.integers(0, 3, COUNT)
    sign, row = rng.choice([-1.0, 1.0], COUNT), np.arange(COUNT)
    normal = np.zeros((COUNT, 3))
    normal[row, face] = points[row, face] = sign
    return points * np.array(size) / 2 + [0, 0, size[2] / 2], normal


def seen(rng, surface, noise_m=0.001):
    """What a camera at EYE sees of a surface, with noise along its rays."""
    points, normal = surface
    points = points[((EYE - points) * normal).sum(axis=1) > 0]
    ray = EYE - points
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return points + ray * rng.normal(0, noise_m, (len(points), 1))


THINGS = {
    "ball": (lambda rng: ball(rng, 0.035), Sphere),
    "bottle": (bottle, Capsule),
    "pole": (lambda rng: cylinder(rng, 0.015, 0.3), Capsule),
    "rolling pin": (lambda rng: lying(rng, 0.03, 0.3, 2.0), Box),
    "pen": (lambda rng: lying(rng, 0.006, 0.15, 1.0), Box),
    "cup": (lambda rng: cylinder(rng, 0.04, 0.095), Box),
    "saucer": (lambda rng: cylinder(rng, 0.08, 0.016), Box),
    "dish": (dish, Box),
    "cube": (lambda rng: block(rng, 0.05, 0.05, 0.05), Box),
    "carton": (lambda rng: block(rng, 0.06, 0.09, 0.2), Box),
    "stick": (lambda rng: block(rng, 0.012, 0.1, 0.012), Box),
}


def stands_for(points, support=FLOOR):
    box = box_of_corners("other_0", upright_box(points, support))
    return box, tightest(box, points, support)


@pytest.mark.parametrize("name", THINGS)
@pytest.mark.parametrize("seed", [0, 1])
def test_round_things_are_round_and_angular_ones_stay_boxes(name, seed):
    make, kind = THINGS[name]
    rng = np.random.default_rng(seed)
    box, solid = stands_for(seen(rng, make(rng)))
    assert isinstance(solid, kind)
    assert solid.name == "other_0"
    if kind is Capsule:
        assert solid.volume < box.volume  # although its lower end is below the support


@pytest.mark.parametrize("name", THINGS)
def test_what_is_hidden_of_a_round_thing_is_covered_too(name):
    """The whole surface, of which the camera saw one side."""
    rng = np.random.default_rng(5)
    surface = THINGS[name][0](rng)
    box, solid = stands_for(seen(rng, surface))
    whole = surface[0]
    assert np.maximum(solid.distance(whole), 0).max() < 0.006
    assert np.maximum(solid.distance(whole), 0).max() < (
        np.maximum(box.distance(whole), 0).max() + 0.002
    )


@given(st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_every_solid_covers_what_the_box_covers(seed):
    """Any thing, anywhere, on any support."""
    rng = np.random.default_rng(seed)
    name = list(THINGS)[rng.integers(len(THINGS))]
    stretch = np.array([rng.uniform(0.7, 1.4), rng.uniform(0.7, 1.4), rng.uniform(0.6, 1.6)])
    T = se3.from_rt(se3.exp_so3(rng.normal(0, 0.5, 3)), rng.uniform(-0.5, 0.5, 3))
    support = Plane(T[:3, 2], float(-T[:3, 2] @ T[:3, 3]))
    points = se3.apply(T, seen(rng, THINGS[name][0](rng)) * stretch)
    box, solid = stands_for(points, support)
    body = points[dense_cells(points @ support.basis().T)]
    body = body[box.distance(body) <= STRAY_M]
    left_by_box, left = np.maximum(box.distance(body), 0), np.maximum(solid.distance(body), 0)
    assert (left > 0).mean() <= (left_by_box > 0).mean()
    assert left.max() <= left_by_box.max() + 1e-9
    if not isinstance(solid, Sphere):  # and what is below, unless it is known to be a ball
        below = body - rng.uniform(0, 1, (len(body), 1)) * (
            support.height(body)[:, None] * support.normal
        )
        assert solid.distance(below).max() <= left_by_box.max() + 1e-9


@pytest.mark.parametrize("height_m", [0.05, 0.2])
def test_what_floats_above_the_support_is_no_ball(height_m):
    """Of a ball on a stand only the ball is seen: what is under it stays forbidden."""
    rng = np.random.default_rng(0)
    lift = np.array([0.0, 0.0, height_m])
    _, solid = stands_for(seen(rng, ball(rng, 0.03)) + lift)
    assert not isinstance(solid, Sphere)
    assert (solid.distance(np.array([[0.02, 0, 0.01], [-0.02, 0, height_m]])) < 0).all()


@pytest.mark.parametrize("yaw", [0.0, 0.7])
def test_a_scene_from_perception_covers_its_clouds(yaw):
    solids = [
        Solid((-0.12, 0.02), (0.08, 0.05, 0.07), (170, 30, 30), yaw=yaw),
        Solid((0.10, 0.05), (0, 0, 0), (30, 40, 170), radius=0.04, ball=True),
        Solid((0.0, 0.18), (0.06, 0.09, 0.11), (40, 140, 50), yaw=-yaw),
        Solid((0.20, -0.08), (0, 0, 0.09), (225, 225, 225), radius=0.04, wall=0.004),
    ]
    scene, _ = scene_of(solids, noise_m=0.0015)
    grounding = TabletopGrounder().ground(scene, parse("put the red block next to the green box"))
    found = {item.name: item for item in collision_scene(scene, grounding).obstacles}
    assert len(found) == 3
    counts = {"reference": 0, "other": 0}
    for item in grounding.objects[1:]:
        solid = found[f"{item.role.value}_{counts[item.role.value]}"]
        counts[item.role.value] += 1
        box = box_of_corners("box", item.corners)
        points = grounding.points(scene, item)
        missed = np.array([(other.distance(points) > 0).mean() for other in (solid, box)])
        assert missed[0] < missed[1] + 0.01
    inside = np.array([0.10, 0.05, 0.04])
    round_one = next(item for item in found.values() if item.distance(inside) < 0)
    assert isinstance(round_one, Sphere)
    assert round_one.radius == pytest.approx(0.04, abs=0.003)
    assert np.allclose(round_one.centre, inside, atol=0.004)
