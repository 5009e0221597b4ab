"""Live tracking: accurate, through a gripper, honest when blind, and found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code, PerceptionError, ShapeError
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.toy_scene import CAMERA, EYE, Solid
from novaflow_perception.core.tracking import Carried, ObjectTracker

WINDOW = replace(CAMERA, width=420, height=300, cx=CAMERA.cx - 110, cy=CAMERA.cy - 50)
CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.55, 0.1)
PLATE = Solid((0.16, 0.16, 0.01), is_round=True, colour=(220, 220, 190), texture=3).at(0.5, -0.15)
MIDDLE = np.array([0.55, 0.1, 0.05])
TASK = TaskSpec("lift the cup", Motion.LIFT, ObjectPhrase("the cup"))


def render(solids, seed=0):
    return toy_scene.render(solids, EYE, WINDOW, noise_m=0.002, seed=seed)


def tracker() -> ObjectTracker:
    solids = {"cup": CUP, "plate": PLATE}
    view, labels = render(solids)
    scene, grounding = toy_scene.ground(solids, view, labels, TASK)
    return ObjectTracker(scene, grounding)


def carried(s: float) -> np.ndarray:
    turn = se3.exp_so3([0, 0, 0.5 * s])
    way = np.array([-0.02, -0.22 * s, 0.1 * np.sin(np.pi * s)])
    return se3.from_rt(turn, MIDDLE - turn @ MIDDLE + way)


def gripper(motion: np.ndarray) -> Solid:
    at = se3.apply(motion, MIDDLE)
    return Solid((0.03, 0.11, 0.12), colour=(60, 60, 60), texture=9).at(at[0], at[1], at[2] + 0.02)


def errors(pose: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    away = np.linalg.norm(se3.apply(pose, MIDDLE) - se3.apply(true, MIDDLE))
    return float(away), float(np.degrees(se3.rotation_angle(pose[:3, :3].T @ true[:3, :3])))


def test_a_carried_cup_is_followed_though_a_gripper_holds_it() -> None:
    following = tracker()
    for i in range(1, 19):
        true = carried(i / 18)
        solids = {"cup": CUP.moved(true), "plate": PLATE}
        if 5 < i < 15:
            solids["gripper"] = gripper(true)
        view, _ = render(solids, seed=i)
        track = following.update(view.color, view.depth)
        assert track.visible
        away, angle = errors(track.pose, true)
        assert away < 0.0015
        assert angle < 2.5
        assert track.support >= 10
        assert (np.linalg.eigvalsh(track.covariance) > 0).all()


def test_millimetres_and_metres_give_the_same_track() -> None:
    view, _ = render({"cup": CUP.moved(carried(0.1)), "plate": PLATE}, seed=3)
    metres = tracker().update(view.color, view.depth)
    millimetres = np.nan_to_num(view.depth * 1000).astype(np.uint16)
    raw = tracker().update(view.color, millimetres, 1e-3)
    assert errors(raw.pose, metres.pose)[0] < 1e-3


def test_a_hidden_cup_is_not_visible_and_keeps_its_pose_until_it_is_found() -> None:
    following = tracker()
    solids = {"cup": CUP.moved(carried(0.06)), "plate": PLATE}
    last = following.update(*_images(render(solids, 1)))
    assert last.visible
    wall = Solid((0.02, 0.3, 0.4), colour=(90, 90, 90), texture=8).at(0.68, 0.1)
    for i in range(4):
        track = following.update(*_images(render({**solids, "wall": wall}, i)))
    assert not track.visible
    assert track.support == 0
    np.testing.assert_allclose(track.pose, last.pose, atol=0.02)
    for i in range(12):
        track = following.update(*_images(render(solids, 20 + i)))
        if track.visible:
            break
    assert track.visible
    assert errors(track.pose, carried(0.06))[0] < 0.006


def leaps(hinted: bool, slip_m: float = 0.0):
    """A cup carried 70 to 120 mm between two images: the last track, and where the cup is."""
    following = tracker()
    slip = se3.from_rt(np.eye(3), [0.0, 0.0, slip_m])
    for i in range(4):
        hand = carried(0.33 * i)
        true = hand @ slip if i > 1 else hand
        solids = {"cup": CUP.moved(true), "plate": PLATE}
        view, _ = render(solids, seed=i)
        track = following.update(
            view.color, view.depth, carried=Carried(hand, "a") if hinted else None
        )
    return track, true


@pytest.mark.parametrize("slip_m", [0.0, -0.012])
def test_few_images_of_a_fast_carry_are_enough_where_the_gripper_is_known(slip_m) -> None:
    assert not leaps(hinted=False)[0].visible
    track, true = leaps(hinted=True, slip_m=slip_m)
    assert track.visible
    away, angle = errors(track.pose, true)
    assert away < 0.003
    assert angle < 3.0


def test_a_cup_that_stays_behind_is_not_seen_where_the_gripper_went() -> None:
    following = tracker()
    solids = {"cup": CUP.moved(carried(0.05)), "plate": PLATE}
    seen = 0
    for i in range(12):
        view, _ = render(solids, seed=i)
        hand = Carried(carried(0.05 + 0.08 * i), "a")
        track = following.update(view.color, view.depth, carried=hand)
        if track.visible:
            seen += 1
            assert errors(track.pose, carried(0.05))[0] < 0.004
    assert seen >= 2


def test_another_carry_begins_elsewhere_and_that_is_no_leap() -> None:
    following = tracker()
    solids = {"cup": CUP.moved(carried(0.05)), "plate": PLATE}
    for i, hand in enumerate((Carried(carried(0.9), "a"), Carried(carried(0.05), "b"))):
        for k in range(2):
            view, _ = render(solids, seed=2 * i + k)
            track = following.update(view.color, view.depth, carried=hand)
            assert track.visible
            assert errors(track.pose, carried(0.05))[0] < 0.004


def brought(s: float) -> ObjectTracker:
    """A tracker that has seen the cup carried there."""
    following = tracker()
    for k in range(1, 9):
        hand = carried(s * k / 8)
        view, _ = render({"cup": CUP.moved(hand), "plate": PLATE}, seed=k)
        assert following.update(view.color, view.depth, carried=Carried(hand, "way")).visible
    return following


def at_rest(following: ObjectTracker, true: np.ndarray, hand: np.ndarray, images: int):
    """Tracks of a cup that stands still, while the gripper should have it at `hand`."""
    solids = {"cup": CUP.moved(true), "plate": PLATE}
    for i in range(images):
        view, _ = render(solids, seed=30 + i)
        yield following.update(view.color, view.depth, carried=Carried(hand, "rest"))


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.3), (0.2, 0.0, 0.0)])
def test_a_pose_that_the_picture_contradicts_gives_way_to_the_one_it_shows(turn) -> None:
    true, spin = carried(0.4), se3.exp_so3(turn)
    at = se3.apply(true, MIDDLE)
    aside = np.array([0.0, 0.012, 0.0])
    slid = se3.from_rt(spin, at + aside - spin @ at) @ true
    following = brought(0.4)
    # As pixels leave it that have slid along the hand: they agree with one another.
    following._pose, following._pixels = slid, following._seen_at(slid)
    seen = [track for track in at_rest(following, true, true, 4) if track.visible]
    assert len(seen) >= 2
    for track in seen:
        away, angle = errors(track.pose, true)
        assert away < 0.002
        assert angle < 3.0


def test_what_slipped_in_the_hand_is_seen_where_it_is() -> None:
    true, hand = carried(0.4), carried(0.47)
    for track in at_rest(brought(0.4), true, hand, 4):
        assert track.visible
        assert errors(track.pose, true)[0] < 0.002


def _images(rendered):
    view, _ = rendered
    return view.color, view.depth


def test_images_of_another_size_and_targets_without_depth_are_errors() -> None:
    with pytest.raises(ShapeError):
        tracker().update(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.float32))
    solids = {"cup": CUP, "plate": PLATE}
    view, labels = render(solids)
    blind = replace(view, depth=np.full_like(view.depth, np.nan))
    scene, grounding = toy_scene.ground(solids, view, labels, TASK)
    with pytest.raises(PerceptionError) as caught:
        ObjectTracker(replace(scene, views=(blind,)), grounding)
    assert caught.value.code is Code.TARGET_LOST
