"""What counts as success, and each way to miss it."""

import numpy as np
import pytest

from novaflow_core.se3 import exp_so3, from_rt
from novaflow_sim.core import objects
from novaflow_sim.core.scoring import Truth, score

CUP, SAUCER = objects.CUP.name, objects.SAUCER.name
BLOCK, SOCKET = objects.BLOCK.name, objects.SOCKET.name


def cup_truth(
    offset=(0.0, 0.0), tilt_deg=0.0, speed=0.0, contacts=((CUP, SAUCER), (SAUCER, "table"))
) -> Truth:
    T_base_saucer = from_rt(exp_so3([0, 0, 1.0]), [0.5, 0.1, 0.0])
    T_saucer_cup = from_rt(
        exp_so3([np.radians(tilt_deg), 0, 0]), [*offset, objects.SAUCER_WELL_HEIGHT_M]
    )
    return Truth(
        {CUP: T_base_saucer @ T_saucer_cup, SAUCER: T_base_saucer},
        {CUP: speed, SAUCER: 0.0},
        {frozenset(pair) for pair in contacts},
    )


def test_a_cup_at_rest_in_the_well_is_success() -> None:
    verdict = score("cup", cup_truth((0.01, -0.015)))
    assert verdict.success
    assert verdict.failed == ()
    assert verdict.numbers["offset_m"] == pytest.approx(np.hypot(0.01, 0.015))


@pytest.mark.parametrize(
    ("truth", "word"),
    [
        (cup_truth((0.03, 0.0)), "well"),
        (cup_truth(tilt_deg=12.0), "tilted"),
        (cup_truth(speed=0.05), "moves"),
        (cup_truth(contacts=()), "rest"),
        (cup_truth(contacts=((CUP, SAUCER), (CUP, "table"))), "table"),
        (cup_truth(contacts=((CUP, SAUCER), (CUP, "gripper"))), "gripper"),
    ],
)
def test_each_way_to_miss_the_saucer_is_named(truth: Truth, word: str) -> None:
    verdict = score("cup", truth)
    assert not verdict.success
    assert any(word in why for why in verdict.failed)


def block_truth(offset=(0.0, 0.0), bottom_m=0.0, tilt_deg=0.0, contacts=()) -> Truth:
    T_base_socket = from_rt(exp_so3([0, 0, 0.4]), [0.5, -0.1, 0.0])
    T_socket_block = from_rt(
        exp_so3([np.radians(tilt_deg), 0, 0]),
        [*offset, bottom_m + objects.BLOCK_HALF_EXTENTS_M[2]],
    )
    return Truth(
        {BLOCK: T_base_socket @ T_socket_block, SOCKET: T_base_socket},
        {BLOCK: 0.0, SOCKET: 0.0},
        {frozenset(pair) for pair in contacts},
    )


def test_an_inserted_block_is_success() -> None:
    verdict = score("insert", block_truth((0.002, 0.0), bottom_m=0.01))
    assert verdict.success
    assert verdict.numbers["inserted_m"] == pytest.approx(0.04)


def test_a_block_upside_down_counts_too() -> None:
    assert score("insert", block_truth(bottom_m=0.0, tilt_deg=180.0)).success


@pytest.mark.parametrize(
    ("truth", "word"),
    [
        (block_truth((0.006, 0.0)), "hole"),
        (block_truth(bottom_m=0.04), "15 mm"),
        (block_truth(bottom_m=objects.SOCKET_HEIGHT_M), "15 mm"),
        (block_truth(tilt_deg=15.0), "tilted"),
        (block_truth(contacts=((BLOCK, "gripper"),)), "gripper"),
    ],
)
def test_each_way_to_miss_the_socket_is_named(truth: Truth, word: str) -> None:
    verdict = score("insert", truth)
    assert not verdict.success
    assert any(word in why for why in verdict.failed)
