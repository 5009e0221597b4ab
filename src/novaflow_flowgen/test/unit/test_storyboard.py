"""What the storyboard shows: motions by words, varied candidates, honest hallucinations."""

from dataclasses import replace

import numpy as np
import pytest
from ray_scene import Item, make_scene

from novaflow_core.errors import Code, VideoError
from novaflow_core.grounding import Role
from novaflow_core.relations import direction_vector
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_flowgen.core.hallucination import assign_spoils
from novaflow_flowgen.core.protocols import Spoil, VideoRequest
from novaflow_flowgen.core.storyboard import Storyboard

CUP = {"size": (0.04, 0.04, 0.045), "is_round": True, "seed": 2}
BOX = {"size": (0.02, 0.02, 0.035), "yaw": 0.3, "seed": 3}
PLATE = {"size": (0.08, 0.08, 0.008), "is_round": True, "seed": 4}


def task(motion=Motion.MOVE, **keywords):
    return TaskSpec("a test", motion, ObjectPhrase("the thing"), **keywords)


@pytest.fixture(scope="module")
def table():
    """A cup, a plate and a can beside them."""
    items = [Item(at=(0.05, -0.12), **CUP), Item(at=(-0.05, 0.12), **PLATE),
             Item((0.03, 0.03, 0.04), (-0.2, -0.05), is_round=True, seed=9)]  # fmt: skip
    roles = [Role.TARGET, Role.REFERENCE, Role.OTHER]
    return items, *make_scene(items, depth_noise=0.001, roles=roles)


def request(table, spec, **keywords):
    _, scene, grounding = table
    return VideoRequest(scene, replace(grounding, task=spec), **keywords)


def moved(table, spec, point, **keywords):
    """Where a world point ends."""
    script = Storyboard().script(request(table, spec, **keywords))
    return script.motions[-1, :3, :3] @ point + script.motions[-1, :3, 3]


@pytest.mark.parametrize("direction", list(Direction)[:1] + list(Direction)[2:])
def test_a_direction_is_where_the_target_goes(table, direction):
    _, scene, grounding = table
    centre = np.array([0.05, -0.12, 0.045])
    way = moved(table, task(direction=direction), centre) - centre
    named = direction_vector(direction, scene.main.T_planning_camera, grounding.support)
    assert way @ named / np.linalg.norm(way) > np.cos(np.radians(5))
    assert 0.04 < np.linalg.norm(way) < 0.13


def test_on_puts_the_true_axis_over_the_plate_and_the_foot_on_it(table):
    spec = task(relation=Relation.ON, references=(ObjectPhrase("the plate"),))
    end = moved(table, spec, np.array([0.05, -0.12, 0.0]))
    assert np.hypot(end[0] + 0.05, end[1] - 0.12) < 0.006
    assert abs(end[2] - 0.016) < 0.004


def test_in_turns_a_box_to_the_sides_of_the_socket():
    items = [
        Item(at=(0.1, -0.1), **BOX),
        Item((0.045, 0.045, 0.025), (-0.05, 0.1), yaw=0.7, seed=6),
    ]
    table = (items, *make_scene(items, depth_noise=0.001, roles=[Role.TARGET, Role.REFERENCE]))
    spec = task(relation=Relation.IN, references=(ObjectPhrase("the socket"),))
    script = Storyboard().script(request(table, spec))
    turn = script.motions[-1]
    yaw = np.arctan2(turn[1, 0], turn[0, 0]) + 0.3
    off = (yaw - 0.7 + np.pi / 4) % (np.pi / 2) - np.pi / 4
    assert abs(off) < np.radians(3)
    end = turn[:3, :3] @ [0.1, -0.1, 0.0] + turn[:3, 3]
    assert np.hypot(end[0] + 0.05, end[1] - 0.1) < 0.006


def test_beside_is_beside(table):
    spec = task(relation=Relation.LEFT_OF, references=(ObjectPhrase("the plate"),))
    _, scene, grounding = table
    end = moved(table, spec, np.array([0.05, -0.12, 0.0]))
    left = direction_vector(Direction.LEFT, scene.main.T_planning_camera, grounding.support)
    gap = (end - [-0.05, 0.12, 0.0]) @ left
    assert 0.12 < gap < 0.18


def test_a_video_starts_with_the_view_and_shows_nothing_else_moving(table):
    _, scene, grounding = table
    video = Storyboard().generate(request(table, task(Motion.LIFT)), lambda _: None, lambda: False)
    assert video.frames.shape == (41, *scene.main.color.shape)
    assert (video.frames[0] == scene.main.color).all()
    can = grounding.mask(grounding.objects[2])
    assert (video.frames[-1][can] == scene.main.color[can]).all()
    assert (video.frames[-1] != scene.main.color).any()


def test_the_same_seed_gives_the_same_motion_and_candidates_differ(table):
    one = Storyboard().script(request(table, task(Motion.LIFT), seed=5, candidate=1))
    again = Storyboard().script(request(table, task(Motion.LIFT), seed=5, candidate=1))
    other = Storyboard().script(request(table, task(Motion.LIFT), seed=5, candidate=2))
    assert (one.motions == again.motions).all()
    assert abs(one.motions - other.motions).max() > 1e-3


def test_a_motion_without_a_goal_is_refused(table):
    with pytest.raises(VideoError) as error:
        Storyboard().script(request(table, task()))
    assert error.value.code is Code.VIDEO_UNKNOWN_MOTION


def test_a_goal_outside_the_picture_is_refused(table):
    with pytest.raises(VideoError) as error:
        Storyboard().script(request(table, task(direction=Direction.LEFT, distance_m=3.0)))
    assert error.value.code is Code.VIDEO_GOAL_UNREACHABLE


def spoiled(table, kind):
    spec = task(relation=Relation.ON, references=(ObjectPhrase("the plate"),))
    honest = Storyboard().script(request(table, spec, seed=3))
    return honest, Storyboard().script(request(table, spec, seed=3, spoil=kind))


def test_wrong_object_moves_another_one(table):
    honest, wrong = spoiled(table, Spoil.WRONG_OBJECT)
    assert wrong.label != honest.label
    spec = task(relation=Relation.ON, references=(ObjectPhrase("the plate"),))
    ways = [
        Storyboard().script(request(table, spec, seed=k, spoil=Spoil.WRONG_OBJECT))
        for k in range(6)
    ]
    assert {w.label for w in ways} == {3, 4}
    assert all(np.ptp(w.motions[:, :3, 3], axis=0).max() > 0.03 for w in ways)


@pytest.mark.parametrize("kind", [Spoil.WRONG_GOAL, Spoil.WRONG_DIRECTION])
def test_a_wrong_goal_is_well_away_from_the_right_one(table, kind):
    honest, wrong = spoiled(table, kind)
    ends = [
        s.motions[-1, :3, :3] @ [0.05, -0.12, 0] + s.motions[-1, :3, 3] for s in (honest, wrong)
    ]
    assert np.linalg.norm(ends[0] - ends[1]) > 0.06


def test_teleport_jumps(table):
    _, wrong = spoiled(table, Spoil.TELEPORT)
    steps = np.linalg.norm(np.diff(wrong.motions[:, :3, 3], axis=0), axis=1)
    assert (steps > 1e-9).sum() == 1


def test_vanish_ends_with_nothing_and_drifts_change_the_picture(table):
    _, vanish = spoiled(table, Spoil.VANISH)
    assert vanish.effects.opacity_at(0) == 1.0
    assert vanish.effects.opacity_at(40) == 0.0
    _, grown = spoiled(table, Spoil.SCALE_DRIFT)
    assert abs(np.linalg.det(grown.motions[-1, :3, :3]) - 1) > 0.3
    _, shaken = spoiled(table, Spoil.CAMERA_DRIFT)
    assert np.linalg.norm(shaken.effects.homography_at(40)[:2, 2]) > 30
    assert (shaken.effects.homography_at(0) == np.eye(3)).all()


def test_spoils_are_shuffled_counted_and_reproducible():
    kinds = tuple(Spoil)
    for count in (0, 4, 8, 12):
        plan = assign_spoils(kinds, 8, count, seed=7)
        assert plan == assign_spoils(kinds, 8, count, seed=7)
        assert sum(s is not None for s in plan) == min(count, 8)
    places = {i for seed in range(20) for i, s in enumerate(assign_spoils(kinds, 8, 1, seed)) if s}
    assert len(places) > 4
