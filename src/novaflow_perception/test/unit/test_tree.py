"""A tree is a slim stem, and the rods that were cut off it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_perception.core import kinds
from novaflow_perception.core.shape import Shape
from novaflow_perception.core.thing import Thing
from novaflow_perception.core.tree_parts import rods_of

STEM = Shape(
    long_m=0.084, short_m=0.015, bottom_m=0.018, top_m=0.165, angular=0.3, sides=0.83, flat=0.8,
    disc=0.13, hollow=0.04, lid=0.03, taper=0.2, axes=0.5,
)  # fmt: skip
ROD = replace(STEM, long_m=0.066, short_m=0.005, bottom_m=0.145, top_m=0.160)
CAN = replace(STEM, long_m=0.061, short_m=0.057, bottom_m=0.01, top_m=0.099, lid=0.3)
CARTON = replace(STEM, long_m=0.097, short_m=0.062, bottom_m=0.01, top_m=0.047, lid=0.6)
FOOT = replace(STEM, long_m=0.11, short_m=0.11, bottom_m=0.008, top_m=0.014, lid=0.9)


def thing(label: int, shape: Shape) -> Thing:
    return Thing(label, shape, {}, np.zeros(2), 0.0, np.zeros(2), 0.7, cut_off=False)


def cloud(low, high, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (200, 3))


@pytest.mark.parametrize("thicker", [1.0, 2.0])
def test_a_slim_stem_is_a_tree(thicker: float) -> None:
    assert kinds.fit("tree", replace(STEM, short_m=thicker * STEM.short_m)) > 0.9


@pytest.mark.parametrize("shape", [CAN, CARTON, FOOT, ROD])
def test_nothing_stout_low_or_cut_off_is_a_tree(shape: Shape) -> None:
    assert kinds.fit("tree", shape) < 0.3


def test_a_rod_that_floats_at_the_stem_is_part_of_the_tree_and_nothing_else_is() -> None:
    tree = thing(1, STEM)
    things = [
        tree,
        thing(2, ROD),  # leaves the stem
        thing(3, FOOT),  # stands by itself
        thing(4, ROD),  # floats elsewhere
        thing(5, replace(CARTON, bottom_m=0.1, top_m=0.14)),  # no rod, though it touches
    ]
    clouds = {
        1: cloud([-0.01, -0.01, 0.02], [0.01, 0.01, 0.165]),
        2: cloud([0.02, -0.004, 0.145], [0.09, 0.004, 0.160], 1),
        3: cloud([-0.06, -0.06, 0.0], [0.06, 0.06, 0.014], 2),
        4: cloud([0.20, -0.004, 0.145], [0.27, 0.004, 0.160], 3),
        5: cloud([0.012, -0.03, 0.10], [0.07, 0.03, 0.14], 4),
    }
    assert rods_of(tree, things, clouds) == [2]
