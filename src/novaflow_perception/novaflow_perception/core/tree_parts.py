"""The rods of a tree that were cut off its stem are parts of it: they float, and touch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from novaflow_perception.core.thing import Thing

Float = NDArray[np.float64]

_FLOATS_M = 0.03  # nothing that stands by itself has its lowest visible point so high
_TOUCHES_M = 0.022  # from the stem's near side to where a rod that leaves its far side shows
_THIN_M = 0.03


def rods_of(tree: Thing, things: Sequence[Thing], clouds: Mapping[int, Float]) -> list[int]:
    """Labels of the pieces that belong to a tree.

    Args:
        tree: Its stem, with whatever was not cut off.
        things: What was found in the view.
        clouds: (N, 3) points of each by label [m].
    """
    stem = cKDTree(clouds[tree.label])
    return [
        thing.label
        for thing in things
        if thing.label != tree.label
        and thing.shape.bottom_m > _FLOATS_M
        and thing.shape.short_m < _THIN_M
        and len(clouds[thing.label])
        and float(stem.query(clouds[thing.label])[0].min()) < _TOUCHES_M
    ]
