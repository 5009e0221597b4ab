"""Fits are measured in the image, finer than depth; what cannot be measured is not claimed."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from novaflow_core import se3, toy_scene
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import CAMERA, EYE, Solid
from novaflow_perception.core.fitting import find_fits
from novaflow_perception.core.rectangle_edges import Rectangle, fit_edges

YAW = 0.35
BLOCK = Solid((0.04, 0.05, 0.07), colour=(220, 180, 30), texture=0).at(
    0.5, 0.05, rotation=(0, 0, YAW)
)
TASK = TaskSpec(
    "put the block in the box",
    Motion.MOVE,
    ObjectPhrase("the block"),
    relation=Relation.IN,
    references=(ObjectPhrase("the box"),),
)


def seen(solids, seed=0):
    view, labels = toy_scene.render(solids, EYE, CAMERA, noise_m=0.002, seed=seed)
    return toy_scene.ground(solids, view, labels, TASK)


def drawn(rectangle: Rectangle, support, view, colour, height):
    """Paint the rectangle into the view's picture."""
    c, s = np.cos(rectangle.yaw_rad), np.sin(rectangle.yaw_rad)
    corners = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) * rectangle.half
    flat = rectangle.centre + corners @ np.array([[c, s], [-s, c]])
    points = flat @ support.basis() + (height - support.offset) * support.normal
    pixels = view.model.project(se3.apply(se3.inverse(view.T_planning_camera), points))
    image = view.color.copy()
    cv2.fillPoly(image, [np.rint(pixels * 16).astype(np.int32)], colour, cv2.LINE_AA, 4)
    return replace(view, color=image)


def test_the_edges_of_an_opening_are_found_to_a_fraction_of_a_millimetre() -> None:
    scene, grounding = seen({"block": BLOCK})
    support = grounding.support
    plain = replace(scene.main, color=np.full_like(scene.main.color, 150))
    true = Rectangle(support.basis() @ [0.5, 0.05, 0.0], np.array([0.025, 0.022]), 0.4, 0.05)
    view = drawn(true, support, plain, (60, 60, 70), 0.05)
    first = replace(true, centre=true.centre + 0.002, half=true.half + 0.002, yaw_rad=0.43)
    found = fit_edges(view, support, first)
    assert found is not None
    assert np.linalg.norm(found.centre - true.centre) < 0.0004
    assert np.abs(found.half - true.half).max() < 0.002  # the toy camera has coarse pixels
    assert abs(found.yaw_rad - true.yaw_rad) < np.radians(0.7)
    assert fit_edges(plain, support, first) is None


def test_without_an_opening_there_is_no_fit() -> None:
    tray = Solid((0.16, 0.16, 0.01), colour=(220, 220, 190)).at(0.5, -0.2)
    scene, grounding = seen({"block": BLOCK, "tray": tray})
    assert find_fits(scene, grounding) == ()
    on = replace(grounding, task=replace(TASK, relation=Relation.ON))
    assert find_fits(scene, on) == ()
