"""Handles, pegs and hanging, from clouds of the near sides as one camera sees them."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError, PlatformError
from novaflow_core.handle import find_handle
from novaflow_core.hanging import Hanging
from novaflow_core.motion_check import MotionJudge
from novaflow_core.peg import find_peg
from novaflow_core.relations import check_relation, footprint_of
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import EYE, TABLE

RADIUS, HEIGHT, TUBE = 0.038, 0.10, 0.005
HOLE, HALF_OUT, HALF_UP = (0.056, 0.0, 0.045), 0.018, 0.020
PEG_ROOT, PEG_WAY, PEG_LENGTH, PEG_RADIUS = np.array([0, 0, 0.15]), 0.2, 0.09, 0.005
HANG = TaskSpec(
    "hang the mug on the tree",
    Motion.MOVE,
    ObjectPhrase("the mug", noun="cup"),
    relation=Relation.HANG,
    references=(ObjectPhrase("the tree", noun="tree"),),
)


def seen(points: np.ndarray, normals: np.ndarray, T: np.ndarray, seed: int = 0) -> np.ndarray:
    """The points of a surface that face the camera, in the base frame, with noise."""
    at, out = se3.apply(T, points), normals @ T[:3, :3].T
    facing = np.einsum("ij,ij->i", EYE[:3, 3] - at, out) > 0
    at = at[facing]
    return at + np.random.default_rng(seed).normal(0.0, 0.0012, at.shape)


def tube(path: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals of a tube along a path (P, 3) in the plane y = 0."""
    way = np.gradient(path, axis=0)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    side = np.array([0.0, 1.0, 0.0])
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)[:, None, None]
    normals = np.cos(angle) * np.cross(way, side) + np.sin(angle) * side
    return (path + radius * normals).reshape(-1, 3), normals.reshape(-1, 3)


def cylinder(radius: float, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    height = np.linspace(low, high, 60)
    normal = np.stack([np.cos(angle), np.sin(angle), np.zeros(90)], -1)
    points = radius * normal[:, None] + height[:, None] * [0, 0, 1.0]
    return points.reshape(-1, 3), np.repeat(normal, 60, axis=0)


def mug(x: float, y: float, yaw: float, handle: bool = True) -> np.ndarray:
    """Cloud of an upright mug with its handle towards `yaw`."""
    T = se3.from_rt(se3.exp_so3([0, 0, yaw]), [x, y, 0.0])
    outer, normal = cylinder(RADIUS, 0.002, HEIGHT)
    inner, inward = cylinder(RADIUS - 0.004, 0.7 * HEIGHT, HEIGHT)
    parts = [seen(outer, normal, T), seen(inner, -inward, T, 1)]
    if handle:
        a = np.linspace(-np.pi / 2, np.pi / 2, 60)
        reach = 2 * HALF_OUT + TUBE
        line = np.stack(
            [
                RADIUS + reach * np.cos(a) ** 0.6,
                np.zeros(60),
                HOLE[2] + (HALF_UP + TUBE) * np.sign(np.sin(a)) * abs(np.sin(a)) ** 0.6,
            ],
            -1,
        )
        parts.append(seen(*tube(line, TUBE), T, 2))
        # The table, seen through the hole and taken for the mug.
        floor = np.random.default_rng(3).uniform([0.04, -0.01, 0.0], [0.075, 0.01, 0.004], (80, 3))
        parts.append(se3.apply(T, floor))
    return np.concatenate(parts)


def tree(x: float, y: float, yaw: float, peg: bool = True) -> np.ndarray:
    """Cloud of a stem with a peg towards `yaw` and a shorter rod below it."""
    T = se3.from_rt(se3.exp_so3([0, 0, yaw]), [x, y, 0.0])
    parts = [seen(*cylinder(0.009, 0.015, 0.17), T)]
    way = np.array([np.cos(PEG_WAY), 0.0, np.sin(PEG_WAY)])
    for below, length in ((0.0, PEG_LENGTH), (0.055, 0.6 * PEG_LENGTH)):
        line = PEG_ROOT - [0, 0, below] + np.linspace(0.009, length, 40)[:, None] * way
        parts.append(seen(*tube(line, PEG_RADIUS), T, 4))
    return np.concatenate(parts if peg else parts[:1])


def measured(mug_yaw: float = 0.9, tree_yaw: float = 1.6) -> Hanging:
    target, reference = mug(0.5, -0.1, mug_yaw), tree(0.5, 0.12, tree_yaw)
    foot = footprint_of(target, TABLE, EYE)
    return Hanging.measure(target, foot, reference, TABLE, EYE[:3, 3])


def hung(hanging: Hanging) -> np.ndarray:
    """The motion (4, 4) of the goal."""
    goal = hanging.goal()
    turn = se3.exp_so3(goal.turn_rad * TABLE.normal)
    hole = hanging.handle.hole
    return se3.from_rt(turn, hole + goal.shift - turn @ hole)


def shifted(motion: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return se3.from_rt(motion[:3, :3], motion[:3, 3] + shift)


@pytest.mark.parametrize("yaw", [-0.9, -0.5, 0.6, 1.0])
def test_the_handle_and_its_hole_are_found(yaw: float) -> None:
    points = mug(0.5, -0.1, yaw)
    handle = find_handle(points, footprint_of(points, TABLE, EYE), TABLE)
    T = se3.from_rt(se3.exp_so3([0, 0, yaw]), [0.5, -0.1, 0.0])
    assert np.linalg.norm(handle.hole - se3.apply(T, np.array(HOLE))) < 0.006
    assert np.degrees(np.arccos(handle.outward @ T[:3, 0])) < 4.0
    assert handle.half_out_m == pytest.approx(HALF_OUT, abs=0.003)
    assert handle.half_up_m == pytest.approx(HALF_UP, abs=0.004)  # its underside is hidden


def test_without_a_handle_it_says_so() -> None:
    points = mug(0.5, -0.1, 0.5, handle=False)
    with pytest.raises(PerceptionError, match="handle") as caught:
        find_handle(points, footprint_of(points, TABLE, EYE), TABLE)
    assert caught.value.code is Code.TARGET_NOT_FOUND


@pytest.mark.parametrize("yaw", [1.2, 1.6, 2.0, -1.5])
def test_the_highest_peg_is_found_with_its_axis(yaw: float) -> None:
    peg = find_peg(tree(0.5, 0.1, yaw), TABLE, EYE[:3, 3])
    T = se3.from_rt(se3.exp_so3([0, 0, yaw]), [0.5, 0.1, 0.0])
    way = np.array([np.cos(PEG_WAY), 0.0, np.sin(PEG_WAY)])
    assert np.degrees(np.arccos(peg.way @ (T[:3, :3] @ way))) < 2.0
    assert np.linalg.norm(peg.tip - se3.apply(T, PEG_ROOT + PEG_LENGTH * way)) < 0.006
    assert np.linalg.norm(peg.root - se3.apply(T, PEG_ROOT)) < 0.006
    assert peg.radius_m == pytest.approx(PEG_RADIUS, abs=0.002)


def test_a_stem_without_a_peg_is_no_tree() -> None:
    with pytest.raises(PerceptionError, match="peg") as caught:
        find_peg(tree(0.5, 0.1, 1.5, peg=False), TABLE, EYE[:3, 3])
    assert caught.value.code is Code.REFERENCE_NOT_FOUND


@pytest.mark.parametrize(("mug_yaw", "tree_yaw"), [(0.9, 1.6), (-0.6, 1.5), (0.7, -1.7)])
def test_the_goal_hangs_it(mug_yaw: float, tree_yaw: float) -> None:
    hanging = measured(mug_yaw, tree_yaw)
    check = hanging.check(hung(hanging))
    assert check.error_m < -0.003, check.reason
    goal = hanging.goal()
    assert abs(goal.turn_rad) <= np.pi / 2 + 1e-6
    # The last legs lead on along the peg from outside of its tip, then down.
    before = hanging.handle.hole + goal.shift - sum(goal.legs)
    assert (before - hanging.peg.tip) @ hanging.peg.way > 0.02
    assert np.allclose(np.cross(goal.legs[0], hanging.peg.way), 0.0, atol=1e-9)
    assert goal.legs[1] @ TABLE.normal < 0 < np.linalg.norm(goal.legs[1])


def test_each_way_not_to_hang_is_told() -> None:
    hanging = measured()
    end, way, up = hung(hanging), hanging.peg.way, TABLE.normal
    out = np.cross(up, way)
    for motion, why in (
        (shifted(end, 0.09 * way), "before the tip"),
        (shifted(end, -0.06 * way), "behind the stem"),
        (shifted(end, 0.03 * out), "the peg beside the hole"),
        (shifted(end, -0.03 * out), "the peg beside the hole"),
        (shifted(end, 0.035 * up), "the peg below the hole"),
        (shifted(end, -0.035 * up), "the peg above the hole"),
        (np.eye(4), "where it stood"),
    ):
        assert hanging.check(motion).error_m > 0.005, why
    spin = se3.exp_so3(1.2 * up)
    hole = se3.apply(end, hanging.handle.hole)
    askew = se3.from_rt(spin, hole - spin @ hole) @ end
    assert hanging.check(askew).error_m > 0.005
    lean = se3.exp_so3(0.35 * way)
    leant = se3.from_rt(lean, hole - lean @ hole) @ end
    assert hanging.check(leant).error_m <= 0.0, "what hangs may lean about the peg"


def test_the_judge_of_motions_hangs_things_by_their_handle() -> None:
    hanging = measured()
    judge = MotionJudge(HANG, mug(0.5, -0.1, 0.9), tree(0.5, 0.12, 1.6), TABLE, EYE)
    assert judge.check(hung(hanging)).error_m < 0.0
    beside = se3.from_rt(np.eye(3), [0.0, 0.1, 0.0])
    assert judge.check(beside).error_m > 0.02
    with pytest.raises(PlatformError):
        check_relation(Relation.HANG, mug(0.5, -0.1, 0.9), tree(0.5, 0.12, 1.6), TABLE, EYE)
