"""Crowns grow from pots; "water the plant" means the can as well."""

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core.errors import PerceptionError
from novaflow_core.scene import Plane
from novaflow_core.task import Motion, Relation
from novaflow_perception.core import kinds
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.shape import Shape
from novaflow_perception.core.thing import Thing
from novaflow_perception.core.watering_parts import completed, crowns

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
ROUND = Shape(0.1, 0.08, 0.01, 0.09, 0.1, 0.6, 0.7, 0.8, 0.0, 0.2, 0.7, 0.5)


def thing(label: int, bottom_m: float, top_m: float, green: float) -> Thing:
    shape = replace(ROUND, bottom_m=bottom_m, top_m=top_m)
    colours = {"green": green, "brown": 1.0 - green}
    return Thing(label, shape, colours, np.zeros(2), 0.0, np.zeros(2), 0.5, cut_off=False)


def cloud(x: float, y: float, low_m: float, high_m: float) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.uniform([x - 0.04, y - 0.04, low_m], [x + 0.04, y + 0.04, high_m], (3000, 3))


POT, TIN = thing(1, 0.01, 0.09, 0.0), thing(2, 0.01, 0.10, 0.7)
CLOUDS = {1: cloud(0.5, 0, 0, 0.09), 2: cloud(0.5, 0.2, 0, 0.1), 3: cloud(0.5, 0.01, 0.1, 0.14)}


def test_leaves_are_a_part_of_the_pot_below_them() -> None:
    leaves = thing(3, 0.105, 0.14, 1.0)
    grown = crowns([POT, TIN, leaves], CLOUDS, TABLE)
    assert grown == {3: 1}
    plant, tin = completed([POT, TIN, leaves], grown, CLOUDS, TABLE)
    assert (plant.label, plant.shape.crown, plant.shape.top_m) == (1, 1.0, 0.14)
    assert plant.colours["green"] == 1.0
    assert kinds.fit("plant", plant.shape) == pytest.approx(1.0)
    assert kinds.fit("plant", tin.shape) == 0.0


@pytest.mark.parametrize(
    "other",
    [
        thing(3, 0.105, 0.14, 0.1),  # not green
        thing(3, 0.02, 0.14, 1.0),  # stands by itself
        thing(3, 0.20, 0.24, 1.0),  # far above
    ],
)
def test_what_is_no_crown_stays_apart(other: Thing) -> None:
    assert crowns([POT, TIN, other], CLOUDS, TABLE) == {}


@pytest.mark.parametrize(
    ("text", "tool", "plant"),
    [
        ("water the plant", "the watering can", "the plant"),
        ("Please water the plant.", "the watering can", "the plant"),
        ("water the plant with the can", "the can", "the plant"),
        ("water the pot using the blue watering can", "the blue watering can", "the pot"),
        ("tilt the watering can over the plant", "the watering can", "the plant"),
        ("pour the watering can over the potted plant", "the watering can", "the potted plant"),
    ],
)
def test_the_can_moves_and_the_plant_is_what_it_goes_to(text: str, tool: str, plant: str) -> None:
    task = parse(text)
    assert (task.motion, task.relation) == (Motion.TILT, Relation.WATER)
    assert (task.target.noun, task.target.text) == ("watering can", tool)
    assert [(p.noun, p.text) for p in task.references] == [("plant", plant)]


def test_a_can_of_tin_stays_one_where_nothing_is_watered() -> None:
    assert parse("put the can next to the plant").target.noun == "can"
    assert parse("put the watering can next to the plant").relation is Relation.NEXT_TO


def test_what_gets_no_water_is_an_error() -> None:
    with pytest.raises(PerceptionError, match="what to water"):
        parse("water")
