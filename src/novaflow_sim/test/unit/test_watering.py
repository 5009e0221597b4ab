"""Watering in the cell: what the scorer calls it, and a can that can be held."""

import numpy as np
import pytest

from novaflow_core.se3 import exp_so3, from_rt
from novaflow_sim.backends.cell import Cell
from novaflow_sim.core import objects, watering
from novaflow_sim.core.scoring import Truth, score

CAN, POT = objects.WATERING_CAN.name, objects.PLANT.name
T_BASE_POT = from_rt(np.eye(3), [0.5, 0.1, 0.0])


def can_at(pour_deg: float, aside_m: float = 0.0, above_m: float = 0.05) -> np.ndarray:
    """T_base_can with the spout's tip so far beside the pot's axis and above its rim."""
    R = exp_so3([0, 0, 0.7]) @ exp_so3([0, np.radians(pour_deg), 0])
    tip = np.array([0.5 + aside_m, 0.1, watering.POT_HEIGHT_M + above_m])
    return from_rt(R, tip - R @ watering.SPOUT_TIP_M)


def truth(T_base_can: np.ndarray, still_s=1.5, T_base_pot=T_BASE_POT, contacts=()) -> Truth:
    return Truth({CAN: T_base_can, POT: T_base_pot}, {}, set(contacts), held_still_s=still_s)


def test_a_can_held_spout_down_over_the_pot_waters() -> None:
    verdict = score("plant", truth(can_at(30.0)))
    assert verdict.success, verdict.failed
    assert verdict.numbers["pour_deg"] == pytest.approx(30.0)
    assert verdict.numbers["tip_above_rim_m"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("where", "word"),
    [
        (truth(can_at(20.0)), "tilted"),
        (truth(can_at(-40.0)), "tilted"),
        (truth(can_at(35.0, aside_m=0.055)), "over the pot"),
        (truth(can_at(35.0, above_m=-0.01)), "below the rim"),
        (truth(can_at(35.0, above_m=0.2)), "high above"),
        (truth(can_at(35.0), still_s=0.5), "hold it still"),
        (truth(can_at(35.0), contacts=[frozenset((CAN, "table"))]), "table"),
        (
            truth(can_at(35.0), T_base_pot=from_rt(exp_so3([0.4, 0, 0]), [0.5, 0.1, 0.0])),
            "pushed over",
        ),
    ],
)
def test_each_way_not_to_water_is_named(where: Truth, word: str) -> None:
    verdict = score("plant", where)
    assert not verdict.success
    assert any(word in why for why in verdict.failed)


def test_nobody_holds_a_can_that_stands_there() -> None:
    cell = Cell("plant", 1000)
    cell.advance(1500)
    assert cell.truth().held_still_s == 0.0
    assert not score("plant", cell.truth()).success


def test_both_stand_where_they_are_put_with_the_spout_beside_the_body() -> None:
    eye = np.array([0.97, 0.15])
    for seed in range(1000, 1010):
        cell = Cell("plant", seed)
        before = cell.truth().poses
        cell.advance(500)
        after = cell.truth().poses
        for name in (CAN, POT):
            assert np.linalg.norm(after[name][:3, 3] - before[name][:3, 3]) < 0.002
            assert after[name][2, 2] > 0.9995
        to_eye = eye - before[CAN][:2, 3]
        aside = np.arccos(to_eye @ before[CAN][:2, 0] / np.linalg.norm(to_eye))
        assert 0.34 < aside < 2.01
