"""What is looked at besides the flow: colour, copies, dips, leans, and walls in the way."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.footprint import Footprint
from novaflow_core.scene import Plane
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_flowgen.core import posture
from novaflow_flowgen.core.appearance import Moment, colour_shift, stays_behind
from novaflow_flowgen.core.clearance import share_in_walls

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
SIZE = (120, 160)


def picture(at: tuple[int, int] | None, colour: tuple[int, int, int] = (180, 40, 40)) -> np.ndarray:
    random = np.random.default_rng(1)
    frame = np.full((*SIZE, 3), (150, 140, 120), np.uint8)
    if at is not None:
        u, v = at
        frame[v : v + 30, u : u + 30] = colour
        frame[v + 8 : v + 14, u + 5 : u + 25] = (20, 20, 20)
    return np.clip(frame + random.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)


def moment(frame: np.ndarray, at: tuple[int, int]) -> Moment:
    grid = np.stack(np.meshgrid(np.arange(3, 28, 3), np.arange(3, 28, 3)), -1).reshape(-1, 2)
    return Moment(frame, grid + np.array(at, float), np.ones(len(grid), bool))


def background() -> np.ndarray:
    out = np.ones(SIZE, bool)
    out[15:110, 15:150] = False
    return out


HERE, THERE = (20, 20), (100, 70)


def test_the_same_thing_elsewhere_keeps_its_colour() -> None:
    first = moment(picture(HERE), HERE)
    assert colour_shift(first, moment(picture(THERE), THERE), background()) < 4


@pytest.mark.parametrize("tint", [(1.06, 1.0, 0.95), (0.8, 0.8, 0.8)])
def test_light_that_changes_everywhere_is_no_colour_of_the_thing(tint: tuple) -> None:
    lit = np.clip(picture(THERE) * np.array(tint), 0, 255).astype(np.uint8)
    first = moment(picture(HERE), HERE)
    assert colour_shift(first, moment(lit, THERE), background()) < 10


@pytest.mark.parametrize("colour", [(40, 60, 200), (40, 150, 60), (150, 90, 130)])
def test_another_colour_is_seen(colour: tuple[int, int, int]) -> None:
    first = moment(picture(HERE), HERE)
    assert colour_shift(first, moment(picture(THERE, colour), THERE), background()) > 20


def test_a_colour_that_nobody_saw_is_not_known() -> None:
    first = moment(picture(HERE), HERE)
    unseen = Moment(picture(THERE), first.pixels + 50, np.zeros(len(first.pixels), bool))
    assert np.isnan(colour_shift(first, unseen, background()))


def test_what_stays_behind_is_told_from_a_place_that_is_bare() -> None:
    target = np.zeros(SIZE, bool)
    target[20:50, 20:50] = True
    gone = moment(picture(THERE), THERE)
    assert stays_behind(picture(HERE), gone, target) < 0.4
    both = picture(THERE)
    both[20:50, 20:50] = picture(HERE)[20:50, 20:50]
    assert stays_behind(picture(HERE), moment(both, THERE), target) > 0.9
    dimmed = moment((both * 0.8).astype(np.uint8), THERE)
    assert stays_behind(picture(HERE), dimmed, target) > 0.9


def test_a_place_that_is_covered_still_says_nothing() -> None:
    target = np.zeros(SIZE, bool)
    target[20:50, 20:50] = True
    assert np.isnan(stays_behind(picture(HERE), moment(picture(HERE), HERE), target))


def test_a_dip_is_measured_from_where_the_thing_stands() -> None:
    over = next(posture.dips(np.array([0.09, 0.12, 0.10]), 0.02))
    assert over.passed and over.value == pytest.approx(0.0)
    under = next(posture.dips(np.array([0.09, 0.05, 0.10]), 0.02))
    assert not under.passed and "40 mm" in under.reason


def test_a_lean_counts_where_nobody_asked_for_one() -> None:
    leaning = se3.from_rt(se3.exp_so3([0.6, 0.0, 0.0]), np.zeros(3))
    cup = ObjectPhrase("the cup")
    lift = TaskSpec("lift the cup", Motion.LIFT, cup, Direction.UP)
    gate = next(posture.leans(lift, leaning, TABLE, 0.35))
    assert not gate.passed and "34 deg" in gate.reason
    assert next(posture.leans(lift, se3.from_rt(np.eye(3), [0, 0, 0.1]), TABLE, 0.35)).passed
    tilt = TaskSpec("tilt the cup", Motion.TILT, cup)
    on = TaskSpec("", Motion.MOVE, cup, relation=Relation.ON, references=(ObjectPhrase("it"),))
    assert not list(posture.leans(tilt, leaning, TABLE, 0.35))
    assert not list(posture.leans(on, leaning, TABLE, 0.35))


def walls() -> np.ndarray:
    """A square hole of 46 mm in a block of 90 mm, 50 mm high, seen from above."""
    flat = np.stack(np.meshgrid(*[np.arange(-0.045, 0.046, 0.002)] * 2), -1).reshape(-1, 2)
    outside = np.abs(flat).max(axis=1) > 0.023
    return np.column_stack([flat, np.where(outside, 0.05, 0.0)])


def foot_at(x: float, bottom: float = 0.005, half: float = 0.02) -> Footprint:
    centre = TABLE.basis() @ np.array([x, 0.0, 0.0])
    return Footprint(centre, False, np.array([half, half]), 0.0, bottom, 0.075, 0.0)


def test_what_fits_stands_in_no_wall_and_what_is_beside_does() -> None:
    points = walls()
    assert share_in_walls(foot_at(0.0), points, TABLE) == 0.0
    assert share_in_walls(foot_at(0.005), points, TABLE) < 0.2
    assert share_in_walls(foot_at(0.022), points, TABLE) > 0.4
    assert share_in_walls(foot_at(0.022, bottom=0.055), points, TABLE) == 0.0


def test_what_is_tiny_is_not_judged_by_walls() -> None:
    assert np.isnan(share_in_walls(foot_at(0.0, half=0.008), walls(), TABLE))
