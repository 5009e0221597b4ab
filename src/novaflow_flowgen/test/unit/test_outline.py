"""Outlines from colour: what holes and a slip of depth take away comes back."""

import numpy as np
import pytest
from ray_scene import Item, camera_pose, render

from novaflow_flowgen.core.outline import outlined


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.fixture(scope="module")
def view():
    item = Item((0.03, 0.04, 0.05), (0.0, 0.0), yaw=0.5, seed=1)
    color, _, index = render([item], camera_pose())
    return color, index == 0


@pytest.mark.parametrize("slip", [(0, 0), (1, 1), (-1, 1)])
def test_an_outline_with_holes_and_a_slip_is_mended(view, slip):
    color, true = view
    random = np.random.default_rng(3)
    known = np.ones(true.shape, bool)
    edge = true ^ np.roll(true, 2, axis=1) | true ^ np.roll(true, -2, axis=0)
    known[edge] = random.random(np.count_nonzero(edge)) < 0.4
    told = np.roll(true, slip, axis=(0, 1)) & known
    mended = outlined(color, known, told)
    assert iou(told, true) < 0.95
    assert iou(mended, true) > 0.97


def test_the_same_picture_has_the_same_outline(view):
    color, true = view
    known = np.ones(true.shape, bool)
    told = np.roll(true, 1, axis=1)
    first = outlined(color, known, told)
    np.random.default_rng(0).random(5)
    assert np.array_equal(first, outlined(color, known, told))


def test_what_lies_well_inside_and_outside_is_not_asked(view):
    color, true = view
    unlike = np.zeros_like(color)  # nothing to tell by
    mended = outlined(unlike, np.ones(true.shape, bool), true)
    rows, columns = np.nonzero(true ^ mended)
    inner = np.zeros_like(true)
    inner[4:-4, 4:-4] = True
    grown = sum(np.roll(true, (dv, du), (0, 1)) for dv in range(-4, 5) for du in range(-4, 5))
    assert (grown[rows, columns] > 0).all()
    assert (grown[rows, columns] < 81).all()


def test_too_little_to_tell_by_stays_as_it_is(view):
    color, true = view
    tiny = np.zeros_like(true)
    tiny[100:104, 100:104] = True
    known = np.ones(true.shape, bool)
    assert np.array_equal(outlined(color, known, tiny), tiny)
    none = np.zeros_like(true)
    assert not outlined(color, known, none).any()
