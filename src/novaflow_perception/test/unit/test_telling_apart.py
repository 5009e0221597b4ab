"""Several things of one kind: the one that is meant, or an answer that names the choices."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from rendering import Solid, scene_of

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Scene
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse

RED, GREEN, WHITE = (170, 30, 30), (40, 140, 50), (225, 225, 225)
# Seen from the camera, x grows to the right and y away; the index image counts from 1.
CANS = [Solid((0.14 * i, 0.0), (0, 0, 0.10), GREEN, radius=0.033) for i in (-1, 0, 1)]
BOXES = [
    Solid((-0.13, 0.0), (0.06, 0.06, 0.15), RED, yaw=0.3),
    Solid((0.02, -0.02), (0.12, 0.10, 0.04), RED, yaw=-0.5),
    Solid((0.16, 0.06), (0.05, 0.05, 0.06), RED, yaw=0.6),
]


def meant(solids, text):
    """Number (from 1) of the solid that a sentence means."""
    scene, index = scene_of(solids, noise_m=0.001)
    grounding = TabletopGrounder().ground(scene, parse(text))
    return int(np.bincount(index[grounding.mask(grounding.target)]).argmax())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("lift the tall box", 1),
        ("lift the flattest box", 2),
        ("lift the widest box", 2),
        ("lift the smallest box", 3),
    ],
)
def test_sizes(text, number):
    assert meant(BOXES, text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("lift the leftmost can", 1),
        ("lift the can in the middle", 2),
        ("lift the second can from the right", 2),
        ("lift the third can from the left", 3),
        ("lift the last can", 3),
        ("lift the can to the right of the can on the left", 2),
    ],
)
def test_places_of_three_in_a_row(text, number):
    assert meant(CANS, text) == number


def test_the_answer_names_all_choices():
    scene, _ = scene_of(CANS, noise_m=0.001)
    with pytest.raises(PerceptionError) as caught:
        TabletopGrounder().ground(scene, parse("lift the can"))
    assert caught.value.code is Code.AMBIGUOUS_TARGET
    assert all(f"({letter}) green" in caught.value.reason for letter in "abc")
    assert "colour, size or place" in caught.value.reason


def test_a_place_that_does_not_decide_is_still_a_question():
    pair = [CANS[0], CANS[2]]
    scene, _ = scene_of(pair, noise_m=0.001)
    with pytest.raises(PerceptionError) as caught:
        TabletopGrounder().ground(scene, parse("lift the can in the middle"))
    assert caught.value.code is Code.AMBIGUOUS_TARGET


def test_a_landmark_decides_and_must_be_there():
    solids = [CANS[0], CANS[2], Solid((-0.14, 0.14), (0.07, 0.07, 0.05), RED)]
    assert meant(solids, "lift the can next to the red box") == 1
    scene, _ = scene_of(solids, noise_m=0.001)
    with pytest.raises(PerceptionError) as caught:
        TabletopGrounder().ground(scene, parse("lift the can next to the blue bowl"))
    assert caught.value.code is Code.REFERENCE_NOT_FOUND


def test_more_than_there_are():
    scene, _ = scene_of(CANS, noise_m=0.001)
    with pytest.raises(PerceptionError) as caught:
        TabletopGrounder().ground(scene, parse("lift the fifth can from the left"))
    assert caught.value.code is Code.TARGET_NOT_FOUND


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_size_of_the_image_does_not_matter(scale):
    scene, index = scene_of(BOXES, noise_m=0.001)
    view = scene.main
    m = view.model
    size = (round(m.width * scale), round(m.height * scale))
    model = CameraModel(
        *size, m.fx * scale, m.fy * scale, (m.cx + 0.5) * scale - 0.5, (m.cy + 0.5) * scale - 0.5
    )
    resized = replace(
        view,
        color=cv2.resize(view.color, size),
        depth=cv2.resize(view.depth, size, interpolation=cv2.INTER_NEAREST),
        model=model,
    )
    grounding = TabletopGrounder().ground(
        Scene(scene.scene_id, scene.planning_frame, (resized,)), parse("lift the tall red box")
    )
    mask = grounding.mask(grounding.target)
    truth = cv2.resize((index == 1).astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    assert mask.shape == truth.shape
    assert (mask & truth).sum() / (mask | truth).sum() > 0.85


def hidden_middle(behind):
    """A block stands before the middle of what is behind it, as the camera sees it."""
    return [*behind, Solid((0.0, -0.12), (0.05, 0.05, 0.20), RED)]


def test_what_is_hidden_in_the_middle_is_one_thing():
    scene, index = scene_of(
        hidden_middle([Solid((0.0, 0.02), (0.26, 0.07, 0.06), GREEN)]), noise_m=0.001
    )
    parts = cv2.connectedComponents((index == 1).astype(np.uint8))[0] - 1
    found = TabletopGrounder().inventory(scene.main)
    mask = found.labels == np.bincount(found.labels[(index == 1) & (found.labels > 0)]).argmax()
    assert parts == 2
    assert (mask & (index == 1)).sum() > 0.85 * (index == 1).sum()
    assert len(found.things) == 2


def test_two_round_things_beside_what_hides_them_stay_two():
    cups = [Solid((x, 0.02), (0, 0, 0.09), GREEN, radius=0.04) for x in (-0.055, 0.055)]
    scene, _ = scene_of(hidden_middle(cups), noise_m=0.001)
    assert len(TabletopGrounder().inventory(scene.main).things) == 3
