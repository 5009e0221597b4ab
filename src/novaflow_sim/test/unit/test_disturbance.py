"""What goes wrong on purpose: drawn from the seed, in its moment, once."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core.errors import PlatformError
from novaflow_sim.backends.cell import Cell
from novaflow_sim.core import objects, robot_model
from novaflow_sim.core.disturbance import (
    OBSTACLE,
    PUSH,
    SHIFT_M,
    SLIP,
    Displacement,
    Disturbance,
    Observation,
)


def happens(kind: str, seed: int, *, home: float, lifted: float, held: bool) -> float | None:
    disturbance = Disturbance(kind, 0, seed)
    for tick in range(200):
        if disturbance.due(Observation(0.01 * tick, home, lifted, held)) is not None:
            assert disturbance.done
            assert disturbance.due(Observation(9.0, home, lifted, held)) is None
            return 0.01 * tick
    return None


def test_a_push_waits_for_the_arm_and_a_slip_for_the_carry() -> None:
    for seed in range(1000, 1010):
        at = happens(PUSH, seed, home=0.5, lifted=0.0, held=False)
        assert at is not None and 0.3 <= at <= 0.71
        assert happens(PUSH, seed, home=0.0, lifted=0.0, held=False) is None
        assert happens(SLIP, seed, home=0.5, lifted=0.05, held=True) is not None
        assert happens(SLIP, seed, home=0.5, lifted=0.0, held=True) is None
        assert happens(SLIP, seed, home=0.5, lifted=0.05, held=False) is None


def _push(seed: int) -> Displacement:
    disturbance = Disturbance(PUSH, 0, seed)
    disturbance.due(Observation(0.0, 1.0, 0.0, False))
    found = disturbance.due(Observation(5.0, 1.0, 0.0, False))
    assert found is not None
    return found


def test_equal_seeds_push_alike_and_by_one_to_two_centimetres() -> None:
    shifts = [_push(seed).shift_m for seed in range(1000, 1020)]
    assert np.allclose(shifts[3], _push(1003).shift_m)
    far = np.linalg.norm(shifts, axis=1)
    assert far.min() >= SHIFT_M[0] and far.max() <= SHIFT_M[1] and np.ptp(far) > 1e-3
    assert np.all(np.array(shifts)[:, 2] == 0.0)


def test_a_push_moves_the_thing_in_the_cell() -> None:
    cell = Cell("cup", 1003, disturb=PUSH)
    before = cell.truth().poses["cup"][:3, 3]
    cell.arm.reset(robot_model.HOME_RAD + np.array([0.4, 0, 0, 0, 0, 0, 0]))
    for _ in range(150):
        cell.advance(5)
    assert cell.disturbance.done
    moved = np.linalg.norm(cell.truth().poses["cup"][:3, 3] - before)
    assert SHIFT_M[0] - 0.002 <= moved <= SHIFT_M[1] + 0.002
    cell.reset(1003)
    assert not cell.disturbance.done


@pytest.mark.parametrize("task", ["cup", "insert", "mug", "plant"])
def test_an_obstacle_stands_half_way_and_touching_it_is_counted(task: str) -> None:
    cell = Cell(task, 1004, disturb=OBSTACLE)
    cast, poses = objects.TASKS[task], cell.truth().poses
    at = {prop.name: poses[prop.name][:2, 3] for prop in cast.props}
    half = (at[cast.target.name] + at[cast.reference.name]) / 2
    assert np.allclose(at[cast.obstacle.name], half, atol=1e-6)
    assert cast.obstacle.height_m >= 0.08
    cell.advance(20)
    assert cell.obstacle_contact_s == 0.0
    start = int(cell.model.joint(f"{cast.target.name}_free").qposadr[0])
    cell.data.qpos[start : start + 2] = at[cast.obstacle.name] + [0.02, 0.0]
    for _ in range(4):
        cell.advance(5)
    assert cell.obstacle_contact_s > 0.0


def test_a_task_without_such_a_disturbance_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(objects.DISTURBANCES, "cup", ("none",))
    with pytest.raises(PlatformError, match="push"):
        Cell("cup", 1003, disturb=PUSH)
