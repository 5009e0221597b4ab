"""What every backend of the stage `grasps` must do: hold the TRUE shape behind a noisy view."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, GraspError
from novaflow_core.registry import backend_names, load_backend
from novaflow_executor.core.grasp_settings import GraspSettings
from novaflow_executor.core.grasps import GraspRequest

REMOTE = {"graspgen"}  # need a server: test_graspgen.py


@pytest.fixture(scope="module", params=sorted({"antipodal", *backend_names("grasps")} - REMOTE))
def proposer(request):
    return load_backend("grasps", request.param)(GraspSettings())


@pytest.fixture(scope="module")
def block_grasps(proposer, block_cloud, make_scene, settings):
    return propose(proposer, block_cloud(), make_scene(), settings)


@pytest.fixture(scope="module")
def cup_grasps(proposer, cup_cloud, make_scene, settings):
    return propose(proposer, cup_cloud(), make_scene(), settings)


def propose(proposer, points, scene, settings):
    return proposer.propose(GraspRequest(points, scene, settings.gripper))


@pytest.mark.parametrize("yaw", [0.31])
def test_block_is_taken_across_two_faces(proposer, block_cloud, make_scene, settings, yaw):
    grasps = propose(proposer, block_cloud(yaw=yaw), make_scene(), settings)
    assert len(grasps) >= 10
    T_base_block = se3.from_rt(se3.exp_so3([0, 0, yaw]), [0.5, -0.15, 0.0])
    for grasp in grasps[:5]:
        closing = T_base_block[:3, :3].T @ grasp.T_planning_tcp[:3, 0]
        off_face = np.degrees(np.arccos(np.abs(closing).max().clip(0, 1)))
        assert off_face < 8
        where = se3.apply(se3.inverse(T_base_block), grasp.T_planning_tcp[:3, 3])
        along = np.abs(closing[:2]).argmax()
        assert abs(where[along]) < 0.006  # centred between the faces
        assert abs(where[1 - along]) < 0.02  # and on the block
        assert 0.045 < grasp.width_m <= settings.gripper.max_opening


def test_cup_is_taken_by_its_wall_along_the_radius(cup_grasps, settings):
    assert len(cup_grasps) >= 10
    for grasp in cup_grasps[:8]:
        radial = grasp.T_planning_tcp[:2, 3] - [0.5, 0.1]
        radius = np.linalg.norm(radial)
        # too wide to be taken around, so one finger is inside: the wall is at 36..40 mm
        assert grasp.width_m < 0.06
        assert radius == pytest.approx(0.038, abs=0.006)
        assert abs(grasp.T_planning_tcp[:2, 0] @ radial) / radius > np.cos(np.radians(15))
        tip = (
            grasp.T_planning_tcp[:3, 3] + settings.gripper.reach(0.0) * grasp.T_planning_tcp[:3, 2]
        )
        assert 0.03 < tip[2] < 0.09


def test_a_rod_that_slopes_is_taken_across(proposer, make_scene, settings):
    """Along it one pad would meet its round tip, the other its sloping back, and slide off."""
    rng = np.random.default_rng(0)
    low, tip = np.array([0.46, 0.0, 0.03]), np.array([0.56, 0.0, 0.09])
    along = (tip - low) / np.linalg.norm(tip - low)
    around = rng.normal(size=(4000, 3))
    around -= (around @ along)[:, None] * along
    around *= 0.011 / np.linalg.norm(around, axis=1, keepdims=True)
    rod = low + rng.uniform(0, 1, (4000, 1)) * (tip - low) + around
    cap = rng.normal(size=(800, 3))
    cap = tip + 0.011 * cap / np.linalg.norm(cap, axis=1, keepdims=True)
    points = np.concatenate([rod, cap[(cap - tip) @ along > 0]])
    seen = points[points[:, 2] > low[2]]  # its lower end is another body's
    grasps = propose(proposer, seen + rng.normal(0, 5e-4, seen.shape), make_scene(), settings)
    lengthwise = [abs(grasp.T_planning_tcp[:3, 0] @ along) for grasp in grasps]
    assert max(lengthwise) < 0.7


def test_cup_grasps_surround_it(cup_grasps):
    where = np.array([g.T_planning_tcp[:2, 3] - [0.5, 0.1] for g in cup_grasps])
    assert len(np.unique(np.floor(np.arctan2(where[:, 1], where[:, 0]) / (np.pi / 2)))) >= 3


def test_grasps_are_proper_frames_sorted_by_score(block_grasps):
    scores = [g.score for g in block_grasps]
    assert scores == sorted(scores, reverse=True)
    assert 0 < scores[-1] <= scores[0] <= 1
    for grasp in block_grasps:
        rotation = grasp.T_planning_tcp[:3, :3]
        assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert grasp.T_planning_tcp[2, 2] < -0.5  # from above


def test_fingers_stay_above_the_support(block_grasps, settings):
    for grasp in block_grasps:
        reach = settings.gripper.reach(0.0)
        tip = grasp.T_planning_tcp[:3, 3] + reach * grasp.T_planning_tcp[:3, 2]
        assert tip[2] > 0.005


def test_moved_object_moves_the_grasps(proposer, block_grasps, block_cloud, make_scene, settings):
    again = propose(proposer, block_cloud((0.4, 0.2)), make_scene(), settings)
    shift = np.array([-0.1, 0.35, 0.0])
    best = block_grasps[0].T_planning_tcp[:3, 3] + shift
    nearest = min(np.linalg.norm(g.T_planning_tcp[:3, 3] - best) for g in again[:10])
    assert nearest < 0.008


def test_too_wide_an_object_is_refused_with_numbers(proposer, make_scene, settings):
    rng = np.random.default_rng(0)
    slab = np.c_[rng.uniform(-0.15, 0.15, (6000, 2)) + np.array([0.5, 0.0]), np.full(6000, 0.05)]
    with pytest.raises(GraspError) as error:
        propose(proposer, slab, make_scene(), settings)
    assert error.value.code == Code.NO_GRASP
    assert "85 mm" in error.value.reason


@pytest.mark.parametrize("points", [np.zeros((0, 3)), np.full((500, 3), np.nan)])
def test_nothing_seen_is_refused(proposer, make_scene, settings, points):
    with pytest.raises(GraspError) as error:
        propose(proposer, points, make_scene(), settings)
    assert error.value.code == Code.NO_GRASP
