"""What every backend of the grounding stage keeps to."""

from __future__ import annotations

import numpy as np
import pytest
from known_colours import KnowsColours, PixelsUnlikeTheTable
from rendering import Solid, camera_pose, render, scene_of

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.grounding import LABEL_SUPPORT, Role
from novaflow_core.registry import backend_names, load_backend
from novaflow_core.scene import RgbdView, Scene
from novaflow_perception.backends.grounded_sam2 import GroundedSam2Grounder
from novaflow_perception.core.grounder import Grounder
from novaflow_perception.core.instruction import parse

RED, GREEN, BLUE = (170, 30, 30), (40, 140, 50), (30, 40, 170)
SOLIDS = [
    Solid((-0.13, 0.0), (0.07, 0.05, 0.06), RED, yaw=0.5),
    Solid((0.13, 0.02), (0.08, 0.06, 0.09), BLUE, yaw=-0.4),
    Solid((0.0, 0.14), (0, 0, 0.09), GREEN, radius=0.04, wall=0.004),
]


@pytest.fixture(params=backend_names("grounding"))
def grounder(request):
    if request.param == "grounded_sam2":  # its models know nothing without their weights
        names = {RED: "red box", BLUE: "blue box", GREEN: "green cup can"}
        return GroundedSam2Grounder(KnowsColours(names), PixelsUnlikeTheTable())
    return load_backend("grounding", request.param)()


@pytest.fixture(scope="module")
def scene():
    return scene_of(SOLIDS, noise_m=0.0015)


def test_it_is_a_grounder(grounder):
    assert isinstance(grounder, Grounder)


def test_the_grounding_is_complete(grounder, scene):
    grounding = grounder.ground(scene[0], parse("put the red box next to the green cup"))
    assert grounding.scene_id == scene[0].scene_id
    assert [i.role for i in grounding.objects[:2]] == [Role.TARGET, Role.REFERENCE]
    assert all(i.role is Role.OTHER for i in grounding.objects[2:])
    assert len({i.label for i in grounding.objects}) == len(grounding.objects)
    assert [image.shape for image in grounding.labels] == [v.depth.shape for v in scene[0].views]
    assert grounding.labels[0].dtype == np.uint8
    assert (grounding.labels[0] == LABEL_SUPPORT).mean() > 0.3
    for item, truth in ((grounding.target, 1), (grounding.references[0], 3)):
        assert (scene[1][grounding.mask(item)] == truth).mean() > 0.9
        assert 0 < item.score <= 1 and item.description
        points = grounding.points(scene[0], item)
        low, high = item.corners.min(axis=0) - 0.01, item.corners.max(axis=0) + 0.01
        assert ((points > low) & (points < high)).all(axis=1).mean() > 0.95
    assert grounding.support.normal @ [0, 0, 1] > 0.999


def test_it_repeats(grounder, scene):
    task = parse("lift the red box")
    a, b = grounder.ground(scene[0], task), grounder.ground(scene[0], task)
    assert np.array_equal(a.labels[0], b.labels[0])
    assert np.array_equal(a.target.corners, b.target.corners)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("lift the yellow box", Code.TARGET_NOT_FOUND),
        ("lift the red cup", Code.TARGET_NOT_FOUND),
        ("lift the green bottle", Code.TARGET_NOT_FOUND),
        ("put the red box into the blue bowl", Code.REFERENCE_NOT_FOUND),
        ("lift the box", Code.AMBIGUOUS_TARGET),
    ],
)
def test_it_refuses_what_is_not_there_or_not_clear(grounder, scene, text, code):
    with pytest.raises(PerceptionError) as caught:
        grounder.ground(scene[0], parse(text))
    assert caught.value.code is code
    assert len(caught.value.reason) > 20


@pytest.mark.parametrize(("place", "truth"), [("left", 1), ("right", 2)])
def test_places_tell_two_alike_apart(grounder, scene, place, truth):
    grounding = grounder.ground(scene[0], parse(f"lift the box on the {place}"))
    assert (scene[1][grounding.mask(grounding.target)] == truth).mean() > 0.9


def test_nearest_and_farthest(grounder):
    cans = [Solid((0.02 * i, 0.12 * i), (0, 0, 0.1), GREEN, radius=0.03) for i in (-1, 1)]
    scene, index = scene_of(cans, noise_m=0.0015)
    for place, truth in (("nearest", 1), ("farthest", 2)):
        grounding = grounder.ground(scene, parse(f"lift the {place} can"))
        assert (index[grounding.mask(grounding.target)] == truth).mean() > 0.9


def test_an_empty_table(grounder):
    scene, _ = scene_of([], noise_m=0.001)
    with pytest.raises(PerceptionError) as caught:
        grounder.ground(scene, parse("lift the red box"))
    assert caught.value.code is Code.TARGET_NOT_FOUND


def test_a_second_view_is_labelled(grounder):
    views, indices = [], []
    for i, pitch in enumerate((40.0, 60.0)):
        pose = camera_pose(0.9, pitch)
        color, depth, index = render(SOLIDS, pose, noise_m=0.001)
        model = scene_of([])[0].main.model
        views.append(RgbdView(f"camera_{i}", "optical", 1, color, depth, model, pose))
        indices.append(index)
    scene = Scene("two", "base", tuple(views))
    grounding = grounder.ground(scene, parse("lift the red box"))
    mask = grounding.mask(grounding.target, 1)
    assert mask.sum() > 0.6 * (indices[1] == 1).sum()
    assert (indices[1][mask] == 1).mean() > 0.9
