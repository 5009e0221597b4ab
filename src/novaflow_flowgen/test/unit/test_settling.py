"""The last of a flow into a socket, where lifting does not know how far away the block is."""

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.kabsch import fit_sequence
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import EYE, TABLE, Solid, ground, render
from novaflow_flowgen.core.goal import Stage, plan_goal
from novaflow_flowgen.core.motion_path import Variation, build_path
from novaflow_flowgen.core.settling import settled

STEPS = 41
RIM_M = 0.05
BLOCK = Solid((0.04, 0.04, 0.09)).at(0.45, -0.14)
SOCKET = Solid((0.066, 0.066, RIM_M), wall=0.01, colour=(40, 80, 190), texture=3).at(0.45, 0.1)


def task(relation):
    return TaskSpec(
        "put the block into the socket", Motion.MOVE, ObjectPhrase("the block"),
        relation=relation, references=(ObjectPhrase("the socket"),),
    )  # fmt: skip


@pytest.fixture(scope="module")
def cell():
    """Scene, grounding, the goal, and the motions (T, 4, 4) of an honest video."""
    solids = {"block": BLOCK, "socket": SOCKET}
    view, labels = render(solids, noise_m=0.001)
    scene, grounding = ground(solids, view, labels, task(Relation.IN), ["socket"])
    goal = plan_goal(Stage(scene, grounding), grounding.target)
    motions = build_path(goal, Variation(), TABLE.normal, TABLE.basis(), STEPS)
    return scene, grounding, goal, motions


def flow_of(cell, off):
    """Flow of the block with its poses off by `off` (T, 3) [m]."""
    scene, grounding, _, motions = cell
    points = grounding.points(scene, grounding.target)[::7]
    path = np.stack([se3.apply(T, points) + o for T, o in zip(motions, off, strict=True)])
    seen = np.ones(path.shape[:2], bool)
    return ObjectFlow(
        path.astype(np.float32), seen, seen.astype(np.float32), 1 / 16, MotionKind.RIGID, "base", 1
    )


def along_ray(cell, metres):
    """Offsets (T, 3) of the block's middle, `metres` (T,) farther from the camera."""
    scene, grounding, _, motions = cell
    middle = grounding.points(scene, grounding.target).mean(axis=0)
    ray = np.stack([se3.apply(T, middle) for T in motions]) - EYE[:3, 3]
    return np.asarray(metres)[:, None] * ray / np.linalg.norm(ray, axis=1, keepdims=True)


def pivots(cell, flow):
    """Way (T, 3) of the block's middle."""
    poses = fit_sequence(flow).poses
    return poses[:, :3, :3] @ cell[2].pivot + poses[:, :3, 3]


@pytest.fixture
def noisy(cell):
    """Farther and farther off, with leaps while it sinks, as behind a hand."""
    metres = np.linspace(0.0, 0.012, STEPS)
    metres[-9:] += np.array([0.0, 0.015, -0.012, 0.01, -0.015, 0.008, 0.0, 0.0, 0.0])
    return flow_of(cell, along_ray(cell, metres))


def test_it_goes_straight_down_into_the_socket(cell, noisy):
    scene, grounding, goal, _ = cell
    flow, stats = settled(noisy, {"share_kept": 1.0}, scene, grounding)
    way = pivots(cell, flow)
    place = goal.pivot + goal.shift
    assert np.linalg.norm(way[-1] - place) < 0.0005
    assert stats["goal_along_m"] == pytest.approx(-0.012, abs=0.002)
    assert stats["goal_across_m"] < 0.002
    assert stats["share_kept"] == 1.0
    bottom = way[:, 2] - goal.pivot[2]  # of what stood on the table
    inside = np.flatnonzero(bottom < RIM_M)
    inside = inside[inside > STEPS // 2]
    assert len(inside) >= 4
    aside = np.linalg.norm(way[inside, :2] - place[:2], axis=1)
    assert aside.max() < 0.0005
    assert np.linalg.norm(pivots(cell, noisy)[inside, :2] - place[:2], axis=1).max() > 0.01
    assert (np.diff(way[inside, 2]) < 1e-6).all()  # it does not go up again
    assert np.linalg.norm(np.diff(way, axis=0), axis=1).max() < 0.06


def test_the_start_stays_where_the_sensor_saw_it_and_the_points_stay_rigid(cell, noisy):
    scene, grounding, *_ = cell
    flow, _ = settled(noisy, {}, scene, grounding)
    assert np.allclose(flow.points[0], noisy.points[0])
    assert (flow.visible == noisy.visible).all()
    assert fit_sequence(flow).residual_m.max() < 1e-4
    assert np.linalg.norm(flow.points[5] - noisy.points[5], axis=1).max() < 0.01


@pytest.mark.parametrize("off_m", [(0.0, 0.02, 0.0), (0.0, 0.0, 0.03)])
def test_what_was_imagined_to_end_elsewhere_stays_there(cell, off_m):
    """Beside the socket or above it: that is for the judge to see."""
    scene, grounding, *_ = cell
    flow = flow_of(cell, np.linspace(0, 1, STEPS)[:, None] * np.array(off_m))
    after, stats = settled(flow, {}, scene, grounding)
    assert after is flow
    assert stats["goal_across_m"] > 0.008


def test_a_distance_far_beyond_what_lifting_errs_by_stays(cell):
    scene, grounding, *_ = cell
    flow = flow_of(cell, along_ray(cell, np.linspace(0, 0.08, STEPS)))
    assert settled(flow, {}, scene, grounding)[0] is flow


def test_places_that_forgive_and_things_that_do_not_move_are_left_alone(cell, noisy):
    scene, grounding, *_ = cell
    on = replace(grounding, task=task(Relation.ON))
    assert settled(noisy, {"a": 1.0}, scene, on) == (noisy, {"a": 1.0})
    still = replace(noisy, points=np.repeat(noisy.points[:1], STEPS, axis=0))
    assert settled(still, {}, scene, grounding)[0] is still


def test_it_is_said_when_the_scene_does_not_tell_where_it_goes(cell, noisy):
    """Nothing of the socket has depth, so nobody knows where its hole is."""
    scene, grounding, *_ = cell
    depth = scene.main.depth.copy()
    depth[grounding.mask(grounding.references[0])] = np.nan
    blind = replace(scene, views=(replace(scene.main, depth=depth),))
    flow, stats = settled(noisy, {"share_kept": 1.0}, blind, grounding)
    assert flow is noisy
    assert stats == {"share_kept": 1.0, "goal_told": 0.0}
    assert settled(noisy, {}, scene, grounding)[1]["goal_told"] == 1.0


def test_what_goes_in_sinks_below_the_rim_by_what_the_goal_says(cell):
    scene, grounding, goal, _ = cell
    foot = Stage(scene, grounding).footprint(grounding.target)
    bottom = max(foot.bottom_m, 0.0) + goal.shift @ TABLE.normal
    assert goal.sinks_m == pytest.approx(RIM_M - bottom, abs=0.004)
    on = replace(grounding, task=task(Relation.ON))
    assert plan_goal(Stage(scene, on), grounding.target).sinks_m is None
