"""The mug hangs by its handle: the hole is one in physics, and the scorer says when it is used."""

import mujoco
import numpy as np
import pytest

from novaflow_core.se3 import apply, exp_so3, from_rt, inverse
from novaflow_sim.backends.cell import Cell
from novaflow_sim.core import mug_tree, objects
from novaflow_sim.core.scoring import Truth, score

MUG, TREE = objects.MUG.name, objects.TREE.name
T_BASE_TREE = from_rt(exp_so3([0, 0, 0.7]), [0.5, -0.1, 0.0])


def mug_at(T_base_tree: np.ndarray, along_m: float, aside_m: float = 0.0) -> np.ndarray:
    """T_base_mug upright, the peg's axis through the middle of the hole, 11 mm above its centre.

    `along_m` is from the stem's axis along the peg, `aside_m` away from the peg towards the wall.
    """
    root, tip = apply(T_base_tree, mug_tree.peg())
    way = (tip - root) / np.linalg.norm(tip - root)
    handle = np.cross([0, 0, 1.0], way / np.linalg.norm(way[:2]) * [1, 1, 0])
    rotation = np.stack([handle, np.cross([0, 0, 1.0], handle), [0, 0, 1.0]], axis=1)
    hole = [mug_tree.RADIUS_M + 0.018 + aside_m, 0.0, mug_tree.HANDLE_MIDDLE_M + 0.011]
    return from_rt(rotation, root + along_m * way - rotation @ hole)


def truth(T_base_mug: np.ndarray, speed=0.0, contacts=((MUG, TREE), (TREE, "table"))) -> Truth:
    return Truth(
        {MUG: T_base_mug, TREE: T_BASE_TREE},
        {MUG: speed, TREE: 0.0},
        {frozenset(pair) for pair in contacts},
    )


def test_a_mug_on_the_peg_is_success() -> None:
    verdict = score("mug", truth(mug_at(T_BASE_TREE, 0.04)))
    assert verdict.success, verdict.failed
    assert verdict.numbers["peg_beyond_m"] == pytest.approx(0.044, abs=0.001)


@pytest.mark.parametrize(
    ("where", "word"),
    [
        (truth(mug_at(T_BASE_TREE, 0.10)), "handle"),  # before the tip
        (truth(mug_at(T_BASE_TREE, 0.078)), "handle"),  # hardly on it
        (truth(mug_at(T_BASE_TREE, 0.04, aside_m=0.035)), "handle"),  # the peg passes outside
        (truth(mug_at(T_BASE_TREE, 0.04, aside_m=-0.06)), "handle"),  # the peg is inside the mug
        (truth(mug_at(T_BASE_TREE, 0.04), speed=0.05), "moves"),
        (truth(mug_at(T_BASE_TREE, 0.04), contacts=()), "touch the tree"),
        (truth(mug_at(T_BASE_TREE, 0.04), contacts=((MUG, TREE), (MUG, "table"))), "table"),
        (truth(mug_at(T_BASE_TREE, 0.04), contacts=((MUG, TREE), (MUG, "gripper"))), "gripper"),
    ],
)
def test_each_way_not_to_hang_is_named(where: Truth, word: str) -> None:
    verdict = score("mug", where)
    assert not verdict.success
    assert any(word in why for why in verdict.failed)


@pytest.mark.parametrize(
    ("along_m", "aside_m", "hangs"),
    [(0.030, 0.0, True), (0.045, 0.005, True), (0.055, -0.005, True), (0.098, 0.0, False)],
)
def test_a_mug_that_is_let_go_hangs_only_where_the_peg_is_in_the_handle(
    along_m: float, aside_m: float, hangs: bool
) -> None:
    cell = Cell("mug", 1002)
    tree = cell.truth().poses[TREE]
    start = int(cell.model.joint(f"{MUG}_free").qposadr[0])
    T_base_mug = mug_at(tree, along_m, aside_m)
    cell.data.qpos[start : start + 3] = T_base_mug[:3, 3]
    mujoco.mju_mat2Quat(cell.data.qpos[start + 3 : start + 7], T_base_mug[:3, :3].ravel())
    cell.advance(1000)
    verdict = score("mug", cell.truth())
    assert verdict.success is hangs, (verdict.failed, verdict.numbers)
    if hangs:
        # It leans against the rod below the peg and does not swing round.
        assert verdict.numbers["tilt_deg"] < 30.0


def test_the_hole_is_seen_by_the_camera_and_the_peg_from_its_side() -> None:
    eye, cell = np.array([0.97, 0.15]), Cell("mug", 1000)
    for seed in range(1000, 1012):
        cell.reset(seed)
        poses = cell.truth().poses
        for name, low, high in ((MUG, 33.0, 58.0), (TREE, 78.0, 102.0)):
            to_eye = eye - poses[name][:2, 3]
            cosine = to_eye @ poses[name][:2, 0] / np.linalg.norm(to_eye)
            assert low < np.degrees(np.arccos(cosine)) < high


def test_threading_is_told_from_either_side() -> None:
    turned = from_rt(exp_so3([0, 0, np.pi]), [0, 0, 0])
    T_mug_tree = inverse(mug_at(T_BASE_TREE, 0.04)) @ T_BASE_TREE
    assert mug_tree.threaded(T_mug_tree)[0]
    away = from_rt(np.eye(3), [2 * (mug_tree.RADIUS_M + 0.018), 0, 0])
    assert mug_tree.threaded(away @ turned @ T_mug_tree)[0]  # pushed on from the other side
