"""The drawer's task: where it stands, how it moves, and what counts as open."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core.se3 import exp_so3, from_rt
from novaflow_sim.backends.cell import Cell
from novaflow_sim.core import chest, objects
from novaflow_sim.core.scoring import Truth, score

CHEST, DRAWER = objects.CHEST.name, objects.DRAWER


def truth(
    opened_m: float = 0.11,
    shoved_m: float = 0.0,
    turned_deg: float = 0.0,
    speed: float = 0.0,
    held: bool = False,
) -> Truth:
    placed = from_rt(exp_so3([0, 0, 0.4]), [0.36, 0.1, 0.0])
    turn = exp_so3([0, 0, np.radians(turned_deg)])
    body = placed @ from_rt(turn, [shoved_m, 0.0, 0.0])
    drawer = body @ from_rt(np.eye(3), [opened_m, 0.0, 0.0])
    contacts = {frozenset((CHEST, "table"))}
    if held:
        contacts.add(frozenset((DRAWER, "gripper")))
    return Truth(
        {CHEST: body, DRAWER: drawer}, {CHEST: 0.0, DRAWER: speed}, contacts, {CHEST: placed}
    )


def test_an_open_drawer_is_success() -> None:
    verdict = score("drawer", truth())
    assert verdict.success
    assert verdict.numbers["opened_m"] == pytest.approx(0.11)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"opened_m": 0.07}, "80 mm"),
        ({"shoved_m": 0.02}, "shoved"),
        ({"turned_deg": 8.0}, "shoved"),
        ({"speed": 0.05}, "moves"),
        ({"held": True}, "gripper"),
    ],
)
def test_each_way_to_fail_is_named(state: dict[str, float], why: str) -> None:
    verdict = score("drawer", truth(**state))
    assert not verdict.success
    assert any(why in text for text in verdict.failed)


def test_a_chest_that_is_dragged_along_is_not_opened() -> None:
    assert not score("drawer", truth(opened_m=0.0, shoved_m=0.11)).success


@pytest.fixture(scope="module")
def cell() -> Cell:
    out = Cell("drawer", 1000)
    out.advance(100)
    return out


def test_the_front_looks_at_the_camera_and_the_open_drawer_is_in_reach(cell: Cell) -> None:
    camera = cell.model.camera("scene_camera").pos[:2]
    for seed in range(1000, 1015):
        cell.reset(seed)
        body = cell.truth().poses[CHEST]
        out, to_camera = body[:2, 0], camera - body[:2, 3]
        turned = np.arccos(out @ to_camera / np.linalg.norm(to_camera))
        assert turned <= chest.MAX_TURNED_RAD
        assert np.hypot(*(body[:2, 3] + chest.OPENED_M * out)) <= chest.HANDLE_REACH_M


def pulled(cell: Cell, force_n: float, seconds: float) -> Truth:
    """Pull at the drawer, then let go."""
    cell.reset(1003)
    dof = int(cell.model.joint(DRAWER).dofadr[0])
    for _ in range(round(seconds / 0.02)):
        cell.data.qfrc_applied[dof] = force_n
        cell.advance(10)
    cell.data.qfrc_applied[dof] = 0.0
    cell.advance(200)
    return cell.truth()


def test_the_drawer_slides_when_it_is_pulled_and_stays_where_it_is_left(cell: Cell) -> None:
    verdict = score("drawer", pulled(cell, 4.0, 0.4))
    assert 0.02 < verdict.numbers["opened_m"] < chest.TRAVEL_M - 0.01
    assert verdict.numbers["shoved_m"] < 0.002
    assert verdict.numbers["speed_m_s"] < 1e-3


def test_friction_holds_the_drawer_against_a_nudge(cell: Cell) -> None:
    assert score("drawer", pulled(cell, 1.0, 0.5)).numbers["opened_m"] < 0.002


def test_the_drawer_ends_at_its_stop(cell: Cell) -> None:
    opened = score("drawer", pulled(cell, 6.0, 3.0)).numbers["opened_m"]
    assert opened == pytest.approx(chest.TRAVEL_M, abs=0.005)
