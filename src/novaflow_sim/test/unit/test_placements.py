"""Seeded layouts: reproducible, reachable, apart and in view."""

import numpy as np
import pytest

from novaflow_core.camera import CameraModel
from novaflow_core.se3 import apply, from_rt, inverse
from novaflow_sim.core.objects import TASKS
from novaflow_sim.core.placements import APART_M, Layout, draw_layout

CAMERA = CameraModel(1280, 720, 649.4, 649.4, 639.5, 359.5)
SEEDS = range(1000, 1015)


def camera_pose() -> np.ndarray:
    position, target = np.array([0.97, 0.15, 0.56]), np.array([0.44, 0.0, 0.06])
    z = (target - position) / np.linalg.norm(target - position)
    x = np.cross(z, [0.0, 0.0, 1.0])
    x /= np.linalg.norm(x)
    return from_rt(np.c_[x, np.cross(z, x), z], position)


def layout(task: str, seed: int) -> Layout:
    return draw_layout(task, seed, CAMERA, camera_pose())


@pytest.mark.parametrize("task", sorted(TASKS))
def test_equal_seeds_give_equal_layouts_and_others_differ(task: str) -> None:
    assert layout(task, 1000) == layout(task, 1000)
    assert layout(task, 1000) != layout(task, 1001)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_layouts_are_reachable_apart_and_in_view(task: str) -> None:
    cast = TASKS[task]
    for seed in SEEDS:
        at = layout(task, seed).placements
        xy = {name: np.array([p.x_m, p.y_m]) for name, p in at.items()}
        for prop in cast.props:
            assert prop.reach_m[0] <= np.hypot(*xy[prop.name]) <= prop.reach_m[1]
            corners = [
                [*(xy[prop.name] + prop.radius_m * np.array([i, j])), z]
                for i in (-1, 1)
                for j in (-1, 1)
                for z in (0.0, prop.height_m)
            ]
            pixels = CAMERA.project(apply(inverse(camera_pose()), np.array(corners)))
            assert (pixels > 0).all()
            assert (pixels < [CAMERA.width, CAMERA.height]).all()
        if cast.reference is not None:
            apart = np.linalg.norm(xy[cast.target.name] - xy[cast.reference.name])
            assert APART_M[0] <= apart <= APART_M[1]
        for k, a in enumerate(cast.props):
            for b in cast.props[k + 1 :]:
                assert np.linalg.norm(xy[a.name] - xy[b.name]) >= a.radius_m + b.radius_m


def test_colours_and_yaws_vary_over_seeds() -> None:
    layouts = [layout("cup", seed) for seed in SEEDS]
    assert len({x.cup_look for x in layouts}) > 1
    yaws = [x.placements["cup"].yaw_rad for x in layouts]
    assert np.ptp(yaws) > np.pi
